# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of POPS: ensemble, choices by groups, absolute ridge, components, filters; scikit-learn's own checks; weights."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from pops_rows import misspecified_rows
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from lmp_uq.errors import UqError
from lmp_uq.posterior import POPS, Ensemble, exponential_weights, group_weights
from lmp_uq.posterior.pops.choice import best_floor, best_ridge
from lmp_uq.quantities import ENERGY, FORCES

NOT_EXPECTED = {
    "check_dtype_object": "wants a TypeError; bad input of any kind is an UqError here, which is a ValueError",
}
"""Checks of scikit-learn that POPS does not pass, and why."""


@parametrize_with_checks([POPS(), POPS(posterior="ensemble")], expected_failed_checks=lambda _: NOT_EXPECTED)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="POPS.fit: .* rows for")
        check(estimator)


def test_unfitted_and_refused_input_are_both_kinds_of_error():
    X, y, _ = misspecified_rows()
    for kind in (UqError, NotFittedError):
        with pytest.raises(kind, match="not fitted"):
            POPS().predict(X)
    with pytest.raises(UqError, match="expecting 10 features"):
        POPS().fit(X, y).predict(X[:, :3])


# Axes


@pytest.mark.parametrize("axes", ["scaled", "given"])
def test_the_box_has_the_principal_axes_of_the_space_asked_for(axes):
    X, y, w = misspecified_rows()
    X = X * np.logspace(-2, 2, X.shape[1])
    for options in ({}, {"n_components": 6}):
        fit = POPS(1e-3, axes=axes, mode_threshold=1e-12, **options).fit(X, y, w)
        metric = fit.scale_ if axes == "scaled" else np.ones(X.shape[1])
        corrections = fit.corrections(fit.kept_) * metric
        along = corrections @ (fit.box_.modes * metric[:, None])
        moments = along.T @ along
        assert len(moments) == options.get("n_components", X.shape[1])
        # the modes are orthonormal, diagonalise the second moment, and are as long as the corrections along them
        assert np.allclose((fit.box_.modes.T * metric**2) @ fit.box_.modes, np.eye(len(moments)), atol=1e-8)
        size = np.sqrt(np.outer(np.diag(moments), np.diag(moments)))
        assert np.allclose(moments / size, np.eye(len(moments)), atol=1e-4)
        assert np.all(np.diff(np.diag(moments)) <= 0)
        assert np.allclose([fit.box_.lower, fit.box_.upper], [along.min(axis=0), along.max(axis=0)], rtol=1e-6)


def test_given_axes_are_those_of_columns_that_are_not_scaled():
    X, y, w = misspecified_rows()
    X = X * np.logspace(-1, 1, X.shape[1])
    given, unscaled, scaled = (POPS(1e-12, **o).fit(X, y, w) for o in ({"axes": "given"}, {"scale_columns": False}, {}))
    np.testing.assert_allclose(given.box_.std(X), unscaled.box_.std(X), rtol=1e-6)
    assert not np.allclose(scaled.box_.std(X), unscaled.box_.std(X), rtol=1e-2)


def test_given_axes_drop_a_direction_that_is_small_in_given_units():
    X, y, w = misspecified_rows()
    X[:, 0] *= 1e6
    assert len(POPS(axes="given").fit(X, y, w).box_.lower) == X.shape[1] - 1
    assert len(POPS(axes="scaled").fit(X, y, w).box_.lower) == X.shape[1]


# Ensemble


def full_ensemble(**options):
    X, y, w = misspecified_rows()
    fit = POPS(posterior="ensemble", **options).fit(X, y, w)
    return X, fit, fit.corrections(fit.kept_)


