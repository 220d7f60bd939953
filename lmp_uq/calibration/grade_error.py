# SPDX-License-Identifier: GPL-2.0-or-later
"""energy_error from the mean grade of a frame, where that tells more of the error than the posterior's std.

    bar per atom = max(0, exp(b0 + bg log(mean grade + 0.05) + c_level) - 0.0005)   eV/atom

Calibrated as the bar of forces (`lmp_uq.calibration.grouped_fit`), on log(|dE| / N + 0.0005). Measured on 18 groups that nobody had
labelled: the spread between groups is half that of the std, the pinball loss a quarter.  Under another level of theory, where errors are
systematic, the std is better: so the choice is made by the loss on groups left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import enough_blocks, least_blocks
from lmp_uq.calibration.force_error import GRADE_OFFSET, LEVEL, finite_number
from lmp_uq.calibration.grouped_fit import GroupedFit
from lmp_uq.calibration.labelled_atoms import ScaledLabels
from lmp_uq.calibration.scaled_error import ScaledError, fit_scaled_error, scaled_leave_one_group_out
from lmp_uq.errors import UqError, piece
from lmp_uq.metrics.sharpness import geometric_mean, sharpness

ENERGY_OFFSET = 0.0005
"""eV/atom, inside the logarithm."""
VARIABLE = "mean_grade"
MANY_GROUPS = 8
"""From so many on the mean grade is preferred, below it the std: the other must win by `MARGIN`."""
MARGIN = 0.1


@dataclass(frozen=True)
class GradeError:
    """Calibrated bar of the energy per atom as a function of the frame's mean grade.

    Parameters
    ----------
    intercept, slope : float
        b0, bg >= 0.
    quantile, conservative_quantile : float
        c of the level; the second is at least the first.
    level : float
    spread : float
        tau, standard deviation of the mean log error between groups.
    n_groups, n_blocks : int

    Raises
    ------
    UqError
        A number that is not finite or outside its range.
    """

    intercept: float
    slope: float
    quantile: float
    conservative_quantile: float
    level: float = LEVEL
    spread: float = 0.0
    n_groups: int = 1
    n_blocks: int = 1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            finite_number(value, name, "energy_error")
        ordered = self.slope >= 0 and self.quantile <= self.conservative_quantile and 0 < self.level < 1 and self.spread >= 0
        if not ordered or self.n_groups < 1 or self.n_blocks < 1:
            needs = "slope, spread >= 0, quantile <= conservative_quantile, level in (0, 1), counts >= 1"
            raise UqError(f"energy_error: needs {needs}: {self}")

    def predict(self, mean_grade: ArrayLike, conservative: bool = False) -> np.ndarray:
        """(...) bar in eV/atom; inf where the mean grade is."""
        c = self.conservative_quantile if conservative else self.quantile
        grade = np.asarray(mean_grade, dtype=np.float64)
        known = np.isfinite(grade)
        with np.errstate(over="ignore"):  # far beyond all calibration frames a bar may be infinite
            bar = np.exp(self.intercept + c + self.slope * np.log(np.where(known, grade, 1.0) + GRADE_OFFSET)) - ENERGY_OFFSET
        return np.where(known, np.maximum(bar, 0.0), np.abs(grade))  # NaN stays NaN

    def of(self, labels: ScaledLabels, conservative: bool = False) -> np.ndarray:
        """(n,) bars of labels."""
        return self.predict(labels.grades(), conservative)

    def factor(self, conservative: bool = False) -> float:
        """exp(c): what the median error of a mean grade is multiplied with; may be inf."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.conservative_quantile if conservative else self.quantile))

    def to_dict(self) -> dict:
        """The numbers by name, ready for JSON."""
        return {"variable": VARIABLE, "grade_offset": GRADE_OFFSET, "energy_offset": ENERGY_OFFSET} | asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GradeError:
        """Inverse of `to_dict`; further entries are ignored.  UqError if a number is missing or bad, or the formula another one."""
        form = {"variable": VARIABLE, "grade_offset": GRADE_OFFSET, "energy_offset": ENERGY_OFFSET}
        other = {name: values.get(name) for name, number in form.items() if values.get(name) != number}
        missing = [name for name in cls.__dataclass_fields__ if name not in values]
        if other or missing:
            accepted = f"{form} with {sorted(cls.__dataclass_fields__)}"
            raise UqError(f"energy_error: found {piece(other)}, missing {missing}; accepted: {accepted}")
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def bar_of_energies(values: Mapping[str, Any]) -> ScaledError | GradeError:
    """From the header entry calibration.energy_error of a model file, whichever variable it has."""
    return (GradeError if "variable" in values else ScaledError).from_dict(values)


