# SPDX-License-Identifier: GPL-2.0-or-later
"""Box posterior: closed forms against sampled members, and planted errors that the comparison must find."""

from __future__ import annotations

import numpy as np
import pytest

from lmp_uq.errors import UqError
from lmp_uq.posterior import Box
from lmp_uq.posterior.box import extreme_half_range

N_SAMPLES = 20_000


def make_box(n_features=8, n_modes=5, seed=0):
    rng = np.random.default_rng(seed)
    modes = rng.normal(size=(n_features, n_modes))
    lower, upper = -rng.uniform(0.2, 2.0, n_modes), rng.uniform(0.2, 4.0, n_modes)
    return Box(rng.normal(size=n_features), modes, lower, upper)


def sampled_members(box, n=N_SAMPLES, seed=1):
    """Members by plain Monte Carlo, written independently of `Box.draw`."""
    u = np.random.default_rng(seed).uniform(box.lower, box.upper, size=(n, box.lower.size))
    return box.coefficients + u @ box.modes.T


def rows(n_features=8, n=40, seed=2):
    return np.random.default_rng(seed).normal(size=(n, n_features))


def worst_deviation(box, truth):
    """Largest relative deviation of mean, std and both rms of ``box`` from samples of ``truth``."""
    x = rows()
    values = x @ sampled_members(truth).T
    about_fit = values - (x @ truth.coefficients)[:, None]
    pairs = [
        (box.std(x), values.std(axis=1)),
        (box.rms(x), np.sqrt(np.mean(values**2, axis=1))),
        (box.rms(x, about="coefficients"), np.sqrt(np.mean(about_fit**2, axis=1))),
    ]
    mean = np.abs(box.mean(x) - values.mean(axis=1)) / values.std(axis=1)
    return max(mean.max(), *(np.abs(closed / sampled - 1).max() for closed, sampled in pairs))


def with_lost_mode(box):
    return Box(box.coefficients, box.modes[:, 1:], box.lower[1:], box.upper[1:])


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (lambda box: box, False),
        (lambda box: Box(box.coefficients, box.modes, -box.upper, -box.lower), True),
        (lambda box: Box(box.coefficients, box.modes, 2 * box.lower, 2 * box.upper), True),
        (lambda box: Box(-box.coefficients, box.modes, box.lower, box.upper), True),
        (with_lost_mode, True),
    ],
    ids=["none", "sign of the box", "factor 2", "sign of Theta*", "missing mode"],
)
def test_closed_forms_equal_sampled_members(planted, found):
    truth = make_box()
    # Four standard errors of a mean over 20,000 samples, and well below any planted error.
    assert (worst_deviation(planted(truth), truth) > 4 / np.sqrt(N_SAMPLES)) == found


def test_covariance_of_rows():
    box, x = make_box(), rows(n=6)
    matrix = box.covariance(x[:, None], x[None, :])
    sampled = np.cov(x @ sampled_members(box).T)
    scale = np.sqrt(np.outer(np.diag(sampled), np.diag(sampled)))
    assert np.abs(matrix - sampled).max() < 0.03 * scale.max()
    np.testing.assert_allclose(np.diag(matrix), box.std(x) ** 2)
    np.testing.assert_allclose(box.covariance(x, x), box.std(x) ** 2)
    np.testing.assert_allclose(box.std(x[0] - x[1]) ** 2, matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1])


def test_exact_bounds_are_attained_at_vertices():
    box, x = make_box(), rows()
    edges = zip(box.lower, box.upper, strict=True)
    corners = np.stack(np.meshgrid(*edges), axis=-1).reshape(-1, box.lower.size)
    values = x @ (box.coefficients + corners @ box.modes.T).T
    lower, upper = box.exact_bounds(x)
    np.testing.assert_allclose(lower, values.min(axis=1))
    np.testing.assert_allclose(upper, values.max(axis=1))


def test_leading_axes_are_kept():
    box, x = make_box(), rows(n=12).reshape(3, 4, 8)
    assert box.std(x).shape == (3, 4)
    assert box.bounds(x, 100)[0].shape == (3, 4)
    np.testing.assert_allclose(box.bounds(x, 100)[1][1, 2], box.bounds(x[1, 2], 100)[1])


# (reaches of the modes, largest deviation of z' from the sampled half range in units of the std)
REACHES = {
    "two modes": (np.array([1.0, 0.8]), 0.17),
    "three modes": (np.ones(3), 0.17),
    "five modes": (np.ones(5), 0.11),
    "decaying": (0.85 ** np.arange(30), 0.08),
    "many": (np.ones(46), 0.09),
}


