# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames that a caller holds as ASE Atoms, and what may stand where frames are asked for: Atoms, paths, lists of both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import ase
import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from lmp_uq.errors import UqError

NAME = "memory"
"""Of frames that nobody gave a name."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """Frames in the place of a file. What the caller holds is not changed.

    name: stands for a file's in messages, in the source of a frame and in the provenance of a model file.
    """

    frames: tuple[ase.Atoms, ...]
    name: str = NAME

    def __str__(self) -> str:
        return self.name

    def __iter__(self) -> Iterator[ase.Atoms]:
        """Copies. Of calculators, results are kept that somebody put there; those of a model that is attached are no labels."""
        for number, atoms in enumerate(self.frames):
            copy = atoms.copy()
            if isinstance(atoms.calc, SinglePointCalculator):
                if atoms.calc.check_state(atoms):
                    raise UqError(f"{self}, frame {number}: its results are those of other positions; accepted: those of these atoms")
                copy.calc = atoms.calc
            yield copy

    def sha256(self) -> str:
        """Hash of atoms and everything that they carry, 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for atoms in self:
            tables = {"cell": atoms.cell.array, "pbc": atoms.pbc, **atoms.arrays, **atoms.info, **getattr(atoms.calc, "results", {})}
            for name in sorted(tables, key=str):
                digest.update(f"{name} {_content(tables[name])!r}\n".encode("utf-8", "backslashreplace"))
        return digest.hexdigest()


FrameSource: TypeAlias = "str | os.PathLike[str] | ase.Atoms | InMemory"
"""One place that frames come from."""


def sources_of(data: FrameSource | Iterable[FrameSource], name: str = NAME) -> tuple[str | Path | InMemory, ...]:
    """Where frames come from, in their order; Atoms that follow each other are one source.

    Parameters
    ----------
    data : ase.Atoms, path, or an iterable of them
    name : str
        Of those in memory; further ones, behind a file, are numbered.

    Raises
    ------
    UqError
        Something else.
    """
    if isinstance(data, str | os.PathLike | ase.Atoms | InMemory):
        data = [data]
    if not isinstance(data, Iterable) or isinstance(data, Mapping | bytes):
        raise UqError(f"{name}: a {type(data).__name__}; accepted: ase.Atoms, paths of files that ASE reads, lists of them")
    out: list = []
    for number, item in enumerate(data):
        if isinstance(item, ase.Atoms):
            if not (out and isinstance(out[-1], list)):
                out.append([])
            out[-1].append(item)
        elif isinstance(item, str | os.PathLike | InMemory):
            out.append(item if isinstance(item, str | InMemory) else Path(item))
        else:
            raise UqError(f"{name}: entry {number} is a {type(item).__name__}; accepted: ase.Atoms, paths of files that ASE reads")
    names = (name if k == 1 else f"{name} {k}" for k in count(1))
    return tuple(InMemory(tuple(item), next(names)) if isinstance(item, list) else item for item in out)


def name_of(source: str | Path | InMemory) -> str:
    """A file's name without its folders."""
    return source.name if isinstance(source, InMemory) else Path(source).name


def check_geometry(atoms: ase.Atoms) -> None:
    """Raise UqError for no atoms, or for positions or a cell that are not finite."""
    if len(atoms) == 0:
        raise UqError("it has no atoms")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise UqError("positions or cell are NaN or infinite; accepted: finite numbers")


def _content(value: Any) -> Any:
    """Something whose repr holds all of a value, which that of a long array does not."""
    array = np.asarray(value)
    return value if array.dtype.hasobject else (array.dtype.str, array.shape, array.tobytes())
