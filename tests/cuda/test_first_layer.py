# SPDX-License-Identifier: GPL-2.0-or-later
"""The first layer on a device, by tables of its radial functions and by the functions that they have in common: both are the CPU's."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from backbone_checks import as_native, native_backbone
from emulated_device import machine
from tiny_models import density_model, o3, omol_model

from lmp_uq import modelfile
from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.errors import UqError

SWITCH = "LMP_UQ_FIRST_LAYER"
ELEMENTS = [1, 6, 8, 14, 32, 52]
SHORT, LONG = 0.1, 0.45  # of the cutoff: below where tables of these elements begin, above


@functools.cache
def model(name):
    changes = {"atomic_numbers": ELEMENTS, "pair_repulsion": False, "num_interactions": 1}
    if name == "nonlinear":
        return omol_model(**changes, max_ell=1, edge_irreps=None)
    if name == "density, wide":
        return density_model(**changes, hidden_irreps=o3.Irreps("34x0e"), max_ell=3)
    return density_model(**changes)


@functools.cache
def on_cpu(name):
    return as_native(model(name))


def some_graph(backbone, n_species, shortest, n=9, n_edges=90):
    """Edges between some atoms, a few beyond the cutoff; the last atom has none."""
    rng = np.random.default_rng(n_species)
    vectors = rng.normal(size=(n_edges, 3))
    vectors *= backbone.cutoff * rng.uniform(shortest, 1.05, (n_edges, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    species = np.concatenate([np.arange(n_species), rng.integers(0, n_species, n - n_species)])
    return Graph(species, n, np.sort(rng.integers(0, n - 1, n_edges)), rng.integers(0, n, n_edges), vectors)


def results(backbone, graph, n_sets=3):
    rng = np.random.default_rng(0)
    evaluation, rows = backbone.evaluate(graph), rng.normal(size=(n_sets, graph.n_local))
    sets = rng.normal(size=(n_sets, graph.n_local, backbone.n_features))
    return [evaluation.energies, evaluation.descriptors, backbone.pull(evaluation.state, rows, sets)]


def worst(found, expected):
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, expected, strict=True))


def same(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "n_species", "shortest", "cheaper"),
    [
        ("density", 1, LONG, "common"),
        ("density", 2, SHORT, "tables"),
        ("density", 4, SHORT, "tables"),
        ("density", 6, LONG, "tables"),
        ("density, wide", 4, SHORT, "common"),
        ("density, wide", 6, LONG, "common"),
        ("nonlinear", 2, SHORT, "tables"),
        ("nonlinear", 4, LONG, "tables"),
    ],
)
def test_both_ways_are_the_cpu(name, n_species, shortest, cheaper, monkeypatch):
    """Without a word the way that reads less is taken: the more elements, and the fewer channels and degrees, the rather tables."""
    graph = some_graph(on_cpu(name), n_species, shortest)
    expected, found = results(on_cpu(name), graph), {}
    for way in ("tables", "common", ""):
        monkeypatch.setenv(SWITCH, way)
        found[way] = results(as_native(model(name), engine="device"), graph)
        assert worst(found[way], expected) < 1e-10
    assert not same(found["tables"], found["common"])
    assert same(found[""], found[cheaper])
    monkeypatch.setenv(SWITCH, "common")
    assert 1e-9 < worst(results(as_native(model(name), "float32", engine="device"), graph), expected) < 1e-4


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_neither_chunks_nor_stacks_nor_other_elements_change_a_bit(precision, monkeypatch):
    monkeypatch.setenv(SWITCH, "common")
    graph = some_graph(on_cpu("density"), 4, SHORT)
    whole = as_native(model("density"), precision, engine="device")
    before = results(whole, graph)
    with machine(DEVICES=2, MEMORY_MB=1):  # a quarter of which has room for few atoms
        cut = as_native(model("density"), precision, device="cuda:1")
    with machine(DEVICES=2):
        assert same(results(cut, graph), before)
    state, sets = whole.evaluate(graph).state, np.random.default_rng(2).normal(size=(6, graph.n_local, whole.n_features))
    np.testing.assert_array_equal(whole.pull(state, None, sets), np.stack([whole.pull(state, None, one) for one in sets]))
    whole.evaluate(some_graph(whole, 6, LONG))
    assert same(results(whole, graph), before)


@pytest.mark.parametrize("tolerance", [1e-3, 6e-8, 1e-11])
def test_the_error_is_a_part_of_that_of_the_tables(tolerance, monkeypatch):
    """Of the embedded model, whose pairs need 20 to 45 functions: one block of lanes, some pairs one and some two, and all of them two."""
    monkeypatch.setenv(SWITCH, "common")
    file = modelfile.read(modelfile.resolve("nbmotaw"))
    entry = file.header.backbone.to_dict()["architecture"], file.section("backbone")
    tables = MaceNativeBackbone(*entry, precision="float64", table_tolerance=tolerance)
    graph = some_graph(tables, 4, 0.5, 5, 60)
    found = worst(results(native_backbone(*entry, engine="device", table_tolerance=tolerance), graph), results(tables, graph))
    assert 1e-5 * tolerance < found < 0.1 * tolerance


@pytest.mark.parametrize("way", ["tables", "common"])
def test_memory_that_was_short_leaves_nothing_half_made(way, monkeypatch):
    """Each attempt ends at another array."""
    monkeypatch.setenv(SWITCH, way)
    file, failures = modelfile.read(modelfile.resolve("nbmotaw")), []
    entry = file.header.backbone.to_dict()["architecture"], file.section("backbone")
    backbone, other = (native_backbone(*entry, engine="device", table_tolerance=1e-11) for _ in range(2))
    graph = some_graph(backbone, 2, 0.5, 5, 60)
    for size in range(1, 100):
        with machine(MEMORY_MB=size):
            try:
                found = results(backbone, graph)
                break
            except UqError as failure:
                failures.append(str(failure))
    assert len(set(failures)) > 2 and all("out of device memory" in text for text in failures)
    assert same(found, results(other, graph))


def test_another_word_is_refused(monkeypatch):
    monkeypatch.setenv(SWITCH, "table")
    with pytest.raises(UqError, match="LMP_UQ_FIRST_LAYER is 'table'; accepted: tables, common"):
        as_native(model("density"), engine="device")
