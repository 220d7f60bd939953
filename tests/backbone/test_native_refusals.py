# SPDX-License-Identifier: GPL-2.0-or-later
"""What the native engine refuses, by name, and the awkward graphs that it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from backbone_checks import make_frame, one_graph, shared_backbone
from native_families import described
from tiny_models import residual_model

from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.load import load_backbone
from lmp_uq.backbone.mace.architecture import INTERACTIONS
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import pick_device
from lmp_uq.errors import UqError

NAME = "density 0"
NATIVE = ("native", "device")
"""Engines of `backbone_checks` that share these refusals."""
ATTENTION = "RealAgnosticAttResidualInteractionBlock"
REFUSED = [
    ("interaction_first", ATTENTION),
    ("interaction", ATTENTION),
    ("interaction", "RealAgnosticDensityInteractionBlock"),
    ("readout", "LinearReadoutBlock"),
    ("gate", "relu"),
    ("num_bessel", 0),
    ("hidden_irreps", "8x0e+4x1o"),
    ("hidden_irreps", "8x0e+8x1e"),
    ("hidden_irreps", "8x0e+8x1o+8x2e+8x3o"),
    ("MLP_irreps", "16x0e+16x1o"),
    ("edge_irreps", "4x0e"),
    ("num_interactions", 0),
    ("num_interactions", 101),
    ("correlation", [4, 4]),
    ("correlation", [3]),
    ("max_ell", 4),
    ("hidden_irreps", "4097x0e"),
    ("hidden_irreps", "4294967304x0e+4294967304x1o"),
    ("hidden_irreps", "+8x0e"),
    ("MLP_irreps", "99999999999999999999x0e"),
    ("atomic_numbers", [1] * 119),
    ("heads", ["low", "high"] * 501),
    ("radial_type", "fourier"),
    ("distance_transform", "Tanh"),
    ("use_so3", True),
    ("head", "other"),
    ("r_max", 0.0),
]


def attention_model():
    """What only torch runs."""
    return residual_model(num_interactions=2, interaction_cls=INTERACTIONS[ATTENTION])


@pytest.mark.parametrize(("key", "value"), REFUSED)
def test_features_that_are_not_built_are_refused_by_name(key, value):
    architecture, tensors = described(NAME)
    with pytest.raises(UqError, match=f"native engine: {key} .*accepted: "):
        MaceNativeBackbone(architecture | {key: value}, tensors, precision="float64")


@pytest.mark.parametrize("irreps", ["4x1o", "4x0e+4x1e", "4x0e+4x1o+4x2e", "4x1o+4x0e", "4097x0e"])
def test_other_features_of_edges(irreps):
    architecture, tensors = described("nonlinear, biased readout, two heads")
    with pytest.raises(UqError, match=r"native engine: edge_irreps is '.*'; accepted: 0e and degrees of hidden_irreps, as 128x0e"):
        MaceNativeBackbone(architecture | {"edge_irreps": irreps}, tensors, precision="float64")


def test_tensors_that_do_not_fit():
    architecture, tensors = described(NAME)

    def refused(changed, message):
        with pytest.raises(UqError, match=message):
            MaceNativeBackbone(architecture, changed, precision="float64")

    name = "interactions.1.linear.weight"
    without = {key: array for key, array in tensors.items() if key != name}
    refused(without, f"MACE tensors: {name} missing")
    refused(tensors | {name: tensors[name][1:]}, f"{name} has shape .*this architecture needs")
    refused(tensors | {name: tensors[name].astype(np.complex128)}, f"{name} is of type complex128")
    name = "products.0.symmetric_contractions.contractions.0.U_matrix_3"
    refused(tensors | {f"{name}.shape": tensors[f"{name}.shape"] * 2}, "coupling tensor of order 3 and degree 0 of layer 0")
    refused(tensors | {f"{name}.indices": tensors[f"{name}.indices"] - 10**6}, "index of a coupling tensor")
    with pytest.raises(UqError, match="precision is 'half'"):
        MaceNativeBackbone(architecture, tensors, precision="half")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0, 2.5, 1e300])
@pytest.mark.parametrize("name", ["radial_embedding.cutoff_fn.p", "pair_repulsion_fn.p"])
def test_powers_that_are_no_whole_numbers(name, value):
    architecture, tensors = described(NAME)
    assert name in tensors
    with pytest.raises(UqError, match=rf"MACE tensors: {name} is .*; accepted: a whole number from 1 to 1000"):
        MaceNativeBackbone(architecture, tensors | {name: np.array(value)}, precision="float64")


@pytest.mark.parametrize("value", [np.nan, -1.0, 2.5, 1e300])
def test_orders_that_are_no_whole_numbers(value):
    architecture, tensors = described("Chebyshev basis of distances")
    name = "radial_embedding.bessel_fn.n"
    with pytest.raises(UqError, match=rf"MACE tensors: {name} holds .*; accepted: whole numbers from 0 to 1000"):
        MaceNativeBackbone(architecture, tensors | {name: np.array([[1.0, value, 3.0]])}, precision="float64")


@pytest.mark.parametrize("key", ["tanh", "silu"])
def test_a_normalisation_that_is_missing(key):
    architecture, tensors = described("Soft transform, Gaussian basis, gate tanh")
    constants = {name: value for name, value in architecture["activation_constants"].items() if name != key}
    with pytest.raises(UqError, match=key):
        MaceNativeBackbone(architecture | {"activation_constants": constants}, tensors, precision="float64")


def test_one_gaussian_has_no_width():
    architecture, tensors = described("Soft transform, Gaussian basis, gate tanh")
    with pytest.raises(UqError, match="num_bessel is 1; accepted: 2 to 1000"):
        MaceNativeBackbone(architecture | {"num_bessel": 1}, tensors, precision="float64")


@pytest.mark.parametrize("vector", [[0.0, 0.0, 0.0], [1e-7, 0.0, 0.0], [np.nan, 1.0, 0.0], [np.inf, 0.0, 0.0]])
@pytest.mark.parametrize("engine", NATIVE)
def test_edges_without_a_direction_name_their_atoms(engine, vector):
    backbone = shared_backbone("density", engine)
    graph = one_graph(backbone, make_frame("triclinic", backbone.elements))
    vectors = graph.vectors.copy()
    vectors[5] = vector
    i, j = graph.centres[5], graph.neighbours[5]
    with pytest.raises(UqError, match=f"edge of atoms {i} and {j} has length .* accepted: finite and above"):
        backbone.evaluate(replace(graph, vectors=vectors))


@pytest.mark.parametrize("engine", NATIVE)
def test_edges_beyond_the_cutoff_change_nothing(engine):
    for name in ("density", "residual"):
        backbone = shared_backbone(name, engine)
        graph = one_graph(backbone, make_frame("triclinic", backbone.elements))
        long = np.array([[0.0, 0.0, backbone.cutoff], [4.0, 4.0, 4.0]])
        ends = (np.append(index, [0, 1]) for index in (graph.centres, graph.neighbours))
        longer = Graph(graph.species, graph.n_local, *ends, np.vstack([graph.vectors, long]))
        here, there = backbone.evaluate(graph), backbone.evaluate(longer)
        np.testing.assert_array_equal(there.energies, here.energies)
        ones = np.ones(graph.n_local)
        gradients = backbone.pull(there.state, ones)
        np.testing.assert_array_equal(gradients[:-2], backbone.pull(here.state, ones))
        assert not gradients[-2:].any()


@pytest.mark.parametrize("engine", NATIVE)
@pytest.mark.parametrize("name", ["density", "plain"])
def test_dimers_from_contact_to_the_cutoff(name, engine):
    """Distances below the radial tables, at their ends and beyond; with and without a repulsion."""
    torch_backbone, native = shared_backbone(name), shared_backbone(name, engine)
    for distance in (0.05, 0.2, 0.45, 0.499, 0.5, 0.6, 0.9, 1.7, native.cutoff - 1e-3, native.cutoff + 0.1):
        frame = Atoms([native.elements[0], native.elements[1]], positions=[[0, 0, 0], [0, 0.6 * distance, 0.8 * distance]])
        graph = one_graph(native, frame)
        found, expected = native.evaluate(graph), torch_backbone.evaluate(graph)
        np.testing.assert_allclose(found.energies, expected.energies, rtol=1e-9)
        np.testing.assert_allclose(found.descriptors, expected.descriptors, atol=1e-12 + 1e-9 * np.abs(expected.descriptors).max())
        one, two = (b.pull(e.state, np.ones(2)) for b, e in ((native, found), (torch_backbone, expected)))
        np.testing.assert_allclose(one, two, atol=1e-7 * max(1.0, np.abs(two).max(initial=0.0)))


@pytest.mark.parametrize("engine", NATIVE)
def test_weights_that_do_not_fit(engine):
    backbone = shared_backbone("density", engine)
    state = backbone.evaluate(one_graph(backbone, make_frame("small", backbone.elements))).state
    for energy, descriptor in ((np.ones(3), None), (np.ones((1, 1, 2)), None), (None, np.ones((2, 15))), (None, np.ones((1, 1, 2, 16)))):
        with pytest.raises(UqError, match="accepted: \\(2,"):
            backbone.pull(state, energy, descriptor)


@pytest.mark.parametrize("engine", NATIVE)
def test_an_exchange_that_fails_is_heard(engine):
    class Broken:
        def forward(self, rows):
            raise ZeroDivisionError("no ghosts today")

    backbone = shared_backbone("density", engine)
    graph = one_graph(backbone, make_frame("small", backbone.elements))
    with pytest.raises(ZeroDivisionError, match="no ghosts today"):
        backbone.evaluate(replace(graph, exchange=Broken()))


@pytest.mark.parametrize("engine", NATIVE)
def test_many_neighbours_and_long_stacks(engine):
    """An atom among 2000 others, and more cotangents than a kernel takes at once."""
    torch_backbone, native = shared_backbone("plain"), shared_backbone("plain", engine)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(2000, 3))
    vectors = directions / np.linalg.norm(directions, axis=1)[:, None] * rng.uniform(0.7, 2.9, (2000, 1))
    n, one = 6, np.ones(2000, dtype=np.int64)
    graph = Graph(
        rng.integers(0, 2, n), n, np.concatenate([k * one for k in range(n)]), rng.integers(0, n, 2000 * n), np.vstack([vectors] * n)
    )
    weights = rng.normal(size=(7, n, native.n_features))
    found, expected = (backbone.pull(backbone.evaluate(graph).state, np.ones(n), weights) for backbone in (native, torch_backbone))
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_load_backbone_chooses_the_engine(caplog):
    architecture, tensors = described(NAME)
    entry = {"family": "mace", "architecture": architecture}
    for engine, device, kind in (("torch", "cpu", "Torch"), ("native", "auto", "Native"), ("auto", "cpu", "Native")):
        assert kind in type(load_backbone(entry, tensors, device=device, engine=engine)).__name__
    assert "Native" in type(load_backbone(entry, tensors)).__name__, "auto, if nobody says"
    assert not caplog.messages
    with pytest.raises(UqError, match="engine is 'fast'; accepted: torch, native, auto"):
        load_backbone(entry, tensors, engine="fast")
    with pytest.raises(UqError, match="device is 'gpu'; accepted: cpu, cuda, cuda:N or auto"):
        load_backbone(entry, tensors, device="gpu", engine="native")


def test_auto_is_the_cpu_where_there_is_a_gpu(monkeypatch, caplog):
    """A GPU that torch sees and nobody asks for is left alone, by a model that only torch runs too."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    architecture, tensors = described(NAME)
    assert pick_device("auto", 0) == "cuda:0"
    assert load_backbone(architecture, tensors, device="auto", engine="auto").engine == "native"
    other = load_backbone(*describe_mace(attention_model()), device="auto", engine="auto")
    assert (other.engine, other.device) == ("torch", "cpu")
    with pytest.raises((AssertionError, RuntimeError), match=r"CUDA|cuda"):  # asked for: torch goes there
        load_backbone(architecture, tensors, device="cuda", engine="auto")


def test_auto_falls_back_to_torch_and_says_why(caplog):
    """A model with attention: torch runs it."""
    architecture, tensors = describe_mace(attention_model())
    with pytest.raises(UqError, match=f"native engine: interaction is '{ATTENTION}'; accepted: RealAgnosticResidual"):
        load_backbone(architecture, tensors, engine="native")
    assert "Torch" in type(load_backbone(architecture, tensors, engine="auto")).__name__
    assert f"interaction is '{ATTENTION}'" in caplog.text and "torch is used" in caplog.text
