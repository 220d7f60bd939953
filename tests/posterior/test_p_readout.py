# SPDX-License-Identifier: GPL-2.0-or-later
"""The P-readout: its formula against finite differences, the fair score against closed forms, and what its training finds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from p_readout_example import random_readout

from lmp_uq.errors import UqError
from lmp_uq.metrics.crps import fair_crps, spread_skill
from lmp_uq.posterior.p_readout import PReadout
from lmp_uq.posterior.p_readout_training import ReadoutFrame, Scales, _Batch, _first, _loss, score, train_p_readout

# ---- score ----------------------------------------------------------------------------------------------------------------------


def crps_of_normal(y: np.ndarray) -> np.ndarray:
    """Of N(0, 1): T. Gneiting, A. E. Raftery, J. Am. Stat. Assoc. 102, 359 (2007)."""
    below = np.array([0.5 * math.erfc(-one / math.sqrt(2.0)) for one in y])
    return y * (2.0 * below - 1.0) + 2.0 * np.exp(-0.5 * y**2) / math.sqrt(2.0 * math.pi) - 1.0 / math.sqrt(math.pi)


def test_few_members_have_the_score_of_infinitely_many():
    labels = np.array([-1.5, 0.0, 0.4, 3.0])
    members = np.random.default_rng(0).normal(size=(4, 200_000, 4))
    assert np.allclose(fair_crps(members, labels).mean(axis=0), crps_of_normal(labels), atol=0.005)


def test_the_sorted_form_is_the_double_sum():
    members, labels = np.random.default_rng(1).normal(size=(7, 5)), np.linspace(-1, 1, 5)
    pairs = np.abs(members[:, None] - members[None]).sum(axis=(0, 1))
    assert np.allclose(fair_crps(members, labels), np.abs(members - labels).mean(axis=0) - pairs / (2 * 7 * 6), rtol=1e-13)
    same = np.full((3, 5), 0.5)
    assert np.array_equal(fair_crps(same, labels), np.abs(0.5 - labels)), "members that agree are a point forecast"


def test_members_that_are_as_far_apart_as_they_are_wrong_have_spread_over_skill_of_one():
    rng = np.random.default_rng(2)
    members, labels = rng.normal(size=(5, 100_000)), rng.normal(size=100_000)
    assert spread_skill(members, labels) == pytest.approx(1.0, abs=0.01)
    assert spread_skill(0.5 * members, labels) < 0.6


# ---- formula --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def readout() -> PReadout:
    return random_readout(4, 3)


def test_slopes_are_those_of_the_energies(readout):
    descriptors, step = np.random.default_rng(3).normal(size=(5, 4)), 1e-5
    slopes = readout.slopes(descriptors, 1, 2)
    for p in range(4):
        moved = np.eye(4)[p] * step
        differences = (readout.energies(descriptors + moved, 3) - readout.energies(descriptors - moved, 3))[1:] / (2 * step)
        assert np.allclose(slopes[:, :, p], differences, rtol=1e-7, atol=1e-9)


def test_forces_are_slopes_along_displacements(readout):
    rng = np.random.default_rng(4)
    descriptors, derivatives = rng.normal(size=(5, 4)), rng.normal(size=(2, 5, 4))
    step = 1e-5
    energies = [readout.total_energies(descriptors + s * derivatives[1], 3) for s in (step, -step)]
    assert np.allclose(readout.force_rows(descriptors, derivatives, 3)[:, 1], -(energies[0] - energies[1]) / (2 * step), rtol=1e-7)


def test_without_output_nothing_is_added_and_equal_biases_are_one_member(readout):
    descriptors = np.random.default_rng(5).normal(size=(5, 4))
    still = random_readout(4, 3, output=np.zeros(7), linear=np.zeros(4))
    assert not still.energies(descriptors, 3).any() and not still.slopes(descriptors, 0, 3).any()
    alike = random_readout(4, 3, member_bias=np.tile(readout.member_bias[0], (3, 1)))
    assert np.ptp(alike.slopes(descriptors, 0, 3), axis=0).max() == 0.0 < np.ptp(readout.slopes(descriptors, 0, 3), axis=0).max()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("input_scale", np.array([1.0, 0.0, 1.0, 1.0]), "input_scale > 0"),
        ("weight", np.full((7, 4), np.nan), "28 of 28 values are NaN"),
        ("member_bias", np.zeros((3, 6)), r"member_bias: found shape \(3, 6\), expected \(any, 7\)"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(name, value, text):
    with pytest.raises(UqError, match=text):
        random_readout(4, 3, **{name: value})


# ---- training -------------------------------------------------------------------------------------------------------------------


def labelled(n: int, seed: int, shift: float = 0.0) -> list[ReadoutFrame]:
    """Frames of one atom, whose forces are off by shift + 0.3 xi times a slope of a descriptor, xi a number of the frame."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(n):
        descriptors, derivatives = rng.normal(size=(1, 2)), rng.normal(size=(12, 1, 2))
        forces = (shift + 0.3 * rng.normal()) * derivatives[:, 0, 0]
        out.append(ReadoutFrame(descriptors, derivatives.astype(np.float32), forces, np.nan, "all", np.ones(12, bool), np.zeros((13, 2))))
    return out