def fit_grade_error(labels: ScaledLabels, *, level: float = LEVEL) -> GradeError:
    """Calibrate the bar of energies per atom.

    Parameters
    ----------
    labels : ScaledLabels
        With mean grades; frames of infinite mean grade take no part.
    level : float

    Raises
    ------
    UqError
        Too few frames of finite mean grade for the level (9 for 0.9).
    """
    labels = _graded(labels, level)
    return _bar(_grouped(labels), (), level)


def _graded(labels: ScaledLabels, level: float) -> ScaledLabels:
    labels = labels.take(np.isfinite(labels.grades()))
    n_blocks = len(np.unique(labels.blocks))
    if not enough_blocks(n_blocks, level):
        raise UqError(f"{n_blocks} frames of finite mean grade are too few for level {level:g}; accepted: {least_blocks(level)} or more")
    return labels


def _grouped(labels: ScaledLabels) -> GroupedFit:
    x = np.column_stack([np.ones(len(labels.error)), np.log(labels.grades() + GRADE_OFFSET)])
    y = np.log(np.abs(labels.error) + ENERGY_OFFSET)
    return GroupedFit(x, y, labels.weights(), labels.groups, labels.blocks)


def _bar(fit: GroupedFit, left_out: tuple[int, ...], level: float) -> GradeError:
    found, which = fit.calibrated(left_out), round(100.0 * level)
    (intercept, slope), pair = found.coefficients.tolist(), (found.quantiles[which], found.conservative_quantiles[which])
    return GradeError(
        intercept, slope, float(pair[0]), float(pair[1]), level, found.spread, len(found.group_means), fit.n_blocks(left_out)
    )


def grade_leave_one_group_out(labels: ScaledLabels, *, level: float = LEVEL) -> dict:
    """As `lmp_uq.calibration.scaled_error.scaled_leave_one_group_out`."""
    known = labels.take(np.isfinite(labels.grades()))
    fit = _grouped(known)
    report: dict[str, Any] = {}
    for k, group in enumerate(fit.groups):
        mine = known.take(fit.members[k])
        if enough_blocks(fit.n_blocks((k,)), level):
            report[group] = sharpness(np.abs(mine.error), _bar(fit, (k,), level).of(mine), level, mine.weights())
        else:
            report[group] = sharpness([], [], level) | {"n": len(mine.error)}
    return report


def choose_energy_bar(labels: ScaledLabels) -> tuple[ScaledError | GradeError, dict, dict]:
    """The bar of energies: by the mean grade or by the std, whichever loses less on groups left out.

    Returns
    -------
    bar : ScaledError or GradeError
    left_out : dict
        Its figures by group left out; empty with one group.
    choice : dict
        variable; pinball_ratio: loss of the mean grade over that of the std, geometric mean over groups, None where it is not known.

    Raises
    ------
    UqError
        Too few frames for level 0.9 (9).
    """
    several = len(np.unique(labels.groups)) > 1
    by_std = fit_scaled_error(*labels.columns()), scaled_leave_one_group_out(*labels.columns()) if several else {}
    if not several or labels.mean_grade is None or np.isfinite(labels.grades()).mean() < 1.0:
        return *by_std, {"variable": "std", "pinball_ratio": None}
    by_grade = fit_grade_error(labels), grade_leave_one_group_out(labels)
    pairs = [(mine["pinball"], by_std[1][group]["pinball"]) for group, mine in by_grade[1].items()]
    ratio = geometric_mean([grade / std for grade, std in pairs if grade and std])
    limit = 1.0 / (1.0 - MARGIN) if len(pairs) >= MANY_GROUPS else 1.0 - MARGIN
    grade = ratio is not None and ratio < limit
    return *(by_grade if grade else by_std), {"variable": VARIABLE if grade else "std", "pinball_ratio": ratio}
