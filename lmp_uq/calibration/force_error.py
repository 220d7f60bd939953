# SPDX-License-Identifier: GPL-2.0-or-later
"""Per-atom bar of the force error from two numbers that cost nothing: the predicted force and the grade.

    q = exp(b0 + bF log(|F| + 0.01) + bG log(grade + 0.05)),   bar = max(least_bar, floor * (grade + 0.05)^fG, factor * q)

b0, bF, bG by least squares on log(|error| + 0.005).  Every level (0.5, 0.9, 0.95) has a factor from conformal
calibration (sources in `lmp_uq.calibration.conformal`) and a floor, both from the same atoms and in the order
of the levels, so bars of different levels never cross.  Forces in eV/Angstrom.

The floors come from the atoms with the smallest predicted forces: the tenth with the smallest |F|, but at least 30
atoms.  Below the forces of these atoms the power law |F|^bF has seen nothing, and its bar would sink to nothing
however wrong the model is there.  How their errors grow with the grade, fG >= 0, is fitted as above with |F| left
out; the floor of a level is the conformal quantile of error / (grade + 0.05)^fG.  Left out of the choice are atoms
whose |F| and error are both below 1e-3 eV/Angstrom: their force vanishes by symmetry, for the reference as for any
model, and says nothing of a relaxed structure.  With fewer than 60 atoms to choose from the floors are 0; what
remains is least_bar, 0.01 eV/Angstrom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import (
    block_weights,
    capped_quantile,
    conformal_quantile,
    enough_blocks,
    group_quantiles,
    least_blocks,
    share_by_block,
    split_by_group,
)
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.errors import UqError, piece

# Offsets inside the logarithms: they keep atoms without force, grade or error from dominating the fit.
FORCE_OFFSET = 0.01
GRADE_OFFSET = 0.05
ERROR_OFFSET = 0.005

LEVEL = 0.9
"""Level of what is called force_error without further words."""
LEVELS = (0.5, LEVEL, 0.95)
"""Levels of a new fit."""

LEAST_BAR = 0.01
"""Smallest bar of a new fit, eV/Angstrom: about the noise of DFT forces."""
FLOOR_SHARE = 0.1
MIN_FLOOR_ATOMS = 30
SYMMETRIC = 1e-3
"""eV/Angstrom: |F| and error below this are zero by symmetry."""

# Absent from files written before floors grew with the grade.
_SINCE_FLOORS_GROW = ("floor_exponent", "least_bar")
_BY_LEVEL = ("levels", "factors", "conservative_factors", "floors")
# Model files written before there were several levels.
_ONE_LEVEL = {"level": "levels", "factor": "factors", "conservative_factor": "conservative_factors", "floor": "floors"}


@dataclass(frozen=True)
class ForceError:
    """Calibrated bars of the norm of the force error of an atom.

    Parameters
    ----------
    intercept, force_exponent, grade_exponent : float
        b0, bF, bG.
    factors : tuple of float
        Conformal factor of all groups together, per level; covers atoms that resemble the calibration data.
    conservative_factors : tuple of float
        Largest factor that a group needed under coefficients fitted without it, and at least the one above.
    floors : tuple of float
        Bar of an atom without force, eV/Angstrom at grade 0.95, per level.
    levels : tuple of float
        Coverages that the factors aim at, in (0, 1), rising.
    n_groups : int
        Calibration groups.  With fewer than 2 the conservative factors are only the pooled ones.
    n_blocks : int
        Independent blocks (frames) behind the factors; 0 if unknown.
    floor_exponent : float
        fG, at least 0: how the floors grow with grade + 0.05.
    least_bar : float
        No bar of any level is below this, eV/Angstrom.

    Raises
    ------
    UqError
        A number that is not finite or outside its range; tuples of different lengths; factors or floors that
        fall from a level to the next.
    """

    intercept: float
    force_exponent: float
    grade_exponent: float
    factors: tuple[float, ...]
    conservative_factors: tuple[float, ...]
    floors: tuple[float, ...]
    levels: tuple[float, ...]
    n_groups: int = 1
    n_blocks: int = 0
    floor_exponent: float = 0.0
    least_bar: float = 0.0

    def __post_init__(self) -> None:
        for name in ("intercept", "force_exponent", "grade_exponent", "n_groups", "n_blocks", *_SINCE_FLOORS_GROW):
            number = _finite(getattr(self, name), name)
            object.__setattr__(self, name, int(number) if name.startswith("n_") else number)
        for name in _BY_LEVEL:
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not len(values) or len(values) != len(self.levels):
                raise UqError(f"ForceError: {name}={piece(repr(values))}, expected a list of one number for each level")
            object.__setattr__(self, name, tuple(_finite(value, name) for value in values))
        self._check_ranges()

    def _check_ranges(self) -> None:
        pairs = zip(self.factors, self.conservative_factors, strict=True)
        if not all(0 <= pooled <= wide for pooled, wide in pairs) or self.n_groups < 1 or self.n_blocks < 0:
            raise UqError(
                f"ForceError: needs 0 <= factor <= conservative factor, n_groups >= 1, n_blocks >= 0: {self}"
            )
        if self.levels[0] <= 0 or self.levels[-1] >= 1 or np.any(np.diff(self.levels) <= 0):
            raise UqError(f"ForceError: levels={self.levels}, accepted are rising numbers between 0 and 1")
        if self.floor_exponent < 0 or self.least_bar < 0:
            raise UqError(f"ForceError: floor_exponent and least_bar must not be negative: {self}")
        if self.floors[0] < 0 or any(np.any(np.diff(getattr(self, name)) < 0) for name in _BY_LEVEL[1:]):
            raise UqError(f"ForceError: factors and floors (>= 0) must not fall from a level to the next: {self}")

    def predict(self, force_norm: ArrayLike, grade: ArrayLike, conservative: bool = False, level: float = LEVEL) -> np.ndarray:
        """Bar of the force error.

        Parameters
        ----------
        force_norm : array_like, shape (n,)
            |F| that the model predicts, eV/Angstrom.
        grade : array_like, shape (n,)
            Novelty grade; inf gives an infinite bar.
        conservative : bool
            Use the conservative factor.
        level : float
            One of `levels`.

        Returns
        -------
        ndarray, shape (n,)
            eV/Angstrom.

        Raises
        ------
        UqError
            A level that was not fitted.
        """
        which = self.position(level)
        factor = (self.conservative_factors if conservative else self.factors)[which]
        coefficients = (self.intercept, self.force_exponent, self.grade_exponent)
        grade = np.asarray(grade, dtype=np.float64)
        known = np.isfinite(grade)
        finite = np.where(known, grade, 1.0)
        floor = np.maximum(self.least_bar, self.floors[which] * (finite + GRADE_OFFSET) ** self.floor_exponent)
        bars = np.maximum(floor, factor * scale(coefficients, force_norm, finite))
        # An unknown element has no bar, whatever the sign of the grade exponent; NaN stays NaN.
        return np.where(known, bars, np.abs(grade))

    def position(self, level: float) -> int:
        """Index of a level in `levels`.  UqError if it was not fitted."""
        if level not in self.levels:
            known = ", ".join(f"{one:g}" for one in self.levels)
            raise UqError(f"force_error: level {level!r} was not calibrated; accepted: {known}")
        return self.levels.index(level)

    def to_dict(self) -> dict[str, Any]:
        """The numbers by name, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ForceError:
        """Inverse of `to_dict`; also reads the form with one level (``factor``, ``level`` ... as plain numbers).

        Raises
        ------
        UqError
            A number is missing, unknown or out of range.
        """
        values = dict(values)
        if "level" in values and "levels" not in values:
            values = {_ONE_LEVEL.get(name, name): (v,) if name in _ONE_LEVEL else v for name, v in values.items()}
            values.setdefault("n_blocks", 0)
        names = set(cls.__dataclass_fields__)
        if set(values) | set(_SINCE_FLOORS_GROW) != names:
            raise UqError(f"ForceError: found entries {piece(', '.join(sorted(values)))}, expected {', '.join(sorted(names))}")
        return cls(**values)


