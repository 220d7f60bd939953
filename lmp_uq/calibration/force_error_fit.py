# SPDX-License-Identifier: GPL-2.0-or-later
"""How the bar of the force error is calibrated: every group counts the same, and is judged by what the others say of it.

Coefficients by least squares on log(|error| + 0.005) with slopes of at least 0 (C. L. Lawson, R. J. Hanson, "Solving Least Squares
Problems", 1974), which makes the bar rise with the force and with both novelties. Weights: every group 1, its frames equal shares.
Left out are atoms whose force vanishes by symmetry.

The residuals r of a group are taken under coefficients fitted without it; u is their mean, tau the standard deviation of u over the
K groups. With Q_p the quantile of all r,

    c_p = Q_p(r) + (t_(p, K-1) sqrt(1 + 1/K) - z_p) tau

t and z are the quantiles of Student and Gauss: r holds the spread between groups already, the term pays for knowing it from K groups
only (prediction of a new group's level, as for a new observation of a Gaussian sample). Conservative: the quantile inside a group
whose own level is at its 0.9 quantile,

    Q_p(r - u) + mean(u) + t_(0.9, K-1) sqrt(1 + 1/K) tau

With one or two groups nothing is known of another: tau is 0, and Q has the finite-sample level p (B + 1) / B of B frames
(`lmp_uq.calibration.conformal`): such bars hold for these kinds of structure. Their conservative bars, and those of three groups,
take the spread that many groups of a metal and its alloys had.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls
from scipy.stats import norm, t

from lmp_uq.calibration.conformal import enough_blocks, least_blocks, split_by_group
from lmp_uq.calibration.force_error import ERROR_OFFSET, LEVEL, LEVELS, PROBABILITIES, ForceError, design
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.errors import UqError
from lmp_uq.metrics.sharpness import geometric_mean, pinball_loss, sharpness, weighted_quantiles

FEW_GROUPS = 4
"""Below this number of groups their spread is not known."""
USUAL_SPREAD = 0.4
"""tau where it cannot be found: what 26 groups of tungsten, tantalum, molybdenum, niobium and their alloys had."""
ENOUGH = 0.1
"""Relative fall of the pinball loss that pays for the mean correction, which costs a backward pass."""
N_FOLDS = 5
"""Of the frames of a single group, where there is no group to leave out."""
_TINY = 1e-12


class GroupedFit:
    """Least squares by group: leaving one out is a sum over the others.

    Parameters
    ----------
    atoms : LabelledAtoms
        That have a bar.
    with_correction : bool
        Whether the mean correction is a variable.
    """

    def __init__(self, atoms: LabelledAtoms, with_correction: bool = False):
        self.x, self.y = design(atoms.variables, with_correction), np.log(atoms.error + ERROR_OFFSET)
        self.weights = atoms.weights()
        members = split_by_group(atoms.groups, len(self.y))
        self.groups, self.members = [str(name) for name, _ in members], [np.flatnonzero(mask) for _, mask in members]
        self._normal = np.array([self._normal_equations(mine) for mine in self.members])

    def _normal_equations(self, mine):
        x = np.column_stack([self.x[mine], self.y[mine]])
        return x.T @ (self.weights[mine, None] * x)

    def coefficients(self, left_out: tuple[int, ...] = ()) -> np.ndarray:
        """Intercept and slopes without some groups, given by their numbers."""
        used = [k for k in range(len(self.groups)) if k not in left_out]
        return _non_negative(self._normal[used].sum(axis=0))

    def residuals(self, coefficients: np.ndarray, group: int) -> np.ndarray:
        """Residuals of the atoms of a group."""
        mine = self.members[group]
        return self.y[mine] - self.x[mine] @ coefficients

    def fitted(self, left_out: tuple[int, ...] = ()) -> tuple[np.ndarray, list[int], list[np.ndarray]]:
        """Coefficients without some groups, the numbers of the others, and the residuals of each: left out too, where they are three."""
        used = [k for k in range(len(self.groups)) if k not in left_out]
        coefficients = self.coefficients(left_out)
        several = len(used) > 2
        return coefficients, used, [
            self.residuals(self.coefficients((*left_out, k)) if several else coefficients, k) for k in used
        ]  # fmt: skip


def _non_negative(normal):
    """Minimiser of the quadratic form of (x, y), intercept free, slopes at least 0; normal: (P + 1, P + 1) products of (1, x, y)."""
    total, mean = normal[0, 0], normal[0] / normal[0, 0]
    centred = normal / total - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(centred[1:-1, 1:-1])
    kept = values > _TINY * max(values[-1], _TINY)  # a column that does not vary has no slope
    roots = np.sqrt(values[kept])
    slopes = nnls((vectors[:, kept] * roots).T, vectors[:, kept].T @ centred[1:-1, -1] / roots)[0] if kept.any() else np.zeros(len(values))
    return np.concatenate([[mean[-1] - mean[1:-1] @ slopes], slopes])


def fit_force_error(atoms: LabelledAtoms, *, levels=LEVELS, with_correction: bool = False) -> ForceError:
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
    return _calibrated(GroupedFit(atoms, with_correction), (), levels, atoms.n_blocks)


def _telling(atoms):
    atoms = atoms.graded()
    atoms = atoms.take(atoms.telling())
    if not len(atoms.error):
        raise UqError("force_error: the forces of all atoms vanish by symmetry; accepted: frames with forces that do not")
    return atoms


def _affordable(levels, n_blocks):
    kept = tuple(level for level in levels if enough_blocks(n_blocks, level))
    if not kept or (LEVEL in levels and LEVEL not in kept):
        wanted = LEVEL if LEVEL in levels else min(levels)
        raise UqError(
            f"force_error: {n_blocks} frames with atoms of finite grade and with forces that do not vanish by symmetry are too few for "
            f"level {wanted:g}; accepted: {least_blocks(wanted)} or more"
        )
    return kept


def _calibrated(fit, left_out, levels, n_blocks):
    coefficients, used, residuals = fit.fitted(left_out)
    weights = np.concatenate([fit.weights[fit.members[k]] for k in used])
    means = np.array([np.average(r, weights=fit.weights[fit.members[k]]) for k, r in zip(used, residuals, strict=True)])
    spread, curve, conservative = quantile_curves(residuals, means, weights, n_blocks)
    names = dict(zip([fit.groups[k] for k in used], means.tolist(), strict=True))
    numbers = [*coefficients.tolist(), *[0.0] * (6 - len(coefficients))]
    return ForceError(
        *numbers[:5], tuple(curve.tolist()), tuple(conservative.tolist()), levels, names, spread, n_blocks, correction_slope=numbers[5]
    )


def quantile_curves(residuals, means, weights, n_blocks: int) -> tuple[float, np.ndarray, np.ndarray]:
    """tau, and the two curves of the module's docstring at `PROBABILITIES`.

    Parameters
    ----------
    residuals : list of (n_k,) ndarray
        Of each group.
    means : (K,) ndarray
        u of each.
    weights : (n,) ndarray
        Of the residuals of all groups, one after another.
    n_blocks : int
        B.
    """
    n_groups = len(means)
    spread = float(np.std(means, ddof=1)) if n_groups > 2 else 0.0
    if n_groups == FEW_GROUPS - 1:
        spread = max(spread, USUAL_SPREAD)
    if n_groups > 2:
        wanted, root = PROBABILITIES, np.sqrt(1.0 + 1.0 / n_groups)
        inner = np.clip(PROBABILITIES, 0.005, 0.995)  # of the ends neither quantile is finite
        widening = (t.ppf(inner, n_groups - 1) * root - norm.ppf(inner)) * spread
        level = t.ppf(0.9, n_groups - 1) * root * spread
    else:
        wanted, widening = np.minimum(PROBABILITIES * (n_blocks + 1) / n_blocks, 1.0), 0.0
        level = norm.ppf(0.9) * np.sqrt(1.0 + 1.0 / n_groups) * USUAL_SPREAD
    curve = weighted_quantiles(np.concatenate(residuals), wanted, weights) + widening
    within = np.concatenate([r - u for r, u in zip(residuals, means, strict=True)])
    conservative = weighted_quantiles(within, wanted, weights) + float(np.mean(means)) + level
    return spread, curve, np.maximum(conservative, curve)


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
    telling = atoms.telling() & known
    used = atoms.take(telling)
    fit = GroupedFit(used, with_correction) if telling.any() else None
    report = {}
    for group, inside in split_by_group(atoms.groups, len(atoms.error), at_least=2):
        mine, others = atoms.take(inside & telling), used.take(used.groups != group)
        counts = {"n_frames": len(np.unique(atoms.blocks[inside]))}
        counts |= {"n_infinite": int((inside & ~known).sum()), "n_symmetric": int((inside & known & ~telling).sum())}
        enough = len(mine.error) and enough_blocks(others.n_blocks, level)
        bars = np.zeros(0)
        if enough:
            left_out = tuple(k for k, name in enumerate(fit.groups) if name == str(group))
            bars = _calibrated(fit, left_out, (level,), others.n_blocks).predict(mine.variables, level=level)
        taken = slice(None) if enough else slice(0)
        report[group] = sharpness(mine.error[taken], bars, level, mine.weights()[taken] if len(mine.error) else None) | counts
        report[group]["n"] = len(mine.error)
    return report


def needs_correction(atoms: LabelledAtoms) -> tuple[bool, float]:
    """Whether the force of the mean correction pays as a variable of the bar, and the ratio of pinball losses with and without it.

    The loss is that of groups left out, of frames left out where there is one group, at level 0.9; the ratio is the geometric mean
    over the groups. It pays where the loss falls by a tenth or more.
    """
    atoms = _telling(atoms)
    if len(np.unique(atoms.groups)) < 2:
        _, number = np.unique(atoms.blocks, return_inverse=True)
        atoms = LabelledAtoms(atoms.error, atoms.variables, np.array([f"fold {k % N_FOLDS}" for k in number]), atoms.blocks)
    losses = [_left_out_losses(atoms, with_correction) for with_correction in (False, True)]
    ratio = geometric_mean([after / before for before, after in zip(*losses, strict=True) if before > 0]) or 1.0
    return ratio <= 1.0 - ENOUGH, ratio


def _left_out_losses(atoms, with_correction):
    fit, out = GroupedFit(atoms, with_correction), []
    for k, mine in enumerate(fit.members):
        others, held = atoms.take(atoms.groups.astype(str) != fit.groups[k]), atoms.take(mine)
        bars = _calibrated(fit, (k,), (LEVEL,), others.n_blocks).predict(held.variables)
        out.append(pinball_loss(held.error, bars, LEVEL, held.weights()))
    return out
