# SPDX-License-Identifier: GPL-2.0-or-later
"""An exception of C++ on one rank, in every style: all ranks end with one message, also where Python owns the process."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from lammps_cases import HOT, crystal
from lammps_processes import execute

BETWEEN_RUNS = """
import ctypes, sys
from mpi4py import MPI
import lammps

program = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
program.file("in.run")
if MPI.COMM_WORLD.rank == {victim}:
    ctypes.CDLL(None).fail_next_new(ctypes.c_size_t(100))
program.extract_compute("{compute}", lammps.{style}, lammps.{kind})
print("GOES ON")
"""
IN_A_RUN = """
import ctypes, sys
from mpi4py import MPI
import lammps

def fail(caller, step, nlocal, tag, x, f):
    if step == 2 and MPI.COMM_WORLD.rank == {victim}:
        ctypes.CDLL(None).fail_next_new(ctypes.c_size_t(100))

program = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
program.file("in.run")
program.set_fix_external_callback("ext", fail, None)
program.command("run 6")
print("GOES ON")
"""
VICTIMS = pytest.mark.parametrize("victim", [0, 1])


@pytest.fixture(scope="module")
def preload(tmp_path_factory) -> str:
    library = tmp_path_factory.mktemp("preload") / "failing_new.so"
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    source = Path(__file__).parents[1] / "failing_new.cpp"
    subprocess.run([compiler, "-std=c++17", "-O1", "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


def assert_ends(folder, preload, program, who):
    (folder / "program.py").write_text(program)
    done = execute("python", "program.py", ranks=2, folder=folder, timeout=120, LD_PRELOAD=preload)
    # the other rank may get to the end of its own work, where it waits
    assert done.code != 0 and done.text.count("GOES ON") < 2, done.text[-2000:]
    errors = [line for line in done.text.splitlines() if "ERROR" in line]  # what the other rank prints may stand before it
    assert len(errors) == 1 and any(name in errors[0] for name in who) and "not enough memory" in errors[0], done.text[-2000:]


@VICTIMS
@pytest.mark.parametrize("compute", ["tot", "uq", "dear"])
def test_fields_between_runs(compute, victim, preload, lammps):
    folder = lammps.new_folder()
    fields = {"tot": "uq energy_std force_error_max", "uq": "uq/atom force_error grade", "dear": "uq/atom force_std_x force_std"}
    (folder / "in.run").write_text(lammps.write(folder, crystal((2, 2, 2)), HOT, f"compute {compute} all {fields[compute]}", "run 1"))
    style, kind = ("LMP_STYLE_GLOBAL", "LMP_TYPE_VECTOR") if compute == "tot" else ("LMP_STYLE_ATOM", "LMP_TYPE_ARRAY")
    program = BETWEEN_RUNS.format(victim=victim, compute=compute, style=style, kind=kind)
    assert_ends(folder, preload, program, ("Pair style mace/uq", "Compute uq"))


@VICTIMS
@pytest.mark.parametrize("style", ["pair", "uq/halt", "uq/select"])
def test_in_a_run(style, victim, preload, lammps):
    folder = lammps.new_folder()
    more = {
        "pair": (),
        "uq/halt": ("fix h all uq/halt 1 force_error > 1e9",),
        "uq/select": ("fix s all uq/select 1 grade 0 INF file frames.xyz",),
    }[style]
    script = lammps.write(folder, crystal(), HOT, "fix ext all external pf/callback 1 1", *more, "thermo 1000")
    (folder / "in.run").write_text(script)
    assert_ends(folder, preload, IN_A_RUN.format(victim=victim), ("Pair style mace/uq on step", "Fix uq/"))


@VICTIMS
@pytest.mark.parametrize("what", ["columns", "total", "average"])
def test_linear_potentials(what, victim, preload, lammps, average_potential):
    folder = lammps.new_folder()
    head = average_potential.head().replace("c_u[*]", "")
    if what == "average":
        head += average_potential.average() + "fix ext all external pf/callback 1 1\nthermo 1000\n"
        program = IN_A_RUN.format(victim=victim)
    else:
        head += "run 1\n"
        style, kind = ("LMP_STYLE_GLOBAL", "LMP_TYPE_VECTOR") if what == "total" else ("LMP_STYLE_ATOM", "LMP_TYPE_VECTOR")
        program = BETWEEN_RUNS.format(victim=victim, compute="u", style=style, kind=kind)
    (folder / "in.run").write_text(head)
    assert_ends(folder, preload, program, ("Compute uq/linear", "Fix uq/average"))
