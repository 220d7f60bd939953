# SPDX-License-Identifier: GPL-2.0-or-later
"""Bootstrap intervals: weighted figures are those of repeated labels, and the intervals cover the truth."""

from __future__ import annotations

import numpy as np
import pytest

from lmp_uq.metrics.bars import auroc, bar_metrics, spearman
from lmp_uq.metrics.bootstrap import (
    MIN_BLOCKS,
    block_counts,
    intervals,
    percentile_interval,
    share_interval,
    weighted_auroc,
    weighted_spearman,
)

THRESHOLDS = (0.1, 0.3)


def labels(n=300, seed=0):
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.1, 1.0, n)
    return std * rng.normal(size=n), std, rng


def positions(values):
    return np.unique(values, return_inverse=True)[1].ravel()


def test_weighted_ranks_are_those_of_repeated_labels():
    rng = np.random.default_rng(1)
    a, b, weight = rng.integers(0, 9, 60), rng.integers(0, 9, 60) / 2.0, rng.integers(0, 4, 60)
    many_a, many_b = np.repeat(a, weight), np.repeat(b, weight)
    found = weighted_spearman(positions(a), positions(b), weight.astype(float))
    assert found == pytest.approx(spearman(many_a, many_b), abs=1e-12)
    event = rng.random(60) < 0.4
    expected = auroc(many_b, np.repeat(event, weight))
    assert weighted_auroc(positions(b), event, weight.astype(float)) == pytest.approx(expected, abs=1e-12)


def test_weighted_ranks_of_nothing_are_nan():
    ones = np.ones(5)
    assert np.isnan(weighted_spearman(np.zeros(5, int), np.arange(5), ones))
    assert np.isnan(weighted_spearman(np.arange(5), np.arange(5), np.array([1.0, 1.0, 0.0, 0.0, 0.0])))
    assert np.isnan(weighted_auroc(np.arange(5), np.ones(5, bool), ones))


def test_intervals_are_the_percentiles_of_figures_of_repeated_labels():
    error, std, rng = labels()
    blocks, groups = np.repeat(np.arange(30), 10), np.repeat(["a", "b"], 150)
    lower, upper, bar = -1.5 * std, 1.5 * std, rng.random(300) > 0.1
    found = intervals(
        error, std, blocks, lower=lower, upper=upper, bar=bar, groups=groups, thresholds=THRESHOLDS, n_resamples=12, seed=3
    )
    repeated = []
    for row in block_counts(30, 12, 3):
        index = np.repeat(np.arange(300), row[blocks])
        parts = (x[index] for x in (error, std, lower, upper))
        repeated.append(bar_metrics(*parts, 100, bar[index], groups[index], THRESHOLDS))
    assert set(found) >= {"rmse", "coverage_90", "spearman", "spearman_within_groups", "auroc_0.3", "crps", "miscalibration_area"}
    for name, interval in found.items():
        expected = np.percentile([one[name] for one in repeated], (2.5, 97.5))
        np.testing.assert_allclose(interval, expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_equal_seeds_give_equal_intervals_and_other_seeds_do_not():
    error, std, _ = labels()
    blocks = np.repeat(np.arange(30), 10)
    assert intervals(error, std, blocks) == intervals(error, std, blocks)
    assert intervals(error, std, blocks) != intervals(error, std, blocks, seed=1)


def test_labels_that_move_together_widen_the_interval():
    rng = np.random.default_rng(4)
    blocks = np.repeat(np.arange(40), 25)
    error = rng.normal(size=40)[blocks] + 0.01 * rng.normal(size=1000)
    together = intervals(error, np.ones(1000), blocks)["rmse"]
    alone = intervals(error, np.ones(1000), np.arange(1000))["rmse"]
    assert together[1] - together[0] > 3.0 * (alone[1] - alone[0])


def test_intervals_cover_the_truth():
    truth = {"coverage_90": 0.9, "rmse": np.sqrt(2.0), "mean_error_over_std": np.sqrt(2.0 / np.pi)}
    covered, n_trials = dict.fromkeys(truth, 0), 100
    for trial in range(n_trials):
        rng = np.random.default_rng(trial)
        # frames differ in size of their errors, and the bars know it
        std = np.repeat(np.where(rng.random(50) < 0.5, 1.0, np.sqrt(3.0)), 6)
        found = intervals(std * rng.normal(size=300), std, np.repeat(np.arange(50), 6), n_resamples=60, seed=trial)
        for name, value in truth.items():
            covered[name] += found[name][0] <= value <= found[name][1]
    # 95 % less what percentiles of 60 resamples and 50 blocks lose; 4 standard errors of the trials
    lowest = 0.92 - 4.0 * np.sqrt(0.92 * 0.08 / n_trials)
    assert min(covered.values()) / n_trials > lowest and sum(covered.values()) < 3 * n_trials
    # planted error: labels taken for independent that are not
    rng = np.random.default_rng(0)
    common = np.repeat(np.where(rng.random(50) < 0.5, 0.2, 2.0), 20)
    narrow, wide = (intervals(common, np.ones(1000), b, n_resamples=60)["rmse"] for b in (np.arange(1000), np.repeat(np.arange(50), 20)))
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])


def test_few_blocks_give_no_interval():
    error, std, _ = labels(100)
    few = np.arange(100) % (MIN_BLOCKS - 1)
    assert set(intervals(error, std, few, thresholds=THRESHOLDS).values()) == {None}
    assert share_interval(error > 0, few) is None and share_interval(error > 0, np.arange(100)) is not None
    assert set(intervals(error[:0], std[:0], few[:0]).values()) == {None}


def test_percentile_interval_needs_half_of_the_resamples():
    assert percentile_interval([np.nan, 1.0, 1.0]) == [1.0, 1.0]
    assert percentile_interval([np.nan, np.nan, 1.0]) is None
    assert percentile_interval([]) is None
