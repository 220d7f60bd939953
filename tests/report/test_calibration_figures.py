# SPDX-License-Identifier: GPL-2.0-or-later
"""Calibration, risk-coverage and warnings: closed forms, and every figure shown to move on a planted error."""

from __future__ import annotations

import copy
from functools import lru_cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from lmp_uq.metrics.bars import (
    auroc,
    bar_metrics,
    confidence,
    crps_gaussian,
    hindsight_std,
    observed_coverage,
    risk_coverage,
    risk_coverage_gain,
    shape_metrics,
    spearman,
    spearman_within,
)
from lmp_uq.report.plots.calibration import binned_errors, mixture_density
from lmp_uq.report.verdict import verdict, warnings_of
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.parts import figures
from lmp_uq.validation.samples import FORCE_THRESHOLDS, Bars, CalibratedBars, Samples

N = 40_000


def gaussian(n=N, seed=0):
    rng = np.random.default_rng(seed)
    std = 10.0 ** rng.uniform(-2.0, 0.0, n)
    return std * rng.normal(size=n), std


@lru_cache
def validation_once(**planted):
    return make_validation(**planted)


def validation(**planted):
    """A copy that a test may change."""
    return copy.deepcopy(validation_once(**planted))


def make_validation(error_factor=1.0, bound=3.0, shuffle=False, n_members=512):
    """Result of 60 frames with 10 force components each; errors Gaussian of the std times a factor."""
    rng = np.random.default_rng(5)
    frames, n = np.repeat(np.arange(60), 10), 600
    error, std = gaussian(n, 6)
    error, bars = error_factor * error, rng.permutation(std) if shuffle else std
    groups = np.where(frames < 30, "a", "b").astype(object)
    forces = Samples(
        error, np.zeros(n), bars, -bound * bars, bound * bars, rng.random(n), groups,
        frames=frames, elements=np.where(np.arange(n) % 2, "W", "Ta").astype(object), thresholds=FORCE_THRESHOLDS,
    )  # fmt: skip
    return {"model": "m", "sha256": "0" * 64, "n_frames": 60, "in_sample": False} | figures({"forces": forces}, n_members)


# --- closed forms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "std"), [(0.0, 1.0), (0.7, 0.3), (-2.0, 0.5), (0.1, 4.0)])
def test_crps_is_the_integral_of_its_definition(error, std):
    def square(t):
        return (ndtr(t / std) - (t >= error)) ** 2

    low, high = min(error, 0.0) - 12.0 * std, max(error, 0.0) + 12.0 * std
    expected = quad(square, low, error)[0] + quad(square, error, high)[0]
    assert crps_gaussian(error, std) == pytest.approx(expected, rel=1e-7)


def test_crps_of_no_width_is_the_error():
    np.testing.assert_array_equal(crps_gaussian([1.0, -2.0], [0.0, 0.0]), [1.0, 2.0])


def test_calibrated_gaussian_errors():
    error, std = gaussian()
    found = shape_metrics(error, std)
    for level in (50, 90, 95):
        assert found[f"coverage_{level}"] == pytest.approx(level / 100.0, abs=0.01)
    assert found["miscalibration_area"] < 0.005
    assert found["sharpness"] == pytest.approx(np.sqrt(np.mean(std**2)))
    # the mean CRPS of calibrated Gaussians is std / sqrt(pi)
    assert found["crps"] == pytest.approx(np.mean(std) / np.sqrt(np.pi), rel=0.02)


def test_coverage_of_errors_twice_too_large_is_that_of_half_the_interval():
    error, std = gaussian()
    found = shape_metrics(2.0 * error, std)
    assert found["coverage_90"] == pytest.approx(2.0 * ndtr(1.645 / 2.0) - 1.0, abs=0.01)
    assert found["miscalibration_area"] > 0.15
    # a wrong width costs CRPS, in either direction
    right = shape_metrics(error, std)["crps"]
    assert shape_metrics(error, 2.0 * std)["crps"] > 1.05 * right and shape_metrics(error, 0.5 * std)["crps"] > 1.03 * right


def test_confidence_and_observed_coverage():
    np.testing.assert_allclose(confidence([0.0, 1.0, -1.959964], [1.0, 1.0, 1.0]), [0.0, 0.682689, 0.95], atol=1e-6)
    np.testing.assert_array_equal(confidence([0.0, 1.0], [0.0, 0.0]), [0.0, 1.0])
    np.testing.assert_allclose(observed_coverage(np.array([0.1, 0.5, 0.5, 0.9]), [0.05, 0.5, 0.9]), [0.0, 0.75, 1.0])


# --- risk and coverage ------------------------------------------------------------------------------------


