# SPDX-License-Identifier: GPL-2.0-or-later
"""The ASE calculator: derivatives of its own energy, mace-torch, members evaluated from the parts of the package."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from force_members import Members
from lammps_cases import ASK, PLAIN, assert_equal, crystal

from lmp_uq.errors import UqError
from lmp_uq.run.calculator import UqCalculator


@pytest.fixture(scope="module")
def calculator(models):
    return UqCalculator(models.full, precision="float64", n_force_members=5)


@pytest.fixture
def atoms(calculator):
    out = crystal((1, 1, 1), tilt=True)
    out.rattle(0.05, seed=4)
    out.calc = calculator
    return out


def test_energy_forces_and_stress_are_those_of_mace_torch(atoms, mace_reference):
    energy, forces, stress = mace_reference(atoms)[:3]
    assert_equal("energy", atoms.get_potential_energy(), energy, relative=1e-10)
    assert_equal("energies", atoms.get_potential_energies().sum(), energy, relative=1e-10)
    assert_equal("forces", atoms.get_forces(), forces, relative=1e-9)
    assert_equal("stress", atoms.get_stress(voigt=False), np.reshape(stress, (3, 3)), relative=1e-9)


def test_forces_and_stress_are_derivatives_of_the_energy(atoms):
    assert_equal("forces", calculate_numerical_forces(atoms, eps=1e-4, iatoms=[0, 3]), atoms.get_forces()[[0, 3]], relative=1e-6)
    assert_equal("stress", calculate_numerical_stress(atoms, eps=1e-5), atoms.get_stress(), relative=1e-6)


def test_bars_are_those_of_the_parts(atoms, calculator, models):
    members = Members(models.full, atoms)
    get = calculator.get_property
    lower, upper = members.box.bounds(members.features[None, :], calculator._engine.n_members)
    assert_equal("energy_std", get("energy_std", atoms), members.box.rms(members.features[None, :])[0], relative=1e-10)
    assert_equal("energy_lower", get("energy_lower", atoms), members.energy + lower[0], relative=1e-10)
    assert_equal("energy_upper", get("energy_upper", atoms), members.energy + upper[0], relative=1e-10)
    assert_equal("forces_std", get("forces_std", atoms), members.force_std(5)[:, 1:], relative=1e-9)
    virials = np.sqrt(np.mean(members.virials[:5] ** 2, axis=0)) / atoms.get_volume()
    expected = [virials[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
    assert_equal("stress_std", get("stress_std", atoms), expected, relative=1e-9)
    assert get("energy_error", atoms) > 0.0 and get("force_error", atoms).shape == get("grade", atoms).shape == (len(atoms),)


def test_what_was_computed_is_kept_until_the_atoms_move(atoms, calculator):
    bars = calculator.get_property("forces_std", atoms)
    assert calculator.get_property("forces_std", atoms, allow_calculation=False) is not None
    atoms.positions[0] += 0.01
    assert calculator.get_property("forces_std", atoms, allow_calculation=False) is None
    assert np.abs(calculator.get_property("forces_std", atoms) - bars).max() > 0.0


def test_energies_and_their_bars_cost_no_backward_pass(atoms, calculator, monkeypatch):
    calls, backbone = [], calculator._engine.backbone
    monkeypatch.setattr(backbone, "evaluate", lambda *given, real=backbone.evaluate: calls.append("forward") or real(*given))
    monkeypatch.setattr(backbone, "pull", lambda *given, real=backbone.pull: calls.append("backward") or real(*given))
    calculator.reset()
    for name in ("energy", "energy_std", "energies", "grade"):
        calculator.get_property(name, atoms)
    assert calls == ["forward"]
    atoms.get_forces()
    backward = calls.count("backward")
    assert backward >= 1 and calls.count("forward") == 1
    calculator.get_property("energy", atoms)
    calculator.get_property("force_error", atoms)
    assert calls.count("backward") == backward and calls.count("forward") == 1
    assert (calculator.get_error_above(0.1, atoms) >= 0.0).all()


def test_a_molecule_has_no_stress(calculator):
    molecule = ase.build.molecule("SiO")
    molecule.calc = calculator
    assert np.isfinite(molecule.get_potential_energy())
    with pytest.raises(PropertyNotImplementedError):
        molecule.get_stress()


def test_refusals(models, atoms, calculator):
    plain = UqCalculator(models.bare)
    assert np.isfinite(plain.get_property("energy", atoms))
    for name in ("energy_std", "force_error", "grade", "forces_std", "stress_std", "energy_error"):
        with pytest.raises(PropertyNotImplementedError, match=f"{name}: the model file holds nothing"):
            plain.get_property(name, atoms)
    with pytest.raises(UqError, match="element Au is not in the model"):
        calculator.get_potential_energy(ase.build.bulk("Au"))
    with pytest.raises(UqError, match="not a finite number"):
        atoms.positions[0, 0] = np.nan
        atoms.get_potential_energy()


@pytest.mark.parametrize("repeat", [(1, 1, 1), (2, 1, 1)])
def test_stresses_are_those_of_compute_stress_atom(repeat, calculator, lammps):
    atoms = crystal(repeat, tilt=True)
    atoms.calc = calculator
    found = lammps.state(atoms, ASK, "run 0", "#snapshot end", pair=PLAIN.replace("mace/uq", "mace/uq precision float64", 1))
    expected = found["va"][:, [0, 1, 2, 5, 4, 3]] / found["nktv2p"] / atoms.get_volume()
    assert_equal("stresses", atoms.get_stresses(), expected, relative=1e-8)
    assert_equal("their sum", atoms.get_stresses().sum(axis=0), atoms.get_stress(), relative=1e-10)


def test_options_that_a_calculator_does_not_take(models):
    for options, said in (
        ({"threads": -2}, "threads is -2; accepted: a whole number of 0 or more"),
        ({"threads": 1.5}, "threads is 1.5"),
        ({"n_members": "x"}, "n_members is 'x'"),
        ({"device": None}, "device is None"),
        ({"engine": "jax"}, "engine is 'jax'"),
    ):
        with pytest.raises(UqError, match=said):
            UqCalculator(models.full, **options)
