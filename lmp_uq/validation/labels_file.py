# SPDX-License-Identifier: GPL-2.0-or-later
"""Every label with what the model says of it, in one table, for figures that this package does not have."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq.errors import UqError, argument
from lmp_uq.files import atomic_file, check_target, name_as_text
from lmp_uq.frames.frame import Frame
from lmp_uq.quantities import FORCES, QUANTITIES
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.samples import Samples

SUFFIXES = (".csv", ".npz")
NO_INDEX = -1
"""Index of a frame or atom where there is none; an empty cell in a CSV file."""
TEXTS, INDICES = ("quantity", "source", "group", "element", "component"), ("frame", "atom")
NUMBERS = ("reference", "predicted", "error", "std", "lower", "upper", "bar", "force_norm", "grade", "neighbour_grade")


def check_labels_file(path: str | Path) -> None:
    """Refuse, before the work, a name that `write_labels` could not write: another suffix, no folder."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UqError(f"{argument('labels', path)}: accepted: a name that ends in {' or '.join(SUFFIXES)}")
    check_target(path, "labels")


def label_columns(samples: Mapping[str, Samples | AtomSamples], frames: Sequence[Frame]) -> dict[str, np.ndarray]:
    """The table: a column for each name, all of one length, the atoms behind the labels of the quantities.

    Returns
    -------
    dict
        Text, whole numbers (-1: none) and numbers (NaN: none) by name; error: label minus prediction, of atoms the size of the force
        error; bar: energy_error or stress_error; force_error_50 and so on: of every level of the file; error_above_0.1 and so on.
    """
    parts = [_of_quantity(samples[q.key], q.key, frames) for q in QUANTITIES if q.key in samples]
    if FORCES.bar in samples:
        parts.append(_of_atoms(samples[FORCES.bar], frames))
    parts = [part for part in parts if len(part["frame"])]
    names = dict.fromkeys([*TEXTS, *INDICES, *NUMBERS, *(name for part in parts for name in part)])
    return {name: np.concatenate([_nothing(name, 0), *(_column(part, name) for part in parts)]) for name in names}


def _column(part: Mapping[str, Any], name: str) -> np.ndarray:
    n = len(part["frame"])
    values = part.get(name)
    return _nothing(name, n) if values is None else np.broadcast_to(np.asarray(values), n)


def _nothing(name: str, n: int) -> np.ndarray:
    return np.full(n, "" if name in TEXTS else NO_INDEX if name in INDICES else np.nan)


def _of_frames(frames: Sequence[Frame], indices: np.ndarray) -> dict[str, Any]:
    names = {"source": [f.source for f in frames], "group": [f.group for f in frames]}
    texts = {column: np.array([name_as_text(text) for text in found]) for column, found in names.items()}
    return {"frame": indices} | {column: found[indices] for column, found in texts.items()}


def _of_quantity(mine: Any, key: str, frames: Sequence[Frame]) -> dict[str, Any]:
    return _of_frames(frames, mine.frames) | {
        "quantity": key,
        "element": None if mine.elements is None else mine.elements.astype(str),
        "component": mine.components,
        "atom": mine.atoms,
        "reference": mine.reference,
        "predicted": mine.predicted,
        "error": mine.error,
        "std": mine.std,
        "lower": mine.lower,
        "upper": mine.upper,
        "bar": None if mine.calibrated is None else mine.calibrated.bar,
        "force_norm": mine.force_norm,
    }


def _of_atoms(mine: Any, frames: Sequence[Frame]) -> dict[str, Any]:
    out = _of_frames(frames, mine.frames) | {
        "quantity": "atoms",
        "element": mine.elements.astype(str),
        "atom": mine.atoms,
        "reference": np.linalg.norm(mine.reference, axis=1),
        "predicted": mine.force_norm,
        "error": mine.error,
        "std": mine.force_std,
        "force_norm": mine.force_norm,
        "grade": mine.grade,
        "neighbour_grade": mine.neighbours,
    }
    out |= {f"{FORCES.bar}_{100.0 * level:.0f}": bar for level, bar in mine.levels.items()}
    return out | {f"error_above_{threshold:g}": share for threshold, share in mine.above.items()}


def write_labels(path: str | Path, samples: Mapping[str, Samples | AtomSamples], frames: Sequence[Frame]) -> None:
    """Write `label_columns` as CSV, a line for each label, or as NumPy's npz, an array for each column; whole or not at all.

    Raises
    ------
    UqError
        A name with another suffix, or that cannot be written.
    """
    check_labels_file(path)
    columns = label_columns(samples, frames)
    with atomic_file(path) as stream:
        if Path(path).suffix.lower() == ".csv":
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
            _write_csv(text, columns)
            text.flush()
            text.detach()
        else:
            np.savez_compressed(stream, allow_pickle=False, **columns)


def _write_csv(stream: Any, columns: Mapping[str, np.ndarray]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    cells = [[_cell(value) for value in column.tolist()] for column in columns.values()]
    writer.writerows(zip(*cells, strict=True))


def _cell(value: Any) -> str:
    """Shortest text that gives the number again; empty where there is none."""
    return "" if value in ("", NO_INDEX) or value != value else str(value)
