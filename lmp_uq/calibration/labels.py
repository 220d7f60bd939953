# SPDX-License-Identifier: GPL-2.0-or-later
"""New bars of every kind of label, and the figures that say what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lmp_uq.calibration.adaptation import few_frames_adapted
from lmp_uq.calibration.conformal import block_weights, share_by_block, split_by_group
from lmp_uq.calibration.few_frames import few_frames_of_a_group
from lmp_uq.calibration.force_error import ERROR_OFFSET, LEVEL, ForceError
from lmp_uq.calibration.force_error_fit import fit_force_error, leave_one_group_out, needs_correction
from lmp_uq.calibration.grade_error import GradeError, bar_of_energies, choose_energy_bar
from lmp_uq.calibration.labelled_atoms import ForceLabels, LabelledAtoms, Labels, ScaledLabels
from lmp_uq.calibration.quantile_network import QuantileNetwork, train_quantile_network
from lmp_uq.calibration.scaled_error import ScaledError, element_factors, fit_scaled_error, scaled_leave_one_group_out
from lmp_uq.calibration.versions import AnyForceError, force_error_of
from lmp_uq.errors import UqError
from lmp_uq.metrics.sharpness import pinball_loss
from lmp_uq.quantities import ENERGY, FORCES, SCALED, Quantity

MIN_ELEMENT_FRAMES = 20
"""Frames that must hold an element before it gets a factor of its own."""


class Calibrated(NamedTuple):
    """By name of the bar: the new bars and their reports, or why there is none; every kind of label is in the first two or in the last."""

    bars: dict[str, ForceError | ScaledError | GradeError]
    reports: dict[str, dict]
    reasons: dict[str, UqError]


def calibrate_bars(labels: Labels, before: Mapping[str, Any] | None = None, seed: int = 0) -> Calibrated:
    """New bars of every kind of label, in the order of a model file: what ``fit`` and ``calibrate`` have in their middle.

    Parameters
    ----------
    labels : Labels
    before : dict or None
        Older bars by name, as a model file has them, for the reports; None: the reports hold leave_one_group_out and choice only.
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
            bar, left_out, choice = force_bar(mine) if isinstance(mine, ForceLabels) else scaled_bar(mine, quantity)
            report = {"leave_one_group_out": left_out, "choice": choice}
            if before is not None:
                judge: Any = force_report if quantity is FORCES else scaled_report
                old = before.get(quantity.bar)
                read = force_error_of if quantity is FORCES else bar_of_energies
                report |= judge(mine, read(old) if old else None, bar, seed)
        except UqError as reason:
            found.reasons[quantity.bar] = reason
        else:
            found.bars[quantity.bar], found.reports[quantity.bar] = bar, report
    return found


def scaled_bar(labels: ScaledLabels, quantity: Quantity) -> tuple[ScaledError | GradeError, dict, dict]:
    """The bar of energies or stresses, its figures in groups left out, empty with one group, and what was chosen, empty for stresses.

    UqError for too few frames.
    """
    if quantity is ENERGY:
        return choose_energy_bar(labels)
    columns = labels.columns()
    several = len(np.unique(labels.groups)) > 1
    return fit_scaled_error(*columns), scaled_leave_one_group_out(*columns) if several else {}, {}


def force_bar(labels: ForceLabels) -> tuple[ForceError, dict, dict]:
    """The force bar, with the variables that pay, its figures in groups left out, empty with one group, and what was chosen.

    The last: with_correction; pinball_ratio, loss with the mean correction over that without, None where its force is not known.

    Raises
    ------
    UqError
        Too few frames for level 0.9, or no atom of finite grade.
    """
    atoms = labels.atoms
    with_correction, ratio = (False, None) if atoms.variables.correction is None else needs_correction(atoms)
    bar = fit_force_error(atoms, with_correction=with_correction)
    several = len(np.unique(labels.judged().atoms.groups)) > 1
    left_out = leave_one_group_out(atoms, with_correction=with_correction) if several else {}
    return bar, left_out, {"with_correction": with_correction, "pinball_ratio": ratio}


def scaled_report(labels: ScaledLabels, before: Any, after: ScaledError | GradeError, seed: int) -> dict:
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
            report[name] = _factors(bar) | _worth(np.abs(labels.error), bar.of(labels), labels.blocks)
    scores = np.abs(labels.error) / np.maximum(after.of(labels), np.finfo(float).tiny)
    return report | {"few_frames": _few_frames(labels.groups, labels.blocks, scores, seed)}


def _factors(bar: Any) -> dict[str, float]:
    if isinstance(bar, ScaledError):
        return {"factor": bar.factor, "conservative_factor": bar.conservative_factor}
    return {"factor": bar.factor(), "conservative_factor": bar.factor(conservative=True)}


