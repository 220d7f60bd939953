# SPDX-License-Identifier: GPL-2.0-or-later
"""Error bars of other methods, on the rows of a POPS fit: what POPS has to beat.

Sources: bagging: L. Breiman, Mach. Learn. 24, 123 (1996), rescaled as the control of D. Perez et al., npj Comput. Mater. 11, 263 (2025);
LLPR: F. Bigi et al., Mach. Learn.: Sci. Technol. 5, 045018 (2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmp_uq.arrays import finite_array, integer_array
from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.pops.blocks import BLOCK_ROWS, ArrayBlocks, RowBlocks
from lmp_uq.posterior.pops.normal import NULL_DIRECTION, normal_equations
from lmp_uq.quantities import QUANTITIES


@dataclass(frozen=True, eq=False)
class Ridge:
    """A weighted ridge solution: coefficients (P,), and factor (P, R) with C^-1 = factor factor^T, in the units of the columns."""

    coefficients: np.ndarray
    factor: np.ndarray

    def leverage(self, x: np.ndarray) -> np.ndarray:
        """(n,) h = x.C^-1 x of rows (n, P), with C of weights that sum to the number of rows."""
        return np.sum((x @ self.factor) ** 2, axis=-1)


def fit_ridge(X: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: float) -> Ridge:
    """The solution that POPS has in its middle.

    Parameters
    ----------
    X, y, weight : (n, P), (n,), (n,)
        Rows, targets and weights >= 0; a row of weight zero counts as absent.
    ridge : float
        Relative to the mean eigenvalue of the normal matrix of scaled columns.

    Returns
    -------
    Ridge

    Raises
    ------
    UqError
        Wrong shapes, NaN, no row of positive weight.
    """
    X = finite_array(X, "fit_ridge: X", (None, None))
    y, weight = finite_array(y, "fit_ridge: y", (len(X),)), finite_array(weight, "fit_ridge: weight", (len(X),))
    if not len(X) or weight.min() < 0 or weight.max() == 0:
        raise UqError(f"fit_ridge: {len(X)} rows, weights must be >= 0 and one of them positive")
    return fit_ridge_blocks(ArrayBlocks((X, y, weight), BLOCK_ROWS), ridge)


def fit_ridge_blocks(blocks: Iterable[Any], ridge: float) -> Ridge:
    """`fit_ridge` of rows that come in blocks (X, y, weight), in one pass."""
    normal = normal_equations(RowBlocks(blocks, Ranks(), BLOCK_ROWS, "fit_ridge"), True)
    damped = normal.eigenvalues + ridge * normal.mean_eigenvalue
    used = damped > NULL_DIRECTION * damped.max()
    factor = normal.vectors[:, used] / np.sqrt(damped[used])
    coefficients = factor @ (normal.projections[used] / np.sqrt(damped[used]))
    return Ridge(coefficients / normal.scale, factor / normal.scale[:, None])


def bagging(
    X: np.ndarray, y: np.ndarray, weight: np.ndarray, drawn: np.ndarray, ridge: float, n_members: int = 5, seed: int = 0
) -> np.ndarray:
    """Ridge fits on bootstrap samples of configurations.

    Parameters
    ----------
    X, y, weight, ridge
        As for `fit_ridge`.
    drawn : (n,) int
        Configuration of each row; whole configurations are drawn.
    n_members, seed : int

    Returns
    -------
    (n_members, P) coefficients
    """
    drawn = integer_array(drawn, "bagging: drawn", (len(X),))
    return bagging_blocks(ArrayBlocks((np.asarray(X), np.asarray(y), np.asarray(weight)), BLOCK_ROWS), drawn, ridge, n_members, seed)


def bagging_blocks(blocks: Iterable[Any], drawn: np.ndarray, ridge: float, n_members: int = 5, seed: int = 0) -> np.ndarray:
    """`bagging` of rows that come in blocks (X, y, weight), in a pass for each member; drawn (n,) in the order of the rows."""
    _, drawn = np.unique(drawn, return_inverse=True)
    drawn = drawn.ravel()
    n = int(drawn.max()) + 1
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), n_members)
    return np.array([fit_ridge_blocks(_Reweighted(blocks, count[drawn]), ridge).coefficients for count in counts])


class _Reweighted:
    """Blocks whose weights are multiplied by a factor (n,) of each row."""

    def __init__(self, blocks: Iterable[Any], factor: np.ndarray) -> None:
        self._blocks, self._factor = blocks, factor

    def __iter__(self) -> Iterator[Any]:
        start = 0
        for X, y, weight, *_ in self._blocks:
            yield X, y, weight * self._factor[start : start + len(y)]
            start += len(y)


def ensemble_bars(x: np.ndarray, members: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bars of a few members about the backbone, in the sense of `Box.rms` and `Box.bounds`.

    Parameters
    ----------
    x : (n, P) rows
    members : (K, P) coefficients
    scale : float
        Factor on the distances from the mean of the members.

    Returns
    -------
    std, lower, upper : (n,)
        sqrt(variance + mean^2) with the variance over K - 1; smallest and largest member.
    """
    values = x @ members.T
    mean = values.mean(axis=1)
    away = scale * (values - mean[:, None])
    std = np.sqrt(np.sum(away**2, axis=1) / (len(members) - 1) + mean**2)
    return std, mean + away.min(axis=1), mean + away.max(axis=1)


