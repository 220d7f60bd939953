# SPDX-License-Identifier: GPL-2.0-or-later
"""How well error bars tell errors: figures for one set of labels. Pure numpy and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtr
from scipy.stats import rankdata

NO_BAR = 1e-5
"""Share of the widest bar below which a bar is rounding (of single-precision features), not a statement."""
FIRM = 0.01
"""Share of the root mean square bar below which the ratio of an error to its bar says nothing: a few such labels would be the mean."""
LEVELS = (0.5, 0.9, 0.95)
"""Nominal levels whose coverage is a figure: Gaussian intervals of 0.674, 1.645 and 1.960 std."""
NOMINAL = np.arange(1, 100) / 100.0
"""Nominal levels over which the miscalibration area is a mean."""
_NO_WIDTH = ("mean_error_over_std", "n_firm", "spearman", "within_1_std", "within_2_std", "within_3_std")
_NO_SHAPE = ("coverage_50", "coverage_90", "coverage_95", "miscalibration_area", "crps", "sharpness", "risk_coverage_gain")


def has_bar(std: ArrayLike) -> np.ndarray:
    """(n,) bool: labels that a bar describes; not those whose features vanish by symmetry, for which every
    Theta gives the same.

    To be called with the labels of all groups together: in a group of ideal crystals alone the widest bar is
    rounding too.
    """
    std = np.asarray(std, float)
    return std > NO_BAR * max(std.max(initial=0.0), 1e-300)


def bar_metrics(
    error: np.ndarray,
    std: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    n_members: int,
    bar: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    thresholds: Sequence[float] = (),
    certifiable: np.ndarray | None = None,
) -> dict:
    """Figures of error bars.

    Parameters
    ----------
    error : (n,) label minus prediction
    std : (n,) root mean square error that the posterior predicts about the model
    lower, upper : (n,) K-member bounds of the error
    n_members : K
    bar : (n,) bool, labels that have a bar; None: `has_bar` of these labels
    groups : (n,) group of each label; None: all of one group
    thresholds : of abs(error), in its unit, for the figures auroc
    certifiable : (n,) bool, labels above the leverage floor of the fit; None: all

    Returns
    -------
    dict
        n, mae, rmse; envelope_violation: share of labels outside the bounds, with n_members; those of
        `width_metrics` and `rank_metrics`; n_without_bar: labels without bar (see `has_bar`), which count in
        n, mae and rmse only.
    """
    error, std = np.asarray(error, float), np.asarray(std, float)
    bar = has_bar(std) if bar is None else np.asarray(bar, bool)
    groups = np.zeros(len(error), int) if groups is None else np.asarray(groups)
    out: dict[str, Any] = {"n": len(error), "n_without_bar": int(np.sum(~bar)), "n_members": int(n_members)}
    out |= size_metrics(error)
    error, std, lower, upper = error[bar], std[bar], np.asarray(lower)[bar], np.asarray(upper)[bar]
    out["envelope_violation"] = violation(error, lower, upper)
    certifiable = None if certifiable is None else np.asarray(certifiable, bool)[bar]
    return out | width_metrics(error, std, certifiable) | rank_metrics(error, std, groups[bar], thresholds)


def violation(error: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float | None:
    """Share of errors outside their bounds; an error on a bound is inside."""
    return share((error < lower) | (error > upper))


def size_metrics(error: np.ndarray) -> dict:
    """Mean absolute and root mean square error."""
    if not len(error):
        return {"mae": None, "rmse": None}
    return {"mae": float(np.mean(np.abs(error))), "rmse": float(np.sqrt(np.mean(error**2)))}


def firm_bars(std: ArrayLike, certifiable: np.ndarray | None = None) -> np.ndarray:
    """(n,) bool: labels whose abs(error)/std counts: std above `FIRM` of the root mean square one, and certifiable where that is known."""
    std = np.asarray(std, float)
    firm = std > max(FIRM * np.sqrt(np.mean(std**2)) if len(std) else 0.0, 1e-300)
    return firm if certifiable is None else firm & certifiable


def width_metrics(error: np.ndarray, std: np.ndarray, certifiable: np.ndarray | None = None) -> dict:
    """Figures that need a width only.

    Parameters
    ----------
    error : (n,) label minus prediction
    std : (n,) bar, same unit
    certifiable : (n,) bool or None, as in `bar_metrics`

    Returns
    -------
    dict
        mean_error_over_std (0.80 for Gaussian errors of that std), the mean over the n_firm labels of `firm_bars`; spearman between
        abs(error) and std; within_1_std, within_2_std, within_3_std (0.68, 0.95, 0.997 for Gaussian errors); those of
        `shape_metrics`.
    """
    error, std = np.abs(error), np.asarray(std, float)
    firm = firm_bars(std, certifiable)
    ratio = error[firm] / std[firm]
    mean = float(ratio.mean()) if len(ratio) else None
    out = {"mean_error_over_std": mean, "n_firm": len(ratio), "spearman": spearman(error, std)}
    out |= {f"within_{k}_std": share(error <= k * std) for k in (1, 2, 3)}
    return out | shape_metrics(error, std)


def shape_metrics(error: np.ndarray, std: np.ndarray) -> dict:
    """Figures of the predicted distribution: a Gaussian of that std, centred at the prediction.

    Parameters
    ----------
    error, std : (n,) as for `width_metrics`

    Returns
    -------
    dict
        coverage_50, coverage_90, coverage_95; miscalibration_area: mean over `NOMINAL` of the distance
        between observed and nominal coverage; crps: mean of `crps_gaussian`; sharpness: root mean square of
        std; risk_coverage_gain: see `risk_coverage_gain`.
    """
    if not len(error):
        return dict.fromkeys(_NO_SHAPE)
    level = confidence(error, std)
    out = {f"coverage_{round(100 * nominal)}": share(level <= nominal) for nominal in LEVELS}
    return out | {
        "miscalibration_area": float(np.mean(np.abs(observed_coverage(level) - NOMINAL))),
        "crps": float(np.mean(crps_gaussian(error, std))),
        "sharpness": float(np.sqrt(np.mean(np.square(std)))),
        "risk_coverage_gain": risk_coverage_gain(error, std),
    }


def rank_metrics(error: np.ndarray, score: np.ndarray, groups: np.ndarray, thresholds: Sequence[float] = ()) -> dict:
    """Figures of the order alone: spearman_within_groups, and auroc_<t> for abs(error) > t."""
    out = {"spearman_within_groups": spearman_within(np.abs(error), score, groups)}
    return out | {f"auroc_{t:.1f}": auroc(score, np.abs(error) > t) for t in thresholds}


def confidence(error: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(n,) level of the narrowest central Gaussian interval that holds the error: erf(|error| / (std sqrt 2))."""
    error, std = np.abs(np.asarray(error, float)), np.asarray(std, float)
    ratio = np.divide(error, std, out=np.where(error > 0.0, np.inf, 0.0), where=std > 0.0)
    return erf(ratio / np.sqrt(2.0))


