# SPDX-License-Identifier: GPL-2.0-or-later
"""A crystal at its minimum under the mean, its energies against volume for every Theta, and its minimum under one member."""

from __future__ import annotations

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.properties.inner import InnerRelaxation
from lmp_uq.properties.structures import Structure, structure
from lmp_uq.properties.system import PropertyFailure, Relaxed, free_strains
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
LARGEST_STEP = 0.3
"""Angstrom, relaxation of an atom beyond which an expansion about the mean's internal coordinates is not trusted."""
LARGEST_SHAPE = 0.06
"""The same of the amplitude of a strain."""
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
        self._curve, self._at, self.inner = None, None, None

    def curve(self) -> VolumeCurve:
        """Energies against volume for every Theta; computed once."""
        if self._curve is None:
            n, geometries = self.system.n_atoms, self.geometries()
            volumes = [abs(np.linalg.det(cell)) / n for _, cell in geometries]
            rows = [self.system.rows(*geometry) for geometry in geometries]
            phi = [self.system.sum_of(found) / n for found in rows]
            gains = None
            if not self.rigid:
                at = self.relaxed
                self.inner = InnerRelaxation(self.system, self.potential.theta, at.positions, at.cell, self._shape())
                gains = [tuple(part / np.sqrt(n) for part in self.inner.rows(found)) for found in rows]
            self._curve = VolumeCurve(volumes, phi, [found.energy / n for found in rows], self.volume, gains)
        return self._curve

    def minima(self, thetas) -> tuple[Minimum, list[tuple[str, ...]]]:
        """The minimum of each Theta (K, P) on the curve, and why there is none.

        Atoms and shape of a crystal with internal coordinates relax by H^-1 f. A member that would go farther than
        `LARGEST_STEP` or `LARGEST_SHAPE` has no value: the expansion is not trusted there.
        """
        found = self.curve().minima(thetas)
        lost = ~np.isfinite(found.volume)
        reasons = [("the minimum is lost",) if gone else () for gone in lost]
        if not self.rigid:
            for k in np.flatnonzero(~lost):
                atoms, shape = self._relaxation(thetas[k], found.volume[k])
                if np.linalg.norm(atoms, axis=1).max() > LARGEST_STEP or np.abs(shape).max(initial=0.0) > LARGEST_SHAPE:
                    reasons[k] = ("relaxes too far: the expansion is not trusted",)
                    for column in found:
                        column[k] = np.nan
        return found, reasons

    def shape_amplitudes(self, thetas, volumes) -> np.ndarray:
        """(K, S) amplitudes of the strains of `_shape` by which each Theta relaxes at its volume."""
        return np.array([self._relaxation(theta, volume)[1] for theta, volume in zip(thetas, volumes, strict=True)])

    def _relaxation(self, theta, volume):
        """Displacements (n, 3) and shape amplitudes (S,) of Theta at a volume, between those of the grid."""
        curve, n = self.curve(), self.system.n_atoms
        above = int(np.clip(np.searchsorted(curve.volumes, volume), 1, len(curve.volumes) - 1))
        share = (volume - curve.volumes[above - 1]) / (curve.volumes[above] - curve.volumes[above - 1])
        reduced = [np.sqrt(n) * (a @ theta[: a.shape[1]] + b) for a, b in curve.gains[above - 1 : above + 1]]
        return self.inner.displacement((1.0 - share) * reduced[0] + share * reduced[1])

    def _shape(self):
        """(S, 3, 3) strains at constant volume that the crystal is free in."""
        return free_strains("fixed" if self.structure.cell == "iso" else "shape", self.structure.couple)

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

    def geometries(self):
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
            raise UqError(
                f"{found.name}: atoms leave the structure under the mean when its volume changes, it holds at {len(out)} of the "
                f"{DEGREE + 1} volumes that are needed; its minimum is not stable in this potential"
            )
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
