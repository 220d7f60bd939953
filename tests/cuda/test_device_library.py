# SPDX-License-Identifier: GPL-2.0-or-later
"""From the word `device` to a device (csrc/mace/device_library.h): what is said where there is none that can be used.

The library is compiled through the emulation, whose machine is what the environment says; where nvcc has built one, that too.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lmp_uq
from lmp_uq._native import choose_device, device_report
from lmp_uq.errors import UqError

PACKAGE = Path(lmp_uq.__file__).parent
REAL = PACKAGE / "liblmp_uq_cuda.so"
BUILT = pytest.mark.skipif(not REAL.exists(), reason="built without nvcc")


@pytest.fixture
def machine(emulated_library, monkeypatch):
    """Function: what the emulated machine has."""

    def put(**settings):
        monkeypatch.setenv("LMP_UQ_CUDA_LIBRARY", emulated_library)
        for name, value in settings.items():
            monkeypatch.setenv(f"LMP_UQ_EMULATION_{name}", str(value))

    return put


def library_of(source: str, path: Path) -> Path:
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=source, text=True, check=True)
    return path


def test_each_word_finds_its_device(machine):
    machine(DEVICES=2)
    assert choose_device("cpu", 1) == (None, "")
    assert [choose_device("cuda", rank)[0] for rank in range(4)] == [0, 1, 0, 1]
    assert choose_device("auto", 3) == (1, "")
    assert choose_device("cuda:0", 1) == (0, "")
    assert device_report() == [
        "CUDA kernels: for the emulation, sm_80 and newer; CUDA 13.0, driver for CUDA up to 13.0",
        "cuda:0: emulated device, sm_90, 8192 MB",
        "cuda:1: emulated device, sm_90, 8192 MB",
    ]


MACHINES = (
    ("cuda", {"DRIVER": 0}, "no NVIDIA driver (libcuda.so.1) on this machine"),
    ("cuda", {"DRIVER": 12040}, "the driver runs CUDA up to 12.4, this build needs 13.0"),
    ("cuda", {"DEVICES": 0}, "the NVIDIA driver finds no device"),
    ("cuda:3", {"DEVICES": 2}, "this machine has cuda:0 to cuda:1"),
    ("cuda:1", {"DEVICES": 1}, "this machine has one device, cuda:0"),
    ("cuda:1", {"DEVICES": 2, "CHIP": 70}, "emulated device is sm_70; this build has kernels for the emulation, sm_80 and newer"),
    ("cuda", {"LOST_AFTER": 0}, "CUDA: unspecified launch failure"),
    ("cuda", {"MEMORY_MB": 0}, "out of device memory: no room for an array of 1 MB, free are 0 MB of 0 MB"),
)


@pytest.mark.parametrize(("word", "settings", "text"), MACHINES)
def test_machine_without_a_device_that_can_be_used(machine, word, settings, text):
    machine(**settings)
    with pytest.raises(UqError) as failure:
        choose_device(word)
    assert str(failure.value) == f"device {word}: {text}"
    if word == "cuda":
        assert choose_device("auto") == (None, f"device auto: the CPU, because {text}")
    assert text in (line := device_report()[-1]) or ", sm_" in line


def test_hidden_devices_are_named(machine, monkeypatch):
    machine(DEVICES=0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(UqError, match=r"finds no device \(CUDA_VISIBLE_DEVICES is '7'\)"):
        choose_device("cuda")


@pytest.mark.parametrize("word", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cuda:1 ", "cuda:99999999999", "auto:1"])
def test_unknown_words(word):
    with pytest.raises(UqError) as failure:
        choose_device(word)
    assert str(failure.value) == f"device is '{word}'; accepted: cpu, cuda, cuda:N or auto"


def test_files_that_are_no_library_of_this_build(tmp_path, monkeypatch):
    text = tmp_path / "text.so"
    text.write_text("no library")
    files = {
        tmp_path / "none.so": "LMP_UQ_CUDA_LIBRARY is '{}', which is no file",
        text: "{} cannot be loaded: ",
        library_of("int f(void) { return 0; }", tmp_path / "other.so"): "{} is no CUDA library of lmp-uq: it has no lmp_uq_cuda_version",
        library_of("int lmp_uq_cuda_version(void) { return 999; }", tmp_path / "old.so"): "{} has interface 999, this build ",
    }
    for path, message in files.items():
        monkeypatch.setenv("LMP_UQ_CUDA_LIBRARY", str(path))
        with pytest.raises(UqError) as failure:
            choose_device("cuda:0")
        assert str(failure.value).startswith("device cuda:0: " + message.format(path))
        assert choose_device("auto")[0] is None


@pytest.fixture
def copied_package(tmp_path):
    """The package in another place, without a CUDA library; function of Python code: what it prints."""
    copy = tmp_path / "lmp_uq"
    copy.mkdir()
    for entry in PACKAGE.iterdir():
        if entry != REAL:
            (copy / entry.name).symlink_to(entry)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LMP_UQ_")} | {"PYTHONPATH": str(tmp_path)}

    def run(code):
        command = [sys.executable, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=True).stdout

    run.folder = copy
    return run


def test_library_lies_beside_the_plugin(copied_package, emulated_library):
    code = "from lmp_uq._native import choose_device as f; print(*f('auto'))"
    path = copied_package.folder / "liblmp_uq_cuda.so"
    reason = f"this build has no CUDA kernels ({path} is missing); rebuild with nvcc on PATH, see docs/build.md"
    assert copied_package(code) == f"None device auto: the CPU, because {reason}\n"
    path.symlink_to(emulated_library)
    assert copied_package(code) == "0 \n"


def test_env_says_it_in_comments(machine):
    machine(DEVICES=0)
    code = "from lmp_uq.cli import main; raise SystemExit(main(['env']))"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout
    assert text.splitlines()[-1] == "# CUDA: the NVIDIA driver finds no device"
    script = 'eval "$1"; echo "$LMP_UQ_PYTHON"'
    assert subprocess.run(["sh", "-c", script, "sh", text], capture_output=True, text=True, check=True).stdout.strip()


@BUILT
@pytest.mark.skipif(ctypes.util.find_library("cuda") is not None, reason="this machine has a driver")
def test_built_library_on_a_machine_without_a_driver(monkeypatch):
    monkeypatch.delenv("LMP_UQ_CUDA_LIBRARY", raising=False)
    with pytest.raises(UqError, match=r"^device cuda: no NVIDIA driver \(libcuda\.so\.1\) on this machine$"):
        choose_device("cuda")
    lines = device_report()
    assert lines[0].startswith("CUDA kernels: for sm_") and lines[1].startswith("CUDA: no NVIDIA driver")


@BUILT
@pytest.mark.skipif(shutil.which("nm") is None or shutil.which("ldd") is None, reason="no binutils")
def test_built_library_shows_its_two_functions_and_needs_no_cuda_library():
    names = subprocess.run(["nm", "-D", "--defined-only", REAL], capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[2] for line in names.splitlines()) == ["lmp_uq_cuda_interface", "lmp_uq_cuda_version"]
    needs = subprocess.run(["ldd", REAL], capture_output=True, text=True, check=True).stdout
    assert "cuda" not in needs.replace(str(REAL), "") and "not found" not in needs
