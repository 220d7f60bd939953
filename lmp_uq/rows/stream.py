# SPDX-License-Identifier: GPL-2.0-or-later
"""Predictions of a backbone on many frames: made once, kept on disk, read back batch by batch.

Descriptors and their derivatives are the dear part of a fit. Each batch of frames becomes one file; ranks share the batches out. An
interrupted job finds the files that are complete and goes on from there. No more than one batch is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lmp_uq.errors import UqError
from lmp_uq.frames.frame import Frame
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.predict import batches, predict
from lmp_uq.rows.rows import Predictions, RowOptions


class Stream:
    """Predictions of a list of frames, spread over ranks; iterating reads this rank's batches, as often as wanted.

    Parameters
    ----------
    backbone : Backbone
    frames : list of Frame
        All of them, the same on every rank.
    options : RowOptions
    cache : Cache
    ranks : Ranks

    Attributes
    ----------
    frames : list of Frame
    offsets : (Z,) array
        Energy per atom of each element, eV, taken off the targets of energy rows as they are read.

    Raises
    ------
    UqError
        The disk refuses.
    """

    def __init__(self, backbone: Any, frames: Sequence[Frame], options: RowOptions, cache: Cache, ranks: Ranks) -> None:
        self.frames, self._cache, self._ranks = list(frames), cache, ranks
        self._options, self.offsets = options, np.zeros(len(backbone.elements))
        self._batches, first = [], 0
        for number, batch in enumerate(batches(self.frames, options.batch_atoms)):
            if number % ranks.size == ranks.rank:
                self._batches.append((number, first, batch, cache.path(batch, options)))
            first += len(batch)
        self._make(backbone, options)

    def _make(self, backbone: Any, options: RowOptions) -> None:
        shown = options.progress if self._ranks.rank == 0 else ""
        n_frames = sum(len(batch) for _, _, batch, _ in self._batches)
        with tqdm(total=n_frames, desc=shown, unit="frame", disable=not shown) as bar:
            for _, _, batch, path in self._batches:
                if self._cache.read(path, batch) is None:
                    part = predict(backbone, batch, options.quiet())
                    _check_finite(part)
                    self._cache.write(path, part)
                bar.update(len(batch))

    def __iter__(self) -> Iterator[Predictions]:
        for _, _, part in self._numbered():
            yield part

    def whole(self) -> Iterator[Predictions]:
        """The batches of all ranks, of whom each reads them; collective: they are there when all have made theirs."""
        self._ranks.gather(None)
        for batch in batches(self.frames, self._options.batch_atoms):
            yield self._read(batch, self._cache.path(batch, self._options))

    def numbered(self) -> Iterator[tuple[Predictions, int]]:
        """This rank's batches, each with the index of its first frame in `frames`."""
        for _, first, part in self._numbered():
            yield part, first

    def _numbered(self) -> Iterator[tuple[int, int, Predictions]]:
        """(number of the batch, index of its first frame in `frames`, its predictions)."""
        for number, first, batch, path in self._batches:
            yield number, first, self._read(batch, path)

    def _read(self, batch: list[Frame], path: Path) -> Predictions:
        part = self._cache.read(path, batch)
        if part is None:
            raise UqError(f"{path}: was there and cannot be read any more")
        if self.offsets.any():
            part.take_off(self.offsets)
        return part

    def collect(self, pick: Callable[[Predictions, int], Sequence[np.ndarray]]) -> list[np.ndarray]:
        """What `pick` takes from each batch, of all ranks in the order of the frames, the same on every rank.

        Parameters
        ----------
        pick : callable
            (predictions of a batch, index of its first frame) -> a few arrays, one number per row, atom or frame.

        Returns
        -------
        list of ndarray
            The arrays of all batches, joined; an empty list if there are no frames.
        """
        mine = [(number, tuple(pick(part, first))) for number, first, part in self._numbered()]
        found = sorted((one for rank in self._ranks.gather(mine) for one in rank), key=lambda one: one[0])
        return [np.concatenate(column) for column in zip(*(arrays for _, arrays in found), strict=True)]


def _check_finite(part: Predictions) -> None:
    """UqError that names frame, kind and component of the first row that is not finite."""
    rows = part.rows
    bad = np.flatnonzero(~(np.isfinite(rows.features).all(axis=1) & np.isfinite(rows.targets)))
    if len(bad):
        row = bad[0]
        kind = ("energy", "force component", "stress component")[rows.kinds[row]]
        raise UqError(
            f"{part.frames[rows.frames[row]].source}: the model gives NaN or infinity for the {kind} row {rows.components[row]} "
            f"({len(bad)} such rows in this batch); all must be finite"
        )


