# SPDX-License-Identifier: GPL-2.0-or-later
"""Variables LMP_UQ_* of the environment with values that mean nothing: one error says what it is and what is accepted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import emulated_device
import pytest
from lammps_cases import crystal
from lammps_processes import BIN, environment

import lmp_uq

ROOT = Path(__file__).resolve().parents[2]
POSITIVE = "accepted: a number above 0"
NUMBERS = [("LMP_UQ_TABLES_MB", value, "native", POSITIVE) for value in ("many", "0", "inf", "3 GB")]
WORDS = [
    ("LMP_UQ_SHARED_TABLES", "off", "native", "accepted: yes, no"),
    ("LMP_UQ_SHARED_TABLES", "No", "torch", "accepted: yes, no"),
    ("LMP_UQ_SIMD", "mmx", "native", "accepted on this processor: generic"),
    ("LMP_UQ_CUDA_TF32", "1", "native device cuda", "accepted: yes, no"),
    ("LMP_UQ_FIRST_LAYER", "table", "native device cuda", "accepted: tables, common"),
]
OF_PYTHON = [
    ("LMP_UQ_LIBPYTHON", "/nowhere.so", "torch", r"accepted: the shared library of a Python \(.*No such file"),
    ("LMP_UQ_LIBPYTHON", "libm.so.6", "torch", "accepted: the shared library of a Python"),
    ("LMP_UQ_BRIDGE", "/nowhere.so", "torch", r"accepted: the compiled module lmp_uq._bridge \(.*No such file"),
    ("LMP_UQ_BRIDGE", "libm.so.6", "torch", "accepted: the compiled module lmp_uq._bridge"),
    ("LMP_UQ_PYTHON", "/nowhere", "torch", "accepted: the executable of a Python"),
]
CASES = [*NUMBERS, *WORDS, *OF_PYTHON]


@pytest.fixture(scope="module")
def run(lammps):
    def run(program, engine, **variables):
        """Code, text of two ranks with the variables, of `lmp-uq run` the second alone."""
        folder = lammps.new_folder()
        pair = f"pair_style mace/uq engine {engine}\npair_coeff * * {lammps.models.full} Si O"
        (folder / "in.run").write_text(lammps.write(folder, crystal(), "run 0", pair=pair))
        changed = [word for name, value in variables.items() for word in ("-env", name, value)]
        one = ["-n", "1", str(BIN / program[0]), *program[1:], "-in", "in.run", "-log", "none"]
        first = [*one[:2], *changed, *one[2:]] if program == ("lmp",) else one
        command = [str(BIN / "mpiexec"), *first, ":", *one[:2], *changed, *one[2:]]
        device = emulated_device.variables() if " device cuda" in engine else {}
        ended = subprocess.run(command, cwd=folder, env=environment(**device), capture_output=True, timeout=200)
        return ended.returncode, (ended.stdout + ended.stderr).decode(errors="backslashreplace")

    return run


def program_of(variable):
    """Python's own process has no use for the variables that find one."""
    return ("lmp",) if variable in lmp_uq.host_environment() else ("lmp-uq", "run")


@pytest.mark.parametrize(("variable", "value", "engine", "accepted"), CASES)
def test_a_value_that_means_nothing(variable, value, engine, accepted, run):
    if program_of(variable) == ("lmp",) and not lmp_uq.host_environment()["LMP_UQ_LIBPYTHON"]:
        pytest.skip("this Python has no shared library")
    code, text = run(program_of(variable), engine, **{variable: value})
    assert code != 0 and "Loop time" not in text, text
    found = re.findall(f"ERROR.*Pair style mace/uq: {variable} is '{re.escape(value)}'; {accepted}", text)
    assert len(found) == 1, text


def test_an_empty_value_is_none(run):
    named = {variable for variable, *_ in [*NUMBERS, *WORDS]}
    code, text = run(("lmp-uq", "run"), "native", **dict.fromkeys(named, ""))
    assert code == 0 and "one copy for 2 ranks of a node" in text, text


def test_every_variable_is_among_them():
    """And only one function asks the environment for them."""
    sources = {path: path.read_text() for path in (ROOT / "csrc").rglob("*.[ch]*") if path.parent.name != "emulation"}
    elsewhere = {"LMP_UQ_CUDA_LIBRARY"}  # tests/cuda/test_device_library.py
    named = {name for text in sources.values() for name in re.findall(r'"(LMP_UQ_[A-Z0-9_]+)"', text)}
    assert named - elsewhere == {variable for variable, *_ in CASES}
    asking = {path.stem for path, text in sources.items() if re.search(r"\bgetenv\(", text)}
    assert asking == {"devices", "environment", "launcher_check", "model_name"}  # the first asks for a variable of CUDA
