# SPDX-License-Identifier: GPL-2.0-or-later
"""Equation of state of a crystal: a third-order Birch-Murnaghan fit for every Theta from one grid of Phi."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lmp_uq.properties.crystal.minimum import crystal_at_minimum, element_of
from lmp_uq.properties.crystal.volume_curve import BIRCH_WINDOW, VolumeCurve
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.property import EXACT, EXPANSION, Curves, Expansion, Option, Outcome, Property, Quantity

MARGIN = 0.015
"""Volumes beyond the window of the fit, which show that the grid goes on."""
STEP = 1e-7
"""Relative step of the differences that give first-order forms of a fit."""


class EquationOfState(Property):
    """Volume, energy, bulk modulus and its pressure derivative of a Birch-Murnaghan fit within 8 % of the minimum's volume.

    By members the energies are evaluated anew for each on its own geometries, relaxed at each volume where the crystal can relax.
    """

    OPTIONS: ClassVar = {
        "structure": Option("bcc", str, (), "a phase by name, or the path of a file that ASE reads"),
        "element": Option("", str, (), "needed if the potential has several"),
        "volume": Option(0.0, float, (), "Angstrom^3 per atom to start from; 0: that of the element"),
    }

    def mean(self) -> np.ndarray:
        """See `Property.mean`."""
        element = element_of(self.potential, self.options["element"])
        self.crystal = crystal_at_minimum(self.potential, self.options["structure"], element, self.options["volume"] or None)
        self.expansion_rests_on = EXACT if self.crystal.rigid else EXPANSION
        self.quantities = [
            Quantity("volume", "Angstrom^3"), Quantity("energy", "eV/atom", ".4f"),
            Quantity("bulk_modulus", "GPa", ".0f"), Quantity("bulk_modulus_slope", "", ".2f"),
        ]  # fmt: skip
        return self.crystal.curve().birch_murnaghan(self.potential.theta)[0]

    def member(self, theta: np.ndarray) -> Outcome:
        """See `Property.member`."""
        relaxed, curve, n = self.crystal.member(theta), self.crystal.curve(), self.crystal.system.n_atoms
        volume = self.crystal.coordinates.volume(relaxed.x)
        near = curve.volumes[np.abs(curve.volumes / volume - 1.0) < BIRCH_WINDOW + MARGIN]
        energies = [self.crystal.at_volume(theta, relaxed.x, one).energy / n for one in near]
        own = VolumeCurve(near, np.zeros((len(near), len(theta))), energies, volume)
        values = own.birch_murnaghan(theta)[0] if len(near) else np.full(4, np.nan)
        if not np.isfinite(values).all():
            raise PropertyFailure("no fit: too few volumes about the minimum")
        return Outcome(values)

    def gradient(self) -> np.ndarray | None:
        """See `Property.gradient`: the fit is smooth in the energies of its volumes, so differences of it along each energy."""
        curve, theta = self.crystal.curve(), self.potential.theta
        energies = curve.energies(theta)[0]
        n = len(energies)
        # the energies of the grid as the coefficients: their derivatives, then the chain rule
        free = VolumeCurve(curve.volumes, np.eye(n), np.zeros(n), curve.start)
        step = STEP * np.ptp(energies)
        up, down = (free.birch_murnaghan(energies + sign * step * np.eye(n)) for sign in (1.0, -1.0))
        return ((up - down) / (2.0 * step)).T @ curve.phi

    def expansion(self, thetas: np.ndarray) -> Expansion | None:
        """See `Property.expansion`."""
        values, reasons = self.crystal.curve().birch_murnaghan(thetas), list(self.crystal.expansion.predicted(thetas).reasons)
        for k, row in enumerate(values):
            if reasons[k]:
                row[:] = np.nan
            elif not np.isfinite(row).all():
                reasons[k] = ("no fit: the minimum is at the edge of the grid",)
        return Expansion(values, reasons)

    def curves(self, thetas: np.ndarray) -> Curves | None:
        """See `Property.curves`."""
        curve = self.crystal.curve()
        return Curves(curve.volumes, curve.energies(self.potential.theta)[0], curve.energies(thetas), "volume, Å³/atom", "energy, eV/atom")
