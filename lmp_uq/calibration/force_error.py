# SPDX-License-Identifier: GPL-2.0-or-later
"""Per-atom bar of the force error from numbers that cost nothing: the predicted force, the grade, and the grades of the neighbours.

    log q = b0 + bF log(|F| + 0.01) + bg log(grade + 0.05) + bl min(n, 0) + bh max(n, 0) [+ bm log(|F_m| + 0.01)],   n = log(G + 0.05)
    bar of a level = max(0.01, exp(log q + c_level) - 0.005),   P(error > t) = 1 - R(log(t + 0.005) - log q)

G is `lmp_uq.novelty.neighbours.neighbour_grade`; F_m, where a file uses it, is the force of the posterior's mean correction; forces in
eV/Angstrom. R is the distribution of the residuals r = log(|error| + 0.005) - log q in groups that took no part in the fit, stored as
its quantiles in steps of 1 %; c_level is one of them. How all of it is found: `lmp_uq.calibration.force_error_fit`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from lmp_uq.calibration.grouped_fit import PROBABILITIES
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError, piece
from lmp_uq.novelty.neighbours import HOPS, POWER
from lmp_uq.quantities import FORCES

VERSION = 2
LEVEL = 0.9
"""Level of what is called force_error without further words."""
LEVELS = (0.5, LEVEL, 0.95)
"""Levels of a new fit."""
LEAST_BAR = 0.01
"""Smallest bar, eV/Angstrom: about the noise of DFT forces."""
FORCE_OFFSET, GRADE_OFFSET, ERROR_OFFSET = 0.01, 0.05, 0.005
"""Inside the logarithms: they keep atoms without force, grade or error from dominating the fit."""

SLOPES = ("force_slope", "grade_slope", "known_slope", "new_slope")
FORM = {
    "version": VERSION,
    "force_offset": FORCE_OFFSET,
    "grade_offset": GRADE_OFFSET,
    "error_offset": ERROR_OFFSET,
    "least_bar": LEAST_BAR,
    "power": POWER,
    "hops": HOPS,
}
"""Of the formula; a file states them, and one with others is refused."""


@dataclass(frozen=True)
class ForceError:
    """Calibrated bars of the norm of the force error of an atom.

    Parameters
    ----------
    intercept, force_slope, grade_slope, known_slope, new_slope : float
        b0, bF, bg, bl, bh of the module's docstring; slopes at least 0.
    quantiles : tuple of 101 floats
        Of the residuals, rising: what covers a group that nobody labelled.
    conservative_quantiles : tuple of 101 floats
        Those inside a group whose own level is at its 0.9 quantile; none is below the quantile above.
    levels : tuple of float
        Levels with a bar: rising multiples of 0.01.
    group_means : dict of str to float
        Mean residual u of each calibration group under coefficients fitted without it; of one or two groups, with it.
    spread : float
        tau, standard deviation of u between groups.
    n_blocks : int
        Independent blocks (frames) of the calibration.
    correction_slope : float
        bm; 0: the mean correction has no say.

    Raises
    ------
    UqError
        A number that is not finite or outside its range; quantiles that fall or are not 101.
    """

    intercept: float
    force_slope: float
    grade_slope: float
    known_slope: float
    new_slope: float
    quantiles: tuple[float, ...]
    conservative_quantiles: tuple[float, ...]
    levels: tuple[float, ...]
    group_means: dict[str, float] = field(default_factory=dict)
    spread: float = 0.0
    n_blocks: int = 0
    correction_slope: float = 0.0

    def __post_init__(self) -> None:
        for name in ("intercept", *SLOPES, "correction_slope", "spread", "n_blocks"):
            finite_number(getattr(self, name), name)
        for name in (*SLOPES, "correction_slope", "spread", "n_blocks"):
            if getattr(self, name) < 0:
                raise UqError(f"force_error: {name} is {getattr(self, name)!r}; accepted: 0 or more")
        for name in ("quantiles", "conservative_quantiles"):
            values = finite_numbers(getattr(self, name), name)
            if len(values) != len(PROBABILITIES) or np.any(np.diff(values) < 0):
                raise UqError(f"force_error: {name} holds {len(values)} numbers; accepted: {len(PROBABILITIES)} that do not fall")
            object.__setattr__(self, name, values)
        if np.any(np.less(self.conservative_quantiles, self.quantiles)):
            raise UqError("force_error: a conservative quantile is below the quantile; accepted: none is")
        self._check_levels_and_groups()

    def _check_levels_and_groups(self) -> None:
        percents = [100.0 * level for level in finite_numbers(self.levels, "levels")]
        whole = all(abs(p - round(p)) < 1e-9 and 0 < p < 100 for p in percents)
        if not percents or not whole or np.any(np.diff(percents) <= 0):
            raise UqError(f"force_error: levels={piece(self.levels)}; accepted: rising multiples of 0.01 between 0 and 1")
        if not isinstance(self.group_means, dict):
            raise UqError(f"force_error: group_means holds {piece(repr(self.group_means))}; accepted: an object of numbers")
        finite_numbers(tuple(self.group_means.values()), "group_means")

    @property
    def n_groups(self) -> int:
        """Calibration groups."""
        return len(self.group_means)

    def predict(self, variables: ForceVariables, conservative: bool = False, level: float = LEVEL) -> np.ndarray:
        """Bar of the force error.

        Parameters
        ----------
        variables : ForceVariables
            Of n atoms.
        conservative : bool
            With the conservative quantiles.
        level : float
            One of `levels`.

        Returns
        -------
        ndarray, shape (n,)
            eV/Angstrom; inf for an atom that has no grade, or has such an atom within two hops.

        Raises
        ------
        UqError
            A level that was not calibrated.
        """
        with np.errstate(over="ignore"):  # far beyond all calibration atoms a bar may be infinite
            bars = np.exp(self.log_scale(variables) + self.quantile(level, conservative)) - ERROR_OFFSET
        return np.maximum(bars, LEAST_BAR)  # NaN stays NaN

    def probability(self, variables: ForceVariables, threshold: float, conservative: bool = False) -> np.ndarray:
        """Probability that the force error exceeds a threshold, eV/Angstrom, which is 0 or more; 1 for an atom whose bar is infinite.

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        UqError
            A threshold that is negative or not a number.
        """
        if not isinstance(threshold, Real) or isinstance(threshold, bool) or not 0 <= threshold <= sys.float_info.max:
            raise UqError(f"error_above: threshold {piece(repr(threshold))}; accepted: a number of 0 or more, eV/Angstrom")
        residual = math.log(threshold + ERROR_OFFSET) - self.log_scale(variables)
        return 1.0 - np.interp(residual, self._curve(conservative), PROBABILITIES)

    def quantile(self, level: float, conservative: bool = False) -> float:
        """c of a level.  UqError for one that was not calibrated."""
        if level not in self.levels:
            known = ", ".join(f"{one:g}" for one in self.levels)
            raise UqError(f"force_error: level {level!r} was not calibrated; accepted: {known}")
        return self._curve(conservative)[round(100.0 * level)]

    def factor(self, level: float = LEVEL, *, conservative: bool = False) -> float:
        """exp(c) of a level: what q is multiplied with; may be inf.  UqError for a level that was not calibrated."""
        try:
            return math.exp(self.quantile(level, conservative))
        except OverflowError:
            return math.inf

    def log_scale(self, variables: ForceVariables) -> np.ndarray:
        """(n,) log q; inf for an atom that has no finite grade within two hops."""
        known, unknown = variables.graded(), np.maximum(variables.grade, variables.neighbours)  # NaN stays NaN
        out = np.where(np.isnan(unknown), np.nan, np.inf)
        with_correction = self.correction_slope > 0.0
        numbers = [self.intercept, *(getattr(self, name) for name in SLOPES), *([self.correction_slope] if with_correction else [])]
        out[known] = design(variables.take(known), with_correction) @ numbers
        return out

    def _curve(self, conservative: bool) -> tuple[float, ...]:
        return self.conservative_quantiles if conservative else self.quantiles

    def to_dict(self) -> dict:
        """The numbers by name, with those of the formula, ready for JSON."""
        return FORM | {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ForceError:
        """Inverse of `to_dict`; further entries are ignored.  UqError if a number is missing or bad, or the formula another one."""
        other = {name: values.get(name) for name, number in FORM.items() if values.get(name) != number}
        if other:
            raise UqError(f"force_error: found {piece(other)}; accepted here: { {name: FORM[name] for name in other} }")
        found: dict[str, Any] = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
        missing = [name for name in cls.__dataclass_fields__ if name not in found]
        if missing:
            raise UqError(f"force_error: entries {', '.join(missing)} are missing, found {piece(', '.join(sorted(found)))}")
        numbers: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}
        return cls(**numbers)


def design(variables: ForceVariables, with_correction: bool = False) -> np.ndarray:
    """(n, 5) columns 1, log(|F| + 0.01), log(grade + 0.05), min(n, 0), max(n, 0), and log(|F_m| + 0.01) where that is asked for.

    Raises
    ------
    UqError
        The mean correction is asked for and not there.
    """
    new = np.log(variables.neighbours + GRADE_OFFSET)
    columns = [np.ones(len(new)), np.log(variables.force + FORCE_OFFSET), np.log(variables.grade + GRADE_OFFSET)]
    columns += [np.minimum(new, 0.0), np.maximum(new, 0.0)]
    if with_correction:
        if variables.correction is None:
            raise UqError("force_error: the bar needs the force of the mean correction, which was not computed")
        columns.append(np.log(variables.correction + FORCE_OFFSET))
    return np.stack(columns, axis=-1)


def finite_numbers(values: Any, name: str) -> tuple[float, ...]:
    """The values of a list or tuple as a tuple of floats.  UqError if there is anything else."""
    if not isinstance(values, list | tuple):
        raise UqError(f"force_error: {name} holds {piece(repr(values))}; accepted: a list of numbers")
    return tuple(finite_number(value, name) for value in values)


def finite_number(value: Any, name: str, what: str = FORCES.bar) -> float:
    """The value as a float.  UqError if it is none."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number of more digits than a double has
        number = math.inf
    if not math.isfinite(number):
        raise UqError(f"{what}: {name} holds {piece(repr(value))}; accepted: a finite number")
    return number
