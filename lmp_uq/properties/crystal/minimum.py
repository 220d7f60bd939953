# SPDX-License-Identifier: GPL-2.0-or-later
"""A crystal in its symmetry: its minimum under the mean, its minimum under one member, and at given volumes.

A phase is its space group. What the operations of the structure leave free is relaxed, nothing else: a member in which the structure
is stable against displacements that break the symmetry has its minimum there too, one in which it is not keeps the phase that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.expansion import LOST, CrystalExpansion
from lmp_uq.properties.crystal.free_coordinates import FreeCoordinates
from lmp_uq.properties.crystal.operations import space_group
from lmp_uq.properties.crystal.structures import Structure, structure
from lmp_uq.properties.crystal.volume_curve import EV_PER_A3, VolumeCurve
from lmp_uq.properties.failure import ENERGY_NOISE, LARGEST_VOLUME_CHANGE, PropertyFailure
from lmp_uq.properties.minima.quasi_newton import STIFFNESS, DenseMetric, Minimised, minimise
from lmp_uq.properties.minima.stability import only_symmetry_holds
from lmp_uq.properties.potential.system import free_strains

SCAN = np.linspace(0.7, 1.5, 33)
"""Volumes, as shares of the start's, at which a minimum of the mean is looked for."""
VOLUMES = 0.75, 1.35
"""Volumes, as shares of the mean's at its minimum, between which that of a member has to be."""
RIGID = 1e-7
"""Derivatives of Phi, relative to Phi, below which symmetry makes them zero."""
LEFT_BASIN = 0.25
"""Displacement of an atom, as a share of the distance of nearest neighbours, beyond which a minimum is another one."""
SHAPE_CHANGE = 0.10
"""Change of the ratio of two axes, relative, beyond which a minimum is another one."""
LEFT, OTHER_SHAPE = "the relaxation leaves the structure", "another shape of the cell"
LONGEST = 0.1
"""Angstrom of one step, root mean square of the atoms."""
TOLERANCE = 1e-10
"""eV per atom to the minimum."""
EVALUATIONS = 300
BULK_STEP = 0.005
"""Relative change of volume in the difference that gives a bulk modulus."""


@dataclass(frozen=True)
class CrystalMinimum:
    """A minimum of a crystal in its symmetry.

    Attributes
    ----------
    x : (M,)
        As `FreeCoordinates`.
    positions, cell : (n, 3), (3, 3) Angstrom
    energy : float
        eV, of all atoms.
    n_evaluations : int
    """

    x: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    energy: float
    n_evaluations: int


