# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations of crystals, what they leave free, and instabilities: group theory and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from properties_example import VOLUME

from lmp_uq.properties.crystal.free_coordinates import FreeCoordinates
from lmp_uq.properties.crystal.minimum import crystal_at_minimum
from lmp_uq.properties.crystal.operations import space_group
from lmp_uq.properties.crystal.structures import PROTOTYPES, structure
from lmp_uq.properties.minima.implicit import HessianProducts
from lmp_uq.properties.minima.stability import hessian, only_symmetry_holds
from lmp_uq.properties.potential.system import free_strains

FREE = {"sigma": (16, 7), "chi": (24, 5), "mu": (12, 5), "C14": (24, 2), "C15": (48, 0), "C36": (24, 4), "hcp": (24, 0), "A15": (48, 0),
        "bcc": (48, 0), "fcc": (48, 0), "Al12W": (24, 2), "Al5W": (72, 0)}  # fmt: skip
"""Order of the point group (of Al5W three times that of its own: with one element its cell holds three of double hcp), and the free
parameters of the occupied Wyckoff positions of the International Tables."""


def shape_of(found):
    return free_strains("fixed" if found.cell == "iso" else "shape", found.couple)


def symmetry_of(found):
    atoms = found.atoms
    return space_group(atoms.positions, atoms.cell.array, atoms.numbers, shape_of(found))


def coordinates(name, seed=0):
    """Those of a structure, and a place off the origin."""
    found = structure(name, "W", VOLUME)
    moves = symmetry_of(found).invariant_displacements(len(found.atoms))
    made = FreeCoordinates(found.atoms.positions, found.atoms.cell.array, shape_of(found), moves)
    return made, 0.2 * np.random.default_rng(seed).normal(size=made.size)


def test_every_prototype_is_among_them():
    assert FREE.keys() == PROTOTYPES.keys()


@pytest.mark.parametrize("name", FREE)
def test_orders_and_free_parameters_are_those_of_the_tables(name):
    found = structure(name, "W", VOLUME)
    symmetry = symmetry_of(found)
    moves = symmetry.invariant_displacements(len(found.atoms))
    assert (symmetry.order, len(moves)) == FREE[name]
    for move in moves:
        assert np.allclose(symmetry.project(move), move) and np.abs(move.sum(axis=0)).max() < 1e-12


def test_forces_keep_the_symmetry_and_rattled_atoms_have_none(potential):
    found = structure("C14", "W", VOLUME)
    system, symmetry = potential.system(found.atoms), symmetry_of(found)
    forces = system.evaluate(potential.theta)[1]
    assert np.abs(forces).max() > 0.1 and np.allclose(symmetry.project(forces), forces, atol=1e-9)
    rattled = found.atoms.copy()
    rattled.rattle(0.05, seed=1)
    assert space_group(rattled.positions, rattled.cell.array, rattled.numbers).order == 1


def test_elements_and_strains_take_operations_away():
    atoms = structure("bcc", "W", VOLUME).atoms * (2, 1, 1)
    numbers = np.array([74, 42])
    alike, different = (space_group(atoms.positions, atoms.cell.array, kinds) for kinds in (atoms.numbers, numbers))
    assert alike.order == 2 * different.order
    cubic = structure("A15", "W", VOLUME).atoms
    tetragonal = space_group(cubic.positions, cubic.cell.array, cubic.numbers, [np.diag([1.0, 1.0, -2.0])])
    assert tetragonal.order < 48 and tetragonal.order in (8, 16)


def test_a_file_is_the_phase_that_it_holds(potential, tmp_path):
    """hcp in an orthorhombic cell, whose axes may strain one by one, ends as hexagonal as the prototype."""
    prototype = crystal_at_minimum(potential, "hcp", "W", VOLUME)
    a, c = np.linalg.norm(structure("hcp", "W", VOLUME).atoms.cell.array[[0, 2]], axis=1)
    scaled = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.5, 1.0 / 6.0, 0.5], [0.0, 2.0 / 3.0, 0.5]]
    Atoms("W4", scaled_positions=scaled, cell=[a, np.sqrt(3.0) * a, c], pbc=True).write(tmp_path / "hcp.vasp")
    found = crystal_at_minimum(potential, str(tmp_path / "hcp.vasp"), "W")
    assert found.coordinates.n_strains == 3 and 1 < found.symmetry.order < FREE["hcp"][0]
    assert found.energy == pytest.approx(prototype.energy, abs=1e-7) and found.volume == pytest.approx(prototype.volume, rel=1e-4)


