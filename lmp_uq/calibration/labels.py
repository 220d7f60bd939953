# SPDX-License-Identifier: GPL-2.0-or-later
"""New factors of one kind of label, and the figures that say what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lmp_uq.calibration.conformal import block_weights, share_by_block, split_by_group
from lmp_uq.calibration.few_frames import few_frames_of_a_group
from lmp_uq.calibration.force_error import LEVEL, ForceError, fit_force_error, fit_scale, leave_one_group_out, relative_errors
from lmp_uq.calibration.labelled_atoms import ForceLabels, Labels, ScaledLabels
from lmp_uq.calibration.quantile_network import QuantileNetwork, train_quantile_network
from lmp_uq.calibration.scaled_error import ScaledError, element_factors, fit_scaled_error, scaled_leave_one_group_out
from lmp_uq.errors import UqError
from lmp_uq.quantities import FORCES, SCALED

MIN_ELEMENT_FRAMES = 20
"""Frames that must hold an element before it gets a factor of its own."""


class Calibrated(NamedTuple):
    """By name of the bar: the new bars and their reports, or why there is none; every kind of label is in the first two or in the last."""

    bars: dict[str, ForceError | ScaledError]
    reports: dict[str, dict]
    reasons: dict[str, UqError]


def calibrate_bars(labels: Labels, before: Mapping[str, Any] | None = None, seed: int = 0) -> Calibrated:
    """New bars of every kind of label, in the order of a model file: what ``fit`` and ``calibrate`` have in their middle.

    Parameters
    ----------
    labels : Labels
    before : dict or None
        Older bars by name, as a model file has them, for the reports; None: the reports hold leave_one_group_out only.
    seed : int
        Of the random choices in few_frames.

    Returns
    -------
    Calibrated
        Reports of `scaled_report` and `force_report`. Too few frames for level 0.9, no label, no bar: a reason.
    """
    found = Calibrated({}, {}, {})
    for quantity in (FORCES, *SCALED):
        try:
            mine = labels.of(quantity)
            fit: Any = force_bar if quantity is FORCES else scaled_bar
            bar, left_out = fit(mine)
            report = {"leave_one_group_out": left_out}
            if before is not None:
                judge: Any = force_report if quantity is FORCES else scaled_report
                old = before.get(quantity.bar)
                report |= judge(mine, type(bar).from_dict(old) if old else None, bar, seed)
        except UqError as reason:
            found.reasons[quantity.bar] = reason
        else:
            found.bars[quantity.bar], found.reports[quantity.bar] = bar, report
    return found


def scaled_bar(labels: ScaledLabels) -> tuple[ScaledError, dict]:
    """Factors of energies or stresses, and their coverage of groups left out, empty with one group.  UqError for too few frames."""
    columns = labels.columns()
    several = len(np.unique(labels.groups)) > 1
    return fit_scaled_error(*columns), scaled_leave_one_group_out(*columns) if several else {}


def force_bar(labels: ForceLabels) -> tuple[ForceError, dict]:
    """Coefficients, factors and floors of the force bar, and what it is worth in groups left out, empty with one group.

    Raises
    ------
    UqError
        Too few frames for level 0.9, or no atom of finite grade.
    """
    atoms = labels.atoms
    bar = fit_force_error(atoms.error, atoms.force, atoms.grade, atoms.groups, blocks=atoms.blocks)
    if len(np.unique(labels.graded().atoms.groups)) < 2:
        return bar, {}
    return bar, leave_one_group_out(atoms.error, atoms.force, atoms.grade, atoms.groups, blocks=atoms.blocks)


def scaled_report(labels: ScaledLabels, before: ScaledError | None, after: ScaledError, seed: int) -> dict:
    """What a bar is worth, beside an older one.

    Returns
    -------
    dict
        n, n_blocks, n_groups; before and after (None without an older bar): factor, conservative_factor, coverage, width; few_frames, by
        group.
    """
    report = _counts(labels.groups, labels.blocks)
    for name, bar in (("before", before), ("after", after)):
        report[name] = None
        if bar is not None:
            factors = {"factor": bar.factor, "conservative_factor": bar.conservative_factor}
            report[name] = factors | _worth(np.abs(labels.error), bar.predict(labels.std), labels.blocks)
    scores = np.abs(labels.error) / labels.std
    return report | {"few_frames": _few_frames(labels.groups, labels.blocks, lambda inside: scores, seed)}


def force_report(labels: ForceLabels, before: ForceError | None, after: ForceError, seed: int) -> dict:
    """As `scaled_report` for level 0.9, without the atoms of infinite grade.

    Also per_element: {element: n, n_blocks, coverage of the bars of all elements together, factor (None where fewer than 20 frames hold
    the element)}.
    """
    known = labels.graded()
    atoms = known.atoms
    report = _counts(atoms.groups, atoms.blocks)
    for name, bar in (("before", before), ("after", after)):
        report[name] = None
        if bar is not None:
            which = bar.position(LEVEL)
            factors = {"factor": bar.factors[which], "conservative_factor": bar.conservative_factors[which]}
            report[name] = factors | _worth(atoms.error, bar.predict(atoms.force, atoms.grade), atoms.blocks)

    def scores(inside: np.ndarray) -> np.ndarray:
        return relative_errors(atoms, fit_scale(atoms.take(~inside)))

    few_frames = _few_frames(atoms.groups, atoms.blocks, scores, seed)
    return report | {"few_frames": few_frames, "per_element": _per_element(known, after)}


def calibrate_learned(labels: ForceLabels, descriptors: np.ndarray, force_error: ForceError, seed: int) -> tuple[QuantileNetwork, dict]:
    """The learned quantile, trained on the atoms where it will be asked: those of grade at most 1; descriptors (n, P) of the labels.

    Returns
    -------
    QuantileNetwork
    dict
        n_frames of its three parts, epochs; learned and force_error: coverage, width and pinball loss (eV/Angstrom) at level 0.9
        on the frames that gave the conformal factors.

    Raises
    ------
    UqError
        Fewer than 80 frames hold such atoms.
    """
    known = labels.atoms.grade <= 1.0
    atoms, descriptors = labels.atoms.take(known), descriptors[known]
    network, report = train_quantile_network(atoms.error, descriptors, atoms.force, atoms.blocks, seed=seed)
    held = report.pop("held_out")
    atoms, descriptors = atoms.take(held), descriptors[held]
    bars = {
        "learned": network.predict(descriptors, atoms.force, atoms.grade, force_error),
        "force_error": force_error.predict(atoms.force, atoms.grade),
    }
    for name, bar in bars.items():
        excess = atoms.error - bar
        loss = np.maximum(LEVEL * excess, (LEVEL - 1.0) * excess)
        report[name] = _worth(atoms.error, bar, atoms.blocks) | {"pinball": _mean(loss, atoms.blocks)}
    return network, report


def _counts(groups: np.ndarray, blocks: np.ndarray) -> dict[str, Any]:
    return {"n": len(blocks), "n_blocks": len(np.unique(blocks)), "n_groups": len(np.unique(groups))}


def _worth(error: np.ndarray, bars: np.ndarray, blocks: np.ndarray) -> dict[str, Any]:
    return {"coverage": share_by_block(error <= bars, blocks), "width": _mean(bars, blocks)}


def _mean(values: np.ndarray, blocks: np.ndarray) -> float:
    return float(np.average(values, weights=block_weights(blocks, len(values))))


def _few_frames(groups: np.ndarray, blocks: np.ndarray, scores_without: Callable[[np.ndarray], np.ndarray], seed: int) -> dict[str, Any]:
    """{group: figures} of the groups with enough frames; scores_without(mask) are those of all labels by what the others say."""
    out = {}
    members = split_by_group(groups, len(blocks))
    for group, inside in members if len(members) > 1 else []:
        scores = scores_without(inside)
        others, mine = ((scores[mask], blocks[mask]) for mask in (~inside, inside))
        found = few_frames_of_a_group(others, mine, LEVEL, seed=seed)
        if found is not None:
            out[group] = found
    return out


def _per_element(labels: ForceLabels, bar: ForceError) -> dict[str, dict[str, Any]]:
    atoms = labels.atoms
    coefficients = (bar.intercept, bar.force_exponent, bar.grade_exponent)
    factors = element_factors(relative_errors(atoms, coefficients), labels.elements, atoms.blocks, min_blocks=MIN_ELEMENT_FRAMES)
    inside = atoms.error <= bar.predict(atoms.force, atoms.grade)
    return {
        element: {
            "n": int(mine.sum()),
            "n_blocks": len(np.unique(atoms.blocks[mine])),
            "coverage": share_by_block(inside[mine], atoms.blocks[mine]),
            "factor": factors.get(element),
        }
        for element, mine in split_by_group(labels.elements, len(atoms.error))
    }
