# SPDX-License-Identifier: GPL-2.0-or-later
"""Conformal factors and the force bar: coverage on synthetic data whose errors are known."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from lmp_uq.calibration import (
    ForceError,
    conformal_quantile,
    fit_force_error,
    group_quantiles,
    leave_one_group_out,
    leave_one_group_out_coverage,
    pooled_and_conservative,
    split_by_group,
)
from lmp_uq.calibration.conformal import least_blocks
from lmp_uq.errors import UqError

GROUP_SCALE = {"bulk": 1.0, "liquid": 1.0, "surface": 1.0, "alloy": 2.5}


def labelled_atoms(n=4000, seed=0, scales=GROUP_SCALE):
    """(error, force, grade, groups): errors grow with force and grade, and differ by group."""
    rng = np.random.default_rng(seed)
    force, grade = rng.lognormal(-0.5, 1.0, n), rng.lognormal(-1.0, 0.5, n)
    groups = rng.choice(list(scales), n)
    size = 0.2 * force**0.6 * grade**0.5 * np.array([scales[group] for group in groups])
    return size * np.abs(rng.standard_normal((n, 3))).max(axis=1), force, grade, groups


def test_exponents_are_recovered():
    fitted = fit_force_error(*labelled_atoms(20_000, scales={"a": 1.0, "b": 1.0}))
    assert fitted.force_exponent == pytest.approx(0.6, abs=0.05)
    assert fitted.grade_exponent == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.97])
def test_bar_covers_new_atoms_at_the_level(level):
    fitted = fit_force_error(*labelled_atoms(seed=0), levels=(level,), least_bar=0.0, learn_floors=False)
    error, force, grade, _ = labelled_atoms(seed=1)
    assert np.mean(error <= fitted.predict(force, grade, level=level)) == pytest.approx(level, abs=0.025)
    # Heteroscedastic errors: the bar must also rank them, which a constant of the same coverage cannot.
    low, high = np.array_split(np.argsort(fitted.predict(force, grade, level=level)), 2)
    assert error[high].mean() > 2 * error[low].mean()


@pytest.mark.parametrize("planted", [1.0, 0.5, 2.0])
def test_planted_factor_is_found_by_the_coverage(planted):
    fitted = fit_force_error(*labelled_atoms(seed=0), least_bar=0.0, learn_floors=False)
    wrong = dataclasses.replace(fitted, intercept=fitted.intercept + np.log(planted))
    error, force, grade, _ = labelled_atoms(seed=1)
    coverage = np.mean(error <= wrong.predict(force, grade))
    assert (abs(coverage - 0.9) < 0.02) == (planted == 1.0)


def test_conservative_bar_covers_the_worst_group():
    atoms = labelled_atoms()
    fitted = fit_force_error(*atoms)
    error, force, grade, groups = labelled_atoms(seed=1)
    pooled, wide = (fitted.predict(force, grade, conservative=flag) for flag in (False, True))
    assert np.all(wide >= pooled)
    alloy = groups == "alloy"
    assert np.mean((error <= pooled)[alloy]) < 0.8
    assert np.mean((error <= wide)[alloy]) > 0.85
    assert fitted.n_groups == 4


def test_conservative_factor_is_the_largest_of_the_left_out_groups():
    error, force, grade, groups = labelled_atoms()
    fitted = fit_force_error(error, force, grade, groups)
    needed = []
    for group in np.unique(groups):
        inside = groups == group
        others = fit_force_error(error[~inside], force[~inside], grade[~inside], groups[~inside], least_bar=0.0, learn_floors=False)
        scale = others.predict(force[inside], grade[inside]) / others.factors[1]
        needed.append(conformal_quantile(error[inside] / scale, 0.9))
    assert fitted.conservative_factors[1] == pytest.approx(max(needed))


def test_one_group_has_no_conservative_factor_of_its_own():
    error, force, grade, _ = labelled_atoms()
    fitted = fit_force_error(error, force, grade, np.zeros(len(error), int))
    assert fitted.n_groups == 1
    assert fitted.conservative_factors == fitted.factors


def test_a_small_group_does_not_make_the_bar_infinite():
    error, force, grade, groups = labelled_atoms()
    groups[:3] = "rare"
    fitted = fit_force_error(error, force, grade, groups)
    assert np.isfinite(fitted.conservative_factors).all() and fitted.n_groups == 5


def test_infinite_grade_passes_through():
    error, force, grade, groups = labelled_atoms()
    fitted = fit_force_error(error, force, grade, groups)
    bars = fitted.predict([1.0, 1.0, 0.0], [np.inf, 0.3, np.inf])
    np.testing.assert_array_equal(np.isinf(bars), [True, False, True])
    falling = dataclasses.replace(fitted, grade_exponent=-1.0)
    assert np.isinf(falling.predict([1.0], [np.inf])[0])
    assert np.isnan(fitted.predict([1.0], [np.nan])[0])
    unknown = np.arange(len(grade)) % 10 == 0
    partly = fit_force_error(error, force, np.where(unknown, np.inf, grade), groups)
    seen = fit_force_error(error[~unknown], force[~unknown], grade[~unknown], groups[~unknown])
    assert partly == seen


def test_bar_never_falls_below_its_floor():
    fitted = fit_force_error(*labelled_atoms(), least_bar=0.02, learn_floors=False)
    assert fitted.predict([0.0], [0.0])[0] == 0.02
    assert fitted.predict([0.0], [0.0], conservative=True)[0] == 0.02
    bars = fitted.predict(np.linspace(0, 5, 50), 0.5)
    assert bars.shape == (50,) and bars.min() >= 0.02 and np.all(np.diff(bars) >= 0)


def test_leave_one_group_out_report_uses_other_groups_only():
    error, force, grade, groups = labelled_atoms()
    report = leave_one_group_out(error, force, grade, groups, learn_floors=False)
    assert set(report) == set(GROUP_SCALE)
    assert sum(entry["n"] for entry in report.values()) == len(error)
    assert report["alloy"]["coverage"] < 0.6 < report["bulk"]["coverage"]
    # The errors of a group change its coverage but never its own bar.
    doubled = np.where(groups == "alloy", 2 * error, error)
    again = leave_one_group_out(doubled, force, grade, groups, learn_floors=False)
    assert again["alloy"]["width"] == report["alloy"]["width"]
    assert again["alloy"]["coverage"] < report["alloy"]["coverage"]
    assert again["bulk"]["width"] > report["bulk"]["width"]


def test_leave_one_group_out_counts_infinite_grades_apart():
    error, force, grade, groups = labelled_atoms()
    report = leave_one_group_out(error, force, np.where(groups == "alloy", np.inf, grade), groups)
    n_alloy = int(np.sum(groups == "alloy"))
    assert report["alloy"] == {"coverage": None, "n": 0, "width": None, "n_infinite": n_alloy}
    assert report["bulk"]["n_infinite"] == 0
    json.dumps(report, allow_nan=False)


def test_dictionary_round_trip():
    fitted = fit_force_error(*labelled_atoms())
    text = json.dumps(fitted.to_dict(), allow_nan=False)
    assert ForceError.from_dict(json.loads(text)) == fitted
    values = fitted.to_dict()
    for broken in (
        {**values, "extra": 1.0},
        {key: values[key] for key in values if key != "floors"},
        {**values, "factors": [1.0, float("nan"), 2.0]},
        {**values, "factors": [1.0, 10**400, 2.0]},
        {**values, "factors": values["factors"][:2]},
        {**values, "factors": 1.0},
        {**values, "conservative_factors": [0.5 * factor for factor in values["factors"]]},
        {**values, "floors": values["floors"][::-1] if values["floors"][0] < values["floors"][-1] else [0.3, 0.2, 0.1]},
        {**values, "levels": ["low", 0.9, 0.95]},
        {**values, "floor_exponent": -0.5},
        {**values, "least_bar": -0.01},
        {**values, "levels": [0.5, 0.95, 0.9]},
        {**values, "levels": [0.5, 0.9, 1.0]},
    ):
        with pytest.raises(UqError, match="ForceError"):
            ForceError.from_dict(broken)


# Levels and floors


@pytest.mark.parametrize("conservative", [False, True])
def test_levels_never_cross(conservative):
    fitted = fit_force_error(*labelled_atoms())
    assert fitted.levels == (0.5, 0.9, 0.95)
    force, grade = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e-6, 1e3, 40), np.geomspace(1e-4, 1e3, 40)))
    bars = [fitted.predict(force, grade, conservative, level) for level in fitted.levels]
    assert np.all(np.diff(bars, axis=0) >= 0) and np.any(np.diff(bars, axis=0) > 0)
    np.testing.assert_array_equal(fitted.predict(force, grade, conservative), bars[1])
    with pytest.raises(UqError, match=r"level 0\.8 was not calibrated; accepted: 0\.5, 0\.9, 0\.95"):
        fitted.predict(force, grade, level=0.8)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_the_least_number_of_blocks_is_what_makes_the_quantile_finite(level):
    n = least_blocks(level)
    assert np.isfinite(conformal_quantile(np.ones(n), level))
    assert n == 1 or np.isinf(conformal_quantile(np.ones(n - 1), level))


def test_levels_that_the_blocks_cannot_guarantee_are_left_out():
    assert fit_force_error(*(column[:18] for column in labelled_atoms())).levels == (0.5, 0.9)
    assert fit_force_error(*(column[:19] for column in labelled_atoms())).levels == (0.5, 0.9, 0.95)


def test_files_with_one_level_are_read():
    old = {
        "intercept": -1.5, "force_exponent": 0.4, "grade_exponent": 1.25, "factor": 1.1, "conservative_factor": 1.75,
        "n_groups": 2, "floor": 0.01, "level": 0.9,
    }  # fmt: skip
    bar = ForceError.from_dict(old)
    assert bar.levels == (0.9,) and bar.n_groups == 2 and ForceError.from_dict(bar.to_dict()) == bar
    expected = 1.1 * np.exp(-1.5 + 0.4 * np.log(0.3 + 0.01) + 1.25 * np.log(0.7 + 0.05))
    assert bar.predict([0.3], [0.7])[0] == pytest.approx(expected, rel=1e-14)
    assert bar.predict([0.0], [0.0])[0] == 0.01
    with pytest.raises(UqError, match=r"accepted: 0\.9"):
        bar.predict([0.3], [0.7], level=0.5)
    with pytest.raises(UqError, match="expected"):
        ForceError.from_dict({**old, "levels": [0.9]})


def with_relaxed_atoms(seed, n=4000, share=0.2):
    """MD-like atoms, and a share of relaxed ones: |F| goes to 0 and the errors do not."""
    error, force, grade, groups = labelled_atoms(n, seed, {"md": 1.0})
    rng = np.random.default_rng(100 + seed)
    relaxed = np.arange(n) < share * n
    force = np.where(relaxed, 10.0 ** rng.uniform(-6, -3, n), force)
    return np.where(relaxed, 0.08 * np.abs(rng.standard_normal(n)), error), force, grade, groups, relaxed


def test_relaxed_atoms_are_covered_by_the_floor():
    *atoms, _ = with_relaxed_atoms(0)
    fitted, bare = fit_force_error(*atoms), fit_force_error(*atoms, learn_floors=False)
    error, force, grade, _, relaxed = with_relaxed_atoms(1)
    for level in fitted.levels:
        inside = error <= fitted.predict(force, grade, level=level)
        assert inside[relaxed].mean() > level - 0.05
    assert fitted.predict([0.0], [np.median(grade)])[0] == pytest.approx(0.08 * 1.645, rel=0.1)
    # a floor that is not learned is what loses them
    calm = relaxed & (grade < np.median(grade))
    assert np.mean((error <= bare.predict(force, grade))[calm]) < 0.8 < np.mean((error <= fitted.predict(force, grade))[calm])


def test_atoms_without_force_by_symmetry_say_nothing_of_the_floor():
    error, force, grade, groups, _ = with_relaxed_atoms(0)
    fitted = fit_force_error(error, force, grade, groups)
    more = np.zeros(2000)
    columns = (np.append(error, more), np.append(force, more), np.append(grade, more + 0.1), np.append(groups, more.astype(str)))
    again = fit_force_error(*columns)
    assert (again.floors, again.floor_exponent) == (fitted.floors, fitted.floor_exponent)
    # the same atoms with errors say what an error is at zero force
    wrong = fit_force_error(np.append(error, more + 0.5), *columns[1:])
    assert wrong.floors[1] * 0.15**wrong.floor_exponent == pytest.approx(0.5)
    # at one grade nothing can be learned of how they grow
    assert wrong.floor_exponent == 0.0


def test_floors_grow_with_the_grade_where_errors_of_relaxed_atoms_do():
    def atoms(seed):
        error, force, grade, groups, relaxed = with_relaxed_atoms(seed)
        # far above the offset of 0.005 eV/Angstrom inside the logarithm
        return np.where(relaxed, 10.0 * error * (grade + 0.05) ** 1.5, error), force, grade, groups, relaxed

    *known, _ = atoms(0)
    fitted = fit_force_error(*known)
    assert fitted.floor_exponent == pytest.approx(1.5, abs=0.25)
    error, force, grade, _, relaxed = atoms(1)
    inside, low = error <= fitted.predict(force, grade), grade < np.median(grade)
    for part in (relaxed & low, relaxed & ~low):
        assert inside[part].mean() > 0.85
    assert fitted.predict([0.0], [0.1])[0] < 0.4 * fitted.predict([0.0], [1.0])[0]


def test_few_atoms_get_the_smallest_bar():
    assert fit_force_error(*labelled_atoms(59)).floors == (0.0,) * 3
    assert fit_force_error(*labelled_atoms(59)).predict([0.0], [0.0], level=0.5)[0] == 0.01
    assert fit_force_error(*labelled_atoms(60)).floors[1] > 0.01


# Blocks


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
    atoms = labelled_atoms(300)
    # equal weights of 1 change nothing but the rounding of the least squares
    assert fit_force_error(*atoms, blocks=np.arange(300)) == fit_force_error(*atoms)


def test_bar_of_frames_covers_atoms_of_new_frames():
    def frames(seed, n=60, size=10):
        rng = np.random.default_rng(seed)
        force, grade = rng.lognormal(-0.5, 1.0, n * size), rng.lognormal(-1.0, 0.5, n * size)
        shared = np.repeat(rng.lognormal(0.0, 0.7, n), size)
        return 0.2 * force**0.6 * shared * np.abs(rng.standard_normal(n * size)), force, grade, np.repeat(np.arange(n), size)

    found = {factor: [] for factor in (1.0, 2.0)}
    for seed in range(40):
        error, force, grade, blocks = frames(seed)
        fitted = fit_force_error(error, force, grade, np.zeros(600, int), blocks=blocks, least_bar=0.0, learn_floors=False)
        error, force, grade, _ = frames(1000 + seed)
        for factor, coverages in found.items():
            coverages.append(np.mean(factor * error <= fitted.predict(force, grade)))
    assert 0.88 < np.mean(found[1.0]) < 0.94
    # planted: errors of twice the size must not pass for covered
    assert np.mean(found[2.0]) < 0.8
    assert fitted.n_blocks == 60


# Conformal factors


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
    error, force, grade, groups = labelled_atoms(200)
    for scores, level in (([], 0.9), ([np.nan], 0.9), ([-1.0], 0.9), ([1.0], 1.0), ([1.0], 0.0)):
        with pytest.raises(UqError, match="conformal"):
            conformal_quantile(scores, level)
    with pytest.raises(UqError, match="error_norm"):
        fit_force_error(-error, force, grade, groups)
    with pytest.raises(UqError, match="force_norm"):
        fit_force_error(error, force[1:], grade, groups)
    with pytest.raises(UqError, match="grade"):
        fit_force_error(error, force, np.full(200, np.nan), groups)
    with pytest.raises(UqError, match="finite grade"):
        fit_force_error(error, force, np.full(200, np.inf), groups)
    with pytest.raises(UqError, match="too few"):
        fit_force_error(error[:8], force[:8], grade[:8], groups[:8])
    with pytest.raises(UqError, match=r"4 frames or atoms of finite grade are too few for level 0\.9"):
        fit_force_error(error, force, grade, groups, blocks=np.arange(200) % 4)
    with pytest.raises(UqError, match="blocks: found shape"):
        fit_force_error(error, force, grade, groups, blocks=np.arange(199))
    with pytest.raises(UqError, match="groups"):
        fit_force_error(error, force, grade, groups[:-1])
    with pytest.raises(UqError, match="at least 2"):
        leave_one_group_out(error, force, grade, np.zeros(200, int))
