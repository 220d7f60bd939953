# SPDX-License-Identifier: GPL-2.0-or-later
"""Gains: the formula of Woodbury against determinants of whole matrices, what equal frames add, elements without training atoms."""

from __future__ import annotations

import numpy as np
import pytest

from lmp_uq.errors import UqError
from lmp_uq.novelty.grade import Novelty
from lmp_uq.selection.known import WEIGHT, Known

P, ELEMENTS = 5, ("W", "Ta")


def novelty_of(rng, n=400) -> tuple[Novelty, list[np.ndarray]]:
    """A grade of made-up atoms of two elements, and the atoms."""
    atoms = [rng.normal(size=(n, P)) @ rng.normal(size=(P, P)) + rng.normal(size=P) for _ in ELEMENTS]
    mean = np.array([one.mean(axis=0) for one in atoms])
    whitening = np.array([np.linalg.cholesky(np.linalg.inv(np.cov(one.T, bias=True))).T for one in atoms])
    return Novelty(mean, whitening, np.ones(len(ELEMENTS))), atoms


def frame_of(rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    return 3.0 * rng.normal(size=(n, P)), rng.integers(0, 2, n)


class Whole:
    """log det of the whole matrices: mean of centred D D^T over the training atoms, and the frames; no coordinates of our own."""

    def __init__(self, atoms) -> None:
        self.centre = [one.mean(axis=0) for one in atoms]
        self.matrices = [np.cov(one.T, bias=True) for one in atoms]

    def with_frame(self, descriptors, species, weight=WEIGHT) -> list[np.ndarray]:
        out = []
        for z, matrix in enumerate(self.matrices):
            x = (descriptors[species == z] - self.centre[z]) / np.sqrt(len(species))
            out.append(matrix + weight * x.T @ x)
        return out

    def gain(self, frame) -> float:
        return sum(np.linalg.slogdet(m)[1] for m in self.with_frame(*frame)) - sum(np.linalg.slogdet(m)[1] for m in self.matrices)


@pytest.mark.parametrize("sizes", [(1, 2, 3), (40, 3, 17)])
def test_gains_are_those_of_whole_determinants(sizes):
    rng = np.random.default_rng(1)
    novelty, atoms = novelty_of(rng)
    known, whole = Known(novelty, ELEMENTS), Whole(atoms)
    frames = [frame_of(rng, n) for n in sizes]
    wrong = Known(novelty, ELEMENTS)
    for frame in frames:
        for other in frames:
            assert sum(known.gains(known.parts(*other)).values()) == pytest.approx(whole.gain(other), rel=1e-9)
        known.add(known.parts(*frame))
        wrong.add({z: np.sqrt(2.0) * x for z, x in wrong.parts(*frame).items()})  # a planted factor of 2 in what is added
        whole.matrices = whole.with_frame(*frame)
    last = frames[-1]
    assert abs(sum(wrong.gains(wrong.parts(*last)).values()) / whole.gain(last) - 1.0) > 1e-2


def test_frames_added_one_by_one_or_as_a_sum_are_the_same():
    rng = np.random.default_rng(2)
    novelty, _ = novelty_of(rng)
    one, other = Known(novelty, ELEMENTS), Known(novelty, ELEMENTS)
    parts = [one.parts(*frame_of(rng, n)) for n in (2, 9, 30)]
    for mine in parts:
        one.add(mine)
    other.add_squares(other.squares(parts))
    new = one.parts(*frame_of(rng, 7))
    assert one.gains(new) == pytest.approx(other.gains(new), rel=1e-10)


def test_gains_only_fall_and_equal_frames_add_less_and_less():
    rng = np.random.default_rng(3)
    novelty, _ = novelty_of(rng)
    known = Known(novelty, ELEMENTS)
    parts, other = known.parts(*frame_of(rng, 6)), known.parts(*frame_of(rng, 6))
    gains, others = [], []
    for _ in range(30):
        gains.append(sum(known.gains(parts).values()))
        others.append(sum(known.gains(other).values()))
        known.add(parts)
    assert (np.diff(gains) < 0).all() and (np.diff(others) < 1e-12).all()
    assert gains[-1] < 0.1 * gains[0]


def test_size_of_a_frame_does_not_count():
    """A frame twice as large of the same atoms has the same gain; a sum over atoms in place of the mean would not."""
    rng = np.random.default_rng(4)
    novelty, _ = novelty_of(rng)
    known = Known(novelty, ELEMENTS)
    descriptors, species = frame_of(rng, 8)
    once = known.gains(known.parts(descriptors, species))
    twice = known.gains(known.parts(np.tile(descriptors, (2, 1)), np.tile(species, 2)))
    assert once == pytest.approx(twice, rel=1e-12)


def test_an_atom_at_the_average_distance_gains_a_unit():
    rng = np.random.default_rng(5)
    novelty, _ = novelty_of(rng)
    known = Known(novelty, ELEMENTS)
    direction = rng.normal(size=P)
    away = np.sqrt(P) * direction / np.linalg.norm(direction)
    descriptor = novelty.mean[1] + np.linalg.solve(novelty.whitening[1], away)
    assert known.gains(known.parts(descriptor[None], np.array([1]))) == pytest.approx({1: known.unit})


def test_elements_without_training_atoms_are_far_from_everything():
    rng = np.random.default_rng(6)
    novelty, atoms = novelty_of(rng)
    lone = Novelty.from_tensors(
        {"mean": np.vstack([novelty.mean, np.zeros((1, P))]), "whitening": np.concatenate([novelty.whitening, np.zeros((1, P, P))]),
         "radius": np.array([1.0, 1.0, np.nan])}
    )  # fmt: skip
    known = Known(lone, (*ELEMENTS, "Nb"))
    mean = np.mean([one.mean(axis=0) for one in atoms], axis=0)
    whole = np.mean([np.cov(one.T, bias=True) + np.outer(one.mean(axis=0) - mean, one.mean(axis=0) - mean) for one in atoms], axis=0)
    atom = rng.normal(size=(1, P)) * 10
    x = atom[0] - mean
    expected = np.log1p(WEIGHT * x @ np.linalg.solve(whole, x))
    assert known.gains(known.parts(atom, np.array([2])))[2] == pytest.approx(expected)
    nothing = Novelty(np.zeros((1, P)), np.zeros((1, P, P)), np.array([np.nan]))
    with pytest.raises(UqError, match="knows no element"):
        Known(nothing, ("W",))
