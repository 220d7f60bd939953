# SPDX-License-Identifier: GPL-2.0-or-later
"""Intervals of the figures of validation: bootstrap over blocks of labels that belong together.

Labels of one frame share their atoms, so a figure over 72 force components of three frames is worth three measurements, not 72.
Blocks are drawn with replacement (B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), percentile intervals).
A resample is a count per label, so nothing is sorted or copied more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmp_uq.metrics.bars import LEVELS, NOMINAL, confidence, crps_gaussian, firm_bars

N_RESAMPLES = 200
PERCENTILES = (2.5, 97.5)
MIN_BLOCKS = 5
"""With fewer blocks the percentiles say next to nothing, and there is no interval."""


def block_counts(n_blocks: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> np.ndarray:
    """(n_resamples, n_blocks) how often each block was drawn; every row sums to n_blocks."""
    return np.random.default_rng(seed).multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), n_resamples)


def intervals(
    error: np.ndarray,
    std: np.ndarray,
    blocks: np.ndarray,
    *,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
    bar: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    thresholds: Sequence[float] = (),
    certifiable: np.ndarray | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> dict[str, list[float] | None]:
    """95 % intervals of the main figures of bars.

    Parameters
    ----------
    error, std : (n,) as for `lmp_uq.metrics.bars.bar_metrics`
    blocks : (n,) block of each label
    lower, upper : (n,) bounds; None: no interval of envelope_violation
    bar : (n,) bool, labels that have a bar; None: all
    groups : (n,) for spearman_within_groups; None: leave it out
    thresholds : of abs(error)
    certifiable : (n,) bool or None, as for `lmp_uq.metrics.bars.bar_metrics`
    n_resamples, seed : int

    Returns
    -------
    dict
        Name of a figure of `bar_metrics` to [low, high]; None where fewer than `MIN_BLOCKS` blocks or resamples have it.
    """
    _, block = np.unique(np.asarray(blocks), return_inverse=True)
    block = block.ravel()
    n_blocks = int(block.max(initial=-1)) + 1
    error, std = np.asarray(error, float), np.asarray(std, float)
    bar = np.ones(len(error), bool) if bar is None else np.asarray(bar, bool)
    counts = block_counts(n_blocks, n_resamples, seed) if n_blocks >= MIN_BLOCKS else np.zeros((0, n_blocks), int)
    firm = bar.copy()
    firm[bar] = firm_bars(std[bar], None if certifiable is None else certifiable[bar])
    drawn: dict[str, Any] = _means(error, std, block, counts, bar, firm, lower, upper)
    ranks = _RankFigures(np.abs(error[bar]), std[bar], None if groups is None else np.asarray(groups)[bar], thresholds)
    drawn |= ranks.draw(counts, block[bar])
    return {name: percentile_interval(values) for name, values in drawn.items()}


def share_interval(
    inside: np.ndarray, blocks: np.ndarray, weights: np.ndarray | None = None, *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> list[float] | None:
    """95 % interval of a share of labels (n,) bool, each with its weight (n,); None: all alike."""
    _, block = np.unique(np.asarray(blocks), return_inverse=True)
    block = block.ravel()
    n_blocks = int(block.max(initial=-1)) + 1
    if n_blocks < MIN_BLOCKS:
        return None
    counts = block_counts(n_blocks, n_resamples, seed)
    weights = np.ones(len(block)) if weights is None else np.asarray(weights, float)
    return percentile_interval((counts @ np.bincount(block, weights * inside, n_blocks)) / (counts @ np.bincount(block, weights)))


def percentile_interval(values: np.ndarray) -> list[float] | None:
    """[2.5 %, 97.5 %] percentiles of the resamples that have the figure; None if fewer than half have it."""
    values = np.asarray(values, float)
    known = values[np.isfinite(values)]
    if not len(known) or 2 * len(known) < len(values):
        return None
    return [float(v) for v in np.percentile(known, PERCENTILES)]


def _means(
    error: np.ndarray,
    std: np.ndarray,
    block: np.ndarray,
    counts: np.ndarray,
    bar: np.ndarray,
    firm: np.ndarray,
    lower: np.ndarray | None,
    upper: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Figures that are functions of means over labels: sums over blocks, then one matrix product for all resamples."""
    n_blocks = counts.shape[1]

    def mean(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        sums = np.bincount(block[mask], values, n_blocks)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ sums) / (counts @ np.bincount(block[mask], minlength=n_blocks))

    every = np.ones(len(error), bool)
    out = {"mae": mean(np.abs(error), every), "rmse": np.sqrt(mean(error**2, every))}
    size, width = np.abs(error[bar]), std[bar]
    level = confidence(size, width)
    out |= {f"coverage_{round(100 * nominal)}": mean(level <= nominal, bar) for nominal in LEVELS}
    # observed coverage of all nominal levels at once: labels sorted into the bins between them
    bins = np.zeros((n_blocks, len(NOMINAL) + 1))
    np.add.at(bins, (block[bar], np.searchsorted(NOMINAL, level)), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.cumsum(counts @ bins, axis=1)
        observed = observed[:, :-1] / observed[:, -1:]
    out["miscalibration_area"] = np.abs(observed - NOMINAL).mean(axis=1)
    out["mean_error_over_std"] = mean(np.abs(error[firm]) / std[firm], firm)
    out["crps"] = mean(crps_gaussian(size, width), bar)
    out["sharpness"] = np.sqrt(mean(width**2, bar))
    if lower is not None:
        lower, upper = np.asarray(lower), np.asarray(upper)
        out["envelope_violation"] = mean(((error < lower) | (error > upper))[bar], bar)
    return out


class _RankFigures:
    """Rank figures of weighted labels; a weight is how often a label was drawn."""

    def __init__(self, size: np.ndarray, score: np.ndarray, groups: np.ndarray | None, thresholds: Sequence[float]) -> None:
        self.size, self.score = size, score
        self.position = _positions(score)
        self.events = {f"auroc_{t:.1f}": size > t for t in thresholds}
        self.parts = {}
        if groups is not None:
            for group in dict.fromkeys(groups.tolist()):
                mine = np.flatnonzero(groups == group)
                self.parts[group] = (mine, _positions(size[mine]), _positions(score[mine]))

    def draw(self, counts: np.ndarray, block: np.ndarray) -> dict[str, list]:
        """Figures (n_resamples,) of all resamples."""
        size = _positions(self.size)
        out: dict[str, list] = {name: [] for name in ("spearman", *self.events)}
        if self.parts:
            out["spearman_within_groups"] = []
        for row in counts:
            weight = row[block].astype(float)
            out["spearman"].append(weighted_spearman(size, self.position, weight))
            for name, event in self.events.items():
                out[name].append(weighted_auroc(self.position, event, weight))
            if self.parts:
                out["spearman_within_groups"].append(self._within(weight))
        return out

    def _within(self, weight: np.ndarray) -> float:
        pairs = [(weighted_spearman(a, b, weight[mine]), weight[mine].sum()) for mine, a, b in self.parts.values()]
        values, totals = np.array(pairs).T
        known = np.isfinite(values)
        return values[known] @ totals[known] / totals[known].sum() if known.any() else np.nan


def _positions(values: np.ndarray) -> np.ndarray:
    """(n,) index of each value among the sorted distinct ones."""
    return np.unique(values, return_inverse=True)[1].ravel()


def _weighted_ranks(position: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n,) mean rank that a label has when each stands in the list weight times."""
    totals = np.bincount(position, weight)
    return (np.cumsum(totals) - totals + 0.5 * (totals + 1.0))[position]


def weighted_spearman(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """Rank correlation of labels that count weight times.

    Parameters
    ----------
    a, b : (n,) int, index of the value among the sorted distinct values
    weight : (n,) counts >= 0

    Returns
    -------
    float
        nan where one of the two does not vary, or fewer than 3 labels count.
    """
    total = weight.sum()
    if total < 3:
        return np.nan
    a, b = _weighted_ranks(a, weight), _weighted_ranks(b, weight)
    a, b = a - weight @ a / total, b - weight @ b / total
    spread = (weight @ a**2) * (weight @ b**2)
    return float((weight * a) @ b / np.sqrt(spread)) if spread > 1e-12 * total**2 else np.nan


def weighted_auroc(position: np.ndarray, event: np.ndarray, weight: np.ndarray) -> float:
    """`lmp_uq.metrics.bars.auroc` of labels that count weight times; nan without an event or without a non-event."""
    n_event = weight[event].sum()
    n_rest = weight.sum() - n_event
    if not n_event or not n_rest:
        return np.nan
    ranks = _weighted_ranks(position, weight)
    return float((weight[event] @ ranks[event] - n_event * (n_event + 1) / 2) / (n_event * n_rest))
