# SPDX-License-Identifier: GPL-2.0-or-later
"""A stationary point of the mean potential, and the energies that members have there: expanded about it, or relaxed anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matscipy.neighbours import neighbour_list

from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.minima.descent import descend
from lmp_uq.properties.minima.implicit import HessianProducts, without_translation
from lmp_uq.properties.minima.quasi_newton import UNSETTLED, LimitedMetric, minimise

LARGEST_STEP = 0.3
"""Angstrom that an atom goes in one step of an expansion."""
SETTLED = 1e-4
"""eV that the last step of an expansion gains; that step is taken off and not evaluated."""
EVALUATIONS = 10
ROUGH = 0.1
"""Residual of the solves after the first, whose answers are improved by what the steps meet."""
BASIN = 0.2
UNSOLVED = "the solve with the Hessian does not converge"
CLOSEST = 0.55
"""Distance of two atoms over that of neighbours below which they have fallen onto one another."""
COLLAPSED = "two atoms fall onto one another"
RECONSTRUCTED = "the relaxation leaves its basin"
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
    n_evaluations : int
        Of energy and forces of the member; 0 where they are not counted.
    """

    energy: float
    flags: tuple[str, ...]
    displacement: float
    quadratic: float = np.nan
    n_evaluations: int = 0


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
        Perhaps no minimum within these displacements: solved with MINRES.
    reach : float
        Angstrom: how far an atom of the mean may go from the start.
    basin : float
        Displacement over the distance of neighbours beyond which a relaxed member is in another place than the mean.

    Raises
    ------
    PropertyFailure
        The mean does not relax, or leaves the basin in which it started.
    """

    def __init__(self, system, theta: np.ndarray, neighbours: float, project=without_translation, *, saddle: bool = False,
                 reach: float | None = None, basin: float = BASIN):  # fmt: skip
        self.system, self.theta, self.project = system, np.array(theta), project
        self._neighbours, self._basin = neighbours, basin
        self.cell = system.atoms.cell.array.copy()
        start = system.atoms.get_positions()
        self.positions, self.energy, self.virial = self._relax(self.theta, start, self.cell, reach or basin * neighbours)
        self.displacement = _farthest(self.positions - start)
        self._coordination = self._neighbour_counts(self.positions, self.cell)
        self.hessian = HessianProducts(lambda x: system.evaluate(self.theta, x, self.cell)[1], self.positions, project, saddle=saddle)

    def phi(self) -> np.ndarray:
        """(P,) dE/dTheta, which at a stationary point is that of the relaxed energy too."""
        return self.system.phi(self.positions, self.cell)

    def expand(self, theta: np.ndarray, scale: float = 1.0, *, settled: float = SETTLED, evaluations: int = EVALUATIONS) -> MemberEnergy:
        """E(Theta) at the point that implicit differentiation predicts: strained by the lattice, then moved by z = H^+ f, and again.

        The energy there is evaluated with the member's own Theta. The forces that are left there, of second order in a departure, say how
        far it still is from the member's stationary energy: f.H^+ f / 2. Once that is below `settled` it is taken off; before, the step
        is repeated, with H improved by what the steps meet. ``quadratic`` is the form without any such evaluation; it errs by the third
        order.

        Parameters
        ----------
        theta : (P,)
        scale : float
            Lattice constant of the member over the mean's.
        settled : float
            eV that the last step gains.
        evaluations : int
            In which it has to settle.

        Raises
        ------
        PropertyFailure
            The member has no energy there.
        """
        start, cell = scale * self.positions, scale * self.cell
        function = self._within(theta, start, cell)
        affine = function(np.zeros(start.size))
        solution = self.hessian.solve(-affine[1].reshape(start.shape))
        if not solution.converged:
            return MemberEnergy(affine[0], (UNSOLVED,), 0.0)
        found = minimise(
            function, np.zeros(start.size), LimitedMetric(self._answer), tolerance=settled, evaluations=evaluations - 1,
            longest=LARGEST_STEP, length=lambda step: _farthest(step.reshape(start.shape)), first=affine,
        )  # fmt: skip
        moved = (found.x + found.step * found.converged).reshape(start.shape)
        far = _farthest(moved)
        checks = (
            (not found.converged, UNSETTLED),
            (far > self._basin * scale * self._neighbours, RECONSTRUCTED),
            (self._collapsed(start + moved, cell), COLLAPSED),
        )
        flags = tuple(reason for wrong, reason in checks if wrong)
        if not flags and not self._same_neighbours(start + moved, cell):
            flags = (COORDINATION,)
        quadratic = affine[0] + 0.5 * float(affine[1] @ solution.displacements.ravel())
        return MemberEnergy(found.energy - found.left * found.converged, flags, far, quadratic, found.n_evaluations + 1)

    def _answer(self, gradient):
        """H^+ g, roughly."""
        return self.hessian.solve(gradient.reshape(self.positions.shape), ROUGH).displacements.ravel()

    def relax(self, theta: np.ndarray, scale: float = 1.0) -> MemberEnergy:
        """Brute force: the member relaxed from the mean's point, strained by the lattice.

        Raises
        ------
        PropertyFailure
            It does not relax.
        """
        start, cell = scale * self.positions, scale * self.cell
        positions, energy, _ = self._relax(np.asarray(theta), start, cell, self._basin * scale * self._neighbours)
        flags = () if self._same_neighbours(positions, cell) else (COORDINATION,)
        return MemberEnergy(energy, flags, _farthest(positions - start))

    def _within(self, theta, start, cell):
        """Energy and its slope against allowed displacements (3 n,) from start."""

        def function(flat):
            energy, forces, _ = self.system.evaluate(theta, start + self.project(flat.reshape(start.shape)), cell)
            return energy, -self.project(forces).ravel()

        return function

    def _relax(self, theta, start, cell, reach):
        """Positions, energy and virial of the minimum among the allowed displacements; PropertyFailure if it is farther than reach away."""

        function = self._within(theta, start, cell)

        def stop_outside(flat):
            if _farthest(self.project(flat.reshape(start.shape))) > reach:
                raise PropertyFailure(RECONSTRUCTED)

        positions = start + self.project(descend(function, start.size, stop_outside).reshape(start.shape))
        if self._collapsed(positions, cell):
            raise PropertyFailure(COLLAPSED)
        energy, _, virial = self.system.evaluate(theta, positions, cell)
        return positions, energy, virial

    def _collapsed(self, positions, cell):
        return bool(len(neighbour_list("i", cutoff=CLOSEST * self._neighbours, positions=positions, cell=cell, pbc=[True] * 3)))

    def _same_neighbours(self, positions, cell):
        """Whether no atom has for certain another number of neighbours than in the mean's state."""
        few, many = self._neighbour_counts(positions, cell)
        mean_few, mean_many = self._coordination
        return bool((few <= mean_many).all() and (many >= mean_few).all())

    def _neighbour_counts(self, positions, cell):
        """Two (n,): neighbours of each atom within 5 % less and 5 % more than the middle between second and third shell of bcc."""
        reach = 1.394 * self._neighbours * np.linalg.norm(cell[0]) / np.linalg.norm(self.cell[0])
        first, distances = neighbour_list("id", cutoff=1.05 * float(reach), positions=positions, cell=cell, pbc=[True] * 3)
        return tuple(np.bincount(first[distances < share * reach], minlength=len(positions)) for share in (0.95, 1.05))


def _farthest(displacements):
    return float(np.sqrt((displacements**2).sum(axis=1).max(initial=0.0)))
