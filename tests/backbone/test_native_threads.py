# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads of the native engine: the numbers of one thread, and the same bits whenever the number of threads is the same."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from backbone_checks import native_backbone
from native_families import described

from lmp_uq.backbone.graph import Graph, graph_of_frames
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.errors import UqError

FAMILIES = ["density 0+1, three elements, 17 channels", "residual, three layers", "old, one layer", "nonlinear 0+1+2, three layers"]


def a_frame(backbone, n_atoms=40):
    from ase import Atoms

    rng = np.random.default_rng(3)
    side = 2.2 * backbone.cutoff
    return Atoms(rng.choice(backbone.elements, n_atoms), rng.uniform(0.0, side, (n_atoms, 3)), cell=[side] * 3, pbc=True)


def results(name, precision, threads):
    backbone = MaceNativeBackbone(*described(name), precision=precision, threads=threads)
    assert backbone.n_threads == threads
    graph, _ = graph_of_frames([a_frame(backbone)], backbone.elements, backbone.cutoff)
    weights = np.random.default_rng(0).normal(size=(6, graph.n_local, backbone.n_features))
    evaluation = backbone.evaluate(graph)
    gradients = backbone.pull(evaluation.state, np.ones(graph.n_local))
    return evaluation.energies, evaluation.descriptors, gradients, backbone.pull(evaluation.state, None, weights)


@pytest.mark.parametrize(("precision", "rounding"), [("float64", 1e-13), ("float32", 1e-5)])
@pytest.mark.parametrize("name", FAMILIES)
def test_threads_change_nothing_but_the_rounding_of_gradients(name, precision, rounding):
    one = results(name, precision, 1)
    for threads in (2, 3, 16):
        found = results(name, precision, threads)
        assert np.array_equal(found[0], one[0]) and np.array_equal(found[1], one[1])
        for mine, expected in zip(found[2:], one[2:], strict=True):
            np.testing.assert_allclose(mine, expected, rtol=0.0, atol=rounding * np.abs(expected).max())
        assert all(np.array_equal(a, b) for a, b in zip(found, results(name, precision, threads), strict=True))


@pytest.mark.parametrize("engine", ["native", "device"])
def test_more_threads_than_atoms_and_no_atoms(engine):
    backbone = native_backbone(*described(FAMILIES[0]), engine=engine, threads=4)
    graph = Graph(np.zeros(0, np.int64), 0, np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3)))
    evaluation = backbone.evaluate(graph)
    assert evaluation.energies.shape == (0,) and backbone.pull(evaluation.state, np.zeros(0)).shape == (0, 3)


def test_a_bad_edge_is_an_error_with_threads_too():
    backbone = MaceNativeBackbone(*described(FAMILIES[0]), precision="float64", threads=2)
    graph, _ = graph_of_frames([a_frame(backbone)], backbone.elements, backbone.cutoff)
    graph.vectors[3] = 0.0
    with pytest.raises(UqError, match="has length 0"):
        backbone.evaluate(graph)


def test_openmp_chooses_where_nobody_says(tmp_path):
    """In a process of its own, without torch, which has its own mind about OpenMP's threads."""
    code = (
        "from lmp_uq import modelfile; from lmp_uq.backbone.load import load_backbone; f = modelfile.read(modelfile.resolve('nbmotaw')); "
        "print(load_backbone(f.header.backbone.to_dict(), f.section('backbone'), engine='native').n_threads)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split()[-1:] == ["3"], done.stdout + done.stderr


@pytest.mark.parametrize(("engine", "sizes"), [("native", (40, 23)), ("device", (9, 5))])
def test_states_share_no_arrays_and_leave_theirs_to_the_next(engine, sizes):
    def backbone():
        return native_backbone(*described(FAMILIES[0]), engine=engine, threads=2)

    one = backbone()
    graphs = [graph_of_frames([a_frame(one, n)], one.elements, one.cutoff)[0] for n in sizes]
    expected = []
    for graph in graphs:
        fresh = backbone()
        evaluation = fresh.evaluate(graph)
        expected.append((evaluation.energies, fresh.pull(evaluation.state, np.ones(graph.n_local))))
    for _ in range(2):
        found = [one.evaluate(graph) for graph in graphs]  # both alive at once
        for mine, (energies, gradients), graph in zip(found, expected, graphs, strict=True):
            assert np.array_equal(mine.energies, energies)
            assert np.array_equal(one.pull(mine.state, np.ones(graph.n_local)), gradients)
        graphs.reverse()
        expected.reverse()
        del found, mine  # their arrays serve the next
