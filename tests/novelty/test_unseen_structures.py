# SPDX-License-Identifier: GPL-2.0-or-later
"""What the embedded model says of bonds and surfaces that nothing was trained on, beside rattled crystals that it knows."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bcc110, bulk

from lmp_uq import Model

LATTICE, CUTOFF = 3.185, 4.5
BOND = LATTICE * np.sqrt(3) / 2
SHORT, LONG = (0.5, 0.6, 0.7), (1.3, 1.4, 0.98 * CUTOFF / BOND)


def rattled(atoms, size, seed):
    atoms.positions += np.random.default_rng(seed).normal(0.0, size, atoms.positions.shape)
    return atoms


def crystal():
    return bulk("W", "bcc", LATTICE, cubic=True) * (3, 3, 3)


def with_bond(scale):
    """A crystal in which one bond has this multiple of its length."""
    atoms = rattled(crystal(), 0.05, 1)
    other = 1 + int(np.argmin(atoms.get_distances(0, range(1, len(atoms)), mic=True)))
    atoms.set_distance(0, other, scale * BOND, fix=0, mic=True)
    return atoms


def dimer(scale):
    return Atoms("W2", [[0, 0, 0], [scale * BOND, 0, 0]], cell=[15, 15, 15], pbc=True)


def slab(strain):
    """A (110) surface, strained in its plane."""
    atoms = bcc110("W", (3, 3, 5), a=LATTICE, vacuum=8)
    atoms.set_cell(atoms.cell.array * np.array([[1 + strain], [1 + strain], [1]]), scale_atoms=True)
    atoms.pbc = True
    return rattled(atoms, 0.03, 2)


@pytest.fixture(scope="module")
def model():
    return Model.load("nbmotaw")


def largest(model, frames):
    """Largest grade, neighbour grade and force_error of each frame, and the std of its energy per atom: (4, n)."""
    found = model.predict(frames, progress=False)
    fields = (found.grade, found.neighbour_grade, found.force_error(0.9))
    per_atom = found.energy_std / np.array([len(atoms) for atoms in frames])
    return np.array([*([column.max() for column in field] for field in fields), per_atom])


@pytest.fixture(scope="module")
def calm(model):
    return largest(model, [rattled(crystal(), size, seed) for seed, size in enumerate(np.linspace(0.03, 0.12, 10))])


UNSEEN = {
    "bond": [with_bond(scale) for scale in (*SHORT, *LONG)],
    "dimer": [dimer(scale) for scale in (*SHORT, 0.8, 0.9)],
    "surface": [slab(strain) for strain in (-0.15, 0.1, 0.15)],
}


@pytest.mark.parametrize("name", UNSEEN)
def test_structures_that_nothing_was_trained_on_stand_out(model, calm, name):
    grade, near, error, _ = largest(model, UNSEEN[name])
    assert grade.min() > 1.0 > calm[0].max() and near.min() > 1.0 > calm[1].max()
    assert error.min() > 2.5 * calm[2].max(), "every such frame ranks above every calm one"
    assert model.predict(UNSEEN[name], progress=False).error_above(0.3)[0].max() > 0.9


@pytest.mark.parametrize("direction", [np.array([1.0, 0.9, 0.8, 0.7]), np.array([1.0, 1.1, 1.2, 1.3])])
def test_all_rise_along_a_bond(model, direction):
    grade, near, error, _ = largest(model, [with_bond(scale) for scale in direction])
    assert all(np.all(np.diff(column) > 0) for column in (grade, near, error))


def test_the_std_of_the_posterior_alone_does_not_tell(model, calm):
    """A bond of 0.7 of its length costs one atom of many, and the std of the energy hardly moves."""
    *_, std = largest(model, [with_bond(0.7), with_bond(1.2)])
    assert std.min() < calm[3].max()
    assert std.max() < 1.1 * calm[3].max()
