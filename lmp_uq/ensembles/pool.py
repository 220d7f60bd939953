# SPDX-License-Identifier: GPL-2.0-or-later
"""Forces of all models on all frames of a rank: kept on disk by their content, of each frame a record in memory."""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from tqdm import tqdm

from lmp_uq.ensembles.disagreement import about_mean
from lmp_uq.ensembles.members import Member
from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file
from lmp_uq.frames.frame import NO_GROUP, Frame, content_hash
from lmp_uq.frames.labels import DEFAULT_KEYS, LabelKeys, labels_if_any
from lmp_uq.frames.notes import LABELS_OF
from lmp_uq.frames.streaming import Located, batches_of_rank
from lmp_uq.parallel.ranks import Ranks

BATCH_ATOMS = 256
LAYOUT = "ensemble 1"
"""Raised when what a file holds changes: older files are then made anew."""
NO_FORCE = 1e-3
"""eV/Angstrom: an atom whose force and error are both smaller has none by symmetry, and nothing is learned from it."""
LEAST, DECADES, BINS = -8, 12, 12_000
"""Errors are counted in so many bins of their logarithm, from 1e-8 eV/Angstrom on: their median to 0.2 %, whatever the number of atoms."""


@dataclass
class Record:
    """What is known of one frame.

    number, source, group, n_atoms; d : (K,) of `lmp_uq.ensembles.disagreement.about_mean`, eV/Angstrom; max_force : largest force of the
    mean model, driver_force : of the first; composition : {atomic number: atoms}.

    Of a frame with labels, else NaN: error : largest over atoms of the mean model; errors : (K,) of each model; squares : (K,) sums of
    squared force components; energies : (K,) label minus model, eV.
    """

    number: int
    source: str
    group: str
    n_atoms: int
    composition: Counter[int]
    d: np.ndarray
    max_force: float
    driver_force: float
    error: float
    errors: np.ndarray
    squares: np.ndarray
    energies: np.ndarray

    @property
    def labelled(self) -> bool:
        """Whether it has forces to compare with."""
        return bool(np.isfinite(self.error))

    @property
    def silent(self) -> bool:
        """Whether no model gives it a force, as by symmetry."""
        return max(self.max_force, float(self.d.max())) < NO_FORCE


