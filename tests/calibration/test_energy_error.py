# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars of energies and stresses, and what a few frames change: on errors of known distribution."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from lmp_uq.calibration import ScaledError, conformal_quantile, fit_scaled_error
from lmp_uq.calibration.few_frames import few_frames_of_a_group
from lmp_uq.calibration.grade_error import GradeError, bar_of_energies, choose_energy_bar, fit_grade_error, grade_leave_one_group_out
from lmp_uq.calibration.labelled_atoms import ScaledLabels
from lmp_uq.calibration.scaled_error import element_factors, scaled_leave_one_group_out
from lmp_uq.errors import UqError


def scaled_labels(seed, n=300, per_block=6, true_ratio=1.0):
    rng = np.random.default_rng(seed)
    std = rng.lognormal(0.0, 0.8, n * per_block)
    shared = np.repeat(rng.choice([0.5, 1.5], n), per_block)
    groups = np.repeat(rng.choice(["a", "b"], n), per_block)
    return true_ratio * shared * std * rng.standard_normal(n * per_block), std, groups, np.repeat(np.arange(n), per_block)


def test_scaled_bars_cover_new_frames():
    bar = fit_scaled_error(*scaled_labels(0))
    error, std, _, _ = scaled_labels(1)
    assert np.mean(np.abs(error) <= bar.predict(std)) == pytest.approx(0.9, abs=0.02)
    assert np.mean(np.abs(2 * error) <= bar.predict(std)) < 0.75, "planted: errors of twice the size"
    assert bar.n_blocks == 300 and bar.n_groups == 2 and bar.conservative_factor >= bar.factor
    # the factor is what makes the raw std honest: it scales inversely with it
    doubled = fit_scaled_error(*scaled_labels(0, true_ratio=2.0))
    assert doubled.factor == pytest.approx(2 * bar.factor, rel=1e-12)
    assert ScaledError.from_dict(bar.to_dict() | {"leave_one_group_out": {}}) == bar


def test_scaled_leave_one_group_out_uses_the_other_groups_only():
    error, std, groups, blocks = scaled_labels(0)
    error = np.where(groups == "b", 3 * error, error)
    report = scaled_leave_one_group_out(error, std, groups, blocks)
    assert report["b"]["coverage"] < 0.6 < 0.97 < report["a"]["coverage"]
    again = scaled_leave_one_group_out(np.where(groups == "b", 2 * error, error), std, groups, blocks)
    assert again["b"]["width"] == report["b"]["width"] and again["a"]["width"] > report["a"]["width"]
    few = blocks < 12
    assert scaled_leave_one_group_out(*(column[few] for column in (error, std, groups, blocks)))["a"]["coverage"] is None


def test_scaled_labels_that_cannot_be_calibrated_are_refused():
    error, std, groups, blocks = scaled_labels(0, n=8)
    with pytest.raises(UqError, match=r"8 frames or labels are too few for level 0\.9"):
        fit_scaled_error(error, std, groups, blocks)
    with pytest.raises(UqError, match="stds above 0"):
        fit_scaled_error(error, 0 * std, groups, blocks)
    for broken in ({"factor": 1.0}, {"factor": 2.0, "conservative_factor": 1.0}, {"factor": "1", "conservative_factor": 1.0}):
        with pytest.raises(UqError, match="ScaledError"):
            ScaledError.from_dict({"level": 0.9, "n_groups": 1, "n_blocks": 9} | broken)


def test_elements_in_few_frames_get_no_factor():
    scores, elements = np.arange(1.0, 61.0), np.repeat(["Si", "O"], [20, 40])
    factors = element_factors(scores, elements, np.arange(60), min_blocks=30)
    assert factors == {"O": conformal_quantile(scores[20:], 0.9)}


# ---- a few frames of a new system -------------------------------------------------------------------------


def test_ten_frames_of_a_worse_system_restore_its_coverage():
    rng = np.random.default_rng(0)
    scores, blocks = np.abs(rng.standard_normal(600)), np.repeat(np.arange(100), 6)
    found = few_frames_of_a_group((scores[:360], blocks[:360]), (3 * scores[360:], blocks[360:]), 0.9)
    assert found["n_frames"] == 40
    assert found["others"] < 0.45 < found["added"] < 0.6 < 0.87 < found["alone"]
    same = few_frames_of_a_group((scores[:360], blocks[:360]), (scores[360:], blocks[360:]), 0.9)
    assert same["others"] == pytest.approx(0.9, abs=0.04) and same["added"] == pytest.approx(0.9, abs=0.04)
    assert few_frames_of_a_group((scores[:48], blocks[:48]), (scores[360:], blocks[360:]), 0.9)["others"] is None
    assert few_frames_of_a_group((scores, blocks), (scores[:84], blocks[:84]), 0.9) is None


