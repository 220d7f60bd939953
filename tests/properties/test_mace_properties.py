# SPDX-License-Identifier: GPL-2.0-or-later
"""A foundation model with its corrector as a linear potential: members are linear in Theta, and the properties take it as any other."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.bcc import lattice_grid
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds.defects import Vacancy
from lmp_uq.properties.potential.mace import MacePotential, open_potential

MODEL = "nbmotaw"


@pytest.fixture(scope="module")
def potential():
    return MacePotential.read(MODEL)


@pytest.fixture(scope="module")
def system(potential):
    atoms = bulk("W", "bcc", a=3.2, cubic=True) * (1, 1, 2)
    atoms.symbols[1] = "Ta"
    atoms.positions += 0.1 * np.random.default_rng(0).normal(size=atoms.positions.shape)
    return potential.system(atoms)


def test_without_a_corrector_it_is_the_calculator(system, potential):
    from lmp_uq.run.calculator import UqCalculator

    atoms = system.atoms.copy()
    atoms.calc = UqCalculator(MODEL, engine="native", precision="float64")
    energy, forces, virial = system.evaluate(potential.theta)
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-10)
    assert np.allclose(forces, atoms.get_forces(), atol=1e-10)
    assert np.allclose(virial, -atoms.get_stress(voigt=False) * atoms.get_volume(), atol=1e-9)


def test_a_member_is_the_one_of_the_bars(system, potential):
    """Energies of members = those whose spread the calculator reports."""
    from lmp_uq.run.calculator import UqCalculator

    atoms = system.atoms.copy()
    atoms.calc = UqCalculator(MODEL, engine="native", precision="float64")
    std = atoms.calc.get_property("energy_std", atoms)
    row, mean = system.energy_row()
    assert potential.posterior.rms(row[None])[0] == pytest.approx(std, rel=1e-9)
    theta = potential.members(3)[2]
    assert system.evaluate(theta)[0] == pytest.approx(mean + row @ theta, abs=1e-9)


def test_everything_is_linear_in_theta(system, potential):
    theta = potential.members(1)[0]
    at = [system.evaluate(share * theta) for share in (0.0, 1.0, 2.0)]
    for none, one, two in zip(*at, strict=True):
        assert np.allclose(np.asarray(two) - none, 2.0 * (np.asarray(one) - none), atol=1e-9)
        assert np.abs(np.asarray(one) - none).max() > 1e-4
    energy, forces, virial = system.direction(theta)
    assert at[1][0] - at[0][0] == pytest.approx(energy, abs=1e-9)
    assert np.allclose(at[1][1] - at[0][1], forces, atol=1e-9) and np.allclose(at[1][2] - at[0][2], virial, atol=1e-9)


def test_forces_and_virial_of_a_member_are_derivatives(system, potential):
    theta, h = potential.members(2)[1], 1e-4
    _, forces, virial = system.evaluate(theta)
    start, cell = system.atoms.positions, system.atoms.cell.array
    for atom, axis in ((0, 0), (2, 1)):
        moved = h * np.eye(start.size)[3 * atom + axis].reshape(start.shape)
        slope = (system.evaluate(theta, start + moved)[0] - system.evaluate(theta, start - moved)[0]) / (2.0 * h)
        assert -slope == pytest.approx(forces[atom, axis], abs=1e-5)
    strain = np.array([[0.3, 0.2, 0.0], [0.2, -0.1, 0.1], [0.0, 0.1, 0.2]])
    up, down = (system.evaluate(theta, cell=cell @ (np.eye(3) + sign * h * strain))[0] for sign in (1.0, -1.0))
    assert -(up - down) / (2.0 * h) == pytest.approx(float((virial * strain).sum()), abs=1e-4)


def test_rows_are_directions_of_one_descriptor(system, potential):
    rows, theta = system.rows(), potential.members(1)[0]
    width = rows.descriptors.shape[1]
    _, forces, virial = system.direction(theta)
    assert np.allclose((rows.force_rows @ theta[:width]).reshape(-1, 3), forces, atol=1e-9)
    assert np.allclose(rows.virial_rows @ theta[:width], virial, atol=1e-9)


def test_relaxations_end_without_force_or_stress(system, potential):
    theta = potential.members(1)[0]
    for cell, free in (("fixed", []), ("iso", ["trace"]), ("aniso", [0, 1, 2])):
        found = system.relax(theta, cell)
        assert np.abs(found.forces).max() < 5e-4
        assert np.allclose(system.evaluate(theta, found.positions, found.cell)[0], found.energy)
        assert all(abs(np.trace(found.virial) if k == "trace" else found.virial[k, k]) < 0.02 for k in free)
    assert np.linalg.det(system.relax(theta, "shape").cell) == pytest.approx(np.linalg.det(system.atoms.cell.array))


def test_the_grid_has_the_minimum_of_a_relaxation(potential):
    crystal, theta = lattice_grid(potential, "W"), potential.members(2)[1]
    cell = potential.system(bulk("W", "bcc", a=3.2, cubic=True)).relax(theta, "iso").cell
    assert crystal.constant(theta) == pytest.approx(cell[0, 0], abs=1e-4)


def test_a_vacancy_expanded_is_what_members_relax_to(potential):
    prop = Vacancy(potential, "test", {"structure": "bcc", "size": 2, "element": "W"})
    mean, members = prop.mean()[0], potential.members(4)
    assert prop.member(potential.theta).values[0] == pytest.approx(mean, abs=1e-6)
    relaxed, expanded = np.array([prop.member(theta).values[0] for theta in members]), prop.expansion(members)
    assert not any(expanded.flags)
    assert np.abs(expanded.values[:, 0] - relaxed).max() < 0.02 * relaxed.std()


def test_families_find_their_potential_and_bad_input_its_name(potential, model, tmp_path):
    from defect_example import write_potential

    assert isinstance(open_potential(MODEL), MacePotential)
    assert open_potential(str(write_potential(tmp_path))).elements == ("W",)
    with pytest.raises(UqError, match="accepted here: the other kinds"):
        potential.write_pair_style(potential.theta, tmp_path / "x")
    with pytest.raises(UqError, match="accepted 1 to"):
        potential.members(10**6)
    cluster = bulk("W", "bcc", a=3.2)
    cluster.pbc = False
    with pytest.raises(UqError, match="open cell"):
        potential.system(cluster)
    with pytest.raises(PropertyFailure, match="same place"):
        potential.system(bulk("W", "bcc", a=3.2, cubic=True)).evaluate(potential.theta, np.zeros((2, 3)))
