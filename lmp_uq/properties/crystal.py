# SPDX-License-Identifier: GPL-2.0-or-later
"""A crystal at its minimum under the mean, its energies against volume for every Theta, and its minimum under one member."""

from __future__ import annotations

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.properties.structures import Structure, structure
from lmp_uq.properties.system import PropertyFailure, Relaxed
from lmp_uq.properties.volume_curve import DEGREE, EV_PER_A3, Minimum, VolumeCurve

SCAN = np.linspace(0.7, 1.5, 33)
"""Volumes, as shares of the start's, at which a minimum of the mean is looked for."""
GRID = np.linspace(0.75, 1.35, 121)
"""Volumes of a curve, as shares of the mean's at its minimum."""
FREE_GRID = np.linspace(0.82, 1.24, 22)
"""The same of a crystal with internal coordinates or a free shape, which has to be relaxed at each."""
RIGID = 1e-7
"""Derivatives of Phi, relative to Phi, below which symmetry makes them zero."""
LEFT_BASIN = 0.25
"""Displacement of an atom, as a share of the distance of nearest neighbours, beyond which a minimum is another one."""
SHAPE_CHANGE = 0.10
"""Change of c/a, relative, beyond which a minimum is another one."""
UNBALANCED = 1.0
"""eV/Angstrom, force on an atom beyond which an expansion about the mean's internal coordinates is not trusted."""
BULK_STEP = 0.005
"""Relative change of volume in the difference that gives a bulk modulus."""


