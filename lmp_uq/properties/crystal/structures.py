# SPDX-License-Identifier: GPL-2.0-or-later
"""Crystal structures of the elements, from the space group and Wyckoff positions of their prototypes.

Positions: M. J. Mehl et al., Comput. Mater. Sci. 136, S1 (2017) (AFLOW library of crystallographic prototypes, part 1), which cites the
structure determinations; 4e of C36: Y. Komura, K. Tokunaga, Acta Cryst. B 36, 1548 (1980); Al5W: J. Adam, J. B. Rich, Acta Cryst. 8, 349
(1955), in the space group of K. Cenzual et al., Acta Cryst. B 47, 433 (1991). One element stands on all sites, which makes Al5W double
hcp. Free coordinates and c/a are where a minimisation begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, reference_states
from ase.spacegroup import crystal

from lmp_uq.errors import UqError


class Prototype(NamedTuple):
    """A structure: space group, c/a (1: cubic), whether the cell is hexagonal, and one representative of each occupied Wyckoff position."""

    space_group: int
    c_over_a: float
    hexagonal: bool
    sites: tuple[tuple[float, float, float], ...]
    atoms: int
    """Atoms of the conventional cell."""


THIRD = 1.0 / 3.0
LARGEST_VOLUME = 1e4
"""Angstrom^3 per atom: no crystal."""
PROTOTYPES = {
    "bcc": Prototype(229, 1.0, False, ((0.0, 0.0, 0.0),), 2),
    "fcc": Prototype(225, 1.0, False, ((0.0, 0.0, 0.0),), 4),
    "hcp": Prototype(194, 1.6, True, ((THIRD, 2 * THIRD, 0.25),), 2),
    "A15": Prototype(223, 1.0, False, ((0.0, 0.0, 0.0), (0.25, 0.0, 0.5)), 8),
    "sigma": Prototype(
        136,
        0.51818,
        False,
        (
            (0.0, 0.0, 0.0),
            (0.39864, 0.39864, 0.0),
            (0.46349, 0.13122, 0.0),
            (0.73933, 0.06609, 0.0),
            (0.18267, 0.18267, 0.25202),
        ),
        30,
    ),
    "chi": Prototype(217, 1.0, False, ((0.0, 0.0, 0.0), (0.31787,) * 3, (0.35706, 0.35706, 0.03457), (0.08958, 0.08958, 0.28194)), 58),
    "mu": Prototype(
        166,
        5.4313,
        True,
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.167), (0.0, 0.0, 0.346), (0.0, 0.0, 0.448), (5 / 6, 1 / 6, 0.25667)),
        39,
    ),
    "C14": Prototype(194, 1.64005, True, ((THIRD, 2 * THIRD, 0.06286), (0.0, 0.0, 0.0), (0.83048, 0.66096, 0.25)), 12),
    "C15": Prototype(227, 1.0, False, ((0.125, 0.125, 0.125), (0.5, 0.5, 0.5)), 24),
    "C36": Prototype(
        194,
        3.28068,
        True,
        ((0.0, 0.0, 0.094), (THIRD, 2 * THIRD, 0.84417), (THIRD, 2 * THIRD, 0.12514), (0.5, 0.0, 0.0), (0.16429, 0.32858, 0.25)),
        24,
    ),
    "Al5W": Prototype(182, 1.8068, True, ((0.0, 0.0, 0.25), (THIRD, 2 * THIRD, 0.25), (THIRD, 2 * THIRD, 0.75), (THIRD, 0.0, 0.0)), 12),
    "Al12W": Prototype(204, 1.0, False, ((0.0, 0.0, 0.0), (0.0, 0.184, 0.309)), 26),
}


class Structure(NamedTuple):
    """A crystal and what of its cell its symmetry leaves free.

    Attributes
    ----------
    name : str
    atoms : ase.Atoms
        A primitive cell.
    cell, couple : str
        As `lmp_uq.properties.potential.system.LinearSystem.relax` takes them.
    cubic_atoms : int
        Atoms of the conventional cell of a cubic crystal, 0 for others.
    """

    name: str
    atoms: Atoms
    cell: str
    couple: str
    cubic_atoms: int


def structure(name: str, element: str, volume: float | None = None) -> Structure:
    """A structure by name, or from a file that ASE reads.

    Parameters
    ----------
    name : str
        One of `PROTOTYPES`, or the path of a file (anything with a dot in it), whose cell may strain along its Cartesian axes.
    element : str
        On all sites of a prototype; a file keeps its own.
    volume : float or None
        Angstrom^3 per atom; None: that of the element's own crystal at room temperature, for files the file's.

    Raises
    ------
    UqError
        An unknown name, an element without a known volume, a volume of no crystal, a file that holds none.
    """
    if "." in name:
        return _from_file(name, volume)
    if name not in PROTOTYPES:
        text = f"structure {name!r}; accepted: {', '.join(PROTOTYPES)}, or the path of a file that ASE reads, with a dot in it (./{name})"
        raise UqError(text)
    prototype = PROTOTYPES[name]
    cell = [1.0, 1.0, prototype.c_over_a, 90, 90, 120 if prototype.hexagonal else 90]
    setting = 2 if prototype.space_group == 227 else 1  # origin at the centre of inversion
    symbols, where = [element] * len(prototype.sites), {"spacegroup": prototype.space_group, "setting": setting}
    atoms = crystal(symbols, prototype.sites, cellpar=cell, primitive_cell=True, **where)
    plain = Atoms(atoms.get_chemical_symbols(), scaled_positions=atoms.get_scaled_positions(), cell=atoms.cell, pbc=True)
    _scale(plain, _volume_of(element) if volume is None else volume)
    cubic = prototype.c_over_a == 1.0
    return Structure(name, plain, "iso" if cubic else "aniso", "none" if cubic else "xy", prototype.atoms if cubic else 0)


def _from_file(name, volume):
    import ase.io

    from lmp_uq.files import existing_file

    try:
        atoms = cast(Atoms, ase.io.read(existing_file(name)))
    except UqError:
        raise
    except Exception as error:  # ASE's readers raise whatever they meet
        raise UqError(f"structure {name}: ASE cannot read it: {type(error).__name__}: {error}") from error
    if atoms.cell.rank < 3:
        raise UqError(f"structure {name}: it has no cell of three vectors; accepted: a crystal")
    plain = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=True, info=atoms.info)
    if volume is not None:
        _scale(plain, volume)
    return Structure(Path(name).stem, plain, "aniso", "none", 0)


def _volume_of(element):
    state: Mapping[str, Any] = reference_states[atomic_numbers[element]] or {}
    ideal = {"bcc": 2, "fcc": 4, "diamond": 8}
    if state.get("symmetry") in ideal:
        return state["a"] ** 3 / ideal[state["symmetry"]]
    if state.get("symmetry") == "hcp":
        return 0.25 * np.sqrt(3.0) * state["a"] ** 3 * state["c/a"]
    raise UqError(f"the volume of {element} is not known here; give volume, Angstrom^3 per atom, in the suite")


def _scale(atoms, volume):
    if not 0.0 < volume < LARGEST_VOLUME:
        raise UqError(f"volume {volume:g}; accepted: above 0 and below {LARGEST_VOLUME:g}, Angstrom^3 per atom")
    atoms.set_cell(atoms.cell.array * np.cbrt(volume * len(atoms) / atoms.get_volume()), scale_atoms=True)
