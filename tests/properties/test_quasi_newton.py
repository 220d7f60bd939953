# SPDX-License-Identifier: GPL-2.0-or-later
"""Quasi-Newton steps: exact in one step where the metric is, the limited form = the matrix, short steps, an end that is told."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lmp_uq.properties.minima.quasi_newton import DenseMetric, LimitedMetric, minimise

LIMITS = {"tolerance": 1e-12, "evaluations": 60, "longest": 10.0}


@pytest.fixture
def matrix():
    root = np.random.default_rng(0).normal(size=(6, 6))
    return root @ root.T + np.eye(6)


def bowl(matrix, centre):
    return lambda x: (0.5 * (x - centre) @ matrix @ (x - centre), matrix @ (x - centre))


def valley(x):
    """Rosenbrock's, whose minimum at (1, 1) no quadratic form knows."""
    energy = (1.0 - x[0]) ** 2 + 10.0 * (x[1] - x[0] ** 2) ** 2
    return energy, np.array([-2.0 * (1.0 - x[0]) - 40.0 * x[0] * (x[1] - x[0] ** 2), 20.0 * (x[1] - x[0] ** 2)])


def test_the_inverse_of_the_hessian_is_there_in_one_step(matrix):
    found = minimise(bowl(matrix, np.ones(6)), np.zeros(6), DenseMetric(np.linalg.inv(matrix)), **LIMITS)
    assert found.converged and found.n_evaluations == 2 and np.allclose(found.x, 1.0)


def test_what_is_left_and_the_last_step_are_those_of_the_metric(matrix):
    found = minimise(bowl(matrix, np.ones(6)), np.zeros(6), DenseMetric(np.linalg.inv(matrix)), **(LIMITS | {"evaluations": 1}))
    assert not found.converged and found.n_evaluations == 1
    assert found.left == pytest.approx(found.energy) and np.allclose(found.x + found.step, 1.0)


def test_the_limited_form_is_the_matrix(matrix):
    """The same steps from the same guess, so that also a product with the last metric is the same."""
    guess = np.diag(1.0 / np.diag(matrix))
    dense, limited = DenseMetric(guess), LimitedMetric(lambda gradient: guess @ gradient)
    ends = [minimise(bowl(matrix, np.ones(6)), np.zeros(6), metric, **LIMITS) for metric in (dense, limited)]
    probe = np.arange(6.0)
    assert ends[0].n_evaluations == ends[1].n_evaluations > 3 and np.allclose(ends[0].x, ends[1].x, atol=1e-9)
    assert np.allclose(dense.answer(probe), limited.answer(probe), rtol=1e-6)


@pytest.mark.parametrize("length", [np.linalg.norm, lambda step: np.abs(step).max()])
def test_steps_are_short_and_arrive(length):
    seen = []

    def watched(x):
        seen.append(x)
        return valley(x)

    limits = LIMITS | {"evaluations": 300, "longest": 0.2}
    found = minimise(watched, np.array([-1.0, 1.0]), DenseMetric(0.1 * np.eye(2)), length=length, **limits)
    assert found.converged and np.allclose(found.x, 1.0, atol=1e-5) and found.n_evaluations == len(seen)
    assert max(length(b - a) for a, b in pairwise(seen)) <= 0.2 * (1 + 1e-12)


def test_a_metric_that_leads_uphill_is_not_followed(matrix):
    found = minimise(bowl(matrix, np.ones(6)), np.zeros(6), LimitedMetric(lambda gradient: -gradient), **(LIMITS | {"evaluations": 400}))
    assert found.energy < bowl(matrix, np.ones(6))(np.zeros(6))[0]


def test_what_is_known_is_not_evaluated(matrix):
    function = bowl(matrix, np.ones(6))
    found = minimise(function, np.zeros(6), DenseMetric(np.linalg.inv(matrix)), first=function(np.zeros(6)), **LIMITS)
    assert found.converged and found.n_evaluations == 1
