# SPDX-License-Identifier: GPL-2.0-or-later
"""Formulas are written once, for the host and for a device compiler (csrc/formulas)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORMULAS = ROOT / "csrc" / "formulas"
CALLS = ROOT / "tests" / "cpp" / "formulas.cu"


def test_every_header_is_called_from_a_kernel():
    included = set(re.findall(r'#include "formulas/(\w+\.h)"', CALLS.read_text()))
    for header in FORMULAS.glob("*.h"):  # and what these include
        included |= set(re.findall(r'#include "formulas/(\w+\.h)"', header.read_text())) if header.name in included else set()
    assert included == {header.name for header in FORMULAS.glob("*.h")}


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
def test_formulas_compile_for_a_device(tmp_path):
    command = ["nvcc", "-std=c++17", "-arch=sm_80", "-I", ROOT / "csrc", "-Werror", "all-warnings", "-c", CALLS, "-o", tmp_path / "calls.o"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
