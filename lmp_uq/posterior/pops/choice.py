# SPDX-License-Identifier: GPL-2.0-or-later
"""Ridge and leverage floor chosen on held-out groups, since a box has no coverage guarantee for rows it has not seen.

Scores are pooled over all folds and weighted as the rows are.  Errors and bars are about Theta*: err = y - x.Theta*, std = root mean square
of x.Theta about x.Theta*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.posterior.pops.blocks import FoldBlocks, RowBlocks, together

N_MEMBERS = 512
"""K of the bounds whose violation is counted."""
VIOLATION = (0.01, 0.05)
"""Targets: fraction of held-out rows outside the K-member bounds; 0.2 % is a box that is too wide, 10 % one that is too narrow."""
ERROR_OVER_STD = (0.7, 1.0)
"""Targets: mean |err| over mean std; 0.80 for Gaussian errors of that std."""
DEFAULT_FLOOR = 1e-3
"""Leverage floor while the ridge is chosen, if the floor is to be chosen too."""


def assign_folds(rows: RowBlocks, n_folds: int) -> dict:
    """Fold of each group: groups in order of decreasing size go to the fold that is smallest so far.  Collective."""
    counts: Counter = Counter()
    for part in rows.ranks.gather(together(rows.ranks, lambda: _group_sizes(rows))):
        counts.update(part)
    if len(counts) < 2:
        raise UqError(f"{rows.owner}: found {len(counts)} group(s), choosing by groups needs at least 2")
    sizes, out = np.zeros(min(n_folds, len(counts)), dtype=np.int64), {}
    for group, size in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))):
        out[group] = int(np.argmin(sizes))
        sizes[out[group]] += size
    return out


def _group_sizes(rows: RowBlocks) -> dict[Any, int]:
    counts: Counter = Counter()
    for number, block in enumerate(rows.blocks):
        if len(block) != 4 or len(block[3]) != len(block[1]):
            raise UqError(f"{rows.owner}: block {number}: choosing by groups needs blocks (X, y, weight, groups) with one group per row")
        counts.update(np.asarray(block[3]).tolist())
    return dict(counts)


def folds_of(rows: RowBlocks, n_folds: int) -> list[tuple[RowBlocks, RowBlocks]]:
    """(training rows, held-out rows) of each fold."""
    fold_of = assign_folds(rows, n_folds)

    def part(fold: int, inside: bool) -> RowBlocks:
        return RowBlocks(FoldBlocks(rows.blocks, fold_of, fold, inside), rows.ranks, rows.block_rows, rows.owner)

    return [(part(fold, False), part(fold, True)) for fold in range(max(fold_of.values()) + 1)]


def scores(fits: Iterable, held_out: Iterable[RowBlocks]) -> dict[str, float]:
    """Pooled scores of one fit per fold on the rows it has not seen.

    Returns
    -------
    dict
        ``violation``: fraction of rows outside the 512-member bounds; ``error_over_std``: mean |err| / mean std; ``std_over_rmse``: rms std
        / rms err; ``below_floor``: fraction of rows whose leverage lies below the floor, which no box can certify.
    """
    total = np.zeros(7)
    for fit, rows in zip(fits, held_out, strict=True):
        total += rows.ranks.sum(together(rows.ranks, partial(_local_sums, fit, rows)))
    weight, outside, error, std, error2, std2, below = total
    if not weight > 0:
        raise UqError("POPS: the rows of all held-out groups have weight zero")
    ratio = {"error_over_std": error / std if std else np.inf, "std_over_rmse": np.sqrt(std2 / error2) if error2 else np.inf}
    return {k: float(v) for k, v in {"violation": outside / weight, **ratio, "below_floor": below / weight}.items()}


def _local_sums(fit: Any, rows: RowBlocks) -> np.ndarray:
    """Weighted sums over this rank's held-out rows: 1, outside, |err|, std, err^2, std^2, below the floor."""
    total = np.zeros(7)
    for _, X, y, weight in rows.chunks():
        lower, upper = fit.posterior_.bounds(X, N_MEMBERS)
        std = fit.posterior_.rms(X, about="coefficients")
        error = np.abs(y - X @ fit.coef_)
        below = fit._relative_leverage(X, weight * fit._normal.weight_factor) < fit.leverage_floor_
        columns = (np.ones(len(y)), (y < lower) | (y > upper), error, std, error**2, std**2, below)
        total += [weight @ column for column in columns]
    return total


