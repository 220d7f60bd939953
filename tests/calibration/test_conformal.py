# SPDX-License-Identifier: GPL-2.0-or-later
"""Conformal factors: coverage on scores whose distribution is known."""

from __future__ import annotations

import numpy as np
import pytest

from lmp_uq.calibration import (
    conformal_quantile,
    group_quantiles,
    leave_one_group_out_coverage,
    pooled_and_conservative,
    split_by_group,
)
from lmp_uq.calibration.conformal import least_blocks
from lmp_uq.errors import UqError


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_least_number_of_blocks_is_what_makes_the_quantile_finite(level):
    n = least_blocks(level)
    assert np.isfinite(conformal_quantile(np.ones(n), level))
    assert n == 1 or np.isinf(conformal_quantile(np.ones(n - 1), level))


def grouped_scores(rng, n_sets, n_blocks, size=8):
    """Scores of blocks: a factor that a block shares, which does most, times a number of each score."""
    shared = rng.lognormal(0.0, 1.0, (n_sets, n_blocks, 1))
    return shared * (1.0 + 0.2 * rng.random((n_sets, n_blocks, size)))


@pytest.mark.parametrize("n_blocks", [9, 12, 40])
def test_blocks_cover_a_new_block_and_single_scores_do_not(n_blocks):
    rng = np.random.default_rng(n_blocks)
    sets = grouped_scores(rng, 1000, n_blocks + 1)
    blocks = np.repeat(np.arange(n_blocks), 8)
    by_block, by_score = [], []
    for scores in sets:
        known, new = scores[:-1].ravel(), scores[-1]
        by_block.append(np.mean(new <= conformal_quantile(known, 0.9, blocks)))
        by_score.append(np.mean(new <= conformal_quantile(known, 0.9)))
    assert 0.9 - 0.01 < np.mean(by_block) < 0.9 + 1 / (n_blocks + 1) + 0.01
    if n_blocks == 12:  # twelve frames are not 96 measurements
        assert np.mean(by_score) < 0.87


def test_blocks_have_equal_weights_whatever_their_size():
    scores, blocks = np.concatenate([np.full(1000, 5.0), np.arange(18.0)]), np.append(np.zeros(1000), np.arange(1, 19))
    assert conformal_quantile(scores, 0.9, blocks) == 16.0
    assert conformal_quantile(scores, 0.9) == 5.0
    assert conformal_quantile(scores[-8:], 0.9, blocks[-8:]) == np.inf
    order = np.random.default_rng(0).permutation(len(scores))
    assert conformal_quantile(scores[order], 0.9, blocks[order]) == 16.0


def test_one_score_per_block_is_split_conformal():
    scores = np.random.default_rng(3).exponential(size=200)
    for n in (1, 8, 9, 10, 19, 20, 133, 200):
        for level in (0.5, 0.9, 0.95):
            assert conformal_quantile(scores[:n], level, np.arange(n)) == conformal_quantile(scores[:n], level)


def test_quantile_is_the_stated_order_statistic():
    scores = np.random.default_rng(0).permutation(np.arange(1.0, 10.0))
    assert conformal_quantile(scores, 0.9) == 9.0
    assert conformal_quantile(scores, 0.5) == 5.0
    assert conformal_quantile(scores, 0.901) == np.inf
    assert conformal_quantile(scores[:8], 0.9) == np.inf


@pytest.mark.parametrize("n", [9, 19, 50])
def test_quantile_covers_exchangeable_scores(n):
    scores = np.random.default_rng(n).exponential(size=(20_000, n + 1))
    ordered = np.sort(scores[:, :n], axis=1)
    rank = np.flatnonzero(ordered[0] == conformal_quantile(scores[0, :n], 0.9))[0]
    coverage = np.mean(scores[:, n] <= ordered[:, rank])
    assert 0.9 - 0.007 < coverage < 0.9 + 1 / (n + 1) + 0.007


def test_factors_by_group():
    rng = np.random.default_rng(0)
    groups = rng.choice([1, 2, 5], 3000)
    scores = rng.exponential(size=3000) * np.where(groups == 5, 3.0, 1.0)
    factors = group_quantiles(scores, groups, 0.9)
    pooled, conservative = pooled_and_conservative(scores, groups, 0.9)
    assert factors[5] == max(factors.values()) == conservative > pooled == conformal_quantile(scores, 0.9)
    report = leave_one_group_out_coverage(scores, groups, 0.9)
    assert report[5]["coverage"] < 0.7 and report[1]["coverage"] > 0.93
    assert report[5]["factor"] == conformal_quantile(scores[groups != 5], 0.9)
    assert {group: members.sum() for group, members in split_by_group(groups, 3000)} == {
        group: entry["n"] for group, entry in report.items()
    }
    assert group_quantiles([1.0, 2.0], ["a", "a"], 0.9) == {"a": 2.0}


def test_unusable_input_is_refused():
    for scores, level in (([], 0.9), ([np.nan], 0.9), ([-1.0], 0.9), ([1.0], 1.0), ([1.0], 0.0)):
        with pytest.raises(UqError, match="conformal"):
            conformal_quantile(scores, level)
