# SPDX-License-Identifier: GPL-2.0-or-later
"""Error bars and scores of other methods, on the rows and descriptors of a POPS fit: what POPS has to beat.

Sources: bagging: L. Breiman, Mach. Learn. 24, 123 (1996), rescaled as the control of D. Perez et al., npj Comput. Mater. 11, 263 (2025);
LLPR: F. Bigi et al., Mach. Learn.: Sci. Technol. 5, 045018 (2024); MaxVol: S. A. Goreinov et al., "How to find a good submatrix", in Matrix
Methods: Theory, Algorithms and Applications, 247 (2010); its grade gamma: E. V. Podryabinkin, A. V. Shapeev, Comput. Mater. Sci. 140, 171
(2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from lmp_uq.arrays import finite_array, integer_array
from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.pops.blocks import BLOCK_ROWS, ArrayBlocks, Rows
from lmp_uq.posterior.pops.normal import NULL_DIRECTION, normal_equations
from lmp_uq.quantities import ENERGY, FORCE, VIRIAL

MAXVOL_TOLERANCE = 1e-2
MAX_SWAPS = 5000
# Directions of descriptors below this share of the largest singular value are rounding and strangers' noise, not a basis.
MIN_SINGULAR = 1e-4
MAX_NEIGHBOURS_FROM = 5000
BLOCK_ATOMS = 1024


@dataclass(frozen=True, eq=False)
class Ridge:
    """A weighted ridge solution: coefficients (P,), and factor (P, R) with C^-1 = factor factor^T, in the units of the columns."""

    coefficients: np.ndarray
    factor: np.ndarray

    def leverage(self, x):
        """(n,) h = x.C^-1 x of rows (n, P), with C of weights that sum to the number of rows."""
        return np.sum((x @ self.factor) ** 2, axis=-1)


def fit_ridge(X, y, weight, ridge: float) -> Ridge:
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


def fit_ridge_blocks(blocks, ridge: float) -> Ridge:
    """`fit_ridge` of rows that come in blocks (X, y, weight), in one pass."""
    normal = normal_equations(Rows(blocks, Ranks(), BLOCK_ROWS, "fit_ridge"), True)
    damped = normal.eigenvalues + ridge * normal.mean_eigenvalue
    used = damped > NULL_DIRECTION * damped.max()
    factor = normal.vectors[:, used] / np.sqrt(damped[used])
    coefficients = factor @ (normal.projections[used] / np.sqrt(damped[used]))
    return Ridge(coefficients / normal.scale, factor / normal.scale[:, None])


def bagging(X, y, weight, drawn, ridge: float, n_members: int = 5, seed: int = 0) -> np.ndarray:
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


def bagging_blocks(blocks, drawn, ridge: float, n_members: int = 5, seed: int = 0) -> np.ndarray:
    """`bagging` of rows that come in blocks (X, y, weight), in a pass for each member; drawn (n,) in the order of the rows."""
    _, drawn = np.unique(drawn, return_inverse=True)
    drawn = drawn.ravel()
    n = int(drawn.max()) + 1
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), n_members)
    return np.array([fit_ridge_blocks(_Reweighted(blocks, count[drawn]), ridge).coefficients for count in counts])


class _Reweighted:
    """Blocks whose weights are multiplied by a factor (n,) of each row."""

    def __init__(self, blocks, factor):
        self._blocks, self._factor = blocks, factor

    def __iter__(self):
        start = 0
        for X, y, weight, *_ in self._blocks:
            yield X, y, weight * self._factor[start : start + len(y)]
            start += len(y)


def ensemble_bars(x, members, scale: float = 1.0):
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


def variance_scale(X, y, members) -> float:
    """Factor that makes the mean variance (over K - 1) of members equal the mean squared error about their mean, on rows (n, P)."""
    return _root_ratio(variance_sums(X, y, members))


def variance_sums(X, y, members) -> np.ndarray:
    """(2,) sums over rows: squared errors about the mean of the members, their variances."""
    values = X @ members.T
    return np.array([np.sum((y - values.mean(axis=1)) ** 2), np.sum(np.var(values, axis=1, ddof=1))])


def llpr_scale(leverage, y) -> float:
    """LLPR's alpha: sqrt(mean(y^2 / h)) over rows (n,) of residuals y and leverages h > 0; maximises the Gaussian likelihood."""
    sums = llpr_sums(leverage, y)
    return _root_ratio(sums) if sums[1] else float("nan")


def llpr_sums(leverage, y) -> np.ndarray:
    """(2,) sums over the rows of leverage h > 0: y^2 / h, 1."""
    used = leverage > 0.0
    return np.array([np.sum(y[used] ** 2 / leverage[used]), np.count_nonzero(used)])


def _root_ratio(sums):
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

    def bars(self, x, kind: int) -> tuple[tuple, tuple, np.ndarray]:
        """Of rows (n, P): (std, lower, upper) of the members, the same rescaled, std (n,) of LLPR."""
        factor, alpha = self.scales[kind]
        return ensemble_bars(x, self.members), ensemble_bars(x, self.members, factor), alpha * np.sqrt(self.solution.leverage(x))


