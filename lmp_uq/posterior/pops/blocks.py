# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of a fit that arrive in blocks, on one or many ranks: checked once, read several times, never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks

BLOCK_ROWS = 4096


class ArrayBlocks:
    """Blocks that are slices of arrays in memory (or mapped from a file): iterate as often as you like.

    Parameters
    ----------
    arrays : tuple of ndarray
        X (n, P), y (n,), weight (n,) and optionally groups (n,).
    rows : int
        Rows per block.
    """

    def __init__(self, arrays: tuple, rows: int) -> None:
        self.arrays, self.rows = arrays, rows

    def __iter__(self) -> Iterator[tuple]:
        for start in range(0, len(self.arrays[0]), self.rows):
            yield tuple(array[start : start + self.rows] for array in self.arrays)


class FoldBlocks:
    """The rows of blocks with groups that lie inside (or outside) one fold; re-iterable like its source."""

    def __init__(self, blocks: Iterable, fold_of: dict, fold: int, inside: bool) -> None:
        self.blocks, self.fold_of, self.fold, self.inside = blocks, fold_of, fold, inside

    def __iter__(self) -> Iterator[tuple]:
        for X, y, weight, groups in self.blocks:
            mine = np.array([(self.fold_of[g] == self.fold) == self.inside for g in np.asarray(groups).tolist()], dtype=bool)
            yield np.asarray(X)[mine], np.asarray(y)[mine], np.asarray(weight)[mine]


@dataclass(frozen=True)
class RowBlocks:
    """This rank's blocks, the ranks, and how many rows are worked on at a time."""

    blocks: Iterable
    ranks: Ranks
    block_rows: int
    owner: str = "POPS.fit"

    def checked_chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Like `chunks`, for the first pass: shapes, finite numbers and weights >= 0 are checked, row by row."""
        n_features, row = None, 0
        for number, block in enumerate(self.blocks):
            X, y, weight = self._arrays(block, number, n_features)
            n_features = X.shape[1]
            for rows in _slices(len(y), self.block_rows):
                chunk = X[rows].astype(np.float64, copy=False), y[rows], weight[rows]
                self._check_values(chunk, number, row + rows.start)
                yield chunk
            row += len(y)

    def chunks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """(rows, X, y, weight) of at most ``block_rows`` rows: the slice of this rank's rows, X (m, P), y (m,), weight (m,) as float64."""
        start = 0
        for block in self.blocks:
            X, y, weight = (np.asarray(array) for array in block[:3])
            for rows in _slices(len(y), self.block_rows):
                features, labels, weights = (array[rows].astype(np.float64, copy=False) for array in (X, y, weight))
                yield slice(start + rows.start, start + rows.stop), features, labels, weights
            start += len(y)

    def _arrays(self, block: Any, number: int, n_features: int | None) -> list[np.ndarray]:
        where = f"{self.owner}: block {number}{self._rank()}"
        if not isinstance(block, tuple | list) or len(block) not in (3, 4):
            raise UqError(f"{where}: found {type(block).__name__}, expected (X, y, weight) or (X, y, weight, groups)")
        X = np.asarray(block[0])
        if X.ndim != 2 or X.dtype.kind not in "fiu" or (n_features is not None and X.shape[1] != n_features):
            wanted = "P" if n_features is None else n_features
            raise UqError(f"{where}: X has shape {X.shape} and dtype {X.dtype}, expected floats of shape (m, {wanted})")
        out = [X]
        for name, values in zip(("y", "weight"), block[1:3], strict=True):
            try:
                values = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise UqError(f"{where}: {name} cannot be read as floats ({error})") from error
            if values.shape != (len(X),):
                raise UqError(f"{where}: {name}: found shape {values.shape}, expected ({len(X)},)")
            out.append(values)
        return out

    def _check_values(self, chunk: tuple[np.ndarray, np.ndarray, np.ndarray], number: int, first: int) -> None:
        for name, values in zip(("X", "y", "weight"), chunk, strict=True):
            # A sum is finite if all terms are (or overflows, which the slow path sorts out): no temporary of the size of X.
            if np.isfinite(values.sum()):
                continue
            bad = np.argwhere(~np.isfinite(values))
            if len(bad):
                column = f", column {bad[0][1]}" if values.ndim == 2 else ""
                raise UqError(
                    f"{self.owner}: {name} is {values[tuple(bad[0])]} in row {first + bad[0][0]}{column} (block {number}{self._rank()}); "
                    f"{len(bad)} of {values.size} values of this block of rows are NaN or infinite, all must be finite"
                )
        weight = chunk[2]
        if len(weight) and weight.min() < 0:
            row = int(np.argmin(weight))
            raise UqError(
                f"{self.owner}: weight {weight[row]:g} in row {first + row} (block {number}{self._rank()}), weights must be >= 0"
            )

    def _rank(self) -> str:
        return f" of rank {self.ranks.rank}" if self.ranks.size > 1 else ""


def together(ranks: Ranks, work: Callable[[], Any]) -> Any:
    """Return ``work()`` of this rank, or raise on every rank if it failed on any: no rank waits for one that gave up."""
    failure, result = None, None
    try:
        result = work()
    except Exception as error:
        failure = error
    messages = ranks.gather(None if failure is None else str(failure))
    if failure is not None:
        raise failure
    for rank, message in enumerate(messages):
        if message is not None:
            raise UqError(f"rank {rank}: {message}")
    return result


def from_first(ranks: Ranks, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The arrays of rank 0, on every rank: an eigenvector may come out with another sign or rotation on another kind of processor."""
    if ranks.size == 1:
        return arrays
    return tuple(ranks.sum(array if ranks.rank == 0 else np.zeros_like(array)) for array in arrays)


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
