# SPDX-License-Identifier: GPL-2.0-or-later
"""Surface energies of cubic crystals from slabs with one atom in a layer."""

from __future__ import annotations

from math import gcd
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.build import bulk

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.bcc import STRUCTURES, lattice_grid
from lmp_uq.properties.crystal.lattice import LatticeGrid
from lmp_uq.properties.kinds.excess import ELEMENT, ExcessEnergy, ExcessProperty
from lmp_uq.properties.minima.stationary import StationaryState
from lmp_uq.properties.property import Option, Quantity

ORIENTATIONS = ("100", "110", "111", "210", "211", "310", "311", "320", "321", "322", "332")
THICKNESS = 25.0
"""Angstrom: 12 layers of (110) tungsten."""
VACUUM = 12.0
"""Angstrom between a slab and its image."""
MILLIJOULE = 16021.766
"""1 eV/Angstrom^2 in mJ/m^2."""
_REACH = 18
"""Multiples of the basis vectors among which those of a layer are sought: enough for every three digits."""


def layer_vectors(orientation: str, structure: str = "bcc") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lattice vectors that make a slab: two that span a layer, the shortest, and one to the next layer, in lattice constants.

    Raises
    ------
    UqError
        An orientation that is not three digits, not all 0; a structure that is not known.
    """
    if not (len(orientation) == 3 and set(orientation) <= set("0123456789") and int(orientation)):
        raise UqError(f"surface {orientation!r}; accepted: three Miller indices of one digit, as 110")
    if structure not in STRUCTURES:
        raise UqError(f"structure {structure!r}; accepted: {', '.join(STRUCTURES)}")
    normal = np.array([int(digit) for digit in orientation])
    basis = bulk("X", structure, a=1.0).cell.array
    heights = np.rint(2 * basis @ normal).astype(int)
    heights = heights // gcd(*heights.tolist())  # of the basis vectors, in layers
    steps = np.stack(np.meshgrid(*3 * [np.arange(-_REACH, _REACH + 1)], indexing="ij"), axis=-1).reshape(-1, 3)
    vectors, layer = steps @ basis, steps @ heights
    shortest = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")
    vectors, layer = vectors[shortest], layer[shortest]
    flat, above = vectors[layer == 0][1:], vectors[layer == 1][0]
    areas = np.linalg.norm(np.cross(flat[0], flat), axis=1)
    second = flat[np.flatnonzero(np.isclose(areas, areas[areas > 1e-6].min()))[0]]
    first = flat[0] if np.linalg.det([flat[0], second, above]) > 0 else -flat[0]
    return first, second, above


def slab(element: str, a: float, orientation: str, structure: str = "bcc", thickness: float = THICKNESS) -> tuple[Atoms, float]:
    """A slab at least this thick, one atom in each layer, vacuum along the third vector; and the area of one of its faces, Angstrom^2."""
    if not thickness > 0.0:
        raise UqError(f"a slab {thickness:g} Angstrom thick; accepted: above 0")
    first, second, above = (a * vector for vector in layer_vectors(orientation, structure))
    across = np.cross(first, second)
    area = np.linalg.norm(across)
    spacing = above @ across / area
    n = int(np.ceil(thickness / spacing)) + 1
    normal = across / area * ((n - 1) * spacing + VACUUM)
    positions = np.arange(n)[:, None] * above + 0.5 * VACUUM * across / area
    return Atoms([element] * n, positions=positions, cell=[first, second, normal], pbc=True), float(area)


def surface(
    potential: Any,
    element: str,
    orientation: str,
    structure: str = "bcc",
    *,
    thickness: float = THICKNESS,
    crystal: LatticeGrid | None = None,
) -> ExcessEnergy:
    """Energy of a surface, mJ/m^2: half of that of a slab less as many atoms of the crystal, over the area of a face.

    Parameters
    ----------
    potential
        Has ``system(atoms)`` and ``theta``.
    orientation : str
        Miller indices, as ``110``.
    thickness : float
        Angstrom.
    element, structure, crystal
        As in `lmp_uq.properties.kinds.defects.vacancy`.
    """
    crystal = crystal or lattice_grid(potential, element, structure)
    a = crystal.constant(potential.theta)
    atoms, area = slab(element, a, orientation, structure, thickness)
    state = StationaryState(potential.system(atoms), potential.theta, STRUCTURES[structure] * a)
    return ExcessEnergy([(1.0, state)], crystal, MILLIJOULE, 2.0 * area)


class Surface(ExcessProperty):
    """Energy of a surface."""

    OPTIONS: ClassVar = {
        "orientation": Option(None, str, (), "three Miller indices of one digit, in quotes, as '110'"),
        "structure": Option("bcc", str, tuple(STRUCTURES), "the crystal"),
        "thickness": Option(THICKNESS, float, (), "Angstrom, at least"),
        "element": ELEMENT,
    }
    quantity = Quantity("surface_energy", "mJ/m^2", ".0f")

    def excess(self, element: str) -> ExcessEnergy:
        """See `ExcessProperty.excess`."""
        o = self.options
        return surface(self.potential, element, o["orientation"], o["structure"], thickness=o["thickness"])
