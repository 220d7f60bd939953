# SPDX-License-Identifier: GPL-2.0-or-later
"""Radial tables of the native engine: the functions to the tolerance at any distance, the same bits from any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from backbone_checks import native_backbone
from native_families import described

from lmp_uq.backbone.graph import Graph

FAMILIES = [
    "density 0+1, three elements, 17 channels",
    "transform without repulsion, envelope outside the basis, orders 1 and 3",
    "residual, three layers",
]
TOLERANCE = {"float64": 1e-9, "float32": 1e-6}


def dimers(backbone, distances):
    """A graph of pairs of atoms, all pairs of the model's first two elements in turn, each a distance apart along x."""
    n = len(distances)
    first = 2 * np.arange(n)
    species = np.stack([np.arange(n) % 2, np.arange(n) // 2 % 2], axis=1).ravel()
    vectors = np.zeros((n, 2, 3))
    vectors[:, :, 0] = np.stack([distances, -distances], axis=1)
    centres, neighbours = np.stack([first, first + 1], axis=1), np.stack([first + 1, first], axis=1)
    edges = (ends.ravel().astype(np.int64) for ends in (centres, neighbours))
    return Graph(species.astype(np.int64), 2 * n, *edges, vectors.reshape(-1, 3))


def evaluated(backbone, distances):
    """Energies and descriptors, and the derivatives of the energies along the dimers."""
    graph = dimers(backbone, distances)
    evaluation = backbone.evaluate(graph)
    return evaluation.energies, evaluation.descriptors, backbone.pull(evaluation.state, np.ones(graph.n_local))[:, 0]


def make(name, precision="float64", **options):
    return native_backbone(*described(name), precision, **options)


@pytest.mark.parametrize(("engine", "n"), [("native", 1997), ("device", 201)])
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("name", FAMILIES)
def test_tables_are_the_functions(name, precision, engine, n):
    exact = make(name, table_tolerance=0.0)
    tabulated, coarse = make(name, precision, engine=engine), make(name, precision, engine=engine, table_tolerance=1e-3)
    distances = np.linspace(0.35, 0.9999, n) * exact.cutoff
    wanted = evaluated(exact, distances)
    for found, limit in ((evaluated(tabulated, distances), TOLERANCE[precision]), (evaluated(coarse, distances), 1e-3)):
        errors = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(found, wanted, strict=True)]
        # columns of several layers multiply their errors; values are far better than derivatives but for the rounding of float32
        assert np.max(errors) < 20.0 * limit
    # the limit is one that a table can miss
    assert np.abs(evaluated(coarse, distances)[2] - wanted[2]).max() > 20.0 * TOLERANCE[precision] * np.abs(wanted[2]).max()


@pytest.mark.parametrize(("engine", "n"), [("native", 301), ("device", 41)])
@pytest.mark.parametrize("name", FAMILIES)
def test_derivatives_of_tables_are_those_of_their_values(name, engine, n):
    """Also where a tolerance of 1e-3 leaves wide intervals: energy is conserved whatever the tolerance."""
    backbone = make(name, engine=engine, table_tolerance=1e-3)
    distances, step = np.linspace(0.4, 0.99, n) * backbone.cutoff, 1e-5
    energies, _, slopes = evaluated(backbone, distances)
    later, earlier = (evaluated(backbone, distances + sign * step)[0] for sign in (1, -1))
    numerical = (later - earlier).reshape(-1, 2).sum(axis=1) / (2.0 * step)
    along = slopes[0::2] - slopes[1::2]  # both edges of a dimer grow with it
    np.testing.assert_allclose(along, numerical, rtol=0.0, atol=1e-7 * np.abs(along).max())
    assert np.abs(energies).max() > 0.0


@pytest.mark.parametrize("precision", TOLERANCE)
def test_threads_build_the_same_bits(precision):
    distances = np.linspace(0.4, 0.99, 401) * 3.0
    energies, descriptors, slopes = evaluated(make(FAMILIES[0], precision, threads=1), distances)
    for threads in (2, 3, 16):
        found = evaluated(make(FAMILIES[0], precision, threads=threads), distances)
        assert all(np.array_equal(a, b) for a, b in zip(found, (energies, descriptors, slopes), strict=True))
