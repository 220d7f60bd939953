# SPDX-License-Identifier: GPL-2.0-or-later
"""Identities of the MACE backbone: mace-torch's own calculator, finite differences, what is refused."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from backbone_checks import (
    ENGINES,
    FRAMES,
    MODELS,
    NONLINEAR,
    evaluated,
    forces_of,
    make_frame,
    one_graph,
    reference,
    shared_backbone,
    stress_of,
)
from tiny_models import MPA0_PARAMETERS, as_backbone, density_model, plain_model, random_mpa0, residual_model

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.load import load_backbone
from lmp_uq.backbone.mace.architecture import default_dtype
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone, pick_device
from lmp_uq.errors import UqError


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def density(engine):
    return shared_backbone("density", engine)


# eV/Angstrom: the native engine's tables may cost 1e-7, without them it is exact
WAYS = {"torch": ("torch", {}, 1e-8), "native": ("native", {}, 1e-7), "native without tables": ("native", {"table_tolerance": 0.0}, 1e-8)}


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("way", WAYS)
def test_energies_forces_and_stress_are_those_of_mace_torch(name, kind, way):
    engine, options, bound = WAYS[way]
    backbone = shared_backbone(name, engine, **options)
    frame = make_frame(kind, backbone.elements)
    energy, forces, stress = reference(MODELS[name](), frame)
    graph, evaluation, gradients = evaluated(backbone, frame)
    assert abs(energy - evaluation.energies.sum()) < 1e-9 * len(frame)
    assert np.abs(forces - forces_of(graph, gradients)).max() < bound
    assert np.abs(forces).max() > 1e-2
    if stress is not None:
        assert np.abs(stress - stress_of(graph, gradients, frame.get_volume())).max() < 1e-8


@pytest.mark.parametrize("error", [{"sign": -1.0}, {"factor": 2.0}])
def test_planted_error_in_forces_is_seen(error):
    backbone = shared_backbone("residual")
    frame = make_frame("triclinic", backbone.elements)
    _, forces, _ = reference(residual_model(), frame)
    graph, _, gradients = evaluated(backbone, frame)
    assert np.abs(forces - forces_of(graph, gradients, **error)).max() > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_batch_of_frames_equals_single_frames(name, engine):
    backbone = shared_backbone(name, engine)
    frames = [make_frame(kind, backbone.elements, seed) for seed, kind in enumerate(FRAMES)]
    graph, frame_of_atom = graph_of_frames(frames, backbone.elements, backbone.cutoff)
    evaluation = backbone.evaluate(graph)
    gradients = backbone.pull(evaluation.state, np.ones(graph.n_local))
    assert frame_of_atom.tolist() == [k for k, frame in enumerate(frames) for _ in range(len(frame))]
    single = [evaluated(backbone, frame) for frame in frames]
    np.testing.assert_allclose(
        evaluation.energies, np.concatenate([e.energies for _, e, _ in single]), atol=1e-11
    )
    descriptors = np.concatenate([e.descriptors for _, e, _ in single])
    np.testing.assert_allclose(evaluation.descriptors, descriptors, atol=1e-11)
    np.testing.assert_allclose(gradients, np.concatenate([g for _, _, g in single]), atol=1e-10)


@pytest.mark.parametrize("name", [*MODELS, *NONLINEAR])
def test_pull_is_the_finite_difference(name, engine):
    backbone = shared_backbone(name, engine)
    rng = np.random.default_rng(5)
    graph = one_graph(backbone, make_frame("triclinic", backbone.elements))
    evaluation = backbone.evaluate(graph)
    w = rng.normal(size=graph.n_local)
    big_w = rng.normal(size=evaluation.descriptors.shape)
    direction = rng.normal(size=graph.vectors.shape)

    def value(step):
        moved = backbone.evaluate(replace(graph, vectors=graph.vectors + step * direction), gradients=False)
        assert moved.state is None
        return np.array([w @ moved.energies, (big_w * moved.descriptors).sum()])

    h = 1e-4
    slopes = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    pulled = [backbone.pull(evaluation.state, w), backbone.pull(evaluation.state, None, big_w)]
    exact = np.array([(g * direction).sum() for g in pulled])
    assert np.abs(slopes - exact).max() < 1e-7 * np.abs(exact).max()
    np.testing.assert_allclose(backbone.pull(evaluation.state, w, big_w), sum(pulled), atol=1e-11)


def test_stacked_pull_equals_single_pulls(density):
    rng = np.random.default_rng(2)
    graph = one_graph(density, make_frame("triclinic", density.elements))
    state = density.evaluate(graph).state
    weights = rng.normal(size=(3, graph.n_local, density.n_features))
    w = rng.normal(size=graph.n_local)
    stacked = density.pull(state, w, weights)
    assert stacked.shape == (3, len(graph.centres), 3)
    np.testing.assert_array_equal(stacked, np.stack([density.pull(state, w, one) for one in weights]))
    rows = rng.normal(size=(3, graph.n_local))
    singles = [density.pull(state, *both) for both in zip(rows, weights, strict=True)]
    np.testing.assert_array_equal(density.pull(state, rows, weights), np.stack(singles))
    np.testing.assert_array_equal(density.pull(state, rows), np.stack([density.pull(state, row) for row in rows]))
    # linear in the weights
    total = density.pull(state, 3 * w, weights.sum(axis=0))
    np.testing.assert_allclose(stacked.sum(axis=0), total, atol=1e-10 * np.abs(total).max())
    assert density.pull(state, None, weights[:0]).shape == (0, len(graph.centres), 3)


def test_push_is_the_jacobian_by_pulls_and_the_finite_difference(engine):
    backbone = shared_backbone("residual", engine)
    rng = np.random.default_rng(3)
    frames = [make_frame(kind, backbone.elements) for kind in ("small", "cluster")]
    graph, segments = graph_of_frames(frames, backbone.elements, backbone.cutoff)
    tangents = rng.normal(size=(2, len(graph.centres), 3))
    evaluation = backbone.evaluate(graph)
    rows = backbone.push(evaluation.state, tangents, segments, 2)
    n_features = backbone.n_features
    assert rows.shape == (2, 2, n_features)
    unit = np.zeros((2 * n_features, graph.n_local, n_features))
    for k in range(2 * n_features):
        unit[k, segments == k // n_features, k % n_features] = 1.0
    jacobian = backbone.pull(evaluation.state, None, unit).reshape(2, n_features, -1)
    by_pulls = np.einsum("spe,ke->ksp", jacobian, tangents.reshape(2, -1))
    np.testing.assert_allclose(rows, by_pulls, atol=1e-12 * np.abs(rows).max())

    def sums(step):
        moved = backbone.evaluate(replace(graph, vectors=graph.vectors + step * tangents[0]), gradients=False)
        return np.stack([moved.descriptors[segments == s].sum(axis=0) for s in range(2)])

    h = 1e-4
    slopes = (8 * (sums(h) - sums(-h)) - (sums(2 * h) - sums(-2 * h))) / (12 * h)
    assert np.abs(slopes - rows[0]).max() < 1e-7 * np.abs(rows).max()
    for planted in (-rows[0], 2 * rows[0]):
        assert np.abs(slopes - planted).max() > 0.1 * np.abs(rows).max()


def test_descriptors_are_invariant_and_every_layer_counts(engine):
    for name in MODELS:
        backbone = shared_backbone(name, engine)
        frame = make_frame("triclinic", backbone.elements)
        graph = one_graph(backbone, frame)
        here = backbone.evaluate(graph, gradients=False)
        assert here.state is None
        turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
        for matrix in (turn, -turn):
            there = backbone.evaluate(replace(graph, vectors=graph.vectors @ matrix), gradients=False)
            np.testing.assert_allclose(here.descriptors, there.descriptors, atol=1e-10)
            np.testing.assert_allclose(here.energies, there.energies, atol=1e-10)
        layers = np.abs(here.descriptors).reshape(len(frame), {"residual": 3}.get(name, 2), -1)
        assert (layers.mean(axis=(0, 2)) > 1e-3).all()


def test_order_of_atoms_and_of_edges_does_not_matter(density):
    frame = make_frame("triclinic", density.elements)
    order = np.random.default_rng(1).permutation(len(frame))
    _, evaluation, _ = evaluated(density, frame)
    _, permuted, _ = evaluated(density, frame[order])
    np.testing.assert_allclose(permuted.energies, evaluation.energies[order], atol=1e-11)
    np.testing.assert_allclose(permuted.descriptors, evaluation.descriptors[order], atol=1e-11)
    swapped = frame.copy()
    swapped.numbers = np.where(frame.numbers == 8, 14, 8)
    assert np.abs(evaluated(density, swapped)[1].energies - evaluation.energies).min() > 1e-3


def test_no_frames_and_empty_frames(density):
    for frames in ([], [Atoms()], [Atoms(), make_frame("small", density.elements), Atoms()]):
        graph, frame_of_atom = graph_of_frames(frames, density.elements, density.cutoff)
        assert len(density.evaluate(graph).energies) == len(frame_of_atom) == sum(map(len, frames))


def test_edges_are_those_of_a_brute_force_search(density):
    for kind in FRAMES:
        frame = make_frame(kind, density.elements)
        graph = one_graph(density, frame)
        span = [range(-4, 5) if periodic else (0,) for periodic in frame.pbc]
        shifts = np.array([(a, b, c) for a in span[0] for b in span[1] for c in span[2]]) @ np.array(
            frame.cell
        )
        vectors = frame.positions[None, :, None] - frame.positions[:, None, None] + shifts
        lengths = np.linalg.norm(vectors, axis=-1)
        wanted = np.sort(lengths[(lengths < density.cutoff) & (lengths > 0)])
        np.testing.assert_allclose(np.sort(np.linalg.norm(graph.vectors, axis=1)), wanted, atol=1e-12)


def test_float32_is_close_and_keeps_energies_of_atoms_in_float64():
    model = density_model()
    frame = make_frame("triclinic", ("O", "Si"))
    exact = evaluated(shared_backbone("density"), frame)
    single = as_backbone(model, "float32")
    graph, rounded, gradients = evaluated(single, frame)
    assert rounded.energies.dtype == rounded.descriptors.dtype == gradients.dtype == np.float64
    assert 1e-9 < np.abs(rounded.energies - exact[1].energies).max() < 1e-3
    assert np.abs(gradients - exact[2]).max() < 1e-3 * np.abs(exact[2]).max()
    model.atomic_energies_fn.atomic_energies += 1e6 + 0.0123
    shifted = as_backbone(model, "float32").evaluate(graph).energies - rounded.energies
    np.testing.assert_allclose(shifted, 1e6 + 0.0123, rtol=0, atol=1e-8)


def test_global_state_of_torch_is_left_alone(capfd):
    torch.manual_seed(7)
    expected = torch.rand(3)
    for dtype, precision in ((torch.float32, "float64"), (torch.float64, "float32")):
        with default_dtype(dtype):
            torch.manual_seed(7)
            backbone = as_backbone(plain_model(), precision)
            evaluated(backbone, make_frame("small", backbone.elements))
            assert torch.get_default_dtype() == dtype and torch.is_grad_enabled()
            assert torch.equal(torch.rand(3, dtype=torch.float32), expected)
    assert capfd.readouterr().out == ""


def test_import_prints_nothing():
    code = "import lmp_uq.backbone.mace.convert"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_load_backbone_takes_the_headers_entry():
    model = plain_model()
    architecture, tensors = describe_mace(model)
    frame = make_frame("triclinic", ("H", "O"))
    expected = evaluated(shared_backbone("plain"), frame)[1]
    for entry in ({"family": "mace", "architecture": architecture}, architecture):
        loaded = load_backbone(entry, tensors, "float64", "auto", engine="torch")
        assert (loaded.elements, loaded.cutoff, loaded.precision) == (("H", "O"), 3.0, "float64")
        assert loaded.n_parameters == sum(p.numel() for p in model.parameters())
        np.testing.assert_array_equal(evaluated(loaded, frame)[1].energies, expected.energies)
    with pytest.raises(UqError, match="family 'ace'"):
        load_backbone({"family": "ace", "architecture": architecture}, tensors)
    with pytest.raises(UqError, match="precision is 'half'"):
        MaceTorchBackbone(architecture, tensors, precision="half")


HUGE = [
    ("hidden_irreps", "4097x0e+4097x1o"),
    ("hidden_irreps", "+".join(["8x0e"] * 300)),
    ("MLP_irreps", "99999999999x0e"),
    ("edge_irreps", "8x12e"),
    ("num_bessel", 10**9),
    ("max_ell", 10**12),
    ("radial_MLP", [10**6]),
    ("correlation", [3] * 1001),
    ("heads", ["a"] * 100_000),
    ("atomic_numbers", [8] * 100_000),
    ("r_max", 10**400),
]


@pytest.mark.parametrize(("key", "value"), HUGE, ids=range(len(HUGE)))
def test_counts_that_no_model_has_are_refused_before_it_is_made(key, value):
    architecture, tensors = describe_mace(plain_model())
    with pytest.raises(UqError, match=f"MACE architecture: {key} is ") as error:
        MaceTorchBackbone(architecture | {key: value}, tensors, precision="float64")
    assert len(str(error.value)) < 1000


def test_arrays_too_small_for_their_architecture():
    architecture, tensors = describe_mace(plain_model())
    for change in ({"hidden_irreps": "4096x0e"}, {"radial_MLP": [10_000, 10_000]}):
        with pytest.raises(UqError, match=r"MACE tensors: \d+ numbers; accepted: the \d+ or more that this architecture needs"):
            MaceTorchBackbone(architecture | change, tensors, precision="float64")
    name = next(name for name in tensors if name.endswith("U_matrix_2.shape"))
    for part in ("shape", "indices"):
        array = name.replace("shape", part)
        with pytest.raises(UqError, match=r"indices and shape of .* accepted: whole numbers"):
            MaceTorchBackbone(architecture, tensors | {array: np.full(tensors[array].shape, np.nan)}, precision="float64")


def test_devices():
    assert pick_device("cpu") == "cpu"
    with pytest.raises(UqError, match="accepted: cpu, cuda, cuda:N or auto"):
        pick_device("gpu")
    if not torch.cuda.is_available():
        assert pick_device("auto") == "cpu"
        with pytest.raises(UqError, match="sees no GPU"):
            pick_device("cuda:0")


def test_frames_that_cannot_be_used(density):
    good = make_frame("triclinic", density.elements)
    alien, broken, flat, twins = good.copy(), good.copy(), good.copy(), good.copy()
    alien.symbols[0] = "Fe"
    broken.positions[1, 1] = np.nan
    flat.cell[2] = 0.0
    twins.positions[1] = twins.positions[0]
    for frame, message in (
        (alien, "frame 1: element Fe is not in the model; it has: O Si"),
        (broken, "not a finite number"),
        (flat, "periodic along a cell vector that is zero"),
        (twins, "at the same place"),
    ):
        with pytest.raises(UqError, match=message):
            graph_of_frames([good, frame], density.elements, density.cutoff)


def test_graphs_and_weights_that_do_not_fit(density):
    graph = one_graph(density, make_frame("small", density.elements))
    state = density.evaluate(graph).state
    for bad in (
        replace(graph, species=graph.species + 2),
        replace(graph, species=np.append(graph.species, 0)),
        replace(graph, neighbours=graph.neighbours + 2),
        replace(graph, vectors=graph.vectors[:-1]),
    ):
        with pytest.raises(UqError, match="graph"):
            density.evaluate(bad)
    with pytest.raises(UqError, match="neither"):
        density.pull(state, None, None)
    with pytest.raises(UqError, match="accepted: \\(2,\\)"):
        density.pull(state, np.ones(3))
    with pytest.raises(UqError, match="accepted: \\(2, 16\\)"):
        density.pull(state, None, np.ones((2, 15)))
    with pytest.raises(UqError, match="3 sets of energy weights and 2 of descriptor weights"):
        density.pull(state, np.ones((3, 2)), np.ones((2, 2, 16)))
    tangents = np.zeros((1, len(graph.centres), 3))
    with pytest.raises(UqError, match="tangents"):
        density.push(state, tangents[:, 1:], np.zeros(2, np.int64), 1)
    with pytest.raises(UqError, match="segments"):
        density.push(state, tangents, np.array([0, 1]), 1)


@pytest.mark.long
def test_random_mpa0_has_the_size_of_mpa0():
    model = random_mpa0()
    assert sum(parameter.numel() for parameter in model.parameters()) == MPA0_PARAMETERS
    backbone = as_backbone(model)
    assert (backbone.n_features, backbone.n_parameters, len(backbone.elements)) == (256, MPA0_PARAMETERS, 89)
    frame = make_frame("triclinic", ("Si", "O"))
    energy, forces, _ = reference(model, frame)
    graph, evaluation, gradients = evaluated(backbone, frame)
    assert abs(energy - evaluation.energies.sum()) < 1e-9 * len(frame)
    assert np.abs(forces - forces_of(graph, gradients)).max() < 1e-8
