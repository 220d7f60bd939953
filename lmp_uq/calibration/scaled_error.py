# SPDX-License-Identifier: GPL-2.0-or-later
"""stress_error, and energy_error in one of its two forms: the std of the posterior times one conformal factor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import (
    block_weights,
    capped_quantile,
    conformal_quantile,
    least_blocks,
    pooled_and_conservative,
    split_by_group,
)
from lmp_uq.calibration.force_error import LEVEL
from lmp_uq.calibration.labelled_atoms import ScaledLabels
from lmp_uq.errors import UqError
from lmp_uq.metrics.sharpness import sharpness


@dataclass(frozen=True)
class ScaledError:
    """Calibrated bar factor * std of one kind of label.

    Parameters
    ----------
    factor : float
        Conformal factor of all groups together, >= 0.
    conservative_factor : float
        Largest factor that a group alone needed, and at least ``factor``.
    level : float
        Coverage that the factors aim at, in (0, 1).
    n_groups, n_blocks : int
        Calibration groups, and independent blocks (frames).

    Raises
    ------
    UqError
        A number that is missing, not finite or outside its range.
    """

    factor: float
    conservative_factor: float
    level: float = LEVEL
    n_groups: int = 1
    n_blocks: int = 1

    def __post_init__(self) -> None:
        values = asdict(self)
        for name, value in values.items():
            if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
                raise UqError(f"ScaledError: {name} is {value!r}; accepted: a finite number")
        ordered = 0 <= self.factor <= self.conservative_factor and 0 < self.level < 1
        if not ordered or self.n_groups < 1 or self.n_blocks < 1:
            raise UqError(f"ScaledError: needs 0 <= factor <= conservative_factor, level in (0, 1), counts >= 1: {self}")

    def predict(self, std: ArrayLike, conservative: bool = False) -> np.ndarray:
        """(...) bar in the unit of std."""
        return (self.conservative_factor if conservative else self.factor) * np.asarray(std, dtype=np.float64)

    def of(self, labels: ScaledLabels, conservative: bool = False) -> np.ndarray:
        """(n,) bars of labels."""
        return self.predict(labels.std, conservative)

    def to_dict(self) -> dict[str, Any]:
        """The numbers by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ScaledError:
        """Inverse of `to_dict`; further entries are ignored.  UqError if a number is missing or out of range."""
        missing = [name for name in cls.__dataclass_fields__ if name not in values]
        if missing:
            raise UqError(f"ScaledError: entries {', '.join(missing)} are missing, found {sorted(values)}")
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def fit_scaled_error(
    error: ArrayLike, std: ArrayLike, groups: ArrayLike, blocks: ArrayLike | None = None, *, level: float = LEVEL
) -> ScaledError:
    """Conformal factors of a kind of label.

    Parameters
    ----------
    error : array_like, shape (n,)
        Label minus model.
    std : array_like, shape (n,)
        `lmp_uq.posterior.box.Box.rms` of the rows about the model that runs, same unit, above 0.
    groups, blocks : array_like, shape (n,)
        Group and independent block (frame) of each label.
    level : float
        Wanted coverage.

    Returns
    -------
    ScaledError

    Raises
    ------
    UqError
        A std that is not above 0, wrong shapes, or too few blocks for the level (9 for 0.9).
    """
    scores = _scores(error, std)
    factor, conservative = pooled_and_conservative(scores, groups, level, blocks)
    n_blocks = scores.size if blocks is None else len(np.unique(blocks))
    if not math.isfinite(factor):
        least = least_blocks(level)
        raise UqError(f"{n_blocks} frames or labels are too few for level {level:g}; accepted: {least} or more")
    return ScaledError(factor, conservative, float(level), len(np.unique(groups)), n_blocks)


def scaled_leave_one_group_out(
    error: ArrayLike, std: ArrayLike, groups: ArrayLike, blocks: ArrayLike | None = None, *, level: float = LEVEL
) -> dict[Any, dict[str, Any]]:
    """Coverage of each group under the factor of the other groups.

    Parameters
    ----------
    error, std, groups, blocks, level
        As in `fit_scaled_error`; at least two groups.

    Returns
    -------
    dict
        {group: figures of `lmp_uq.metrics.sharpness.sharpness`}, blocks with equal weights; None but for n where the others have too few
        blocks for the level.
    """
    scores, std = _scores(error, std), np.asarray(std, dtype=np.float64)
    weights = block_weights(blocks, scores.size)
    blocks = np.arange(scores.size) if blocks is None else np.asarray(blocks)
    report: dict[str, dict[str, Any]] = {}
    for group, inside in split_by_group(groups, scores.size, at_least=2):
        factor = conformal_quantile(scores[~inside], level, blocks[~inside])
        taken = np.flatnonzero(inside) if math.isfinite(factor) else np.zeros(0, int)
        report[group] = sharpness(scores[taken] * std[taken], factor * std[taken], level, weights[taken])
        report[group]["n"] = int(inside.sum())
    return report


def element_factors(
    scores: np.ndarray, elements: ArrayLike, blocks: np.ndarray, level: float = LEVEL, *, min_blocks: int
) -> dict[str, float]:
    """Factor that the atoms of each element alone need: {element: float}, only of elements in at least min_blocks blocks."""
    out = {}
    for element, mine in split_by_group(elements, np.size(scores)):
        if len(np.unique(blocks[mine])) >= min_blocks:
            out[element] = capped_quantile(scores[mine], level, blocks[mine])
    return out


def _scores(error: ArrayLike, std: ArrayLike) -> np.ndarray:
    error, std = np.asarray(error, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if error.shape != std.shape or not np.all(std > 0):
        raise UqError(f"calibration: errors {error.shape} and stds {std.shape} must have one shape, stds above 0")
    return np.abs(error) / std