def observed_coverage(level: np.ndarray, nominal: np.ndarray = NOMINAL) -> np.ndarray:
    """(m,) share of labels whose `confidence` is at most each nominal level."""
    return np.searchsorted(np.sort(level), nominal, side="right") / len(level)


def crps_gaussian(error: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(n,) continuous ranked probability score of a Gaussian centred at the prediction, unit of the error.

    Closed form of T. Gneiting, A. E. Raftery, J. Am. Stat. Assoc. 102, 359 (2007), eq. 21; |error| for zero width.
    """
    error, std = np.abs(np.asarray(error, float)), np.asarray(std, float)
    z = np.divide(error, std, out=np.zeros_like(error), where=std > 0.0)
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    score = std * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi))
    return np.where(std > 0.0, score, error)


def risk_coverage(error: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square error of the labels that are kept when those of large score are dropped.

    Parameters
    ----------
    error, score : (n,); labels of equal score share their mean square error, so their order does not matter

    Returns
    -------
    retained, rmse : (n,) share of labels kept, 1/n to 1, and their root mean square error
    """
    square = np.square(np.asarray(error, float))
    if not len(square):
        return np.zeros(0), np.zeros(0)
    _, position, counts = np.unique(score, return_inverse=True, return_counts=True)
    position = position.ravel()
    ordered = np.repeat(np.bincount(position, square) / counts, counts)
    kept = np.arange(1, len(square) + 1)
    return kept / len(square), np.sqrt(np.cumsum(ordered) / kept)


def risk_coverage_gain(error: np.ndarray, score: np.ndarray) -> float | None:
    """How much of the possible gain the order of the score brings: 1 as by the errors themselves, 0 as by chance.

    (A_chance - A) / (A_chance - A_oracle) with A the area under `risk_coverage`; None if all errors are alike.
    """
    areas = [np.mean(risk_coverage(error, key)[1]) for key in (np.zeros(len(error)), score, np.abs(error))]
    chance, mine, oracle = areas
    if not chance - oracle > 1e-12 * chance:
        return None
    return float((chance - mine) / (chance - oracle))


def hindsight_std(error: np.ndarray, score: np.ndarray) -> np.ndarray | None:
    """(n,) score scaled so that its root mean square is that of these very errors; None for a score of zeros."""
    error, score = np.asarray(error, float), np.asarray(score, float)
    size = np.sqrt(np.mean(score**2)) if len(score) else 0.0
    return score * (np.sqrt(np.mean(error**2)) / size) if 0.0 < size < np.inf else None


def baseline_metrics(error: np.ndarray, score: np.ndarray, groups: np.ndarray | None = None, thresholds: Sequence[float] = ()) -> dict:
    """The figures of a bar proportional to a score that knows nothing of the posterior.

    Its scale is the best that hindsight can give: root mean square width = root mean square error on these
    very labels.
    """
    std = hindsight_std(error, score)
    groups = np.zeros(len(error), int) if groups is None else groups
    if std is None:
        none = dict.fromkeys((*_NO_WIDTH, *_NO_SHAPE, "spearman_within_groups"))
        return none | {f"auroc_{t:.1f}": None for t in thresholds}
    return width_metrics(error, std) | rank_metrics(error, std, groups, thresholds)


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Rank correlation; None where one of the two does not vary (a constant ranks nothing)."""
    if len(a) < 3:
        return None
    a, b = rankdata(a), rankdata(b)
    # of the ranks: infinite bars have no difference
    if np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def spearman_within(a: np.ndarray, b: np.ndarray, groups: np.ndarray) -> float | None:
    """Mean over the groups of `spearman` inside them, weighted by their counts; groups without value are left out."""
    a, b, groups = np.asarray(a), np.asarray(b), np.asarray(groups)
    found = []
    for group in dict.fromkeys(groups.tolist()):
        mine = groups == group
        value = spearman(a[mine], b[mine])
        if value is not None:
            found.append((value, int(mine.sum())))
    return float(_weighted_mean(found)) if found else None


def _weighted_mean(pairs: Sequence[tuple[float, int]]) -> float:
    values, counts = np.array(pairs, float).T
    return values @ counts / counts.sum()


def auroc(score: np.ndarray, event: np.ndarray) -> float | None:
    """Probability that an event has the higher score than a non-event; None without one of each."""
    event = np.asarray(event, bool)
    n_event, n_rest = int(event.sum()), int((~event).sum())
    if not n_event or not n_rest:
        return None
    return float((rankdata(score)[event].sum() - n_event * (n_event + 1) / 2) / (n_event * n_rest))


def share(mask: np.ndarray) -> float | None:
    """Share of true entries; None for no entries."""
    return float(np.mean(mask)) if len(mask) else None
