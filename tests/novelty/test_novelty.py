# SPDX-License-Identifier: GPL-2.0-or-later
"""Novelty grade: false alarms on data like the training data, invariances, and elements it cannot judge."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from lmp_uq.errors import UqError
from lmp_uq.novelty.fit import fit_novelty
from lmp_uq.novelty.grade import Novelty

MIXING = np.random.default_rng(99).normal(size=(2, 40, 40))


def atoms_of_frames(n_frames, n_features, seed, n_atoms=60):
    """Descriptors, species, frames of two elements; atoms of a frame share a part of their descriptor."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(np.arange(n_frames), n_atoms)
    species = rng.integers(0, 2, frames.size)
    shared = rng.normal(size=(n_frames, n_features))
    latent = rng.normal(size=(frames.size, n_features)) + 0.3 * shared[frames]
    mixing = MIXING[:, :n_features, :n_features]
    return 3.0 + np.einsum("ij,ikj->ik", latent, mixing[species]), species, frames


def false_alarms(n_frames, n_features, cross_fit, seed=0):
    """Fraction of new atoms of the training distribution with grade > 1."""
    novelty = fit_novelty(*atoms_of_frames(n_frames, n_features, seed), 2, cross_fit=cross_fit)
    descriptors, species, _ = atoms_of_frames(500, n_features, seed + 1000)
    return np.mean(novelty.grade(descriptors, species) > 1)


def test_cross_fitted_grade_raises_one_false_alarm_in_a_thousand():
    rates = [false_alarms(200, 6, True, seed) for seed in range(4)]
    assert 3e-4 < np.mean(rates) < 2.5e-3


def test_in_sample_percentile_flags_far_more_with_few_frames():
    honest = np.mean([false_alarms(6, 40, True, seed) for seed in range(3)])
    optimistic = np.mean([false_alarms(6, 40, False, seed) for seed in range(3)])
    assert optimistic > 0.2
    assert honest < 0.03


def test_grade_rises_out_of_distribution():
    descriptors, species, frames = atoms_of_frames(60, 6, 0)
    novelty = fit_novelty(descriptors, species, frames, 2)
    direction = np.linalg.solve(novelty.whitening[species], np.ones((len(species), 6, 1)))[..., 0]
    away = [np.median(novelty.grade(descriptors + step * direction, species)) for step in (0, 5, 50)]
    assert away[0] < 0.7 and away[1] > 1 and away[2] > 10


def test_percentile_of_training_atoms_has_grade_one():
    descriptors, species, frames = atoms_of_frames(20, 6, 0)
    novelty = fit_novelty(descriptors, species, frames, 2, cross_fit=False, percentile=90)
    for z in (0, 1):
        assert np.percentile(novelty.grade(descriptors, species)[species == z], 90) == pytest.approx(1)


def test_whitened_training_atoms_have_unit_covariance():
    descriptors, species, frames = atoms_of_frames(40, 6, 0)
    novelty = fit_novelty(descriptors, species, frames, 2)
    for z in (0, 1):
        white = (descriptors[species == z] - novelty.mean[z]) @ novelty.whitening[z].T
        np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(white.T @ white / len(white), np.eye(6), atol=1e-8)


def test_grade_is_affine_invariant():
    descriptors, species, frames = atoms_of_frames(40, 6, 0)
    rng = np.random.default_rng(5)
    matrix, shift = np.eye(6) + 0.3 * rng.normal(size=(6, 6)), rng.normal(size=6)
    plain = fit_novelty(descriptors, species, frames, 2).grade(descriptors, species)
    moved = descriptors @ matrix + shift
    np.testing.assert_allclose(fit_novelty(moved, species, frames, 2).grade(moved, species), plain, rtol=1e-6)


