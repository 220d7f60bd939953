# SPDX-License-Identifier: GPL-2.0-or-later
"""Formation, surface and migration energies: energies of stationary points less those of as many atoms of the perfect crystal."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lmp_uq.properties.crystal.lattice import LatticeGrid
from lmp_uq.properties.crystal.minimum import element_of
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.minima.stationary import COORDINATION, StationaryState
from lmp_uq.properties.property import Expansion, Option, Outcome, Property, Quantity

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
    n_evaluations : (K,) int
        Of energy and forces.
    """

    values: np.ndarray
    flags: list[tuple[str, ...]]
    n_evaluations: np.ndarray

    @property
    def trusted(self) -> np.ndarray:
        """(K,) bool: has a value, and no flag but of an atom that has other neighbours."""
        return np.array([set(flags) <= {COORDINATION} for flags in self.flags]) & np.isfinite(self.values)


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

    def __init__(
        self, states: Sequence[tuple[float, StationaryState]], crystal: LatticeGrid, unit: float = 1.0, area: float | None = None
    ) -> None:
        self.states, self.crystal, self._unit, self._area = list(states), crystal, unit, area
        self.theta = states[0][1].theta
        self.a = crystal.constant(self.theta)
        self._atoms = sum(weight * state.system.n_atoms for weight, state in self.states)

    @property
    def mean(self) -> float:
        """The property of the mean potential."""
        return self._value(sum(weight * state.energy for weight, state in self.states), self.theta, self.a)

    def gradient(self) -> np.ndarray:
        """(P,) dq/dTheta at the mean: Phi of the states less that of the crystal, and through the lattice constant.

        Positions are stationary and so is the crystal, but a state in a cell of the crystal's lattice constant is under pressure.
        """
        phi = sum(weight * state.phi() for weight, state in self.states) - self._atoms * self.crystal.phi(self.a)
        pressed = -sum(weight * np.trace(state.virial) for weight, state in self.states) * self._norm(self.a)
        shrunk = 0.0 if self._area is None else -2.0 * self.mean
        return phi * self._norm(self.a) + (pressed + shrunk) / self.a * self.crystal.gradient(self.theta)

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
        constants = None if exact_lattice else self.crystal.first_order(self.theta, members)
        return self._members(members, StationaryState.expand, constants)

    def brute_force(self, members: np.ndarray) -> MemberValues:
        """Every member relaxed anew at its own lattice constant."""
        return self._members(members, StationaryState.relax)

    def member(
        self, theta: np.ndarray, energy_of: Callable = StationaryState.relax, a: float | None = None
    ) -> tuple[float, tuple[str, ...], int]:
        """The property of one Theta, flags, and evaluations of energy and forces; PropertyFailure if it has none."""
        a = self.crystal.constant(theta) if a is None else a
        if not self.crystal.shortest <= a <= self.crystal.longest:
            raise PropertyFailure(NO_LATTICE)
        found = [energy_of(state, theta, a / self.a) for _, state in self.states]
        total = sum(weight * one.energy for (weight, _), one in zip(self.states, found, strict=True))
        flags = tuple(dict.fromkeys(reason for one in found for reason in one.flags))
        return self._value(total, theta, a), flags, sum(one.n_evaluations for one in found)

    def _members(self, members, energy_of, constants=None):
        values, flags, counts = np.full(len(members), np.nan), [], np.zeros(len(members), dtype=int)
        for k, theta in enumerate(members):
            try:
                values[k], reasons, counts[k] = self.member(theta, energy_of, None if constants is None else constants[k])
            except PropertyFailure as failure:
                reasons = (str(failure),)
            flags.append(reasons)
        return MemberValues(values, flags, counts)

    def _value(self, energy, theta, a):
        return (energy - self._atoms * self.crystal.energy(theta, a)) * self._norm(a)

    def _norm(self, a):
        return self._unit if self._area is None else self._unit / (self._area * (a / self.a) ** 2)


ELEMENT = Option("", str, (), "needed if the potential has several")


class ExcessProperty(Property):
    """A property of a suite that is an `ExcessEnergy`; a kind says which states and in which unit."""

    quantity: ClassVar[Quantity]

    @abstractmethod
    def excess(self, element: str) -> ExcessEnergy:
        """The states of the mean."""

    def mean(self) -> np.ndarray:
        """See `Property.mean`."""
        self.quantities = [self.quantity]
        self._excess = self.excess(element_of(self.potential, self.options["element"]))
        return np.array([self._excess.mean])

    def member(self, theta: np.ndarray) -> Outcome:
        """See `Property.member`."""
        value, flags, _ = self._excess.member(theta)
        return Outcome(np.array([value]), flags)

    def gradient(self) -> np.ndarray | None:
        """See `Property.gradient`."""
        return self._excess.gradient()[None]

    def expansion(self, thetas: np.ndarray) -> Expansion | None:
        """See `Property.expansion`; a member whose expansion is not to be trusted has no value, and the reason as its flag."""
        found = self._excess.implicit(thetas)
        return Expansion(np.where(found.trusted, found.values, np.nan)[:, None], found.flags, found.n_evaluations)
