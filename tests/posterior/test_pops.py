# SPDX-License-Identifier: GPL-2.0-or-later
"""POPS fit: identities of the construction, planted errors that break them, agreement with popsregression."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pops_rows import misspecified_rows
from popsregression import POPSRegression

from lmp_uq.errors import UqError
from lmp_uq.posterior import POPS, group_weights
from lmp_uq.posterior.pops import corrections as _corrections
from lmp_uq.quantities import QUANTITIES

ENERGY, FORCE, VIRIAL = (quantity.row for quantity in QUANTITIES)


def assert_same_box(first, second, tolerance=1e-9):
    for name, values in first.tensors().items():
        other = second.tensors()[name]
        np.testing.assert_allclose(values, other, rtol=tolerance, atol=tolerance, err_msg=name)


def pointwise_mismatch(fit, X, y):
    """Largest |x_i.(Theta* + dTheta_i) - y_i| of the kept rows."""
    kept = fit.kept_
    reached = np.einsum("ij,ij->i", X[kept], fit.coef_ + fit.corrections(kept))
    return np.abs(reached - y[kept]).max()


def box_mismatch(fit, X, y, w, ridge):
    """How far the box is from the tightest one around dTheta_i, which are built here row by row, unscaled."""
    w = w * (len(w) / w.sum())
    penalty = np.diag(ridge * (w @ X**2))
    matrix = X.T @ (w[:, None] * X) + penalty
    theta = np.linalg.solve(matrix, X.T @ (w * y))
    solved = np.linalg.solve(matrix, X.T).T
    corrections = solved * ((y - X @ theta) / np.sum(solved * X, axis=1))[:, None]
    scale2 = w @ X**2 / len(X)
    along = (corrections * scale2) @ fit.box_.modes
    return max(
        np.abs(along.min(axis=0) - fit.box_.lower).max(), np.abs(along.max(axis=0) - fit.box_.upper).max()
    )


def n_outside(box, X, y):
    """Rows whose label lies outside the exact box, beyond rounding."""
    lower, upper = box.exact_bounds(X)
    slack = 1e-9 * np.abs(y).max()
    return int(np.count_nonzero((y < lower - slack) | (y > upper + slack)))


# Identities


@pytest.mark.parametrize("ridge", [0.0, 1e-2, "evidence"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale_columns", [False, True])
def test_pointwise_sets_are_matched_and_the_box_encloses_them(ridge, weighted, scale_columns):
    X, y, w = misspecified_rows()
    fit = POPS(ridge, scale_columns=scale_columns).fit(X, y, w if weighted else None)
    assert pointwise_mismatch(fit, X, y) < 1e-10
    assert n_outside(fit.box_, X[fit.kept_], y[fit.kept_]) == 0
    assert fit.box_.lower.size == X.shape[1]


@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")
@pytest.mark.parametrize("planted", [1.0, -1.0, 2.0, 0.5])
def test_planted_factor_in_the_corrections_is_found(monkeypatch, planted):
    X, y, w = misspecified_rows()
    ratio = _corrections.row_ratio
    monkeypatch.setattr(_corrections, "row_ratio", lambda *arguments: planted * ratio(*arguments))
    fit = POPS(leverage_floor=0.0).fit(X, y, w)
    assert (pointwise_mismatch(fit, X, y) < 1e-10) == (planted == 1.0)
    assert (box_mismatch(fit, X, y, w, 1e-2) < 1e-9) == (planted == 1.0)


@pytest.mark.parametrize("group", [ENERGY, FORCE, VIRIAL])
@pytest.mark.parametrize("missing", [False, True])
def test_planted_missing_group_is_found(group, missing):
    X, y, _ = misspecified_rows(n_features=3)
    kinds = np.arange(len(X)) % 3
    y = y + np.where(kinds == group, 30.0 * np.sin(3.0 * X[:, 0]), 0.0)
    used = (kinds != group) | (not missing)
    fit = POPS(leverage_floor=0.0).fit(X[used], y[used], group_weights(kinds[used]))
    assert n_outside(fit.box_, X[kinds != group], y[kinds != group]) == 0
    assert (n_outside(fit.box_, X[kinds == group], y[kinds == group]) > 0) == missing


def test_coefficients_equal_plain_ridge_regression():
    X, y, w = misspecified_rows()
    w *= len(w) / w.sum()
    fit = POPS(0.05).fit(X, y, w)
    scale = np.sqrt(w @ X**2 / len(X))
    scaled = X / scale
    matrix = scaled.T @ (w[:, None] * scaled)
    plain = np.linalg.solve(matrix + 0.05 * len(X) * np.eye(X.shape[1]), scaled.T @ (w * y)) / scale
    np.testing.assert_allclose(fit.coef_, plain, rtol=1e-11)
    np.testing.assert_allclose(fit.scale_, scale, rtol=1e-12)
    assert np.trace(matrix) == pytest.approx(X.size)
    assert fit.ridge_ == pytest.approx(0.05 * len(X))
    np.testing.assert_allclose(fit.predict(X), X @ plain, rtol=1e-9)


def test_without_ridge_coefficients_are_least_squares():
    X, y, w = misspecified_rows()
    root = np.sqrt(w)
    expected = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)[0]
    np.testing.assert_allclose(POPS(0.0).fit(X, y, w).coef_, expected, rtol=1e-10)


def test_leverages_sum_to_the_degrees_of_freedom():
    X, y, w = misspecified_rows()
    fit = POPS(0.1).fit(X, y, w)
    assert fit.leverage_.sum() == pytest.approx(fit.dof_, rel=1e-12)
    assert fit.leverage_.min() > 0 and fit.leverage_.max() < 1
    assert 0 < fit.dof_ < X.shape[1]
    assert POPS(0.0).fit(X, y, w).dof_ == pytest.approx(X.shape[1], rel=1e-12)


@pytest.mark.parametrize("ridge", [1e-2, "evidence"])
def test_a_constant_factor_on_the_weights_changes_nothing(ridge):
    X, y, w = misspecified_rows()
    first, second = POPS(ridge).fit(X, y, w), POPS(ridge).fit(X, y, 1e5 * w)
    assert_same_box(first.box_, second.box_)
    np.testing.assert_array_equal(first.kept_, second.kept_)


def test_a_duplicated_row_equals_weight_two():
    X, y, w = misspecified_rows()
    doubled = w.copy()
    doubled[7] *= 2
    weighted = POPS(leverage_floor=0.0).fit(X, y, doubled)
    repeated = POPS(leverage_floor=0.0).fit(np.vstack([X, X[7]]), np.append(y, y[7]), np.append(w, w[7]))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-10)
    np.testing.assert_allclose(weighted.corrections(), repeated.corrections()[:-1], rtol=1e-8, atol=1e-10)
    assert weighted.dof_ == pytest.approx(repeated.dof_, rel=1e-12)
    assert weighted.leverage_[7] == pytest.approx(2 * repeated.leverage_[7], rel=1e-10)


def test_duplicating_all_rows_changes_nothing():
    X, y, w = misspecified_rows()
    once = POPS().fit(X, y, w)
    twice = POPS().fit(np.vstack([X, X]), np.tile(y, 2), np.tile(w, 2))
    assert_same_box(once.box_, twice.box_)
    assert twice.n_dropped_ == 2 * once.n_dropped_


@pytest.mark.parametrize("ridge", [1e-2, "evidence"])
def test_rescaled_columns_change_nothing_when_columns_are_scaled(ridge):
    X, y, w = misspecified_rows()
    factors = 10.0 ** np.linspace(-6, 6, X.shape[1])
    first, second = POPS(ridge).fit(X, y, w), POPS(ridge).fit(X * factors, y, w)
    np.testing.assert_allclose(first.coef_, second.coef_ * factors, rtol=1e-9)
    np.testing.assert_allclose(first.box_.std(X), second.box_.std(X * factors), rtol=1e-9)
    np.testing.assert_allclose(first.box_.exact_bounds(X), second.box_.exact_bounds(X * factors), rtol=1e-8)
    unscaled = POPS(ridge, scale_columns=False).fit(X, y, w).box_.std(X)
    assert np.abs(unscaled / first.box_.std(X) - 1).max() > 1e-3


def test_box_scales_with_the_unit_of_the_labels():
    X, y, w = misspecified_rows()
    first, second = POPS().fit(X, y, w), POPS().fit(X, 1000.0 * y, w)
    np.testing.assert_allclose(1000.0 * first.box_.std(X), second.box_.std(X), rtol=1e-9)


def test_modes_are_orthonormal_in_the_scaled_space_and_ordered():
    X, y, w = misspecified_rows()
    fit = POPS().fit(X, y, w)
    modes = fit.box_.modes * fit.scale_[:, None]
    np.testing.assert_allclose(modes.T @ modes, np.eye(modes.shape[1]), atol=1e-12)
    moments = np.mean((fit.corrections(fit.kept_) * fit.scale_ @ modes) ** 2, axis=0)
    assert np.all(np.diff(moments) < 0)


def test_percentile_clipping_and_bounds_come_from_the_corrections():
    X, y, w = misspecified_rows()
    for clip in (0.0, 5.0):
        fit = POPS(percentile_clipping=clip).fit(X, y, w)
        along = fit.corrections(fit.kept_) * fit.scale_ @ (fit.box_.modes * fit.scale_[:, None])
        expected = np.percentile(along, [clip, 100 - clip], axis=0)
        np.testing.assert_allclose([fit.box_.lower, fit.box_.upper], expected, rtol=1e-9)


# Rows that count and rows that do not


def test_row_of_weight_zero_is_absent():
    X, y, w = misspecified_rows()
    absent = np.append(w, 0.0)
    fit = POPS().fit(np.vstack([X, 50 * X[0]]), np.append(y, 1e6), absent)
    assert_same_box(fit.box_, POPS().fit(X, y, w).box_)
    assert not fit.kept_[-1] and fit.n_rows_ == len(X)


def test_leverage_floor_removes_rows_without_features():
    X, y, _ = misspecified_rows()
    X[::10] *= 1e-4
    y[::10] = 1.0
    X[5], y[5] = 0.0, 3.0
    open_box, fit = POPS(leverage_floor=0.0).fit(X, y), POPS(leverage_floor=1e-3).fit(X, y)
    assert open_box.n_dropped_ == 1 and fit.n_dropped_ >= 49
    assert np.median(open_box.box_.std(X)) > 10 * np.median(fit.box_.std(X))
    assert fit.largest_dropped_correction_ == pytest.approx(open_box.largest_kept_correction_)
    norms = np.linalg.norm(fit.corrections() * fit.scale_, axis=1)
    assert fit.largest_kept_correction_ == pytest.approx(norms[fit.kept_].max())
    np.testing.assert_array_equal(fit.kept_, fit.leverage_ >= 1e-3 * X.shape[1] / len(X))


def test_another_leverage_floor_equals_a_fresh_fit():
    X, y, w = misspecified_rows()
    first = POPS().fit(X, y, w)
    before = first.n_dropped_
    other = first.with_leverage_floor(0.3)
    fresh = POPS(leverage_floor=0.3).fit(X, y, w)
    assert_same_box(other.box_, fresh.box_, 1e-13)
    assert other.n_dropped_ == fresh.n_dropped_ > before == first.n_dropped_
    assert (first.leverage_floor, other.leverage_floor) == (1e-3, 0.3)


def test_zero_and_repeated_columns():
    X, y, w = misspecified_rows()
    zero = np.insert(X, 4, 0.0, axis=1)
    fit, plain = POPS().fit(zero, y, w), POPS().fit(X, y, w)
    assert fit.coef_[4] == pytest.approx(0.0, abs=1e-12) and fit.scale_[4] == 1.0
    np.testing.assert_allclose(np.delete(fit.coef_, 4), plain.coef_, rtol=1e-9)
    np.testing.assert_allclose(fit.box_.std(zero), plain.box_.std(X), rtol=1e-9)
    repeated = np.hstack([X, X[:, :1]])
    free, unridged = POPS(0.0).fit(X, y, w), POPS(0.0).fit(repeated, y, w)
    assert unridged.n_null_directions_ == 1 and free.n_null_directions_ == 0
    np.testing.assert_allclose(unridged.predict(repeated), free.predict(X), rtol=1e-8)
    assert pointwise_mismatch(unridged, repeated, y) < 1e-8


def test_labels_without_misfit_give_an_empty_box():
    X, _, _ = misspecified_rows()
    box = POPS().fit(X, np.zeros(len(X))).box_
    assert box.lower.size == 0
    np.testing.assert_array_equal(box.std(X), 0.0)
    np.testing.assert_array_equal(box.exact_bounds(X), 0.0)


@pytest.mark.parametrize("block_rows", [1, 37])
def test_row_blocks_do_not_matter(block_rows):
    X, y, w = misspecified_rows()
    whole = POPS("evidence").fit(X, y, w)
    assert_same_box(whole.box_, POPS("evidence", block_rows=block_rows).fit(X, y, w).box_, 1e-9)


# Evidence ridge and the reference implementation


def test_evidence_ridge_equals_the_same_fixed_ridge():
    X, y, w = misspecified_rows()
    evidence = POPS("evidence").fit(X, y, w)
    fixed = POPS(evidence.ridge_relative_).fit(X, y, w)
    assert_same_box(evidence.box_, fixed.box_)
    assert evidence.lambda_ / evidence.alpha_ == pytest.approx(evidence.ridge_)
    assert fixed.alpha_ is None


@pytest.mark.parametrize("noise_free", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("percentile", [0.0, 50.0])
def test_agrees_with_popsregression(noise_free, weighted, percentile):
    X, y, w = misspecified_rows(n=600, n_features=12, seed=4)
    if noise_free:
        y = X @ np.arange(12.0) + 1e-4 * np.sin(3 * X[:, 0])
    # The reference takes weights as they come; ours are normalised to sum n, so they are handed over so.
    w = w * (len(w) / w.sum()) if weighted else None
    reference = POPSRegression(leverage_percentile=percentile).fit(X, y, sample_weight=w)
    settings = {"scale_columns": False, "leverage_floor": 0.0, "leverage_percentile": percentile}
    fit = POPS("evidence", **settings).fit(X, y, w)
    np.testing.assert_allclose(fit.coef_, reference.coef_, rtol=1e-9, atol=1e-12)
    assert fit.alpha_ == pytest.approx(reference.alpha_, rel=1e-9)
    assert fit.lambda_ == pytest.approx(reference.lambda_, rel=1e-9)
    modes = reference._hypercube_support[:, ::-1]
    low, high = (bounds[::-1] for bounds in reference._hypercube_bounds)
    same = np.sum(modes * fit.box_.modes, axis=0) > 0
    # residuals of labels of size |y| carry the rounding of |y|, which shows where the misfit is 1e-6 of them
    size = max(np.abs(np.concatenate([low, high])).max(), 16e9 * np.finfo(float).eps * np.abs(y).max())
    np.testing.assert_allclose(fit.box_.modes, np.where(same, modes, -modes), atol=1e-9)
    np.testing.assert_allclose(fit.box_.lower, np.where(same, low, -high), rtol=1e-9, atol=1e-9 * size)
    np.testing.assert_allclose(fit.box_.upper, np.where(same, high, -low), rtol=1e-9, atol=1e-9 * size)


# Input that is refused


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"ridge": -1.0}, "ridge"),
        ({"ridge": "grid"}, "ridge"),
        ({"ridge": float("nan")}, "ridge"),
        ({"leverage_floor": -1e-3}, "leverage_floor"),
        ({"leverage_percentile": 100.0}, "leverage_percentile"),
        ({"percentile_clipping": 50.0}, "percentile_clipping"),
        ({"mode_threshold": 1.0}, "mode_threshold"),
        ({"axes": "natural"}, "axes='natural', accepted are 'scaled', 'given'"),
        ({"leverage_floor": 1e6}, "none of 480 rows"),
    ],
)
def test_parameters_out_of_range_are_refused(keywords, message):
    X, y, _ = misspecified_rows()
    with pytest.raises(UqError, match=message):
        POPS(**keywords).fit(X, y)


def test_unusable_rows_are_refused():
    X, y, w = misspecified_rows()
    holed = X.copy()
    holed[3, 2] = np.nan
    with pytest.raises(UqError, match=r"X is nan in row 3, column 2 .*1 of 4800 values"):
        POPS().fit(holed, y)
    with pytest.raises(UqError, match=r"found shape \(479,\), expected \(480\)"):
        POPS().fit(X, y[1:])
    with pytest.raises(UqError, match="must be >= 0"):
        POPS().fit(X, y, -w)
    with pytest.raises(UqError, match="all 10 columns"):
        POPS().fit(0 * X, y)
    with pytest.raises(UqError, match="not fitted"):
        POPS().predict(X)


def test_few_rows_warn_and_too_few_are_refused():
    X, y, _ = misspecified_rows(n=29)
    with pytest.raises(UqError, match="29 rows for 10 features"):
        POPS(1e-3).fit(X, y)
    for ridge in (1e-2, "evidence"):
        with pytest.warns(UserWarning, match="20 rows per feature"):
            POPS(ridge).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        POPS(1e-3).fit(*misspecified_rows(n=200)[:2])


# Weights


def test_group_weights_give_each_kind_the_same_sum():
    kinds = np.repeat([ENERGY, FORCE, VIRIAL], [3, 90, 7])
    base = np.random.default_rng(0).uniform(0.1, 2.0, kinds.size)
    weights = group_weights(kinds, base)
    assert [weights[kinds == k].sum() for k in (0, 1, 2)] == pytest.approx([100 / 3] * 3)
    ratio = weights[kinds == FORCE] / base[kinds == FORCE]
    np.testing.assert_allclose(ratio, ratio[0])
    np.testing.assert_allclose(group_weights(np.full(5, FORCE)), 1.0)
    for bad in ([-1.0, 1.0], [0.0, 1.0]):
        with pytest.raises(UqError):
            group_weights([ENERGY, FORCE], bad)
    with pytest.raises(UqError, match="no rows"):
        group_weights([])