class Crystal:
    """One structure at the minimum of Theta*.

    Attributes
    ----------
    structure : Structure
    system : lmp_uq.properties.system.LinearSystem
    relaxed : Relaxed
        Of the mean.
    volume, energy : float
        Angstrom^3 and eV per atom, of the mean.
    rigid : bool
        Symmetry leaves nothing free but the volume: the curve is exact for every Theta.
    neighbour : float
        Angstrom, the distance of nearest neighbours in the mean's minimum.

    Raises
    ------
    UqError
        The mean has no minimum near the structure, or its relaxation leaves the basin of the structure.
    """

    def __init__(self, potential, found: Structure):
        self.potential, self.structure = potential, found
        self.system = potential.system(found.atoms)
        self.relaxed = self._mean_minimum()
        n = self.system.n_atoms
        self.volume, self.energy = abs(np.linalg.det(self.relaxed.cell)) / n, self.relaxed.energy / n
        self.neighbour = _nearest(self.relaxed.positions, self.relaxed.cell)
        if self.relaxed.displacement > LEFT_BASIN * self.neighbour:
            raise UqError(
                f"{found.name}: the relaxation with the mean leaves the structure, an atom goes {self.relaxed.displacement:.2f} Angstrom; "
                "this potential has no such phase"
            )
        self.rigid = self._is_rigid()
        self._curve, self._forces, self._at = None, None, None

    def curve(self) -> VolumeCurve:
        """Energies against volume for every Theta; computed once."""
        if self._curve is None:
            n, geometries = self.system.n_atoms, self._geometries()
            volumes = [abs(np.linalg.det(cell)) / n for _, cell in geometries]
            rows = [self.system.energy_row(*geometry) for geometry in geometries]
            self._curve = VolumeCurve(volumes, [phi / n for phi, _ in rows], [energy / n for _, energy in rows], self.volume)
        return self._curve

    def minima(self, thetas) -> tuple[Minimum, list[tuple[str, ...]]]:
        """The minimum of each Theta (K, P) on the curve, and why there is none.

        Atoms of a crystal with internal coordinates feel forces of a member at the mean's positions. Where these exceed
        `UNBALANCED` the expansion is not trusted and the member has no value.
        """
        found = self.curve().minima(thetas)
        lost = ~np.isfinite(found.volume)
        reasons = [("the minimum is lost",) if gone else () for gone in lost]
        if self.rigid:
            return found, reasons
        rough = np.array([k for k in np.flatnonzero(~lost) if self._unbalanced(thetas[k], found.volume[k]) > UNBALANCED], dtype=int)
        for k in rough:
            reasons[k] = ("unbalanced forces: the expansion is not trusted",)
        for column in found:
            column[rough] = np.nan
        return found, reasons

    def _unbalanced(self, theta, volume):
        """eV/Angstrom, the largest force of Theta on an atom at the mean's geometry of that volume."""
        nearest = int(np.argmin(np.abs(self.curve().volumes - volume)))
        if self._forces is None:
            self._forces = [self.system.rows(*geometry) for geometry in self._geometries()]
        rows = self._forces[nearest]
        forces = rows.forces + (rows.force_rows @ theta[: rows.force_rows.shape[1]]).reshape(-1, 3)
        return np.linalg.norm(forces, axis=1).max()

    def member(self, theta) -> tuple[Relaxed, tuple[str, ...]]:
        """The minimum of Theta found from the mean's, and what is odd in it; PropertyFailure without one."""
        found = self.structure
        relaxed = self.system.relax(theta, found.cell, self.relaxed.positions, self.relaxed.cell, couple=found.couple)
        ratio = np.linalg.det(relaxed.cell) / np.linalg.det(self.relaxed.cell)
        if not GRID[0] < ratio < GRID[-1]:
            raise PropertyFailure("the minimum is lost")
        return relaxed, self._flags(relaxed)

    def bulk_modulus(self, theta, relaxed: Relaxed) -> float:
        """GPa, by a difference of pressures of two volumes about the minimum of Theta, at rest at each."""
        pressures, volumes, how = [], [], "fixed" if self.structure.cell == "iso" else "shape"
        for sign in (-1, 1):
            scale = (1.0 + sign * BULK_STEP) ** (1.0 / 3.0)
            start = relaxed.positions * scale, relaxed.cell * scale
            state = self.system.relax(theta, how, *start, couple=self.structure.couple)
            volumes.append(abs(np.linalg.det(state.cell)))
            pressures.append(np.trace(state.virial) / (3.0 * volumes[-1]))
        middle = abs(np.linalg.det(relaxed.cell))
        return -middle * (pressures[1] - pressures[0]) / (volumes[1] - volumes[0]) * EV_PER_A3

    def _mean_minimum(self):
        atoms, theta = self.structure.atoms, self.potential.theta
        cells = [atoms.cell.array * scale ** (1.0 / 3.0) for scale in SCAN]
        try:
            energies = [self.system.evaluate(theta, cell=cell)[0] for cell in cells]
            here = int(np.argmin(np.abs(SCAN - 1.0)))
            while 0 < here < len(SCAN) - 1 and energies[here] > min(energies[here - 1], energies[here + 1]):
                here += 1 if energies[here + 1] < energies[here - 1] else -1
            if here in (0, len(SCAN) - 1):
                raise PropertyFailure(f"the mean has no minimum between {SCAN[0]:g} and {SCAN[-1]:g} of the volume it starts from")
            start = atoms.copy()
            start.set_cell(cells[here], scale_atoms=True)
            return self.system.relax(theta, self.structure.cell, start.positions, start.cell.array, couple=self.structure.couple)
        except PropertyFailure as failure:
            raise UqError(f"{self.structure.name}: {failure}") from failure

    def _is_rigid(self):
        rows = self.system.rows(self.relaxed.positions, self.relaxed.cell)
        size = np.abs(rows.descriptors).sum(axis=0).max()
        deviatoric = rows.virial_rows - np.einsum("ab,ccp->abp", np.eye(3), rows.virial_rows) / 3.0
        return bool(max(np.abs(rows.force_rows).max(), np.abs(deviatoric).max()) < RIGID * size)

    def _geometries(self):
        """Positions and cell at each volume of the grid, in its order: as far as the structure holds under the mean."""
        if self._at is None:
            at = self.relaxed
            self._at = [(at.positions * s, at.cell * s) for s in np.cbrt(GRID)] if self.rigid else self._relaxed_geometries()
        return self._at

    def _relaxed_geometries(self):
        at, theta, found = self.relaxed, self.potential.theta, self.structure
        how, out = "fixed" if found.cell == "iso" else "shape", {}
        middle = int(np.argmin(np.abs(FREE_GRID - 1.0)))
        for order in (range(middle, len(FREE_GRID)), range(middle - 1, -1, -1)):
            positions, cell = at.positions, at.cell
            for k in order:
                scale = np.cbrt(FREE_GRID[k] * self.volume * self.system.n_atoms / abs(np.linalg.det(cell)))
                try:
                    state = self.system.relax(theta, how, positions * scale, cell * scale, couple=found.couple)
                except PropertyFailure:
                    break
                if state.displacement > LEFT_BASIN * self.neighbour:
                    break
                positions, cell = out[k] = state.positions, state.cell
        if len(out) <= DEGREE:
            raise UqError(f"{found.name}: the structure holds under the mean at {len(out)} volumes only, {DEGREE + 1} are needed")
        return [out[k] for k in sorted(out)]

    def _flags(self, relaxed):
        flags = []
        if relaxed.displacement > LEFT_BASIN * self.neighbour:
            flags.append("reconstructed")
        shapes = [np.linalg.norm(cell, axis=1) for cell in (relaxed.cell, self.relaxed.cell)]
        ratio = (shapes[0] / np.cbrt(np.prod(shapes[0]))) / (shapes[1] / np.cbrt(np.prod(shapes[1])))
        if np.abs(np.log(ratio)).max() > SHAPE_CHANGE:
            flags.append("another shape of the cell")
        return tuple(flags)


def crystal_at_minimum(potential, name: str, element: str, volume: float | None = None) -> Crystal:
    """The crystal of that name, computed once for all properties of a potential."""
    key = ("crystal", name, element, volume)
    if key not in potential.shared:
        potential.shared[key] = Crystal(potential, structure(name, element, volume))
    return potential.shared[key]


def element_of(potential, element: str) -> str:
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
