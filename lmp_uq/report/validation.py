# SPDX-License-Identifier: GPL-2.0-or-later
"""What the figures of a validation say, in tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.quantities import FORCES, Quantity, by_key
from lmp_uq.report.columns import (
    BAR_COLUMNS,
    BESIDE,
    CALIBRATED_COLUMNS,
    CALIBRATION_COLUMNS,
    COMPARISON_COLUMNS,
    FORCE_ERROR_COLUMNS,
    SCORE_COLUMNS,
    beside_columns,
)
from lmp_uq.report.rows import calibrated_rows, element_rows, group_rows, has_more_methods, method_rows, suspicious_lines
from lmp_uq.report.text import table, wrap
from lmp_uq.report.verdict import counts_text, groups_sentence, headline, warnings_of

ATOMS_TITLE = f"{FORCES.bar} of atoms, {FORCES.unit}; frames of a group count alike, groups too"
SCORES_TITLE = "Atoms: force_error beside other scores, each times one factor that covers 0.90 of these labels (* hindsight)"


def describe_validation(result: Mapping[str, Any]) -> str:
    """Figures of `lmp_uq.recipes.validate.validate`, overall and by group, beside the baselines.

    Parameters
    ----------
    result : dict
        The first of the two that it returns.

    Returns
    -------
    str
        Lines of at most `lmp_uq.report.text.WIDTH` characters.
    """
    blocks = [wrap(headline(result)), wrap(groups_sentence(result))]
    for quantity in by_key(result):
        blocks += _quantity_blocks(result, quantity)
    if FORCES.bar in result:
        blocks += _atom_blocks(result)
    if has_more_methods(result):
        for quantity in by_key(result):
            title = wrap(f"{heading(quantity)}: methods on the same labels (* scaled with hindsight)")
            blocks.append([*title, *table("method", COMPARISON_COLUMNS, method_rows(result, quantity.key))])
    blocks.append(suspicious_lines(result.get("suspicious", [])))
    blocks += [wrap(sentence) for sentence in warnings_of(result)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _quantity_blocks(result, quantity):
    figures, rows = result[quantity.key], group_rows(result, quantity.key)
    head = f"{heading(quantity)}, K = {figures['n_members']} members"
    if figures["n_without_bar"]:
        head += f"; {figures['n_without_bar']} labels without bar by symmetry (in n, MAE and RMSE only)"
    blocks = [[*wrap(head), *table("group", BAR_COLUMNS, rows)], table("group", CALIBRATION_COLUMNS, rows)]
    calibrated = calibrated_rows(rows)
    if calibrated:
        title = f"{quantity.bar}, {quantity.unit}, covers {counts_text(figures['calibrated']['by_group'])}"
        blocks.append([*wrap(title), *table("group", CALIBRATED_COLUMNS, calibrated)])
    return blocks


def _atom_blocks(result):
    groups, elements = group_rows(result, FORCES.bar), element_rows(result, FORCES.bar)
    methods = result[FORCES.bar]["baselines"]
    blocks = [[*wrap(ATOMS_TITLE), *table("group", FORCE_ERROR_COLUMNS, groups)]]
    if elements:
        blocks.append(table("element", FORCE_ERROR_COLUMNS, elements))
    blocks.append([*wrap(SCORES_TITLE), *table("score", SCORE_COLUMNS, method_rows(result, FORCES.bar))])
    for figures in BESIDE:
        title = f"By group, {FORCES.bar} (bar) beside the other scores"
        blocks.append([title, *table("group", beside_columns(figures, methods), groups)])
    return blocks


def heading(quantity: Quantity) -> str:
    """Of the tables of a quantity: what it is, and its unit."""
    return f"{quantity.title}, {quantity.unit}"
