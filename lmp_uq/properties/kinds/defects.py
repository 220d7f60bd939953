# SPDX-License-Identifier: GPL-2.0-or-later
"""Point defects in cubic crystals: the vacancy, and in bcc the five self-interstitials."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from ase import Atom

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.bcc import STRUCTURES, lattice_grid, supercell
from lmp_uq.properties.crystal.lattice import LatticeGrid
from lmp_uq.properties.crystal.site_symmetry import SiteSymmetry
from lmp_uq.properties.kinds.excess import ELEMENT, ExcessEnergy, ExcessProperty
from lmp_uq.properties.minima.stationary import StationaryState
from lmp_uq.properties.property import Option, Quantity

SIZE = 4
"""Conventional cells along each side: 128 atoms of bcc."""
DUMBBELLS = {"<111>": (0.22, 0.22, 0.22), "<110>": (0.25, 0.25, 0.0), "<100>": (0.35, 0.0, 0.0)}
"""From the lattice site to each of its two atoms, in lattice constants, before relaxation."""
SITES = {"tetrahedral": (0.5, 0.25, 0.0), "octahedral": (0.5, 0.5, 0.0)}
"""Where the further atom goes, in lattice constants."""
INTERSTITIALS = (*DUMBBELLS, *SITES)
SIZE_OPTION = Option(SIZE, int, (), "conventional cells along each side of the supercell, 2 or more")


def vacancy(potential: Any, element: str, structure: str = "bcc", size: int = SIZE, crystal: LatticeGrid | None = None) -> ExcessEnergy:
    """Formation energy of a vacancy, eV, at zero pressure of the perfect crystal.

    Parameters
    ----------
    potential
        Has ``system(atoms)`` and ``theta``.
    element, structure : str
        ``bcc`` or ``fcc``.
    size : int
        Conventional cells along each side of the supercell.
    crystal : LatticeGrid or None
        Of `lmp_uq.properties.crystal.bcc.lattice_grid`, if it is there already.

    Raises
    ------
    UqError
        As `lattice_grid` and `StationaryState`.
    """
    crystal = crystal or lattice_grid(potential, element, structure)
    atoms = supercell(element, structure, crystal.constant(potential.theta), size)
    del atoms[0]
    state = StationaryState(potential.system(atoms), potential.theta, STRUCTURES[structure] * crystal.constant(potential.theta))
    return ExcessEnergy([(1.0, state)], crystal)


def interstitial(potential: Any, element: str, kind: str, size: int = SIZE, crystal: LatticeGrid | None = None) -> ExcessEnergy:
    """Formation energy of a self-interstitial in bcc, eV, held in the symmetry of its configuration.

    The <111>, <110> and <100> dumbbells, the tetrahedral and the octahedral interstitial are stationary by symmetry; some are no minima, so
    that a free relaxation would turn one into another.

    Parameters
    ----------
    kind : str
        One of `INTERSTITIALS`.
    potential, element, size, crystal
        As in `vacancy`.
    """
    if kind not in INTERSTITIALS:
        raise UqError(f"self-interstitial {kind!r}; accepted: {', '.join(INTERSTITIALS)}")
    crystal = crystal or lattice_grid(potential, element, "bcc")
    a = crystal.constant(potential.theta)
    atoms = supercell(element, "bcc", a, size)
    if kind in SITES:
        centre = a * np.array(SITES[kind])
        atoms.append(Atom(element, centre))
    else:
        centre, arm = np.zeros(3), a * np.array(DUMBBELLS[kind])
        atoms.positions[0] = arm
        atoms.append(Atom(element, -arm))
    symmetry = SiteSymmetry(atoms.positions, atoms.cell.array, centre)
    # a saddle as a whole, and perhaps one within its symmetry
    state = StationaryState(potential.system(atoms), potential.theta, STRUCTURES["bcc"] * a, symmetry.project, saddle=True, reach=0.5 * a)
    return ExcessEnergy([(1.0, state)], crystal)


class Vacancy(ExcessProperty):
    """Formation energy of a vacancy."""

    OPTIONS: ClassVar = {
        "structure": Option("bcc", str, tuple(STRUCTURES), "the crystal"),
        "size": SIZE_OPTION,
        "element": ELEMENT,
    }
    quantity = Quantity("formation_energy", "eV")

    def excess(self, element: str) -> ExcessEnergy:
        """See `ExcessProperty.excess`."""
        return vacancy(self.potential, element, self.options["structure"], self.options["size"])


class Interstitial(ExcessProperty):
    """Formation energy of a self-interstitial in bcc."""

    OPTIONS: ClassVar = {
        "configuration": Option(None, str, INTERSTITIALS, "where the further atom sits"),
        "size": SIZE_OPTION,
        "element": ELEMENT,
    }
    quantity = Quantity("formation_energy", "eV")

    def excess(self, element: str) -> ExcessEnergy:
        """See `ExcessProperty.excess`."""
        return interstitial(self.potential, element, self.options["configuration"], self.options["size"])
