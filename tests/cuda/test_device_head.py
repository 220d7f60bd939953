# SPDX-License-Identifier: GPL-2.0-or-later
"""The posterior head where the descriptors of a device lie, here of the emulated one: its numbers are the host head's on the same ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from backbone_checks import as_native, check_at_once, shared_backbone
from emulated_device import machine, noted
from model_example import some_force_error
from posterior_example import LEVELS, write_model
from tiny_models import density_model

from lmp_uq._native import DeviceHead, NativePosterior
from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.mace.architecture import o3
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError


def some_graph(backbone, n=21, n_edges=60, seed=0):
    """Edges between some of n atoms of two elements, in no order."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_edges, 3))
    vectors *= backbone.cutoff * rng.uniform(0.4, 0.95, (n_edges, 1)) / np.linalg.norm(vectors, axis=1, keepdims=True)
    centres, neighbours = np.sort(rng.integers(0, max(n, 1), n_edges)), rng.integers(0, max(n, 1), n_edges)
    return Graph(rng.integers(0, len(backbone.elements), n), n, centres, neighbours, vectors)


def heads(backbone, folder, graph, elements=(0, 1), change=None, bias="element", n_modes=13, n_members=40, **options):
    """Both heads of a file of random numbers, and an evaluation whose descriptors stayed on the device."""
    path = write_model(folder / "a.uq", bias=bias, n_modes=n_modes, n_members=n_members, n_descriptors=backbone.n_features, change=change)
    host = NativePosterior(path, elements, **options)
    energies, none, state = backbone._engine.evaluate(graph, False, False)
    assert none is None
    return SimpleNamespace(host=host, device=DeviceHead(backbone._engine, host), state=state, species=graph.species, energies=energies,
                           descriptors=backbone._engine.descriptors(state))  # fmt: skip


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected[np.isfinite(expected)]).max(initial=0.0))


def check(case):
    """Bars, grades and the sum of descriptors."""
    bars = case.host.energy_bars(case.descriptors, case.species, case.energies)
    for found, expected in zip(case.device.energy_bars(case.state), bars, strict=True):
        same(found, expected)
    same(case.device.grades(case.state), case.host.grades(case.descriptors, case.species))
    total, width = case.device.feature_sum(case.state), case.descriptors.shape[1]
    same(total, case.host.feature_sum(case.descriptors, case.species)[:width])


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("bias", ["none", "constant", "element"])
@pytest.mark.parametrize("name", ["density", "residual"])
def test_bars_grades_and_sums(name, bias, precision, tmp_path):
    backbone = shared_backbone(name, "device", precision=precision)
    case = heads(backbone, tmp_path, some_graph(backbone), bias=bias)
    assert backbone.n_features % 32
    check(case)
    infinite = np.isinf(case.device.grades(case.state))
    np.testing.assert_array_equal(infinite, case.species == 1)  # without training atoms
    assert infinite.any() and not infinite.all()
    np.testing.assert_array_equal(case.descriptors, backbone._engine.evaluate(some_graph(backbone), False)[1])


@pytest.mark.parametrize(("n_modes", "n_members"), [(1, 1), (2, 40), (31, 3), (800, 40)])
def test_any_number_of_modes_and_members(n_modes, n_members, tmp_path):
    """The last one: 640 have an extent, which a block takes in two passes."""
    backbone = shared_backbone("density", "device")
    check(heads(backbone, tmp_path, some_graph(backbone), n_modes=n_modes, n_members=n_members))


def test_more_descriptors_than_a_block_has_threads_for(tmp_path):
    """Two passes of 512 columns over the whitening, the second one in part."""
    backbone = as_native(density_model(hidden_irreps=o3.Irreps("300x0e"), max_ell=1, correlation=1), engine="device", precision="float32")
    assert backbone.n_features == 600
    check(heads(backbone, tmp_path, some_graph(backbone, n=9, n_edges=4), n_modes=5))


