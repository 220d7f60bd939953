# SPDX-License-Identifier: GPL-2.0-or-later
"""What nvcc says of the kernels is no worse than tests/static_evidence.txt; the float32 kernels that loop over edges do not spill."""

from __future__ import annotations

import shutil

import pytest
import static_evidence
from static_evidence import Kernel

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None or shutil.which("ptxas") is None, reason="no nvcc")
HIGHEST = ", 3>"  # of the degrees of harmonics: the most registers


def of_chip(chip, files, folder, wanted):
    found = {}
    for file in files:
        kernels, _ = static_evidence.assemble(file, chip, folder, wanted)
        found |= {(chip, name): kernel for name, kernel in kernels.items()}
    return found


def wanted_always(name):
    return bool(static_evidence.HOT.match(name)) and (name.endswith(HIGHEST) or name.count(",") < 2)


@needs_nvcc
def test_hot_kernels_in_float32(tmp_path):
    found = of_chip("sm_90", static_evidence.HOT_FILES, tmp_path, wanted_always)
    kinds = {name.split("_kernel")[0] for _, name in found}
    both_ways = {f"{name}_{way}" for name in ("message", "first", "common", "product") for way in ("forward", "reverse")}
    assert kinds == both_ways | {"common_mix", "gemm", "gemm_tf32", "gather_sources", "message_reverse_stacked"}
    assert sum(name.startswith("message") for _, name in found) == 9  # three degrees of features, three kernels
    assert static_evidence.regressions(found, static_evidence.read_table()) == []


@needs_nvcc
@pytest.mark.long
@pytest.mark.parametrize("chip", static_evidence.CHIPS)
def test_all_kernels(chip, tmp_path):
    found = of_chip(chip, static_evidence.FILES, tmp_path, lambda name: True)
    assert set(found) == {row for row in static_evidence.read_table() if row[0] == chip}
    assert static_evidence.regressions(found, static_evidence.read_table()) == []


@needs_nvcc
def test_a_kernel_that_spills_is_seen(tmp_path, monkeypatch):
    (tmp_path / "csrc" / "mace" / "cuda").mkdir(parents=True)
    source = tmp_path / "csrc" / "mace" / "cuda" / "gemm.cu"
    source.write_text("""
        template <class T> __global__ void __launch_bounds__(1024, 2) gemm_kernel(T *x)
        {
          T v[64];
          for (int k = 0; k < 64; ++k) v[k] = x[k * 1024 + threadIdx.x];
          __syncthreads();
          for (int k = 0; k < 64; ++k) x[k * 1024 + threadIdx.x] = v[63 - k] * v[k];
        }
        template __global__ void gemm_kernel<float>(float *);
    """)
    monkeypatch.setattr(static_evidence, "ROOT", tmp_path)
    found = of_chip("sm_90", ["gemm"], tmp_path, lambda name: True)
    kernel = found["sm_90", "gemm_kernel<float>"]
    assert kernel.spills > 0
    assert f"gemm_kernel<float>, sm_90: {kernel.spills} bytes spilled" in static_evidence.regressions(found, {})


def test_what_is_worse_than_the_table_is_named():
    before = {("sm_90", "scatter_kernel"): Kernel(40, 0, 1024, 32)}
    assert static_evidence.regressions({("sm_90", "scatter_kernel"): Kernel(40, 0, 1024, 32)}, before) == []
    worse = static_evidence.regressions({("sm_90", "scatter_kernel"): Kernel(41, 8, 1024, 32)}, before)
    assert worse == [
        "scatter_kernel, sm_90: 41 registers, were 40",
        "scatter_kernel, sm_90: 8 bytes spilled, 1024 shared, were 0 and 1024",
    ]
    assert static_evidence.regressions({("sm_90", "copy_kernel"): Kernel(8, 0, 0, 64)}, before) == [
        "copy_kernel, sm_90: not in static_evidence.txt"
    ]


@pytest.mark.parametrize(
    ("chip", "threads", "registers", "shared", "warps"),
    [
        ("sm_90", 128, 128, 45056, 16),
        ("sm_90", 128, 127, 0, 16),
        ("sm_90", 128, 129, 0, 12),
        ("sm_80", 128, 40, 81920, 8),
        ("sm_90", 1024, 32, 0, 64),
    ],
)
def test_occupancy(chip, threads, registers, shared, warps):
    assert static_evidence.warps_per_processor(chip, threads, registers, shared) == warps