def choose_ridge(pops: Any, rows: RowBlocks, floor: float) -> tuple[float, list[dict]]:
    """The relative ridge of ``pops.ridge_grid`` that does best on held-out groups, and the scores of all that were tried."""
    folds = folds_of(rows, pops.n_folds)
    fits = [_prepared(pops, training, ridge=0.0, leverage_floor=floor) for training, _ in folds]
    tried = [ridge for ridge in sorted(set(pops.ridge_grid)) if all(fit._enough_rows(ridge) for fit in fits)]
    if not tried:
        raise UqError(f"{rows.owner}: every ridge of ridge_grid={pops.ridge_grid} needs more than 3 rows per feature in the training folds")
    path = []
    for ridge in tried:
        for fit, (training, _) in zip(fits, folds, strict=True):
            fit._solve(training, ridge * fit._normal.mean_eigenvalue)
        path.append({"ridge": float(ridge), **scores(fits, [held_out for _, held_out in folds])})
    return best_ridge(path), path


def choose_floor(pops: Any, rows: RowBlocks, ridge: dict) -> tuple[float, list[dict]]:
    """The leverage floor of ``pops.floor_grid`` that does best on held-out groups, with the options ``ridge``, and the scores of all."""
    folds = folds_of(rows, pops.n_folds)
    grid, path = sorted(set(pops.floor_grid)), []
    fits = [_prepared(pops, training, **ridge, leverage_floor=grid[0]) for training, _ in folds]
    for fit, (training, _) in zip(fits, folds, strict=True):
        fit._solve(training, fit._chosen_ridge(training))
    for floor in grid:
        try:
            for fit, (training, _) in zip(fits, folds, strict=True):
                fit._enclose(training, floor)
        except UqError:  # no row reaches this floor
            break
        path.append({"leverage_floor": float(floor), **scores(fits, [held_out for _, held_out in folds])})
    if not path:
        raise UqError(f"{rows.owner}: no row of a training fold reaches the smallest leverage floor of floor_grid={pops.floor_grid}")
    return best_floor(path), path


def _prepared(pops: Any, rows: RowBlocks, **options: Any) -> Any:
    """A new estimator of the same options but for those given, after pass 1."""
    fit = type(pops)(**{**pops.get_params(), **options})
    fit._prepare(rows)
    return fit


def best_ridge(path: list[dict]) -> float:
    """The smallest ridge whose scores meet both targets, else the one nearest to them (in sums of logarithms)."""
    distance = {row["ridge"]: _outside(row["violation"], VIOLATION) + _outside(row["error_over_std"], ERROR_OVER_STD) for row in path}
    return min(sorted(distance), key=distance.__getitem__)


def best_floor(path: list[dict]) -> float:
    """The floor of smallest rms std / RMSE that is at least 1, else of the largest: too narrow is worse than too wide."""
    ratios = {row["leverage_floor"]: row["std_over_rmse"] for row in path}
    wide = {floor: ratio for floor, ratio in ratios.items() if ratio >= 1.0}
    return min(wide, key=wide.__getitem__) if wide else max(ratios, key=ratios.__getitem__)


def _outside(value: float, window: tuple[float, float]) -> float:
    """How many factors of e a number lies outside a window; 0 inside."""
    value = np.log(np.clip(value, 1e-6, 1e6))
    return max(np.log(window[0]) - value, value - np.log(window[1]), 0.0)