def without_extents(header, tensors):
    tensors["posterior/lower"] = tensors["posterior/upper"].copy()


def without_training_atoms(header, tensors):
    tensors["grade/radius"][:] = np.nan


@pytest.mark.parametrize("change", [without_extents, without_training_atoms])
def test_no_mode_has_an_extent_and_no_element_a_grade(change, tmp_path):
    backbone = shared_backbone("density", "device")
    case = heads(backbone, tmp_path, some_graph(backbone), change=change)
    check(case)
    assert change is without_extents or np.isinf(case.device.grades(case.state)).all()


@pytest.mark.parametrize("n", [0, 1, 8, 9])
def test_no_atoms_few_and_just_more_than_a_block(n, tmp_path):
    backbone = shared_backbone("density", "device")
    graph = some_graph(backbone, n=n, n_edges=4 * min(n, 2))
    check(heads(backbone, tmp_path, graph))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_sum_of_sums_of_rows(precision, tmp_path):
    """256 rows are one sum: here are two and a part."""
    backbone = shared_backbone("density", "device", precision=precision)
    check(heads(backbone, tmp_path, some_graph(backbone, n=600, n_edges=300)))


def test_means_over_neighbours(tmp_path):
    backbone = shared_backbone("density", "device")
    graph = some_graph(backbone, n=5, n_edges=330)  # more edges of a centre than a warp has lanes
    case, values = heads(backbone, tmp_path, graph), np.random.default_rng(3).exponential(size=5)
    sums, sizes = values.copy(), np.ones(5)
    np.add.at(sums, graph.centres, values[graph.neighbours])
    np.add.at(sizes, graph.centres, 1.0)
    same(case.device.neighbour_means(case.state, values), sums / sizes)
    values[2] = np.inf
    reached = np.zeros(5, bool)
    reached[graph.centres[graph.neighbours == 2]] = reached[2] = True
    np.testing.assert_array_equal(np.isinf(case.device.neighbour_means(case.state, values)), reached)


def today(header, tensors):
    header["calibration"]["force_error"] = some_force_error(0.4).to_dict()


@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize("change", [None, today], ids=["version 1", "version 2"])
def test_bars_of_force_errors_and_probabilities(change, conservative, tmp_path):
    backbone, rng, n = shared_backbone("density", "device"), np.random.default_rng(1), 200
    case = heads(backbone, tmp_path, some_graph(backbone), change=change, conservative=conservative)
    grade, neighbours = rng.exponential(size=n), rng.exponential(size=n)
    grade[::9], neighbours[::7] = np.inf, np.inf
    for correction in (rng.exponential(size=n), None):
        variables = ForceVariables.of(rng.exponential(size=n), grade, neighbours, correction)
        species, rows = np.zeros(n, int), np.zeros((n, backbone.n_features))
        for level in LEVELS:
            same(case.device.force_errors(variables, level), case.host.force_errors(rows, species, variables, level))
        for threshold in (0.0, 0.03, 0.3, 3.0) if change else ():
            same(case.device.errors_above(variables, threshold), case.host.errors_above(species, variables, threshold))
    nobody = ForceVariables.of(*np.zeros((3, 0)))
    assert case.device.force_errors(nobody, 0.9).shape == (0,)
    with pytest.raises(UqError, match=r"level 0.7 was not calibrated; accepted: 0.5, 0.9, 0.95"):
        case.device.force_errors(variables, 0.7)
    if not change:
        with pytest.raises(UqError, match=r"error_above: this file's force_error was calibrated before 0.2"):
            case.device.errors_above(variables, 0.1)


@pytest.mark.parametrize(("n", "n_members"), [(0, 3), (1, 1), (200, 7)])
def test_root_mean_squares_over_members(n, n_members, tmp_path):
    backbone, forces = shared_backbone("density", "device"), np.random.default_rng(n).normal(size=(n, n_members, 3))
    squares = (forces**2).mean(axis=1)
    std = heads(backbone, tmp_path, some_graph(backbone)).device.member_std(forces)
    same(std, np.sqrt(np.vstack([squares.sum(axis=1), squares.T])))


