# SPDX-License-Identifier: GPL-2.0-or-later
"""Baselines against their definitions, by brute force where that is possible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lmp_uq.baselines.distances import fit_d_optimality, maxvol, neighbour_distance
from lmp_uq.baselines.rows import bagging, ensemble_bars, fit_ridge, fit_row_baselines, llpr_scale, variance_scale
from lmp_uq.errors import UqError
from lmp_uq.posterior.pops.estimator import POPS


def rows(n=200, n_features=4, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, n_features)) * np.geomspace(0.1, 10.0, n_features)
    return X, X @ np.arange(1.0, n_features + 1.0) + noise * rng.normal(size=n), rng.uniform(0.2, 2.0, n)


# --- ridge and LLPR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 1e-2, 1.0])
def test_the_ridge_is_the_middle_of_pops(ridge):
    X, y, weight = rows()
    found = fit_ridge(X, y, weight, ridge)
    pops = POPS(ridge=ridge).fit(X, y, weight)
    np.testing.assert_allclose(found.coefficients, pops.coef_, rtol=1e-9)
    normalised = weight * len(X) / weight.sum()
    np.testing.assert_allclose(normalised * found.leverage(X), pops.leverage_, rtol=1e-9)


def test_llpr_is_its_matrix_formula():
    X, y, weight = rows()
    found = fit_ridge(X, y, weight, 1e-2)
    w = weight * len(X) / weight.sum()
    scale = np.sqrt(np.sum(w[:, None] * X**2, axis=0) / len(X))
    # the ridge is relative to the mean eigenvalue n of the normal matrix of scaled columns
    C = X.T @ (w[:, None] * X) + np.diag(1e-2 * len(X) * scale**2)
    h = np.einsum("ij,jk,ik->i", X, np.linalg.inv(C), X)
    np.testing.assert_allclose(found.leverage(X), h, rtol=1e-9)
    assert llpr_scale(h, y) == pytest.approx(np.sqrt(np.mean(y**2 / h)))
    # the scale of largest Gaussian likelihood: both neighbours are worse
    best = llpr_scale(h, y)
    loss = [np.mean(0.5 * y**2 / (a**2 * h) + np.log(a)) for a in (0.98 * best, best, 1.02 * best)]
    assert loss[1] < min(loss[0], loss[2])


def test_llpr_leaves_out_rows_without_leverage():
    assert llpr_scale(np.array([0.0, 4.0]), np.array([9.0, 6.0])) == 3.0
    assert np.isnan(llpr_scale(np.zeros(2), np.ones(2)))


def test_a_ridge_without_rows_is_refused():
    X, y, weight = rows()
    for bad in (weight * 0.0, -weight):
        with pytest.raises(UqError, match="weights must be >= 0"):
            fit_ridge(X, y, bad, 0.1)
    with pytest.raises(UqError, match="shape"):
        fit_ridge(X, y[:3], weight, 0.1)


# --- bagging ----------------------------------------------------------------------------------------------


def test_variance_of_bagging_is_that_of_the_linear_model():
    X, y, _ = rows(n=400, n_features=3, noise=0.5, seed=2)
    members = bagging(X, y, np.ones(400), np.arange(400), 0.0, n_members=400, seed=1)
    expected = 0.25 * np.linalg.inv(X.T @ X)
    np.testing.assert_allclose(np.diag(np.cov(members.T)), np.diag(expected), rtol=0.25)
    np.testing.assert_allclose(members.mean(axis=0), np.linalg.lstsq(X, y, rcond=None)[0], rtol=0.02, atol=0.05)


def test_bagging_draws_whole_blocks():
    X, y, weight = rows(n=60)
    blocks = np.arange(60) // 10
    found = bagging(X, y, weight, blocks, 1e-2, n_members=3, seed=5)
    counts = np.random.default_rng(5).multinomial(6, np.full(6, 1 / 6), 3)
    for coefficients, count in zip(found, counts, strict=True):
        index = np.repeat(np.arange(60), count[blocks])
        mine = fit_ridge(X[index], y[index], weight[index], 1e-2).coefficients
        # the ridge is relative to the number of rows, which a repeated row counts once as weight
        np.testing.assert_allclose(coefficients, mine, rtol=1e-6)


def test_bars_of_members_by_hand():
    members = np.array([[1.0], [2.0], [6.0]])
    std, lower, upper = ensemble_bars(np.array([[1.0], [-2.0]]), members)
    np.testing.assert_allclose(lower, [1.0, -12.0])
    np.testing.assert_allclose(upper, [6.0, -2.0])
    np.testing.assert_allclose(std, np.sqrt(7.0 + 9.0) * np.array([1.0, 2.0]))
    _, lower, upper = ensemble_bars(np.array([[1.0]]), members, 0.5)
    np.testing.assert_allclose([lower[0], upper[0]], [2.0, 4.5])


def test_rescaled_members_have_the_variance_of_the_errors():
    X, y, weight = rows(noise=1.0)
    members = bagging(X, y, weight, np.arange(200), 1e-2, seed=3)
    scale = variance_scale(X, y, members)
    values = X @ members.T
    mean = values.mean(axis=1, keepdims=True)
    variance = np.var(mean + scale * (values - mean), axis=1, ddof=1)
    assert np.mean(variance) == pytest.approx(np.mean((y - mean[:, 0]) ** 2)) and scale > 2.0
    assert variance_scale(X, y, members[[0, 0]]) == 1.0


@pytest.mark.parametrize("cuts", [[], [1, 1, 50], [20, 40, 60, 199]], ids=["one", "uneven", "many"])
def test_rows_in_blocks_give_the_baselines_of_rows_in_memory(cuts):
    X, y, weight = rows(noise=1.0)
    kinds, drawn, floor = np.arange(200) % 7 // 6, np.arange(200) // 9, 0.5
    weight *= len(weight) / weight.sum()
    blocks = list(zip(*(np.split(array, cuts) for array in (X, y, weight)), strict=True))
    found = fit_row_baselines(blocks, drawn, kinds, 1e-2, floor, seed=4)
    members, solution = bagging(X, y, weight, drawn, 1e-2, seed=4), fit_ridge(X, y, weight, 1e-2)
    np.testing.assert_allclose(found.members, members, rtol=1e-10)
    above = weight * solution.leverage(X) * 200 / 4 >= floor
    assert 20 < above.sum() < 180
    for kind, mine in ((0, kinds == 0), (1, kinds == 1), (2, kinds < 2)):  # no row is of kind 2: all decide
        factor, alpha = variance_scale(X[mine], y[mine], members), llpr_scale(solution.leverage(X[mine & above]), y[mine & above])
        assert found.scales[kind] == pytest.approx((factor, alpha), rel=1e-10)
        bagged, rescaled, llpr = found.bars(X[:5], kind)
        np.testing.assert_allclose(bagged, ensemble_bars(X[:5], members), rtol=1e-10)
        np.testing.assert_allclose(rescaled, ensemble_bars(X[:5], members, factor), rtol=1e-10)
        np.testing.assert_allclose(llpr, alpha * np.sqrt(solution.leverage(X[:5])), rtol=1e-10)
    assert found.scales[0] != pytest.approx(found.scales[1], rel=1e-2)


# --- MaxVol and gamma -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_maxvol_bounds_all_coefficients_and_no_exchange_helps(seed):
    A = np.random.default_rng(seed).normal(size=(9, 3)) ** 3
    chosen = maxvol(A, 1e-9)
    assert len(set(chosen.tolist())) == 3
    assert np.abs(A @ np.linalg.inv(A[chosen])).max() <= 1.0 + 1e-9
    volume = abs(np.linalg.det(A[chosen]))
    for k, row in itertools.product(range(3), range(9)):
        other = chosen.copy()
        other[k] = row
        assert abs(np.linalg.det(A[other])) <= volume * (1.0 + 1e-8)
    # a local maximum is not far below the global one: at most r^(r/2) of it
    largest = max(abs(np.linalg.det(A[list(c)])) for c in itertools.combinations(range(9), 3))
    assert volume >= largest / 3**1.5


def test_maxvol_moves_away_from_a_bad_start():
    A = np.vstack([0.01 * np.eye(3), np.random.default_rng(0).normal(size=(30, 3))])
    chosen = maxvol(A, start=range(3))
    assert np.abs(A @ np.linalg.inv(A[chosen])).max() <= 1.01
    assert abs(np.linalg.det(A[chosen])) > 1e4 * abs(np.linalg.det(A[:3]))


def test_gamma_is_the_growth_of_the_volume():
    rng = np.random.default_rng(3)
    known, new = rng.normal(size=(40, 4)), 3.0 * rng.normal(size=(6, 4))
    model = fit_d_optimality(known, np.zeros(40, int), 2)
    chosen = maxvol(known)
    growth = np.empty((6, 4))
    for i, k in itertools.product(range(6), range(4)):
        other = known[chosen].copy()
        other[k] = new[i]
        growth[i, k] = abs(np.linalg.det(other) / np.linalg.det(known[chosen]))
    # the reduction rotates the descriptors, and a rotation leaves volumes alone
    np.testing.assert_allclose(model.gamma(new, np.zeros(6, int)), growth.max(axis=1), rtol=0.05)
    assert model.gamma(known, np.zeros(40, int)).max() <= 1.0 + 0.0101
    assert np.isinf(model.gamma(new, np.ones(6, int))).all()


def test_gamma_of_descriptors_in_a_plane():
    rng = np.random.default_rng(4)
    known = rng.normal(size=(50, 2)) @ rng.normal(size=(2, 5))
    gamma = fit_d_optimality(known, np.zeros(50, int), 1).gamma(np.vstack([known, 7.0 * known[:1]]), np.zeros(51, int))
    assert gamma[:50].max() <= 1.0101 and gamma[50] == pytest.approx(7.0 * gamma[0])


def test_maxvol_needs_enough_rows():
    with pytest.raises(UqError, match="at least as many rows"):
        maxvol(np.ones((2, 3)))


# --- neighbours -------------------------------------------------------------------------------------------


def test_neighbour_distance_is_that_of_brute_force():
    rng = np.random.default_rng(5)
    known, new = rng.normal(size=(80, 3)), rng.normal(size=(20, 3))
    species, new_species = rng.integers(0, 2, 80), rng.integers(0, 3, 20)
    found = neighbour_distance(known, species, new, new_species)
    for k in range(20):
        distances = np.sort(np.linalg.norm(known[species == new_species[k]] - new[k], axis=1))
        assert found[k] == pytest.approx(distances[:5].mean()) if len(distances) else np.isinf(found[k])


def test_neighbours_are_sought_among_a_seeded_part_of_many_atoms():
    rng = np.random.default_rng(6)
    known, new = rng.normal(size=(500, 2)), rng.normal(size=(9, 2))
    species, zeros = np.zeros(500, int), np.zeros(9, int)
    part = neighbour_distance(known, species, new, zeros, n_training=50)
    np.testing.assert_array_equal(part, neighbour_distance(known, species, new, zeros, n_training=50))
    assert np.all(part >= neighbour_distance(known, species, new, zeros)) and np.isfinite(part).all()
    few = neighbour_distance(known[:2], species[:2], new, zeros)
    np.testing.assert_allclose(few[0], np.linalg.norm(known[:2] - new[0], axis=1).mean())
