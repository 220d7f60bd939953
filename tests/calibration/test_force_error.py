# SPDX-License-Identifier: GPL-2.0-or-later
"""The force bar: identities of its fit, and coverage on atoms whose errors are known."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy.stats import norm, t

from lmp_uq.calibration import ForceError, ForceVariables, fit_force_error, force_error_of, leave_one_group_out
from lmp_uq.calibration.adaptation import adapt, few_frames_adapted, shifted
from lmp_uq.calibration.advice import advice
from lmp_uq.calibration.force_error import ERROR_OFFSET, PROBABILITIES, design
from lmp_uq.calibration.force_error_fit import needs_correction
from lmp_uq.calibration.grouped_fit import USUAL_SPREAD, GroupedFit, quantile_curves
from lmp_uq.calibration.labelled_atoms import ForceLabels, LabelledAtoms
from lmp_uq.errors import UqError
from lmp_uq.metrics.sharpness import sharpness, weighted_quantiles

SLOPES = {"force": 0.5, "grade": 0.2, "known": 1.0, "new": 0.15}


def atoms_of(groups, seed=0, *, frames=20, size=12, spread=0.3, slopes=SLOPES, correction=False):
    """Atoms of several groups: errors follow the formula, a level of the group, and a Gaussian in the logarithm."""
    rng = np.random.default_rng(seed)
    n = frames * size
    parts = []
    for number, group in enumerate(groups):
        force, grade = rng.lognormal(-1.0, 1.0, n), rng.lognormal(-0.7, 0.8, n)
        neighbours = grade * rng.lognormal(0.0, 0.5, n)
        new = np.log(neighbours + 0.05)
        scale = -0.5 + slopes["force"] * np.log(force + 0.01) + slopes["grade"] * np.log(grade + 0.05)
        scale += slopes["known"] * np.minimum(new, 0) + slopes["new"] * np.maximum(new, 0)
        noise = rng.normal(0.0, 0.7, n)
        error = np.maximum(np.exp(scale + spread * rng.standard_normal() + noise) - ERROR_OFFSET, 1e-4)
        hint = np.maximum(np.exp(noise) * 0.1 - 0.01, 0.0) if correction else None
        blocks = number * frames + np.repeat(np.arange(frames), size)
        parts.append((error, ForceVariables(force, grade, neighbours, hint), np.full(n, group), blocks))
    return joined([LabelledAtoms.checked(*part) for part in parts])


def joined(parts):
    """Several sets of atoms as one."""
    columns = zip(*(part.variables.columns().values() for part in parts), strict=True)
    variables = ForceVariables(*(None if one[0] is None else np.concatenate(one) for one in columns))
    rest = (np.concatenate([getattr(part, name) for part in parts]) for name in ("groups", "blocks"))
    return LabelledAtoms(np.concatenate([part.error for part in parts]), variables, *rest)


NAMES = [f"group {k}" for k in range(12)]
ATOMS = atoms_of(NAMES)


def test_slopes_are_recovered():
    fitted = fit_force_error(atoms_of(NAMES, frames=100, spread=0.0))
    found = (fitted.force_slope, fitted.grade_slope, fitted.known_slope, fitted.new_slope)
    assert found == pytest.approx(tuple(SLOPES.values()), abs=0.04)


def test_bar_is_the_formula():
    fitted = fit_force_error(ATOMS)
    force, grade, near = 0.3, 0.7, 1.4
    log_q = fitted.intercept + fitted.force_slope * math.log(0.31) + fitted.grade_slope * math.log(0.75)
    log_q += fitted.new_slope * math.log(1.45)
    at = ForceVariables.of([force], [grade], [near])
    for level in (0.5, 0.9, 0.95):
        expected = math.exp(log_q + fitted.quantiles[round(100 * level)]) - 0.005
        assert fitted.predict(at, level=level)[0] == pytest.approx(expected, rel=1e-13)
    assert fitted.predict(ForceVariables.of([0.0], [0.0], [0.0]))[0] >= 0.01
    with pytest.raises(UqError, match=r"level 0\.8 was not calibrated; accepted: 0\.5, 0\.9, 0\.95"):
        fitted.predict(at, level=0.8)


def test_bars_rise_with_force_and_both_novelties_and_levels_never_cross():
    fitted = fit_force_error(ATOMS)
    axes = np.meshgrid(np.geomspace(1e-6, 1e2, 15), np.geomspace(1e-4, 1e2, 15), np.geomspace(1e-4, 1e2, 15), indexing="ij")
    at = ForceVariables.of(*(axis.ravel() for axis in axes))
    for conservative in (False, True):
        bars = [fitted.predict(at, conservative, level).reshape(axes[0].shape) for level in fitted.levels]
        assert np.all(np.diff(bars, axis=0) >= 0)
        assert all(np.all(np.diff(bars[1], axis=axis) >= 0) for axis in range(3))
    assert np.all(fitted.predict(at, True) >= fitted.predict(at))


# What groups are worth


def test_leaving_a_group_out_is_a_refit_without_it():
    x, y = design(ATOMS.variables), np.log(ATOMS.error + ERROR_OFFSET)
    fit = GroupedFit(x, y, ATOMS.weights(), ATOMS.groups, ATOMS.blocks)
    for k in (0, 5):
        others = ATOMS.take(ATOMS.groups != fit.groups[k])
        again = fit_force_error(others)
        named = dict(zip(("intercept", "force_slope", "grade_slope", "known_slope", "new_slope"), fit.coefficients((k,)), strict=True))
        assert named == pytest.approx({name: getattr(again, name) for name in named}, rel=1e-9)
        found = fit.calibrated((k,))
        np.testing.assert_allclose(found.quantiles, again.quantiles, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.conservative_quantiles, again.conservative_quantiles, rtol=0, atol=1e-9)


def test_left_out_figures_are_those_of_a_bar_of_the_others():
    report = leave_one_group_out(ATOMS)
    for group in NAMES[:3]:
        inside = ATOMS.groups == group
        mine, bar = ATOMS.take(inside), fit_force_error(ATOMS.take(~inside), levels=(0.9,))
        expected = sharpness(mine.error, bar.predict(mine.variables), 0.9, mine.weights())
        assert {name: report[group][name] for name in expected} == pytest.approx(expected, rel=1e-9)
        assert (report[group]["n_frames"], report[group]["n_infinite"], report[group]["n_symmetric"]) == (20, 0, 0)


def test_groups_count_the_same_whatever_their_size():
    """The same atoms five times over are the same group."""
    inside = ATOMS.groups == NAMES[3]
    more = [dataclasses.replace(ATOMS.take(inside), blocks=ATOMS.blocks[inside] + 1000 * k) for k in range(5)]
    larger = joined([ATOMS.take(~inside), *more])
    first, second = fit_force_error(ATOMS), fit_force_error(larger)
    assert second.intercept == pytest.approx(first.intercept, rel=1e-9) and second.force_slope == pytest.approx(first.force_slope, rel=1e-9)
    np.testing.assert_allclose(second.quantiles, first.quantiles, rtol=0, atol=1e-9)
    # a frame five times as large has the weight of a frame
    frame = ATOMS.blocks == ATOMS.blocks[0]
    again = fit_force_error(joined([ATOMS, *[ATOMS.take(frame)] * 4]))
    np.testing.assert_allclose(again.quantiles, first.quantiles, rtol=0, atol=1e-9)


def test_a_group_under_two_names_is_counted_twice():
    inside = ATOMS.groups == NAMES[3]
    twin = dataclasses.replace(ATOMS.take(inside), groups=np.full(inside.sum(), "twin"), blocks=ATOMS.blocks[inside] + 1000)
    twice = fit_force_error(joined([ATOMS, twin]))
    assert abs(twice.intercept - fit_force_error(ATOMS).intercept) > 1e-6


def test_curves_are_those_of_the_stated_formula():
    rng = np.random.default_rng(4)
    residuals = [rng.normal(mean, 0.5, 40) for mean in (0.3, -0.2, 0.1, 0.6, -0.5)]
    means = np.array([r.mean() for r in residuals])
    weights = np.full(200, 1 / 40)
    spread, curve, conservative = quantile_curves(residuals, means, weights, 200)
    assert spread == pytest.approx(means.std(ddof=1))
    pooled, within = np.sort(np.concatenate(residuals)), np.sort(np.concatenate([r - m for r, m in zip(residuals, means, strict=True)]))
    for p in (0.5, 0.9, 0.95):
        rank = round(200 * p) - 1
        expected = pooled[rank] + (t.ppf(p, 4) * math.sqrt(1.2) - norm.ppf(p)) * spread
        assert curve[round(100 * p)] == pytest.approx(expected, rel=1e-12)
        wide = within[rank] + means.mean() + t.ppf(0.9, 4) * math.sqrt(1.2) * spread
        assert conservative[round(100 * p)] == pytest.approx(max(wide, expected), rel=1e-12)
    assert np.all(np.diff(curve) >= 0)


def test_new_groups_are_covered_and_a_planted_factor_is_not():
    covered = {factor: [] for factor in (0.5, 1.0, 2.0)}
    for seed in range(30):
        fitted = fit_force_error(atoms_of(NAMES, seed))
        new = atoms_of(["new"], 1000 + seed)
        for factor, found in covered.items():
            found.append(np.mean(new.error <= factor * fitted.predict(new.variables)))
    assert 0.88 < np.mean(covered[1.0]) < 0.96
    assert np.mean(covered[0.5]) < 0.83 and np.mean(covered[2.0]) > 0.97
    wide = [np.mean(new.error <= fit_force_error(atoms_of(NAMES, s)).predict(new.variables, True)) for s in range(5)]
    assert np.mean(wide) > 0.9


def test_shuffled_labels_give_no_skill():
    rng = np.random.default_rng(0)
    shuffled = dataclasses.replace(ATOMS, error=rng.permutation(ATOMS.error))
    assert abs(np.mean([mine["spearman"] or 0.0 for mine in leave_one_group_out(shuffled).values()])) < 0.05
    assert np.mean([mine["spearman"] for mine in leave_one_group_out(ATOMS).values()]) > 0.5


@pytest.mark.parametrize("n_groups", [1, 2])
def test_one_or_two_groups_have_frames_as_blocks(n_groups):
    atoms = atoms_of(NAMES[:n_groups], spread=0.0)
    fitted = fit_force_error(atoms)
    assert fitted.n_groups == n_groups and fitted.spread == 0.0 and fitted.n_blocks == 20 * n_groups
    fit = GroupedFit(design(atoms.variables), np.log(atoms.error + ERROR_OFFSET), atoms.weights(), atoms.groups, atoms.blocks)
    residuals, b = fit.y - fit.x @ fit.coefficients(), 20 * n_groups
    assert fitted.quantile(0.9) == pytest.approx(weighted_quantiles(residuals, [0.9 * (b + 1) / b], fit.weights)[0])
    wide = norm.ppf(0.9) * math.sqrt(1 + 1 / n_groups) * USUAL_SPREAD
    assert fitted.quantile(0.9, True) > fitted.quantile(0.9) + 0.5 * wide
    new = atoms_of(["new"], 7, spread=0.0)
    assert 0.85 < np.mean(new.error <= fitted.predict(new.variables)) < 0.96


def test_three_groups_take_the_usual_spread():
    assert fit_force_error(atoms_of(NAMES[:3], spread=0.0)).spread == USUAL_SPREAD
    assert fit_force_error(atoms_of(NAMES[:4], spread=0.0)).spread < 0.2


def test_few_frames():
    atoms = atoms_of(["a"], frames=18, size=1)
    assert fit_force_error(atoms).levels == (0.5, 0.9)
    assert fit_force_error(atoms_of(["a"], frames=19, size=1)).levels == (0.5, 0.9, 0.95)
    with pytest.raises(UqError, match=r"8 frames .* too few for level 0\.9; accepted: 9 or more"):
        fit_force_error(atoms.take(atoms.blocks < 8))
    # a group of one frame has its say
    one = joined([ATOMS, atoms_of(["single"], 3, frames=1)])
    assert fit_force_error(one).n_groups == 13 and np.isfinite(fit_force_error(one).quantiles).all()
    assert leave_one_group_out(one)["single"]["n_frames"] == 1


# Atoms without grade, without force


def test_atoms_without_grade_have_no_bar_and_take_no_part():
    fitted = fit_force_error(ATOMS)
    bars = fitted.predict(ForceVariables.of([1.0, 1.0, 1.0, 0.0], [np.inf, 0.3, 0.3, np.nan], [np.inf, 0.3, np.inf, 0.3]))
    np.testing.assert_array_equal(np.isinf(bars), [True, False, True, False])
    assert np.isnan(bars[3])
    flat = dataclasses.replace(fitted, grade_slope=0.0, known_slope=0.0, new_slope=0.0)
    assert np.isinf(flat.predict(ForceVariables.of([1.0], [0.3], [np.inf]))[0])
    unknown = np.arange(len(ATOMS.error)) % 10 == 0
    near = dataclasses.replace(ATOMS.variables, neighbours=np.where(unknown, np.inf, ATOMS.variables.neighbours))
    partly = dataclasses.replace(ATOMS, variables=near)
    assert fit_force_error(partly) == fit_force_error(ATOMS.take(~unknown))
    assert leave_one_group_out(partly)[NAMES[0]]["n_infinite"] == unknown[ATOMS.groups == NAMES[0]].sum()
    lost = dataclasses.replace(near, grade=np.where(ATOMS.groups == NAMES[2], np.inf, near.grade))
    report = leave_one_group_out(dataclasses.replace(ATOMS, variables=lost))
    assert report[NAMES[2]]["n"] == 0 and report[NAMES[2]]["coverage"] is None
    json.dumps(report, allow_nan=False)


def test_atoms_whose_force_vanishes_by_symmetry_take_no_part():
    n = len(ATOMS.error)
    flat = ForceVariables(np.full(n, 1e-5), ATOMS.variables.grade, ATOMS.variables.neighbours)
    more = joined([ATOMS, LabelledAtoms(np.full(n, 1e-5), flat, ATOMS.groups, ATOMS.blocks)])
    assert fit_force_error(more) == fit_force_error(ATOMS)
    report = leave_one_group_out(more)[NAMES[0]]
    assert report["n_symmetric"] == report["n"] == 240
    # a relaxed atom with an error does say something
    wrong = joined([ATOMS, LabelledAtoms(np.full(n, 0.5), flat, ATOMS.groups, ATOMS.blocks)])
    at = ForceVariables.of([1e-5], [0.5], [0.5])
    assert fit_force_error(wrong).predict(at)[0] > 2 * fit_force_error(ATOMS).predict(at)[0]
    alone = LabelledAtoms(np.full(n, 1e-5), flat, ATOMS.groups, ATOMS.blocks)
    with pytest.raises(UqError, match="vanish by symmetry"):
        fit_force_error(alone)


def test_slopes_never_fall_below_zero():
    falling = atoms_of(NAMES, slopes={"force": -0.5, "grade": 0.2, "known": -0.4, "new": 0.15}, spread=0.0)
    fitted = fit_force_error(falling)
    assert fitted.force_slope == 0.0 and fitted.known_slope == 0.0 and fitted.grade_slope >= 0.0
    # columns that do not vary have no slope
    same = np.full(len(ATOMS.error), 0.3)
    constant = fit_force_error(dataclasses.replace(ATOMS, variables=ForceVariables(same, same, same)))
    assert (constant.force_slope, constant.grade_slope, constant.known_slope, constant.new_slope) == (0.0,) * 4


# Probabilities


def test_probability_falls_with_the_threshold_and_is_one_minus_level_at_a_bar():
    fitted, at = fit_force_error(ATOMS), ATOMS.variables
    thresholds = np.append(0.0, np.geomspace(1e-3, 1e2, 60))
    found = np.array([fitted.probability(at, threshold) for threshold in thresholds])
    assert np.all(np.diff(found, axis=0) <= 0) and np.all((found >= 0) & (found <= 1))
    for conservative in (False, True):
        for level in fitted.levels:
            bars = fitted.predict(at, conservative, level)
            for k in np.flatnonzero(bars > 0.01)[:20]:
                one = at.take(np.array([k]))
                assert fitted.probability(one, bars[k], conservative)[0] == pytest.approx(1 - level, abs=1e-9)
    unknown = ForceVariables.of([0.1, 0.1], [np.inf, np.nan], [0.1, 0.1])
    np.testing.assert_array_equal(fitted.probability(unknown, 1e6), [1.0, np.nan])
    for bad in (-0.1, math.nan, "0.3"):
        with pytest.raises(UqError, match="error_above: threshold"):
            fitted.probability(at, bad)


def test_probability_is_the_share_of_errors_above_in_new_groups():
    shares = []
    for seed in range(20):
        fitted, new = fit_force_error(atoms_of(NAMES, seed)), atoms_of(["new"], 500 + seed)
        shares.append([np.mean(new.error > 0.3), np.mean(fitted.probability(new.variables, 0.3))])
    seen, said = np.mean(shares, axis=0)
    assert said == pytest.approx(seen, abs=0.05)


# The mean correction


def test_mean_correction_is_taken_only_where_it_pays():
    useful, useless = atoms_of(NAMES, correction=True), atoms_of(NAMES, correction=True)
    assert needs_correction(useful)[0]
    noise = np.random.default_rng(1).permutation(useless.variables.correction)
    taken, ratio = needs_correction(dataclasses.replace(useless, variables=dataclasses.replace(useless.variables, correction=noise)))
    assert not taken and ratio > 0.95
    assert needs_correction(useful.take(useful.groups == NAMES[0]))[0]  # frames where there is one group
    bar = fit_force_error(useful, with_correction=True)
    assert bar.correction_slope > 0.3
    with pytest.raises(UqError, match="needs the force of the mean correction"):
        bar.predict(useful.variables.without_correction())
    assert np.all(np.isfinite(bar.predict(useful.variables)))


# A few frames of a new system


def labels_of_atoms(atoms, element="W"):
    return ForceLabels(atoms, atoms.blocks, np.full(len(atoms.error), element, dtype=object))


def test_adaptation_is_the_stated_rule():
    bar, new = fit_force_error(ATOMS), atoms_of(["new"], 3, spread=0.0)
    worse = dataclasses.replace(new, error=5 * new.error)
    c = 0.0
    for block in np.unique(worse.blocks):
        mine = worse.blocks == block
        m = np.mean(worse.error[mine] > np.maximum(np.exp(bar.log_scale(worse.variables.take(mine)) + bar.quantile(0.9) + c) - 0.005, 0.01))
        c += 0.7 * (m - 0.1)
    after, report = adapt(bar, labels_of_atoms(worse))
    assert report["shift"] == pytest.approx(c, abs=1e-12) and report["n_frames"] == 20 and c > 0.5
    np.testing.assert_allclose(after.quantiles, np.add(bar.quantiles, c), rtol=0, atol=1e-12)
    assert report["coverage_before"] < 0.6 < 0.8 < report["coverage_after"]
    calm, _ = adapt(bar, labels_of_atoms(dataclasses.replace(new, error=0.1 * new.error)))
    assert calm.quantile(0.9) < bar.quantile(0.9)
    assert after.force_slope == bar.force_slope and shifted(after, -c) != after
    few = few_frames_adapted(bar, worse)
    assert few["others"] < few["adapted"] and few["n_frames"] == 20
    assert few_frames_adapted(bar, worse.take(worse.blocks < worse.blocks.min() + 9)) is None
    nothing = ForceVariables(np.full(12, 0.1), np.full(12, np.inf), np.full(12, np.inf))
    with pytest.raises(UqError, match="nothing to adapt to"):
        adapt(bar, labels_of_atoms(LabelledAtoms(np.ones(12), nothing, np.full(12, "a"), np.zeros(12))))


def test_advice_names_what_is_missing():
    def said(atoms, elements=None):
        labels = labels_of_atoms(atoms)
        if elements is not None:
            labels = dataclasses.replace(labels, elements=elements)
        return " ".join(advice(labels, fit_force_error(atoms)))

    assert "ONLY 2 calibration groups" in said(atoms_of(NAMES[:2]))
    # crystals, all of whose forces vanish by symmetry, have no part in the bar and are no groups of it
    crystals = ForceVariables.of(np.full(60, 1e-5), np.full(60, 0.1), np.full(60, 0.1))
    perfect = LabelledAtoms(np.full(60, 1e-5), crystals, np.repeat([f"crystal {k}" for k in range(6)], 10), 9000 + np.arange(60))
    assert said(joined([atoms_of(NAMES[:2]), perfect])) == said(atoms_of(NAMES[:2]))
    near = dataclasses.replace(ATOMS.variables, grade=1.5 * ATOMS.variables.grade)
    seven = dataclasses.replace(ATOMS, variables=near).take(np.isin(ATOMS.groups, NAMES[:7]))
    assert said(seven).startswith("7 calibration groups of forces (0 of known, 7 of nearly known, 0 of new kind)")
    known = dataclasses.replace(ATOMS.variables, grade=0.3 * ATOMS.variables.grade)
    assert said(dataclasses.replace(ATOMS, variables=known)) == ""
    assert "no calibration group has a median grade below 0.5" in said(dataclasses.replace(ATOMS, variables=near))
    rare = np.where(np.arange(len(ATOMS.error)) % 50 == 0, "Ta", "W").astype(object)
    worse = dataclasses.replace(ATOMS, error=np.where(rare == "Ta", 30 * ATOMS.error, ATOMS.error))
    assert "of the atoms of Ta (aim: 0.90): do not trust it" in said(worse, rare)


# Files


def test_dictionary_round_trip():
    fitted = fit_force_error(ATOMS)
    values = json.loads(json.dumps(fitted.to_dict(), allow_nan=False))
    assert force_error_of(values) == fitted and values["version"] == 2 and len(values["quantiles"]) == len(PROBABILITIES) == 101
    assert set(values["group_means"]) == set(NAMES)


@pytest.mark.parametrize(
    "change",
    [
        {"force_slope": -0.1}, {"force_slope": float("nan")}, {"intercept": "x"}, {"quantiles": [0.0] * 100},
        {"quantiles": [1.0] + [0.0] * 100}, {"conservative_quantiles": [-9.0] * 101}, {"levels": [0.5, 0.905]}, {"levels": []},
        {"levels": [0.9, 0.5]}, {"version": 3}, {"power": 8}, {"hops": 1}, {"spread": -1.0}, {"n_blocks": None},
    ],
)  # fmt: skip
def test_bad_numbers_are_refused(change):
    values = fit_force_error(ATOMS).to_dict()
    with pytest.raises(UqError, match="force_error"):
        ForceError.from_dict(values | change)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"error": -ATOMS.error}, "error holds negative"),
        ({"error": ATOMS.error[1:]}, "shape"),
        ({"groups": ATOMS.groups[:-1]}, "groups"),
        ({"blocks": ATOMS.blocks[:-1]}, "blocks: found shape"),
        ({"variables": dataclasses.replace(ATOMS.variables, grade=np.full(len(ATOMS.error), np.nan))}, "grade holds"),
        ({"variables": dataclasses.replace(ATOMS.variables, force=ATOMS.variables.force[1:])}, "force has shape"),
    ],
)
def test_unusable_atoms_are_refused(change, words):
    columns = {"error": ATOMS.error, "variables": ATOMS.variables, "groups": ATOMS.groups, "blocks": ATOMS.blocks} | change
    with pytest.raises(UqError, match=words):
        LabelledAtoms.checked(**columns)


def test_atoms_without_any_grade_are_refused():
    nothing = ForceVariables(ATOMS.variables.force, np.full(len(ATOMS.error), np.inf), ATOMS.variables.neighbours)
    with pytest.raises(UqError, match="finite grade"):
        fit_force_error(dataclasses.replace(ATOMS, variables=nothing))
    with pytest.raises(UqError, match="at least 2"):
        leave_one_group_out(atoms_of(["alone"]))
