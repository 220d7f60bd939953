# SPDX-License-Identifier: GPL-2.0-or-later
"""The hop of an atom into a vacancy beside it in bcc: its barrier at the stationary point half-way, its path by a nudged elastic band."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lmp_uq.properties.crystal.bcc import STRUCTURES, lattice_grid, supercell
from lmp_uq.properties.crystal.lattice import LatticeGrid
from lmp_uq.properties.crystal.site_symmetry import SiteSymmetry
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds.band import STEPS, Path, minimum_energy_path
from lmp_uq.properties.kinds.defects import SIZE, SIZE_OPTION
from lmp_uq.properties.kinds.excess import ELEMENT, ExcessEnergy, ExcessProperty
from lmp_uq.properties.minima.stationary import StationaryState
from lmp_uq.properties.property import Curves, Quantity


def end_points(element: str, a: float, size: int):
    """The crystal with its vacancy before and after the hop; atom 0 is the one that hops."""
    before = supercell(element, "bcc", a, size)
    hopping = int(np.argmin(np.linalg.norm(before.positions - 0.5 * a, axis=1)))
    order = [hopping, *(k for k in range(1, len(before)) if k != hopping)]
    before, after = before[order], before[order]  # without atom 0, the vacancy
    after.positions[0] = 0.0
    return before, after


def barrier(potential, element: str, size: int = SIZE, crystal: LatticeGrid | None = None) -> ExcessEnergy:
    """Energy of the stationary point half-way of a <111>/2 hop less that of the vacancy, eV.

    Half-way the structure has an inversion centre at the hopping atom, which makes the point stationary along the hop. Relaxation keeps the
    symmetry, so the crystal cannot drift back to the vacancy, as it does where one atom alone is held. Without the symmetry
    `HessianProducts.lowest_modes` says whether it is a saddle of first order, and `band_of_hop` whether it is the top of the path.

    Parameters
    ----------
    potential, element, size, crystal
        As in `lmp_uq.properties.kinds.defects.vacancy`.
    """
    crystal = crystal or lattice_grid(potential, element, "bcc")
    a = crystal.constant(potential.theta)
    neighbours = STRUCTURES["bcc"] * a
    before, _ = end_points(element, a, size)
    start = StationaryState(potential.system(before), potential.theta, neighbours)
    half = before.copy()
    half.positions[0] = 0.25 * a
    symmetry = SiteSymmetry(half.positions, half.cell.array, half.positions[0])
    top = StationaryState(potential.system(half), potential.theta, neighbours, symmetry.project, saddle=True)
    return ExcessEnergy([(1.0, top), (-1.0, start)], crystal)


def band_of_hop(potential, found: ExcessEnergy, steps: int = STEPS) -> Path:
    """Minimum energy path of a hop under the mean, from what `barrier` gives; its barrier should be that of the point half-way."""
    start = found.states[1][1]
    after = start.system.atoms.copy()
    after.positions[0] = 0.0
    end = StationaryState(potential.system(after), start.theta, STRUCTURES["bcc"] * found.a)
    return minimum_energy_path(start.system, start.theta, start.positions, end.positions, steps=steps)


class VacancyHop(ExcessProperty):
    """Barrier of the hop of a vacancy to a neighbouring site of bcc."""

    OPTIONS: ClassVar = {"size": SIZE_OPTION, "element": ELEMENT}
    quantity = Quantity("barrier", "eV")
    steps = STEPS

    def excess(self, element):
        """See `ExcessProperty.excess`."""
        return barrier(self.potential, element, self.options["size"])

    def curves(self, thetas):
        """See `Property.curves`: the mean's band, and the energies of members on its images, from its start; None without a band."""
        try:
            return self.along(band_of_hop(self.potential, self._excess, self.steps), thetas)
        except PropertyFailure:
            return None

    def along(self, path: Path, thetas) -> Curves:
        """Energies of the mean and of members (K, P) on the images of a path, from its start."""
        start = self._excess.states[1][1]
        rows = [start.system.energy_row(positions, start.cell) for positions in path.positions]
        phi, reference = (np.array(part) for part in zip(*rows, strict=True))
        energies = (phi - phi[0]) @ np.vstack([self.potential.theta, thetas]).T + (reference - reference[0])[:, None]
        return Curves(path.along, energies[:, 0], energies[:, 1:].T, "share of the path", "energy, eV")
