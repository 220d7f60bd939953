# SPDX-License-Identifier: GPL-2.0-or-later
"""Cubic crystals of one element: their lattice constants and supercells."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.lattice import LatticeGrid
from lmp_uq.properties.crystal.minimum import crystal_at_minimum

STRUCTURES = {"bcc": np.sqrt(3.0) / 2.0, "fcc": np.sqrt(0.5)}
"""Structures to distance of neighbours over the lattice constant."""
SMALLEST = 2
"""Conventional cells along each side of the smallest supercell."""


def lattice_grid(potential: Any, element: str, structure: str = "bcc") -> LatticeGrid:
    """Lattice constants and energies of a crystal for every Theta of a potential; computed once for it.

    Raises
    ------
    UqError
        A structure that is not known, or no minimum of the mean near the element's volume.
    """
    if structure not in STRUCTURES:
        raise UqError(f"structure {structure!r}; accepted: {', '.join(STRUCTURES)}")
    crystal = crystal_at_minimum(potential, structure, element)
    return LatticeGrid(crystal.curve(), crystal.structure.cubic_atoms)


def supercell(element: str, structure: str, a: float, size: int) -> Atoms:
    """size^3 conventional cells, the first atom at the origin; UqError below `SMALLEST`."""
    if size < SMALLEST:
        raise UqError(f"supercell of {size} conventional cells along each side; accepted: {SMALLEST} or more")
    return bulk(element, structure, a=a, cubic=True) * (size, size, size)
