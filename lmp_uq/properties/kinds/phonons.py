# SPDX-License-Identifier: GPL-2.0-or-later
"""Phonons of a bcc crystal by finite displacements, for every Theta from one set of rows.

Force constants are linear in Theta at a given lattice constant. Their rows are tabulated over lattice constants, each member is read at its
own: exact but for the interpolation, without a run.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.interpolate import Akima1DInterpolator

from lmp_uq.properties.crystal.bcc import lattice_grid, supercell
from lmp_uq.properties.crystal.lattice import LatticeGrid
from lmp_uq.properties.crystal.minimum import element_of
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds.excess import ELEMENT, NO_LATTICE
from lmp_uq.properties.property import EXACT, Curves, Expansion, Option, Outcome, Property, Quantity

SIZE = 6
"""Conventional cells along each side of the supercell; its half should not be below twice the cutoff."""
STEP = 0.01
"""Angstrom that an atom is displaced."""
POINTS = {"Γ": (0.0, 0.0, 0.0), "H": (1.0, 0.0, 0.0), "P": (0.5, 0.5, 0.5), "N": (0.5, 0.5, 0.0)}
"""Special points of bcc in 2 pi over the lattice constant."""
PATH = ("Γ", "H", "P", "Γ", "N")
MODES = (("H", "H", (0, 1, 2)), ("P", "P", (0, 1, 2)), ("N_low", "N", (0,)), ("N_middle", "N", (1,)), ("N_high", "N", (2,)))
"""Quantities: name, special point, and which of its modes in the order of frequencies."""
UNSTABLE = "a mode is unstable"
SPACING = np.arange(-3, 10) / 100.0
TERAHERTZ = 15.633302
"""Frequency of sqrt(1 eV/(Angstrom^2 amu)) in THz."""


class PhononTable:
    """Rows of the dynamical matrix of a monatomic bcc crystal at given wave vectors.

    Parameters
    ----------
    potential
        Has ``system(atoms)`` and ``theta``.
    element : str
    crystal : LatticeGrid
    vectors : (Q, 3)
        In 2 pi over the lattice constant.
    size : int
        Conventional cells along each side of the supercell.
    spacing : (m,)
        Lattice constants of the table, relative to the mean's less one.
    """

    def __init__(self, potential, element: str, crystal: LatticeGrid, vectors: np.ndarray, size: int = SIZE, spacing=SPACING):
        self.vectors, self.crystal, self.theta = np.asarray(vectors, dtype=np.float64), crystal, potential.theta
        self.a = crystal.constant(potential.theta)
        self._constants = self.a * (1.0 + np.asarray(spacing))
        self._atoms = supercell(element, "bcc", self.a, size)
        self._system = potential.system(self._atoms)
        self._mass = atomic_masses[atomic_numbers[element]]
        turned = [np.roll(self.vectors, -axis, axis=1) for axis in range(3)]  # about the threefold axis, which takes x to y to z
        self._phases = np.array([_phases(self._atoms, one, self.a) for one in turned])
        # local: force constants jump where a shell of neighbours crosses the cutoff
        self._table = Akima1DInterpolator(self._constants, np.array([self._rows(a) for a in self._constants]))

    def dynamical(self, theta: np.ndarray, a: float | None = None) -> np.ndarray:
        """(Q, 3, 3) real symmetric, eV/(Angstrom^2 amu), at a or at the member's lattice constant; nan where it has none in the table."""
        a = self.crystal.constant(theta) if a is None else a
        if not self._constants[0] <= a <= self._constants[-1]:
            return np.full((len(self.vectors), 3, 3), np.nan)
        return self._table(a) @ np.append(theta, 1.0)

    def gradient(self) -> np.ndarray:
        """(Q, 3, 3, P) derivative of `dynamical` at the mean: explicit, and through the lattice constant."""
        theta = np.append(self.theta, 1.0)
        slope = self._table(self.a, 1) @ theta
        return self._table(self.a)[..., :-1] + slope[..., None] * self.crystal.gradient(self.theta)

    def brute_force(self, theta: np.ndarray) -> np.ndarray:
        """`dynamical` from forces of a member at its own lattice constant, without the table."""
        scale = self.crystal.constant(theta) / self.a
        if np.isnan(scale):
            raise PropertyFailure(NO_LATTICE)

        def forces(positions):
            return self._system.evaluate(theta, positions, scale * self._atoms.cell.array)[1]

        return self._transformed(self._differences(forces, scale)[..., None])[..., 0]

    def _rows(self, a):
        """(Q, 3, 3, P + 1) of descriptors, then of the reference, at one lattice constant."""
        cell = a / self.a * self._atoms.cell.array

        def forces(positions):
            found = self._system.rows(positions, cell)
            return np.concatenate([found.force_rows.reshape(len(positions), 3, -1), found.forces[..., None]], axis=2)

        rows = self._transformed(self._differences(forces, a / self.a))
        constants = np.zeros((*rows.shape[:-1], self._system.n_parameters + 1 - rows.shape[-1]))
        return np.concatenate([rows[..., :-1], constants, rows[..., -1:]], axis=-1)

    def _differences(self, forces, scale):
        """(n, 3, ...) -dF/du of atom 0 along x."""
        moved = np.zeros((len(self._atoms), 3))
        moved[0, 0] = STEP
        start = scale * self._atoms.positions
        return (forces(start - moved) - forces(start + moved)) / (2.0 * STEP)

    def _transformed(self, constants):
        """(Q, 3, 3, ...) from force constants (n, 3, ...) of atom 0 along x; those along y and z follow by the threefold axis."""
        rows = np.einsum("aqn,nbp->aqbp", self._phases, constants.reshape(*constants.shape[:2], -1)) / self._mass
        found = np.stack([np.roll(row, axis, axis=1) for axis, row in enumerate(rows)], axis=1)
        return 0.5 * (found + found.swapaxes(1, 2)).real


