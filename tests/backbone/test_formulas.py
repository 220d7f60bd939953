# SPDX-License-Identifier: GPL-2.0-or-later
"""Formulas of the native engine are the derivatives that they say they are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLANTED = [
    ("radial_basis.h", "first * value, (2.0 * scale", "first * value, (scale", "gaussian"),
    ("radial_basis.h", "2.0 * (2.0 * now.first + x", "2.0 * (now.first + x", "chebyshev"),
    ("pair_functions.h", "-2.0 * alpha * t * slope", "2.0 * alpha * t * slope", "soft"),
    ("activations.h", "return weight * (1.0 - v * v);", "return weight * (1.0 + v * v);", "activation"),
    ("readout.h", "factor * r.weights[k]", "factor", "gated_readout"),
]


def worst(folder, formulas):
    """Largest relative error of the derivatives of each formula."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or "g++"
    include = folder / "include"
    include.mkdir(parents=True)
    shutil.copytree(formulas, include / "formulas")
    program = folder / "check_formulas"
    subprocess.run([compiler, "-std=c++17", "-O1", "-I", include, ROOT / "tests/cpp/check_formulas.cpp", "-o", program], check=True)
    found = {}
    for line in subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines():
        name, *errors = line.split()
        found[name] = max(found.get(name, 0.0), *map(float, errors))
    return found


def test_derivatives_are_those_of_the_values(tmp_path):
    found = worst(tmp_path, ROOT / "csrc/formulas")
    assert {*found} >= {name for *_, name in PLANTED} and max(found.values()) < 1e-5, found


@pytest.mark.parametrize(("file", "right", "wrong", "name"), PLANTED)
def test_planted_errors_are_seen(tmp_path, file, right, wrong, name):
    shutil.copytree(ROOT / "csrc/formulas", tmp_path / "formulas")
    text = (tmp_path / "formulas" / file).read_text()
    assert text.count(right) == 1
    (tmp_path / "formulas" / file).write_text(text.replace(right, wrong))
    found = worst(tmp_path / "planted", tmp_path / "formulas")
    assert found[name] > 1e-2, found
