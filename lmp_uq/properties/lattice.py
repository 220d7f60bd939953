# SPDX-License-Identifier: GPL-2.0-or-later
"""Lattice constants and energies of a cubic crystal for every member, from one grid of Phi over its lattice constant.

In a cell without internal freedom E(a; Theta) = E_0(a) + Theta.Phi(a), so that a member costs a contraction and no run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline, make_interp_spline

from lmp_uq.errors import UqError

POINTS = 81
"""Lattice constants of a grid."""
REACH = 0.10
"""How far the grid goes to either side of the mean's lattice constant."""
SEARCH = 0.25
"""How far from a first guess the mean's own is looked for."""


class LatticeGrid:
    """E(a; Theta) of a crystal whose only freedom is its lattice constant.

    Parameters
    ----------
    a : (G,) rising lattice constants, Angstrom
    reference : (G,) eV per atom, of Theta = 0
    phi : (G, P) Phi per atom
    """

    def __init__(self, a: np.ndarray, reference: np.ndarray, phi: np.ndarray):
        self.a = np.asarray(a)
        self._reference = make_interp_spline(self.a, reference, k=5)
        self._phi = make_interp_spline(self.a, phi, k=5)
        self._tables = np.asarray(reference), np.asarray(phi)

    @classmethod
    def about(cls, evaluate: Callable, theta: np.ndarray, guess: float) -> LatticeGrid:
        """A grid about the mean's lattice constant.

        Parameters
        ----------
        evaluate : function of a lattice constant, energy of Theta = 0 (eV per atom) and Phi per atom (P,)
        theta : (P,) of the mean
        guess : float
            Angstrom.

        Raises
        ------
        UqError
            No minimum of the mean within a quarter of the guess.
        """
        wide = np.linspace(guess * (1 - SEARCH), guess * (1 + SEARCH), 41)
        coarse = cls(wide, *_tables(evaluate, wide))
        centre = coarse.constant(theta)
        if np.isnan(centre):
            lowest, highest = wide[[0, -1]]
            raise UqError(f"no lattice constant between {lowest:.3f} and {highest:.3f} Angstrom is a minimum of the energy; give another guess")
        fine = np.linspace(centre * (1 - REACH), centre * (1 + REACH), POINTS)
        return cls(fine, *_tables(evaluate, fine))

    def energy(self, theta: np.ndarray, a: float) -> float:
        """eV per atom."""
        return float(self._reference(a) + self._phi(a) @ theta)

    def phi(self, a: float) -> np.ndarray:
        """(P,) Phi per atom."""
        return self._phi(a)

    def constant(self, theta: np.ndarray) -> float:
        """Lattice constant of the lowest minimum inside the grid, Angstrom; nan where the potential has none there."""
        reference, phi = self._tables
        curve = CubicSpline(self.a, reference + phi @ theta)
        lows = [a for a in curve.derivative().roots(extrapolate=False) if curve(a, 2) > 0]
        if not lows:
            return np.nan
        return self._sharpened(theta, min(lows, key=curve))

    def first_order(self, theta: np.ndarray, members: np.ndarray) -> np.ndarray:
        """(K,) lattice constants of members by the implicit derivative at the mean's, da = - (d.Phi'') / (E'') to first order."""
        a = self.constant(theta)
        curvature = float(self._reference(a, 2) + self._phi(a, 2) @ theta)
        return a - (np.asarray(members) - theta) @ self._phi(a, 1) / curvature

    def _sharpened(self, theta, a):
        for _ in range(4):  # Newton on the smoother spline
            slope = self._reference(a, 1) + self._phi(a, 1) @ theta
            curvature = self._reference(a, 2) + self._phi(a, 2) @ theta
            moved = a - slope / curvature
            if not (curvature > 0 and self.a[0] < moved < self.a[-1]):
                return float(a)
            a = moved
        return float(a)


def _tables(evaluate, constants):
    found = [evaluate(a) for a in constants]
    return np.array([one[0] for one in found]), np.array([one[1] for one in found])