def test_eigenvalue_floor_limits_unexplored_directions():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(600, 4)) * [1, 1, 1, 0]
    novelty = fit_novelty(flat, np.zeros(600, int), np.arange(600) // 20, 1, cross_fit=False)
    largest = np.linalg.eigvalsh(np.cov(flat.T))[-1]
    step = np.zeros((1, 4))
    step[0, 3] = 1.0
    expected = 1 / np.sqrt(1e-6 * largest) / novelty.radius[0]
    grade = novelty.grade(novelty.mean + step, [0])[0]
    assert grade == pytest.approx(expected, rel=0.01)
    few = fit_novelty(flat[:39], np.zeros(39, int), np.arange(39) // 3, 1)
    ratio = np.linalg.norm(few.whitening[0] @ step[0]) / np.linalg.norm(novelty.whitening[0] @ step[0])
    assert ratio == pytest.approx(0.1, rel=0.3)


def test_element_without_atoms_is_infinitely_new():
    descriptors, species, frames = atoms_of_frames(20, 4, 0)
    novelty = fit_novelty(descriptors, 2 * species, frames, 4)
    assert np.isnan(novelty.radius[[1, 3]]).all()
    grades = novelty.grade(descriptors[:4], [0, 1, 2, 3])
    np.testing.assert_array_equal(np.isinf(grades), [False, True, False, True])
    assert novelty.grade(np.zeros((0, 4)), np.zeros(0, int)).shape == (0,)


def test_element_in_one_frame_or_all_alike_warns():
    descriptors, species, frames = atoms_of_frames(20, 4, 0)
    species[(frames == 3) & (species == 1)] = 2
    with pytest.warns(UserWarning, match="element index 2"):
        novelty = fit_novelty(descriptors, species, frames, 3)
    assert np.isinf(novelty.grade(descriptors[:1], [2])[0])
    descriptors[species == 2] = 1.0
    with pytest.warns(UserWarning, match="element index 2"):
        fit_novelty(descriptors, species, frames, 3, cross_fit=False)


def test_rare_element_is_cross_fitted_over_its_own_frames():
    descriptors, species, frames = atoms_of_frames(20, 4, 0)
    species[np.isin(frames, [3, 4]) & (species == 1)] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        novelty = fit_novelty(descriptors, species, frames, 3)
    assert np.isfinite(novelty.radius).all()


def test_fit_is_reproducible_and_follows_the_seed():
    data = atoms_of_frames(12, 6, 0)
    first, again, other = (fit_novelty(*data, 2, seed=seed).radius for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_tensors_round_trip():
    descriptors, species, frames = atoms_of_frames(20, 4, 0)
    novelty = fit_novelty(descriptors, species, frames, 3)
    again = Novelty.from_tensors(novelty.tensors())
    np.testing.assert_array_equal(again.grade(descriptors, species), novelty.grade(descriptors, species))
    assert np.isnan(again.radius[2])


def test_unusable_input_is_refused():
    descriptors, species, frames = atoms_of_frames(20, 4, 0)
    novelty = fit_novelty(descriptors, species, frames, 2)
    with pytest.raises(UqError, match="accepted are 0 to 1"):
        novelty.grade(descriptors, species + 1)
    with pytest.raises(UqError, match=r"expected \(any, 4\)"):
        novelty.grade(descriptors[:, :3], species)
    with pytest.raises(UqError, match="expected integers"):
        fit_novelty(descriptors, species + 0.5, frames, 2)
    with pytest.raises(UqError, match="n_folds"):
        fit_novelty(descriptors, species, frames, 2, n_folds=1)
    with pytest.raises(UqError, match="NaN or infinite"):
        fit_novelty(np.where(descriptors > 5, np.nan, descriptors), species, frames, 2)
    with pytest.raises(UqError, match="radius"):
        Novelty(novelty.mean, novelty.whitening, -novelty.radius)


def slopes_by_differences(novelty, descriptors, species, step=1e-5):
    out = np.zeros_like(descriptors)
    for p in range(descriptors.shape[1]):
        shift = np.zeros(descriptors.shape[1])
        shift[p] = step
        out[:, p] = (novelty.grade(descriptors + shift, species) - novelty.grade(descriptors - shift, species)) / (2 * step)
    return out


def test_slopes_are_derivatives_of_the_grade():
    novelty = fit_novelty(*atoms_of_frames(50, 5, 0), 2)
    descriptors, species, _ = atoms_of_frames(2, 5, 1)
    expected = slopes_by_differences(novelty, descriptors, species)
    assert np.allclose(novelty.slope(descriptors, species), expected, rtol=1e-6, atol=1e-8)
    planted = Novelty(novelty.mean, novelty.whitening, 1.1 * novelty.radius)
    assert not np.allclose(planted.slope(descriptors, species), expected, rtol=1e-2)


def test_slopes_where_the_grade_has_none():
    novelty = fit_novelty(*atoms_of_frames(50, 5, 0), 2)
    lost = Novelty(novelty.mean, novelty.whitening, np.array([novelty.radius[0], np.nan]))
    descriptors = np.array([novelty.mean[0], novelty.mean[1] + 1.0, novelty.mean[0] + 1.0])
    slopes = lost.slope(descriptors, [0, 1, 0])
    assert not slopes[:2].any() and slopes[2].any() and np.isfinite(slopes).all()
