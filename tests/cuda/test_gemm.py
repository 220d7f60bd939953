# SPDX-License-Identifier: GPL-2.0-or-later
"""Matrix products of a device (csrc/mace/cuda/gemm.cu), by ordinary arithmetic and on tensor cores, by themselves and in the engine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from backbone_checks import as_native, make_frame, one_graph
from tiny_models import density_model

from lmp_uq.errors import UqError

ROOT = Path(__file__).parents[2]
SWITCH = "LMP_UQ_CUDA_TF32"
PROGRAM = """
root=$PWD
. tests/cpp/emulation/build.sh
mkdir -p build/cpp/emulation
cd build/cpp/emulation
emulated "$root" plain check_gemm "$root/tests/cpp/check_gemm.cu" "$root/csrc/mace/cuda/gemm.cu"
./check_gemm
"""


def gradients(backbone):
    graph, rng = one_graph(backbone, make_frame("triclinic", backbone.elements)), np.random.default_rng(0)
    weights = rng.normal(size=(2, graph.n_local, backbone.n_features))
    return backbone.pull(backbone.evaluate(graph).state, np.ones((2, graph.n_local)), weights)


def on_device(precision):
    return as_native(density_model(), precision, engine="device")


def test_products_against_plain_loops_in_float64():
    """Three products of TF32 are as good as float32 and 100 times better than one."""
    done = subprocess.run(["sh", "-euc", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("\nok\n")


def test_gradients_by_tensor_cores_are_those_of_float32(monkeypatch):
    exact, plain = (gradients(on_device(precision)) for precision in ("float64", "float32"))
    monkeypatch.setenv(SWITCH, "yes")
    np.testing.assert_array_equal(gradients(on_device("float64")), exact)
    found = gradients(on_device("float32"))
    error, usual = np.abs(found - exact).max(), np.abs(plain - exact).max()
    assert not np.array_equal(found, plain)
    assert error < 3 * usual < 1e-4 * np.abs(exact).max()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_switch_without_meaning_is_an_error_when_the_model_is_loaded(precision, monkeypatch):
    monkeypatch.setenv(SWITCH, "maybe")
    with pytest.raises(UqError, match=f"^{SWITCH} is 'maybe'; accepted: yes, no$"):
        on_device(precision)
