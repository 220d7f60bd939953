# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels that a loop has bought: a file for each frame, named by its content, so that none is bought twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from lmp_uq.errors import UqError
from lmp_uq.frames.frame import content_hash
from lmp_uq.frames.labels import DEFAULT_KEYS, LabelKeys, find_labels
from lmp_uq.frames.reading import read_atoms, write_extxyz

CLOSE = 1e-3
"""Angstrom: how far positions and cells of an answer may be from those of the question, which files and programs round."""


class LabelStore:
    """A folder of labelled frames.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, atoms: Atoms) -> bool:
        return self._path(atoms).exists()

    def get(self, atoms: Atoms) -> Atoms:
        """The frame with REF_energy, REF_forces and REF_stress beside what it says of itself."""
        ((found, _),) = read_atoms(self._path(atoms))
        out = bare(atoms)
        out.info |= {name: value for name, value in found.info.items() if name.startswith("REF_")}
        out.arrays["REF_forces"] = found.arrays["REF_forces"]
        return out

    def put(self, atoms: Atoms, answer: Atoms, where: str, keys: LabelKeys = DEFAULT_KEYS) -> None:
        """Keep the labels of an answer.

        Parameters
        ----------
        atoms : Atoms
            What was asked.
        answer : Atoms
            The same, with labels.
        where : str
            File and frame of the answer, for messages.
        keys : LabelKeys
            Their names; without them REF_ and plain ones.

        Raises
        ------
        UqError
            Other atoms, positions or cell; no forces; labels that are no finite numbers of the right shape.
        """
        _check_same(atoms, answer, where)
        labels = find_labels(answer, keys, where)
        if labels.forces is None:
            raise UqError(f"{where}: there are no forces; accepted: forces, and energy and stress where there are any")
        out = bare(atoms)
        out.arrays["REF_forces"] = labels.forces
        if np.isfinite(labels.energy):
            out.info["REF_energy"] = labels.energy
        if labels.stress is not None:
            out.info["REF_stress"] = labels.stress
        write_extxyz(self._path(atoms), [out])

    def _path(self, atoms: Atoms) -> Path:
        return self._folder / f"{content_hash(atoms):016x}.extxyz"


def take_answer(store: LabelStore, asked: Sequence[Atoms], path: Path, keys: LabelKeys) -> None:
    """Keep what a label command wrote about frames, all of it or nothing.

    Raises
    ------
    UqError
        No file, half a frame, fewer or more frames than were asked for; as `LabelStore.put`.
    """
    if not path.exists():
        raise UqError(f"{path}: the label command wrote no such file; accepted: extxyz with the {len(asked)} frames of its input")
    answers = read_atoms(path)
    if len(answers) != len(asked):
        raise UqError(f"{path}: {len(answers)} frames, and {len(asked)} were asked for; accepted: as many, in the same order")
    for atoms, (answer, where) in zip(asked, answers, strict=True):
        _check_same(atoms, answer, f"{path}: {where}")
        find_labels(answer, keys, f"{path}: {where}")
    for atoms, (answer, where) in zip(asked, answers, strict=True):
        store.put(atoms, answer, f"{path}: {where}", keys)


def bare(atoms: Atoms) -> Atoms:
    """Elements, positions, cell and what was chosen of a frame; no numbers of a run, among which labels could be looked for."""
    out = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    out.info = {name: value for name, value in atoms.info.items() if name == "config_type" or name.startswith(("select_", "learn_"))}
    return out


def _check_same(atoms: Atoms, answer: Atoms, where: str) -> None:
    """UqError unless these are the same atoms in the same order; whole cells may be between their positions."""
    if len(answer) != len(atoms) or (answer.numbers != atoms.numbers).any():
        found, asked = answer.get_chemical_formula(), atoms.get_chemical_formula()
        other = "in another order" if found == asked else f"and {asked} was asked for"
        raise UqError(f"{where}: other atoms: {found}, {other}; accepted: the atoms of the input in their order")
    if np.abs(answer.cell.array - atoms.cell.array).max() > CLOSE:
        raise UqError(f"{where}: another cell than in the input; accepted: the same cell")
    apart = answer.positions - atoms.positions
    if atoms.cell.rank:
        steps = apart @ np.linalg.pinv(atoms.cell.array)
        apart = apart - np.where(atoms.pbc, np.rint(steps), 0.0) @ atoms.cell.array
    if np.abs(apart).max() > CLOSE:
        k = int(np.abs(apart).max(axis=1).argmax())
        raise UqError(f"{where}: other positions: atom {k} is {np.linalg.norm(apart[k]):.2g} Angstrom away; accepted: those of the input")
