# SPDX-License-Identifier: GPL-2.0-or-later
"""From the corrections of a fit to an ensemble of bounded size."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.ensemble import Ensemble
from lmp_uq.posterior.pops.blocks import RowBlocks, from_first, together
from lmp_uq.posterior.pops.corrections import RowScalars, Solution


def build_ensemble(
    rows: RowBlocks,
    solution: Solution,
    scalars: RowScalars,
    kept: np.ndarray,
    moments: tuple[np.ndarray, np.ndarray],
    extreme: np.ndarray,
    n_members: int,
    random_state: int,
) -> Ensemble:
    """Exact moments, and as members all corrections or, where there are more than ``n_members``, an extreme subset and a random draw.

    Parameters
    ----------
    kept : ndarray of bool, shape (n,)
        Rows of this rank that shape the posterior.
    moments : tuple of ndarray
        First (R',) and second (R', R') moment of the kept corrections of all ranks, in the basis of the solution.
    extreme : ndarray of int, shape (2, R)
        Global row numbers of the extremes along each mode, in decreasing order of modes; half of the members at most come from here.
    n_members : int
    random_state : None, int or RandomState
        Of the random draw; rank 0 draws for all.

    Returns
    -------
    Ensemble
    """
    counts = rows.ranks.gather((len(kept), int(np.count_nonzero(kept))))
    before, total = counts[: rows.ranks.rank], sum(k for _, k in counts)
    ordinals = sum(k for _, k in before) + np.cumsum(kept) - 1  # of kept rows, counted over all ranks
    wanted, probabilities = np.arange(total), np.full(total, 1.0 / total)
    if total > n_members:
        ends = _ordinals_of(extreme, rows.ranks, kept, ordinals, sum(n for n, _ in before))[: n_members // 2]
        wanted, probabilities = _chosen(ends, total, n_members, rows.ranks, random_state)
    members = solution.coefficients + _corrections_of(rows, solution, scalars, kept, ordinals, wanted)
    to_basis, mean = solution.to_basis, moments[0] / total
    values, vectors = from_first(rows.ranks, *np.linalg.eigh(moments[1] / total - np.outer(mean, mean)))
    spread = vectors * np.sqrt(np.maximum(values, 0.0))
    return Ensemble(solution.coefficients, members, probabilities, to_basis @ mean, to_basis @ spread)


def _ordinals_of(extreme: np.ndarray, ranks: Ranks, kept: np.ndarray, ordinals: np.ndarray, first_row: int) -> np.ndarray:
    """Ordinals of rows given by global number, each once, in the order given (mode by mode)."""
    numbers = extreme.T.ravel() - first_row
    mine = (numbers >= 0) & (numbers < len(kept))
    local = np.full(len(numbers), -1, dtype=np.int64)
    local[mine] = ordinals[numbers[mine]]
    found = np.max(ranks.gather(local), axis=0)
    _, at = np.unique(found, return_index=True)
    return found[np.sort(at)]


def _chosen(ends: np.ndarray, total: int, n_members: int, ranks: Ranks, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Ascending ordinals (K,) and probabilities (K,): the extremes, each itself, and a draw that stands for all others."""
    n_drawn = n_members - len(ends)
    others = np.delete(np.arange(total), ends)
    drawn = check_random_state(random_state).choice(others, n_drawn, replace=False) if ranks.rank == 0 else None
    drawn = ranks.gather(drawn)[0]
    wanted = np.concatenate([ends, drawn])
    share = np.repeat([1.0 / total, len(others) / (total * n_drawn)], [len(ends), n_drawn])
    order = np.argsort(wanted)
    return wanted[order], share[order]


def _corrections_of(
    rows: RowBlocks, solution: Solution, scalars: RowScalars, kept: np.ndarray, ordinals: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """(K, P) corrections of the kept rows with the ascending ordinals wanted; one more pass."""
    chosen = kept & np.isin(ordinals, wanted)

    def read() -> np.ndarray:
        parts = [np.zeros((0, len(solution.scale)))]
        for where, X, _, _ in rows.chunks():
            mine = chosen[where]
            if mine.any():
                parts.append(solution.corrections(X[mine], scalars.ratio[where][mine]))
        return np.concatenate(parts)

    return np.concatenate(rows.ranks.gather(together(rows.ranks, read)))
