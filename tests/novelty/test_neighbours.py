# SPDX-License-Identifier: GPL-2.0-or-later
"""The grade of the neighbours: its definition atom by atom, images, and how far it reaches."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.novelty.neighbours import neighbour_grade

CUTOFF = 4.5


def of_frame(atoms, grade, cutoff=CUTOFF):
    graph, _ = graph_of_frames([atoms], ["W"], cutoff)
    return neighbour_grade(grade, graph.centres, graph.neighbours), graph


def by_hand(grade, graph):
    """The stated sums, edge by edge."""
    mean = [g**4 for g in grade]
    for _ in range(2):
        sums, counts = list(mean), [1] * len(mean)
        for i, j in zip(graph.centres, graph.neighbours, strict=True):
            sums[i] += mean[j]
            counts[i] += 1
        mean = [s / n for s, n in zip(sums, counts, strict=True)]
    return np.array(mean) ** 0.25


@pytest.mark.parametrize("size", [1, 2, 3])
def test_it_is_the_stated_mean_and_an_image_counts_as_often_as_there_are_edges(size):
    atoms = bulk("W", "bcc", 3.185, cubic=True) * (size, 1, 1)
    atoms.positions += np.random.default_rng(0).normal(0, 0.1, atoms.positions.shape)
    grade = np.random.default_rng(1).lognormal(0, 1, len(atoms))
    found, graph = of_frame(atoms, grade)
    np.testing.assert_allclose(found, by_hand(grade, graph), rtol=1e-13)
    doubled, _ = of_frame(atoms * (2, 2, 1), np.tile(grade, 4))
    np.testing.assert_allclose(doubled, np.tile(found, 4), rtol=1e-12)


def test_equal_grades_are_their_own_mean():
    atoms = bulk("W", "bcc", 3.185, cubic=True) * 3
    np.testing.assert_allclose(of_frame(atoms, np.full(len(atoms), 0.7))[0], 0.7, rtol=1e-14)
    assert of_frame(Atoms("W"), np.array([2.5]))[0].tolist() == pytest.approx([2.5])


def test_it_reaches_two_hops_and_not_three():
    chain = Atoms("W5", positions=[[2.0 * k, 0, 0] for k in range(5)])
    for unknown in (np.inf, 1e3):
        found, _ = of_frame(chain, np.array([unknown, 0.1, 0.1, 0.1, 0.1]), cutoff=2.5)
        assert np.all(found[:3] > 100.0) and np.all(found[3:] == pytest.approx(0.1))
    assert np.isinf(of_frame(chain, np.array([np.inf, 0.1, 0.1, 0.1, 0.1]), cutoff=2.5)[0]).tolist() == [True] * 3 + [False] * 2


def test_a_grade_beyond_the_fourth_root_of_doubles_is_as_good_as_none():
    pair = Atoms("W2", positions=[[0, 0, 0], [2.0, 0, 0]])
    assert np.all(np.isinf(of_frame(pair, np.array([1e80, 0.1]), cutoff=2.5)[0]))
    assert np.all(np.isfinite(of_frame(pair, np.array([1e76, 0.1]), cutoff=2.5)[0]))
