# SPDX-License-Identifier: GPL-2.0-or-later
"""How the bar of the force error is calibrated: by `lmp_uq.calibration.grouped_fit`, on log(|error| + 0.005), every frame of a group with
an equal share. Left out are atoms whose force vanishes by symmetry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmp_uq.calibration.conformal import enough_blocks, least_blocks, split_by_group
from lmp_uq.calibration.force_error import ERROR_OFFSET, LEVEL, LEVELS, SLOPES, ForceError, design
from lmp_uq.calibration.grouped_fit import GroupedFit
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.errors import UqError
from lmp_uq.metrics.sharpness import geometric_mean, pinball_loss, sharpness

ENOUGH = 0.1
"""Relative fall of the pinball loss that pays for the mean correction, which costs a backward pass."""
N_FOLDS = 5
"""Of the frames of a single group, where there is no group to leave out."""


def fit_force_error(atoms: LabelledAtoms, *, levels: Sequence[float] = LEVELS, with_correction: bool = False) -> ForceError:
    """Fit and calibrate the force bar.

    Parameters
    ----------
    atoms : LabelledAtoms
        Those without a bar, and those whose force vanishes by symmetry, take no part.
    levels : tuple of float
        Rising multiples of 0.01. Those that so few frames cannot guarantee (0.95 with fewer than 19) are left out.
    with_correction : bool
        Whether the force of the mean correction is a variable.

    Returns
    -------
    ForceError

    Raises
    ------
    UqError
        No atom of finite grade, none whose force does not vanish, or too few frames for level 0.9 (9) or for every level.
    """
    atoms = _telling(atoms)
    levels = _affordable(levels, atoms.n_blocks)
    return _bar(_grouped(atoms, with_correction), (), levels)


def _telling(atoms: LabelledAtoms) -> LabelledAtoms:
    atoms = atoms.graded()
    atoms = atoms.take(atoms.telling())
    if not len(atoms.error):
        raise UqError("force_error: the forces of all atoms vanish by symmetry; accepted: frames with forces that do not")
    return atoms


def _affordable(levels: Sequence[float], n_blocks: int) -> tuple[float, ...]:
    kept = tuple(level for level in levels if enough_blocks(n_blocks, level))
    if not kept or (LEVEL in levels and LEVEL not in kept):
        wanted = LEVEL if LEVEL in levels else min(levels)
        raise UqError(
            f"force_error: {n_blocks} frames with atoms of finite grade and with forces that do not vanish by symmetry are too few for "
            f"level {wanted:g}; accepted: {least_blocks(wanted)} or more"
        )
    return kept


def _grouped(atoms: LabelledAtoms, with_correction: bool) -> GroupedFit:
    x, y = design(atoms.variables, with_correction), np.log(atoms.error + ERROR_OFFSET)
    return GroupedFit(x, y, atoms.weights(), atoms.groups, atoms.blocks)


def _bar(fit: GroupedFit, left_out: tuple[int, ...] = (), levels: tuple[float, ...] = (LEVEL,)) -> ForceError:
    found = fit.calibrated(left_out)
    numbers: dict[str, Any] = dict(zip(("intercept", *SLOPES, "correction_slope"), found.coefficients.tolist(), strict=False))
    numbers |= {name: tuple(getattr(found, name).tolist()) for name in ("quantiles", "conservative_quantiles")}
    numbers |= {"group_means": found.group_means, "spread": found.spread, "n_blocks": fit.n_blocks(left_out)}
    return ForceError(**numbers, levels=levels)


def leave_one_group_out(atoms: LabelledAtoms, *, level: float = LEVEL, with_correction: bool = False) -> dict:
    """What the bar is worth in a group it has never seen: all of it comes from the other groups.

    Parameters
    ----------
    atoms, with_correction
        As in `fit_force_error`; at least two groups.
    level : float

    Returns
    -------
    dict
        {group: figures of `lmp_uq.metrics.sharpness.sharpness`, n_frames, n_infinite, n_symmetric}: of the atoms that have a bar
        and whose force does not vanish by symmetry; the numbers of the others. None for coverage and width where there is no such atom,
        and where the other groups have too few frames for the level.
    """
    known = atoms.variables.graded()
    judged = atoms.judged()
    used = atoms.take(judged)
    fit: Any = _grouped(used, with_correction) if judged.any() else None
    report: dict[str, Any] = {}
    for group, inside in split_by_group(atoms.groups, len(atoms.error), at_least=2):
        mine, others = atoms.take(inside & judged), used.take(used.groups != group)
        counts = {"n_frames": len(np.unique(atoms.blocks[inside]))}
        counts |= {"n_infinite": int((inside & ~known).sum()), "n_symmetric": int((inside & known & ~judged).sum())}
        enough = len(mine.error) and enough_blocks(others.n_blocks, level)
        bars = np.zeros(0)
        if enough:
            left_out = tuple(k for k, name in enumerate(fit.groups) if name == str(group))
            bars = _bar(fit, left_out, (level,)).predict(mine.variables, level=level)
        taken = slice(None) if enough else slice(0)
        report[group] = sharpness(mine.error[taken], bars, level, mine.weights()[taken] if len(mine.error) else None) | counts
        report[group]["n"] = len(mine.error)
    return report


def needs_correction(atoms: LabelledAtoms) -> tuple[bool, float]:
    """Whether the force of the mean correction pays as a variable of the bar, and the ratio of pinball losses with and without it.

    The loss is that of groups left out, of frames left out where there is one group, at level 0.9; the ratio is the geometric mean
    over the groups. It pays where the loss falls by a tenth or more. UqError as of `fit_force_error`.
    """
    atoms = _telling(atoms)
    _affordable(LEVELS, atoms.n_blocks)
    if len(np.unique(atoms.groups)) < 2:
        _, number = np.unique(atoms.blocks, return_inverse=True)
        atoms = LabelledAtoms(atoms.error, atoms.variables, np.array([f"fold {k % N_FOLDS}" for k in number]), atoms.blocks)
    losses = [_left_out_losses(atoms, with_correction) for with_correction in (False, True)]
    ratio = geometric_mean([after / before for before, after in zip(*losses, strict=True) if before > 0]) or 1.0
    return ratio <= 1.0 - ENOUGH, ratio


def _left_out_losses(atoms: LabelledAtoms, with_correction: bool) -> list[float]:
    fit = _grouped(atoms, with_correction)
    out = []
    for k, mine in enumerate(fit.members):
        held = atoms.take(mine)
        bars = _bar(fit, (k,)).predict(held.variables)
        out.append(pinball_loss(held.error, bars, LEVEL, held.weights()))
    return out