def fit_force_error(
    error_norm: ArrayLike,
    force_norm: ArrayLike,
    grade: ArrayLike,
    groups: ArrayLike,
    *,
    levels: Sequence[float] = LEVELS,
    blocks: ArrayLike | None = None,
    least_bar: float = LEAST_BAR,
    learn_floors: bool = True,
) -> ForceError:
    """Fit and calibrate the force bar on labelled atoms.

    Parameters
    ----------
    error_norm : array_like, shape (n,)
        |F_model - F_reference|, eV/Angstrom.
    force_norm : array_like, shape (n,)
        |F_model|, eV/Angstrom.
    grade : array_like, shape (n,)
        Novelty grade.  Atoms of infinite grade have no bar and take no part.
    groups : array_like, shape (n,)
        Group (composition, source, temperature ...) of each atom.
    levels : tuple of float
        Wanted coverages, rising.  Levels that so few blocks cannot guarantee (0.95 with fewer than 19) are left out.
    blocks : array_like, shape (n,), optional
        Independent block (frame) of each atom; all blocks have the same weight in the fit and in the quantiles.
        Default: every atom is its own.
    least_bar : float
        Smallest bar of all levels, eV/Angstrom.
    learn_floors : bool
        False: no floors but `least_bar`.

    Returns
    -------
    ForceError

    Raises
    ------
    UqError
        Wrong shapes, NaN or negative input, or too few blocks for level 0.9 (9) or for every level.
    """
    atoms = LabelledAtoms.checked(error_norm, force_norm, grade, groups, blocks).graded()
    n_blocks = atoms.n_blocks
    kept = tuple(level for level in levels if enough_blocks(n_blocks, level))
    if not kept or (LEVEL in levels and LEVEL not in kept):
        wanted = LEVEL if LEVEL in levels else min(levels)
        raise UqError(
            f"force_error: {n_blocks} frames or atoms of finite grade are too few for level {wanted:g}; "
            f"accepted: {least_blocks(wanted)} or more"
        )
    coefficients = fit_scale(atoms)
    scores = relative_errors(atoms, coefficients)
    factors = [conformal_quantile(scores, level, atoms.blocks) for level in kept]
    needed = _left_out_factors(atoms, kept)
    conservative = np.maximum(factors, np.max(needed, axis=0)) if needed else factors
    floors, exponent = learned_floors(atoms, kept) if learn_floors else ([0.0] * len(kept), 0.0)
    a, b, c = coefficients.tolist()
    by_level = [tuple(map(float, values)) for values in (factors, conservative, floors)]
    n_groups = len(np.unique(atoms.groups))
    return ForceError(a, b, c, by_level[0], by_level[1], by_level[2], kept, n_groups, n_blocks, exponent, least_bar)


