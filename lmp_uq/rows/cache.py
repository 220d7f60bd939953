# SPDX-License-Identifier: GPL-2.0-or-later
"""Predictions kept on disk, a file for each batch of frames: found again by a fit that was interrupted, or by the next one."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file
from lmp_uq.frames.frame import Frame
from lmp_uq.quantities import FORCES
from lmp_uq.rows.rows import ROW_FIELDS, Predictions, RowOptions, Rows

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
            # opened here: numpy leaves a damaged file open
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
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
                arrays: dict[str, Any] = _pack(predictions)
                np.savez(stream, **arrays)
        except UqError as error:
            raise UqError(f"descriptors could not be kept: {error}; free space, then the same command goes on from there") from error

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _pack(p: Predictions) -> dict[str, np.ndarray]:
    arrays = {
        "energies": p.energies,
        "stresses": p.stresses,
        "forces": np.concatenate(p.forces),
        "descriptors": np.concatenate(p.descriptors),
        "species": np.concatenate(p.species),
        "n_atoms": np.array([len(s) for s in p.species]),
    }
    if p.of_atoms is not None:
        arrays["of_atoms"] = np.concatenate([one.reshape(-1, one.shape[-1]) for one in p.of_atoms])
    return arrays | {f"rows_{name}": getattr(p.rows, name) for name in ROW_FIELDS}


def _unpack(arrays: dict[str, np.ndarray], frames: list[Frame]) -> Predictions:
    split = np.cumsum(arrays["n_atoms"])[:-1]
    per_atom = [np.split(arrays[name], split) for name in ("forces", "descriptors", "species")]
    rows = Rows(*(arrays[f"rows_{name}"] for name in ROW_FIELDS))
    forces, descriptors, species = per_atom
    of_atoms = _of_atoms(arrays, rows) if "of_atoms" in arrays else None
    return Predictions(frames, arrays["energies"], forces, arrays["stresses"], descriptors, species, rows, of_atoms)


def _of_atoms(arrays: dict[str, np.ndarray], rows: Rows) -> list[np.ndarray]:
    n_atoms = arrays["n_atoms"]
    n_rows = np.bincount(rows.frames[rows.kinds == FORCES.row], minlength=len(n_atoms))
    parts, width = np.split(arrays["of_atoms"], np.cumsum(n_rows * n_atoms)[:-1]), arrays["of_atoms"].shape[1]
    return [one.reshape(r, n, width) for one, r, n in zip(parts, n_rows, n_atoms, strict=True)]
