# SPDX-License-Identifier: GPL-2.0-or-later
"""Members of a P-readout in LAMMPS: those of Python, of finite differences of their energies, of any number of ranks, and the hand-over."""

from __future__ import annotations

import numpy as np
import pytest
from force_members import EV_PER_CUBIC_ANGSTROM
from lammps_cases import DEVICE, PLAIN, VOIGT, assert_equal, crystal
from p_readout_example import ReadoutMembers, with_readout

from lmp_uq import modelfile
from lmp_uq.model import Model

FIELDS = ("force_std", "force_std_x", "force_std_y", "force_std_z")
ASK = f"""compute uq all uq/atom {" ".join(FIELDS)} grade
compute tot all uq stress_std members
thermo_style custom step temp pe press c_tot[*]"""
SNAPSHOT = (ASK, "run 0", "#snapshot end")
STRESS, ENERGIES = slice(0, 6), slice(6, None)
EDGES = {"known": 1e3, "mixed": None, "new": 1e-3}
"""Which grade has become 1: no atom is beyond it, some are, or all."""


@pytest.fixture(scope="module")
def files(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("readout")
    with_readout(models.full, folder / "plain.uq")
    grades = ReadoutMembers(folder / "plain.uq", crystal(tilt=True), "native").grades
    middle = float(np.sort(grades)[len(grades) // 2])  # an atom whose grade becomes 1 but for rounding
    return {name: with_readout(models.full, folder / f"{name}.uq", edge=edge or 1.000001 * middle) for name, edge in EDGES.items()}


def pair_of(path, words=""):
    return PLAIN.replace("mace/uq", f"mace/uq {words}", 1).replace("{model}", str(path))


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("where", EDGES)
def test_bars_and_members_are_those_of_python(where, engine, files, lammps):
    atoms = crystal(tilt=True)
    found = lammps.state(atoms, *SNAPSHOT, pair=pair_of(files[where], f"engine {engine} force_members 5"))
    python = ReadoutMembers(files[where], atoms, engine)
    beyond = python.grades > 1.0
    assert {"known": not beyond.any(), "mixed": beyond.any() and not beyond.all(), "new": beyond.all()}[where]
    assert_equal("force_std", found["uq"][:, :4], python.force_std(5), relative=1e-9)
    assert_equal("stress_std", found["tot"][STRESS], python.stress_std(5, atoms.cell.volume), relative=1e-9)
    theirs = python.learned_energies[:64] if where == "known" else python.energy + members_of(files[where]) @ python.features
    assert_equal("members", found["tot"][ENERGIES], theirs, relative=1e-11)
    assert "members of a P-readout where the grade is at most 1" in lammps.run(atoms, "run 0", pair=pair_of(files[where])).log


def members_of(path):
    return modelfile.read(path).tensors["posterior/members"]


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("where", EDGES)
def test_ranks_agree(where, n, files, lammps):
    """Ranks whose atoms are all on known ground pull what the atoms of another rank need."""
    atoms = crystal((2, 2, 1))
    one, several = (lammps.state(atoms, *SNAPSHOT, n=ranks, pair=pair_of(files[where], "engine native")) for ranks in (1, n))
    assert_equal("force_std", several["uq"], one["uq"], relative=1e-9)
    assert_equal("stress_std and members", several["tot"], one["tot"], relative=1e-9)


def test_torch_on_two_ranks_is_native_on_one(files, lammps):
    atoms = crystal((2, 2, 1))
    pairs = {1: pair_of(files["mixed"], "engine native"), 2: pair_of(files["mixed"], "engine torch")}
    native, torch = (lammps.state(atoms, *SNAPSHOT, n=n, pair=pair) for n, pair in pairs.items())
    assert_equal("force_std", torch["uq"], native["uq"], relative=1e-6)
    assert_equal("stress_std and members", torch["tot"], native["tot"], relative=1e-6)


@pytest.mark.parametrize("n", [1, 2])
def test_a_device_agrees(n, files, lammps):
    """Weights of the members go there from the host, whose they are."""
    atoms = crystal(tilt=True)
    for where in ("known", "mixed"):
        pairs = ((1, pair_of(files[where], "engine native")), (n, pair_of(files[where], f"engine {DEVICE}")))
        cpu, device = (lammps.state(atoms, *SNAPSHOT, n=k, pair=pair) for k, pair in pairs)
        assert_equal("force_std", device["uq"], cpu["uq"], relative=1e-9)
        assert_equal("stress_std and members", device["tot"], cpu["tot"], relative=1e-9)


def test_the_hand_over_is_at_a_grade_of_one(files, models, lammps, tmp_path):
    """Where every atom is known ground the bars are those of the P-readout alone, and beyond those of POPS, to the last digits."""
    atoms = crystal(tilt=True)
    found = {name: lammps.state(atoms, *SNAPSHOT, pair=pair_of(path, "engine native"))["uq"] for name, path in files.items()}
    beyond = found["mixed"][:, 4] > 1.0
    assert np.array_equal(found["mixed"][beyond, 0], found["new"][beyond, 0])
    assert_equal("of known atoms", found["mixed"][~beyond, 0], found["known"][~beyond, 0], relative=1e-11)
    assert (np.abs(found["known"][:, 0] / found["new"][:, 0] - 1.0) > 1e-3).all(), "the two posteriors differ"
    pops = lammps.state(atoms, *SNAPSHOT, pair=PLAIN.replace("mace/uq", "mace/uq engine native", 1))
    assert_equal("POPS", found["new"][:, :4], pops["uq"][:, :4], relative=1e-12)
    python = ReadoutMembers(files["mixed"], atoms, "native")
    at_one = with_readout(models.full, tmp_path / "one.uq", edge=python.grades[0] * modelfile_edge(files["mixed"], models.full))
    grade = ReadoutMembers(at_one, atoms, "native").grades[0]
    assert grade == pytest.approx(1.0, abs=1e-12)
    mine = lammps.state(atoms, *SNAPSHOT, pair=pair_of(at_one, "engine native"))["uq"]
    expected = found["known" if mine[0, 4] <= 1.0 else "new"][0, 0]
    assert mine[0, 0] == pytest.approx(expected, rel=1e-11)


def modelfile_edge(path, original):
    return float((modelfile.read(path).tensors["grade/radius"] / modelfile.read(original).tensors["grade/radius"])[0])


def test_forces_are_those_of_the_members_own_energies(files, lammps):
    """Energies of members in LAMMPS, an atom moved forth and back; the model's own energy and force stay."""
    atoms, step = crystal(), 1e-3
    more = [ASK, "group one id 3"]
    for axis in range(3):
        there, back = (f"displace_atoms one move {' '.join(map(str, np.eye(3)[axis] * s))} units box" for s in (step, -2.0 * step))
        more += [there, "run 0", f"#snapshot {axis}-plus", back, "run 0", f"#snapshot {axis}-minus", there]
    pair = pair_of(files["known"], "engine native")
    states = lammps.run(atoms, *more, pair=pair).snapshots
    found = lammps.state(atoms, *SNAPSHOT, pair=pair)
    for axis in range(3):
        sides = [states[f"{axis}-{side}"]["tot"][ENERGIES][:8] - states[f"{axis}-{side}"]["energy"] for side in ("plus", "minus")]
        slopes = (sides[0] - sides[1]) / (2.0 * step)
        assert found["uq"][2, 1 + axis] == pytest.approx(np.sqrt(np.mean(slopes**2)), rel=2e-5)


def test_stress_is_the_strain_derivative_of_the_members_energies(files, lammps):
    atoms, step = crystal(tilt=True), 1e-4
    pair = pair_of(files["known"], "engine native")
    found = lammps.state(atoms, *SNAPSHOT, pair=pair)["tot"][STRESS]
    for k in (0, 3):
        a, b = VOIGT[k]
        sides = []
        for sign in (1.0, -1.0):
            strain, strained = np.eye(3), atoms.copy()
            strain[a, b] += sign * step
            strained.set_cell(atoms.cell @ strain.T, scale_atoms=True)
            state = lammps.state(strained, *SNAPSHOT, pair=pair)
            sides.append(state["tot"][ENERGIES][:8] - state["energy"])
        slopes = (sides[0] - sides[1]) / (2 * step) / atoms.cell.volume * EV_PER_CUBIC_ANGSTROM
        assert found[k] == pytest.approx(np.sqrt(np.mean(slopes**2)), rel=1e-5)


@pytest.mark.parametrize("where", EDGES)
def test_predictions_are_those_of_lammps(where, files, lammps):
    """Several frames in one evaluation, each by its own atoms."""
    frames = [crystal(tilt=True), crystal((2, 1, 1), seed=4)]
    found = Model.load(files[where], engine="native", precision="float64", n_force_members=5).predict(frames, progress=False)
    dear = found.forces_std, found.stress_std
    for k, atoms in enumerate(frames):
        expected = lammps.state(atoms, *SNAPSHOT, pair=pair_of(files[where], "engine native force_members 5"))
        assert_equal("forces_std", dear[0][k], expected["uq"][:, 1:4], relative=1e-9)
        order = [0, 1, 2, 5, 4, 3]
        assert_equal("stress_std", dear[1][k] * EV_PER_CUBIC_ANGSTROM, expected["tot"][STRESS][order], relative=1e-9)
        assert_equal("members", found.members[k], expected["tot"][ENERGIES], relative=1e-11)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_heat_flux_of_members(engine, files, lammps):
    """Of the P-readout if no atom is beyond known ground, else of POPS."""
    atoms = crystal(tilt=True)
    ask = (*HEAT, "run 0", "#snapshot end")
    found = {name: lammps.state(atoms, *ask, pair=pair_of(files[name], f"engine {engine}"))["tot"] for name in ("known", "mixed", "new")}
    assert np.allclose(found["known"][:6], found["new"][:6], rtol=1e-12) and np.allclose(found["mixed"], found["new"], rtol=1e-9)
    assert not np.allclose(found["known"][6:], found["new"][6:], rtol=1e-4)


def test_a_linear_readout_is_a_force_member(models, files, lammps, tmp_path):
    """w2 = 0 and w0 the coefficients of a member of POPS times the scales: forces, stress and heat flux of that member."""
    file = modelfile.read(models.full)
    theta = file.tensors["posterior/force_members"][0]
    n = file.header.backbone.n_features
    scale = np.random.default_rng(5).uniform(0.5, 2.0, n)
    path = with_readout(models.full, tmp_path / "linear.uq", edge=1e3, output=np.zeros(7), linear=theta[:n] * scale, input_scale=scale)
    ask = (*HEAT, "compute uq all uq/atom force_std", "run 0", "#snapshot end")
    learned, pops = (lammps.state(crystal(), *ask, pair=pair_of(one, "engine native force_members 1")) for one in (path, models.full))
    assert_equal("force_std", learned["uq"], pops["uq"], relative=1e-9)
    assert_equal("heat flux", learned["tot"], pops["tot"], relative=1e-9)


HEAT = ("velocity all create 300 87287", "compute tot all uq/heat members each", "thermo_style custom step temp pe press c_tot[*]")


def test_fix_uq_average_says_what_answers(files, lammps):
    lines = ("compute u all uq energy_std", "fix a all uq/average 1 2 2 c_thermo_pe uq u temp 300", "run 2")
    found = lammps.run(crystal(), *lines, pair=pair_of(files["known"])).log
    assert "Fix uq/average a: its bars are those of POPS; the P-readout of the model file takes no part" in found
    assert "P-readout of the model file" not in lammps.run(crystal(), *lines).log


def test_stress_error_stays_what_was_calibrated(files, models, lammps):
    """It is a factor of the bar of POPS, alone and beside stress_std, which the P-readout answers."""
    ask = "compute tot all uq {}\nthermo_style custom step temp pe press c_tot[*]\nrun 0\n#snapshot end"
    words = ("stress_error", "stress_std stress_error", "force_std_max stress_std stress_error", "stress_std")
    pair = pair_of(files["known"], "engine native")
    mine = {word: lammps.state(crystal(tilt=True), ask.format(word), pair=pair)["tot"] for word in words}
    pops = lammps.state(crystal(tilt=True), ask.format(words[1]), pair=PLAIN.replace("mace/uq", "mace/uq engine native", 1))["tot"]
    for word in words[:3]:
        assert_equal(word, mine[word][-6:], pops[6:], relative=1e-9)
    for word in words[1:3]:
        assert_equal(word, mine[word][-12:-6], mine["stress_std"], relative=1e-9)
    assert not np.allclose(mine["stress_std"], pops[:6], rtol=1e-3)
