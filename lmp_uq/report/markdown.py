# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a validation as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.quantities import FORCES, by_key
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
from lmp_uq.report.rows import SUSPICIOUS, calibrated_rows, element_rows, group_rows, method_rows, suspicious_sentences
from lmp_uq.report.text import printable
from lmp_uq.report.validation import SCORES_TITLE
from lmp_uq.report.verdict import counts_text, headline, verdict, warnings_of


def markdown(result: Mapping[str, Any]) -> str:
    """The verdict and the tables of all figures, with their definitions."""
    lines = ["# Validation of error bars", "", _escape(headline(result)) + "."]
    lines += [f"\n{_escape(sentence)}" for sentence in verdict(result)]
    lines += [f"\n**{_escape(sentence)}**" for sentence in warnings_of(result)]
    lines += ["", "![Predicted against reference](parity.png)", ""]
    lines += ["![Errors against error bars](error_uncertainty.png)", "", "All figures: [report.html](report.html)."]
    for quantity in by_key(result):
        figures = result[quantity.key]
        lines += ["", f"## {quantity.title} ({quantity.unit})", "", f"Bounds: K = {figures['n_members']} members."]
        if figures["n_without_bar"]:
            lines.append(
                f"{figures['n_without_bar']} labels have no bar, because their features vanish by symmetry; "
                "they count in n, MAE and RMSE only."
            )
        rows = group_rows(result, quantity.key)
        lines += _section(BAR_COLUMNS, rows) + _section(CALIBRATION_COLUMNS, rows)
        if calibrated := calibrated_rows(rows):
            said = f"{quantity.bar} covers {counts_text(figures['calibrated']['by_group'])}."
            lines += ["", _escape(said), *_section(CALIBRATED_COLUMNS, calibrated)]
        lines += ["", "Methods on the same labels; a star marks bars scaled with hindsight."]
        lines += _section(COMPARISON_COLUMNS, method_rows(result, quantity.key), "method")
    if FORCES.bar in result:
        lines += _atoms(result)
    if result.get("suspicious"):
        lines += ["", "## Labels that may be wrong", "", _escape(SUSPICIOUS), ""]
        lines += [f"1. {_escape(text)}" for text in suspicious_sentences(result["suspicious"])]
    return "\n".join(lines) + "\n"


def _atoms(result):
    groups, methods = group_rows(result, FORCES.bar), result[FORCES.bar]["baselines"]
    lines = ["", f"## {FORCES.bar} of atoms ({FORCES.unit})", "", "![Coverage and width by group](groups.png)"]
    lines += _section(FORCE_ERROR_COLUMNS, groups) + _section(FORCE_ERROR_COLUMNS, element_rows(result, FORCES.bar), "element")
    lines += ["", _escape(SCORES_TITLE) + ".", *_section(SCORE_COLUMNS, method_rows(result, FORCES.bar), "score")]
    for figures in BESIDE:
        lines += _section(beside_columns(figures, methods), groups)
    return lines


def _section(columns, rows, first="group"):
    """A table and one line on each of its columns."""
    heads = [_escape(f"{c.over} {c.head}".strip()) for c in columns]
    lines = ["", f"| {first} | " + " | ".join(heads) + " |", "|:--|" + "--:|" * len(columns)]
    for name, figures in rows:
        lines.append(f"| {_escape(name)} | " + " | ".join(c.text(figures) for c in columns) + " |")
    lines.append("")
    return lines + [f"* {head}: {_escape(c.meaning)}" for head, c in zip(heads, columns, strict=True)]


def _escape(text):
    """Text that Markdown shows as it is."""
    return "".join("\\" + c if c in "\\`*_{}[]<>#|$~!&" else c for c in printable(text))
