# SPDX-License-Identifier: GPL-2.0-or-later
"""Who asks for force members and when, what acts on them, and what is said where a file or an input cannot give them."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from force_members import changed
from lammps_cases import HOT, PLAIN, TORCH, assert_equal, columns_of, crystal, read_dump

from lmp_uq.calibration import ScaledError

RANKS = pytest.mark.parametrize("n", [1, 2])
EVERY_STEP = """compute g all uq force_std_max grade_max
thermo_style custom step temp pe press c_g[*]
thermo_modify format float %.17g
thermo 1"""


def warming():
    """A crystal at rest, whose bars grow as it heats up."""
    return crystal((2, 1, 1), rattle=0.02)


@pytest.fixture(scope="module")
def trajectory(lammps):
    """force_std_max of every step of a short hot run."""
    return lammps.run(warming(), HOT, EVERY_STEP, "run 9", pair=TORCH).thermo[0]["c_g[1]"]


# ---- when -----------------------------------------------------------------------------------------------------------------------


@RANKS
def test_fix_pair_keeps_its_last_values(n, lammps, trajectory):
    """fix pair N evaluates the field on its own steps only, with either flag, and carries it along with migrating atoms."""
    more = (
        HOT, "thermo_style custom step temp pe press",
        "fix p all pair 3 mace/uq force_std 0 force_std_x 1", "dump d all custom 1 d.dump id f_p[1] f_p[2]",
        "dump_modify d sort id format float %.17g", "run 9", "#snapshot end",
    )  # fmt: skip
    result = lammps.run(warming(), *more, n=n, pair=TORCH)
    frames = read_dump(result.folder / "d.dump")
    for step, rows in frames.items():
        assert_equal(f"step {step}", rows[:, 1].max(), trajectory[step - step % 3], relative=1e-9)
        assert np.array_equal(rows, frames[step - step % 3])
    assert np.all(frames[9][:, 1] > frames[9][:, 2])
    assert result.snapshots["end"]["asked"]["force_members"] == 8 * 4


def test_a_fix_pair_that_comes_between_two_runs_is_served(lammps, trajectory):
    more = (HOT, "thermo_style custom step temp pe press", "run 0", "fix p all pair 1 mace/uq force_std 0",
            "compute top all reduce max f_p", "thermo_style custom step temp pe press c_top", "run 0")  # fmt: skip
    assert_equal("force_std", lammps.run(warming(), *more).thermo[1]["c_top"][0], trajectory[0], relative=1e-4)


def test_one_pull_of_all_members_serves_everybody_of_a_step(lammps):
    more = (
        "compute a all uq/atom force_std force_std_y", "compute top all reduce max c_a[*]", "compute g all uq force_std_max stress_std",
        "compute c all uq/atom grade", "compute high all reduce max c_c",
        "thermo_style custom step temp pe press c_g[*] c_top[*] c_high", "thermo 5", "run 10", "#snapshot dear",
        "thermo_style custom step temp pe press c_high", "run 10", "#snapshot cheap",
    )  # fmt: skip
    states = lammps.run(crystal(), "fix move all nve", *more, pair=TORCH).snapshots
    assert states["dear"]["asked"]["force_members"] == 8 * 3, "steps 0, 5 and 10, once each"
    assert states["cheap"]["asked"]["force_members"] == 8 * 3, "computes that nobody reads cost nothing"


# ---- what acts on them ----------------------------------------------------------------------------------------------------------


@RANKS
def test_halt_and_fix_halt_stop_where_force_std_crosses(n, lammps, trajectory):
    step = next(k for k in range(3, len(trajectory)) if trajectory[k] > trajectory[:k].max())
    limit = float(trajectory[:step].max() + trajectory[step]) / 2
    own = (HOT, EVERY_STEP, f"fix h all uq/halt 1 force_std > {limit!r}", "run 9")
    found = re.search(r"run stops at step (\d+): force_std = (\S+) > \S+ \((.*)\) on atom", lammps.run(warming(), *own, n=n).log)
    assert found and int(found[1]) == step and found[3] == "eV/Angstrom"
    assert float(found[2]) == pytest.approx(trajectory[step], rel=1e-5)
    stock = (HOT, EVERY_STEP, "variable bad equal c_g[1]", f"fix h all halt 1 v_bad > {limit!r} error soft", "run 9", "print 'AT $(step)'")
    assert f"\nAT {step}\n" in lammps.run(warming(), *stock, n=n).log


@RANKS
def test_select_writes_force_bars_only_where_it_selects_by_them(n, lammps, trajectory):
    for field, has in (("force_std", True), ("grade", False)):
        result = lammps.run(warming(), HOT, EVERY_STEP, f"fix s all uq/select 4 {field} 0 INF file s.extxyz", "run 9", n=n)
        frames = ase.io.read(result.folder / "s.extxyz", ":")
        assert [frame.info["step"] for frame in frames] == [4, 8]
        for frame in frames:
            columns = columns_of(frame)
            assert ("force_std_z" in columns) == ("force_std" in columns) == has and "grade" in columns
            if has:
                assert_equal("force_std", columns["force_std"].max(), trajectory[frame.info["step"]], relative=1e-6)


def test_minimisation_and_restart(lammps):
    pair = TORCH.replace("engine torch", "engine torch force_members 5 quantile loglinear", 1)
    ask = ("compute uq all uq/atom force_std", "compute tot all uq stress_std", "compute top all reduce max c_uq",
           "thermo_style custom step temp pe press c_top c_tot[*]")  # fmt: skip
    before = (*ask, "minimize 0 1e-3 3 9", "run 0", "#snapshot a", "write_restart r.restart")
    after = ("clear", "read_restart r.restart", *ask, "run 0", "#snapshot b")
    states = lammps.run(crystal(), *before, *after, pair=pair).snapshots
    assert_equal("force_std", states["b"]["uq"], states["a"]["uq"], relative=1e-10)
    assert_equal("stress_std", states["b"]["tot"], states["a"]["tot"], relative=1e-10)
    assert states["b"]["asked"]["force_members"] % 5 == 0


# ---- calibrated -----------------------------------------------------------------------------------------------------------------


def test_calibrated_errors_are_factors_of_the_bars(lammps, models, tmp_path):
    factors = {"energy_error": ScaledError(1.5, 4.0).to_dict(), "stress_error": ScaledError(2.5, 3.5).to_dict()}
    file = changed(models.full, tmp_path / "calibrated.uq", calibration=factors)
    ask = ("compute tot all uq energy_std stress_std energy_error stress_error", "thermo_style custom step temp pe press c_tot[*]", "run 0",
           "#snapshot end")  # fmt: skip
    for keywords, name in (("", "factor"), ("conservative yes", "conservative_factor")):
        found = lammps.state(crystal(), *ask, model=file, pair=PLAIN.replace("mace/uq", f"mace/uq {keywords}", 1))["tot"]
        expected = np.concatenate([[factors["energy_error"][name] * found[0]], factors["stress_error"][name] * found[1:7]])
        assert_equal(name, found[7:], expected, relative=1e-14)
        assert found[:7].min() > 0.0


# ---- errors ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def without(tmp_path_factory, models):
    calibration = {"energy_error": None, "stress_error": None, "force_error": {"levels": [0.9]}}
    return changed(models.full, tmp_path_factory.mktemp("without") / "without.uq", force_members=None, calibration=calibration)


ASKING = {
    "compute a all uq/atom force_std": "Compute uq/atom: field force_std needs force members, which",
    "compute g all uq force_std_x_max": "Compute uq: field force_std_x needs force members, which",
    "compute g all uq stress_std": "Compute uq: field stress_std needs force members, which",
    "compute g all uq stress_error": "Compute uq: field stress_error needs force members and a calibration of stress_error, which",
    "compute g all uq energy_error": "Compute uq: field energy_error needs a calibration of energy_error, which",
    "compute g all uq force_error_50_max": "Compute uq: field force_error_50 needs a calibration of force_error at 50 %, which",
    "fix h all uq/halt 1 force_std > 1": "Fix uq/halt: field force_std needs force members, which",
    "fix s all uq/select 1 force_std 1 2 file f": "Fix uq/select: field force_std needs force members, which",
    "fix p all pair 1 mace/uq force_std 0": "fix pair: field force_std needs force members, which",
}


def test_fields_that_the_file_cannot_give_are_refused(lammps, without):
    wrong = [line for command, text in ASKING.items() for line in (f"#fails {text}", command)]
    lammps.run(crystal(), *wrong, "run 0", n=2, model=without)


REFUSED = {
    "force_members 33": "force_members 33 asked for, the file holds 32",
    "force_members 0": "force_members must be 1 or more, found 0",
    "force_members": "keyword force_members needs a value",
    "quantile best": "unknown quantile best (accepted: loglinear, learned)",
    "quantile learned": "full.uq holds no learned quantile",
}


@pytest.mark.parametrize("keywords", REFUSED)
def test_keywords_that_cannot_be_served_are_refused(keywords, lammps):
    assert REFUSED[keywords] in lammps.fails(crystal(), "run 0", n=2, pair=PLAIN.replace("mace/uq", f"mace/uq {keywords}", 1))


def test_misuse_of_compute_uq_is_refused(lammps, models, without):
    grouped = "Compute uq: the error bar of the total energy or stress needs group all"
    wrong = [line for item in ("stress_std", "members", "energy_std") for line in (f"#fails {grouped}", f"compute s some uq {item}")]
    more = (
        "group some id 1", *wrong, "#fails Unknown compute uq field stress", "compute s all uq stress",
        "compute g all uq members", "thermo_style custom step temp pe press c_g[*]", "run 0", f"pair_coeff * * {models.full} Si O",
        "run 0", "pair_style mace/uq members 3", f"pair_coeff * * {without} Si O",
        "#fails Compute uq g had 64 values, but with the members of the present model file 3: define it again", "run 0",
    )  # fmt: skip
    lammps.run(crystal(), *more, n=2)


def test_members_of_a_step_that_kept_no_derivatives_are_an_error(lammps):
    """A library program may ask for a compute that the run did not know."""
    more = ("thermo_style custom step temp pe press", "run 0", "compute uq all uq/atom force_std", "#snapshot late")
    text = lammps.fails(crystal(), *more)
    assert "force members were asked for on step 0, but nothing had asked for them when that run was set up" in text, text