# ---- energies by the mean grade ---------------------------------------------------------------------------


def energies(n_groups=10, seed=0, *, by="grade", frames=30):
    """Energy errors that follow the mean grade of a frame, or the std of the posterior, and a level of the group."""
    rng = np.random.default_rng(seed)
    n = n_groups * frames
    grade, std = rng.lognormal(-0.5, 0.8, n), rng.lognormal(-4.0, 0.8, n)
    level = np.repeat(np.exp(0.3 * rng.standard_normal(n_groups)), frames)
    size = {"grade": 0.05 * (grade + 0.05) ** 1.4, "std": std}[by] * level
    groups = np.repeat([f"group {k}" for k in range(n_groups)], frames)
    return ScaledLabels(size * rng.standard_normal(n), std, groups, np.arange(n), grade)


def test_the_slope_of_the_mean_grade_is_found_and_new_groups_are_covered():
    covered = []
    for seed in range(10):
        bar, new = fit_grade_error(energies(seed=seed)), energies(1, 100 + seed)
        covered.append(np.mean(np.abs(new.error) <= bar.of(new)))
    assert bar.slope == pytest.approx(1.4, abs=0.15) and bar.n_groups == 10 and bar.n_blocks == 300
    assert 0.86 < np.mean(covered) < 0.97
    assert np.all(bar.of(new, conservative=True) >= bar.of(new))
    expected = np.exp(bar.intercept + bar.quantile + bar.slope * np.log(0.75)) - 0.0005
    assert bar.predict(0.7) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_array_equal(np.isinf(bar.predict([0.2, np.inf])), [False, True])
    assert np.isnan(bar.predict(np.nan))


def test_the_variable_that_loses_less_in_groups_left_out_is_taken():
    for by, kind in (("grade", GradeError), ("std", ScaledError)):
        bar, left_out, choice = choose_energy_bar(energies(by=by))
        assert isinstance(bar, kind) and choice["variable"] == ("mean_grade" if by == "grade" else "std")
        assert (choice["pinball_ratio"] < 0.9) == (by == "grade") and len(left_out) == 10
    # nothing is known of a group left out
    bar, left_out, choice = choose_energy_bar(energies(1))
    assert isinstance(bar, ScaledError) and left_out == {} and choice == {"variable": "std", "pinball_ratio": None}
    ungraded = dataclasses.replace(energies(), mean_grade=None)
    assert isinstance(choose_energy_bar(ungraded)[0], ScaledError)


def test_left_out_energies_are_judged_by_the_others():
    labels = energies()
    report = grade_leave_one_group_out(labels)
    inside = labels.groups == "group 3"
    bars = fit_grade_error(labels.take(~inside)).of(labels.take(inside))
    assert report["group 3"]["coverage"] == pytest.approx(np.mean(np.abs(labels.error[inside]) <= bars))
    assert report["group 3"]["width"] == pytest.approx(np.sort(bars)[14])


def test_bars_of_energies_round_trip_and_bad_ones_are_refused():
    bar = fit_grade_error(energies())
    values = json.loads(json.dumps(bar.to_dict()))
    assert bar_of_energies(values) == bar and bar_of_energies(values | {"leave_one_group_out": {}}) == bar
    scaled = fit_scaled_error(*energies().columns())
    assert bar_of_energies(scaled.to_dict()) == scaled
    for change in ({"slope": -1.0}, {"quantile": 9.0}, {"level": 1.0}, {"grade_offset": 0.1}, {"n_blocks": 0}, {"intercept": "x"}):
        with pytest.raises(UqError, match="energy_error"):
            bar_of_energies(values | change)
    with pytest.raises(UqError, match=r"8 frames of finite mean grade are too few for level 0\.9; accepted: 9"):
        fit_grade_error(energies(1, frames=8))


def test_a_quantile_beyond_the_exponential_has_no_finite_factor():
    bar = GradeError(0.0, 0.0, 800.0, 900.0)
    assert bar.factor() == bar.factor(conservative=True) == np.inf and bar.predict([1.0])[0] == np.inf
