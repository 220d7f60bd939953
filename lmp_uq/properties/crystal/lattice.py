# SPDX-License-Identifier: GPL-2.0-or-later
"""Lattice constants and energies of a cubic crystal for every member, from its energies against volume."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import make_interp_spline

from lmp_uq.properties.crystal.volume_curve import DEGREE, VolumeCurve


class LatticeGrid:
    """A cubic crystal whose only freedom is its lattice constant: a member costs a contraction and no run.

    Parameters
    ----------
    curve : VolumeCurve
        Of the crystal.
    atoms : int
        In the cubic cell.

    Attributes
    ----------
    shortest, longest : float
        Lattice constants that the grid reaches, Angstrom.
    """

    def __init__(self, curve: VolumeCurve, atoms: int) -> None:
        self._curve, self._atoms = curve, atoms
        self._reference = make_interp_spline(curve.volumes, curve.reference, k=DEGREE)
        self._phi = make_interp_spline(curve.volumes, curve.phi, k=DEGREE)
        self.shortest, self.longest = np.cbrt(atoms * curve.volumes[[0, -1]])

    def energy(self, theta: np.ndarray, a: float) -> float:
        """eV per atom."""
        return float(self._reference(a**3 / self._atoms) + self.phi(a) @ theta)

    def phi(self, a: float) -> np.ndarray:
        """(P,) Phi per atom."""
        return self._phi(a**3 / self._atoms)

    def constant(self, theta: np.ndarray) -> float:
        """Lattice constant of the minimum downhill from the mean's, Angstrom; nan where the potential has none inside the grid."""
        return float(np.cbrt(self._atoms * self._curve.minima(theta).volume[0]))

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """(P,) da/dTheta at the minimum of Theta: implicit differentiation of the vanishing pressure."""
        return self._atoms / (3.0 * self.constant(theta) ** 2) * self._curve.gradients(theta)[0]

    def first_order(self, theta: np.ndarray, members: np.ndarray) -> np.ndarray:
        """(K,) lattice constants of members to first order about theta."""
        return self.constant(theta) + (np.asarray(members) - theta) @ self.gradient(theta)
