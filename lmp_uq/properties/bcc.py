# SPDX-License-Identifier: GPL-2.0-or-later
"""Cubic crystals of one element: their lattice grid, supercells, and the defects and slabs cut from them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

from lmp_uq.errors import UqError
from lmp_uq.properties.lattice import LatticeGrid

STRUCTURES = {"bcc": np.sqrt(3.0) / 2.0, "fcc": np.sqrt(0.5)}
"""Structures to distance of neighbours over the lattice constant."""


def lattice_grid(potential, element: str, structure: str = "bcc", guess: float | None = None) -> LatticeGrid:
    """Energies of a crystal over its lattice constant for every Theta of a potential; computed once for it.

    Parameters
    ----------
    potential
        Has ``system(atoms)`` and ``theta``.
    guess : float or None
        Lattice constant near which the mean's is looked for, Angstrom; None: such that neighbours are two covalent radii apart.

    Raises
    ------
    UqError
        A structure that is not known; no minimum near the guess.
    """
    if structure not in STRUCTURES:
        raise UqError(f"structure {structure!r}; accepted: {', '.join(STRUCTURES)}")
    key = ("lattice", element, structure)
    if key not in potential.shared:
        potential.shared[key] = _computed_grid(potential, element, structure, guess)
    return potential.shared[key]


def _computed_grid(potential, element, structure, guess):
    guess = guess or 1.75 * covalent_radii[atomic_numbers[element]] / STRUCTURES[structure]
    atoms = bulk(element, structure, a=guess)
    system = potential.system(atoms)

    def evaluate(a):
        phi, reference = system.energy_row(atoms.positions * (a / guess), atoms.cell.array * (a / guess))
        return reference, phi

    return LatticeGrid.about(evaluate, potential.theta, guess)


def supercell(element: str, structure: str, a: float, size: int) -> Atoms:
    """size^3 conventional cells; the first atom is at the origin."""
    return bulk(element, structure, a=a, cubic=True) * (size, size, size)
