# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of error bars: what they must be on errors whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from lmp_uq.metrics.bars import auroc, bar_metrics, baseline_metrics, has_bar, share, spearman
from lmp_uq.metrics.bootstrap import intervals
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.samples import Samples

N = 100_000
GAUSSIAN = {
    "mean_error_over_std": 0.7979,
    "within_1_std": 0.6827,
    "within_2_std": 0.9545,
    "within_3_std": 0.9973,
}


def gaussian_errors(n=N, seed=0):
    """Errors (n,) and the std (n,) that they were drawn with, over two decades."""
    rng = np.random.default_rng(seed)
    std = 10.0 ** rng.uniform(-2.0, 0.0, n)
    return std * rng.normal(size=n), std


def figures(error, std, n_members=100, **options):
    return bar_metrics(error, std, -3.0 * std, 3.0 * std, n_members, **options)


def departs_from_gaussian(found):
    return {key for key, value in GAUSSIAN.items() if abs(found[key] - value) > 0.01}


# --- bars -------------------------------------------------------------------------------------------------


def test_gaussian_errors_give_the_gaussian_figures():
    error, std = gaussian_errors()
    found = figures(error, std)
    assert not departs_from_gaussian(found)
    assert found["mae"] == np.mean(np.abs(error)) and found["rmse"] == np.sqrt(np.mean(error**2))
    assert found["n"] == N and found["n_without_bar"] == 0 and found["n_members"] == 100
    assert found["envelope_violation"] == pytest.approx(1.0 - 0.9973, abs=1e-3)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_planted_factor_in_std_is_seen(factor):
    error, std = gaussian_errors()
    right, wrong = figures(error, std), figures(error, factor * std)
    assert wrong["mean_error_over_std"] == pytest.approx(right["mean_error_over_std"] / factor)
    assert departs_from_gaussian(wrong) >= {"mean_error_over_std", "within_1_std", "within_2_std"}
    # ranking does not know the scale
    assert wrong["spearman"] == right["spearman"]


@pytest.mark.parametrize("n_members", [4, 19, 99])
def test_bounds_of_exchangeable_members_are_left_with_probability_2_of_k_plus_1(n_members):
    rng = np.random.default_rng(n_members)
    n, expected = 20_000, 2.0 / (n_members + 1)
    scale = rng.uniform(0.1, 1.0, n)
    members, error = scale * rng.normal(size=(n_members, n)), scale * rng.normal(size=n)
    found = bar_metrics(error, scale, members.min(axis=0), members.max(axis=0), n_members)
    tolerance = 5.0 * np.sqrt(expected / n)
    assert found["envelope_violation"] == pytest.approx(expected, abs=tolerance)
    # planted error: labels that are drawn about another centre than the members
    shifted = bar_metrics(error + scale, scale, members.min(axis=0), members.max(axis=0), n_members)
    assert abs(shifted["envelope_violation"] - expected) > tolerance


def test_an_error_on_its_bound_is_inside():
    found = bar_metrics([1.0, -1.0, 1.1], np.ones(3), -np.ones(3), np.ones(3), 2)
    assert found["envelope_violation"] == pytest.approx(1.0 / 3.0)


def test_labels_without_bar_change_only_what_needs_no_bar():
    error, std = gaussian_errors(1000)
    before = figures(error, std)
    after = figures(np.append(error, [5.0, -5.0]), np.append(std, [0.0, 0.0]))
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"n", "n_without_bar", "mae", "rmse"}
    assert after["n"] == 1002 and after["n_without_bar"] == 2


def test_a_bar_of_rounding_size_is_no_bar():
    error, std = gaussian_errors(1000)
    before = figures(error, std)
    after = figures(np.append(error, 5.0), np.append(std, 1e-7 * std.max()))
    assert after["n_without_bar"] == 1 and after["mean_error_over_std"] == before["mean_error_over_std"]


@pytest.mark.parametrize("told", [True, False])
def test_bars_below_the_floor_are_not_the_mean_ratio(told):
    error, std = gaussian_errors(1000)
    certifiable = np.arange(1050) < 1000 if told else None
    every_error, every_std = np.append(error, np.full(50, 0.3)), np.append(std, np.full(50, 1e-4))
    before, after = figures(error, std), figures(every_error, every_std, certifiable=certifiable)
    assert after["mean_error_over_std"] == before["mean_error_over_std"] < 1.0 < np.mean(np.abs(every_error) / every_std)
    assert after["n_firm"] == 1000 and after["n_without_bar"] == 0 and after["within_3_std"] < before["within_3_std"]
    interval = intervals(every_error, every_std, np.arange(1050), certifiable=certifiable)["mean_error_over_std"]
    assert interval[0] < before["mean_error_over_std"] < interval[1] < 1.0
    # of wide bars that the box does not certify the ratio is none either
    wide = figures(every_error, np.append(std, np.full(50, 0.01)), certifiable=np.arange(1050) < 1000)
    assert wide["mean_error_over_std"] == before["mean_error_over_std"]


def test_no_labels_and_no_bars_give_no_figures():
    empty = figures(np.zeros(0), np.zeros(0))
    assert empty.pop("n") == empty.pop("n_firm") == 0 and empty.pop("n_members") == 100 and empty.pop("n_without_bar") == 0
    assert set(empty.values()) == {None}
    bare = figures(np.ones(4), np.zeros(4))
    assert bare["n_without_bar"] == 4 and bare["mae"] == 1.0
    assert bare["envelope_violation"] is bare["mean_error_over_std"] is bare["spearman"] is None


