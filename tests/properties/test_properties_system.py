# SPDX-License-Identifier: GPL-2.0-or-later
"""A structure under any Theta: energies linear in it, forces and virials as derivatives, minima that are minima."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from linear_example import crystal

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.structures import PROTOTYPES, structure
from lmp_uq.properties.failure import FORCE_TOLERANCE, PropertyFailure
from lmp_uq.properties.potential.linear import LinearPotential

H = 1e-4
COORDINATION = {
    # neighbours within 1.24 of the cube root of twice the atomic volume: Frank-Kasper polyhedra, and those of close packing
    "bcc": {14}, "fcc": {12}, "hcp": {12}, "A15": {12, 14}, "sigma": {12, 14, 15}, "chi": {12, 13, 16}, "mu": {12, 14, 15, 16},
    "C14": {12, 16}, "C15": {12, 16}, "C36": {12, 16}, "Al5W": {12}, "Al12W": {11, 12},
}  # fmt: skip
VOLUME = 16.0


@pytest.fixture(scope="module")
def skewed(potential):
    """A rattled, turned crystal with a left-handed cell, and a member's Theta."""
    atoms = crystal(3)
    atoms.set_cell(atoms.cell.array * 0.9, scale_atoms=True)
    atoms.rotate(37.0, (1, 2, 3), rotate_cell=True)
    cell = atoms.cell.array
    cell[2] += 0.8 * cell[0]
    atoms.set_cell(cell[[1, 0, 2]])
    assert np.linalg.det(atoms.cell.array) < 0
    return potential.system(atoms), potential.members(2)[1]


def test_the_energy_is_linear_in_theta(skewed, potential):
    system, theta = skewed
    phi, reference = system.energy_row()
    for one in (theta, potential.theta):
        assert system.evaluate(one)[0] == pytest.approx(reference + phi @ one, abs=1e-10)
    assert np.array_equal(system.phi(), phi) and phi[-1] == system.n_atoms


def test_forces_and_virial_are_derivatives(skewed):
    system, theta = skewed
    _, forces, virial = system.evaluate(theta)
    positions, cell = system.atoms.positions, system.atoms.cell.array
    moved = np.zeros((2, *positions.shape))
    moved[:, 1, 2] = -H, H
    low, high = (system.evaluate(theta, positions + change)[0] for change in moved)
    assert forces[1, 2] == pytest.approx(-(high - low) / (2 * H), abs=1e-6 * np.abs(forces).max())
    strain = np.zeros((3, 3))
    strain[0, 1] = strain[1, 0] = 0.5 * H
    low, high = (system.evaluate(theta, cell=cell @ (np.eye(3) + sign * strain))[0] for sign in (-1, 1))
    assert virial[0, 1] == pytest.approx(-(high - low) / (2 * H), abs=1e-5 * np.abs(virial).max())


def test_directions_are_differences_of_two_theta(skewed, potential):
    system, theta = skewed
    changes = np.array([theta - potential.theta, 2.0 * theta])
    found, zero = system.direction(changes), system.evaluate(np.zeros_like(theta))
    for k, change in enumerate(changes):
        for mine, full, reference in zip(found, system.evaluate(change), zero, strict=True):
            assert np.allclose(mine[k], np.array(full) - reference, rtol=0, atol=1e-10 * max(1.0, np.abs(full).max()))


def test_atoms_relax_to_rest_in_the_axes_they_came_in(potential):
    atoms = bulk("W", "fcc", a=3.7, cubic=True) * (2, 1, 1)
    turned = atoms.copy()
    turned.rotate(25.0, (1, 1, 2), rotate_cell=True)
    minima = []
    for one in (atoms, turned):
        generator = np.random.default_rng(1)
        ideal = one.copy()
        one.positions += 0.05 * generator.normal(size=one.positions.shape) @ np.linalg.solve(atoms.cell.array, one.cell.array)
        found = potential.system(one).relax(potential.theta)
        assert np.abs(found.forces).max() < 2 * FORCE_TOLERANCE
        shift = found.positions - ideal.positions
        assert np.abs(shift - shift.mean(axis=0)).max() < 1e-4 and found.displacement > 0.03
        minima.append(found.energy)
        energy, forces, virial = potential.system(one).evaluate(potential.theta, found.positions, found.cell)
        assert energy == pytest.approx(found.energy, abs=1e-10) and np.allclose(virial, found.virial, atol=1e-8)
        assert np.allclose(forces, found.forces, atol=1e-8)
    assert minima[0] == pytest.approx(minima[1], abs=1e-8)


