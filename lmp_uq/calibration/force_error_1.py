# SPDX-License-Identifier: GPL-2.0-or-later
"""The bar of the force error as model files before 0.2 have it: read and evaluated, no longer fitted.

    q = exp(b0 + bF log(|F| + 0.01) + bG log(grade + 0.05)),   bar = max(least_bar, floor * (grade + 0.05)^fG, factor * q)

with a factor and a floor for every level; forces in eV/Angstrom.  Today's form: `lmp_uq.calibration.force_error`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from lmp_uq.calibration.force_error import FORCE_OFFSET, GRADE_OFFSET, LEVEL, finite_number
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError, piece

# Absent from files written before floors grew with the grade.
_SINCE_FLOORS_GROW = ("floor_exponent", "least_bar")
_BY_LEVEL = ("levels", "factors", "conservative_factors", "floors")
# Model files written before there were several levels.
_ONE_LEVEL = {"level": "levels", "factor": "factors", "conservative_factor": "conservative_factors", "floor": "floors"}


@dataclass(frozen=True)
class ForceError1:
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

    def __post_init__(self):
        for name in ("intercept", "force_exponent", "grade_exponent", "n_groups", "n_blocks", *_SINCE_FLOORS_GROW):
            number = finite_number(getattr(self, name), name)
            object.__setattr__(self, name, int(number) if name.startswith("n_") else number)
        for name in _BY_LEVEL:
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not len(values) or len(values) != len(self.levels):
                raise UqError(f"ForceError: {name}={piece(repr(values))}, expected a list of one number for each level")
            object.__setattr__(self, name, tuple(finite_number(value, name) for value in values))
        self._check_ranges()

    def _check_ranges(self):
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

    correction_slope = 0.0

    def predict(self, variables: ForceVariables, conservative: bool = False, level: float = LEVEL) -> np.ndarray:
        """(n,) bar of the force error in eV/Angstrom, as `lmp_uq.calibration.force_error.ForceError.predict`."""
        which, factor = self.position(level), self.factor(level, conservative=conservative)
        known = np.isfinite(variables.grade)
        finite = np.where(known, variables.grade, 1.0)
        floor = np.maximum(self.least_bar, self.floors[which] * (finite + GRADE_OFFSET) ** self.floor_exponent)
        scale = self.intercept + self.force_exponent * np.log(variables.force + FORCE_OFFSET)
        bars = np.maximum(floor, factor * np.exp(scale + self.grade_exponent * np.log(finite + GRADE_OFFSET)))
        # An unknown element has no bar, whatever the sign of the grade exponent; NaN stays NaN.
        return np.where(known, bars, np.abs(variables.grade))

    def probability(self, variables: ForceVariables, threshold: float, conservative: bool = False) -> np.ndarray:
        """UqError: the file is too old to tell."""
        raise UqError("error_above: this file's force_error was calibrated before 0.2; accepted: lmp-uq calibrate makes a new one")

    def factor(self, level: float = LEVEL, *, conservative: bool = False) -> float:
        """Factor of a level.  UqError if it was not fitted."""
        return (self.conservative_factors if conservative else self.factors)[self.position(level)]

    def position(self, level):
        """Index of a level in `levels`.  UqError if it was not fitted."""
        if level not in self.levels:
            known = ", ".join(f"{one:g}" for one in self.levels)
            raise UqError(f"force_error: level {level!r} was not calibrated; accepted: {known}")
        return self.levels.index(level)

    def to_dict(self):
        """The numbers by name, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values):
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
            raise UqError(f"ForceError: found entries {piece(sorted(values))}, expected {sorted(names)}")
        return cls(**values)
