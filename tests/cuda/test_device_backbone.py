# SPDX-License-Identifier: GPL-2.0-or-later
"""A backbone on a device, here the emulated one: threads, states, and what ends a calculation."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from backbone_checks import as_native, check_at_once, make_frame, native_backbone, one_graph, shared_backbone
from emulated_device import machine, variables
from lammps_cases import crystal
from native_families import described
from tiny_models import density_model

from lmp_uq import UqCalculator
from lmp_uq.errors import UqError

TESTS = Path(__file__).parents[1]


def everything(backbone, graph, seed):
    """Energies, descriptors and gradients of stacked sums of both."""
    rng = np.random.default_rng(seed)
    rows, sets = rng.normal(size=(5, graph.n_local)), rng.normal(size=(5, graph.n_local, backbone.n_features))
    evaluation = backbone.evaluate(graph)
    return evaluation.energies, evaluation.descriptors, backbone.pull(evaluation.state, rows, sets)


def test_it_says_where_it_runs():
    backbone = shared_backbone("density", "device")
    assert (backbone.device, backbone.engine, backbone.instruction_set) == ("cuda:0", "native", "CUDA")
    with machine(DEVICES=2):
        assert as_native(density_model(), device="cuda", local_rank=3).device == "cuda:1"
        assert as_native(density_model(), device="auto").device == "cuda:0"
    with machine(DEVICES=0):
        assert as_native(density_model(), device="auto").device == "cpu"


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(
    "name",
    [
        "residual, three layers",
        "nonlinear, biased readout, two heads",
        "density 0",
        "density 0+1, three elements, 17 channels",
        "density 0+1+2, residual first",
    ],
)
def test_stacks_of_several_passes_have_the_bits_of_single_pulls(name, precision):
    """Passes of four, three and two sets; features to degree 0, 1 and 2."""
    backbone = native_backbone(*described(name), precision=precision, engine="device")
    graph, rng = one_graph(backbone, make_frame("small", backbone.elements)), np.random.default_rng(0)
    state, sets = backbone.evaluate(graph).state, rng.normal(size=(7, graph.n_local, backbone.n_features))
    single = np.stack([backbone.pull(state, None, one) for one in sets])
    for n in (7, 2):
        np.testing.assert_array_equal(backbone.pull(state, None, sets[:n]), single[:n])


@pytest.mark.parametrize("own", [False, True], ids=["one backbone", "a backbone each"])
def test_threads_that_call_at_once_get_the_bits_of_one(own):
    backbones = [as_native(density_model(), engine="device") for _ in range(1 + own)]
    graphs = [one_graph(backbones[0], make_frame(kind, backbones[0].elements)) for kind in ("triclinic", "small")]
    expected = [everything(backbones[0], graph, k) for k, graph in enumerate(graphs)]
    check_at_once(lambda k: everything(backbones[k * own], graphs[k], k), expected, times=4)


def test_a_state_outlives_its_backbone_and_later_evaluations():
    backbone = as_native(density_model(), engine="device")
    graph = one_graph(backbone, make_frame("triclinic", backbone.elements))
    state, ones = backbone.evaluate(graph).state, np.ones(graph.n_local)
    expected = backbone.pull(state, ones)
    backbone.evaluate(one_graph(backbone, make_frame("small", backbone.elements)))
    np.testing.assert_array_equal(backbone.pull(state, ones), expected)
    del backbone
    gc.collect()
    del state  # gives its memory back to a device whose engine is kept for it
    gc.collect()


def test_the_calculator_of_ase_runs_there(models):
    atoms, found = crystal(), []
    with machine():
        for device in ("cpu", "cuda"):
            atoms.calc = UqCalculator(models.full, device=device, engine="native", precision="float64")
            found.append((atoms.get_forces(), atoms.calc.results["energy_std"], atoms.calc.results["force_error"]))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(two, one, rtol=0.0, atol=1e-10 * np.abs(one).max())
    assert not np.array_equal(found[0][0], found[1][0]), "the CPU's bits: nothing ran elsewhere"


def test_positions_that_are_not_finite_leave_the_device_usable():
    backbone = shared_backbone("density", "device")
    graph = one_graph(backbone, make_frame("triclinic", backbone.elements))
    before = everything(backbone, graph, 0)
    vectors = graph.vectors.copy()
    vectors[5] = np.nan
    with pytest.raises(UqError, match=f"edge of atoms {graph.centres[5]} and {graph.neighbours[5]} has length nan"):
        backbone.evaluate(replace(graph, vectors=vectors))
    for found, expected in zip(everything(backbone, graph, 0), before, strict=True):
        np.testing.assert_array_equal(found, expected)


LOST = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from backbone_checks import as_native, make_frame, one_graph
from tiny_models import density_model
from lmp_uq.errors import UqError
backbone = as_native(density_model(), device="cuda")
graph = one_graph(backbone, make_frame("small", backbone.elements))
os.environ["LMP_UQ_EMULATION_MEMORY_MB"] = "0"
try:
    backbone.evaluate(graph)
except UqError as failure:
    print(failure)
del os.environ["LMP_UQ_EMULATION_MEMORY_MB"]
state = None
for _ in range(100):
    try:
        state = backbone.evaluate(graph).state
        backbone.pull(state, np.ones(2))
    except UqError as failure:
        print(failure)
"""


def test_a_device_too_small_and_then_a_device_that_is_lost():
    """The latter says so at every call, also while memory is given back; in a process of its own, since a device is not found again."""
    command = [sys.executable, "-c", LOST, TESTS]
    done = subprocess.run(command, env=os.environ | variables(LOST_AFTER=200), capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    small, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"out of device memory: no room for an array of \d+ MB, free are 0 MB of 0 MB", small)
    assert 10 < len(lines) < 100 and set(lines) == {"CUDA: unspecified launch failure"}