def frequencies(dynamical: np.ndarray) -> np.ndarray:
    """(..., 3) THz, rising; those of unstable modes are negative."""
    squares = np.full(dynamical.shape[:-1], np.nan)
    known = np.isfinite(dynamical).all(axis=(-2, -1))
    squares[known] = np.linalg.eigvalsh(dynamical[known])
    return TERAHERTZ * np.sign(squares) * np.sqrt(np.abs(squares))


def path_vectors(per_segment: int = 24) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Wave vectors along `PATH`, their distance along it, and where its corners are, in 2 pi over the lattice constant."""
    corners = np.array([POINTS[name] for name in PATH])
    shares = np.arange(per_segment) / per_segment
    pieces = [start + shares[:, None] * (end - start) for start, end in pairwise(corners)]
    vectors = np.vstack([*pieces, corners[-1:]])
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(vectors, axis=0), axis=1))])
    return vectors, along, along[::per_segment].tolist()


def _phases(atoms, vectors, a):
    """(Q, n) exp(i q.r) of each atom about atom 0, averaged over its nearest images."""
    cell = atoms.cell.array
    shifts = np.stack(np.meshgrid(*3 * [np.arange(-1, 2)], indexing="ij"), axis=-1).reshape(-1, 3) @ cell
    images = atoms.positions[:, None, :] - atoms.positions[0] + shifts[None]
    distances = np.linalg.norm(images, axis=2)
    nearest = distances < distances.min(axis=1, keepdims=True) + 1e-4
    waves = np.exp(2j * np.pi / a * np.einsum("qx,nsx->qns", vectors, images))
    return (waves * nearest).sum(axis=2) / nearest.sum(axis=1)


class PhononDispersion(Property):
    """Frequencies at the special points of bcc, and the dispersion along the path through them.

    The value of degenerate modes is the root of the mean of their squares. A frequency below zero stands for an imaginary one: the
    crystal is unstable there.
    """

    OPTIONS: ClassVar = {
        "size": Option(SIZE, int, (), "conventional cells along each side of the supercell, 2 or more"),
        "element": ELEMENT,
    }
    expansion_rests_on = EXACT
    spacing = SPACING

    def mean(self):
        """See `Property.mean`."""
        element = element_of(self.potential, self.options["element"])
        path, self._along, self._corners = path_vectors()
        vectors = np.vstack([[POINTS[point] for _, point, _ in MODES], path])
        crystal, size = lattice_grid(self.potential, element), self.options["size"]
        self.table = PhononTable(self.potential, element, crystal, vectors, size, self.spacing)
        self.quantities = [Quantity(name, "THz") for name, _, _ in MODES]
        return self._values(self.table.dynamical(self.potential.theta))

    def member(self, theta):
        """See `Property.member`."""
        values = self._values(self.table.brute_force(theta))
        return Outcome(values, (UNSTABLE,) if (values < 0.0).any() else ())

    def gradient(self):
        """See `Property.gradient`."""
        means, slopes = self.table.dynamical(self.potential.theta), self.table.gradient()
        rows = []
        for (_, _, modes), matrix, slope in zip(MODES, means, slopes, strict=False):
            values, vectors = np.linalg.eigh(matrix)
            chosen, square = vectors[:, list(modes)], np.mean(values[list(modes)])
            change = np.einsum("am,abp,bm->p", chosen, slope, chosen) / len(modes)
            rows.append(TERAHERTZ * change / (2.0 * np.sqrt(np.abs(square))))
        return np.array(rows)

    def expansion(self, thetas):
        """See `Property.expansion`."""
        values = np.array([self._values(self.table.dynamical(theta)) for theta in thetas])
        flags = [(NO_LATTICE,) if np.isnan(row).any() else (UNSTABLE,) if (row < 0.0).any() else () for row in values]
        return Expansion(values, flags)

    def curves(self, thetas):
        """See `Property.curves`: the three branches one after the other, apart by NaN."""
        means, *members = (self._branches(self.table.dynamical(theta)) for theta in (self.potential.theta, *thetas))
        apart = np.append(self._along, np.nan)
        names = tuple(zip(self._corners, PATH, strict=True))
        return Curves(np.tile(apart, 3), means, np.array(members), "wave vector", "frequency, THz", names)

    def _values(self, dynamical):
        squares = frequencies(dynamical[: len(MODES)])
        squares = np.sign(squares) * squares**2
        means = np.array([row[list(modes)].mean() for row, (_, _, modes) in zip(squares, MODES, strict=True)])
        return np.sign(means) * np.sqrt(np.abs(means))

    def _branches(self, dynamical):
        found = frequencies(dynamical[len(MODES) :])
        return np.vstack([found, np.full((1, 3), np.nan)]).T.ravel()