def force_report(labels: ForceLabels, before: AnyForceError | None, after: ForceError, seed: int) -> dict:
    """As `scaled_report` for level 0.9, of the atoms that have a bar and whose force does not vanish by symmetry.

    few_frames: {group: figures of `lmp_uq.calibration.adaptation.few_frames_adapted`}; per_element: {element: n, n_blocks, coverage of the
    bars of all elements together, factor (None where fewer than 20 frames hold the element)}.
    """
    known = labels.judged()
    atoms = known.atoms
    report = _counts(atoms.groups, atoms.blocks)
    for name, bar in (("before", before), ("after", after)):
        report[name] = None
        if bar is not None:
            report[name] = _factors(bar) | _worth(atoms.error, bar.predict(atoms.variables), atoms.blocks)
    return report | {"few_frames": _few_frames_of_forces(atoms, after, seed), "per_element": _per_element(known, after)}


def _few_frames_of_forces(atoms: LabelledAtoms, after: ForceError, seed: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    members = split_by_group(atoms.groups, len(atoms.error))
    for group, inside in members if len(members) > 1 else []:
        try:
            others = fit_force_error(atoms.take(~inside), levels=(LEVEL,), with_correction=after.correction_slope > 0.0)
        except UqError:  # the other groups have too few frames
            continue
        found = few_frames_adapted(others, atoms.take(inside), seed=seed)
        if found is not None:
            out[group] = found
    return out


def _relative_errors(bar: ForceError, atoms: LabelledAtoms) -> np.ndarray:
    return (atoms.error + ERROR_OFFSET) / np.exp(bar.log_scale(atoms.variables))


def calibrate_learned(labels: ForceLabels, descriptors: np.ndarray, force_error: ForceError, seed: int) -> tuple[QuantileNetwork, dict]:
    """The learned quantile, trained on the atoms where it will be asked: those of grade at most 1; descriptors (n, P) of the labels.

    Atoms without a bar, and those whose force vanishes by symmetry, take no part.

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
    known = (labels.atoms.variables.grade <= 1.0) & labels.atoms.judged()
    atoms, descriptors = labels.atoms.take(known), descriptors[known]
    network, report = train_quantile_network(atoms, descriptors, seed=seed)
    held = report.pop("held_out")
    atoms, descriptors = atoms.take(held), descriptors[held]
    bars = {
        "learned": network.predict(descriptors, atoms.variables, force_error),
        "force_error": force_error.predict(atoms.variables),
    }
    for name, bar in bars.items():
        loss = pinball_loss(atoms.error, bar, LEVEL, block_weights(atoms.blocks, len(bar)))
        report[name] = _worth(atoms.error, bar, atoms.blocks) | {"pinball": loss}
    return network, report


def _counts(groups: np.ndarray, blocks: np.ndarray) -> dict[str, Any]:
    return {"n": len(blocks), "n_blocks": len(np.unique(blocks)), "n_groups": len(np.unique(groups))}


def _worth(error: np.ndarray, bars: np.ndarray, blocks: np.ndarray) -> dict[str, Any]:
    return {"coverage": share_by_block(error <= bars, blocks), "width": _mean(bars, blocks)}


def _mean(values: np.ndarray, blocks: np.ndarray) -> float:
    return float(np.average(values, weights=block_weights(blocks, len(values))))


def _few_frames(groups: np.ndarray, blocks: np.ndarray, scores: np.ndarray, seed: int) -> dict[str, Any]:
    """{group: figures} of the groups with enough frames."""
    out = {}
    members = split_by_group(groups, len(blocks))
    for group, inside in members if len(members) > 1 else []:
        others, mine = ((scores[mask], blocks[mask]) for mask in (~inside, inside))
        found = few_frames_of_a_group(others, mine, LEVEL, seed=seed)
        if found is not None:
            out[group] = found
    return out


def _per_element(labels: ForceLabels, bar: ForceError) -> dict[str, dict[str, Any]]:
    atoms = labels.atoms
    factors = element_factors(_relative_errors(bar, atoms), labels.elements, atoms.blocks, min_blocks=MIN_ELEMENT_FRAMES)
    inside = atoms.error <= bar.predict(atoms.variables)
    return {
        element: {
            "n": int(mine.sum()),
            "n_blocks": len(np.unique(atoms.blocks[mine])),
            "coverage": share_by_block(inside[mine], atoms.blocks[mine]),
            "factor": factors.get(element),
        }
        for element, mine in split_by_group(labels.elements, len(atoms.error))
    }