def fit_row_baselines(blocks, drawn, kinds, ridge: float, floor: float, seed: int = 0) -> RowBaselines:
    """Bagging and LLPR of rows that come in blocks: never all in memory.

    Parameters
    ----------
    blocks : iterable of (X, y, weight)
        X (m, P), y (m,), weight (m,) that sum to the number of rows; read seven times.
    drawn, kinds : (n,) int
        Configuration and kind (`ENERGY`, `FORCE`, `VIRIAL`) of each row, in the order of the rows.
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
    sums = {kind: np.zeros((2, 2)) for kind in (ENERGY, FORCE, VIRIAL)}
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


def _scales_of(sums):
    return _root_ratio(sums[0]), _root_ratio(sums[1]) if sums[1, 1] else float("nan")


def maxvol(A, tolerance: float = MAXVOL_TOLERANCE) -> np.ndarray:
    """Rows of a tall matrix that span a nearly largest volume.

    Parameters
    ----------
    A : (n, r) of rank r
    tolerance : float
        Rows are exchanged while that enlarges the volume by more than 1 + tolerance.

    Returns
    -------
    (r,) int, indices of rows; all entries of A inv(A[rows]) are at most 1 + tolerance in size.

    Raises
    ------
    UqError
        Fewer rows than columns.
    """
    A = finite_array(A, "maxvol: A", (None, None))
    if len(A) < A.shape[1]:
        raise UqError(f"maxvol: found {len(A)} rows for {A.shape[1]} columns, needs at least as many rows")
    # pivoted QR of the transpose is a good start: few exchanges remain
    rows = qr(A.T, mode="economic", pivoting=True)[2][: A.shape[1]].copy()
    B = np.linalg.solve(A[rows].T, A.T).T
    for swap in range(MAX_SWAPS):
        i, j = np.unravel_index(np.argmax(np.abs(B)), B.shape)
        if abs(B[i, j]) <= 1.0 + tolerance:
            break
        change = B[i].copy()
        change[j] -= 1.0
        B -= np.outer(B[:, j] / B[i, j], change)
        rows[j] = i
        if swap % 200 == 199:  # rank-one updates pile up rounding
            B = np.linalg.solve(A[rows].T, A.T).T
    return rows


@dataclass(frozen=True, eq=False)
class DOptimality:
    """Grade gamma of atoms per element: how far a descriptor is extrapolated from the MaxVol rows of the training atoms.

    inverse: for each element the (P, r) matrix with c = D @ inverse, or None for an element without training atoms.
    """

    inverse: tuple[np.ndarray | None, ...]

    def gamma(self, descriptors, species) -> np.ndarray:
        """(n,) max_j |c_j| of descriptors (n, P) and element indices (n,); inf for an element without training atoms."""
        out = np.full(len(species), np.inf)
        for z, inverse in enumerate(self.inverse):
            mine = species == z
            if inverse is not None and mine.any():
                out[mine] = np.abs(descriptors[mine] @ inverse).max(axis=1)
        return out


def fit_d_optimality(descriptors, species, n_species: int) -> DOptimality:
    """Choose the active set of every element.

    Parameters
    ----------
    descriptors : (n, P), species : (n,) int
        Training atoms; singular directions below 1e-4 of the largest are dropped, so r may be smaller than P.
    n_species : int

    Returns
    -------
    DOptimality
    """
    descriptors = finite_array(descriptors, "fit_d_optimality: descriptors", (None, None))
    species = integer_array(species, "fit_d_optimality: species", (len(descriptors),))
    out = []
    for z in range(n_species):
        mine = descriptors[species == z]
        if not len(mine) or not np.any(mine):
            out.append(None)
            continue
        # the triangle of a QR has the same right singular vectors and at most P rows
        triangle = np.linalg.qr(mine, mode="r")
        _, singular, right = np.linalg.svd(triangle)
        axes = right[: len(singular)][singular > MIN_SINGULAR * singular[0]].T
        reduced = mine @ axes
        rows = maxvol(reduced)
        out.append(axes @ np.linalg.inv(reduced[rows]))
    return DOptimality(tuple(out))


def neighbour_distance(
    training, training_species, descriptors, species, *, n_neighbours=5, n_training=MAX_NEIGHBOURS_FROM, seed=0
) -> np.ndarray:
    """Mean distance of each atom to its nearest training atoms of the same element.

    Parameters
    ----------
    training, training_species : (m, P), (m,) int
        Whitened descriptors of training atoms; of more than n_training per element a random part is used.
    descriptors, species : (n, P), (n,) int
        Atoms to score, whitened alike.
    n_neighbours, n_training, seed : int

    Returns
    -------
    (n,) distances; inf for an element without training atoms
    """
    generator, out = np.random.default_rng(seed), np.full(len(species), np.inf)
    for z in np.unique(species):
        known = np.flatnonzero(training_species == z)
        if not len(known):
            continue
        if len(known) > n_training:
            known = np.sort(generator.choice(known, n_training, replace=False))
        atoms = np.flatnonzero(species == z)
        for start in range(0, len(atoms), BLOCK_ATOMS):
            block = atoms[start : start + BLOCK_ATOMS]
            out[block] = _nearest(descriptors[block], training[known], min(n_neighbours, len(known)))
    return out


def _nearest(atoms, known, n_neighbours):
    """(n,) mean of the n_neighbours smallest distances."""
    squares = np.sum(atoms**2, axis=1)[:, None] + np.sum(known**2, axis=1) - 2.0 * atoms @ known.T
    smallest = np.partition(squares, n_neighbours - 1, axis=1)[:, :n_neighbours]
    return np.sqrt(np.maximum(smallest, 0.0)).mean(axis=1)
