# SPDX-License-Identifier: GPL-2.0-or-later
"""Predictions of a backbone on many frames: made once, kept on disk, read back batch by batch.

Descriptors and their derivatives are the dear part of a fit. Each batch of frames becomes one file; ranks share the batches out. An
interrupted job finds the files that are complete and goes on from there. No more than one batch is in memory at a time.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file
from lmp_uq.frames.reading import Frame
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.rows.predict import ROW_FIELDS, Predictions, RowOptions, Rows, batches, predict

LAYOUT = "1"
"""Raised when what a file holds changes: older files are then made anew."""


class Cache:
    """A folder of files, each with the predictions of one batch of frames.

    The name of a file is a hash of everything that its content depends on (backbone, options, frames, labels), so one folder may
    serve several fits, and a changed frame or model never finds old numbers.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing.
    identity : str
        Hash of the backbone and its precision.

    Raises
    ------
    UqError
        The folder cannot be made.
    """

    def __init__(self, folder: str | Path, identity: str):
        self.folder, self._identity = Path(folder), identity
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UqError(f"{folder}: cannot be made a folder for descriptors: {error.strerror}") from error

    def path(self, frames: Sequence[Frame], options: RowOptions) -> Path:
        """File of a batch of frames."""
        digest = hashlib.sha256(f"{LAYOUT} {self._identity} {options.identity()}".encode())
        for frame in frames:
            digest.update(np.uint64(frame.key).tobytes())
            for label in (frame.energy, frame.forces, frame.stress):
                digest.update(b"-" if label is None else np.asarray(label, float).tobytes())
        return self.folder / f"{digest.hexdigest()[:32]}.npz"

    def read(self, path: Path, frames: Sequence[Frame]) -> Predictions | None:
        """Predictions of a batch, or None where there is no file or a damaged one."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return _unpack({name: file[name] for name in file.files}, list(frames))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, path: Path, predictions: Predictions) -> None:
        """Write a batch, whole or not at all.

        Raises
        ------
        UqError
            The disk refuses. Batches written before stay and are found again.
        """
        try:
            with atomic_file(path) as stream:
                np.savez(stream, **_pack(predictions))
        except UqError as error:
            raise UqError(f"descriptors could not be kept: {error}; free space, then the same command goes on from there") from error

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


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

    def __init__(self, backbone, frames: Sequence[Frame], options: RowOptions, cache: Cache, ranks: Ranks):
        self.frames, self._cache, self._ranks = list(frames), cache, ranks
        self.offsets = np.zeros(len(backbone.elements))
        self._batches, first = [], 0
        for number, batch in enumerate(batches(self.frames, options.batch_atoms)):
            if number % ranks.size == ranks.rank:
                self._batches.append((number, first, batch, cache.path(batch, options)))
            first += len(batch)
        self._make(backbone, options)

    def _make(self, backbone, options):
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

    def numbered(self) -> Iterator[tuple[Predictions, int]]:
        """This rank's batches, each with the index of its first frame in `frames`."""
        for _, first, part in self._numbered():
            yield part, first

    def _numbered(self):
        """(number of the batch, index of its first frame in `frames`, its predictions)."""
        for number, first, batch, path in self._batches:
            part = self._cache.read(path, batch)
            if part is None:
                raise UqError(f"{path}: was there and cannot be read any more")
            if self.offsets.any():
                part.take_off(self.offsets)
            yield number, first, part

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


def _check_finite(part):
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


def _pack(p: Predictions) -> dict[str, np.ndarray]:
    arrays = {
        "energies": p.energies,
        "stresses": p.stresses,
        "forces": np.concatenate(p.forces),
        "descriptors": np.concatenate(p.descriptors),
        "species": np.concatenate(p.species),
        "n_atoms": np.array([len(s) for s in p.species]),
    }
    return arrays | {f"rows_{name}": getattr(p.rows, name) for name in ROW_FIELDS}


def _unpack(arrays: dict[str, np.ndarray], frames: list[Frame]) -> Predictions:
    split = np.cumsum(arrays["n_atoms"])[:-1]
    per_atom = [np.split(arrays[name], split) for name in ("forces", "descriptors", "species")]
    rows = Rows(*(arrays[f"rows_{name}"] for name in ROW_FIELDS))
    forces, descriptors, species = per_atom
    return Predictions(frames, arrays["energies"], forces, arrays["stresses"], descriptors, species, rows)
