# SPDX-License-Identifier: GPL-2.0-or-later
"""Pass 1 of a fit: the weighted normal equations of scaled columns, diagonalised once; by QR where squares would lose digits.

Sources: QR of stacked triangles: J. Demmel, L. Grigori, M. Hoemmen, J. Langou, SIAM J. Sci. Comput. 34, A206 (2012).  Merging of means
and variances: T. F. Chan, G. H. Golub, R. J. LeVeque, Am. Stat. 37, 242 (1983).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.posterior.pops.blocks import RowBlocks, from_first, together

log = logging.getLogger("lmp_uq")

# Normal equations square the condition number: directions below this carry rounding, not data.
NULL_DIRECTION = 1e-12
# The triangle of a QR has singular values S with S^2 = s, and keeps them down to about 1e-13 of the largest.
NULL_DIRECTION_QR = 1e-26
MAX_CONDITION = 1e12


@dataclass(frozen=True)
class NormalEquations:
    """Eigendecomposition of the normal equations of scaled columns and normalised weights, and the sums that go with it."""

    scale: np.ndarray  # (P,) column scale
    eigenvalues: np.ndarray  # (P,) s of X^T W X = Q diag(s) Q^T, >= 0, ascending
    vectors: np.ndarray  # (P, P) Q
    projections: np.ndarray  # (P,) Q^T X^T W y
    matrix: np.ndarray  # (P, P) X^T W X of scaled columns
    vector: np.ndarray  # (P,) X^T W y of scaled columns
    mean_eigenvalue: float  # over the columns that are not zero
    n_rows: int  # rows of positive weight, on all ranks
    n_local: int  # all rows of this rank
    weight_factor: float  # n_rows / sum of the weights as given
    label_square: float  # sum of w y^2
    label_variance: float  # weighted variance of y
    least_sse: float | None = None  # sum of squares that no coefficients remove; None: only known as a difference
    null: float = NULL_DIRECTION
    solver: str = "normal"

    @property
    def determined(self) -> np.ndarray:
        """(P,) directions that hold data."""
        return self.eigenvalues > self.null * self.eigenvalues[-1]

    @property
    def least_squares(self) -> np.ndarray:
        """(P,) coefficients of the solution without ridge along the eigenvectors; zero along null directions."""
        return np.divide(self.projections, self.eigenvalues, out=np.zeros_like(self.projections), where=self.determined)

    def condition(self, ridge: float = 0.0) -> float:
        """Largest over smallest eigenvalue with ``ridge`` added, without the columns that are zero everywhere."""
        nonzero = round(float(self.eigenvalues.sum()) / self.mean_eigenvalue)
        smallest = self.eigenvalues[-nonzero] + ridge
        return float((self.eigenvalues[-1] + ridge) / smallest) if smallest > 0 else np.inf


@dataclass
class _Sums:
    """Sums over the rows of one rank, with the weights as given."""

    matrix: np.ndarray
    vector: np.ndarray
    counts: np.ndarray  # rows, rows of positive weight
    moments: np.ndarray  # sum of w, mean of y, sum of w (y - mean)^2

    def add(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        root = np.sqrt(weight)
        weighted = X * root[:, None]
        self.matrix += weighted.T @ weighted
        self.vector += weighted.T @ (root * y)
        self.counts += (len(y), np.count_nonzero(weight))
        total = weight.sum()
        if total > 0:
            mean = weight @ y / total
            self.moments = merged_moments(self.moments, np.array([total, mean, weight @ (y - mean) ** 2]))


def merged_moments(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(sum of weights, mean, sum of squared deviations) of two sets of rows together."""
    total = first[0] + second[0]
    if not total:
        return np.zeros(3)
    shift = second[1] - first[1]
    share = second[0] / total
    return np.array([total, first[1] + shift * share, first[2] + second[2] + shift**2 * first[0] * share])


def normal_equations(rows: RowBlocks, scale_columns: bool) -> NormalEquations:
    """Accumulate X^T W X and X^T W y over blocks and ranks and diagonalise once.

    Parameters
    ----------
    rows : RowBlocks
    scale_columns : bool
        Divide columns by their weighted root mean square.

    Returns
    -------
    NormalEquations
        The same on every rank, but for ``n_local``.

    Raises
    ------
    UqError
        No rows, blocks that do not fit together, NaN, negative weights, weights that are all zero, or only zero columns.
    """
    sums = together(rows.ranks, lambda: _local_sums(rows))
    sums = _over_ranks(sums, rows)
    n_local, (n_all, n_rows) = sums.counts[0], rows.ranks.sum(sums.counts)
    total, mean, squares = sums.moments
    if not total > 0:
        raise UqError(f"{rows.owner}: the weights of all {n_all} rows are zero, one of them must be positive")
    factor = n_rows / total
    matrix, vector = rows.ranks.sum(sums.matrix) * factor, rows.ranks.sum(sums.vector) * factor
    scale, matrix, vector, n_nonzero = _scaled(matrix, vector, n_rows, scale_columns, rows.owner)
    eigenvalues, vectors = from_first(rows.ranks, *np.linalg.eigh(matrix))
    label_square = float(factor * squares + n_rows * mean**2)
    return NormalEquations(
        scale=scale,
        eigenvalues=np.maximum(eigenvalues, 0.0),
        vectors=vectors,
        projections=from_first(rows.ranks, vectors.T @ vector)[0],
        matrix=matrix,
        vector=vector,
        mean_eigenvalue=float(np.trace(matrix)) / n_nonzero,
        n_rows=int(n_rows),
        n_local=int(n_local),
        weight_factor=float(factor),
        label_square=label_square,
        label_variance=float(squares / total),
    )


