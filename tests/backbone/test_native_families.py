# SPDX-License-Identifier: GPL-2.0-or-later
"""The native engine gives what mace-torch gives: energies, descriptors of every layer, gradients."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from backbone_checks import assert_derivatives, make_frame, native_backbone, one_graph
from native_families import FAMILIES, described

from lmp_uq.backbone.mace.architecture import ATOMIC_ENERGIES
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone
from lmp_uq.errors import UqError


def results(backbone, graph, isolated, kinds=None):
    """Energies without those of isolated atoms, descriptors, gradients of energies and of stacked sums; kinds: only those."""
    rng = np.random.default_rng(0)
    weights, sets = rng.normal(size=graph.n_local), rng.normal(size=(6, graph.n_local, backbone.n_features))
    evaluation, rows = backbone.evaluate(graph), rng.normal(size=(6, graph.n_local))
    out = {"energies": evaluation.energies - isolated[graph.species], "descriptors": evaluation.descriptors}
    pulls = {
        "gradients of energies": (weights, None),
        "gradients of descriptors": (None, sets),
        "gradients of both": (weights, sets),
        "gradients of sets of both": (rows, sets),
        "gradients of sets of energies": (rows, sets[0]),
    }
    return out | {name: backbone.pull(evaluation.state, *pulls[name]) for name in pulls if kinds is None or name in kinds}


def worst(found, expected, n_layers):
    """Largest error over the largest entry, descriptors counted layer by layer."""
    errors = []
    for name, values in expected.items():
        parts = n_layers if name == "descriptors" else [values.shape[-1]]
        for one, two in zip(np.split(found[name], parts, axis=-1), np.split(values, parts, axis=-1), strict=True):
            if two.size == 0:
                continue
            assert np.abs(two).max() > 1e-6
            errors.append(np.abs(one - two).max() / np.abs(two).max())
    return np.max(errors)  # NaN is the largest


def native(name, head=None, **options):
    """Native backbone of a family; options of `native_backbone`."""
    return native_backbone(*described(name, head), **options)


@functools.cache
def reference(name):
    """What torch gives for a family on one frame: graph, number of layers, energies of isolated atoms, results."""
    architecture, tensors = described(name)
    backbone = MaceTorchBackbone(architecture, tensors, precision="float64")
    graph = one_graph(backbone, make_frame("triclinic", backbone.elements))
    isolated = tensors[ATOMIC_ENERGIES][architecture["heads"].index(architecture["head"])]
    return graph, architecture["num_interactions"], isolated, results(backbone, graph, isolated)


def error(name, backbone):
    """Worst error of a backbone against torch."""
    graph, n_layers, isolated, expected = reference(name)
    return worst(results(backbone, graph, isolated), expected, n_layers)


@pytest.mark.parametrize("name", FAMILIES)
def test_native_is_torch_and_forces_are_derivatives(name):
    assert error(name, native(name, table_tolerance=0.0)) < 1e-11
    # the default tables: derivatives to 1e-9 of the largest one, values far better
    backbone = native(name)
    assert error(name, backbone) < 1e-7
    assert_derivatives(backbone, make_frame("triclinic", backbone.elements))
    assert 1e-9 < error(name, native(name, precision="float32")) < 2e-4


def test_forces_that_are_no_derivatives_are_seen():
    backbone, rng = native("nonlinear 0+1+2, three layers"), np.random.default_rng(0)
    right = backbone.pull
    backbone.pull = lambda *arguments: right(*arguments) * (1.0 + 1e-5 * rng.normal(size=(1, 3)))
    with pytest.raises(AssertionError):
        assert_derivatives(backbone, make_frame("triclinic", backbone.elements))


FEW = ("energies", "descriptors", "gradients of energies", "gradients of sets of both")


@pytest.mark.parametrize("name", FAMILIES)
def test_the_device_is_the_cpu(name):
    """With the same tables, and without: one formula in other sums. Float32 is held against torch, as on the CPU."""
    graph, n_layers, isolated, exact = reference(name)
    for options in ({}, {"table_tolerance": 0.0}):
        found, expected = (results(native(name, engine=engine, **options), graph, isolated, FEW) for engine in ("device", "native"))
        assert worst(found, expected, n_layers) < 1e-10
    single = results(native(name, engine="device", precision="float32"), graph, isolated, FEW)
    assert 1e-9 < worst(single, {kind: exact[kind] for kind in FEW}, n_layers) < 2e-4


def test_bars_in_single_precision_of_a_nonlinear_model():
    """A state in float64 serves pulls in float32, with all that the gates need."""
    name = "nonlinear, biased readout, two heads"
    graph, _, isolated, expected = reference(name)
    found = results(native(name, single_precision_bars=True), graph, isolated)
    kinds = {"gradients of energies": (0.0, 1e-7), "gradients of both": (0.0, 1e-7), "gradients of descriptors": (1e-9, 2e-4)}
    for kind, (low, high) in kinds.items():
        assert low < np.abs(found[kind] - expected[kind]).max() / np.abs(expected[kind]).max() < high


def test_heads_differ():
    name = "two heads, last readout only"
    graph = reference(name)[0]
    low, high = (native(name, head).evaluate(graph).energies for head in ("low", "high"))
    assert np.abs(low - high).max() > 1e-3


def test_error_of_the_tables_falls_with_their_tolerance():
    errors = [error("density 0", native("density 0", table_tolerance=t)) for t in (1e-6, 1e-8, 1e-10, 1e-12)]
    assert all(later < earlier for earlier, later in itertools.pairwise(errors)) and errors[-1] < 1e-10


@pytest.mark.parametrize(
    "change", [{"gate": "None"}, {"gate": "abs"}, {"distance_transform": "None"}, {"r_max": 3.4}, {"tanh": 1.0}], ids=str
)
def test_every_option_counts(change):
    name = "Soft transform, Gaussian basis, gate tanh"
    architecture, tensors = described(name)
    constants = architecture["activation_constants"] | {"abs": 1.0} | {key: change[key] for key in change if key == "tanh"}
    wrong = architecture | {key: change[key] for key in change if key != "tanh"} | {"activation_constants": constants}
    # r_max is the width of the Gaussians too
    assert error(name, MaceNativeBackbone(wrong, tensors, precision="float64", table_tolerance=0.0)) > 1e-4


@pytest.mark.parametrize(
    "name", ["density 0", "residual, three layers", "nonlinear, biased readout, two heads", "Soft transform, Gaussian basis, gate tanh"]
)
def test_every_array_counts(name):
    """An error of one part in a thousand in any array is seen: the comparison above looks at all of them."""
    architecture, tensors = described(name)
    for key, array in tensors.items():
        # 3j tensors and the cutoff's other copies are not read
        if array.dtype.kind != "f" or "_w3j_" in key or key in ("r_max", "radial_embedding.bessel_fn.r_max"):
            continue
        wrong = tensors | {key: array * 1.001}
        assert error(name, MaceNativeBackbone(architecture, wrong, precision="float64", table_tolerance=0.0)) > 1e-9, key


@pytest.mark.parametrize("instructions", ["generic", "avx2"])
@pytest.mark.parametrize("name", ["density 0+1, three elements, 17 channels", "density 0+1+2, residual first"])
def test_narrower_vectors_give_the_same(monkeypatch, name, instructions):
    monkeypatch.setenv("LMP_UQ_SIMD", instructions)
    try:
        narrow = native(name)
    except UqError:
        pytest.skip(f"this processor has no {instructions}")
    assert narrow.instruction_set == instructions
    assert error(name, narrow) < 1e-7
    assert error(name, native(name, table_tolerance=0.0)) < 1e-11
    assert error(name, native(name, precision="float32")) < 2e-4


def test_instructions_that_are_not_there(monkeypatch):
    monkeypatch.setenv("LMP_UQ_SIMD", "mmx")
    with pytest.raises(UqError, match="LMP_UQ_SIMD is 'mmx'; accepted on this processor: generic"):
        native("old")
