# SPDX-License-Identifier: GPL-2.0-or-later
"""Transformation paths of bcc at constant volume: fixed geometries, so that every member is exact without a run.

V. Paidar, L. G. Wang, M. Sob, V. Vitek, Modelling Simul. Mater. Sci. Eng. 7, 369 (1999).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase import Atoms

from lmp_uq.properties.crystal.minimum import crystal_at_minimum, element_of
from lmp_uq.properties.property import EXACT, Curves, Expansion, Option, Outcome, Property, Quantity

SHARES = np.arange(-6, 47) / 40.0
"""Of a path; its figure shows a little more before the start and after the end."""
PATHS = {
    "bain": (1.0, np.sqrt(2.0), "c/a: bcc at 1, fcc at 1.414"),
    "trigonal": (1.0, 4.0, "c/a along [111]: bcc at 1, sc at 2, fcc at 4"),
    "orthorhombic": (1.0, np.sqrt(2.0), "stretch of [001]: bcc at 1, bct at 1.189, bcc at 1.414"),
    "hexagonal": (0.0, 1.0, "share of the way: bcc at 0, ideal hcp at 1"),
}
"""Name to first and last parameter, and what the parameter is."""


class TransformationPath(Property):
    """Energy of an atom along a path, at the volume of the mean's bcc, less that of bcc at this volume.

    Quantities: ``maximum`` along the path and, unless that is bcc again, the energy at its ``end``.
    """

    OPTIONS: ClassVar = {
        "path": Option(None, str, tuple(PATHS), "which"),
        "element": Option("", str, (), "needed if the potential has several"),
        "volume": Option(0.0, float, (), "Angstrom^3 per atom to start from; 0: that of the element"),
    }
    expansion_rests_on = EXACT

    def mean(self) -> np.ndarray:
        """See `Property.mean`."""
        element = element_of(self.potential, self.options["element"])
        volume = crystal_at_minimum(self.potential, "bcc", element, self.options["volume"] or None).volume
        first, last, _ = PATHS[self.options["path"]]
        # stretches by equal factors: half-way then are sc and bct, where symmetry has an extremum
        self.parameters = first * (last / first) ** SHARES if first else last * SHARES
        self._inside = (SHARES >= 0.0) & (SHARES <= 1.0)
        self._ends = np.flatnonzero(self._inside)[[0, -1]]
        self.frames = [path_frame(self.options["path"], p, element, volume) for p in self.parameters]
        # the orthorhombic path ends in bcc again
        names = ("maximum",) if self.options["path"] == "orthorhombic" else ("maximum", "end")
        self.quantities = [Quantity(name, "eV/atom", ".4f") for name in names]
        self._rows: tuple[np.ndarray, np.ndarray] | None = None
        return self._summary(self._energies(self.potential.theta[None]))[0]

    def member(self, theta: np.ndarray) -> Outcome:
        """See `Property.member`: every geometry evaluated by the pair style."""
        energies = np.array([self.potential.system(f).energy(theta) / len(f) for f in self.frames])
        return Outcome(self._summary(energies[None])[0])

    def gradient(self) -> np.ndarray | None:
        """See `Property.gradient`; that of the maximum is that of the point where the mean has it."""
        phi = self._phi()[0]
        energies = self._energies(self.potential.theta[None])[0]
        highest = int(np.argmax(np.where(self._inside, energies, -np.inf)))
        return phi[[highest, self._ends[1]][: len(self.quantities)]] - phi[self._ends[0]]

    def expansion(self, thetas: np.ndarray) -> Expansion | None:
        """See `Property.expansion`."""
        return Expansion(self._summary(self._energies(thetas)), [()] * len(thetas))

    def curves(self, thetas: np.ndarray) -> Curves | None:
        """See `Property.curves`."""
        relative = [e - e[:, [self._ends[0]]] for e in (self._energies(self.potential.theta[None]), self._energies(thetas))]
        return Curves(self.parameters, relative[0][0], relative[1], PATHS[self.options["path"]][2], "energy less bcc, eV/atom")

    def _phi(self):
        """Phi of an atom (n, P) and energy of the reference (n,) along the path."""
        if self._rows is None:
            found = [(self.potential.system(f).energy_row(), len(f)) for f in self.frames]
            self._rows = np.array([row[0] / n for row, n in found]), np.array([row[1] / n for row, n in found])
        return self._rows

    def _energies(self, thetas):
        phi, reference = self._phi()
        return reference + thetas @ phi.T

    def _summary(self, energies):
        relative = energies - energies[:, [self._ends[0]]]
        maximum = np.where(self._inside, relative, -np.inf).max(axis=1)
        return np.stack([maximum, relative[:, self._ends[1]]], axis=1)[:, : len(self.quantities)]


def path_frame(path: str, parameter: float, element: str, volume: float) -> Atoms:
    """A geometry of a path.

    Parameters
    ----------
    path : str
        One of `PATHS`.
    parameter : float
    element : str
    volume : float
        Angstrom^3 per atom.
    """
    if path == "hexagonal":
        sides = [1.0, *(np.sqrt(2.0) + parameter * (np.sqrt(end) - np.sqrt(2.0)) for end in (3.0, 8.0 / 3.0))]
        shuffle = 0.5 - parameter / 6.0
        scaled = [(0, 0, 0), (0.5, 0.5, 0), (0, shuffle, 0.5), (0.5, shuffle - 0.5, 0.5)]
        frame = Atoms([element] * 4, scaled_positions=scaled, cell=np.diag(sides), pbc=True)
    else:
        axes, stretches = {
            "bain": (np.eye(3), (parameter ** (-1 / 3), parameter ** (-1 / 3), parameter ** (2 / 3))),
            "trigonal": (_axes((1, -1, 0), (1, 1, 1)), (parameter ** (-1 / 3), parameter ** (-1 / 3), parameter ** (2 / 3))),
            "orthorhombic": (_axes((1, 1, 0), (0, 0, 1)), (1.0 / parameter, 1.0, parameter)),
        }[path]
        deformation = axes.T @ np.diag(stretches) @ axes
        cell = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) @ deformation
        frame = Atoms([element], positions=[(0, 0, 0)], cell=cell, pbc=True)
    frame.set_cell(frame.cell.array * np.cbrt(volume * len(frame) / frame.get_volume()), scale_atoms=True)
    return frame


def _axes(first, third):
    """(3, 3) orthonormal rows: along two orthogonal directions, the second row normal to both."""
    x, z = (np.array(v) / np.linalg.norm(v) for v in (first, third))
    return np.array([x, np.cross(z, x), z])
