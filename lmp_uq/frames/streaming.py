# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames one after another from files larger than memory: extended XYZ and LAMMPS dumps, also gzipped.

The text of a frame is cut out by its number of atoms and turned into atoms only where somebody asks, so that ranks can share a file:
each counts all frames and parses its own. Files of other formats go through `lmp_uq.frames.reading`, whole.
"""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast

import ase
import ase.io
from ase.io.formats import UnknownFileTypeError, filetype

from lmp_uq.errors import UqError, argument
from lmp_uq.files import existing_file
from lmp_uq.frames.memory import FrameSource, InMemory, check_geometry, name_of, sources_of
from lmp_uq.frames.reading import read_atoms

XYZ, DUMP = "extxyz", "lammps-dump-text"
_PROBE = 50_000  # bytes from which ASE guesses a format
_HEADS = ("ITEM: UNITS", "ITEM: TIME")
"""What a frame of a dump begins with; TIMESTEP among them."""


class Located(NamedTuple):
    """A frame that was counted and not read: its number among all, where it is, its atoms, and what reads it."""

    number: int
    source: str
    n_atoms: int
    read: Callable[[], ase.Atoms]


def stream_frames(
    data: FrameSource | Iterable[FrameSource], elements: Sequence[str] = (), name: str = "frames", *, results: bool = False
) -> Iterator[Located]:
    """All frames in their order; at most one is in memory.

    Parameters
    ----------
    data : path, ase.Atoms or iterable of them
    elements : sequence of str
        Of the atom types of LAMMPS dumps that have no column element.
    name : str
        Of frames in memory, in messages.
    results : bool
        Keep energies and forces that ASE makes results of a calculator, which may be labels; of a dump they never are.

    Raises
    ------
    UqError
        Naming file and frame, as it is reached or read: a file that is missing, empty or no file of frames, half a frame, a dump without
        elements, no atoms, positions or a cell that are not finite.
    """
    number = itertools.count()
    for source in sources_of(data, name):
        for k, (n_atoms, read) in enumerate(_frames(source, elements, results)):
            yield Located(next(number), f"{name_of(source)}[{k}]", n_atoms, read)


def batches_of_rank(frames: Iterable[Located], batch_atoms: int, rank: int, size: int) -> Iterator[list[Located]]:
    """The batches of one rank, in lists of at most `batch_atoms` atoms (a larger frame is alone).

    A batch holds the same frames whatever the number of ranks.
    """
    batch: list[Located] = []
    n_atoms = n_batches = 0
    for frame in frames:
        if batch and n_atoms + frame.n_atoms > batch_atoms:
            if n_batches % size == rank:
                yield batch
            batch, n_atoms, n_batches = [], 0, n_batches + 1
        mine = n_batches % size == rank
        batch.append(frame if mine else frame._replace(read=_not_mine))
        n_atoms += frame.n_atoms
    if batch and n_batches % size == rank:
        yield batch


def _not_mine() -> ase.Atoms:
    raise RuntimeError("a frame of another rank is read")


def _frames(
    source: str | Path | InMemory, elements: Sequence[str], results: bool
) -> Iterator[tuple[int, Callable[[], ase.Atoms]]]:
    if isinstance(source, InMemory):
        for atoms, _ in read_atoms(source):
            yield len(atoms), _Whole(atoms, results)
        return
    path = existing_file(source)
    kind = _kind(path)
    if kind not in (XYZ, DUMP):
        for atoms, _ in read_atoms(path):
            yield len(atoms), _Whole(atoms, results)
        return
    k = -1
    try:
        with _opened(path) as stream:
            for k, (n_atoms, text) in enumerate(_xyz(stream) if kind == XYZ else _dump(stream)):
                yield n_atoms, _Text(path, k, text, kind, tuple(elements), results and kind == XYZ)
    except (UqError, OSError, EOFError, zlib.error, UnicodeDecodeError, ValueError) as failure:
        if isinstance(failure, UqError) and str(failure).startswith(str(path)):  # of what reads a frame
            raise
        raise UqError(f"{path}, frame {k + 1}: cannot be read: {failure}") from failure


class _Whole:
    """Atoms that are there already."""

    def __init__(self, atoms: ase.Atoms, results: bool) -> None:
        self._atoms, self._results = atoms, results

    def __call__(self) -> ase.Atoms:
        atoms = self._atoms.copy()
        atoms.calc = self._atoms.calc if self._results else None
        return atoms


class _Text:
    """The text of one frame."""

    def __init__(self, path: Path, number: int, text: str, kind: str, elements: tuple[str, ...], results: bool) -> None:
        self._where, self._text, self._kind, self._elements = f"{path}, frame {number}", text, kind, elements
        self._results = results

    def __call__(self) -> ase.Atoms:
        options: dict[str, Any] = {"specorder": list(self._elements)} if self._kind == DUMP and self._elements else {}
        try:
            if self._kind == DUMP:
                _check_types(self._text, self._elements)
            atoms = cast(ase.Atoms, ase.io.read(io.StringIO(self._text), format=self._kind, parallel=False, **options))
            check_geometry(atoms)
        except Exception as failure:
            # ASE's readers raise nearly every kind of exception for a broken file
            raise UqError(f"{self._where}: cannot be read: {str(failure) or type(failure).__name__}") from failure
        if not self._results:  # of a run, whose forces are no labels
            atoms.calc = None
        return atoms


def _check_types(text: str, elements: Sequence[str]) -> None:
    """UqError where a dump says of its atoms only the types, and nobody says what these are."""
    start = text.index("ITEM: ATOMS")
    columns = text[start : text.index("\n", start)].split()[2:]
    if {"element", "mass"} & set(columns):
        return
    if not elements:
        raise UqError(f"columns {' '.join(columns)}; accepted: one named element, or {argument('elements')} for the atom types")
    if "type" in columns:
        at = columns.index("type")
        most = max((int(line.split()[at]) for line in text[start:].splitlines()[1:]), default=0)
        if most > len(elements):
            raise UqError(f"atom type {most} and {len(elements)} elements; accepted: an element for each type")


def _kind(path: Path) -> str:
    try:
        with _opened(path, "rb") as stream:
            head = stream.read(_PROBE)
        if head.startswith(b"ITEM: "):  # TIMESTEP, or before it UNITS or TIME of dump_modify
            return DUMP
        if not head.strip():
            raise UqError("the file is empty")
        probe = io.BytesIO(head)
        probe.name = path.stem if path.suffix == ".gz" else path.name
        return str(filetype(probe))
    except (UqError, OSError, EOFError, zlib.error, UnknownFileTypeError) as failure:
        raise UqError(f"{path}: cannot be read as frames: {failure}; accepted: extxyz, a LAMMPS dump or what ASE reads") from failure


def _opened(path: Path, mode: str = "rt") -> Any:
    return gzip.open(path, mode) if path.suffix == ".gz" else open(path, mode)


def _xyz(stream: TextIO) -> Iterator[tuple[int, str]]:
    for line in stream:
        if not line.strip():
            if any(rest.strip() for rest in stream):
                raise UqError("an empty line is followed by more text; accepted: frames without lines between them")
            return
        n_atoms = int(line)
        lines = [line, *itertools.islice(stream, n_atoms + 1)]
        if len(lines) < n_atoms + 2:
            raise UqError(f"{max(len(lines) - 2, 0)} of {n_atoms} atoms, then the file ends")
        yield n_atoms, "".join(lines)


def _dump(stream: TextIO) -> Iterator[tuple[int, str]]:
    lines: list[str] = []
    n_atoms, complete = -1, False
    for line in stream:
        if complete and line.startswith(_HEADS):
            yield n_atoms, "".join(lines)
            lines, n_atoms, complete = [], -1, False
        lines.append(line)
        if line.startswith("ITEM: NUMBER OF ATOMS"):
            lines.append(next(stream, ""))
            n_atoms = int(lines[-1])
        elif line.startswith("ITEM: ATOMS"):
            atoms = list(itertools.islice(stream, max(n_atoms, 0)))
            if len(atoms) < n_atoms or n_atoms < 0:
                raise UqError(f"{len(atoms)} of {n_atoms} atoms, then the file ends")
            lines += atoms
            complete = True
    if lines and not complete:
        raise UqError("half a frame, then the file ends")
    if lines:
        yield n_atoms, "".join(lines)
