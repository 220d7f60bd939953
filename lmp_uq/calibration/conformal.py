# SPDX-License-Identifier: GPL-2.0-or-later
"""Split-conformal factors, pooled and by group.

A score is |error| / bar.  Multiplying every bar by the conformal quantile of the scores of calibration data
makes the bars cover a new, exchangeable error with at least the chosen probability (V. Vovk, A. Gammerman, G.
Shafer, "Algorithmic Learning in a Random World", Springer 2005; J. Lei et al., J. Am. Stat. Assoc. 113, 1094
(2018)).  Data from a group that was never seen are not exchangeable, which is why every quantity also has a
factor by group.

Atoms of one frame are not exchangeable with atoms of another: their errors are correlated, so n atoms of B
frames are worth B independent measurements, not n.  With blocks (frames) every block has the same weight and
n is the number of blocks: the smallest score s with

    sum over blocks of (share of the block's scores <= s)  >=  level (B + 1)

(hierarchical conformal prediction: R. Dunn, L. Wasserman, A. Ramdas, J. Am. Stat. Assoc. 118, 2491 (2023);
Y. Lee, R. F. Barber, R. Willett, arXiv:2306.06342).  A score drawn at random from a new, exchangeable block is
then covered with at least that probability.  One score per block gives split conformal prediction back.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.errors import UqError


def conformal_quantile(scores: ArrayLike, level: float, blocks: ArrayLike | None = None) -> float:
    """Finite-sample conformal quantile.

    Parameters
    ----------
    scores : array_like, shape (n,)
        |error| / bar of calibration data, >= 0, dimensionless.
    level : float
        Wanted coverage, in (0, 1).
    blocks : array_like, shape (n,), optional
        Block (frame) of each score.  Default: every score is a block of its own.

    Returns
    -------
    float
        As in the module's docstring; without blocks the k-th smallest score with k = ceil((n + 1) level).
        inf where there are too few blocks (below level / (1 - level)) to guarantee the level.

    Raises
    ------
    UqError
        No scores, NaN or negative scores, a level outside (0, 1), or another number of blocks.
    """
    ordered, position = _ordered(scores, level, blocks)
    return float(ordered[position]) if position < ordered.size else float("inf")


def group_quantiles(scores: ArrayLike, groups: ArrayLike, level: float, blocks: ArrayLike | None = None) -> dict[Any, float]:
    """Factor that each group alone would need: {group: float}.

    Parameters
    ----------
    scores : array_like, shape (n,)
    groups : array_like, shape (n,)
        Label of each score (int or str).
    level : float
    blocks : array_like, shape (n,), optional
        As in `conformal_quantile`.

    Returns
    -------
    dict
        The conformal quantile of each group, or its largest score when it is too small for
        `conformal_quantile` to be finite: one small group must not turn every bar infinite.
    """
    scores, blocks = _checked_scores(scores), _checked_blocks(blocks, np.size(scores))
    members = split_by_group(groups, scores.size)
    return {group: capped_quantile(scores[mine], level, blocks[mine]) for group, mine in members}


def capped_quantile(scores: ArrayLike, level: float, blocks: ArrayLike | None = None) -> float:
    """`conformal_quantile`, or the largest score where that is infinite."""
    ordered, position = _ordered(scores, level, blocks)
    return float(ordered[min(position, ordered.size - 1)])


def pooled_and_conservative(scores: ArrayLike, groups: ArrayLike, level: float, blocks: ArrayLike | None = None) -> tuple[float, float]:
    """(pooled factor, conservative factor) of one quantity.

    The conservative one is the largest that any group needs, and at least the pooled one.
    """
    pooled = conformal_quantile(scores, level, blocks)
    return pooled, max(pooled, *group_quantiles(scores, groups, level, blocks).values())


def leave_one_group_out_coverage(
    scores: ArrayLike, groups: ArrayLike, level: float, blocks: ArrayLike | None = None
) -> dict[Any, dict[str, Any]]:
    """Coverage of each group under the pooled factor of the other groups.

    Parameters
    ----------
    scores, groups, level, blocks
        As in `group_quantiles`; at least two groups.

    Returns
    -------
    dict
        {group: {"coverage": float, "n": int, "factor": float}}; coverage and factor are None where the other
        groups have too few blocks for the level.
    """
    scores, blocks = _checked_scores(scores), _checked_blocks(blocks, np.size(scores))
    report = {}
    for group, members in split_by_group(groups, scores.size, at_least=2):
        factor = conformal_quantile(scores[~members], level, blocks[~members])
        known = np.isfinite(factor)
        coverage = share_by_block(scores[members] <= factor, blocks[members]) if known else None
        report[group] = {"coverage": coverage, "n": int(members.sum()), "factor": factor if known else None}
    return report


def enough_blocks(n_blocks: int, level: float) -> bool:
    """Whether n_blocks can guarantee the level: n_blocks >= level / (1 - level), 9 for 0.9 and 19 for 0.95."""
    return n_blocks >= _needed(n_blocks, level)


def least_blocks(level: float) -> int:
    """Smallest number of blocks that can guarantee the level."""
    return int(np.ceil(level / (1.0 - level) - 1e-6))


def share_by_block(inside: ArrayLike, blocks: ArrayLike | None = None) -> float | None:
    """Share of true values where every block has the same weight: what `conformal_quantile` guarantees.

    Parameters
    ----------
    inside : array_like of bool, shape (n,)
    blocks : array_like, shape (n,), optional

    Returns
    -------
    float or None
        None without values.
    """
    inside = np.asarray(inside, dtype=bool)
    return float(np.average(inside, weights=block_weights(blocks, inside.size))) if inside.size else None


def block_weights(blocks: ArrayLike | None, n: int) -> np.ndarray:
    """(n,) weights whose sum is 1 in every block; ones without blocks.  UqError for another number of blocks."""
    _, position, sizes = np.unique(_checked_blocks(blocks, n), return_inverse=True, return_counts=True)
    return 1.0 / sizes[position]


def split_by_group(groups: ArrayLike, n: int, *, at_least: int = 1) -> list[tuple[Any, np.ndarray]]:
    """Pairs (group, mask of its members) in sorted order.

    Parameters
    ----------
    groups : array_like, shape (n,)
    n : int
        Expected number of labels.
    at_least : int
        Number of different groups that are needed.

    Returns
    -------
    list of (int or str, ndarray of bool, shape (n,))

    Raises
    ------
    UqError
        Another number of labels, or too few groups.
    """
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise UqError(f"groups: found shape {groups.shape}, expected ({n},), one label for each row")
    labels, position = np.unique(groups, return_inverse=True)
    if labels.size < at_least:
        raise UqError(f"groups: found {labels.tolist()}, leaving one out needs at least {at_least} groups")
    return [(str(label) if isinstance(label, str) else label.item(), position == k) for k, label in enumerate(labels)]


def _ordered(scores: ArrayLike, level: float, blocks: ArrayLike | None) -> tuple[np.ndarray, int]:
    """Sorted scores, and the index of the one that is the quantile; n where even the largest is too small."""
    scores, level = _checked_scores(scores), _checked_level(level)
    weights = block_weights(blocks, scores.size)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    return scores[order], int(np.searchsorted(reached, _needed(round(reached[-1]), level)))


def _needed(n_blocks: int, level: float) -> float:
    # The small term keeps (n + 1) * level from exceeding the weights' sum by rounding alone.
    return (n_blocks + 1) * level * (1.0 - 1e-9)


def _checked_blocks(blocks: ArrayLike | None, n: int) -> np.ndarray:
    blocks = np.arange(n) if blocks is None else np.asarray(blocks)
    if blocks.shape != (n,):
        raise UqError(f"blocks: found shape {blocks.shape}, expected ({n},), one label for each score")
    return blocks


def _checked_scores(scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not scores.size:
        raise UqError(f"conformal scores: found shape {scores.shape}, expected (n,) with n >= 1")
    # Written so that NaN fails too.
    if not np.all(scores >= 0):
        raise UqError(f"conformal scores: {int(np.sum(~(scores >= 0)))} of {scores.size} are negative or NaN")
    return scores


def _checked_level(level: float) -> float:
    if not isinstance(level, Real) or not 0.0 < float(level) < 1.0:
        raise UqError(f"conformal level: found {level!r}, accepted is a number between 0 and 1")
    return float(level)
