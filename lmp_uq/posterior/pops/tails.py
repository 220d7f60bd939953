# SPDX-License-Identifier: GPL-2.0-or-later
"""Pass 3 of a fit: percentiles of the corrections along each mode, exact for any blocks and ranks without keeping the corrections."""

from __future__ import annotations

from typing import cast

import numpy as np

from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.pops.blocks import RowBlocks, together
from lmp_uq.posterior.pops.corrections import RowScalars, Solution, _check_length


class Tails:
    """The ``depth`` smallest numbers of each column seen so far, and the rows they came from."""

    def __init__(self, depth: int, n_columns: int) -> None:
        self.depth = depth
        self.values = np.full((0, n_columns), np.inf)
        self.rows = np.zeros((0, n_columns), dtype=np.int64)

    def add(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Add (m, R) values of rows (m, 1) or (m, R)."""
        if not len(values):
            return
        if self.depth == 1 and rows.shape[1] == 1:  # the usual case: no sort
            best = np.argmin(values, axis=0)
            values, rows = np.take_along_axis(values, best[None], axis=0), rows[best, 0][None]
        values = np.concatenate([self.values, values])
        rows = np.concatenate([self.rows, np.broadcast_to(rows, (len(rows), values.shape[1]))])
        # stable: of equal values the first row counts, whatever the blocks
        order = np.argsort(values, axis=0, kind="stable")[: self.depth]
        self.values, self.rows = np.take_along_axis(values, order, axis=0), np.take_along_axis(rows, order, axis=0)

    def over_ranks(self, ranks: Ranks) -> Tails:
        """The tails of the rows of all ranks."""
        out = Tails(self.depth, self.values.shape[1])
        for values, rows in ranks.gather((self.values, self.rows)):
            out.add(values, rows)
        return out


class Minimum:
    """The smallest number of each column, without its row: faster than `Tails`."""

    def __init__(self, n_columns: int) -> None:
        self.values = np.full((1, n_columns), np.inf)

    def add(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Add (m, R) values."""
        if len(values):
            np.minimum(self.values, values.min(axis=0), out=self.values)

    def over_ranks(self, ranks: Ranks) -> Minimum:
        """The minimum over all ranks."""
        out = Minimum(self.values.shape[1])
        out.values = ranks.minimum(self.values)
        return out


def tail_pass(
    rows: RowBlocks, solution: Solution, scalars: RowScalars, kept: np.ndarray, modes: np.ndarray, clip: float, track: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Percentiles of the corrections of kept rows along modes.

    Parameters
    ----------
    kept : ndarray of bool, shape (n,)
        Rows of this rank.
    modes : ndarray, shape (R', R)
        In the basis of the solution.
    clip : float
        Percentile c; memory grows as c/50 times the corrections along the modes.
    track : bool
        Note which rows are the extreme ones.

    Returns
    -------
    lower, upper : ndarray, shape (R,)
        Percentiles c and 100 - c, interpolated linearly as in `numpy.percentile`.
    extreme : ndarray of int, shape (2, R)
        Global numbers (rows counted in the order of ranks) of the rows of the smallest and largest correction; empty without ``track``.
    """
    counts = rows.ranks.gather((len(kept), int(np.count_nonzero(kept))))
    first = sum(n for n, _ in counts[: rows.ranks.rank])
    position = clip / 100.0 * (sum(k for _, k in counts) - 1)
    depth, n_modes = int(position) + 2 if clip else 1, modes.shape[1]
    low, high = ((Tails(depth, n_modes) if clip or track else Minimum(n_modes)) for _ in range(2))
    directions = solution.to_basis @ (modes / solution.damped[:, None])

    def fill() -> None:
        stop = 0
        for where, X, _, _ in rows.chunks():
            stop = where.stop
            _check_length(stop, len(kept), rows.owner, "<=")
            along = (X @ directions) * scalars.ratio[where, None]
            along = along if kept[where].all() else along[kept[where]]
            numbers = (first + where.start + np.flatnonzero(kept[where]))[:, None]
            low.add(along, numbers)
            high.add(np.negative(along, out=along), numbers)
        _check_length(stop, len(kept), rows.owner, "==")

    together(rows.ranks, fill)
    low, high = low.over_ranks(rows.ranks), high.over_ranks(rows.ranks)
    extreme = np.array([cast(Tails, one).rows[0] for one in (low, high)]) if track else np.zeros((2, 0), dtype=np.int64)
    return _interpolated(low.values, position), -_interpolated(high.values, position), extreme


def _interpolated(values: np.ndarray, position: float) -> np.ndarray:
    """Order statistic at a fractional position of the ascending columns."""
    below = int(position)
    if below + 1 >= len(values):
        return values[below]
    return values[below] + (values[below + 1] - values[below]) * (position - below)