def test_risk_coverage_by_hand():
    retained, rmse = risk_coverage([3.0, -1.0, 2.0], [0.3, 0.1, 0.2])
    np.testing.assert_allclose(retained, [1 / 3, 2 / 3, 1.0])
    np.testing.assert_allclose(rmse**2, [1.0, 2.5, 14.0 / 3.0])


def test_ties_share_their_error_so_a_constant_gives_a_flat_line():
    error, _ = gaussian(500)
    _, rmse = risk_coverage(error, np.ones(500))
    np.testing.assert_allclose(rmse, np.sqrt(np.mean(error**2)))


def test_the_gain_is_one_for_the_errors_and_zero_for_chance():
    error, std = gaussian(5000)
    assert risk_coverage_gain(error, np.abs(error)) == pytest.approx(1.0)
    assert risk_coverage_gain(error, np.ones(5000)) == pytest.approx(0.0, abs=1e-12)
    assert risk_coverage_gain(error, std) > 0.6
    assert abs(risk_coverage_gain(error, np.random.default_rng(0).permutation(std))) < 0.1
    assert risk_coverage_gain(error, -np.abs(error)) < -0.5
    assert risk_coverage_gain(np.ones(5), std[:5]) is None


def test_spearman_within_groups_does_not_see_differences_between_them():
    rng = np.random.default_rng(1)
    groups = np.repeat(["a", "b"], [300, 100])
    level = np.where(groups == "a", 1.0, 100.0)
    a, b = level * rng.uniform(1.0, 2.0, 400), level * rng.uniform(1.0, 2.0, 400)
    assert spearman(a, b) > 0.5 and abs(spearman_within(a, b, groups)) < 0.15
    parts = [spearman(a[groups == g], b[groups == g]) for g in "ab"]
    assert spearman_within(a, b, groups) == pytest.approx(0.75 * parts[0] + 0.25 * parts[1])
    assert spearman_within(a, np.ones(400), groups) is None


# --- planted errors ---------------------------------------------------------------------------------------


def test_good_bars_have_no_warning_and_a_good_verdict():
    result = validation()
    assert warnings_of(result) == []
    (sentence,) = verdict(result)
    assert "about right" in sentence and "better than |F_predicted|" in sentence


def test_errors_doubled_lower_the_coverage_and_warn():
    good, bad = validation(), validation(error_factor=2.0)
    assert bad["forces"]["coverage_90"] < good["forces"]["coverage_90"] - 0.2
    assert any("too narrow" in sentence for sentence in warnings_of(bad))
    assert "too narrow" in verdict(bad)[0]


def test_bars_twice_too_wide_are_called_so():
    assert "twice as wide" in verdict(validation(error_factor=0.4))[0]


def test_shuffled_bars_rank_nothing_and_warn():
    bad = validation(shuffle=True)
    assert abs(bad["forces"]["spearman"]) < 0.1 and bad["forces"]["interval"]["spearman"][0] < 0.05
    assert abs(bad["forces"]["auroc_0.3"] - 0.5) < 0.1 and abs(bad["forces"]["risk_coverage_gain"]) < 0.2
    assert validation()["forces"]["auroc_0.3"] > 0.75 and validation()["forces"]["spearman"] > 0.4


def test_half_the_envelope_is_left_more_often_and_warns():
    good, bad = validation(), validation(bound=1.0)
    assert bad["forces"]["envelope_violation"] > good["forces"]["envelope_violation"] + 0.2
    assert any("outside the K-member bounds" in sentence for sentence in warnings_of(bad))
    # of two members a third of the labels may lie outside
    assert not any("outside the K-member" in s for s in warnings_of(validation(bound=1.0, n_members=2)))


def test_one_bad_group_of_two_is_named():
    result = validation()
    result["groups"]["b"]["forces"]["coverage_90"] = 0.5
    (sentence,) = warnings_of(result)
    assert "b 0.500" in sentence and "a 0." not in sentence


# --- parts of the labels ----------------------------------------------------------------------------------


def test_groups_elements_and_methods_have_their_own_figures():
    result = validation()
    assert set(result["groups"]) == {"a", "b"} and set(result["elements"]) == {"W", "Ta"}
    assert sum(part["forces"]["n"] for part in result["elements"].values()) == 600
    assert list(result["comparison"]["forces"]) == ["POPS", "constant", "|F_predicted|"]
    assert result["comparison"]["forces"]["POPS"]["crps"] == result["forces"]["crps"]
    assert result["comparison"]["forces"]["constant"]["hindsight"] and not result["comparison"]["forces"]["POPS"]["hindsight"]
    curve = result["forces"]["risk_coverage"]
    assert curve["retained"][-1] == 1.0 and curve["rmse"][-1] == pytest.approx(result["forces"]["rmse"])


