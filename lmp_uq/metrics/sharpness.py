# SPDX-License-Identifier: GPL-2.0-or-later
"""What bars of one level are worth: how many errors they cover, and how wide they are beside the best that could be had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.metrics.bars import spearman

IN_BAND = (0.85, 0.97)
"""Coverage that counts as right for level 0.9."""


def weighted_quantiles(values: ArrayLike, probabilities: ArrayLike, weights: Any = None) -> np.ndarray:
    """Smallest values that at least these shares of the weight do not exceed.

    Parameters
    ----------
    values : (n,) array_like, n > 0
    probabilities : (m,) array_like, 0 to 1
    weights : (n,) array_like or None
        Positive; None: all alike.

    Returns
    -------
    ndarray, shape (m,)
    """
    values = np.asarray(values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)[order])
    # the small term keeps a share that is met exactly from being missed by rounding
    wanted = np.asarray(probabilities, dtype=np.float64) * reached[-1] * (1.0 - 1e-12)
    return values[order][np.minimum(np.searchsorted(reached, wanted), len(values) - 1)]


def pinball_loss(error: ArrayLike, bar: ArrayLike, level: float, weights: Any = None) -> float:
    """Weighted mean of max(level u, (level - 1) u), u = error - bar, in their unit: smallest for the true quantile.

    R. Koenker, G. Bassett, Econometrica 46, 33 (1978).
    """
    excess = np.asarray(error) - np.asarray(bar)
    return float(np.average(np.maximum(level * excess, (level - 1.0) * excess), weights=weights))


def sharpness(error: ArrayLike, bar: ArrayLike, level: float, weights: Any = None) -> dict[str, Any]:
    """Figures of bars of one level in one group.

    Parameters
    ----------
    error, bar : (n,) array_like, >= 0
        abs(error), and its bar, in one unit; infinite bars left out before.
    level : float
        Coverage that the bars aim at.
    weights : (n,) array_like or None

    Returns
    -------
    dict
        n; coverage; width: median bar; oracle: the constant bar that covers exactly the level, known only afterwards;
        width_over_oracle; pinball: loss over that of the oracle (1 for the best constant, below 1 where the bar follows the atoms);
        spearman of error and bar. None where there is nothing, or nothing to divide by.
    """
    error, bar = np.asarray(error, dtype=np.float64), np.asarray(bar, dtype=np.float64)
    names = ("coverage", "width", "oracle", "width_over_oracle", "pinball", "spearman")
    if not len(error):
        return {"n": 0, **dict.fromkeys(names)}
    coverage = float(np.average((error <= bar).astype(float), weights=weights))
    width, oracle = (float(weighted_quantiles(values, [share], weights)[0]) for values, share in ((bar, 0.5), (error, level)))
    best = pinball_loss(error, oracle, level, weights)
    ratios = (width / oracle if oracle > 0 else None, pinball_loss(error, bar, level, weights) / best if best > 0 else None)
    figures = (coverage, width, oracle, *ratios, spearman(error, bar))
    return {"n": len(error), **dict(zip(names, figures, strict=True))}


def geometric_mean(values: Iterable[float | None]) -> float | None:
    """Of the positive values that are not None; None without any."""
    logs = [np.log(value) for value in values if value]
    return float(np.exp(np.mean(logs))) if logs else None
