# SPDX-License-Identifier: GPL-2.0-or-later
"""One labelled set of atoms, and what may be asked of a list of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
import ase.io
import numpy as np

from lmp_uq.backbone.graph import check_inputs
from lmp_uq.errors import UqError

_GRID = 1e-6  # Angstrom, rounding of the content hash

NO_GROUP = "default"


@dataclass
class Frame:
    """One labelled set of atoms.

    Attributes
    ----------
    atoms : ase.Atoms
        Without calculator; positions and cell in Angstrom.
    energy : float
        Total energy of the cell, eV; nan if there is none.
    forces : (n_atoms, 3) array or None
        eV/Angstrom.
    stress : (3, 3) array or None
        eV/Angstrom^3, symmetric, ASE sign: positive where the crystal wants to shrink.
    group : str
        Value of the group key; "default" if the frame has none.
    source : str
        File name and index of the frame in it, ``name[index]``.
    key : int
        Content hash, 0 <= key < 2^64: atomic numbers, positions and cell rounded to 1e-6 Angstrom,
        periodicity; not the labels. Equal frames have equal keys on every machine.
    weights : tuple of three floats
        Of the energy, the forces and the stress in a fit, relative; above 0.
    """

    atoms: ase.Atoms
    energy: float
    forces: np.ndarray | None
    stress: np.ndarray | None
    group: str
    source: str
    key: int
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)


def check_elements(frames: Sequence[Frame], elements: Sequence[str]) -> None:
    """Raise UqError, naming file and frame, if a frame holds an element that is not among `elements`."""
    known = set(elements)
    for frame in frames:
        unknown = sorted(set(frame.atoms.get_chemical_symbols()) - known)
        if unknown:
            raise UqError(f"{frame.source}: elements {', '.join(unknown)} found; accepted: {', '.join(elements)}")


def check_frames(frames: Sequence[Frame], backbone: Any) -> None:
    """Raise UqError, naming file and frame, if a frame holds an element, a charge or a spin that is not the backbone's."""
    check_elements(frames, backbone.elements)
    check_inputs((frame.atoms for frame in frames), backbone, [frame.source for frame in frames])


def split_hold_out(frames: Sequence[Frame], selection: str) -> tuple[list[Frame], list[Frame]]:
    """Split off the frames whose ``atoms.info`` has one value under one key.

    Parameters
    ----------
    frames : sequence of Frame
    selection : str
        ``KEY=VALUE``, compared as text, for example ``config_type=liquid``.

    Returns
    -------
    kept, held : list of Frame

    Raises
    ------
    UqError
        Not of that form, no frame matches (lists the values there are), or every frame matches.
    """
    key, equals, value = selection.partition("=")
    if not equals or not key:
        raise UqError(f"hold-out '{selection}' has no key and value; accepted: KEY=VALUE, as config_type=liquid")
    values = [str(frame.atoms.info[key]) if key in frame.atoms.info else None for frame in frames]
    held = [frame for frame, found in zip(frames, values, strict=True) if found == value]
    kept = [frame for frame, found in zip(frames, values, strict=True) if found != value]
    if not held:
        raise UqError(f"hold-out '{selection}' matches none of {len(frames)} frames; {_there_is(frames, key, values)}")
    if not kept:
        raise UqError(f"hold-out '{selection}' matches all {len(frames)} frames; accepted: a part of them")
    return kept, held


def content_hash(atoms: ase.Atoms) -> int:
    """BLAKE2b of little-endian integers, 8 bytes: the same on every platform."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(np.asarray(atoms.numbers, dtype="<i8").tobytes())
    for lengths in (atoms.positions, atoms.cell.array):
        digest.update(np.rint(lengths / _GRID).astype("<i8").tobytes())
    digest.update(np.asarray(atoms.pbc, dtype="|u1").tobytes())
    return int.from_bytes(digest.digest(), "little")


def _there_is(frames: Sequence[Frame], key: str, values: Sequence[str | None]) -> str:
    """What could have been selected instead."""
    found = sorted({value for value in values if value is not None})
    if found:
        return f"{key} is one of {', '.join(found[:20])}" + f" and {len(found) - 20} more" * (len(found) > 20)
    keys = sorted({str(name) for frame in frames for name in frame.atoms.info})
    return f"no frame has the key {key}; there are {', '.join(keys[:20]) or 'none'}"
