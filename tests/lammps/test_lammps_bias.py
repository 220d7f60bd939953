# SPDX-License-Identifier: GPL-2.0-or-later
"""fix uq/bias: its forces and virial are derivatives of its energy, which a run conserves; ranks, engines, guards, restarts, refusals."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from lammps_cases import (
    ENGINES,
    HOT,
    PLAIN,
    VOIGT,
    WITH_ZBL,
    assert_equal,
    assert_same_state,
    column_of,
    crystal,
    half_empty,
    read_dump,
    with_engine,
)

from lmp_uq import modelfile
from lmp_uq.posterior.box import Box
from lmp_uq.run.engine import Engine

THERMO = "thermo 1\nthermo_style custom step etotal pe f_b f_b[*] press\nthermo_modify format float %.17g"
KINDS = {"grade": "grade tau 0.7", "power 3": "grade tau 0.7 power 3", "energy_std": "energy_std tau 0.4"}
NULL = """pair_style hybrid/overlay mace/uq zbl 1.8 2.6
pair_coeff * * mace/uq {model} Si NULL
pair_coeff 1 1 zbl 14 14
pair_coeff 1 2 zbl 14 8
pair_coeff 2 2 zbl 8 8"""
THERMOSTAT = HOT.replace("fix nve all nve", "fix nve all nvt temp 1500 1500 0.05")


def bias(words="grade tau 0.7", group="all"):
    return f"fix b {group} uq/bias {words}\n{THERMO}"


def ran(lammps, atoms, *more, words=KINDS["grade"], group="all", then="run 0", **options):
    """Snapshot after a run with the fix, and its columns of thermo."""
    result = lammps.run(atoms, *more, bias(words, group), then, "#snapshot end", **options)
    return result.snapshots["end"], result.thermo[-1]


def energy_of(lammps, atoms, *more, **options):
    return ran(lammps, atoms, *more, **options)[1]["f_b"][-1]


def derivative(energy, step):
    """By differences of fourth order: of a function of a displacement, at 0."""
    near, far = energy(step) - energy(-step), energy(2 * step) - energy(-2 * step)
    return (8.0 * near - far) / (12.0 * step)


def bias_forces(lammps, atoms, *more, **options):
    plain = {key: value for key, value in options.items() if key not in ("words", "group")}
    biased = ran(lammps, atoms, *more, **options)[0]
    return biased["f"] - lammps.state(atoms, *more, "run 0", "#snapshot end", **plain)["f"]


# ---- derivatives of one energy ------------------------------------------------------------------------------------------------------


def assert_forces_are_derivatives(lammps, atoms, *more, **options):
    forces = bias_forces(lammps, atoms, *more, **options)
    assert np.abs(forces).max() > 1e-3
    along = np.random.default_rng(3).normal(0.0, 1.0, (len(atoms), 3))

    def energy(shift):
        moved = atoms.copy()
        moved.positions += shift * along
        return energy_of(lammps, moved, *more, **options)

    assert_equal("-dE_bias/dx", -derivative(energy, 1e-4), np.sum(forces * along), relative=1e-5)
    assert_equal("sum of the forces", forces.sum(axis=0), np.zeros(3), absolute=1e-6 * np.abs(forces).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_forces_are_derivatives_of_the_bias_energy(kind, engine, lammps):
    assert_forces_are_derivatives(lammps, crystal(tilt=True), words=KINDS[kind], pair=with_engine(engine))


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_forces_of_a_group_and_beside_other_styles(engine, lammps):
    """Of two elements one takes no part: the mean is over the other one's atoms of the group."""
    atoms = crystal((2, 1, 1))
    pair = with_engine(engine, NULL)
    assert_forces_are_derivatives(lammps, atoms, "group some id <= 9", group="some", pair=pair)
    alone = ran(lammps, atoms, "group some id <= 9", "compute uq all uq/atom grade", group="some", pair=pair)
    grades = alone[0]["uq"].ravel()[:9][atoms.numbers[:9] == 14]
    assert_equal("s", alone[1]["f_b[1]"][-1], np.mean(grades**8) ** 0.125, relative=1e-9)
    assert_equal("largest", alone[1]["f_b[4]"][-1], grades.max(), relative=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_virial_is_the_derivative_by_strain(kind, lammps):
    atoms = crystal(tilt=True)
    plain = lammps.state(atoms, "run 0", "#snapshot end")
    biased = ran(lammps, atoms, words=KINDS[kind])[0]
    virial = (biased["pressure"] - plain["pressure"]) * atoms.cell.volume / plain["nktv2p"]
    for k, (a, b) in enumerate(VOIGT):

        def energy(strain, a=a, b=b):
            change = np.eye(3)
            change[max(a, b), min(a, b)] += strain  # the cell stays one that LAMMPS can hold
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ change, scale_atoms=True)
            return energy_of(lammps, strained, words=KINDS[kind])

        assert_equal(f"virial {a}{b}", virial[k], -derivative(energy, 1e-4), absolute=1e-6 * np.abs(virial).max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_conserves_energy_and_bias(kind, lammps):
    more = (HOT, "timestep 0.0001")
    words = KINDS[kind].replace("tau 0.", "tau ") + "\nfix_modify b energy yes"
    _, thermo = ran(lammps, crystal(), *more, words=words, then="run 60")
    swing = np.ptp(thermo["f_b"])
    assert swing > 0.02 and np.ptp(thermo["TotEng"]) < 0.01 * swing
    without = thermo["TotEng"] - thermo["f_b"]
    assert np.ptp(without) > 0.5 * swing, "the model's energy alone is not conserved"


# ---- what s is ----------------------------------------------------------------------------------------------------------------------


def test_s_is_the_power_mean_of_the_grades(lammps):
    atoms = crystal((2, 1, 1))
    for power in (8, 2.5):
        state, thermo = ran(lammps, atoms, "compute uq all uq/atom grade", words=f"grade tau 0.7 power {power}")
        grades = state["uq"].ravel()
        s, tau, product, largest = (thermo[f"f_b[{k}]"][-1] for k in (1, 2, 3, 4))
        assert_equal("s", s, np.mean(grades**power) ** (1 / power), relative=1e-9)
        assert (tau, product, largest) == (0.7, 0.7 * s, grades.max()) and thermo["f_b"][-1] == -product


def test_s_is_the_std_of_the_total_energy_about_the_mean_of_the_members(lammps, models):
    from lmp_uq.backbone.graph import graph_of_frames

    atoms, file = crystal(), modelfile.read(models.full)
    engine = Engine.load(models.full, None, engine="native")
    graph, _ = graph_of_frames([atoms], engine.header.elements, engine.cutoff)
    engine.evaluate(graph, np.zeros(len(atoms)))
    expected = Box.from_tensors(file.section("posterior")).std(engine.feature_sum())
    assert_equal("s", ran(lammps, atoms, words=KINDS["energy_std"])[1]["f_b[1]"][-1], expected, relative=1e-8)


# ---- the same everywhere ------------------------------------------------------------------------------------------------------------

CASES = {
    "grade": (crystal((2, 2, 1)), "grade 0.3", PLAIN),
    "energy_std": (crystal((2, 2, 1)), "energy_std 0.3", PLAIN),
    "cap and until": (crystal((2, 2, 1)), "grade 0.3 cap 0.1 until 16", WITH_ZBL),
    "a rank without atoms": (half_empty(), "grade tau 0.5 cap 0.5", PLAIN),
}


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_other_numbers_of_ranks(case, n, lammps):
    atoms, words, pair = CASES[case]
    grid = f"processors {n} 1 1" if case == "a rank without atoms" else ""
    one, table = ran(lammps, atoms, THERMOSTAT, words=words, then="run 30", pair=pair)
    more, other = ran(lammps, atoms, THERMOSTAT, words=words, then="run 30", n=n, pair=pair, before=grid)
    assert_same_state(more, one, 1e-8)
    for column in ("f_b", "f_b[1]", "f_b[2]", "f_b[3]", "f_b[4]"):
        assert_equal(column, other[column], table[column], relative=1e-8)
    assert table["f_b[2]"].max() > 0.0


@pytest.mark.parametrize("engine", ["native", "device"])
@pytest.mark.parametrize("kind", KINDS)
def test_engines_agree(kind, engine, lammps):
    atoms = crystal((1, 1, 2), tilt=True)
    expected, found = (ran(lammps, atoms, words=KINDS[kind], pair=with_engine(name)) for name in ("torch", engine))
    assert_equal("forces", found[0]["f"], expected[0]["f"], absolute=2 * ENGINES[engine])
    assert_equal("pressure", found[0]["pressure"], expected[0]["pressure"], relative=1e-6)
    assert_equal("bias", found[1]["f_b"], expected[1]["f_b"], relative=1e-7)


# ---- strength -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["grade 0.0", "grade tau 0.0 cap 0.5", "energy_std 0", "grade 0.5 until 0.0"])
def test_without_strength_the_run_is_the_plain_one_bit_by_bit(words, lammps):
    biased, thermo = ran(lammps, crystal(), HOT, words=words, then="run 25")
    plain = lammps.state(crystal(), HOT, "run 25", "#snapshot end")
    for name in ("x", "f", "pressure", "energy"):
        assert np.array_equal(biased[name], plain[name]), name
    assert not thermo["f_b[2]"].any() and thermo["f_b[1]"].all()


def test_tau_follows_the_means_of_the_forces(lammps):
    """Exponential means over 20 steps; 0 for the first 20 steps, whose frames are those of a run without bias."""
    folder = lammps.new_folder()
    dump = "dump d all custom 1 frames.dump id x y z fx fy fz\ndump_modify d sort id format float %.17g"
    table = lammps.run(crystal(), HOT, dump, bias("grade 0.3"), "run 20", folder=folder).thermo[0]
    frames = read_dump(folder / "frames.dump")
    again = [line for k in frames for line in (f"read_dump frames.dump {k} x y z", "run 0", f"#snapshot {k}")]
    pushed = lammps.run(crystal(), bias("grade tau 1.0"), *again, folder=folder).snapshots
    means = np.zeros(2)
    for k in range(21):
        plain = frames[k][:, 4:] if k < 20 else lammps.run(crystal(), *again[-3:-1], "#snapshot end", folder=folder).snapshots["end"]["f"]
        now = np.array([np.linalg.norm(v, axis=1).mean() for v in (plain, pushed[str(k)]["f"] - plain)])
        means += (1.0 if k == 0 else 1 / 20) * (now - means)
    assert not table["f_b[2]"][:20].any()
    assert_equal("tau", table["f_b[2]"][20], 0.3 * means[0] / means[1], relative=1e-6)


@pytest.mark.parametrize("kind", ["grade", "energy_std"])
def test_no_atom_gets_more_than_the_cap(kind, lammps):
    atoms = crystal((2, 1, 1))
    plain = np.linalg.norm(lammps.state(atoms, "run 0", "#snapshot end")["f"], axis=1)
    free = np.linalg.norm(bias_forces(lammps, atoms, words=f"{kind} tau 50"), axis=1)
    assert (free > 0.3 * plain + 0.2).any()
    held = bias_forces(lammps, atoms, words=f"{kind} tau 50 cap 0.3")
    assert_equal("the nearest to its cap", (np.linalg.norm(held, axis=1) / (0.3 * plain + 0.2)).max(), 1.0, absolute=1e-9)
    assert_equal("sum of the forces", held.sum(axis=0), np.zeros(3), absolute=1e-9)
    small, free = (bias_forces(lammps, atoms, words=words) for words in (f"{kind} tau 0.01 cap 0.3", f"{kind} tau 0.01"))
    assert np.array_equal(small, free)


def test_beyond_until_there_is_no_bias_and_it_comes_back(lammps):
    """Three positions of the atoms in turn: known, new, known."""
    more = ("dump d all custom 1 known.dump id x y z", bias("grade tau 0.5 until 1.15"), "run 0", "undump d", "#snapshot 0")
    more += ("displace_atoms all random 0.4 0.4 0.4 7", "run 0", "#snapshot 1", "read_dump known.dump 0 x y z", "run 0", "#snapshot 2")
    result = lammps.run(crystal(), *more)
    tau, largest = ([table[f"f_b[{k}]"][0] for table in result.thermo] for k in (2, 4))
    assert max(largest[0], largest[2]) < 1.15 < largest[1] and tau == [0.5, 0.0, 0.5]
    moved = crystal()
    moved.positions = result.snapshots["1"]["x"]
    assert_equal("no bias", result.snapshots["1"]["f"], lammps.state(moved, "run 0", "#snapshot end")["f"], absolute=1e-9)


def test_a_run_in_two_parts_sees_each_step_once(lammps):
    whole, table = ran(lammps, crystal(), THERMOSTAT, words="grade 0.3", then="run 40")
    parts, _ = ran(lammps, crystal(), THERMOSTAT, words="grade 0.3", then="run 12\nrun 13\nrun 15")
    for name in ("f", "energy", "pressure"):  # positions are wrapped at other steps
        assert_equal(name, parts[name], whole[name], relative=1e-8)
    assert table["f_b[2]"][-1] > 0.0


@pytest.mark.parametrize(("n", "words"), [(1, "grade 0.3"), (2, "grade 0.3"), (1, "grade 0.3 cap 0.3 until 2.0")])
def test_a_restart_continues(n, words, lammps):
    folder = lammps.new_folder()
    more = (THERMOSTAT, bias(words), "run 25", "write_restart at.25", "run 15", "#snapshot end")
    expected = lammps.run(crystal(), *more, n=n, folder=folder).snapshots["end"]
    pair = PLAIN.format(model=lammps.models.full)
    nvt = THERMOSTAT.split("\n", 1)[1]
    again = ("clear", "units metal", "atom_modify map array", "read_restart at.25", pair, nvt, bias(words), "run 15", "#snapshot end")
    text = "\n".join(again)
    found = lammps.run(crystal(), text, n=n, folder=folder)
    assert_same_state(found.snapshots["end"], expected, 1e-8)
    assert (found.thermo[-1]["f_b[2]"] > 0.0).any()
    other = text.replace("grade 0.3", "grade 0.3 power 4")
    log = lammps.run(crystal(), other, n=n, folder=folder).log
    assert "of another quantity or power: the means behind tau begin anew" in log


# ---- beside others, and refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_beside_a_barostat_a_selection_and_a_halt(n, lammps):
    folder = lammps.new_folder()
    more = (
        HOT.replace("nve all nve", "nve all npt temp 1500 1500 0.05 iso 0 0 0.5"),
        "fix s all uq/select 5 grade 0 INF file picked.extxyz",
        "fix h all uq/halt 1 grade > 0.0 consecutive 31",
        "compute uq all uq/atom grade force_std",
        bias("grade 0.3 cap 0.5"),
        "run 50",
        "#snapshot end",
    )
    result = lammps.run(crystal(), *more, n=n, folder=folder)
    frames = ase.io.read(folder / "picked.extxyz", ":")
    assert [atoms.info["step"] for atoms in frames] == [5, 10, 15, 20, 25, 30] and result.thermo[0]["Step"][-1] == 31
    last = frames[-1].copy()
    plain = lammps.state(last, "run 0", "#snapshot end")["f"]
    assert_equal("labels are those of the model", column_of(frames[-1], "mace_forces"), plain, absolute=1e-4)
    assert result.thermo[0]["f_b[2]"][-1] > 0.0 and "does not conserve energy, a thermostat is needed" in result.log


LINES = {
    "": "fix uq/bias ([grade|energy_std] tau_rel or tau x",
    "colour 0.3": "found colour in the place of tau_rel; accepted: ([grade|energy_std] tau_rel or tau x",
    "grade tau": "fix uq/bias ([grade|energy_std]",
    "grade tau much": "found much in the place of tau; accepted: ",
    "grade -0.1": "tau_rel is -0.1; accepted: a number of 0 or more",
    "grade nan": "found nan in the place of tau_rel; accepted: ",
    "grade 0.3 colour red": "Unknown fix uq/bias keyword colour (accepted: power, cap, until, pair)",
    "grade 0.3 cap": "keyword cap needs a value",
    "grade 0.3 cap -1": "cap is -1; accepted: a number of 0 or more",
    "grade 0.3 until few": "few",
    "grade 0.3 power 0.5": "power is 0.5; accepted: a number of 1 or more",
    "energy_std 0.3 power 2": "power is that of a mean of grades; accepted: with grade",
}


@pytest.mark.parametrize("n", [1, 2])
def test_words_are_refused(n, lammps):
    more = []
    for k, (words, text) in enumerate(LINES.items()):
        more += [f"#fails {text}", f"fix x{k} all uq/bias {words}"]
    more += ["group few id 1 2", "#fails found group few; accepted: group all, or grade", "fix y few uq/bias energy_std 0.3"]
    lammps.run(crystal(), *more, n=n)


@pytest.mark.parametrize("n", [1, 2])
def test_files_and_runs_are_refused(n, lammps, models):
    bare = ("#fails field grade needs training descriptors", "fix a all uq/bias 0.3", "#fails field energy_std needs a posterior",
            "fix b all uq/bias energy_std 0.3", "run 0")  # fmt: skip
    lammps.run(crystal(), *bare, n=n, model=models.bare)
    more = (HOT, "run 0", "dump d all custom 1 frames.dump id type x y z", "run 2", "undump d", bias("0.3"))
    runs = (
        "#fails found a minimization, which would end where model and bias balance", "minimize 0 0 5 9",
        "#fails found rerun, whose frames no bias moves", "rerun frames.dump dump x y z",
        "run_style respa 2 2", "#fails found run_style respa, accepted: verlet", "run 1", "run_style verlet", "run 1",
    )  # fmt: skip
    lammps.run(crystal(), *more, *runs, n=n)
    two = PLAIN.replace("mace/uq", "hybrid/overlay mace/uq mace/uq", 1).replace("* * ", "* * mace/uq 1 ")
    two += "\n" + two.splitlines()[1].replace("mace/uq 1", "mace/uq 2")
    assert "of 2 mace/uq the run computes 2 (accepted: one, " in lammps.fails(crystal(), bias("0.3"), n=n, pair=two)
    one = two + "\npair_modify pair mace/uq 1 compute no"
    assert "does not compute mace/uq 1, whose grades it was to follow" in lammps.fails(crystal(), bias("0.3 pair 1"), n=n, pair=one)
    plain, both = (ran(lammps, crystal(), words=KINDS["grade"] + more, n=n, pair=pair) for more, pair in (("", PLAIN), (" pair 2", one)))
    assert_same_state(plain[0], both[0])
    assert plain[1]["f_b"][-1] == both[1]["f_b"][-1] != 0.0
