# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the disagreement of models ranks their errors, with the size of the forces beside it, which alone ranks many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmp_uq.ensembles.pool import NO_FORCE, Record
from lmp_uq.metrics.bars import spearman


def by_group(records: Sequence[Record], u: np.ndarray) -> dict[str, dict[str, Any]]:
    """`of_records` of each group, sorted by name."""
    groups = np.array([one.group for one in records])
    return {name: of_records(records, u, np.flatnonzero(groups == name)) for name in sorted(set(groups.tolist()))}


def of_records(records: Sequence[Record], u: np.ndarray, which: np.ndarray) -> dict[str, Any]:
    """Figures of some frames.

    Returns
    -------
    dict
        n, n_labelled; u_median, eV/Angstrom; without_force: labelled frames whose forces and errors vanish by symmetry, which count in no
        other figure; spearman_u, spearman_force: of U and of the largest force of the mean model with the error of that; driver_u,
        driver_force: of U and of the largest force of the driving model with its error; ratio_median, ratio_p95: of error of the mean
        model over U; within_ten: share of these between 0.1 and 10.
    """
    mine = [(records[k], float(u[k])) for k in which]
    labelled = [(one, value) for one, value in mine if one.labelled]
    moved = [(one, value) for one, value in labelled if max(one.error, one.errors.max(), one.max_force) >= NO_FORCE]
    values = np.array([value for _, value in moved])
    error, driver = np.array([one.error for one, _ in moved]), np.array([one.errors[0] for one, _ in moved])
    ratio = (error / np.maximum(values, 1e-300))[values > 0.0]
    return {
        "n": len(mine),
        "n_labelled": len(labelled),
        "without_force": len(labelled) - len(moved),
        "u_median": float(np.median([value for _, value in mine])),
        "spearman_u": spearman(values, error),
        "spearman_force": spearman(np.array([one.max_force for one, _ in moved]), error),
        "driver_u": spearman(values, driver),
        "driver_force": spearman(np.array([one.driver_force for one, _ in moved]), driver),
        "ratio_median": float(np.median(ratio)) if len(ratio) else None,
        "ratio_p95": float(np.percentile(ratio, 95)) if len(ratio) else None,
        "within_ten": float(np.mean((ratio >= 0.1) & (ratio <= 10.0))) if len(ratio) else None,
    }