@pytest.mark.parametrize("name", ["C14", "sigma"])
def test_gradients_are_derivatives(name, potential):
    made, x = coordinates(name)
    system = potential.system(structure(name, "W", VOLUME).atoms)

    def energy(x):
        return system.evaluate(potential.theta, *made.at(x))[0]

    _, forces, virial = system.evaluate(potential.theta, *made.at(x))
    found, step = made.gradient(x, forces, virial), 1e-4
    for k in range(made.size):
        unit = step * np.eye(made.size)[k]
        assert found[k] == pytest.approx((energy(x + unit) - energy(x - unit)) / (2.0 * step), rel=1e-4, abs=1e-4 * np.abs(found).max())


def test_volumes_are_those_of_the_cell():
    made, x = coordinates("mu")
    assert made.volume(x) == pytest.approx(np.linalg.det(made.at(x)[1]) / made.n_atoms)
    held = made.with_volume(x, 12.5)
    assert made.volume(held) == pytest.approx(12.5) and np.allclose(held[1:], x[1:])
    step = np.eye(made.size)[0] * 1e-5
    assert made.volume_slope(x) == pytest.approx((made.volume(x + step) - made.volume(x - step)) * made.n_atoms / 2e-5, rel=1e-6)


def test_a_relaxation_in_the_symmetry_is_that_of_lammps(potential):
    """hcp is free in its axes, and LAMMPS with a cell that may strain finds the same minimum."""
    crystal = crystal_at_minimum(potential, "hcp", "W", VOLUME)
    theta = potential.theta + 0.1 * potential.departures[0]
    found = crystal.member(theta)
    expected = crystal.system.relax(theta, "aniso", crystal.relaxed.positions, crystal.relaxed.cell, couple="xy")
    assert found.energy == pytest.approx(expected.energy, abs=1e-7) and np.allclose(found.cell, expected.cell, atol=1e-4)


@pytest.mark.parametrize(("name", "count"), [("A15", 2), ("C14", 3), ("mu", 6)])
def test_few_displacements_make_the_whole_hessian(name, count, potential):
    """One for each atom whose site has no plane or axis that a general direction stays in, two for those in a mirror."""
    crystal, counted = crystal_at_minimum(potential, name, "W", VOLUME), []
    positions, cell = crystal.relaxed.positions, crystal.relaxed.cell

    def forces(moved):
        counted.append(moved)
        return crystal.system.evaluate(potential.theta, moved, cell)[1]

    found = hessian(forces, positions, crystal.symmetry)
    assert len(counted) == count
    expected = HessianProducts(forces, positions).dense()
    assert np.allclose(found, expected, atol=3e-3 * np.abs(expected).max())


def test_an_instability_is_seen_where_a_small_push_leaves_the_symmetry(potential):
    """Brute force: relaxed from a push along the lowest mode, the energy falls where symmetry alone holds, and else comes back."""
    seen = set()
    for name in ("A15", "hcp", "mu"):
        crystal = crystal_at_minimum(potential, name, "W", VOLUME)
        positions, cell = crystal.relaxed.positions, crystal.relaxed.cell
        held = only_symmetry_holds(crystal.system, potential.theta, (positions, cell), crystal.symmetry)
        matrix = hessian(lambda moved, c=crystal, b=cell: c.system.evaluate(potential.theta, moved, b)[1], positions, crystal.symmetry)
        push = np.linalg.eigh(matrix)[1][:, 0].reshape(-1, 3)
        relaxed = crystal.system.relax(potential.theta, "fixed", positions + 0.05 * push, cell)
        assert held == (relaxed.energy < crystal.relaxed.energy - 1e-4), name
        assert held == crystal.only_symmetry_holds(potential.theta, crystal.relaxed.x)
        seen.add(held)
    assert seen == {True, False}