# --- baselines --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [1.0, 2.0, 1e-6])
def test_a_score_that_is_the_true_scale_gives_the_gaussian_figures(unit):
    error, std = gaussian_errors()
    found = baseline_metrics(error, unit * std)
    assert not departs_from_gaussian(found)
    assert found["spearman"] == spearman(np.abs(error), std)


@pytest.mark.parametrize("planted", ["square", "other labels"])
def test_a_wrong_score_departs_from_the_gaussian_figures(planted):
    error, std = gaussian_errors()
    score = std**2 if planted == "square" else std[::-1]
    assert departs_from_gaussian(baseline_metrics(error, score))


def test_a_constant_ranks_nothing_but_has_a_width():
    error, _ = gaussian_errors(1000)
    found = baseline_metrics(error, np.full(1000, 3.0))
    assert found["spearman"] is None
    assert found["mean_error_over_std"] == pytest.approx(np.mean(np.abs(error)) / np.sqrt(np.mean(error**2)))


@pytest.mark.parametrize("n", [0, 5])
def test_a_score_of_zeros_gives_no_figures(n):
    assert set(baseline_metrics(np.ones(n), np.zeros(n)).values()) == {None}


def test_a_zero_score_is_ranked_and_counted_but_has_no_ratio():
    error, std = gaussian_errors(1000)
    score = np.append(std, 0.0)
    found = baseline_metrics(np.append(error, 4.0), score)
    assert found["spearman"] == pytest.approx(spearmanr(np.abs(np.append(error, 4.0)), score).statistic)
    assert np.isfinite(found["mean_error_over_std"]) and found["within_3_std"] < 1.0


# --- ranking ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [0, 7])
def test_spearman_is_that_of_scipy(levels):
    rng = np.random.default_rng(1)
    a = rng.normal(size=200)
    b = a + rng.normal(size=200)
    if levels:  # ties
        a, b = np.round(a * levels), np.round(b)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert spearman(a, -b) == pytest.approx(-spearman(a, b), abs=1e-12)
    assert spearman(np.exp(a), b) == pytest.approx(spearman(a, b), abs=1e-12)


def test_spearman_of_constants_and_of_two_is_none():
    rising = np.arange(5.0)
    assert spearman(rising, np.ones(5)) is spearman(np.ones(5), rising) is None
    assert spearman(rising[:2], rising[:2]) is None
    assert spearman(rising, np.full(5, np.inf)) is None
    assert spearman(rising, np.array([0.0, 1.0, 2.0, 3.0, np.inf])) == pytest.approx(1.0)


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(2)
    score = rng.integers(0, 12, 80) / 4.0  # many ties
    event = rng.random(80) < 0.3
    pairs = [float(x > y) + 0.5 * (x == y) for x in score[event] for y in score[~event]]
    assert auroc(score, event) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert auroc(-score, event) == pytest.approx(1.0 - np.mean(pairs), abs=1e-12)
    assert auroc(np.ones(80), event) == 0.5


def test_auroc_needs_both_kinds():
    assert auroc(np.arange(3.0), np.ones(3, bool)) is auroc(np.arange(3.0), np.zeros(3, bool)) is None
    assert auroc(np.zeros(0), np.zeros(0, bool)) is share(np.zeros(0)) is None


# --- samples by group -------------------------------------------------------------------------------------


def two_groups():
    """Ideal crystals, whose force bars are rounding alone, and a liquid."""
    error, std = gaussian_errors(400)
    groups = np.repeat(np.array(["ideal", "liquid"], dtype=object), 200)
    error[:200], std[:200] = 1e-3, 1e-15 * (1.0 + np.arange(200))
    norm = np.random.default_rng(3).uniform(0.1, 2.0, 400)
    return Samples(error, np.zeros(400), std, -3.0 * std, 3.0 * std, norm, groups)


def test_a_group_of_ideal_crystals_has_no_bars_of_rounding():
    samples = two_groups()
    ideal = samples.metrics(samples.groups == "ideal", 10)
    assert ideal["n"] == ideal["n_without_bar"] == 200 and ideal["mean_error_over_std"] is None
    # within that group alone the rounding would pass for bars
    assert has_bar(samples.std[:200]).all()


def test_bars_and_baselines_are_compared_on_the_same_labels():
    samples = two_groups()
    every, liquid = np.ones(400, bool), samples.groups == "liquid"
    assert samples.metrics(every, 10)["baselines"] == samples.metrics(liquid, 10)["baselines"]
    assert samples.metrics(every, 10)["spearman"] == samples.metrics(liquid, 10)["spearman"]


def test_an_infinite_bar_covers_nothing():
    rng = np.random.default_rng(4)
    error, bar = rng.random(300), np.full(300, 0.9)
    known = AtomSamples(error, bar, rng.random(300), np.zeros(300), np.full(300, "a", dtype=object))
    wider = np.where(np.arange(300) < 100, np.inf, bar)
    partly = AtomSamples(error, wider, known.force_norm, np.full(300, 2.0), known.groups)
    every = np.ones(300, bool)
    assert known.metrics(every)["coverage"] == pytest.approx(np.mean(error <= 0.9))
    assert known.metrics(every)["n_infinite"] == 0 and known.metrics(every)["spearman"] is None
    found = partly.metrics(every)
    assert found["coverage"] == pytest.approx(np.mean(error[100:] <= 0.9)) and found["median_width"] == 0.9
    assert found["n_infinite"] == 100 and found["n_atoms"] == 300 and found["grade_above_1"] == 1.0
    nothing = partly.metrics(~every)
    assert nothing["coverage"] is nothing["median_width"] is nothing["auroc_0.3"] is None
