# SPDX-License-Identifier: GPL-2.0-or-later
"""New factors of one kind of label, and the figures that say what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

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


def calibrate_bars(labels: Labels, before: Mapping[str, ForceError | ScaledError], seed: int | None) -> Calibrated:
    """New bars of every kind of label, in the order of a model file: what ``fit`` and ``calibrate`` have in their middle.

    Parameters
    ----------
    labels : Labels
    before : dict
        Older bars by name, for the reports.
    seed : int or None
        Of the random choices in few_frames; None: the reports have none, which are dear.
    """
    found = Calibrated({}, {}, {})
    for quantity in (FORCES, *SCALED):
        calibrate = calibrate_forces if quantity is FORCES else calibrate_scaled
        try:
            bar, report = calibrate(labels.of(quantity), before.get(quantity.bar), seed)
        except UqError as reason:
            found.reasons[quantity.bar] = reason
        else:
            found.bars[quantity.bar], found.reports[quantity.bar] = bar, report
    return found


def calibrate_scaled(labels: ScaledLabels, before: ScaledError | None, seed: int | None) -> tuple[ScaledError, dict]:
    """Factors of energies or stresses, and their report.

    Returns
    -------
    ScaledError
    dict
        n, n_blocks, n_groups; before and after (None without an older factor): factor, conservative_factor, coverage, width;
        leave_one_group_out and few_frames, by group.

    Raises
    ------
    UqError
        Too few frames for level 0.9.
    """
    after = fit_scaled_error(*labels.columns())
    report = _counts(labels.groups, labels.blocks)
    for name, bar in (("before", before), ("after", after)):
        report[name] = None
        if bar is not None:
            factors = {"factor": bar.factor, "conservative_factor": bar.conservative_factor}
            report[name] = factors | _worth(np.abs(labels.error), bar.predict(labels.std), labels.blocks)
    several = report["n_groups"] > 1
    report["leave_one_group_out"] = scaled_leave_one_group_out(*labels.columns()) if several else {}
    scores = np.abs(labels.error) / labels.std
    report["few_frames"] = _few_frames(labels.groups, labels.blocks, lambda inside: scores, seed)
    return after, report


def calibrate_forces(labels: ForceLabels, before: ForceError | None, seed: int | None) -> tuple[ForceError, dict]:
    """Coefficients, factors and floors of the force bar, and their report.

    Returns
    -------
    ForceError
    dict
        As that of `calibrate_scaled` for level 0.9, without the atoms of infinite grade; also per_element: {element: n, n_blocks,
        coverage of the bars of all elements together, factor (None where fewer than 20 frames hold the element)}.

    Raises
    ------
    UqError
        Too few frames for level 0.9, or no atom of finite grade.
    """
    atoms = labels.atoms
    after = fit_force_error(atoms.error, atoms.force, atoms.grade, atoms.groups, blocks=atoms.blocks)
    known = labels.take(np.isfinite(atoms.grade))
    report = _counts(known.atoms.groups, known.atoms.blocks)
    for name, bar in (("before", before), ("after", after)):
        report[name] = None
        if bar is not None:
            which = bar.position(LEVEL)
            factors = {"factor": bar.factors[which], "conservative_factor": bar.conservative_factors[which]}
            bars = bar.predict(known.atoms.force, known.atoms.grade)
            report[name] = factors | _worth(known.atoms.error, bars, known.atoms.blocks)
    report["leave_one_group_out"] = {}
    if report["n_groups"] > 1:
        by_group = leave_one_group_out(atoms.error, atoms.force, atoms.grade, atoms.groups, blocks=atoms.blocks)
        report["leave_one_group_out"] = by_group

    def scores(inside):
        return relative_errors(known.atoms, fit_scale(known.atoms.take(~inside)))

    report["few_frames"] = _few_frames(known.atoms.groups, known.atoms.blocks, scores, seed)
    report["per_element"] = _per_element(known, after)
    return after, report


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


def _counts(groups, blocks):
    return {"n": len(blocks), "n_blocks": len(np.unique(blocks)), "n_groups": len(np.unique(groups))}


def _worth(error, bars, blocks):
    return {"coverage": share_by_block(error <= bars, blocks), "width": _mean(bars, blocks)}


def _mean(values, blocks):
    return float(np.average(values, weights=block_weights(blocks, len(values))))


def _few_frames(groups, blocks, scores_without, seed):
    """{group: figures} of the groups with enough frames; scores_without(mask) are those of all labels by what the others say."""
    out = {}
    members = split_by_group(groups, len(blocks)) if seed is not None else []
    for group, inside in members if len(members) > 1 else []:
        scores = scores_without(inside)
        others, mine = ((scores[mask], blocks[mask]) for mask in (~inside, inside))
        found = few_frames_of_a_group(others, mine, LEVEL, seed=seed)
        if found is not None:
            out[group] = found
    return out


def _per_element(labels, bar):
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
