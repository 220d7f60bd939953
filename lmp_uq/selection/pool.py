# SPDX-License-Identifier: GPL-2.0-or-later
"""The candidates of one rank: what is said of each frame, and its descriptors on disk."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from tqdm import tqdm

from lmp_uq.backbone.graph import graph_for
from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file
from lmp_uq.frames.frame import NO_GROUP, Frame, check_frames, content_hash
from lmp_uq.frames.streaming import Located, batches_of_rank
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks

BATCH_ATOMS = 256
MEMORY = 512 * 2**20
"""Bytes of descriptors that a rank keeps in memory beside those on disk."""
MARKS = 4
SAME = 1e-5
"""Difference of marks, over their root mean square, of frames that are copies: moved, rotated, of permuted atoms or repeated."""
LAYOUT = "select 1"
"""Raised when what a file holds changes: older files are then made anew."""


@dataclass
class Candidate:
    """One frame: number in the pool, where it is, its content hash, group, atoms, commonest element, largest grade and element of it.

    grade is NaN where nothing grades; batch and first say where its descriptors are.
    """

    number: int
    source: str
    key: int
    group: str
    n_atoms: int
    element: str
    grade: float
    grade_element: str
    elements: tuple[str, ...]
    batch: int
    first: int


class Pool:
    """Frames of one rank, read once, batch by batch; afterwards only `Candidate` and a file of descriptors of each batch remain.

    Parameters
    ----------
    frames : iterable of Located
        All frames, the same on every rank.
    backbone : Backbone
    folder : path
        Of the files, made if it is missing. Their names are hashes of what they depend on: a job that was interrupted finds them.
    identity : str
        Of the backbone and its arithmetic.
    ranks : Ranks
    novelty : Novelty or None
        Grades the atoms.
    group_key : str
        Entry of ``atoms.info`` that names the group of a frame.
    progress : str
        Shown while frames are evaluated; empty: nothing.

    Attributes
    ----------
    candidates : list of Candidate
        In the order of the pool.
    means : (n, P) array
        Mean descriptor of each.
    n_frames : int
        Of all ranks.

    Raises
    ------
    UqError
        Naming the frame: what cannot be read, an element that the model lacks, a descriptor that is not finite.
    """

    def __init__(
        self, frames: Iterable[Located], backbone: Any, folder: str | Path, identity: str, ranks: Ranks, *,
        novelty: Novelty | None = None, group_key: str = "config_type", progress: str = "",
    ) -> None:  # fmt: skip
        self._backbone, self._folder, self._identity = backbone, Path(folder), identity
        self._novelty, self._group_key = novelty, group_key
        self._files: list[Path] = []
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._bytes = 0
        self.candidates: list[Candidate] = []
        means: list[np.ndarray] = []
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise UqError(f"{folder}: cannot be made a folder for descriptors: {failure.strerror}") from failure
        with tqdm(desc=progress, unit="frame", disable=not progress or ranks.rank > 0) as bar:
            for batch in batches_of_rank(frames, BATCH_ATOMS, ranks.rank, ranks.size):
                means += self._take(batch)
                bar.update(len(batch))
        self.means = np.array(means).reshape(len(means), backbone.n_features)
        self.n_frames = int(ranks.sum(np.array([len(self.candidates)]))[0])

    def __len__(self) -> int:
        return len(self.candidates)

    def descriptors(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, P) descriptors and (n,) species of the atoms of a candidate of this rank."""
        mine = self.candidates[index]
        descriptors, species = self._batch(mine.batch)
        atoms = slice(mine.first, mine.first + mine.n_atoms)
        return descriptors[atoms], species[atoms]

    @property
    def marks(self) -> np.ndarray:
        """(n, MARKS) projections of the mean descriptors by which `alike` knows equal frames."""
        return self.means @ np.random.default_rng(0).normal(size=(self.means.shape[1], MARKS))

    def keep(self, indices: Sequence[int]) -> None:
        """Drop all other candidates."""
        self.candidates, self.means = [self.candidates[k] for k in indices], self.means[list(indices)]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Descriptors, species and frame numbers of each batch, of a pool that keeps all: what `lmp_uq.novelty.fit` takes."""
        for number, group in itertools.groupby(self.candidates, key=lambda one: one.batch):
            mine = list(group)
            yield *self._batch(number), np.repeat([one.number for one in mine], [one.n_atoms for one in mine])

    def _take(self, batch: Sequence[Located]) -> list[np.ndarray]:
        frames = [self._frame(one.read(), one.source) for one in batch]
        check_frames(frames, self._backbone)
        descriptors, species = self._evaluated(frames)
        firsts = np.cumsum([0, *(len(frame.atoms) for frame in frames)])
        grades = np.full(len(species), np.nan) if self._novelty is None else self._novelty.grade(descriptors, species)
        for located, frame, first in zip(batch, frames, firsts[:-1].tolist(), strict=True):
            symbols = frame.atoms.get_chemical_symbols()
            mine = grades[first : first + len(symbols)]
            counts = Counter(symbols)
            commonest = min(counts, key=lambda symbol: (-counts[symbol], symbol))
            at = 0 if self._novelty is None else int(np.argmax(mine))
            self.candidates.append(
                Candidate(
                    located.number, frame.source, frame.key, frame.group, len(symbols), commonest, float(mine[at]), symbols[at],
                    tuple(counts), len(self._files) - 1, first,
                )
            )  # fmt: skip
        return [part.mean(axis=0) for part in np.split(descriptors, firsts[1:-1])]

    def _frame(self, atoms: Atoms, source: str) -> Frame:
        group = str(atoms.info.get(self._group_key, NO_GROUP))
        return Frame(atoms, np.nan, None, None, group, source, content_hash(atoms))

    def _evaluated(self, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
        """Descriptors and species of a batch, from its file or made, and kept."""
        digest = hashlib.sha256(f"{LAYOUT} {self._identity}".encode())
        digest.update(np.array([frame.key for frame in frames], dtype=np.uint64).tobytes())
        self._files.append(self._folder / f"{digest.hexdigest()[:32]}.npz")
        number = len(self._files) - 1
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or a damaged one
            return self._batch(number)
        found = _descriptors(self._backbone, frames)
        bad = np.flatnonzero(~np.isfinite(found[0]).all(axis=1))
        if len(bad):
            at = np.searchsorted(np.cumsum([len(frame.atoms) for frame in frames]), bad[0], side="right")
            raise UqError(f"{frames[at].source}: descriptors are NaN or infinite ({len(bad)} atoms of this batch); all must be finite")
        with atomic_file(self._files[number]) as stream:
            np.savez(stream, descriptors=found[0], species=found[1])
        self._remember(number, found)
        return found

    def _batch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        if number in self._kept:
            return self._kept[number]
        # opened here: numpy leaves a damaged file open
        with open(self._files[number], "rb") as stream, np.load(stream, allow_pickle=False) as file:
            found = file["descriptors"], file["species"]
        self._remember(number, found)
        return found

    def _remember(self, number: int, found: tuple[np.ndarray, np.ndarray]) -> None:
        self._kept[number] = found
        self._bytes += found[0].nbytes
        while self._bytes > MEMORY and len(self._kept) > 1:
            self._bytes -= self._kept.pop(next(iter(self._kept)))[0].nbytes


def alike(marks: np.ndarray) -> list[int]:
    """Number of a kind for each frame, by its marks (n, MARKS); frames of a kind are copies of one another."""
    near = SAME * np.sqrt(np.mean(marks**2))
    kinds, firsts = [0] * len(marks), list[int]()  # firsts: of the kinds that may still be met, by their first mark
    n_kinds = 0
    for k in np.argsort(marks[:, 0], kind="stable").tolist():
        firsts = [one for one in firsts if marks[k, 0] - marks[one, 0] <= near]
        same = next((one for one in firsts if np.abs(marks[k] - marks[one]).max() <= near), None)
        if same is None:
            firsts.append(k)
            kinds[k], n_kinds = n_kinds, n_kinds + 1
        else:
            kinds[k] = kinds[same]
    return kinds


def _descriptors(backbone: Any, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    if getattr(backbone, "linear", False):
        found = [backbone.evaluate_frame(frame.atoms) for frame in frames]
        return np.concatenate([one.descriptors for one in found]), np.concatenate([one.species for one in found]).astype(np.int64)
    graph, _ = graph_for(backbone, [frame.atoms for frame in frames], [frame.source for frame in frames])
    return np.asarray(backbone.evaluate(graph, False).descriptors, dtype=np.float64), graph.species[: graph.n_local].astype(np.int64)