@pytest.mark.parametrize(("cell", "couple"), [("iso", "none"), ("aniso", "none"), ("aniso", "xy"), ("shape", "xy")])
def test_the_free_strains_are_at_a_minimum(potential, cell, couple):
    atoms = bulk("W", "bcc", a=2.9, cubic=True)
    atoms.set_cell(atoms.cell.array @ np.diag([1.0, 1.0, 1.03]), scale_atoms=True)
    system = potential.system(atoms)
    found = system.relax(potential.theta, cell, couple=couple)
    volume, before = np.linalg.det(found.cell), atoms.get_volume()
    pressures = -np.diag(found.virial) / volume * 160.2  # GPa
    if cell == "shape":
        assert volume == pytest.approx(before, rel=1e-9) and np.ptp(pressures) < 1e-3
    else:
        assert abs(pressures.mean()) < 1e-3 and (cell == "iso" or np.abs(pressures).max() < 1e-3)
    for scale in (0.995, 1.005) if cell != "shape" else ():
        higher = system.evaluate(potential.theta, found.positions * scale, found.cell * scale)[0]
        assert higher > found.energy


def test_a_potential_that_explodes_is_a_failure_and_leaves_lammps_usable(potential):
    system = potential.system(bulk("W", "bcc", a=2.0, cubic=True))
    before = system.evaluate(potential.theta)[0]
    with pytest.raises(PropertyFailure, match="come apart"):  # nothing but the repulsion of the reference
        system.relax(np.zeros_like(potential.theta), "iso")
    with pytest.raises(PropertyFailure):
        system.evaluate(np.full_like(potential.theta, np.nan))
    assert system.evaluate(potential.theta)[0] == before


def test_structures_and_theta_that_cannot_be_used(potential, property_model, model):
    open_one = bulk("W", "bcc", a=2.9)
    open_one.pbc = (True, True, False)
    with pytest.raises(UqError, match="open cell"):
        potential.system(open_one)
    system = potential.system(bulk("W", "bcc", a=2.9))
    with pytest.raises(UqError, match="accepted: fixed, iso, aniso, shape"):
        system.relax(potential.theta, "triclinic")
    with pytest.raises(UqError, match="accepts"):
        system.evaluate(potential.theta[1:])
    with pytest.raises(UqError, match="accepted 1 to 32"):
        potential.members(33)
    with pytest.raises(UqError, match="family mace; accepted: snap"):
        LinearPotential.read(str(model))


@pytest.mark.parametrize("name", PROTOTYPES)
def test_structures_have_the_coordination_of_their_prototypes(name):
    from ase.neighborlist import neighbor_list

    found = structure(name, "W", VOLUME)
    atoms, conventional = found.atoms, PROTOTYPES[name].atoms
    assert atoms.get_volume() / len(atoms) == pytest.approx(VOLUME) and conventional % len(atoms) == 0
    first, distances = neighbor_list("id", atoms, 3.4)
    assert distances.min() > 2.4
    assert set(np.bincount(first)) == COORDINATION[name]
    assert (found.cell == "iso") == (found.cubic_atoms > 0)


def test_structures_from_files_and_unknown_ones(tmp_path):
    path = tmp_path / "mine.extxyz"
    bulk("W", "bcc", a=3.2, cubic=True).write(path)
    found = structure(str(path), "W")
    assert found.name == "mine" and len(found.atoms) == 2 and found.cell == "aniso"
    with pytest.raises(UqError, match="accepted: bcc, fcc"):
        structure("A14", "W")
    (tmp_path / "bad.cif").write_text("nothing\n")
    with pytest.raises(UqError, match="ASE cannot read it"):
        structure(str(tmp_path / "bad.cif"), "W")
    with pytest.raises(UqError, match="no such file"):
        structure(str(tmp_path / "none.cif"), "W")
