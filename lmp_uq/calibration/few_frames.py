# SPDX-License-Identifier: GPL-2.0-or-later
"""What a few labelled frames of a new system change: factors with and without them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import conformal_quantile, share_by_block
from lmp_uq.errors import UqError

N_FRAMES = 10
N_DRAWS = 20
MIN_REST = 5
"""Frames that must remain to measure the coverage on."""


def few_frames_of_a_group(
    others: tuple[ArrayLike, ArrayLike],
    mine: tuple[ArrayLike, ArrayLike],
    level: float,
    *,
    n_frames: int = N_FRAMES,
    n_draws: int = N_DRAWS,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Coverage of a group with factors that know none or a few of its frames.

    Parameters
    ----------
    others, mine : (scores, blocks)
        Scores |error| / bar, shape (n,), and the block (frame) of each, of the other groups and of the group.
    level : float
        Wanted coverage.
    n_frames : int
        Blocks of the group that get known.
    n_draws : int
        Random choices of these blocks; the coverages are means over them.
    seed : int

    Returns
    -------
    dict or None
        n_frames; coverage of the remaining frames (blocks have equal weights) with the factor of "others" alone, with that
        of others and chosen frames "added" together, and with that of the chosen frames "alone" (the bar's shape still
        comes from the others).  None where a factor is infinite.  None for the whole if fewer than `MIN_REST` frames
        would remain.

    Raises
    ------
    UqError
        Scores and blocks of different shapes.
    """
    (other_scores, other_blocks), (scores, blocks) = (tuple(map(np.asarray, pair)) for pair in (others, mine))
    if scores.shape != blocks.shape or other_scores.shape != other_blocks.shape:
        raise UqError(f"few frames: found {scores.shape} scores for {blocks.shape} blocks, expected one for each")
    labels = np.unique(blocks)
    if len(labels) < n_frames + MIN_REST:
        return None
    rng = np.random.default_rng(seed)
    factor = conformal_quantile(other_scores, level, other_blocks) if other_scores.size else math.inf
    found: dict[str, list[float | None]] = {"others": [], "added": [], "alone": []}
    for _ in range(n_draws):
        known = np.isin(blocks, rng.choice(labels, n_frames, replace=False))
        joint = (np.concatenate([other_scores, scores[known]]), np.concatenate([other_blocks, blocks[known]]))
        tried = {
            "others": factor,
            "added": conformal_quantile(joint[0], level, joint[1]),
            "alone": conformal_quantile(scores[known], level, blocks[known]),
        }
        for name, value in tried.items():
            found[name].append(share_by_block(scores[~known] <= value, blocks[~known]) if math.isfinite(value) else None)
    means = {name: None if None in values else float(np.mean(np.array(values, float))) for name, values in found.items()}
    return {"n_frames": len(labels)} | means
