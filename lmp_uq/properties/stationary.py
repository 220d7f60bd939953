# SPDX-License-Identifier: GPL-2.0-or-later
"""A stationary point of the mean potential, and the energies that members have there: expanded about it, or relaxed anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from lmp_uq.errors import UqError
from lmp_uq.properties.implicit import HessianProducts, without_translation
from lmp_uq.properties.system import FORCE_TOLERANCE, PropertyFailure

LARGEST_STEP = 0.3
"""Angstrom: an expansion that moves an atom farther is not trusted."""
LARGEST_REMAINDER = 0.5
"""Force left after the expansion's step over the force before it, above which the step is not trusted."""
BASIN = 0.2
"""Displacement over the distance of neighbours beyond which a relaxed member is in another place than the mean."""
NO_FORCE = 1e-3
"""eV/Angstrom: norm of forces that are none, in members that do not differ from the mean."""
STEPS = 400
FAR = "an atom moves farther than the expansion reaches"
UNSOLVED = "the solve with the Hessian does not converge"
REMAINDER = "the expanded point is not stationary"
RECONSTRUCTED = "the relaxation leaves the basin of the mean"
COORDINATION = "an atom changes its number of neighbours"


@dataclass(frozen=True)
class MemberEnergy:
    """Energy of one member at its stationary point.

    Attributes
    ----------
    energy : float
        eV.
    flags : tuple of str
        Reasons not to trust it; empty for none.
    displacement : float
        Angstrom: the farthest that an atom is from the homogeneously strained point of the mean.
    quadratic : float
        eV: E(affine point) - f.H^+ f / 2, where the expansion was evaluated; else nan.
    """

    energy: float
    flags: tuple[str, ...]
    displacement: float
    quadratic: float = np.nan


class StationaryState:
    """A stationary point of the mean, at zero force in a cell of given size.

    Parameters
    ----------
    system : LinearSystem
    theta : (P,)
        Of the mean.
    neighbours : float
        Angstrom: distance of neighbours in the crystal.
    project : function of (n, 3), (n, 3)
        Displacements that a relaxation may make (`implicit.HessianProducts`).
    saddle : bool
        Not a minimum within these displacements: solved with MINRES.

    Raises
    ------
    UqError
        The mean does not relax, or leaves the basin in which it started.
    """

    def __init__(self, system, theta: np.ndarray, neighbours: float, project=without_translation, *, saddle: bool = False):
        self.system, self.theta, self.project = system, np.array(theta), project
        self._neighbours = neighbours
        self.cell = system.atoms.cell.array.copy()
        start = system.atoms.get_positions()
        try:
            self.positions, self.energy = self._relax(self.theta, start, self.cell)
        except PropertyFailure as failure:
            raise UqError(f"the mean potential has no such stationary point: {failure}; accepted: a start from which it relaxes") from failure
        self.displacement = _farthest(self.positions - start)
        self._coordination = self._neighbour_counts(self.positions, self.cell)
        self.hessian = HessianProducts(lambda x: system.evaluate(self.theta, x, self.cell)[1], self.positions, project, saddle=saddle)

    def phi(self) -> np.ndarray:
        """(P,) dE/dTheta, which at a stationary point is that of the relaxed energy too."""
        return self.system.phi(self.positions, self.cell)

    def expand(self, theta: np.ndarray, scale: float = 1.0) -> MemberEnergy:
        """E(Theta) at the point that implicit differentiation predicts: strained by the lattice, then moved by z = H^+ f.

        The energy there is evaluated with the member's own Theta. The forces that are left there, of second order in a departure, say how far
        it still is from the member's stationary energy: f.H^+ f / 2, taken off. ``quadratic`` is the form without that evaluation; it errs by the
        third order.

        Parameters
        ----------
        theta : (P,)
        scale : float
            Lattice constant of the member over the mean's.

        Raises
        ------
        PropertyFailure
            The member has no energy there.
        """
        positions, cell = scale * self.positions, scale * self.cell
        affine, forces, _ = self.system.evaluate(theta, positions, cell)
        solution = self.hessian.solve(forces)
        moved = positions + solution.displacements
        energy, left, _ = self.system.evaluate(theta, moved, cell)
        rest = self.hessian.solve(left)
        before, after = (np.linalg.norm(self.project(f)) for f in (forces, left))
        far = _farthest(solution.displacements)
        checks = ((not solution.converged, UNSOLVED), (far > LARGEST_STEP, FAR), (after > LARGEST_REMAINDER * before + NO_FORCE, REMAINDER))
        flags = tuple(reason for wrong, reason in checks if wrong)
        quadratic = affine - _work(self.project(forces), solution.displacements)
        return MemberEnergy(energy - _work(self.project(left), rest.displacements), flags, far, quadratic)

    def relax(self, theta: np.ndarray, scale: float = 1.0) -> MemberEnergy:
        """Brute force: the member relaxed from the mean's point, strained by the lattice.

        Raises
        ------
        PropertyFailure
            It does not relax.
        """
        start, cell = scale * self.positions, scale * self.cell
        positions, energy = self._relax(np.asarray(theta), start, cell)
        far = _farthest(without_translation(positions - start))
        checks = ((far > BASIN * scale * self._neighbours, RECONSTRUCTED),
                  (not np.array_equal(self._neighbour_counts(positions, cell), self._coordination), COORDINATION))  # fmt: skip
        return MemberEnergy(energy, tuple(reason for wrong, reason in checks if wrong), far)

    def _relax(self, theta, start, cell):
        """Positions and energy of the minimum among the allowed displacements."""

        def function(flat):
            energy, forces, _ = self.system.evaluate(theta, start + self.project(flat.reshape(start.shape)), cell)
            return energy - offset, -self.project(forces).ravel()

        offset = self.system.evaluate(theta, start, cell)[0]
        options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "ftol": 0.0, "gtol": FORCE_TOLERANCE, "maxls": 40}
        found = minimize(function, np.zeros(start.size), jac=True, method="L-BFGS-B", options=options)
        moved = self.project(found.x.reshape(start.shape))
        if np.abs(found.jac).max() > 20 * FORCE_TOLERANCE:
            raise PropertyFailure("the relaxation does not converge")
        return start + moved, float(found.fun + offset)

    def _neighbour_counts(self, positions, cell):
        """(n,) neighbours of each atom, closer than the middle between second and third shell of bcc."""
        from matscipy.neighbours import neighbour_list

        reach = 1.394 * self._neighbours * np.linalg.norm(cell[0]) / np.linalg.norm(self.cell[0])
        first = neighbour_list("i", cutoff=float(reach), positions=positions, cell=cell, pbc=[True] * 3)
        return np.bincount(first, minlength=len(positions))


def _work(forces, displacements):
    return 0.5 * float((forces * displacements).sum())


def _farthest(displacements):
    return float(np.sqrt((displacements**2).sum(axis=1).max(initial=0.0)))
