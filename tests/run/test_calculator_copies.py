# SPDX-License-Identifier: GPL-2.0-or-later
"""The ASE calculator in what others do with calculators: copies, other processes, files, ASE's own containers of results."""

from __future__ import annotations

import copy
import importlib
import json
import multiprocessing
import pickle
from operator import methodcaller

import ase.db
import ase.io
import joblib
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotPresent
from ase.calculators.singlepoint import SinglePointCalculator
from lammps_cases import crystal

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.run import calculator as module
from lmp_uq.run.calculator import BARS, DEAR, WITHOUT_FORCES, UqCalculator

COPIES = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda one: pickle.loads(pickle.dumps(one))}
OWN = tuple(name for name in BARS if name != "reliability")
"""Of a file without classifiers."""
ALL = ("energy", "free_energy", "energies", "forces", "stress", "stresses", *OWN)


@pytest.fixture
def atoms(models):
    return with_calculator(models, "native")


def with_calculator(models, engine, **options):
    atoms = crystal((1, 1, 1), tilt=True)
    atoms.calc = UqCalculator(models.full, engine=engine, n_force_members=2, **options)
    return atoms


def everything(atoms):
    """Results of all properties, those that are computed when asked for too."""
    for name in ("stresses", *DEAR):
        atoms.calc.get_property(name, atoms)
    return atoms.calc.results


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-7, atol=2e-8, err_msg=name)  # extxyz writes 8 digits


# ---- copies -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_keeps_the_results_and_goes_on_alone(way, engine, models):
    atoms = with_calculator(models, engine)
    results = dict(everything(atoms))
    twin = COPIES[way](atoms)
    if way == "copy":  # of atoms it is ASE's, which shares the calculator
        twin = atoms.copy()
        twin.calc = copy.copy(atoms.calc)
    assert all(twin.calc.get_property(name, twin, allow_calculation=False) is not None for name in ALL)
    twin.positions[0] += 0.1
    energy = twin.get_potential_energy()
    assert energy != results["energy"]
    assert_same(atoms.calc.results, results)
    atoms.positions[0] += 0.1
    assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-12)


def test_processes_that_are_started_anew(models):
    frames = [with_calculator(models, engine) for engine in ("native", "torch")]
    expected = [atoms.get_potential_energy() for atoms in frames]
    for atoms in frames:
        atoms.calc.reset()
    ask = methodcaller("get_potential_energy")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_allclose(pool.map_async(ask, frames).get(timeout=120), expected, rtol=1e-12)
    np.testing.assert_allclose(joblib.Parallel(n_jobs=2)(joblib.delayed(ask)(atoms) for atoms in frames[:1] * 2), expected[0], rtol=1e-12)


def test_forked_processes_of_one_with_threads(models):
    atoms = with_calculator(models, "native", threads=2)
    energy = atoms.get_potential_energy()
    with multiprocessing.get_context("fork").Pool(1) as pool:  # through a pickle, and as fork leaves it
        assert pool.apply_async(fresh_energy, (atoms.calc,)).get(timeout=60) == energy
    fresh_energy.atoms = atoms
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(fresh_energy).get(timeout=60) == energy


def fresh_energy(calculator=None):
    calculator = calculator or fresh_energy.atoms.calc
    atoms = calculator.atoms.copy()
    calculator.reset()
    return calculator.get_potential_energy(atoms)


def test_a_copy_means_the_same_file(models, tmp_path, monkeypatch):
    path = tmp_path / "mine.uq"
    path.write_bytes(models.full.read_bytes())
    monkeypatch.chdir(tmp_path)
    atoms = crystal((1, 1, 1))
    atoms.calc = UqCalculator("mine.uq")
    twin, late = copy.deepcopy(atoms), copy.deepcopy(atoms)
    monkeypatch.chdir("/")
    assert twin.get_potential_energy() == atoms.get_potential_energy()
    path.write_bytes(models.bare.read_bytes())
    with pytest.raises(UqError, match=r"mine\.uq: the file has changed since the calculator was made that this is a copy of"):
        late.get_potential_energy()


def test_what_it_was_made_from(models):
    calculator = UqCalculator(models.full, engine="native", precision="float32")
    said = json.loads(json.dumps(calculator.todict()))
    assert said == {"model": str(models.full), "engine": "native", "precision": "float32", "sha256": modelfile.read(models.full).sha256}
    assert UqCalculator("nbmotaw").todict()["model"] == "nbmotaw"