class Crystal:
    """One structure at the minimum of Theta*.

    Attributes
    ----------
    structure : Structure
    system : lmp_uq.properties.potential.system.LinearSystem
    coordinates : FreeCoordinates
        About the mean's minimum.
    symmetry : Operations
    relaxed : CrystalMinimum
        Of the mean.
    volume, energy : float
        Angstrom^3 and eV per atom, of the mean.
    rigid : bool
        Symmetry leaves nothing free but the volume: the curve is exact for every Theta.
    neighbour : float
        Angstrom, the distance of nearest neighbours in the mean's minimum.
    expansion : CrystalExpansion
        Of its minimum about the mean's.

    Raises
    ------
    UqError
        The mean has no minimum near the structure, or its relaxation leaves the basin of the structure.
    """

    def __init__(self, potential: Any, found: Structure) -> None:
        self.potential, self.structure = potential, found
        self.system = potential.system(found.atoms)
        self.relaxed = self._mean_minimum()
        self.volume, self.energy = self.coordinates.start_volume, self.relaxed.energy / self.system.n_atoms
        self.rigid = self._is_rigid()
        self.expansion = CrystalExpansion(self)

    def curve(self) -> VolumeCurve:
        """Energies against volume for every Theta; computed once."""
        return self.expansion.curve

    def function(self, theta: np.ndarray) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """Energy (eV) and its slope (M,) against `FreeCoordinates`, of one Theta."""
        within = np.log(LARGEST_VOLUME_CHANGE)

        def evaluated(x):
            if abs(self.coordinates.strains(x).sum()) > within:
                raise PropertyFailure(LOST)
            energy, forces, virial = self.system.evaluate(theta, *self.coordinates.at(x))
            return energy, self.coordinates.gradient(x, forces, virial)

        return evaluated

    def member(self, theta: np.ndarray) -> CrystalMinimum:
        """The minimum of Theta found from the mean's; PropertyFailure without one, or where it is that of another structure."""
        found = self._relaxed(theta, np.zeros(self.coordinates.size))
        reason = self.why_another(found.x)
        if reason:
            raise PropertyFailure(reason)
        return self._minimum(found)

    def why_another(self, x: np.ndarray) -> str:
        """Why a minimum at these coordinates is not one of this structure; empty if it is."""
        at = self.coordinates
        if not VOLUMES[0] < at.volume(x) / self.volume < VOLUMES[1]:
            return LOST
        if np.linalg.norm(at.displacements(x), axis=1).max() > LEFT_BASIN * self.neighbour:
            return LEFT
        return OTHER_SHAPE if np.ptp(at.strains(x)) > np.log(1.0 + SHAPE_CHANGE) else ""

    def only_symmetry_holds(self, theta: np.ndarray, x: np.ndarray) -> bool:
        """Whether displacements that break the symmetry, in the same cell, lower the energy of Theta from its minimum at x."""
        return self.system.n_atoms > 1 and only_symmetry_holds(self.system, theta, self.coordinates.at(x), self.symmetry)

    def at_volume(self, theta: np.ndarray, x: np.ndarray, volume: float, metric: DenseMetric | None = None) -> Minimised:
        """The minimum over all but the volume (Angstrom^3 per atom), from the shape and displacements of x; as `minimise`, with M - 1."""
        start = self.coordinates.with_volume(x, volume)
        function = self.function(theta)

        def held(z):
            energy, slope = function(np.append(start[0], z))
            return energy, slope[1:]

        return self._descend(held, start[1:], metric)

    def bulk_modulus(self, theta: np.ndarray, found: CrystalMinimum) -> float:
        """GPa, by a difference of pressures of two volumes about the minimum of Theta, at rest at each."""
        function, volume, pressures, volumes = self.function(theta), self.coordinates.volume(found.x), [], []
        for sign in (-1, 1):
            volumes.append(volume * (1.0 + sign * BULK_STEP))
            at_rest = self.at_volume(theta, found.x, volumes[-1])
            x = self.coordinates.with_volume(np.append(0.0, at_rest.x), volumes[-1])
            pressures.append(-function(x)[1][0] / self.coordinates.volume_slope(x))
        return -volume * (pressures[1] - pressures[0]) / (volumes[1] - volumes[0]) * EV_PER_A3

    def mean_bulk_modulus(self) -> float:
        """GPa, of the mean: from its curve where that is exact."""
        theta = self.potential.theta
        return float(self.curve().minima(theta).bulk_modulus[0]) if self.rigid else self.bulk_modulus(theta, self.relaxed)

    def _relaxed(self, theta, x):
        return self._descend(self.function(theta), x)

    def _descend(self, function, x, metric=None):
        """The minimum downhill, without knowledge if no metric is given."""
        n = self.system.n_atoms
        metric = metric or DenseMetric(np.eye(len(x)) / STIFFNESS)
        limits = {"tolerance": TOLERANCE * n, "evaluations": EVALUATIONS, "longest": LONGEST * np.sqrt(n), "noise": ENERGY_NOISE * n}
        found = minimise(function, x, metric, **limits)
        if not found.converged:
            raise PropertyFailure("the relaxation does not converge")
        return found

    def _minimum(self, found):
        return CrystalMinimum(found.x, *self.coordinates.at(found.x), found.energy, found.n_evaluations)

    def _mean_minimum(self):
        """That of the structure, whose coordinates it becomes the origin of."""
        atoms, found = self.structure.atoms, self.structure
        shape = free_strains("fixed" if found.cell == "iso" else "shape", found.couple)
        self.symmetry = space_group(atoms.positions, atoms.cell.array, atoms.numbers, shape)
        displacements = self.symmetry.invariant_displacements(len(atoms))
        try:
            scale = np.cbrt(self._scanned_volume())
            self.coordinates = FreeCoordinates(atoms.positions * scale, atoms.cell.array * scale, shape, displacements)
            best = self._relaxed(self.potential.theta, np.zeros(self.coordinates.size))
        except PropertyFailure as failure:
            raise UqError(f"{found.name}: {failure}") from failure
        far = np.linalg.norm(self.coordinates.displacements(best.x), axis=1).max()
        positions, cell = self.coordinates.at(best.x)
        self.coordinates = FreeCoordinates(positions, cell, shape, displacements)
        self.neighbour = _nearest(positions, cell)
        if far > LEFT_BASIN * self.neighbour:
            raise UqError(
                f"{found.name}: the relaxation with the mean leaves the structure, an atom goes {far:.2f} Angstrom; "
                "this potential has no such phase"
            )
        return CrystalMinimum(np.zeros_like(best.x), positions, cell, best.energy, best.n_evaluations)

    def _scanned_volume(self):
        """Where the energy of the mean is lowest downhill, as a share of the start's volume."""
        cells = [self.structure.atoms.cell.array * np.cbrt(scale) for scale in SCAN]
        energies = [self.system.energy(self.potential.theta, cell=cell) for cell in cells]
        here = int(np.argmin(np.abs(SCAN - 1.0)))
        while 0 < here < len(SCAN) - 1 and energies[here] > min(energies[here - 1], energies[here + 1]):
            here += 1 if energies[here + 1] < energies[here - 1] else -1
        if here in (0, len(SCAN) - 1):
            raise PropertyFailure(f"the mean has no minimum between {SCAN[0]:g} and {SCAN[-1]:g} of the volume it starts from")
        return SCAN[here]

    def _is_rigid(self):
        if self.coordinates.size == 1:
            return True
        rows = self.system.rows(self.relaxed.positions, self.relaxed.cell)
        size = np.abs(rows.descriptors).sum(axis=0).max()
        deviatoric = rows.virial_rows - np.einsum("ab,ccp->abp", np.eye(3), rows.virial_rows) / 3.0
        return bool(max(np.abs(rows.force_rows).max(), np.abs(deviatoric).max()) < RIGID * size)


def crystal_at_minimum(potential: Any, name: str, element: str, volume: float | None = None) -> Crystal:
    """The crystal of that name, computed once for all properties of a potential."""
    key = ("crystal", name, element, volume)
    if key not in potential.shared:
        potential.shared[key] = Crystal(potential, structure(name, element, volume))
    return potential.shared[key]


def element_of(potential: Any, element: str) -> str:
    """The element that an entry means; UqError if the potential has several and none is named, or lacks it."""
    if not element and len(potential.elements) == 1:
        return potential.elements[0]
    if element not in potential.elements:
        raise UqError(f"element {element or 'none'}; accepted: one of {' '.join(potential.elements)}, the elements of this potential")
    return element


def _nearest(positions, cell):
    """Smallest distance of two atoms, images included."""
    shifts = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ cell
    scaled = np.linalg.solve(cell.T, (positions[:, None] - positions[None]).reshape(-1, 3).T).T
    apart = (scaled - np.round(scaled)) @ cell
    lengths = np.linalg.norm(apart[:, None] + shifts[None], axis=2)
    return float(lengths[lengths > 1e-6].min())
