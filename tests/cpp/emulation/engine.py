# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs models on the device that LMP_UQ_CUDA_LIBRARY has, in both precisions, for a sanitizer to watch: python engine.py FILE..."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from posterior_example import write_model

from lmp_uq import modelfile
from lmp_uq._native import DeviceHead, NativePosterior
from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.calibration.variables import ForceVariables


def some_graph(backbone, n=3, n_edges=40):
    """Edges of some lengths between some atoms, some of them beyond the cutoff; the last atom has none."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n_edges, 3))
    vectors *= backbone.cutoff * rng.uniform(0.2, 1.1, (n_edges, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    centres, neighbours = np.sort(rng.integers(0, n, n_edges)), rng.integers(0, n, n_edges)
    return Graph(rng.integers(0, len(backbone.elements), n + 1), n + 1, centres, neighbours, vectors)


def run(path, precision):
    file = modelfile.read(path)
    architecture = file.header.backbone.to_dict()["architecture"]
    backbone = MaceNativeBackbone(architecture, file.section("backbone"), precision=precision, device="cuda", threads=1)
    graph, rng = some_graph(backbone), np.random.default_rng(1)
    state = backbone.evaluate(graph).state
    for n_sets in (1, 4):
        rows, sets = rng.normal(size=(n_sets, graph.n_local)), rng.normal(size=(n_sets, graph.n_local, backbone.n_features))
        gradients = backbone.pull(state, rows, sets)
        assert np.isfinite(gradients).all() and gradients.any()
    run_head(backbone, graph)


def run_head(backbone, graph):
    """Of random numbers: bars, grades, sums; descriptors that stayed."""
    with tempfile.TemporaryDirectory() as folder:
        posterior = NativePosterior(write_model(Path(folder) / "a.uq", bias="constant", n_descriptors=backbone.n_features), (0, 2))
    head, ones = DeviceHead(backbone._engine, posterior), np.ones(graph.n_local)
    _, _, state = backbone._engine.evaluate(graph, False, False)
    bars, means = head.energy_bars(state), head.neighbour_means(state, ones)
    errors = head.force_errors(ForceVariables.of(ones, ones, ones, None), 0.9)
    total = backbone._engine.descriptors(state).sum(axis=0)
    assert np.isfinite(bars).all() and np.array_equal(means, ones) and (errors > 0.0).all() and not np.isnan(head.grades(state)).any()
    assert np.allclose(head.feature_sum(state), total) and np.allclose(head.member_std(np.ones((5, 3, 3)))[1:], 1.0)


for path in map(Path, sys.argv[1:]):
    for precision in ("float64", "float32"):
        run(path, precision)
print(f"{len(sys.argv) - 1} models in two precisions")