@pytest.mark.parametrize("reach", REACHES)
@pytest.mark.parametrize("n_members", [8, 100, 500, 10_000])
def test_member_bounds_equal_sampled_extremes(reach, n_members):
    reach, tolerance = REACHES[reach]
    rng = np.random.default_rng(0)
    halves = []
    for _ in range(max(10, min(400, 600_000 // (n_members * reach.size)))):
        values = rng.uniform(-1, 1, (n_members, reach.size)) @ reach
        halves.append(0.5 * (values.max() - values.min()))
    std = np.sqrt(np.sum(reach**2) / 3)
    error = 4 * np.std(halves) / np.sqrt(len(halves)) / std
    assert abs(extreme_half_range(reach, n_members) - np.mean(halves)) / std < tolerance + error


@pytest.mark.parametrize("reach", [*REACHES, "one"])
def test_member_bounds_grow_with_members_and_stay_in_the_box(reach):
    reach = np.array([1.0]) if reach == "one" else REACHES[reach][0]
    halves = [float(extreme_half_range(reach, 2**k)) for k in range(41)]
    assert np.all(np.diff(halves) >= 0)
    assert halves[-1] <= reach.sum() * (1 + 1e-12)
    if reach.size == 1:
        assert halves[0] == pytest.approx(1.0)


def test_member_bounds_are_centred_on_the_box_and_scale():
    box, x = make_box(), rows()
    lower, upper = box.bounds(x, 500)
    np.testing.assert_allclose(0.5 * (lower + upper), x @ box.centre())
    exact = box.exact_bounds(x)
    assert np.all(lower >= exact[0] - 1e-12) and np.all(upper <= exact[1] + 1e-12)
    tiny, plain = (float(extreme_half_range(size * np.ones(5), 500)) for size in (1e-120, 1.0))
    assert tiny == pytest.approx(1e-120 * plain)
    np.testing.assert_array_equal(box.bounds(np.zeros(8), 500), 0.0)


def test_members_are_reproducible_and_inside_the_box():
    box = make_box()
    members = box.draw(100, seed=5)
    np.testing.assert_array_equal(members, box.draw(100, seed=5))
    np.testing.assert_array_equal(members[:7], box.draw(7, seed=5))
    assert np.abs(members - box.draw(100, seed=6)).max() > 0.1
    u = np.linalg.lstsq(box.modes, (members - box.coefficients).T, rcond=None)[0].T
    assert np.all(u >= box.lower - 1e-12) and np.all(u <= box.upper + 1e-12)
    lower, upper = box.exact_bounds(rows())
    values = rows() @ members.T
    assert np.all(values >= lower[:, None] - 1e-12) and np.all(values <= upper[:, None] + 1e-12)
    assert box.draw(1, seed=0).shape == (1, 8)


def test_drawn_members_have_the_moments_of_the_box():
    box, x = make_box(), rows()
    values = x @ box.draw(4096, seed=0).T
    np.testing.assert_allclose(values.std(axis=1), box.std(x), rtol=5e-3)
    np.testing.assert_allclose(values.mean(axis=1), box.mean(x), atol=5e-3 * box.std(x).max())


def test_box_without_modes():
    box = Box(np.arange(3.0), np.zeros((3, 0)), [], [])
    x = np.ones((2, 3))
    np.testing.assert_array_equal(box.std(x), 0.0)
    np.testing.assert_array_equal(box.bounds(x, 8), 3.0)
    np.testing.assert_array_equal(box.rms(x), 3.0)
    np.testing.assert_array_equal(box.draw(2, 0), np.tile(np.arange(3.0), (2, 1)))


def test_tensors_round_trip():
    box = make_box()
    again = Box.from_tensors({**box.tensors(), "members": np.zeros(3)})
    np.testing.assert_array_equal(again.bounds(rows(), 50), box.bounds(rows(), 50))
    tensors = box.tensors()
    del tensors["modes"]
    with pytest.raises(UqError, match="modes"):
        Box.from_tensors(tensors)


def test_unusable_input_is_refused():
    box = make_box()
    with pytest.raises(UqError, match="lower exceeds upper"):
        Box(box.coefficients, box.modes, box.upper, box.lower)
    with pytest.raises(UqError, match="modes"):
        Box(box.coefficients, box.modes.T, box.lower, box.upper)
    with pytest.raises(UqError, match="last axis must be 8"):
        box.std(np.ones(7))
    with pytest.raises(UqError, match="about"):
        box.rms(rows(), about="mean")
    for bad in (0, 2.5, True):
        with pytest.raises(UqError, match="integer >= 1"):
            box.draw(bad, 0)
        with pytest.raises(UqError, match="integer >= 1"):
            box.bounds(rows(), bad)


def test_slopes_are_derivatives_of_the_std():
    box, x, step = make_box(), rows(n=5), 1e-5
    shifts = step * np.eye(x.shape[1])[:, None, :]
    expected = ((box.std(x + shifts) - box.std(x - shifts)) / (2 * step)).T
    assert np.allclose(box.std_slope(x), expected, rtol=1e-7, atol=1e-9)
    assert np.allclose(np.sum(x * box.std_slope(x), axis=-1), box.std(x)), "the std is linear along its row"
    assert not box.std_slope(np.zeros(x.shape[1])).any()
