# SPDX-License-Identifier: GPL-2.0-or-later
"""The classifier of frames: what its formula must keep, what it learns from planted labels, and what it cannot from shuffled ones."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from lmp_uq.calibration import probe_training
from lmp_uq.calibration.probe import NUMPY, SIZES, Probe, logits_and_importance, tensor_shapes
from lmp_uq.calibration.probe_training import LabelledFrames, calibrate_probe, functions, padded, split, train_probe, worth
from lmp_uq.errors import UqError

P = 6


def random_probe(seed=0):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape) / np.sqrt(shape[-1]) for name, shape in tensor_shapes(P, 16, 24).items()}
    arrays["input_scale"] = np.exp(arrays["input_scale"])
    arrays |= {name: 4.0 * arrays[name] for name in ("query_weight", "key_weight")}  # attention that prefers some atoms
    return Probe(0.02, 4, arrays)


def toy(n, seed, groups=("a",)):
    """Frames of 6 to 14 atoms; half of them hold one odd atom, which makes the energy bad.  Also the number of that atom, or -1."""
    rng = np.random.default_rng(seed)
    descriptors, error, odd = [], [], []
    for _ in range(n):
        atoms = rng.normal(size=(rng.integers(6, 15), P))
        bad = rng.random() < 0.5
        odd.append(int(rng.integers(len(atoms))) if bad else -1)
        if bad:
            atoms[odd[-1], :2] += 4.0
        descriptors.append(atoms)
        error.append((0.05 if bad else 0.005) * np.exp(0.3 * rng.normal()))
    error = np.array(error)
    frames = LabelledFrames(descriptors, error, np.resize(groups, n), np.arange(n), {"truth": error, "noise": rng.normal(size=n)})
    return frames, np.array(odd)


@pytest.fixture(scope="module")
def learned():
    frames, odd = toy(260, 1, ("a", "b"))
    return calibrate_probe(frames, max_epochs=25), frames, odd


# ---- the formula ------------------------------------------------------------------------------------------


def test_atoms_that_are_not_there_change_nothing():
    probe, rng = random_probe(), np.random.default_rng(1)
    frames = [rng.normal(size=(n, P)) for n in (1, 5, 9)]
    z, present = padded([(one - probe.arrays["input_mean"]) / probe.arrays["input_scale"] for one in frames])
    z[~present] = 1e3 * rng.normal(size=(np.sum(~present), P))
    logits, importance = logits_and_importance(probe.arrays, z, present, probe.heads, NUMPY)
    for k, one in enumerate(frames):
        probability, mine = probe.assess(one)
        assert probability == pytest.approx(1.0 / (1.0 + np.exp(logits[k])), rel=1e-12)
        np.testing.assert_allclose(importance[k, : len(one)], mine, rtol=1e-12)
        assert not importance[k, len(one) :].any() and mine.sum() == pytest.approx(1.0, rel=1e-12)
    # planted: told that they are there, they change what is said
    told, _ = logits_and_importance(probe.arrays, z, np.ones_like(present), probe.heads, NUMPY)
    assert abs(told[0] - logits[0]) > 1e-3


def test_the_order_of_the_atoms_and_copies_of_a_frame_change_nothing(monkeypatch):
    probe, rng = random_probe(), np.random.default_rng(2)
    atoms = rng.normal(size=(11, P))
    probability, importance = probe.assess(atoms)
    order = rng.permutation(11)
    shuffled, its = probe.assess(atoms[order])
    assert shuffled == pytest.approx(probability, rel=1e-12)
    np.testing.assert_allclose(its, importance[order], rtol=1e-12)
    assert np.ptp(importance) > 0.01
    # neither N nor the total energy is an input
    double, halves = probe.assess(np.tile(atoms, (2, 1)))
    assert double == pytest.approx(probability, rel=1e-10)
    np.testing.assert_allclose(halves, np.tile(importance, 2) / 2, rtol=1e-10)
    monkeypatch.setattr("lmp_uq.calibration.probe._MAX_SCORES", 60)  # attention in pieces
    pieces, its = probe.assess(atoms)
    assert pieces == pytest.approx(probability, rel=1e-12)
    np.testing.assert_allclose(its, importance, rtol=1e-12)


def test_numpy_and_torch_have_one_formula():
    import torch

    probe, rng = random_probe(), np.random.default_rng(3)
    z, present = padded([rng.normal(size=(n, P)) for n in (4, 7)])
    found = logits_and_importance(probe.arrays, z, present, probe.heads, NUMPY)
    arrays = {name: torch.from_numpy(array) for name, array in probe.arrays.items()}
    torches = logits_and_importance(arrays, *map(torch.from_numpy, (z, present)), probe.heads, functions(None))
    for mine, theirs in zip(found, torches, strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-10)


def test_storage_and_refusals():
    probe = replace(random_probe(), figures={"epochs": 3})
    again = Probe.from_tensors(probe.header(), probe.tensors())
    atoms = np.random.default_rng(4).normal(size=(5, P))
    assert again.assess(atoms)[0] == probe.assess(atoms)[0] and again.header() == probe.header() and again.figures == {"epochs": 3}
    arrays = probe.tensors()
    bad = {
        "boundary is nan": lambda: replace(probe, boundary=np.nan),
        "heads .5. that divide the width 24": lambda: replace(probe, heads=5),
        "query_weight has shape .0,.; accepted: .24, 24.": lambda: replace(
            probe, arrays={k: v for k, v in arrays.items() if k != "query_weight"}
        ),
        "value_bias has shape .24,.; accepted: .24,., finite": lambda: replace(probe, arrays=arrays | {"value_bias": np.full(24, np.inf)}),
        r"descriptors have shape \(3, 5\); accepted: \(N, 6\)": lambda: probe.assess(np.zeros((3, 5))),
        r"descriptors have shape \(0, 6\)": lambda: probe.assess(np.zeros((0, 6))),
        "has no heads": lambda: Probe.from_tensors({"boundary": 1.0}, arrays),
    }
    for message, make in bad.items():
        with pytest.raises(UqError, match=message):
            make()


# ---- what is learned --------------------------------------------------------------------------------------


def test_a_planted_motif_is_learned_and_located(learned):
    probe, _, _ = learned
    new, odd = toy(200, 2)
    figures = worth(replace(probe, boundary=0.016), new)
    assert figures["auroc"] > 0.95 and figures["accuracy"] > 0.9 > 0.6 > figures["majority"]
    assert figures["signals"]["truth"] == 1.0 and abs(figures["signals"]["noise"] - 0.5) < 0.12
    shares = [(probe.assess(one)[1] * len(one))[k] for one, k in zip(new.descriptors, odd, strict=True) if k >= 0]
    most = [np.argmax(probe.assess(one)[1]) == k for one, k in zip(new.descriptors, odd, strict=True) if k >= 0]
    assert np.median(shares) > 1.5 and np.mean(most) > 0.8


def test_the_figures_are_of_frames_that_had_no_part(learned):
    probe, frames, _ = learned
    figures = probe.figures
    assert figures["n_frames"] == {"training": 182, "stopping": 39, "held_out": 39} and figures["held_out"]["n"] == 39
    assert set(figures["groups_left_out"]) == {"a", "b"} and {g["n"] for g in figures["groups_left_out"].values()} == {130}
    assert all(g["auroc"] > 0.9 for g in figures["groups_left_out"].values())
    parts = split(frames.blocks, (0.7, 0.15, 0.15), np.random.default_rng(0))
    assert np.all(np.sum(parts, axis=0) == 1)
    assert probe.boundary == np.median(frames.error[parts[0]])
    one_block = split(np.repeat(np.arange(20), 5), (0.5, 0.5), np.random.default_rng(0))
    assert all(len(np.unique(part.reshape(20, 5).sum(axis=1))) == 2 for part in one_block)


def test_shuffled_labels_give_no_skill():
    frames, _ = toy(240, 3)
    rng = np.random.default_rng(0)
    found = []
    for seed in range(2):
        shuffled = replace(frames, error=rng.permutation(frames.error))
        probe, _ = train_probe(shuffled.take(frames.blocks < 120), shuffled.take((frames.blocks >= 120) & (frames.blocks < 150)), seed, 8)
        found.append(worth(probe, shuffled.take(frames.blocks >= 150))["auroc"])
    assert abs(np.mean(found) - 0.5) < 0.12


def test_the_same_seed_gives_the_same_classifier():
    frames, _ = toy(60, 4)
    parts = frames.take(frames.blocks < 50), frames.take(frames.blocks >= 50)
    (one, _), (two, _), (other, _) = (train_probe(*parts, seed, 2) for seed in (3, 3, 4))
    for name, array in one.tensors().items():
        np.testing.assert_array_equal(array, two.tensors()[name])
    assert one.assess(frames.descriptors[0])[0] != other.assess(frames.descriptors[0])[0]
    assert one.heads == SIZES["heads"]


def test_the_loss_weighs_a_frame_by_one_over_root_n():
    import torch

    probe, rng = random_probe(), np.random.default_rng(5)
    arrays = {name: torch.from_numpy(array) for name, array in probe.arrays.items()}
    one, two = rng.normal(size=(4, P)), rng.normal(size=(9, P))
    assert 24 % SIZES["heads"] == 0
    f, target = functions(None), np.ones(1)

    def entropy(frames, targets):
        return float(probe_training._loss(arrays, frames, targets, f))

    assert entropy([one, two], np.ones(2)) == pytest.approx((entropy([one], target) + entropy([two], target)) / 2, rel=1e-9)
    logits, _ = logits_and_importance(probe.arrays, two[None], np.ones((1, 9), bool), SIZES["heads"], NUMPY)
    assert entropy([two], target) == pytest.approx(np.log1p(np.exp(-logits[0])) / 3.0, rel=1e-9)


def test_what_cannot_be_learned_from():
    frames, _ = toy(79, 5)
    with pytest.raises(UqError, match=r"classifier probe: 79 independent frames with energies and at most 500 atoms; accepted: 80 or more"):
        calibrate_probe(frames)
    with pytest.raises(UqError, match=r"classifier probe: 0 independent frames with energies"):
        calibrate_probe(frames.take(np.zeros(79, bool)))
    frames, _ = toy(80, 6)
    for same in (0.0, 0.01):
        with pytest.raises(UqError, match=r"0 of 56 training frames have an energy error above the median .* there is one class only"):
            calibrate_probe(replace(frames, error=np.full(80, same)))


def test_large_frames_take_no_part(monkeypatch):
    monkeypatch.setattr(probe_training, "MAX_ATOMS", 12)
    frames, _ = toy(160, 7)
    n_large = sum(len(one) > 12 for one in frames.descriptors)
    probe = calibrate_probe(frames, max_epochs=1)
    assert 0 < n_large == probe.figures["n_too_large"] and sum(probe.figures["n_frames"].values()) == 160 - n_large


def test_without_torch_it_answers_and_training_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    frames, _ = toy(90, 8)
    assert 0.0 < random_probe().assess(frames.descriptors[0])[0] < 1.0
    with pytest.raises(UqError, match="the training of a classifier needs torch and mace-torch, and torch is not installed; accepted:"):
        calibrate_probe(frames)