def test_descriptors_stay_where_they_are_until_asked_for(tmp_path):
    backbone, notes = shared_backbone("density", "device"), tmp_path / "notes"
    graph = some_graph(backbone)
    host = NativePosterior(write_model(tmp_path / "a.uq", n_descriptors=backbone.n_features), (0, 1))
    head, size = DeviceHead(backbone._engine, host), graph.n_local * backbone.n_features * 8
    with machine(NOTES=notes):
        _, _, state = backbone._engine.evaluate(graph, True, False)
        backbone.pull(state, np.ones(graph.n_local))
        numbers(SimpleNamespace(device=head, state=state, species=graph.species))
        before = noted(notes, "from")
        backbone._engine.descriptors(state)
        after = noted(notes, "from")
    assert size not in before and after == [*before, size]
    assert before.count(graph.n_local * 8) == 1 + 3 + 1 + 1  # energies, bars, grades, means; nothing else is of the atoms


def numbers(case):
    values = np.linspace(0.1, 2.0, len(case.species))
    return (*case.device.energy_bars(case.state), case.device.grades(case.state), case.device.feature_sum(case.state),
            case.device.neighbour_means(case.state, values))  # fmt: skip


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_same_bits_again_and_with_another_head(precision, tmp_path):
    """Blocks and threads of the emulated device run in an order that is drawn anew for each launch."""
    backbone = shared_backbone("residual", "device", precision=precision)
    graph = some_graph(backbone, n=300, n_edges=500)
    one, two = (heads(backbone, tmp_path, graph) for _ in range(2))
    for again in (one, two):
        for found, expected in zip(numbers(again), numbers(one), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_threads_that_call_at_once(tmp_path):
    backbone = shared_backbone("density", "device")
    graphs = [some_graph(backbone, n=n, seed=n) for n in (13, 40)]
    head = heads(backbone, tmp_path, graphs[0]).device
    states = [backbone._engine.evaluate(graph, False, False)[2] for graph in graphs]
    asked = [SimpleNamespace(device=head, state=state, species=graph.species) for graph, state in zip(graphs, states, strict=True)]
    expected = [numbers(case) for case in asked]
    check_at_once(lambda k: numbers(asked[k]), expected, times=60)


def test_a_state_without_derivatives_is_not_pulled_and_takes_none_from_another(tmp_path):
    backbone = shared_backbone("density", "device")
    graph = some_graph(backbone)
    kept = backbone.evaluate(graph)
    before = backbone.pull(kept.state, np.ones(graph.n_local))
    case = heads(backbone, tmp_path, graph)
    with pytest.raises(UqError, match="no derivatives were kept"):
        backbone.pull(case.state, np.ones(graph.n_local))
    check(case)
    del case
    np.testing.assert_array_equal(backbone.pull(kept.state, np.ones(graph.n_local)), before)
    np.testing.assert_array_equal(backbone.pull(backbone.evaluate(graph).state, np.ones(graph.n_local)), before)


def test_a_head_is_of_a_device_and_of_its_model(tmp_path):
    on_cpu, on_device = shared_backbone("density", "native"), shared_backbone("density", "device")
    other = write_model(tmp_path / "b.uq")
    with pytest.raises(UqError, match="posterior of 19 descriptors; the model has 16"):
        DeviceHead(on_device._engine, NativePosterior(other, (0, 1)))
    mine = NativePosterior(write_model(tmp_path / "c.uq", n_descriptors=16), (0, 1))
    with pytest.raises(UqError, match="the head of an engine on the CPU is NativePosterior"):
        DeviceHead(on_cpu._engine, mine)
    assert DeviceHead(on_device._engine, mine).n_bytes > 8 * 16 * (14 + 16)