def _left_out_factors(atoms: LabelledAtoms, levels: Sequence[float]) -> list[list[float]]:
    """For each group the factors that it needs under coefficients of the others; empty with one group."""
    members = split_by_group(atoms.groups, len(atoms.error))
    out = []
    for _, inside in members if len(members) > 1 else []:
        held_out = atoms.take(inside)
        scores = relative_errors(held_out, fit_scale(atoms.take(~inside)))
        needed = [group_quantiles(scores, held_out.groups, level, held_out.blocks) for level in levels]
        out.append([max(one.values()) for one in needed])
    return out


def learned_floors(atoms: LabelledAtoms, levels: Sequence[float]) -> tuple[list[float], float]:
    """Floors of the levels and their exponent by the rule of the module's docstring; where blocks are too few for a
    quantile, the largest score stands for it.
    """
    atoms = atoms.take((atoms.force > SYMMETRIC) | (atoms.error > SYMMETRIC))
    n = len(atoms.error)
    if n < 2 * MIN_FLOOR_ATOMS:
        return [0.0] * len(levels), 0.0
    count = max(MIN_FLOOR_ATOMS, int(FLOOR_SHARE * n))
    # atoms of equal |F| are all in, so that their order does not matter
    lowest = atoms.take(atoms.force <= np.partition(atoms.force, count - 1)[count - 1])
    exponent = max(0.0, _growth(lowest))
    scores = lowest.error / (lowest.grade + GRADE_OFFSET) ** exponent
    return [capped_quantile(scores, level, lowest.blocks) for level in levels], exponent


