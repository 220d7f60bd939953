# SPDX-License-Identifier: GPL-2.0-or-later
"""Log-linear error models calibrated on groups: every group counts the same, and is judged by what the others say of it.

Coefficients by least squares with slopes of at least 0 (C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", 1974).  The
residuals r of a group are taken under coefficients fitted without it; u is their mean, tau the standard deviation of u over the K
groups. With Q_p the quantile of all r,

    c_p = Q_p(r) + (t_(p, K-1) sqrt(1 + 1/K) - z_p) tau

t and z are the quantiles of Student and Gauss: r holds the spread between groups already, the term pays for knowing it from K groups
only (as in the prediction of a new observation of a Gaussian sample). Conservative: the quantile inside a group whose own level is at
its 0.9 quantile,

    Q_p(r - u) + mean(u) + t_(0.9, K-1) sqrt(1 + 1/K) tau

With one or two groups nothing is known of another: tau is 0, and Q has the finite-sample level p (B + 1) / B of B frames
(`lmp_uq.calibration.conformal`): such bars hold for these kinds of structure. Their conservative bars, and those of three groups,
take the spread that many groups of a metal and its alloys had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls
from scipy.stats import norm, t

from lmp_uq.calibration.conformal import split_by_group
from lmp_uq.metrics.sharpness import weighted_quantiles

PROBABILITIES = np.linspace(0.0, 1.0, 101)
"""Of the quantile curves."""
FEW_GROUPS = 4
"""Below this number of groups their spread is not known."""
USUAL_SPREAD = 0.4
"""tau where it cannot be found: that of the log force errors of 26 groups of tungsten, tantalum, molybdenum, niobium and their alloys."""
_TINY = 1e-8
"""Share of its mean square below which the variance of a column is rounding or chance."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What groups say: coefficients (intercept and slopes), the mean residual of each group, their spread tau, and the two curves of the
    module's docstring at `PROBABILITIES`.
    """

    coefficients: np.ndarray
    group_means: dict[str, float]
    spread: float
    quantiles: np.ndarray
    conservative_quantiles: np.ndarray


class GroupedFit:
    """Least squares by group: leaving one out is a sum over the others.

    Parameters
    ----------
    x : (n, P) ndarray
        Columns, the first of ones.
    y : (n,) ndarray
        Logarithms of errors.
    weights : (n,) ndarray
        With sum 1 in every group.
    groups, blocks : (n,) array_like
        Group, and independent block (frame) of each.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray, groups: ArrayLike, blocks: ArrayLike) -> None:
        self.x, self.y, self.weights = x, y, weights
        self.blocks = np.asarray(blocks)
        members = split_by_group(groups, len(y))
        self.groups, self.members = [str(name) for name, _ in members], [np.flatnonzero(mask) for _, mask in members]
        self._normal = np.array([self._normal_equations(mine) for mine in self.members])

    def _normal_equations(self, mine: np.ndarray) -> np.ndarray:
        x = np.column_stack([self.x[mine], self.y[mine]])
        return x.T @ (self.weights[mine, None] * x)

    def others(self, left_out: tuple[int, ...] = ()) -> list[int]:
        """Numbers of the groups that are not left out."""
        return [k for k in range(len(self.groups)) if k not in left_out]

    def coefficients(self, left_out: tuple[int, ...] = ()) -> np.ndarray:
        """Intercept and slopes without some groups, given by their numbers."""
        return _non_negative(self._normal[self.others(left_out)].sum(axis=0))

    def n_blocks(self, left_out: tuple[int, ...] = ()) -> int:
        """Blocks of the groups that are not left out."""
        return len(np.unique(self.blocks[np.concatenate([self.members[k] for k in self.others(left_out)])]))

    def calibrated(self, left_out: tuple[int, ...] = ()) -> Calibrated:
        """Coefficients and curves without some groups."""
        used = self.others(left_out)
        every = self.coefficients(left_out)
        coefficients = [self.coefficients((*left_out, k)) if len(used) > 2 else every for k in used]
        residuals = [self.y[mine] - self.x[mine] @ c for mine, c in zip([self.members[k] for k in used], coefficients, strict=True)]
        weights = [self.weights[self.members[k]] for k in used]
        means = np.array([np.average(r, weights=w) for r, w in zip(residuals, weights, strict=True)])
        spread, curve, conservative = quantile_curves(residuals, means, np.concatenate(weights), self.n_blocks(left_out))
        names = dict(zip([self.groups[k] for k in used], means.tolist(), strict=True))
        return Calibrated(every, names, spread, curve, conservative)


def _non_negative(normal: np.ndarray) -> np.ndarray:
    """Minimiser of the quadratic form of (x, y), intercept free, slopes at least 0; normal: (P + 1, P + 1) products of (1, x, y)."""
    total, mean = normal[0, 0], normal[0] / normal[0, 0]
    centred = normal / total - np.outer(mean, mean)
    squares, slopes = np.diag(normal)[1:-1] / total, np.zeros(len(normal) - 2)
    varies = np.flatnonzero(np.diag(centred)[1:-1] > _TINY * squares)  # a column that does not vary has no slope
    if len(varies):
        values, vectors = np.linalg.eigh(centred[np.ix_(1 + varies, 1 + varies)])
        kept = values > _TINY * max(squares[varies].max(), _TINY)
        roots = np.sqrt(values[kept])
        if kept.any():
            slopes[varies] = nnls((vectors[:, kept] * roots).T, vectors[:, kept].T @ centred[1 + varies, -1] / roots)[0]
    return np.concatenate([[mean[-1] - mean[1:-1] @ slopes], slopes])


def quantile_curves(
    residuals: Sequence[np.ndarray], means: np.ndarray, weights: np.ndarray, n_blocks: int
) -> tuple[float, np.ndarray, np.ndarray]:
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