def test_rows_below_the_leverage_floor_are_counted_and_told_apart():
    error, std = gaussian(1000)
    certifiable = np.arange(1000) % 4 > 0
    error[~certifiable] = 10.0
    mine = Samples(error, np.zeros(1000), std, -4 * std, 4 * std, std, np.full(1000, "a", dtype=object), certifiable=certifiable)
    found = mine.metrics(np.ones(1000, bool), 100)
    assert found["n_not_certifiable"] == 250
    assert found["envelope_violation"] > 0.2 > 0.01 > found["envelope_violation_certifiable"]
    mine.certifiable = None
    assert mine.metrics(np.ones(1000, bool), 100)["n_not_certifiable"] is None


def test_a_calibrated_factor_has_its_own_coverage():
    error, std = gaussian(5000)
    bars = CalibratedBars(3.29 * std, 0.9)
    mine = Samples(2 * error, np.zeros(5000), std, -std, std, std, np.full(5000, "a", dtype=object), calibrated=bars)
    found = mine.metrics(np.ones(5000, bool), 100)["calibrated"]
    assert found["coverage"] == pytest.approx(0.9, abs=0.02) and found["level"] == 0.9
    mine.calibrated = CalibratedBars(1.645 * std, 0.9)
    assert mine.metrics(np.ones(5000, bool), 100)["calibrated"]["coverage"] < 0.7


def test_levels_of_force_error_and_scores_of_other_methods():
    rng = np.random.default_rng(2)
    error = np.abs(rng.normal(size=2000))
    groups, one = np.full(2000, "a", dtype=object), np.ones(2000)
    mine = AtomSamples(error, 1.645 * one, rng.random(2000), rng.random(2000), groups, levels={0.5: 0.674 * one, 0.9: 1.645 * one})
    mine.scores["kNN"] = error + 0.1 * rng.random(2000)
    found = mine.metrics(np.ones(2000, bool))
    assert found["coverage_by_level"]["0.5"] == pytest.approx(0.5, abs=0.03)
    assert found["coverage_by_level"]["0.9"] == found["coverage"]
    others, judged = found["baselines"], mine.judged()
    assert others["kNN"]["spearman"] > 0.99 and abs(others["grade"]["spearman"]) < 0.1
    assert others["kNN"]["auroc_1.0"] == auroc(mine.scores["kNN"][judged], error[judged] > 1.0)


def test_other_methods_stand_beside_pops_on_the_labels_that_have_a_bar():
    error, std = gaussian(400)
    std[:100] = 0.0
    mine = Samples(error, np.zeros(400), std, -3 * std, 3 * std, np.ones(400), np.full(400, "a", dtype=object))
    mine.others["bagging"] = Bars(np.full(400, 0.5), np.full(400, -0.1), np.full(400, 0.1))
    found = mine.comparison()
    assert {figures["n"] for figures in found.values()} == {300}
    assert found["bagging"]["envelope_violation"] == np.mean(np.abs(error[100:]) > 0.1)
    assert found["constant"]["sharpness"] == pytest.approx(np.sqrt(np.mean(error[100:] ** 2)))


def test_hindsight_scale_and_its_absence():
    assert np.sqrt(np.mean(hindsight_std([1.0, 3.0], [2.0, 2.0]) ** 2)) == pytest.approx(np.sqrt(5.0))
    assert hindsight_std([1.0], [0.0]) is hindsight_std([], []) is None


def test_auroc_keys_of_bars():
    error, std = gaussian(300)
    found = bar_metrics(error, std, -std, std, 9, thresholds=(0.1, 1.0))
    assert found["auroc_0.1"] == auroc(std, np.abs(error) > 0.1) and "auroc_0.3" not in found


# --- what the plots show ----------------------------------------------------------------------------------


def test_the_predicted_density_is_normalised():
    grid = np.linspace(-20.0, 20.0, 8001)
    density = mixture_density(grid, np.array([0.5, 1.0, 2.0]))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-6)
    assert np.trapezoid(density * grid**2, grid) == pytest.approx((0.25 + 1.0 + 4.0) / 3.0, abs=1e-6)


def test_bins_hold_their_mean_and_largest_error():
    width = np.repeat([1.0, 10.0, 100.0], [10, 4, 10])
    error = np.concatenate([np.arange(10.0), np.full(4, 77.0), np.arange(10.0) + 50.0])
    centres, mean, largest = binned_errors(width, error)
    np.testing.assert_allclose(mean, [4.5, 54.5])
    np.testing.assert_allclose(largest, [9.0, 59.0])
    np.testing.assert_allclose(centres, [1.0, 100.0])
