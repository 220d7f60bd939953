# SPDX-License-Identifier: GPL-2.0-or-later
"""CUDA on a CPU (csrc/mace/cuda/emulation): what a kernel may use gives what plain loops give, and faults that are planted are seen.

The builds with sanitizers are those of `tests/cpp/run.sh emulate-sanitize`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "cpp" / "emulation"


@pytest.mark.parametrize("build", ["plain", "swapcontext"])
def test_planted_faults_are_seen_and_nothing_else(build):
    done = subprocess.run(["sh", FOLDER / "faults.sh", build], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = len(re.findall('"plain", "', (FOLDER / "planted_faults.cu").read_text())) if build == "plain" else 0
    assert done.stdout == f"{build}: {expected} planted faults seen with five seeds\n"


def test_atomics_whose_order_is_open_do_not_compile(tmp_path):
    source = tmp_path / "kernel.cu"
    source.write_text('#include "mace/cuda/device.h"\n__global__ void sum(NUMBER *x) { atomicAdd(x, NUMBER(1)); }\n')
    for number, compiles in (("int", True), ("float", False), ("double", False)):
        command = ["g++", "-std=c++17", "-fsyntax-only", f"-DNUMBER={number}", f"-I{ROOT / 'csrc'}", "-x", "c++", source]
        done = subprocess.run(command, capture_output=True, text=True)
        assert (done.returncode == 0) == compiles and (compiles or "atomicAdd" in done.stderr), number


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
@pytest.mark.parametrize("source", sorted([*FOLDER.glob("*.cu"), FOLDER.parent / "check_gemm.cu"]), ids=lambda path: path.stem)
def test_the_same_files_compile_for_a_device(source, tmp_path):
    command = ["nvcc", "-std=c++17", "-arch=sm_90", f"-I{ROOT / 'csrc'}", "-Werror", "all-warnings", "-c", source, "-o", tmp_path / "out.o"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