def _local_sums(rows: RowBlocks) -> _Sums | None:
    sums = None
    if iter(rows.blocks) is rows.blocks:
        raise UqError(
            f"{rows.owner}: blocks is a {type(rows.blocks).__name__}, which can be read once; the fit reads the rows several times: "
            "pass a list or an object whose __iter__ starts anew"
        )
    for X, y, weight in rows.checked_chunks():
        if sums is None:
            sums = _empty_sums(X.shape[1])
        sums.add(X, y, weight)
    return sums


def _empty_sums(n_features: int) -> _Sums:
    return _Sums(np.zeros((n_features, n_features)), np.zeros(n_features), np.zeros(2, dtype=np.int64), np.zeros(3))


def _over_ranks(sums: _Sums | None, rows: RowBlocks) -> _Sums:
    """Sums with the moments of all ranks; a rank without rows learns the number of columns from the others."""
    found = rows.ranks.gather(None if sums is None else (len(sums.vector), sums.moments))
    widths = sorted({entry[0] for entry in found if entry is not None})
    if not widths or widths == [0]:
        raise UqError(f"{rows.owner}: found no rows or no columns, at least one of each is needed")
    if len(widths) > 1:
        raise UqError(f"{rows.owner}: the ranks hold blocks of {widths} columns, all must have the same number")
    moments: np.ndarray = np.zeros(3)
    for entry in found:
        moments = moments if entry is None else merged_moments(moments, entry[1])
    sums = sums or _empty_sums(widths[0])
    return replace(sums, moments=moments)


def _scaled(matrix: np.ndarray, vector: np.ndarray, n_rows: int, scale_columns: bool, owner: str) -> Any:
    squares = np.diag(matrix).copy()
    n_nonzero = int(np.count_nonzero(squares))
    if not n_nonzero:
        raise UqError(f"{owner}: all {len(squares)} columns of X are zero in every row of positive weight")
    scale = np.ones(len(squares))
    if scale_columns:
        np.sqrt(squares / n_rows, out=scale, where=squares > 0)
        matrix = matrix / scale[:, None] / scale
        vector = vector / scale
    return scale, matrix, vector, n_nonzero


def by_qr(normal: NormalEquations, rows: RowBlocks) -> NormalEquations:
    """The same quantities from the triangle of a blocked QR of [X, y], which does not square the condition number.

    Each rank re-factorises [R; block]; the triangles of all ranks are then stacked in the order of ranks and factorised once more.
    """
    n_features = len(normal.scale)
    triangles = rows.ranks.gather(together(rows.ranks, lambda: _local_triangle(normal, rows)))
    triangle = np.linalg.qr(np.vstack(triangles), mode="r")
    full = np.zeros((n_features + 1, n_features + 1))
    full[: len(triangle)] = triangle
    left, singular, right = from_first(rows.ranks, *np.linalg.svd(full[:-1, :-1]))
    rotated = left.T @ full[:-1, -1]
    order = slice(None, None, -1)  # ascending, as eigh
    squares = singular[order] ** 2
    outside = rotated[order][squares <= NULL_DIRECTION_QR * squares[-1]]
    return replace(
        normal,
        eigenvalues=squares,
        vectors=np.ascontiguousarray(right.T[:, order]),
        projections=(singular * rotated)[order],
        least_sse=float(full[-1, -1] ** 2 + outside @ outside),
        null=NULL_DIRECTION_QR,
        solver="qr",
    )


def _local_triangle(normal: NormalEquations, rows: RowBlocks) -> np.ndarray:
    triangle = np.zeros((0, len(normal.scale) + 1))
    for _, X, y, weight in rows.chunks():
        block = np.column_stack([X / normal.scale, y]) * np.sqrt(weight * normal.weight_factor)[:, None]
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, block]), mode="r"))
    return triangle


def needs_qr(normal: NormalEquations, ridge: float | None) -> bool:
    """Whether digits would be lost: condition number above 1e12 without ridge, and with the ridge where it is known beforehand."""
    return normal.condition() > MAX_CONDITION and (ridge is None or normal.condition(ridge) > MAX_CONDITION)