def test_what_it_was_made_from_makes_it_again(models, atoms):
    """ASE's convention: the class, called with todict(), gives the same calculator, also from a file that keeps the dict."""
    made = UqCalculator(models.full, engine="native", precision="float32", n_force_members=2, threads=1)
    again = UqCalculator(**json.loads(json.dumps(made.todict())))
    assert again.todict() == made.todict() and again.parameters == made.parameters
    assert again.get_potential_energy(atoms.copy()) == made.get_potential_energy(atoms.copy())
    made.set(**again.todict())
    assert made.todict() == again.todict()
    bare = UqCalculator(models.bare).todict()
    with pytest.raises(UqError, match=rf"has sha256 {again.sha256}; accepted: {bare['sha256']}, which was asked for"):
        UqCalculator(**bare | {"model": models.full})
    with pytest.raises(UqError, match="which was asked for"):
        made.set(sha256="0" * 64)
    assert made.get_potential_energy(atoms.copy()) == again.get_potential_energy(atoms.copy())


def test_a_trajectory_of_a_run(atoms, tmp_path):
    """Written while the atoms move, with the calculator that moves them."""
    from ase.md.verlet import VelocityVerlet

    atoms.rattle(0.02, seed=1)
    with ase.io.Trajectory(tmp_path / "a.traj", "w", atoms) as file:
        dynamics = VelocityVerlet(atoms, timestep=1.0)
        dynamics.attach(file.write)
        dynamics.run(2)
    ase.io.write(tmp_path / "b.traj", atoms)
    frames = ase.io.read(tmp_path / "a.traj", ":")
    assert len(frames) == 3 and len({frame.get_potential_energy() for frame in frames}) == 3
    for last in (frames[-1], ase.io.read(tmp_path / "b.traj")):
        assert_same({name: last.calc.results[name] for name in ("energy", "energy_std", "grade")},
                    {name: atoms.calc.results[name] for name in ("energy", "energy_std", "grade")})  # fmt: skip
    assert UqCalculator(**atoms.calc.todict()).get_potential_energy(frames[-1]) == pytest.approx(atoms.get_potential_energy(), abs=1e-10)


def test_settings_can_be_changed(models):
    atoms = with_calculator(models, "native")
    energy = atoms.get_potential_energy()
    with pytest.raises(UqError, match="neither a file"):
        atoms.calc.set(model="nowhere.uq")
    assert atoms.get_potential_energy() == energy and atoms.calc.todict()["model"] == str(models.full)
    atoms.calc.set(precision="float32")
    assert 0.0 < abs(atoms.get_potential_energy() - energy) < 1e-4


# ---- ASE's containers and files -----------------------------------------------------------------------------------------------


def test_the_newer_interface(atoms):
    assert atoms.get_properties(["energy"])["energy"] == atoms.get_potential_energy()
    found = atoms.get_properties(list(ALL))
    assert set(ALL) <= set(found) and found["forces_std"].shape == (8, 3) and found["natoms"] == 8
    molecule = ase.Atoms("SiO", [[0, 0, 0], [0, 0, 1.6]], calculator=atoms.calc)
    assert "stress" not in molecule.get_properties(["energy", "forces_std"])
    with pytest.raises(PropertyNotPresent):
        molecule.get_properties(["stress"])


def test_asked_one_after_another_all_are_kept(atoms):
    assert set(everything(atoms)) == set(ALL)
    atoms.positions[0] += 0.01
    atoms.get_potential_energy()
    forces = {name for name in ALL if name not in WITHOUT_FORCES}
    assert set(atoms.calc.results) == set(ALL) - forces
    atoms.get_forces()
    assert set(atoms.calc.results) == set(ALL) - {"stresses", *DEAR}


def test_single_point(atoms):
    results = everything(atoms)
    assert_same(SinglePointCalculator(atoms, **results).results, results)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("suffix", ["extxyz", "traj", "json"])
def test_files_keep_the_bars(suffix, frozen, atoms, tmp_path):
    results = dict(everything(atoms))
    if frozen:
        atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write(tmp_path / f"a.{suffix}", atoms)
    assert_same(ase.io.read(tmp_path / f"a.{suffix}").calc.results, results)


def test_data_bases_keep_the_bars(atoms, tmp_path):
    results = dict(everything(atoms))
    bars = {name: results[name] for name in OWN}
    with ase.db.connect(tmp_path / "a.json") as base:
        base.write(atoms)
        assert_same(base.get(1).toatoms().calc.results, results)
    with ase.db.connect(tmp_path / "a.db") as base:  # its table has columns for some of ASE's properties alone
        base.write(atoms, data=bars)
        row = base.get(1)
    assert_same({name: row.data[name] for name in OWN}, bars)
    assert row.calculator_parameters["sha256"] == atoms.calc.sha256 and row.energy == results["energy"]


def test_names_are_told_to_ase_once():
    before = [list(module.all_properties), dict(module.all_outputs), list(module.extxyz.per_atom_properties)]
    module.declare_bars()
    importlib.reload(module)
    assert [list(module.all_properties), dict(module.all_outputs), list(module.extxyz.per_atom_properties)] == before