class Forces:
    """Energies and forces of all models, found on disk or made and kept there.

    Parameters
    ----------
    members : sequence of Member
    folder : path
        Made if it is missing. Names of files are hashes of model and frames: a job that was interrupted finds them.
    """

    def __init__(self, members: Sequence[Member], folder: str | Path) -> None:
        self.members, self._folder = members, Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise UqError(f"{folder}: cannot be made a folder for forces: {failure.strerror}") from failure

    def of(self, frames: Sequence[Frame]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Energies (K, n_frames), eV, and forces (K, n, 3) of each frame, eV/Angstrom."""
        found = [self._of(member, frames) for member in self.members]
        ends = np.cumsum([len(frame.atoms) for frame in frames])[:-1]
        return np.array([energies for energies, _ in found]), np.split(np.array([forces for _, forces in found]), ends, axis=1)

    def _of(self, member: Member, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
        digest = hashlib.sha256(f"{LAYOUT} {member.identity}".encode())
        digest.update(np.array([frame.key for frame in frames], dtype=np.uint64).tobytes())
        path = self._folder / f"{digest.hexdigest()[:32]}.npz"
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or a damaged one
            return _read(path)
        energies, forces = member.evaluate(frames)
        with atomic_file(path) as stream:
            np.savez(stream, energies=energies, forces=forces)
        return energies, forces


class Pool:
    """Records of all frames, on every rank.

    Parameters
    ----------
    frames : iterable of Located
        All frames, the same on every rank.
    forces : Forces
    ranks : Ranks
    keys : LabelKeys
    group_key : str
        Entry of ``atoms.info`` that names the group of a frame.
    progress : str
        Shown while frames are evaluated; empty: nothing.

    Attributes
    ----------
    records : list of Record
        In the order of the frames.

    Raises
    ------
    UqError
        Naming the frame: what cannot be read, labels that are none, what a model refuses; no frames at all.
    """

    def __init__(
        self, frames: Iterable[Located], forces: Forces, ranks: Ranks, *,
        keys: LabelKeys = DEFAULT_KEYS, group_key: str = "config_type", progress: str = "",
    ) -> None:  # fmt: skip
        self._forces, self._keys, self._group_key = forces, keys, group_key
        counts = np.zeros((len(forces.members), BINS), np.int64)
        mine: list[Record] = []
        with tqdm(desc=progress, unit="frame", disable=not progress or ranks.rank > 0) as bar:
            for batch in batches_of_rank(frames, BATCH_ATOMS, ranks.rank, ranks.size):
                mine += self._take(batch, counts)
                bar.update(len(batch))
        self._counts = ranks.sum(counts)
        self.records = sorted((one for rank in ranks.gather(mine) for one in rank), key=lambda one: one.number)
        if not self.records:
            raise UqError("there are no frames; accepted: at least one")

    @property
    def medians(self) -> np.ndarray:
        """(K,) median error of a force, eV/Angstrom, over the labelled atoms but those without a force; NaN without any."""
        n = self._counts[0].sum()
        if not n:
            return np.full(len(self._counts), np.nan)
        bins = np.argmax(np.cumsum(self._counts, axis=1) > (n - 1) // 2, axis=1)
        return 10.0 ** (LEAST + DECADES * (bins + 0.5) / BINS)

    def _take(self, batch: Sequence[Located], counts: np.ndarray) -> list[Record]:
        frames = [frame_of(one, self._group_key) for one in batch]
        energies, forces = self._forces.of(frames)
        parts = zip(batch, frames, energies.T, forces, strict=True)
        return [self._record(located.number, frame, energy, force, counts) for located, frame, energy, force in parts]

    def _record(self, number: int, frame: Frame, energies: np.ndarray, forces: np.ndarray, counts: np.ndarray) -> Record:
        mean, nothing = forces.mean(axis=0), np.full(len(forces), np.nan)
        record = Record(
            number, frame.source, frame.group, len(frame.atoms), Counter(frame.atoms.numbers.tolist()), about_mean(forces), _largest(mean),
            _largest(forces[0]), np.nan, nothing, nothing, nothing,
        )  # fmt: skip
        labels = None if LABELS_OF in frame.atoms.info else labels_if_any(frame.atoms, self._keys, frame.source)
        if labels is None:
            return record
        record.energies = labels.energy - energies
        if labels.forces is not None:
            away = labels.forces - forces
            errors = np.linalg.norm(away, axis=2)
            record.error, record.errors, record.squares = _largest(labels.forces - mean), errors.max(axis=1), np.sum(away**2, axis=(1, 2))
            moved = (np.linalg.norm(labels.forces, axis=1) >= NO_FORCE) | (errors.max(axis=0) >= NO_FORCE)
            for mine, found in zip(counts, errors[:, moved], strict=True):
                places = (np.log10(np.maximum(found, 1e-300)) - LEAST) * (BINS / DECADES)
                mine += np.bincount(np.clip(places, 0, BINS - 1).astype(int), minlength=BINS)
        return record


def frame_of(located: Located, group_key: str) -> Frame:
    """The frame, read; its labels stay where they are."""
    atoms: Atoms = located.read()
    return Frame(atoms, np.nan, None, None, str(atoms.info.get(group_key, NO_GROUP)), located.source, content_hash(atoms))


def _largest(forces: np.ndarray) -> float:
    return float(np.linalg.norm(forces, axis=1).max())


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    # opened here: numpy leaves a damaged file open
    with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
        return file["energies"], file["forces"]
