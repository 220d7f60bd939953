# SPDX-License-Identifier: GPL-2.0-or-later
"""Formation, surface and migration energies: energies of stationary points less those of as many atoms of the perfect crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmp_uq.properties.lattice import LatticeGrid
from lmp_uq.properties.stationary import StationaryState
from lmp_uq.properties.system import PropertyFailure

NO_LATTICE = "the crystal has no lattice constant near the mean's"


@dataclass
class MemberValues:
    """One property of the members.

    Attributes
    ----------
    values : (K,) float
        In the property's unit; nan where there is none.
    flags : list of K tuples of str
        Why a value is not to be trusted, or why there is none.
    farthest : (K,) Angstrom
        Largest displacement of an atom beside the strain; nan as in values.
    """

    values: np.ndarray
    flags: list[tuple[str, ...]]
    farthest: np.ndarray

    @property
    def trusted(self) -> np.ndarray:
        """(K,) bool: has a value and no flag."""
        return np.array([not flags for flags in self.flags]) & np.isfinite(self.values)


class ExcessEnergy:
    """sum_s w_s (E_s - n_s e) / norm, with the energy e of an atom of the crystal.

    Parameters
    ----------
    states : sequence of (float, StationaryState)
        w_s and the state, all in cells of the mean's lattice constant.
    crystal : LatticeGrid
        The perfect crystal.
    unit : float
        Factor of the result, as 16021.77 mJ/m^2 in 1 eV/Angstrom^2.
    area : float or None
        Angstrom^2 at the mean's lattice constant, by which the energy is divided; grows with the lattice.
    """

    def __init__(self, states: Sequence[tuple[float, StationaryState]], crystal: LatticeGrid, unit: float = 1.0, area: float | None = None):
        self.states, self.crystal, self._unit, self._area = list(states), crystal, unit, area
        self.theta = states[0][1].theta
        self.a = crystal.constant(self.theta)
        self._atoms = sum(weight * state.system.n_atoms for weight, state in self.states)

    @property
    def mean(self) -> float:
        """The property of the mean potential."""
        return self._value(sum(weight * state.energy for weight, state in self.states), self.theta, self.a)

    def gradient(self) -> np.ndarray:
        """(P,) dq/dTheta at the mean: Phi of the states less that of the crystal; lattice and atoms are stationary."""
        phi = sum(weight * state.phi() for weight, state in self.states) - self._atoms * self.crystal.phi(self.a)
        return phi * self._norm(self.a)

    def first_order(self, members: np.ndarray) -> np.ndarray:
        """(K,) closed form without any evaluation of a member."""
        return self.mean + (np.asarray(members) - self.theta) @ self.gradient()

    def implicit(self, members: np.ndarray, exact_lattice: bool = True) -> MemberValues:
        """Expansion about the mean's stationary points, with the lattice constant of each member.

        Parameters
        ----------
        members : (K, P)
        exact_lattice : bool
            The lattice constant of a member from the grid; otherwise to first order.
        """
        constants = self._constants(members) if exact_lattice else self.crystal.first_order(self.theta, members)
        return self._members(members, constants, StationaryState.expand)

    def brute_force(self, members: np.ndarray) -> MemberValues:
        """Every member relaxed anew at its own lattice constant."""
        return self._members(members, self._constants(members), StationaryState.relax)

    def _members(self, members, constants, energy_of):
        values, farthest, flags = np.full(len(members), np.nan), np.full(len(members), np.nan), []
        for k, (theta, a) in enumerate(zip(members, constants, strict=True)):
            if not self.crystal.a[0] <= a <= self.crystal.a[-1]:
                flags.append((NO_LATTICE,))
                continue
            try:
                found = [energy_of(state, theta, a / self.a) for _, state in self.states]
            except PropertyFailure as failure:
                flags.append((str(failure),))
                continue
            total = sum(weight * one.energy for (weight, _), one in zip(self.states, found, strict=True))
            values[k], farthest[k] = self._value(total, theta, a), max(one.displacement for one in found)
            flags.append(tuple(dict.fromkeys(reason for one in found for reason in one.flags)))
        return MemberValues(values, flags, farthest)

    def _constants(self, members):
        return np.array([self.crystal.constant(theta) for theta in members])

    def _value(self, energy, theta, a):
        return (energy - self._atoms * self.crystal.energy(theta, a)) * self._norm(a)

    def _norm(self, a):
        return self._unit if self._area is None else self._unit / (self._area * (a / self.a) ** 2)
