# SPDX-License-Identifier: GPL-2.0-or-later
"""compute uq/ensemble: members are those styles alone, the run is the driver alone, and steps that nobody asks about cost nothing."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from ensemble_cases import PAIR, overlay
from lammps_cases import HOT, PLAIN, assert_equal, column_of, crystal, read_dump

RANKS = pytest.mark.parametrize("n", [1, 2, 4])
DRIVER = "mace/uq"
MODELS = (DRIVER, "lj/cut+zbl", "morse")
WEIGHTS = np.array([0.5, 0.3, 0.2])
ENSEMBLE = "compute e all uq/ensemble V U forces " + " ".join(f"{w} {m}" for w, m in zip(WEIGHTS, MODELS, strict=True))


SAME_LISTS = ("neigh_modify binsize 3.75", "comm_modify cutoff 7.5", "atom_modify sort 0 0.0")
"""Lists of neighbours in the same order whatever the largest cutoff is, so that sums over them have the same digits."""
ATOMS = "dump d all custom {every} atoms.dump id x y z fx fy fz {columns}"
DIGITS = ("dump_modify d sort id format float %.17g", "thermo_modify format float %.17g")
PRESSED = "thermo_style custom step pe pxx pyy pzz pxy pxz pyz"
"""What a snapshot asks for."""
COLUMNS = "c_e[*]"
FORCES_AT = 2
"""Columns of the compute before those of the forces."""


def run(lammps, atoms, *more, every=3, steps=6, columns=COLUMNS, n=1, pair=PAIR, thermo="", **options):
    """Thermo table and frames {step: (x, f, columns of the compute)} of a short hot run."""
    said = (ATOMS.format(every=every, columns=columns), f"thermo {every}", f"thermo_style custom step pe pxx pxy {thermo}")
    lines = (HOT, *SAME_LISTS, *more, *said, *DIGITS)
    result = lammps.run(atoms, *lines, f"run {steps}", n=n, pair=pair, **options)
    frames = read_dump(result.folder / "atoms.dump")
    return result.thermo[0], {step: (rows[:, 1:4], rows[:, 4:7], rows[:, 7:]) for step, rows in frames.items()}


def alone(lammps, atoms, model, n=1):
    """Energy and forces (n, 3) of a sum of sub-styles without any other."""
    thermo, frames = run(lammps, atoms, steps=0, columns="", pair=overlay(*model.split("+")), n=n)
    return thermo["PotEng"][0], frames[0][1]


def by_hand(forces, weights):
    """U of the paper, d (K,), V (n,) and U (n,) of forces (K, n, 3)."""
    weights = weights / weights.sum()
    from_mean = np.linalg.norm(forces - forces.mean(0), axis=2)
    from_driver = np.linalg.norm(forces[1:] - forces[0], axis=2)
    d = from_mean.max(1)
    rest = weights[1:] / weights[1:].sum()
    return np.sqrt(weights @ d**2), d, np.sqrt(rest @ from_driver**2), np.sqrt(weights @ from_mean**2)


@pytest.fixture(scope="module")
def atoms():
    return crystal((2, 2, 1), rattle=0.1)


# ---- what it says ---------------------------------------------------------------------------------------------------------------


@RANKS
def test_members_are_those_styles_alone(n, lammps, atoms):
    """To the last digit: the same arithmetic in another run. Weights need not have the sum 1."""
    _, frames = run(lammps, atoms, ENSEMBLE.replace("0.5", "5").replace("0.3", "3").replace("0.2", "2"), steps=0, n=n)
    columns = frames[0][2]
    members = np.stack([alone(lammps, atoms, model, n)[1] for model in MODELS])
    for k, model in enumerate(MODELS):
        assert np.abs(members[k]).max() > 0.1, model
        np.testing.assert_array_equal(columns[:, FORCES_AT + 3 * k : FORCES_AT + 3 * k + 3], members[k], err_msg=model)
    _, _, v, u = by_hand(members, WEIGHTS)
    assert_equal("V", columns[:, 0], v, relative=1e-14)
    assert_equal("U", columns[:, 1], u, relative=1e-14)


@RANKS
def test_totals_are_those_of_the_formula(n, lammps, atoms):
    """At every sample of a run, with energies of the frames from runs of each model alone."""
    thermo, frames = run(lammps, atoms, ENSEMBLE, thermo="c_e c_e[*]", n=n)
    energies = []
    for sample, (x, _, columns) in enumerate(frames.values()):
        forces = columns[:, FORCES_AT:].reshape(len(atoms), 3, 3).transpose(1, 0, 2)
        total, d, v, u = by_hand(forces, WEIGHTS)
        found = np.array([thermo[f"c_e[{k}]"][sample] for k in range(1, 9)])
        assert_equal("U", found[0], total, relative=1e-14)
        assert thermo["c_e"][sample] == found[0]
        assert_equal("d", found[2:5], d, relative=1e-14)
        assert_equal("V and U of atoms", columns[:, :2], np.stack([v, u], axis=1), relative=1e-14)
        moved = atoms.copy()
        moved.positions = x
        energies.append([alone(lammps, moved, model)[0] for model in MODELS])
        changes = np.subtract(energies[-1], energies[0])
        assert_equal("energies", found[5:], changes, absolute=1e-8)
        assert_equal("spread", found[1], np.sqrt(WEIGHTS @ (changes - WEIGHTS @ changes) ** 2), absolute=1e-8)
    assert np.ptp(np.array(energies), axis=0).min() > 1e-3


def test_any_number_of_ranks_says_the_same(lammps, atoms):
    first = run(lammps, atoms, ENSEMBLE, thermo="c_e[*]", steps=3)
    for n in (2, 4):
        thermo, frames = run(lammps, atoms, ENSEMBLE, thermo="c_e[*]", steps=3, n=n)
        for name in ("PotEng", *(f"c_e[{k}]" for k in range(1, 9))):
            assert_equal(name, thermo[name], first[0][name], relative=1e-10)
        assert_equal("columns", frames[3][2], first[1][3][2], relative=1e-10)


def test_two_models_and_a_group(lammps, atoms):
    """Two models of equal weight: V is their distance, U half of it; atoms outside the group have 0 and do not count in the totals."""
    more = ("group some id 1 5 9", ENSEMBLE.replace("e all", "e some").replace("V U forces", "").split(" 0.3")[0] + " 0.5 morse")
    thermo, frames = run(lammps, atoms, *more, steps=0, thermo="c_e c_e[3] c_e[4]")
    driver, partner = (alone(lammps, atoms, model)[1] for model in (DRIVER, "morse"))
    distance = np.linalg.norm(driver - partner, axis=1)
    inside = np.isin(np.arange(len(atoms)) + 1, (1, 5, 9))
    assert_equal("V", frames[0][2][:, 0], np.where(inside, distance, 0.0), relative=1e-14)
    assert_equal("U", frames[0][2][:, 1], np.where(inside, distance / 2, 0.0), relative=1e-14)
    assert_equal("totals", [thermo[name][0] for name in ("c_e", "c_e[3]", "c_e[4]")], 3 * [distance[inside].max() / 2], relative=1e-14)


# ---- the run is that of the driver ----------------------------------------------------------------------------------------------


@RANKS
def test_the_run_is_the_driver_alone(n, lammps, atoms):
    """Energies, pressures, positions and forces, bit by bit, although every step was asked about."""
    plain = run(lammps, atoms, every=1, columns="", pair=overlay(DRIVER), n=n)
    asked = run(lammps, atoms, ENSEMBLE, every=1, thermo="c_e[*]", n=n)
    for name in ("PotEng", "Pxx", "Pxy"):
        np.testing.assert_array_equal(asked[0][name], plain[0][name], err_msg=name)
    for step, (x, f, _) in plain[1].items():
        np.testing.assert_array_equal(asked[1][step][0], x)
        np.testing.assert_array_equal(asked[1][step][1], f)


def test_what_pair_styles_have_tallied_stays(lammps, atoms):
    """Of a partner that the run computes nothing of, LAMMPS has tallied nothing, although the compute evaluates it."""
    tally = "compute tally all pair morse"
    thermo, _ = run(lammps, atoms, tally, ENSEMBLE, every=1, steps=3, thermo="c_e c_tally")
    np.testing.assert_array_equal(thermo["c_tally"], 0.0)
    assert (thermo["c_e"] > 0.0).all()


def test_forces_of_fixes_are_no_part_of_the_driver(lammps, atoms):
    """And they are still there afterwards."""
    _, plain = run(lammps, atoms, ENSEMBLE, steps=0)
    _, pulled = run(lammps, atoms, "fix pull all addforce 1.0 2.0 3.0", ENSEMBLE, steps=0)
    np.testing.assert_array_equal(pulled[0][2], plain[0][2])
    assert_equal("forces", pulled[0][1], plain[0][1] + [1.0, 2.0, 3.0], absolute=1e-12)


def test_where_a_fix_moves_the_atoms_after_the_forces(lammps, atoms):
    """The box and all atoms are scaled at the end of a step: members are still those of the positions of the forces."""
    deform = "fix box all deform 2 x scale 1.05 y scale 0.97 remap x"
    _, frames = run(lammps, atoms, "fix keep all store/state 1 x y z", ENSEMBLE, deform, every=2, steps=4, columns=f"{COLUMNS} f_keep[*]")
    moved = atoms.copy()
    moved.positions = frames[2][2][:, -3:]
    _, expected = alone(lammps, moved, "morse")
    assert_equal("morse", frames[2][2][:, FORCES_AT + 6 : FORCES_AT + 9], expected, absolute=1e-9)


def test_another_driver_and_one_made_of_two(lammps, atoms):
    """Energies of the driver that nobody had tallied are found by evaluating it once more, which changes nothing."""
    pair = overlay("morse", "lj/cut", "zbl", off=("zbl",))
    compute = "compute e all uq/ensemble forces 1 morse+lj/cut 1 zbl"
    thermo, frames = run(lammps, atoms, compute, pair=pair, thermo="c_e[*]")
    plain, expected = run(lammps, atoms, columns="", pair=overlay("morse", "lj/cut"))
    np.testing.assert_array_equal(thermo["PotEng"], plain["PotEng"])
    for step, (_, f, columns) in frames.items():
        np.testing.assert_array_equal(columns[:, :3], expected[step][1])
        np.testing.assert_array_equal(f, expected[step][1])
    assert_equal("energy of the driver", thermo["c_e[5]"], plain["PotEng"] - plain["PotEng"][0], absolute=1e-10)


# ---- when it is evaluated -------------------------------------------------------------------------------------------------------

COUNTED = overlay("morse", "mace/uq", off=("mace/uq",), mace_uq="mace/uq engine torch")
"""Evaluations of a mace/uq in Python are counted."""
PARTNER = "compute e all uq/ensemble 0.5 morse 0.5 mace/uq"
MANY = (
    "variable largest equal c_worst",
    "compute worst all reduce max c_e[1]",
    "fix a all ave/time 2 1 2 c_e[1] c_worst",
    "fix b all ave/atom 2 1 2 c_e[1]",
    "fix h all halt 2 v_largest > 1000.0",
    "fix i all uq/halt 2 c_e[1] > 1000.0",
    "dump o all custom 2 o.dump id c_e[1] c_e[2]",
    "dump_modify o thresh c_e[1] > 0.01",
    "thermo 2",
    f"{PRESSED} c_e c_e[1] c_worst v_largest",
)


def passes(lammps, atoms, *more, steps=6, pair=COUNTED):
    """Of the model in Python."""
    return lammps.state(atoms, HOT, *more, f"run {steps}", "#snapshot end", pair=pair)["passes"].get("evaluate", 0)


def test_only_steps_that_are_asked_about_are_evaluated_and_once(lammps, atoms):
    assert passes(lammps, atoms, PARTNER, "thermo 100") == 0
    assert passes(lammps, atoms, PARTNER, "thermo 3", f"{PRESSED} c_e") == 3
    assert passes(lammps, atoms, PARTNER, *MANY) == 4


def test_the_driver_is_not_evaluated_a_second_time(lammps, atoms):
    driver = overlay("mace/uq", "morse", off=("morse",), mace_uq="mace/uq engine torch")
    compute = "compute e all uq/ensemble 0.5 mace/uq 0.5 morse"
    assert passes(lammps, atoms, compute, *MANY, pair=driver) == 7


def test_a_minimisation_is_that_of_the_driver(lammps, atoms):
    ask = (*SAME_LISTS, "thermo 1", "thermo_style custom step pe", DIGITS[1], "minimize 0 1e-3 20 100")
    plain = lammps.run(atoms, *ask, pair=overlay(DRIVER)).thermo[0]["PotEng"]
    more = (*SAME_LISTS, ENSEMBLE, "thermo 1", f"{PRESSED} c_e[*]", *ask[-2:])
    found = lammps.run(atoms, *more, pair=PAIR).thermo[0]
    np.testing.assert_array_equal(found["PotEng"], plain)
    assert_equal("energy of the driver", found["c_e[6]"], found["PotEng"] - found["PotEng"][0], absolute=1e-9)


@pytest.mark.parametrize("n", [1, 2])
def test_rerun_gives_what_the_run_gave(n, lammps, atoms):
    more = (HOT, ENSEMBLE, "dump d all custom 3 run.dump id type x y z", *DIGITS, "thermo 3", "thermo_style custom step c_e[*]")
    again = "rerun run.dump dump x y z"
    first, second = lammps.run(atoms, *more[:2], *more[4:], *more[2:4], "run 6", "undump d", again, n=n, pair=PAIR).thermo
    for k in range(1, 9):
        assert_equal(f"c_e[{k}]", second[f"c_e[{k}]"], first[f"c_e[{k}]"], absolute=1e-7)


# ---- fixes that act on it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 2), (4, 1)])
def test_halt_and_select_act_on_a_column(n, k, lammps, atoms):
    _, frames = run(lammps, atoms, ENSEMBLE, every=1, steps=6, n=n)
    values = {step: columns[:, k - 1] for step, (_, _, columns) in frames.items()}
    largest = {step: column.max() for step, column in values.items()}
    limit = (largest[2] + max(largest[1], min(largest.values()))) / 2
    crossing = next(step for step in range(1, 7) if largest[step] > limit)
    fixes = (f"fix stop all uq/halt 1 c_e[{k}] > {limit:.17g}", f"fix keep all uq/select 1 c_e[{k}] {limit:.17g} INF file keep.extxyz")
    result = lammps.run(atoms, HOT, ENSEMBLE, *fixes, "thermo 1", "run 6", n=n, pair=PAIR)
    said = re.search(rf"run stops at step (\d+): c_e\[{k}\] = (\S+) > \S+ \(of the compute\) on atom (\d+) \(type \d\)", result.log)
    assert int(said[1]) == crossing
    assert_equal("value", float(said[2]), largest[crossing], relative=1e-5)
    assert int(said[3]) == np.argmax(values[crossing]) + 1
    (frame,) = ase.io.read(result.folder / "keep.extxyz", ":")
    assert frame.info["selected_by"] == f"c_e_{k}" and frame.info["step"] == crossing
    assert_equal("column", column_of(frame, f"c_e_{k}"), values[crossing], relative=1e-7)


def test_columns_that_are_not_there(lammps, atoms):
    for column, text in (
        ("c_x[1]", "there is no compute x"),
        ("c_e", r"c_e is not there (accepted: c_e[1] to c_e[2])"),
        ("c_e[3]", r"c_e[3] is not there"),
        ("c_e[0]", r"c_e[0] is no column"),
        ("c_thermo_pe", "compute thermo_pe has no per-atom values"),
    ):
        assert text in lammps.fails(atoms, ENSEMBLE.replace(" forces", ""), f"fix h all uq/halt 1 {column} > 1", pair=PAIR)


# ---- between runs ---------------------------------------------------------------------------------------------------------------


def test_between_runs(lammps, atoms):
    """After a run, values are those of its last step; after a change of the atoms there are none."""
    say, moved = 'print "U $(c_e:%.15g)"', "displace_atoms all move 0.1 0 0"
    refused = ("#fails atoms changed since the last force computation", say)
    later = ("run 0", say, "run 0", moved, *refused, "run 0", say)
    log = lammps.run(atoms, HOT, ENSEMBLE, "thermo 6", "run 6", say, moved, *later, pair=PAIR).log
    values = [float(x) for x in re.findall(r"^U ([-0-9.]+)$", log, re.M)]
    assert_equal("a shift changes nothing", values, 3 * values[:1], relative=1e-6)
    assert "there have been no forces" in lammps.fails(atoms, "run 0", ENSEMBLE, "write_data all.data", say, pair=PAIR)
    assert "asked for on step 100" in lammps.fails(atoms, ENSEMBLE, "run 0", "reset_timestep 100", 'print "$(c_e)"', pair=PAIR)


# ---- several mace/uq ------------------------------------------------------------------------------------------------------------

TWO = overlay("mace/uq:1", "mace/uq:2", off=("mace/uq:2",)).replace("2 {model} Si O", "2 {model} O Si")
"""The second one has the elements the other way round."""
WORDS = "grade force_error"


def test_of_several_the_one_that_runs_is_meant(lammps, atoms):
    """Computes and fixes give what they give without the others; a number says the same, or means another one."""
    ask = f"compute uq all uq/atom {WORDS}", "compute tot all uq energy_std grade_max", "compute sum all reduce sum c_uq[*]"
    thermo = (f"{PRESSED} c_sum[*] c_tot[*]", "thermo_modify format float %.17g", "run 0", "#snapshot end")
    expected = lammps.state(atoms, *ask, *thermo)
    for number in ("", " pair 1"):
        found = lammps.state(atoms, *(line + number for line in ask[:2]), ask[2], *thermo, pair=TWO)
        np.testing.assert_array_equal(found["uq"], expected["uq"])
        np.testing.assert_array_equal(found["tot"], expected["tot"])


def test_a_partner_has_fields_where_the_ensemble_has_evaluated_it(lammps, atoms):
    ask = ("compute e all uq/ensemble 1 mace/uq:1 1 mace/uq:2", "compute uq all uq/atom grade pair 2", "compute m all reduce max c_uq")
    thermo = (f"{PRESSED} c_e c_m", "run 0", "#snapshot end")
    plain = (ask[1].replace(" pair 2", ""), ask[2], f"{PRESSED} c_m", *thermo[1:])
    swapped = lammps.state(atoms, *plain, pair=PLAIN.replace("Si O", "O Si"))
    assert_equal("grade", lammps.state(atoms, *ask, *thermo, pair=TWO)["uq"], swapped["uq"], relative=1e-12)
    text = lammps.fails(atoms, *ask[1:], f"{PRESSED} c_m", "run 0", pair=TWO)
    assert "a sub-style with pair_modify compute no was asked for" in text


def test_several_without_a_number_are_refused(lammps, atoms):
    both = TWO.replace("pair_modify pair mace/uq 2 compute no", "")
    for command in ("compute a all uq/atom grade", "compute a all uq grade_max", "compute a all uq/heat", "fix a all uq/halt 1 grade > 1"):
        assert "of 2 mace/uq the run computes 2 (accepted: one" in lammps.fails(atoms, command, pair=both)
        assert "pair is 3, the pair_style has 2 mace/uq" in lammps.fails(atoms, command + " pair 3", pair=both)
        assert "pair is followed by x" in lammps.fails(atoms, command + " pair x", pair=both)
