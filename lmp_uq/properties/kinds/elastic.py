# SPDX-License-Identifier: GPL-2.0-or-later
"""Elastic constants of cubic crystals, of every Theta at its own volume."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.minimum import RIGID, crystal_at_minimum, element_of
from lmp_uq.properties.crystal.volume_curve import EV_PER_A3
from lmp_uq.properties.property import EXACT, Expansion, Option, Outcome, Property, Quantity

STRAIN = 2e-3
"""Of the differences of stresses."""
VOLUME_STEP = 1e-3
"""Relative, of the difference that gives the derivative of a constant by volume."""
COMPONENTS = ("C11", "C12", "C44")
UNSTABLE = "the crystal is unstable under strain"


class ElasticConstants(Property):
    """C11, C12 and C44 (GPa): central differences of stresses under a strain of `STRAIN`, at zero pressure.

    A crystal that does not resist every strain (M. Born, Math. Proc. Camb. Phil. Soc. 36, 160 (1940)) is flagged: it is held by symmetry
    alone. By members each is relaxed first, and relaxed again under strain where the crystal has internal coordinates. The form without
    relaxations takes the volume from one grid of Phi; it needs a crystal in which no atom moves under strain, such as bcc and fcc.
    """

    OPTIONS: ClassVar = {
        "structure": Option("bcc", str, (), "a cubic phase"),
        "element": Option("", str, (), "needed if the potential has several"),
        "volume": Option(0.0, float, (), "Angstrom^3 per atom to start from; 0: that of the element"),
    }

    def mean(self) -> np.ndarray:
        """See `Property.mean`."""
        element = element_of(self.potential, self.options["element"])
        self.crystal = crystal_at_minimum(self.potential, self.options["structure"], element, self.options["volume"] or None)
        if not self.crystal.structure.cubic_atoms:
            raise UqError(f"elastic constants of {self.options['structure']}; accepted: a cubic phase")
        self.quantities = [Quantity(name, "GPa", ".0f") for name in COMPONENTS]
        self.expansion_rests_on = EXACT
        found = self._constants(self.potential.theta, self.crystal.relaxed)
        self.notes += [f"{UNSTABLE} with the mean"] * bool(_unstable(found))
        return found

    def member(self, theta: np.ndarray) -> Outcome:
        """See `Property.member`."""
        found = self._constants(theta, self.crystal.member(theta))
        return Outcome(found, (UNSTABLE,) * bool(_unstable(found)))

    def gradient(self) -> np.ndarray | None:
        """See `Property.gradient`: the explicit derivative and that of the volume."""
        rows = self._rows()
        if rows is None:
            return None
        at, theta, volume = self.crystal.relaxed, self.potential.theta, self.crystal.volume
        low, high = (self._fixed_constants(theta, at.positions * s, at.cell * s) for s in np.cbrt([1.0 - VOLUME_STEP, 1.0 + VOLUME_STEP]))
        slope = (high - low) / (2.0 * VOLUME_STEP * volume)
        return rows + slope[:, None] * self.crystal.curve().gradients(theta)[0]

    def expansion(self, thetas: np.ndarray) -> Expansion | None:
        """See `Property.expansion`."""
        if self._rows() is None:
            return None
        minima = self.crystal.expansion.minima(thetas)
        reasons = list(minima.reasons)
        values, at = np.full((len(thetas), len(COMPONENTS)), np.nan), self.crystal.relaxed
        for k in np.flatnonzero(np.isfinite(minima.volume)):
            # at the member's own volume: a shell that crosses the cutoff makes constants jump, which no interpolation follows
            scale = np.cbrt(minima.volume[k] / self.crystal.volume)
            values[k] = self._fixed_constants(thetas[k], at.positions * scale, at.cell * scale)
            reasons[k] += (UNSTABLE,) * bool(_unstable(values[k]))
        return Expansion(values, reasons)

    def _constants(self, theta, relaxed):
        """(3,) GPa at one geometry, atoms at rest under strain."""
        virials = []
        for strain in _strains():
            cell, positions = relaxed.cell @ strain, relaxed.positions @ strain
            virials.append(self.crystal.system.relax(theta, "fixed", positions, cell).virial / abs(np.linalg.det(cell)))
        return _components(np.array(virials)[..., None])[:, 0]

    def _fixed_constants(self, theta, positions, cell):
        """The same without relaxation, of a crystal in which nothing moves under strain."""
        virials = []
        for strain in _strains():
            virial = self.crystal.system.evaluate(theta, positions @ strain, cell @ strain)[2]
            virials.append(virial / abs(np.linalg.det(cell @ strain)))
        return _components(np.array(virials)[..., None])[:, 0]

    def _rows(self):
        """(3, P) explicit derivatives of the constants at the mean's minimum; None where atoms would move under strain."""
        virials, at = [], self.crystal.relaxed
        for strain in _strains():
            cell = at.cell @ strain
            found = self.crystal.system.rows(at.positions @ strain, cell)
            if np.abs(found.force_rows).max() > RIGID * np.abs(found.descriptors).sum(axis=0).max():
                return None
            constants = np.zeros((3, 3, self.crystal.system.n_parameters - found.virial_rows.shape[2]))
            virials.append(np.concatenate([found.virial_rows, constants], axis=2) / abs(np.linalg.det(cell)))
        return _components(np.array(virials))


def _unstable(constants):
    """Whether a cubic crystal with these C11, C12 and C44 gains energy by a strain."""
    c11, c12, c44 = constants
    return min(c11 - c12, c11 + 2.0 * c12, c44) <= 0.0


def _strains():
    """Deformations: stretches along x, then shears of yz, each there and back."""
    out = []
    for axes in ((0, 0), (1, 2)):
        for sign in (1.0, -1.0):
            strain = np.zeros((3, 3))
            strain[axes] = strain[axes[::-1]] = sign * STRAIN * (1.0 if axes[0] == axes[1] else 0.5)
            out.append(np.eye(3) + strain)
    return out


def _components(virials):
    """(3, ...) C11, C12, C44 in GPa from virials over volume (4, 3, 3, ...) under `_strains`; stress is minus the virial."""
    stretch, shear = (-(virials[k] - virials[k + 1]) / (2.0 * STRAIN) * EV_PER_A3 for k in (0, 2))
    return np.array([stretch[0, 0], 0.5 * (stretch[1, 1] + stretch[2, 2]), shear[1, 2]])
