# SPDX-License-Identifier: GPL-2.0-or-later
"""Minimum energy paths by a nudged elastic band in one process: ASE's, on any system of this room.

LAMMPS' ``neb`` needs a partition of ranks for each image. G. Henkelman, H. Jonsson, J. Chem. Phys. 113, 9978 (2000); climbing image:
G. Henkelman, B. P. Uberuaga, H. Jonsson, J. Chem. Phys. 113, 9901 (2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.mep import NEB
from ase.optimize import FIRE

from lmp_uq.errors import UqError
from lmp_uq.properties.failure import PropertyFailure

IMAGES = 5
"""Between the end points."""
TOLERANCE = 0.02
"""eV/Angstrom, largest force on an image across the path."""
STEPS = 300


@dataclass(frozen=True)
class Path:
    """A minimum energy path of n images, its ends among them.

    Attributes
    ----------
    positions : (n, atoms, 3) Angstrom
    along : (n,) share of the path's length
    energies : (n,) eV
    """

    positions: np.ndarray
    along: np.ndarray
    energies: np.ndarray

    @property
    def barrier(self) -> float:
        """Highest energy less that of the start, eV."""
        return float(self.energies.max() - self.energies[0])


class SystemCalculator(Calculator):
    """A system with one Theta as a calculator of ASE."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, system, theta: np.ndarray):
        super().__init__()
        self._system, self._theta = system, theta

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        """See `ase.calculators.calculator.Calculator.calculate`."""
        super().calculate(atoms, properties, system_changes)
        energy, forces, _ = self._system.evaluate(self._theta, self.atoms.positions, self.atoms.cell.array)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def minimum_energy_path(system, theta: np.ndarray, start: np.ndarray, end: np.ndarray, images: int = IMAGES, steps: int = STEPS) -> Path:
    """The path between two minima in the system's cell, its highest image climbing.

    Parameters
    ----------
    system : LinearSystem
    theta : (P,)
    start, end : (n, 3) Angstrom
        Relaxed.
    images : int
        Between them; with an odd number one may sit half-way.
    steps : int
        In which it has to converge.

    Raises
    ------
    UqError
        Fewer than one image.
    PropertyFailure
        It does not converge.
    """
    if images < 1:
        raise UqError(f"a band of {images} images; accepted: 1 or more between its ends")
    band = []
    for share in np.linspace(0.0, 1.0, images + 2):
        image = system.atoms.copy()
        image.positions[:] = start + share * (end - start)
        image.calc = SystemCalculator(system, theta)
        band.append(image)
    chain = NEB(band, climb=True, method="improvedtangent", allow_shared_calculator=False)
    if not FIRE(chain, logfile=None, maxstep=0.1).run(fmax=TOLERANCE, steps=steps):
        raise PropertyFailure("the nudged elastic band does not converge")
    positions = np.array([image.positions for image in band])
    lengths = np.linalg.norm(np.diff(positions, axis=0), axis=(1, 2))
    along = np.concatenate([[0.0], np.cumsum(lengths)]) / lengths.sum()
    return Path(positions, along, np.array([image.get_potential_energy() for image in band]))
