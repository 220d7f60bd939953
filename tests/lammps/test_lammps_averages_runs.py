# SPDX-License-Identifier: GPL-2.0-or-later
"""fix uq/average beside other commands: runs in parts, minimize, steps set back, rerun; inputs that change; what other fixes do to it."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from averages_example import blocks, error_of, jobs

DISGUISES = """
compute ea all pe/atom
compute er all reduce sum c_ea
compute sa all stress/atom NULL
compute sr all reduce sum c_sa[1] c_sa[5]
compute ga all stress/atom NULL virial
compute gr all reduce sum c_ga[1]
fix ft all ave/time 1 1 1 c_thermo_pe
"""
"""Of all values: the energy, components xx and xz of the pressure, one without its kinetic part, and the energy once more."""


@pytest.fixture(scope="module")
def potential(average_potential):
    return average_potential


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    yield from jobs(tmp_path_factory)


@pytest.fixture(scope="module")
def lammps(run):
    """Keeps this file in the group of those that keep ranks (conftest)."""
    return run


def log_of(result) -> str:
    return (result.folder / "log.lammps").read_text()


PARTS = {
    "two runs": "run 33\nrun 27",
    "parts": "run 60 every 7 NULL",
    "no setup": "run 33 post no\nrun 27 pre no",
    "minimize": "run 33\nminimize 0 1e-9 4 40\nrun 23",
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("n", [1, 2])
def test_a_run_in_parts_is_sampled_as_by_fix_ave_time(name, n, potential, run):
    """The same steps, each once; those of a minimization are none of a run."""
    ave = "fix t all ave/time 2 3 10 c_thermo_pe c_virial ave running file t.txt format ' %.16g'\n"
    lines = "c_thermo_pe c_virial v_now"
    script = f"{potential.head()}variable now equal step\n{potential.average(inputs=lines)}{ave if name != 'minimize' else ''}"
    result = run(script + PARTS[name], n)
    found = blocks(result.folder / "avg.txt")
    steps = np.array([s for s in range(1, 61) if s % 10 in (0, 6, 8) and not (name == "minimize" and 33 < s <= 37)])
    assert [int(summary[0]) for summary, _ in found] == [10, 20, 30, 40, 50, 60]
    assert [int(summary[2]) for summary, _ in found] == [(steps <= last).sum() for last in range(10, 61, 10)]
    assert found[-1][1][2, 0] == pytest.approx(steps.mean(), rel=1e-12)
    if name != "minimize":
        assert np.allclose([rows[:2, 0] for _, rows in found], np.loadtxt(result.folder / "t.txt")[:, 1:], rtol=1e-12)
    text = log_of(result)
    assert text.count("no thermostat is known") == 1 and text.count("the members' energies differ") == 1


def test_minimization_of_sampled_steps_is_left_out(potential, run):
    """A minimization over a window: its steps 36 to 44 would have been samples."""
    script = potential.head() + "variable now equal step\n" + potential.average(inputs="v_now")
    found = blocks(run(script + "run 35\nminimize 0 0 9 90\nrun 16").folder / "avg.txt")
    assert [int(summary[0]) for summary, _ in found] == [10, 20, 30, 50, 60]
    assert found[-1][1][0, 0] == pytest.approx(np.mean([6, 8, 10, 16, 18, 20, 26, 28, 30, 46, 48, 50, 56, 58, 60]))


def test_steps_set_back_after_a_restart(potential, run, tmp_path):
    """Samples go on, on the steps of the new count, and are added to those of before."""
    average = potential.average(inputs="c_thermo_pe c_virial")
    before = blocks(run(potential.head() + average + "run 40\nwrite_restart half.restart", folder_of_run=tmp_path).folder / "avg.txt")
    head = potential.head(start=False)
    after = blocks(run(head + "reset_timestep 0\n" + average + "run 20", folder_of_run=tmp_path).folder / "avg.txt")
    assert [int(summary[2]) for summary, _ in after] == [15, 18] and [int(summary[0]) for summary, _ in after] == [10, 20]
    straight = blocks(run(head + average + "run 20", folder_of_run=tmp_path).folder / "avg.txt")
    for (_, one), (_, two) in zip(after, straight, strict=True):
        assert np.allclose(one, two, rtol=1e-12) and not np.allclose(one, before[-1][1], rtol=1e-12)


def test_a_restart_takes_the_model_file_from_another_folder(potential, run, tmp_path):
    average = potential.average(inputs="c_thermo_pe")
    run(potential.head() + average + "run 20\nwrite_restart half.restart", folder_of_run=tmp_path)
    (tmp_path / "moved.uq").write_bytes(potential.path.read_bytes())
    head = potential.head(start=False).replace(str(potential.path), "moved.uq")
    found = blocks(run(head + average + "run 10", folder_of_run=tmp_path).folder / "avg.txt")
    assert [int(summary[2]) for summary, _ in found] == [9]


@pytest.mark.parametrize(
    ("at", "number", "error"),
    [
        (0, 1 << 40, f"is damaged: a text of {1 << 40} bytes"),
        (0, -1, "is damaged: a text of -1 bytes"),
        (8, 1 << 60, "is of another version"),
    ],
)
def test_damaged_restart_files(at, number, error, potential, run, tmp_path):
    """Lengths are looked at before there is memory for them."""
    average = potential.average(inputs="c_thermo_pe")
    run(potential.head() + average + "run 20\nwrite_restart half.restart", folder_of_run=tmp_path)
    content = bytearray((tmp_path / "half.restart").read_bytes())
    begin = content.index(str(potential.path).encode(), content.index(b"uq/average")) - 16
    struct.pack_into("q", content, begin + at, number)
    (tmp_path / "half.restart").write_bytes(content)
    assert error in error_of(run, potential.head(start=False) + average + "run 10", folder_of_run=tmp_path)


def test_frames_of_rerun_are_refused(potential, run, tmp_path):
    dump = "dump d all custom 2 d.lammpstrj id type x y z\nrun 20\nundump d\n"
    rerun = potential.average() + "rerun d.lammpstrj dump x y z"
    expected = "found steps that no run command makes, as those of rerun; accepted: run, and for frames of a dump lmp-uq reweight"
    assert expected in error_of(run, potential.head() + dump + rerun, folder_of_run=tmp_path)
    assert expected in error_of(run, potential.head() + rerun, 2, folder_of_run=tmp_path)


INPUTS = {
    "vector of chunks": ("compute r all reduce/chunk ch sum c_u", "c_r", "", "input c_r: its length is not fixed"),
    "one chunk": ("compute r all reduce/chunk ch sum c_u", "c_r[1]", "", "input c_r[1]: its length is not fixed"),
    "columns of chunks": ("compute r all com/chunk ch", "c_r[1]", "", "input c_r[1]: its length is not fixed"),
    "another style": ("variable w equal 1", "v_w", "variable w delete\nvariable w string x", "input v_w: the variable is of another style"),
    "gone": ("variable w equal 1", "v_w", "variable w delete", "input v_w: the variable is gone"),
    "of LAMMPS itself": ("thermo_style custom step", "v_gyration", "uncompute thermo_pe", "compute thermo_pe of LAMMPS itself is gone"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_that_change_are_refused(name, potential, run):
    before, word, after, text = INPUTS[name]
    chunks = "compute ch all chunk/atom bin/1d x lower 0.25 units reduced\n" if "chunk" in name else ""
    script = f"{potential.head()}{chunks}{before}\nrun 1\n{potential.average(inputs=word)}{after}\nrun 20"
    assert text in error_of(run, script)


def test_one_sample_has_no_covariance(potential, run):
    script = potential.head() + potential.average("2 1 10", "c_virial", "ave one")
    assert "ave one with Nrepeat 1: averages of one sample have no covariance; accepted: 2 or more" in error_of(run, script)


@pytest.mark.parametrize("formula", ["exp(1000)", "-3"])
def test_temperatures_that_are_none(formula, potential, run):
    script = potential.head() + f"variable t equal {formula}\nfix a all uq/average 2 3 10 c_virial uq u temp v_t\nrun 10"
    assert "K; accepted: above 0" in error_of(run, script, 2)


def test_energies_and_pressures_in_disguise_are_seen(potential, run):
    script = potential.head() + DISGUISES + potential.average("1 20 20", "c_er c_sr[*] c_gr f_ft c_thermo_press[1] c_gyration") + "run 40"
    lines = [line.split("input ")[1] for line in log_of(run(script)).splitlines() if "follows" in line]
    found = [(line.split(" in all")[0], line.split("accepted: ")[1].split(",")[0]) for line in lines]
    assert found == [
        ("c_er 0 follows the potential energy", "c_thermo_pe"),
        ("c_sr[1] 0 follows the pressure", "c_thermo_press[1]"),
        ("c_sr[2] 0 follows the pressure", "c_thermo_press[5]"),
        ("f_ft 0 follows the potential energy", "c_thermo_pe"),
    ]


FIXES = {
    "temp/berendsen": ("fix o all temp/berendsen 600 600 0.1", "(temp/berendsen) keeps the temperature without the fluctuations"),
    "temp/csvr": ("fix o all temp/csvr 600 600 0.1 17", None),
    "press/langevin": ("fix o all press/langevin iso 0 0 1.0 temp 600 600 17", "nothing of first order"),
}


@pytest.mark.parametrize("name", FIXES)
def test_what_fixes_do_to_the_ensemble_is_said(name, potential, run):
    command, note = FIXES[name]
    result = run(f"{potential.head()}{command}\n{potential.average('1 10 10', 'c_virial')}run 10")
    notes = [line for line in (result.folder / "avg.txt").read_text().splitlines() if line.startswith("# note: fix o")]
    assert len(notes) == (note is not None) and all(note in line for line in notes)
    assert ("no thermostat is known" in log_of(result)) == (name == "press/langevin")
