# SPDX-License-Identifier: GPL-2.0-or-later
"""Passes 2 and 3 of a fit: leverages and second moment of the pointwise corrections, and their bounds along the modes.

Everything is worked out in the eigenvectors Q of the normal equations, where C is the diagonal d = s + r: for a scaled row x and z = Q^T x
the leverage is w sum z^2/d, the correction Q (z/d) e/h, its norm |z/d| e/h.  So a row costs two products with a (P, R') matrix.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.pops.blocks import RowBlocks, from_first, together
from lmp_uq.posterior.pops.normal import NormalEquations

# A row of relative leverage below this is zero in double precision and has no pointwise optimum.
ZERO_LEVERAGE = 1e-30


@dataclass(frozen=True)
class Solution:
    """Ridge solution of normal equations, in the R' directions that are determined (and asked for)."""

    scale: np.ndarray  # (P,)
    basis: np.ndarray  # (P, R') orthonormal, scaled space
    damped: np.ndarray  # (R',) d = s + r
    coefficients: np.ndarray  # (P,) Theta*, original units
    dof: float
    unit: float  # mean leverage of a row if all parameters were free: the unit of the leverage floor
    weight_factor: float

    @classmethod
    def of(cls, normal: NormalEquations, ridge: float, n_components: int | None) -> Solution:
        """Solve with ``ridge`` added; only the ``n_components`` directions of largest eigenvalue if that is not None."""
        damped = normal.eigenvalues + ridge
        used = np.flatnonzero(damped > normal.null * damped[-1])
        wanted = len(normal.scale) if n_components is None else min(n_components, len(normal.scale))
        used = used[-wanted:]
        basis, d = normal.vectors[:, used], damped[used]
        coefficients = basis @ (normal.projections[used] / d)
        if normal.solver == "normal":  # one step of refinement takes out the rounding of the eigenvectors
            left = normal.vector - normal.matrix @ coefficients - ridge * coefficients
            coefficients = coefficients + basis @ ((basis.T @ left) / d)
        dof = float(np.sum(normal.eigenvalues[used] / d))
        return cls(normal.scale, basis, d, coefficients / normal.scale, dof, wanted / normal.n_rows, normal.weight_factor)

    @property
    def to_basis(self) -> np.ndarray:
        """(P, R') matrix that takes a row in original units to z."""
        return self.basis / self.scale[:, None]

    def corrections(self, X: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """(m, P) dTheta of rows X (m, P), original units; ratio (m,) is e/h."""
        to_basis = self.to_basis
        return ((X @ to_basis) / self.damped * ratio[:, None]) @ to_basis.T


@dataclass
class RowScalars:
    """What the fit remembers of each row of this rank: five doubles, where the row itself has P numbers."""

    leverage: np.ndarray  # (n,) w h
    residual: np.ndarray  # (n,) e
    ratio: np.ndarray  # (n,) e / h
    norm: np.ndarray  # (n,) |dTheta| in the scaled space
    weight: np.ndarray  # (n,) as given

    @classmethod
    def empty(cls, n: int) -> RowScalars:
        """For n rows."""
        return cls(*(np.zeros(n) for _ in range(5)))


@dataclass
class Moments:
    """First and second moments of corrections in the basis, split by leverage so that any of the floors is at hand."""

    edges: np.ndarray  # (B,) ascending leverage floors, relative
    first: Any = None  # (B, R'), None before the first corrections
    second: Any = None  # (B, R', R')

    def add(self, corrections: np.ndarray, bins: np.ndarray) -> None:
        """Add corrections (m, R') of rows that lie in ``bins`` (m,): 0 is below all floors."""
        for index in np.unique(bins):
            if index:
                mine = bins == index
                chosen = corrections if mine.all() else corrections[mine]
                self.first[index - 1] += chosen.sum(axis=0)
                self.second[index - 1] += chosen.T @ chosen

    def above(self, floor: float) -> tuple[np.ndarray, np.ndarray]:
        """Moments (R',), (R', R') of the rows at or above one of the floors."""
        start = int(np.flatnonzero(self.edges == floor)[0])
        return self.first[start:].sum(axis=0), self.second[start:].sum(axis=0)


def row_ratio(residual: np.ndarray, weight: np.ndarray, leverage: np.ndarray, unit: float) -> np.ndarray:
    """(m,) e_i / h_i; zero where the leverage is zero, since such a row cannot be matched."""
    weighted = weight * residual
    return np.divide(weighted, leverage, out=np.zeros(len(weighted)), where=leverage > ZERO_LEVERAGE * unit)


def leverage_pass(rows: RowBlocks, n_local: int, solution: Solution, floors: Iterable[float]) -> tuple[RowScalars, Moments]:
    """Pass 2: per-row scalars of this rank, and the moments of all ranks for each of the relative leverage ``floors``."""
    scalars, moments = RowScalars.empty(n_local), _empty_moments(solution, floors)
    together(rows.ranks, lambda: _fill(rows, solution, scalars, moments, None))
    return scalars, _summed(moments, rows)


def moment_pass(rows: RowBlocks, solution: Solution, scalars: RowScalars, allowed: np.ndarray, floors: Iterable[float]) -> Moments:
    """Pass 2 once more where filters other than the floor leave rows out, which takes the scalars of all rows to know."""
    moments = _empty_moments(solution, floors)
    together(rows.ranks, lambda: _fill(rows, solution, scalars, moments, allowed))
    return _summed(moments, rows)


def _empty_moments(solution: Solution, floors: Iterable[float]) -> Moments:
    edges, n = np.unique(np.asarray(list(floors), dtype=np.float64)), len(solution.damped)
    return Moments(edges, np.zeros((len(edges), n)), np.zeros((len(edges), n, n)))


def _summed(moments: Moments, rows: RowBlocks) -> Moments:
    return Moments(moments.edges, rows.ranks.sum(moments.first), rows.ranks.sum(moments.second))


def _fill(rows: RowBlocks, solution: Solution, scalars: RowScalars, moments: Moments, allowed: np.ndarray | None) -> None:
    to_basis, unit, stop = solution.to_basis, solution.unit, 0
    for where, X, y, weight in rows.chunks():
        stop = where.stop
        _check_length(stop, len(scalars.leverage), rows.owner, "<=")
        z = X @ to_basis
        if allowed is None:
            reduced = z / solution.damped
            leverage = np.einsum("ij,ij->i", z, reduced) * (weight * solution.weight_factor)
            residual = y - X @ solution.coefficients
            ratio = row_ratio(residual, weight * solution.weight_factor, leverage, unit)
            reduced *= ratio[:, None]
            norm = np.sqrt(np.einsum("ij,ij->i", reduced, reduced))
            scalars.leverage[where], scalars.residual[where], scalars.weight[where] = leverage, residual, weight
            scalars.ratio[where], scalars.norm[where] = ratio, norm
        else:
            reduced = z / solution.damped * scalars.ratio[where, None]
        bins = np.searchsorted(moments.edges * unit, scalars.leverage[where], side="right")
        moments.add(reduced, bins if allowed is None else np.where(allowed[where], bins, 0))
    _check_length(stop, len(scalars.leverage), rows.owner, "==")


def _check_length(found: int, expected: int, owner: str, relation: str) -> None:
    if found > expected or (relation == "==" and found != expected):
        raise UqError(f"{owner}: the blocks gave {found} rows on this pass and {expected} on the first: each pass must give the same rows")


def kept_rows(scalars: RowScalars, allowed: np.ndarray, floor: float, unit: float) -> np.ndarray:
    """(n,) rows of this rank that shape the posterior."""
    return allowed & (scalars.leverage > ZERO_LEVERAGE * unit) & (scalars.leverage >= floor * unit)


def principal_modes(ranks: Ranks, solution: Solution, second: np.ndarray, threshold: float, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """Principal axes of corrections above ``threshold`` times the largest second moment, in decreasing order.

    Parameters
    ----------
    second : ndarray, shape (R', R')
        Second moment of the corrections t in the basis of the solution.
    axes : {"scaled", "given"}
        The space, of scaled columns or of the given units, in which the axes are orthonormal.

    Returns
    -------
    modes : ndarray, shape (R', R)
        t @ modes are the corrections along the axes.
    vectors : ndarray, shape (P, R)
        The axes in original units, with signs that make equal fits give equal files.
    """
    given = axes == "given"
    # t has the length of its correction after factor, in the space whose orthonormal columns are `columns`
    columns, factor = from_first(ranks, *np.linalg.qr(solution.to_basis)) if given else (solution.basis, np.eye(len(second)))
    eigenvalues, modes = from_first(ranks, *np.linalg.eigh(factor @ second @ factor.T))
    modes = modes[:, eigenvalues > threshold * max(eigenvalues[-1], 0.0)][:, ::-1]
    vectors = columns @ modes
    signs = fixed_signs(vectors)
    return factor.T @ modes * signs, vectors * signs / (1.0 if given else solution.scale[:, None])


def fixed_signs(modes: np.ndarray) -> np.ndarray:
    """(R,) signs that make the largest component of each of the modes (P, R) positive."""
    largest = np.argmax(np.abs(modes), axis=0)
    return np.where(modes[largest, np.arange(modes.shape[1])] < 0, -1.0, 1.0)
