# SPDX-License-Identifier: GPL-2.0-or-later
"""The styles inside LAMMPS' own machinery: who asks when, halting, selecting, restarting, minimising, rerunning."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from lammps_cases import ASK, HOT, PLAIN, assert_equal, column_of, crystal, read_dump
from lammps_processes import execute

from lmp_uq import modelfile

RANKS = pytest.mark.parametrize("n", [1, 2])
EVERY_STEP = """compute g all uq grade_max force_error_max energy_std
thermo_style custom step c_g[*]
thermo_modify format float %.17g
thermo 1"""
COLUMNS = ("c_g[1]", "c_g[2]", "c_g[3]")


@pytest.fixture(scope="module")
def trajectory(lammps):
    """Values of every step of a short hot run, from a thermo that asks every step."""
    return lammps.run(crystal((2, 1, 1)), HOT, EVERY_STEP, "run 12").thermo[0]


# ---- who asks, and when ---------------------------------------------------------------------------------------------------------


@RANKS
def test_rare_consumers_see_what_a_consumer_of_every_step_sees(n, lammps, trajectory):
    """thermo every 3 steps, dump every 2, fix ave/time every 4, compute reduce, variables, fix pair, and print after the run."""
    more = (
        HOT, EVERY_STEP, "thermo 3",
        "compute a all uq/atom grade force_error", "compute top all reduce max c_a[*]",
        "dump d all custom 2 d.dump id c_a[1] c_a[2]", "dump_modify d sort id format float %.17g",
        "fix t all ave/time 4 1 4 c_g[1] c_top[2] file t.dat format ' %.17g'",
        "fix p all pair 5 mace/uq grade 1 force_error 0", "compute pmax all reduce max f_p[*]",
        "fix s all ave/time 5 1 5 c_pmax[1] c_pmax[2] file p.dat format ' %.17g'",
        "run 12", "variable last equal c_g[3]", "print 'LAST $(v_last:%.17g)'",
    )  # fmt: skip
    result = lammps.run(crystal((2, 1, 1)), *more, n=n)
    table, every = result.thermo[0], trajectory
    assert table["Step"].tolist() == [0, 3, 6, 9, 12]
    for name in COLUMNS:
        assert_equal(name, table[name], every[name][::3], relative=1e-9)
    frames = read_dump(result.folder / "d.dump")
    assert sorted(frames) == list(range(0, 13, 2))
    for step, rows in frames.items():
        assert_equal("dump", rows[:, 1:].max(axis=0), [every["c_g[1]"][step], every["c_g[2]"][step]], relative=1e-9)
    for file, stride in (("t.dat", 4), ("p.dat", 5)):
        for step, grade, force_error in np.loadtxt(result.folder / file):
            assert step % stride == 0
            assert_equal(file, [grade, force_error], [every["c_g[1]"][int(step)], every["c_g[2]"][int(step)]], relative=1e-9)
    last = float(re.search(r"^LAST (\S+)", result.log, re.MULTILINE)[1])
    assert_equal("print", last, every["c_g[3]"][12], relative=1e-9)


def test_dump_modify_thresh_and_skip(lammps, trajectory):
    limit = halfway(trajectory)
    more = (
        HOT, EVERY_STEP, "compute a all uq/atom grade",
        "dump t all custom 1 t.dump id c_a", f"dump_modify t thresh c_a > {limit!r} sort id format float %.17g",
        f"variable calm equal c_g[1]<={limit!r}", "dump s all custom 1 s.dump id c_a",
        "dump_modify s skip v_calm sort id colname c_a grade",
        "run 12",
    )  # fmt: skip
    result = lammps.run(crystal((2, 1, 1)), *more)
    kept = read_dump(result.folder / "t.dump")
    assert "ITEM: ATOMS id grade\n" in (result.folder / "s.dump").read_text()
    assert all((rows[:, 1] > limit).all() for rows in kept.values() if rows.size)
    above = {int(s) for s, value in zip(trajectory["Step"], trajectory["c_g[1]"], strict=True) if value > limit}
    assert {step for step, rows in kept.items() if rows.size} == above == set(read_dump(result.folder / "s.dump"))


def test_a_step_without_forces_has_no_uncertainty(lammps):
    text = lammps.fails(crystal(), "compute g all uq grade_max", "run 0", "reset_timestep 7", "print '$(c_g)'")
    assert "asked for on step 7, but forces were last computed on step 0" in text or "not current" in text or "between runs" in text


# ---- halt -----------------------------------------------------------------------------------------------------------------------


def halfway(trajectory):
    """A grade that lies between those of two steps, so that rounding decides nothing."""
    values = np.sort(trajectory["c_g[1]"])
    return float(values[6:8].mean())


def crossing(trajectory, name="c_g[1]"):
    """A threshold that the trajectory crosses upwards, not at its start, and the step where it does."""
    values = trajectory[name]
    for step in range(3, len(values)):
        before = values[:step].max()
        if values[step] > before * (1 + 1e-6):
            return float(before + values[step]) / 2, step
    raise AssertionError("the trajectory never rises")


@RANKS
def test_halt_stops_where_the_threshold_is_crossed(n, lammps, trajectory):
    limit, step = crossing(trajectory)
    more = (HOT, EVERY_STEP, f"fix h all uq/halt 1 grade > {limit!r}", "run 12", "print 'AFTER $(step)'")
    result = lammps.run(crystal((2, 1, 1)), *more, n=n)
    pattern = r"Fix uq/halt h: run stops at step (\d+): grade = (\S+) > (\S+) \((.*)\) on atom (\d+) \((\w+)\), check 1"
    found = re.search(pattern, result.log)
    assert found and int(found[1]) == step
    assert float(found[2]) == pytest.approx(trajectory["c_g[1]"][step], rel=1e-5) and found[4] == "1 = edge of the training atoms"
    assert found[6] == crystal((2, 1, 1)).symbols[int(found[5]) - 1]
    assert f"AFTER {step}" in result.log, "error soft must let the script go on"
    assert result.thermo[0]["Step"][-1] == step


def test_consecutive_checks(lammps, trajectory):
    limit = float(trajectory["c_g[1]"].min()) - 1e-9
    more = (HOT, EVERY_STEP, f"fix h all uq/halt 2 grade >= {limit!r} consecutive 3", "run 12")
    log = lammps.run(crystal((2, 1, 1)), *more).log
    assert "run stops at step 6:" in log and "check 3 in a row" in log


@RANKS
def test_error_hard_ends_with_an_exit_code(n, lammps):
    folder = lammps.new_folder()
    more = (HOT, "fix h all uq/halt 1 force_error > 1e-6 error hard", "run 5", "print AFTER")
    (folder / "in.run").write_text(lammps.write(folder, crystal(), *more))
    done = execute("lmp-uq", "run", "-in", "in.run", ranks=n, folder=folder)
    assert done.code != 0 and "run stops at step 1: force_error" in done.text and "\nAFTER" not in done.text


def test_halt_in_a_minimisation(lammps):
    log = lammps.run(crystal(), "fix h all uq/halt 1 grade >= 0", "minimize 0 0 50 50", "print 'END $(step)'").log
    assert "run stops at step" in log and int(re.search(r"^END (\d+)", log, re.MULTILINE)[1]) < 50


# ---- select ---------------------------------------------------------------------------------------------------------------------


@RANKS
def test_selected_frames_are_those_of_a_dump(n, lammps, trajectory):
    atoms, limit = crystal((2, 1, 1)), halfway(trajectory)
    more = (
        HOT, EVERY_STEP, "compute a all uq/atom grade neighbour_grade energy_std",
        "dump d all custom 1 d.dump id x y z c_a[1] c_a[2] c_a[3]", "dump_modify d sort id format float %.12g",
        f"fix s all uq/select 1 grade {limit!r} INF file s.extxyz max 4", "run 12",
    )  # fmt: skip
    result = lammps.run(atoms, *more, n=n)
    frames, dumped = ase.io.read(result.folder / "s.extxyz", ":"), read_dump(result.folder / "d.dump")
    above = [int(s) for s in trajectory["Step"][1:] if trajectory["c_g[1]"][int(s)] >= limit][:4]
    assert [frame.info["step"] for frame in frames] == above
    for frame in frames:
        rows = dumped[frame.info["step"]]
        assert frame.arrays["id"].tolist() == rows[:, 0].astype(int).tolist()
        assert str(frame.symbols) == str(atoms.symbols) and np.allclose(frame.cell, atoms.cell)
        assert np.abs(frame.positions - rows[:, 1:4]).max() < 1e-9
        for k, name in enumerate(("grade", "neighbour_grade", "energy_std")):
            assert_equal(name, column_of(frame, name), rows[:, 4 + k], relative=1e-6)
        assert frame.info["selected_by"] == "grade" and frame.info["selected_value"] == pytest.approx(column_of(frame, "grade").max())


# ---- restart, replace, clear ----------------------------------------------------------------------------------------------------

STATE = (ASK, "run 0", "#snapshot end")


@RANKS
def test_restart_brings_everything_back(n, lammps):
    pair = PLAIN.replace("mace/uq", "mace/uq members 16 conservative yes", 1)
    folder = lammps.new_folder()
    before = lammps.run(crystal(tilt=True), *STATE, "write_restart r.restart", pair=pair, n=n, folder=folder).snapshots["end"]
    again = ("clear", "read_restart r.restart", *STATE)
    after = lammps.run(crystal(tilt=True), *again, n=n, folder=folder).snapshots["end"]
    for name in ("energy", "f", "uq", "tot"):
        assert_equal(name, after[name], before[name], relative=1e-10)


def test_restart_with_a_changed_or_missing_file(lammps, models):
    folder = lammps.new_folder()
    (folder / "m.uq").write_bytes(models.full.read_bytes())
    lammps.run(crystal(), "run 0", "write_restart r.restart", folder=folder, model="m.uq")
    (folder / "m.uq").write_bytes(models.bare.read_bytes())
    again = {"folder": folder, "model": models.full}
    text = lammps.fails(crystal(), "clear", "read_restart r.restart", **again)
    assert "m.uq has changed since the restart file was written" in text
    (folder / "m.uq").unlink()
    assert "m.uq: neither a file" in lammps.fails(crystal(), "clear", "read_restart r.restart", **again)


def test_a_second_pair_coeff_replaces_the_first(lammps, models):
    once = lammps.state(crystal(), *STATE)
    twice = lammps.state(crystal(), f"pair_coeff * * {models.bare} O Si", f"pair_coeff * * {models.full} Si O", *STATE)
    assert_equal("energy", twice["energy"], once["energy"], relative=1e-12)
    other = lammps.state(crystal(), f"pair_coeff * * {models.full} O Si", *STATE)
    assert abs(other["energy"] - once["energy"]) > 1e-3


def test_clear_and_start_again(lammps):
    folder = lammps.new_folder()
    text = lammps.write(folder, crystal(), *STATE)
    result = lammps.run(crystal(), *STATE, "clear", *text.replace("#snapshot end", "#snapshot again").splitlines(), folder=folder)
    assert_equal("energy", result.snapshots["again"]["energy"], result.snapshots["end"]["energy"], relative=1e-12)


# ---- minimize, rerun, box/relax -------------------------------------------------------------------------------------------------


def test_minimize_lowers_the_energy(lammps):
    atoms = crystal(rattle=0.05)
    result = lammps.run(atoms, *STATE, "minimize 0 1e-4 5 20", "run 0", "#snapshot low")
    start, low = result.snapshots["end"], result.snapshots["low"]
    assert low["energy"] < start["energy"] - 0.1
    assert "Stopping criterion" in result.log


def test_rerun_gives_the_fields_of_the_run(lammps):
    dump = ("dump t all custom 4 t.dump id type x y z", "dump_modify t sort id format float %.17g")
    ask = (*EVERY_STEP.splitlines()[:-1], "thermo 4")
    result = lammps.run(crystal((2, 1, 1)), HOT, *ask, *dump, "run 8", "rerun t.dump dump x y z")
    run, again = result.thermo
    assert again["Step"].tolist() == [0, 4, 8]
    for name in COLUMNS:
        assert_equal(name, again[name], run[name], relative=1e-9)


@RANKS
def test_box_relax_finds_zero_pressure(n, lammps):
    relax = ("fix b all box/relax iso 0 vmax 0.002", "minimize 0 1e-6 60 300", "run 0", "#snapshot low")
    result = lammps.run(crystal(rattle=0.05), *STATE, *relax, n=n)
    start, low = (abs(result.snapshots[k]["pressure"][:3].mean()) for k in ("end", "low"))
    assert low < 0.2 * start


def test_the_same_input_gives_the_same_bytes(lammps):
    more = (HOT, "compute a all uq/atom grade force_error energy_std", "dump d all custom 3 d.dump id x y z fx fy fz c_a[*]",
            "dump_modify d sort id format float %.17g", "run 9")  # fmt: skip
    first, second = (lammps.run(crystal((2, 1, 1)), *more).folder for _ in range(2))
    assert (first / "d.dump").read_bytes() == (second / "d.dump").read_bytes()


@RANKS
def test_an_element_without_training_atoms_is_infinitely_new(n, lammps, models):
    folder, file = lammps.new_folder(), modelfile.read(models.full)
    tensors = {name: array.copy() for name, array in file.tensors.items()}
    tensors["grade/radius"][file.header.elements.index("O")] = np.nan
    modelfile.write(folder / "m.uq", file.header, tensors)
    atoms = crystal()
    result = lammps.run(atoms, *STATE, n=n, folder=folder, model="m.uq")
    force_error, grade = result.snapshots["end"]["uq"][:, 3:].T
    oxygen = atoms.symbols == "O"
    assert np.isinf(grade[oxygen]).all() and np.isfinite(grade[~oxygen]).all()
    assert np.isinf(force_error).all(), "every atom of this cell has oxygen within two hops"
    assert result.log.count("no training atoms of O in this file") == 1