def variance_scale(X: np.ndarray, y: np.ndarray, members: np.ndarray) -> float:
    """Factor that makes the mean variance (over K - 1) of members equal the mean squared error about their mean, on rows (n, P)."""
    return _root_ratio(variance_sums(X, y, members))


def variance_sums(X: np.ndarray, y: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(2,) sums over rows: squared errors about the mean of the members, their variances."""
    values = X @ members.T
    return np.array([np.sum((y - values.mean(axis=1)) ** 2), np.sum(np.var(values, axis=1, ddof=1))])


def llpr_scale(leverage: np.ndarray, y: np.ndarray) -> float:
    """LLPR's alpha: sqrt(mean(y^2 / h)) over rows (n,) of residuals y and leverages h > 0; maximises the Gaussian likelihood."""
    sums = llpr_sums(leverage, y)
    return _root_ratio(sums) if sums[1] else float("nan")


def llpr_sums(leverage: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(2,) sums over the rows of leverage h > 0: y^2 / h, 1."""
    used = leverage > 0.0
    return np.array([np.sum(y[used] ** 2 / leverage[used]), np.count_nonzero(used)])


def _root_ratio(sums: np.ndarray) -> float:
    return float(np.sqrt(sums[0] / sums[1])) if sums[1] > 0.0 else 1.0


@dataclass(frozen=True, eq=False)
class RowBaselines:
    """Bagging and LLPR of the rows of a fit, with the scales that make them as wide as the errors of each kind of row.

    Scales of a kind are set on the fit's rows of that kind, or the many force rows would decide for the energies.

    members: (K, P); solution: `Ridge`; scales: {kind: (factor of members, alpha of LLPR)}; a kind without rows has those of all rows.
    """

    members: np.ndarray
    solution: Ridge
    scales: dict[int, tuple[float, float]]

    def bars(self, x: np.ndarray, kind: int) -> tuple[tuple, tuple, np.ndarray]:
        """Of rows (n, P): (std, lower, upper) of the members, the same rescaled, std (n,) of LLPR."""
        factor, alpha = self.scales[kind]
        return ensemble_bars(x, self.members), ensemble_bars(x, self.members, factor), alpha * np.sqrt(self.solution.leverage(x))


def fit_row_baselines(
    blocks: Iterable[Any], drawn: np.ndarray, kinds: np.ndarray, ridge: float, floor: float, seed: int = 0
) -> RowBaselines:
    """Bagging and LLPR of rows that come in blocks: never all in memory.

    Parameters
    ----------
    blocks : iterable of (X, y, weight)
        X (m, P), y (m,), weight (m,) that sum to the number of rows; read seven times.
    drawn, kinds : (n,) int
        Configuration and kind (`lmp_uq.quantities.Quantity.row`) of each row, in the order of the rows.
    ridge : float
        As in `fit_ridge`.
    floor : float
        Relative leverage below which a row has no say in LLPR's scale.
    seed : int

    Returns
    -------
    RowBaselines
    """
    members, solution = bagging_blocks(blocks, drawn, ridge, seed=seed), fit_ridge_blocks(blocks, ridge)
    sums = {kind: np.zeros((2, 2)) for kind in (quantity.row for quantity in QUANTITIES)}
    start = 0
    for X, y, weight, *_ in blocks:
        leverage = solution.leverage(X)
        above = weight * leverage * len(kinds) / X.shape[1] >= floor
        for kind, mine in sums.items():
            chosen = kinds[start : start + len(y)] == kind
            mine[0] += variance_sums(X[chosen], y[chosen], members)
            mine[1] += llpr_sums(leverage[chosen & above], y[chosen & above])
        start += len(y)
    total, present = sum(sums.values()), {kind for kind in sums if np.any(kinds == kind)}
    scales = {kind: _scales_of(mine if kind in present else total) for kind, mine in sums.items()}
    return RowBaselines(members, solution, scales)


def _scales_of(sums: Any) -> Any:
    return _root_ratio(sums[0]), _root_ratio(sums[1]) if sums[1, 1] else float("nan")