def test_the_loss_that_is_trained_is_the_score():
    """torch in float32 against numpy: energies, forces, frames of unlike sizes, one without an energy."""
    rng, frames = np.random.default_rng(6), []
    for n_atoms, energy in ((3, 0.02), (1, np.nan), (5, -0.03)):
        shape = (4, n_atoms, 2)
        forces, slopes = rng.normal(size=4), rng.normal(size=shape).astype(np.float32)
        frames.append(ReadoutFrame(rng.normal(size=shape[1:]), slopes, forces, energy, "all", np.ones(4, bool), np.zeros((5, 2))))
    mean, scale, scales = np.array([0.1, -0.2]), np.array([0.5, 2.0]), Scales.of(frames)
    arrays = {name: rng.normal(size=one.shape) for name, one in _first(2, rng).items()}
    z = rng.normal(size=(5, 16))
    output, linear = scales.forces * arrays["output"], scales.forces * arrays["linear"]
    readout = PReadout(mean, scale, arrays["weight"], output, linear, arrays["bias"] + z @ arrays["noise"].T)
    tensors = {name: torch.tensor(one, dtype=torch.float32) for name, one in arrays.items()}
    loss = float(_loss(tensors, _Batch.of(frames, mean, scale, scales), torch.tensor(z, dtype=torch.float32)))
    found = score(readout, frames, scales, 5)
    assert loss == pytest.approx(found["loss"], rel=1e-4) and min(found["forces"], found["energies"]) > 0.0


def test_training_finds_how_far_labels_scatter_and_where_their_middle_is():
    training, stopping, judged = labelled(300, 0, 0.5), labelled(60, 1, 0.5), labelled(200, 2, 0.5)
    readout, found = train_p_readout(training, stopping, 32, seed=0, steps=300)
    scales = Scales.of(training)
    assert found["loss"] == pytest.approx(score(readout, stopping, scales)["loss"], rel=0.05)
    slopes = -np.concatenate([readout.slopes(one.descriptors, 0, 32)[:, :, 0] for one in judged], axis=1)
    assert slopes.mean() == pytest.approx(0.5, abs=0.1)
    assert slopes.std(axis=0, ddof=1).mean() == pytest.approx(0.3, rel=0.3)
    # the score of N(0.5, 0.3) slopes, by its closed form
    forces = np.concatenate([one.derivatives[:, 0, 0] for one in judged])
    best = 0.3 / math.sqrt(math.pi) * np.abs(forces).mean()
    assert best * 0.9 < score(readout, judged, scales, 32)["forces"] < best * 1.15


def test_the_same_seed_gives_the_same_bits_and_frames_without_forces_none():
    training, stopping = labelled(20, 0), labelled(5, 1)
    one, two, other = (train_p_readout(training, stopping, 4, seed, steps=15)[0] for seed in (0, 0, 1))
    assert all(np.array_equal(one.tensors()[name], two.tensors()[name]) for name in PReadout.tensor_names)
    assert not np.array_equal(one.weight, other.weight)
    with pytest.raises(UqError, match="no forces that differ from the model's"):
        train_p_readout([replace(one, forces=0.0 * one.forces) for one in training], stopping, 4)
    with pytest.raises(UqError, match="0 frames for training and 5"):
        train_p_readout([], stopping, 4)
