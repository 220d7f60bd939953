# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to choose frames. Equals are ordered by their content hash, so that the order of files and the number of ranks change nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.selection.known import Known, Parts
from lmp_uq.selection.pool import Candidate, Pool
from lmp_uq.selection.quota import Quota


class Choice(NamedTuple):
    """A chosen frame: what it was chosen by (of log det its gain), and the element that it counts for."""

    candidate: Candidate
    score: float
    element: str


def by_gain(pool: Pool, known: Known, quota: Quota, count: int, ranks: Ranks) -> tuple[list[Choice], float | None]:
    """Greedy log-determinant; `known` then holds the frames that were chosen. Also the gain of the best frame that is left."""
    bounds = np.full(len(pool), np.inf)  # gains of earlier rounds, which later ones do not exceed
    chosen: list[Choice] = []
    while True:
        found = [one for one in ranks.gather(_best(pool, known, quota, bounds)) if one is not None]
        if not found:
            return chosen, None
        gain, _, choice, parts = max(found, key=lambda one: one[:2])
        if len(chosen) == count:
            return chosen, gain
        chosen.append(choice)
        quota.take(choice.element, choice.candidate.group)
        known.add(parts)
        mine = [k for k, one in enumerate(pool.candidates) if one.number == choice.candidate.number]
        bounds[mine] = -np.inf


def _best(pool: Pool, known: Known, quota: Quota, bounds: np.ndarray) -> tuple[float, int, Choice, Parts] | None:
    best: Any = None
    for k in np.argsort(-bounds, kind="stable"):
        if bounds[k] == -np.inf or (best is not None and bounds[k] < best[0]):
            break
        mine = pool.candidates[k]
        parts = known.parts(*pool.descriptors(k))
        gains = known.gains(parts)
        bounds[k] = sum(gains.values())
        element = known.elements[max(gains, key=gains.__getitem__)]
        if quota.allows(element, mine.group) and (best is None or (bounds[k], -mine.key) > best[:2]):
            best = (float(bounds[k]), -mine.key, Choice(mine, float(bounds[k]), element), parts)
    return best


def by_grade(pool: Pool, quota: Quota, count: int, ranks: Ranks) -> list[Choice]:
    """The largest grades first; a frame counts for the element of its largest."""
    return _in_order(everyone(pool, ranks), lambda one: -one.grade, lambda one: one.grade_element, quota, count)


def at_random(pool: Pool, quota: Quota, count: int, seed: int, ranks: Ranks) -> list[Choice]:
    """Equal chances, which a hash of seed and content deals out; a frame counts for its commonest element."""

    def lot(one: Candidate) -> float:
        digest = hashlib.blake2b(f"{seed} {one.key}".encode(), digest_size=7).digest()
        return int.from_bytes(digest, "little") / 2.0**56

    return _in_order(everyone(pool, ranks), lot, lambda one: one.element, quota, count)


def by_distance(pool: Pool, seen: np.ndarray, quota: Quota, count: int, ranks: Ranks) -> list[Choice]:
    """Farthest points by scikit-matter on mean descriptors over their standard deviations; a frame counts for its commonest element.

    Parameters
    ----------
    seen : (m, P) array
        Mean descriptors of frames that are there already, the same on every rank; without one, distances begin at the mean of the pool.
    """
    fps = farthest_point_sampler()
    candidates = everyone(pool, ranks)
    order = sorted(range(len(candidates)), key=lambda k: candidates[k].key)
    candidates = [candidates[k] for k in order]
    points = np.concatenate(ranks.gather(pool.means))[order]
    seen = seen if len(seen) else points.mean(axis=0)[None]
    every = np.concatenate([seen, points])
    spread = every.std(axis=0)
    every = (every - every.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    open_ = np.ones(len(every), dtype=bool)
    sampler = fps(open_, initialize=list(range(len(seen))), n_to_select=len(seen))
    sampler.fit(every)
    chosen: list[Choice] = []
    while len(chosen) < count:
        open_[len(seen) :] &= [quota.allows(one.element, one.group) for one in candidates]
        if not open_[len(seen) :].any():
            break
        sampler.n_to_select = len(seen) + len(chosen) + 1
        sampler.fit(every, warm_start=True)
        at = int(sampler.selected_idx_[-1])
        mine = candidates[at - len(seen)]
        chosen.append(Choice(mine, float(np.sqrt(max(sampler.hausdorff_at_select_[at], 0.0))), mine.element))
        quota.take(mine.element, mine.group)
        open_[at] = False
    return chosen


def farthest_point_sampler() -> type:
    """Class of scikit-matter's FPS on rows, which never chooses where its first argument is False.

    Raises
    ------
    UqError
        It is not installed.
    """
    try:
        from skmatter.sample_selection import FPS
    except ImportError as failure:
        text = 'farthest points need scikit-matter, which is not installed here; accepted: pip install "lmp-uq[farthest]"'
        raise UqError(text) from failure

    class Sampler(FPS):
        def __init__(self, allowed: np.ndarray, initialize: Any = 0, n_to_select: Any = None) -> None:
            super().__init__(initialize=initialize, n_to_select=n_to_select)
            self.allowed = allowed

        def score(self, X: np.ndarray, y: Any = None) -> np.ndarray:
            return np.where(self.allowed, super().score(X, y), -np.inf)

    return Sampler


def everyone(pool: Pool, ranks: Ranks) -> list[Candidate]:
    """Candidates of all ranks, the same list on each."""
    return [one for mine in ranks.gather(pool.candidates) for one in mine]


def _in_order(
    candidates: Iterable[Candidate], score: Callable[[Candidate], float], element: Callable[[Candidate], str], quota: Quota, count: int
) -> list[Choice]:
    chosen: list[Choice] = []
    for one in sorted(candidates, key=lambda one: (score(one), one.key)):
        if len(chosen) < count and quota.allows(element(one), one.group):
            chosen.append(Choice(one, abs(score(one)), element(one)))
            quota.take(element(one), one.group)
    return chosen


def gains_of(pool: Pool, known: Known, chosen: Sequence[Choice], ranks: Ranks) -> list[float]:
    """What each frame adds to those before it; `known` then holds them all."""
    mine = {one.number: k for k, one in enumerate(pool.candidates)}
    out = []
    for choice in chosen:
        at = mine.get(choice.candidate.number)
        (parts,) = [one for one in ranks.gather(None if at is None else known.parts(*pool.descriptors(at))) if one is not None]
        out.append(sum(known.gains(parts).values()))
        known.add(parts)
    return out
