# SPDX-License-Identifier: GPL-2.0-or-later
"""Energies of a crystal against volume, for every Theta from one grid of Phi: minima, bulk moduli, Birch-Murnaghan fits.

E(V; Theta) = E_reference(V) + Theta.Phi(V) on the geometries of the grid. Where the crystal has internal coordinates or a free shape these
geometries are the mean's at each volume, and what a member gains by relaxing there is taken to second order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import make_interp_spline

EV_PER_A3 = 160.21766208
"""GPa."""
DEGREE = 5
NEWTON_STEPS = 30
BIRCH_WINDOW = 0.08
"""Volumes of a Birch-Murnaghan fit, as a share of the volume at the minimum; their weights fall to zero at its edge."""


class Minimum(NamedTuple):
    """Volume (Angstrom^3/atom), energy (eV/atom) and bulk modulus (GPa) of K Theta, each (K,); NaN where there is no minimum."""

    volume: np.ndarray
    energy: np.ndarray
    bulk_modulus: np.ndarray


class VolumeCurve:
    """Phi of an atom and energy of the reference against the volume of an atom.

    Parameters
    ----------
    volumes : (n,) Angstrom^3/atom, rising
    phi : (n, P)
    reference : (n,) eV/atom
    start : float
        Volume from which minima are sought downhill: the mean's.
    gains : list of ((r, p), (r,)) or None
        A and b of each volume: relaxation lowers the energy by |b + A.Theta|^2 / 2, eV/atom, with the first p coefficients.
    """

    def __init__(self, volumes: ArrayLike, phi: ArrayLike, reference: ArrayLike, start: float, gains: Any = None) -> None:
        self.volumes, self.phi, self.reference = np.asarray(volumes), np.asarray(phi), np.asarray(reference)
        self.start, self.gains = start, gains

    def energies(self, thetas: np.ndarray) -> np.ndarray:
        """(K, n) eV/atom of Theta (K, P)."""
        thetas = np.atleast_2d(thetas)
        energies = self.reference + thetas @ self.phi.T
        for k, (a, b) in enumerate(self.gains or ()):
            energies[:, k] -= 0.5 * np.sum((thetas[:, : a.shape[1]] @ a.T + b) ** 2, axis=1)
        return energies

    def minima(self, thetas: np.ndarray) -> Minimum:
        """The minimum of each Theta (K, P) downhill from the mean's volume."""
        energies = self.energies(thetas)
        found = np.array([self._minimum(row) for row in energies])
        return Minimum(*found.T.copy())

    def _minimum(self, energies):
        here = int(np.argmin(np.abs(self.volumes - self.start)))
        while 0 < here < len(energies) - 1 and energies[here] > min(energies[here - 1], energies[here + 1]):
            here += 1 if energies[here + 1] < energies[here - 1] else -1
        if here in (0, len(energies) - 1):
            return np.nan, np.nan, np.nan
        spline = make_interp_spline(self.volumes, energies, k=DEGREE)
        slope, curvature = spline.derivative(1), spline.derivative(2)
        volume, low, high = self.volumes[here], self.volumes[here - 1], self.volumes[here + 1]
        for _ in range(NEWTON_STEPS):
            low, high = (volume, high) if slope(volume) < 0.0 else (low, volume)
            trial = volume - slope(volume) / curvature(volume) if curvature(volume) > 0.0 else 0.5 * (low + high)
            trial = trial if low <= trial <= high else 0.5 * (low + high)
            if abs(trial - volume) < 1e-13 * volume:
                break
            volume = trial
        return volume, spline(volume), volume * curvature(volume) * EV_PER_A3

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """(3, P) derivatives of volume, energy and bulk modulus at the minimum of Theta (P,)."""
        volume = self.minima(theta).volume[0]
        energy = make_interp_spline(self.volumes, self.energies(theta)[0], k=DEGREE)
        phi = make_interp_spline(self.volumes, self.phi, k=DEGREE)
        second, third = energy.derivative(2)(volume), energy.derivative(3)(volume)
        d_volume = -phi.derivative(1)(volume) / second
        d_bulk = volume * phi.derivative(2)(volume) + (second + volume * third) * d_volume
        return np.array([d_volume, phi(volume), d_bulk * EV_PER_A3])

    def birch_murnaghan(self, thetas: np.ndarray) -> np.ndarray:
        """(K, 4) volume, energy, bulk modulus (GPa) and its pressure derivative of a third-order Birch-Murnaghan fit; NaN without minimum.

        F. Birch, Phys. Rev. 71, 809 (1947): the energy is a cubic in x = V^(-2/3). The fit takes the volumes of the grid within
        `BIRCH_WINDOW` of each member's own minimum.
        """
        energies, minima = self.energies(thetas), self.minima(thetas)
        return np.array([self._birch(row, volume) for row, volume in zip(energies, minima.volume, strict=True)])

    def _birch(self, energies, volume):
        near = np.abs(self.volumes / volume - 1.0) < BIRCH_WINDOW
        if not np.isfinite(volume) or near.sum() < 6 or not near[1:-1].any() or near[0] or near[-1]:
            return np.full(4, np.nan)
        # about the member's own volume, so that the fit is well conditioned
        u = (self.volumes[near] / volume) ** (-2.0 / 3.0) - 1.0
        # weights without a step, so that the fit does not jump when a volume enters the window
        weights = 1.0 - ((self.volumes[near] / volume - 1.0) / BIRCH_WINDOW) ** 2
        cubic = np.polynomial.Polynomial.fit(u, energies[near], 3, w=weights).convert()
        roots = cubic.deriv().roots()
        real = roots[np.abs(roots.imag) < 1e-9].real
        real = real[cubic.deriv(2)(real) > 0.0]
        if not len(real):
            return np.full(4, np.nan)
        u0 = real[np.argmin(np.abs(real))]
        v0 = volume * (1.0 + u0) ** -1.5
        # with y = (V/V0)^(-2/3) = (1 + u)/(1 + u0): E = E0 + 9/16 V0 B0 [(y-1)^3 B0' + (y-1)^2 (6 - 4 y)]
        second, third = cubic.deriv(2)(u0) * (1.0 + u0) ** 2, cubic.deriv(3)(u0) * (1.0 + u0) ** 3
        bulk = second * 4.0 / (9.0 * v0)
        slope = 4.0 + third * 8.0 / (27.0 * v0 * bulk)
        return np.array([v0, cubic(u0), bulk * EV_PER_A3, slope])
