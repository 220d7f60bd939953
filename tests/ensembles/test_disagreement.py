# SPDX-License-Identifier: GPL-2.0-or-later
"""How far models disagree: closed forms and invariances of the formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lmp_uq.ensembles.disagreement import about_mean, from_driver, of_atoms, of_frame

WEIGHTS = np.array([0.5, 0.3, 0.2])


@pytest.fixture
def forces():
    """Of three models on seven atoms."""
    return np.random.default_rng(3).normal(size=(3, 7, 3))


def test_two_models_of_two_atoms():
    """F_1 = 0; F_2 is 2 along x on the first atom and 6 along y on the second: half of it from the mean, all of it from the driver."""
    forces = np.zeros((2, 2, 3))
    forces[1, 0, 0], forces[1, 1, 1] = 2.0, 6.0
    weights = np.array([3.0, 1.0])
    np.testing.assert_allclose(about_mean(forces), [3.0, 3.0])
    assert of_frame(about_mean(forces), weights) == pytest.approx(3.0)
    np.testing.assert_allclose(of_atoms(forces, weights), [1.0, 3.0])
    np.testing.assert_allclose(from_driver(forces, weights), [2.0, 6.0])


def test_the_mean_is_plain_and_the_maximum_is_of_each_model():
    """Three models along x: 0, 0 and 3 on one atom, 0, 3 and 0 on the other."""
    forces = np.zeros((3, 2, 3))
    forces[2, 0, 0] = forces[1, 1, 0] = 3.0
    np.testing.assert_allclose(about_mean(forces), [1.0, 2.0, 2.0])
    assert of_frame(about_mean(forces), WEIGHTS) == pytest.approx(np.sqrt(0.5 + 0.3 * 4.0 + 0.2 * 4.0))
    np.testing.assert_allclose(of_atoms(forces, WEIGHTS), np.sqrt([0.5 + 0.3 + 0.2 * 4.0, 0.5 + 0.3 * 4.0 + 0.2]))
    np.testing.assert_allclose(from_driver(forces, WEIGHTS), np.sqrt([9.0 * 0.4, 9.0 * 0.6]))


def everything(forces, weights):
    return [of_frame(about_mean(forces), weights), of_atoms(forces, weights), from_driver(forces, weights)]


@pytest.mark.parametrize("change", ["scale of forces", "scale of weights", "rotation", "common shift", "order of atoms"])
def test_invariances(forces, change):
    changed, weights, factor = forces, WEIGHTS, 1.0
    if change == "scale of forces":
        changed, factor = 2.5 * forces, 2.5
    elif change == "scale of weights":
        weights = 7.0 * WEIGHTS
    elif change == "rotation":
        changed = forces @ Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix().T
    elif change == "common shift":
        changed = forces + np.array([1.0, -2.0, 0.5])
    else:
        changed = forces[:, ::-1]
    for mine, other in zip(everything(changed, weights), everything(forces, WEIGHTS), strict=True):
        np.testing.assert_allclose(mine[::-1] if change == "order of atoms" and np.ndim(mine) else mine, factor * other, rtol=1e-13)


def test_zero_if_and_only_if_all_agree(forces):
    same = np.repeat(forces[:1], 3, axis=0)
    assert max(np.max(value) for value in everything(same, WEIGHTS)) < 1e-15
    same[1, 4, 2] += 1e-3
    total, of_each, v = everything(same, WEIGHTS)
    assert total > 1e-4 and np.flatnonzero(of_each > 1e-10).tolist() == np.flatnonzero(v > 1e-10).tolist() == [4]


def test_frames_together(forces):
    d = np.stack([about_mean(forces), about_mean(3.0 * forces)])
    np.testing.assert_allclose(of_frame(d, WEIGHTS), [of_frame(one, WEIGHTS) for one in d])
