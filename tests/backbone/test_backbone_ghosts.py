# SPDX-License-Identifier: GPL-2.0-or-later
"""Explicit ghosts, several ranks and ranks without atoms give what the folded graph gives."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from backbone_checks import ENGINES, MODELS, NONLINEAR, as_native, evaluated, make_frame, one_graph, shared_backbone
from tiny_models import density_model

from lmp_uq.backbone.graph import Graph
from lmp_uq.backbone.mace.architecture import default_dtype, o3


class Images:
    """Exchange of one rank: ghosts are images of its own atoms."""

    def __init__(self, owners: np.ndarray, n_local: int, times: int = 1) -> None:
        self.owners, self.n_local, self.times, self.calls = owners, n_local, times, []

    def forward(self, rows):
        self.calls.append(("forward", rows.width))
        rows.unpack(self.n_local, rows.pack(self.owners))

    def reverse(self, rows):
        self.calls.append(("reverse", rows.width))
        sent = rows.pack(np.arange(self.n_local, self.n_local + len(self.owners)))
        assert sent.dtype == np.float64 and sent.shape == (len(self.owners), rows.width)
        for _ in range(self.times):
            rows.add(self.owners, sent)


def with_ghosts(graph: Graph, frame: Atoms, local: np.ndarray):
    """Graph of the atoms `local`, with ghosts for others and images; also atom of each node, edges kept."""
    shifts = graph.vectors - frame.positions[graph.neighbours] + frame.positions[graph.centres]
    cells = np.rint(shifts @ np.linalg.inv(np.array(frame.cell))).astype(int)
    keep = np.flatnonzero(np.isin(graph.centres, local))
    index = {(int(atom), 0, 0, 0): k for k, atom in enumerate(local)}
    neighbours = [index.setdefault((int(graph.neighbours[e]), *map(int, cells[e])), len(index)) for e in keep]
    atoms = np.array([key[0] for key in index], dtype=np.int64)
    centres = np.array([index[(int(graph.centres[e]), 0, 0, 0)] for e in keep], dtype=np.int64)
    part = Graph(
        graph.species[atoms],
        len(local),
        centres,
        np.array(neighbours, dtype=np.int64),
        graph.vectors[keep],
    )
    return part, atoms, keep


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [*MODELS, *NONLINEAR])
def test_images_as_ghosts_equal_the_folded_graph(name, engine):
    backbone = shared_backbone(name, engine)
    frame = make_frame("triclinic", backbone.elements)
    graph = one_graph(backbone, frame)
    part, atoms, _ = with_ghosts(graph, frame, np.arange(len(frame)))
    exchange = Images(atoms[len(frame) :], len(frame))
    part = replace(part, exchange=exchange)
    folded, ghosted = backbone.evaluate(graph), backbone.evaluate(part)
    np.testing.assert_allclose(ghosted.energies, folded.energies, rtol=1e-12)
    scale = np.abs(folded.descriptors).max()
    np.testing.assert_allclose(ghosted.descriptors, folded.descriptors, atol=1e-12 * scale)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=folded.descriptors.shape)
    ones = np.ones(len(frame))
    one, two = backbone.pull(folded.state, ones, weights), backbone.pull(ghosted.state, ones, weights)
    np.testing.assert_allclose(two, one, atol=1e-12 * np.abs(one).max())
    tangents, segments = rng.normal(size=(2, len(graph.centres), 3)), np.zeros(len(frame), dtype=np.int64)
    one = backbone.push(folded.state, tangents, segments, 1)
    two = backbone.push(ghosted.state, tangents, segments, 1)
    np.testing.assert_allclose(two, one, atol=1e-12 * np.abs(one).max())
    n_exchanges = {"residual": 2, "nonlinear": 2}.get(name, 1)
    assert [call for call, _ in exchange.calls[: 2 * n_exchanges]] == ["forward"] * n_exchanges + [
        "reverse"
    ] * n_exchanges


@pytest.mark.parametrize(("engine", "block"), [("native", 16), ("device", 32)])
@pytest.mark.parametrize("channels", [8, 16, 24])
def test_rows_of_float32_features_are_half_as_wide_and_travel_as_bits(channels, engine, block):
    """Also channels that fill no whole block: ghosts and none give the same bits but for the order of sums."""
    backbone = as_native(density_model(hidden_irreps=o3.Irreps(f"{channels}x0e+{channels}x1o")), "float32", engine=engine)
    frame = make_frame("triclinic", backbone.elements)
    graph = one_graph(backbone, frame)
    part, atoms, _ = with_ghosts(graph, frame, np.arange(len(frame)))
    exchange = Images(atoms[len(frame) :], len(frame))
    folded, ghosted = backbone.evaluate(graph), backbone.evaluate(replace(part, exchange=exchange))
    np.testing.assert_array_equal(ghosted.energies, folded.energies)
    one, two = (backbone.pull(each.state, np.ones(len(frame))) for each in (folded, ghosted))
    np.testing.assert_allclose(two, one, atol=2e-6 * np.abs(one).max())
    assert {width for _, width in exchange.calls} == {4 * -(-channels // block) * block // 2}


@pytest.mark.parametrize("engine", ENGINES)
def test_planted_error_in_the_exchange_is_seen(engine):
    backbone = shared_backbone("residual", engine)
    frame = make_frame("triclinic", backbone.elements)
    graph = one_graph(backbone, frame)
    part, atoms, _ = with_ghosts(graph, frame, np.arange(len(frame)))
    folded = backbone.pull(backbone.evaluate(graph).state, np.ones(len(frame)))
    for times in (0, 2):
        wrong = replace(part, exchange=Images(atoms[len(frame) :], len(frame), times))
        gradients = backbone.pull(backbone.evaluate(wrong).state, np.ones(len(frame)))
        assert np.abs(gradients - folded).max() > 1e-6


class Ranks:
    """Exchange between threads that stand for the ranks of one frame; a missing call breaks the barrier."""

    def __init__(self, n_atoms: int, n_ranks: int) -> None:
        self.n_atoms, self.table, self.lock = n_atoms, None, threading.Lock()
        self.barrier = threading.Barrier(n_ranks, timeout=60)

    def rank(self, atoms: np.ndarray, n_local: int):
        return _Rank(self, atoms, n_local)


class _Rank:
    def __init__(self, ranks: Ranks, atoms: np.ndarray, n_local: int) -> None:
        self.ranks, self.atoms, self.n_local, self.calls = ranks, atoms, n_local, []

    def _gather(self, rows, nodes):
        if self.ranks.barrier.wait() == 0:
            self.ranks.table = np.zeros((self.ranks.n_atoms, rows.width))
        self.ranks.barrier.wait()
        with self.ranks.lock:
            np.add.at(self.ranks.table, self.atoms[nodes], rows.pack(nodes))
        self.ranks.barrier.wait()
        return self.ranks.table

    def forward(self, rows):
        self.calls.append(("forward", rows.width))
        table = self._gather(rows, np.arange(self.n_local))
        rows.unpack(self.n_local, table[self.atoms[self.n_local :]])

    def reverse(self, rows):
        self.calls.append(("reverse", rows.width))
        table = self._gather(rows, np.arange(self.n_local, len(self.atoms)))
        rows.add(np.arange(self.n_local), table[self.atoms[: self.n_local]])


def _run_rank(backbone, part, weights, results, number):
    with torch.autograd.set_multithreading_enabled(False):
        evaluation = backbone.evaluate(part)
        energy_only = backbone.pull(evaluation.state, np.ones(part.n_local))
        both = backbone.pull(evaluation.state, np.ones(part.n_local), weights)
    results[number] = evaluation, energy_only, both


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["density", "residual", *NONLINEAR])
def test_two_domains_and_an_empty_one_equal_the_whole(name, engine):
    backbone = shared_backbone(name, engine)
    frame = make_frame("triclinic", backbone.elements)
    graph = one_graph(backbone, frame)
    whole = backbone.evaluate(graph)
    weights = np.random.default_rng(4).normal(size=whole.descriptors.shape)
    shares = [np.array([0, 2, 5]), np.array([1, 3, 4, 6]), np.array([], dtype=np.int64)]
    ranks, results, parts = Ranks(len(frame), 3), {}, []
    for share in shares:
        part, atoms, keep = with_ghosts(graph, frame, share)
        parts.append((replace(part, exchange=ranks.rank(atoms, len(share))), keep))
    # an empty rank that nevertheless holds ghosts, as LAMMPS' ranks in vacuum do
    empty = Graph(graph.species[:2], 0, *[np.empty(0, np.int64)] * 2, np.empty((0, 3)))
    parts[2] = replace(empty, exchange=ranks.rank(np.array([0, 1]), 0)), parts[2][1]
    # calls on a device wait for one another: there each rank has a backbone of its own, as processes do
    backbones = [as_native((MODELS | NONLINEAR)[name](), engine=engine) for _ in shares] if engine == "device" else [backbone] * len(shares)
    with default_dtype(torch.float64):
        threads = [
            threading.Thread(target=_run_rank, args=(backbones[k], part, weights[share], results, k))
            for k, ((part, _), share) in enumerate(zip(parts, shares, strict=True))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    expected = [
        backbone.pull(whole.state, np.ones(len(frame))),
        backbone.pull(whole.state, np.ones(len(frame)), weights),
    ]
    for k, ((part, keep), share) in enumerate(zip(parts, shares, strict=True)):
        evaluation, *pulled = results[k]
        assert part.exchange.calls == parts[0][0].exchange.calls
        np.testing.assert_allclose(evaluation.energies, whole.energies[share], rtol=1e-12)
        np.testing.assert_allclose(evaluation.descriptors, whole.descriptors[share], atol=1e-12)
        for found, wanted in zip(pulled, expected, strict=True):
            np.testing.assert_allclose(found, wanted[keep], atol=1e-11 * np.abs(wanted).max())


@pytest.mark.parametrize("engine", ["native", "device"])
def test_images_as_ghosts_in_single_precision(engine):
    backbone = shared_backbone("options", engine, precision="float32")
    frame = make_frame("triclinic", backbone.elements)
    graph = one_graph(backbone, frame)
    part, atoms, _ = with_ghosts(graph, frame, np.arange(len(frame)))
    sets = np.random.default_rng(0).normal(size=(5, len(frame), backbone.n_features))
    pulls = []
    right, wrong = (replace(part, exchange=Images(atoms[len(frame) :], len(frame), times)) for times in (1, 2))
    for one in (graph, right, wrong):
        pulls.append(backbone.pull(backbone.evaluate(one).state, np.ones(len(frame)), sets))
    bound = 1e-5 * np.abs(pulls[0]).max()
    assert np.abs(pulls[1] - pulls[0]).max() < bound < 1e-3 * np.abs(pulls[2] - pulls[0]).max()


@pytest.mark.parametrize("n_local", [0, 1, 3])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MODELS)
def test_graph_without_edges(name, engine, n_local):
    backbone = shared_backbone(name, engine)
    species = np.arange(n_local, dtype=np.int64) % 2
    graph = Graph(species, n_local, *[np.empty(0, np.int64)] * 2, np.empty((0, 3)))
    exchange = Images(np.empty(0, np.int64), n_local)
    for each in (graph, replace(graph, exchange=exchange)):
        evaluation = backbone.evaluate(each)
        assert evaluation.energies.shape == (n_local,)
        assert evaluation.descriptors.shape == (n_local, backbone.n_features)
        weights = np.ones((2, n_local, backbone.n_features))
        assert backbone.pull(evaluation.state, np.ones(n_local), weights).shape == (2, 0, 3)
        rows = backbone.push(evaluation.state, np.zeros((1, 0, 3)), np.zeros(n_local, dtype=np.int64), 1)
        assert rows.shape == (1, 1, backbone.n_features) and not rows.any()
    assert {call for call, _ in exchange.calls} == {"forward", "reverse"}
    if n_local:
        alone = evaluated(backbone, Atoms([backbone.elements[0]], positions=[[0, 0, 0]]))[1]
        np.testing.assert_allclose(evaluation.energies[0], alone.energies[0], rtol=1e-12)
