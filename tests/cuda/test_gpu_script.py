# SPDX-License-Identifier: GPL-2.0-or-later
"""benchmarks/gpu.sh, which is meant for a GPU, on the emulated device: every line of it says ok, or that a program is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import emulated_device
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_dry_run(tmp_path):
    environment = os.environ | emulated_device.variables() | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    command = ["sh", ROOT / "benchmarks" / "gpu.sh", "--dry-run", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    log = (tmp_path / "log").read_text()
    assert done.returncode == 0 and log.endswith("; 0 lines failed\n"), log + done.stderr
    verdicts = [line.split(",")[0].split(":")[0] for line in log.splitlines() if line.startswith(("ok, ", "skipped: "))]
    assert len(verdicts) == log.count("\n== ") and verdicts.count("ok") >= 12, log
    for name, expected in (("check", "ok nbmotaw, float32"), ("kernels", "message_reverse,float64"), ("lammps-4-ranks", "| force_std |")):
        assert expected in (tmp_path / name).read_text()