def test_ensemble_has_the_corrections_as_members_and_their_moments():
    X, fit, corrections = full_ensemble()
    ensemble, along = fit.posterior_, X @ corrections.T
    np.testing.assert_allclose(ensemble.members, fit.coef_ + corrections, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ensemble.std(X), along.std(axis=1), rtol=1e-9)
    np.testing.assert_allclose(ensemble.mean(X), X @ fit.coef_ + along.mean(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ensemble.rms(X, about="coefficients"), np.sqrt(np.mean(along**2, axis=1)), rtol=1e-9)
    np.testing.assert_allclose(ensemble.rms(X), np.sqrt(np.mean((X @ ensemble.members.T) ** 2, axis=1)), rtol=1e-9)
    np.testing.assert_allclose(ensemble.covariance(X[:4, None], X[None, :4]), np.cov(along[:4], bias=True), rtol=1e-8, atol=1e-12)
    lower, upper = ensemble.exact_bounds(X)
    np.testing.assert_allclose([lower, upper], [(X @ ensemble.members.T).min(1), (X @ ensemble.members.T).max(1)])
    assert np.all(lower >= fit.box_.exact_bounds(X)[0] - 1e-9) and np.all(upper <= fit.box_.exact_bounds(X)[1] + 1e-9)


def test_expected_extremes_of_an_ensemble_are_exact():
    X, fit, _ = full_ensemble()
    ensemble, values = fit.posterior_, X[:3] @ fit.posterior_.members.T
    np.testing.assert_allclose(ensemble.bounds(X, 1), [ensemble.mean(X)] * 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ensemble.bounds(X, 10**7), ensemble.exact_bounds(X), rtol=1e-9)
    pairs = np.maximum(values[:, :, None], values[:, None, :]).mean(axis=(1, 2))
    np.testing.assert_allclose(ensemble.bounds(X[:3], 2)[1], pairs, rtol=1e-9)
    np.testing.assert_allclose(ensemble.bounds(-X[:3], 2)[0], -pairs, rtol=1e-9)
    with pytest.raises(UqError, match="n_members: found 0"):
        ensemble.bounds(X, 0)


def test_small_ensemble_keeps_the_extremes_and_the_exact_moments():
    X, fit, _ = full_ensemble(n_members=40, random_state=1)
    ensemble, full = fit.posterior_, full_ensemble()[1].posterior_
    assert len(ensemble.members) == 40 and ensemble.probabilities.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(ensemble.std(X), full.std(X), rtol=1e-12)
    along_modes = (fit.box_.modes * fit.scale_[:, None] ** 2).T
    lower, upper = ensemble.exact_bounds(along_modes)
    middle = along_modes @ fit.coef_
    np.testing.assert_allclose(lower - middle, fit.box_.lower, rtol=1e-8)
    np.testing.assert_allclose(upper - middle, fit.box_.upper, rtol=1e-8)
    other = full_ensemble(n_members=40, random_state=2)[1].posterior_
    assert np.abs(other.members - ensemble.members).max() > 0
    # the draw stands for the rows that are not extreme: weighted, it has about the spread of all
    spread = np.sqrt(ensemble.probabilities @ (ensemble.members - full.centre()) ** 2)
    assert np.all(np.abs(spread / full.members.std(axis=0) - 1) < 0.6)


def test_ensemble_draws_and_tensors():
    X, fit, _ = full_ensemble()
    ensemble = fit.posterior_
    drawn = ensemble.draw(2000, 3)
    np.testing.assert_array_equal(drawn, ensemble.draw(2000, 3))
    assert {row.tobytes() for row in drawn} <= {row.tobytes() for row in ensemble.members}
    np.testing.assert_allclose((X[:9] @ drawn.T).std(axis=1), ensemble.std(X[:9]), rtol=0.2)
    again = Ensemble.from_tensors(ensemble.tensors())
    np.testing.assert_array_equal(again.bounds(X, 9), ensemble.bounds(X, 9))
    with pytest.raises(UqError, match="probabilities"):
        Ensemble.from_tensors(ensemble.tensors() | {"probabilities": 2.0 * ensemble.probabilities})
    with pytest.raises(UqError, match="about='truth'"):
        ensemble.rms(X, about="truth")
    with pytest.raises(UqError, match=r"expected \(..., 10\)"):
        ensemble.std(X[:, :4])


# Choices by groups


def grouped_rows():
    X, y, w = misspecified_rows(n=600)
    groups = np.repeat(np.arange(4), 150)
    X[groups == 3] *= 1.5
    return X, y + 0.2 * np.cos(X[:, 3] * (1 + groups)), w, groups


def held_out_by_hand(ridge, floor):
    """(violation, error over std, std over RMSE, below floor) of four folds, each a group."""
    X, y, w, groups = grouped_rows()
    columns = []
    for fold in range(4):
        training, held = groups != fold, groups == fold
        fit = POPS(ridge, leverage_floor=floor).fit(X[training], y[training], w[training])
        std, error = fit.box_.rms(X[held], about="coefficients"), np.abs(y[held] - fit.predict(X[held]))
        lower, upper = fit.box_.bounds(X[held], 512)
        weight = w[held]
        below = fit.leverage(X[held], weight / w[training].mean()) < floor
        columns.append([weight, weight * ((y[held] < lower) | (y[held] > upper)), weight * error, weight * std])
        columns[-1] += [weight * error**2, weight * std**2, weight * below]
    total = np.concatenate(columns, axis=1).sum(axis=1)
    return total[1] / total[0], total[2] / total[3], np.sqrt(total[5] / total[4]), total[6] / total[0]


def test_scores_on_held_out_groups():
    X, y, w, groups = grouped_rows()
    fit = POPS("groups", leverage_floor="groups", ridge_grid=(1e-3, 1e-1), floor_grid=(1e-2, 0.3)).fit(X, y, w, groups)
    by_ridge = {row.pop("ridge"): tuple(row.values()) for row in map(dict, fit.ridge_path_)}
    by_floor = {row.pop("leverage_floor"): tuple(row.values()) for row in map(dict, fit.floor_path_)}
    assert by_ridge == {ridge: pytest.approx(held_out_by_hand(ridge, 1e-3), rel=1e-9) for ridge in (1e-3, 1e-1)}
    chosen = fit.ridge_relative_
    assert chosen == pytest.approx(best_ridge(fit.ridge_path_)) and fit.leverage_floor_ == best_floor(fit.floor_path_)
    expected = {floor: pytest.approx(held_out_by_hand(best_ridge(fit.ridge_path_), floor), rel=1e-9) for floor in (1e-2, 0.3)}
    assert by_floor == expected and by_floor[0.3] != by_floor[1e-2]
    fixed = POPS(best_ridge(fit.ridge_path_), leverage_floor=fit.leverage_floor_).fit(X, y, w)
    np.testing.assert_allclose(fit.box_.std(X), fixed.box_.std(X), rtol=1e-12)
    assert fixed.ridge_path_ is None and fixed.floor_path_ is None


def test_names_and_order_of_groups_do_not_matter():
    X, y, w, groups = grouped_rows()
    named = np.array(["a", "b", "c", "d"])[groups]
    order = np.random.default_rng(0).permutation(len(y))
    first = POPS("groups").fit(X, y, w, groups)
    second = POPS("groups").fit(X[order], y[order], w[order], named[order])
    np.testing.assert_allclose([list(row.values()) for row in first.ridge_path_], [list(row.values()) for row in second.ridge_path_])


def row(ridge, violation, ratio):
    return {"ridge": ridge, "violation": violation, "error_over_std": ratio}


@pytest.mark.parametrize(
    ("path", "best"),
    [
        ([row(1, 0.10, 1.2), row(2, 0.04, 0.9), row(3, 0.02, 0.8)], 2),
        ([row(3, 0.02, 0.8), row(2, 0.04, 0.9)], 2),
        ([row(1, 0.10, 0.9), row(2, 0.04, 1.2), row(3, 0.0, 0.1)], 2),
        ([row(1, 0.10, 0.9), row(2, 0.06, 1.1), row(3, 0.0, 0.1)], 2),
        ([row(1, 0.0, 0.69)], 1),
    ],
)
def test_rule_of_the_ridge(path, best):
    assert best_ridge(path) == best


@pytest.mark.parametrize(("ratios", "best"), [((9.0, 1.2, 1.0, 0.4), 3), ((0.2, 0.9, 0.8), 2), ((1.5, 1.4), 2)])
def test_rule_of_the_floor(ratios, best):
    assert best_floor([{"leverage_floor": k + 1, "std_over_rmse": ratio} for k, ratio in enumerate(ratios)]) == best


def test_ridges_that_few_rows_do_not_allow_are_not_tried():
    X, y, w = misspecified_rows(n=36)
    with pytest.warns(UserWarning, match="20 rows per feature"):
        fit = POPS("groups").fit(X, y, w, np.arange(36) % 4)
    assert [entry["ridge"] for entry in fit.ridge_path_] == [1e-2, 1e-1]


@pytest.mark.parametrize("options", [{"ridge": "groups"}, {"leverage_floor": "groups"}])
def test_groups_that_cannot_be_used_are_refused(options):
    X, y, w = misspecified_rows()
    with pytest.raises(UqError, match=r"needs fit\(..., groups=\)"):
        POPS(**options).fit(X, y, w)
    with pytest.raises(UqError, match=r"1 group\(s\)"):
        POPS(**options).fit(X, y, w, np.zeros(480))
    with pytest.raises(UqError, match=r"groups: found shape \(3,\)"):
        POPS(**options).fit(X, y, w, [1, 2, 3])
    with pytest.raises(UqError, match="needs blocks"):
        POPS(**options).fit_blocks([(X, y, w)])


# Other options


def test_absolute_ridge_is_what_is_added():
    X, y, w = misspecified_rows()
    absolute, relative = POPS("absolute", ridge_absolute=4.8).fit(X, y, w), POPS(4.8 / 480).fit(X, y, w)
    assert absolute.ridge_ == 4.8 and absolute.ridge_relative_ == pytest.approx(0.01)
    np.testing.assert_allclose(absolute.coef_, relative.coef_, rtol=1e-12)
    with pytest.raises(UqError, match="29 rows for 10 features"):
        POPS("absolute", ridge_absolute=0.2).fit(X[:29], y[:29])


def test_components_confine_the_fit_to_the_principal_directions():
    X, y, w = misspecified_rows()
    fit, whole = POPS(n_components=4).fit(X, y, w), POPS().fit(X, y, w)
    root = np.sqrt(w * len(w) / w.sum())[:, None]
    principal = np.linalg.svd(root * X / fit.scale_, full_matrices=False)[2][:4]
    inside = np.vstack([fit.coef_, fit.corrections()]) * fit.scale_
    np.testing.assert_allclose(inside @ principal.T @ principal, inside, atol=1e-9 * np.abs(inside).max())
    reached = np.einsum("ij,ij->i", X, fit.coef_ + fit.corrections())
    np.testing.assert_allclose(reached[fit.kept_], y[fit.kept_], atol=1e-9)
    assert fit.factor_.shape == (10, 4) and fit.box_.lower.size == 4
    assert fit.leverage_.sum() == pytest.approx(fit.dof_) and fit.dof_ < 4
    np.testing.assert_array_equal(fit.kept_, fit.leverage_ >= 1e-3 * 4 / 480)
    np.testing.assert_array_equal(POPS(n_components=10).fit(X, y, w).box_.std(X), whole.box_.std(X))


def test_residual_floor_drops_the_rows_that_fit_well():
    X, y, w = misspecified_rows()
    fit = POPS(minimum_relative_error=0.5, leverage_floor=0.0).fit(X, y, w)
    rmse = np.sqrt(w @ fit.residual_**2 / w.sum())
    np.testing.assert_array_equal(fit.kept_, np.abs(fit.residual_) >= 0.5 * rmse)
    assert fit.n_kept_ == np.count_nonzero(fit.kept_) < 480 == fit.n_kept_ + fit.n_dropped_


def test_leverage_of_rows_is_that_of_the_fit():
    X, y, w = misspecified_rows()
    fit = POPS(0.1).fit(X, y, 7.0 * w)
    np.testing.assert_allclose(fit.leverage(X, w / w.mean()) * 10 / 480, fit.leverage_, rtol=1e-10)
    h = np.sum((X @ fit.factor_) ** 2, axis=1)
    np.testing.assert_allclose(fit.leverage(X), h * 48, rtol=1e-12)
    kept = fit.kept_
    assert fit.llpr_alpha_**2 == pytest.approx(np.mean(fit.residual_[kept] ** 2 / h[kept]), rel=1e-9)
    for bad in (-1.0, np.ones(3), np.nan):
        with pytest.raises(UqError, match="weight"):
            fit.leverage(X, bad)


@pytest.mark.parametrize("n", [1, 6])
def test_fewer_rows_than_features_need_a_ridge(n):
    X, y, _ = misspecified_rows()
    with pytest.warns(UserWarning, match=f"{n} rows for 10 features"):
        fit = POPS().fit(X[:n], y[:n])
    assert fit.box_.lower.size == n and fit.dof_ < n
    reached = np.einsum("ij,ij->i", X[:n], fit.coef_ + fit.corrections())
    np.testing.assert_allclose(reached, y[:n], rtol=1e-9)
    with pytest.raises(UqError, match=f"{n} rows for 10 features"):
        POPS(0.0).fit(X[:n], y[:n])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": "absolute"}, "ridge_absolute=None"),
        ({"ridge_absolute": 1.0}, "ridge_absolute=1.0"),
        ({"ridge": "absolute", "ridge_absolute": -1.0}, "ridge_absolute=-1.0"),
        ({"leverage_floor": "auto"}, "leverage_floor='auto'"),
        ({"ridge_grid": ()}, "ridge_grid"),
        ({"floor_grid": (-1.0,)}, "floor_grid"),
        ({"posterior": "gauss"}, "'box', 'ensemble'"),
        ({"solver": "svd"}, "'auto', 'normal', 'qr'"),
        ({"n_members": 0}, "n_members=0"),
        ({"n_folds": 1}, "n_folds=1"),
        ({"n_components": 0}, "n_components=0"),
        ({"block_rows": 0}, "block_rows=0"),
        ({"minimum_relative_error": -0.1}, "minimum_relative_error"),
        ({"minimum_relative_error": 1e9}, "passes leverage_percentile and minimum_relative_error"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    X, y, _ = misspecified_rows()
    with pytest.raises(UqError, match=message):
        POPS(**options).fit(X, y)


# Weights


def test_exponential_weights_are_the_formula():
    energies = np.array([-3.0, -2.5, -1.0])
    np.testing.assert_allclose(exponential_weights(energies, 2.0), np.exp([0.0, -0.25, -1.0]))
    np.testing.assert_allclose(exponential_weights([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0]], 50.0), [np.exp(-0.1), 1.0])
    np.testing.assert_allclose(exponential_weights(energies + 7.0, 2.0), exponential_weights(energies, 2.0))
    assert exponential_weights([0.0, 1e6], 1e-3)[1] > 0
    both = group_weights([ENERGY.row] * 3 + [FORCES.row] * 2, np.append(exponential_weights(energies, 2.0), [1.0, 0.5]))
    assert both[:3].sum() == pytest.approx(both[3:].sum())
    for values, scale in itertools.product([[], [[1.0, 2.0]], [np.nan]], [1.0]):
        with pytest.raises(UqError, match="exponential_weights"):
            exponential_weights(values, scale)
    for scale in (0.0, -1.0, np.nan, "a"):
        with pytest.raises(UqError, match="scale="):
            exponential_weights(energies, scale)