def _growth(atoms: LabelledAtoms) -> float:
    """Slope of log(error + 0.005) against log(grade + 0.05); 0 where all grades are alike."""
    weights = block_weights(atoms.blocks, len(atoms.error))
    grade, error = np.log(atoms.grade + GRADE_OFFSET), np.log(atoms.error + ERROR_OFFSET)
    grade = grade - np.average(grade, weights=weights)
    return float(weights * grade @ error) / float(weights * grade @ grade) if np.ptp(grade) > 0 else 0.0


def leave_one_group_out(
    error_norm: ArrayLike,
    force_norm: ArrayLike,
    grade: ArrayLike,
    groups: ArrayLike,
    *,
    level: float = LEVEL,
    blocks: ArrayLike | None = None,
    learn_floors: bool = True,
) -> dict[Any, dict[str, Any]]:
    """What the bar is worth in a group it has never seen.

    Coefficients, pooled factor and floors come from all groups but one and are applied to that one.

    Parameters
    ----------
    error_norm, force_norm, grade, groups, blocks, learn_floors
        As in `fit_force_error`; at least two groups.
    level : float
        Wanted coverage.

    Returns
    -------
    dict
        {group: {"coverage", "n", "width", "n_infinite"}}: fraction of atoms whose error is inside the bar (blocks
        have equal weights), number of these atoms, mean bar in eV/Angstrom, and atoms of infinite grade, which are
        counted nowhere else since an infinite bar covers everything.  Coverage and width are None in a group
        without finite grades, and where the other groups have too few blocks for the level.
    """
    atoms = LabelledAtoms.checked(error_norm, force_norm, grade, groups, blocks)
    report: dict[str, dict[str, Any]] = {}
    for group, inside in split_by_group(atoms.groups, len(atoms.error), at_least=2):
        others, held_out = atoms.take(~inside).graded(), atoms.take(inside)
        known = held_out.take(np.isfinite(held_out.grade))
        mine = report[group] = {
            "coverage": None,
            "n": len(known.error),
            "width": None,
            "n_infinite": len(held_out.error) - len(known.error),
        }
        if enough_blocks(others.n_blocks, level) and len(known.error):
            columns = (others.error, others.force, others.grade, others.groups)
            fitted = fit_force_error(*columns, levels=(level,), blocks=others.blocks, learn_floors=learn_floors)
            bars = fitted.predict(known.force, known.grade, level=level)
            mine["coverage"] = share_by_block(known.error <= bars, known.blocks)
            mine["width"] = float(np.average(bars, weights=block_weights(known.blocks, len(bars))))
    return report


def fit_scale(atoms: LabelledAtoms) -> np.ndarray:
    """(3,) b0, bF, bG by least squares on log(|error| + 0.005); blocks have equal weights."""
    weights = np.sqrt(block_weights(atoms.blocks, len(atoms.error)))
    target = np.log(atoms.error + ERROR_OFFSET)
    return np.linalg.lstsq(design(atoms.force, atoms.grade) * weights[:, None], target * weights, rcond=None)[0]


def scale(coefficients: Sequence[float] | np.ndarray, force_norm: ArrayLike, grade: ArrayLike) -> np.ndarray:
    """(n,) q of the module's docstring before its factor; coefficients (b0, bF, bG)."""
    return np.exp(design(force_norm, grade) @ np.asarray(coefficients))


def relative_errors(atoms: LabelledAtoms, coefficients: Sequence[float] | np.ndarray) -> np.ndarray:
    """(n,) error over q."""
    return atoms.error / scale(coefficients, atoms.force, atoms.grade)


def design(force_norm: ArrayLike, grade: ArrayLike) -> np.ndarray:
    """(n, 3) columns 1, log(|F| + 0.01), log(grade + 0.05)."""
    force, grade = np.broadcast_arrays(np.asarray(force_norm, dtype=np.float64), grade)
    columns = [np.ones(force.shape), np.log(force + FORCE_OFFSET), np.log(grade + GRADE_OFFSET)]
    return np.stack(columns, axis=-1)


def _finite(value: Any, name: str) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise UqError(f"ForceError: {name} holds {piece(repr(value))}, which is not a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise UqError(f"ForceError: {name} holds {piece(repr(value))}, which must be finite")
    return value
