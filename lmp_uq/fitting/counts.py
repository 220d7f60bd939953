# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of rows: how many force rows a fit needs, and how many rows its leverage floor leaves out."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from lmp_uq.quantities import ENERGY, FORCE_ROWS, FORCES, QUANTITIES, STRESS

ROWS_PER_FEATURE = 100
"""Rows per feature below which the box is narrower than the errors of unseen force labels (docs/proof.md)."""


def enough_force_rows(frames, kinds, n_features: int) -> int:
    """Force rows per frame: `FORCE_ROWS`, or as many more as 100 rows per feature take, or all.

    The box is as wide as the extremes of the corrections, so it grows with the number of rows: with fewer it is too narrow.

    Parameters
    ----------
    frames : list of Frame
    kinds : sequence of str
        Labels that become rows: energy, forces, stress.
    n_features : int
        P, with bias columns, or the number of components that are fitted.

    Returns
    -------
    int
        At least `FORCE_ROWS`, at most the number of force components of the largest frame that has force labels.
    """
    n_energies = sum(np.isfinite(f.energy) for f in frames) if ENERGY.label in kinds else 0
    n_stresses = len(STRESS.components) * sum(f.stress is not None for f in frames) if STRESS.label in kinds else 0
    sizes = np.array([3 * len(f.atoms) for f in frames if f.forces is not None and FORCES.label in kinds], dtype=np.int64)
    wanted = ROWS_PER_FEATURE * n_features - n_energies - n_stresses
    candidates = range(FORCE_ROWS, max(sizes.max(initial=0), FORCE_ROWS))
    return FORCE_ROWS + bisect_left(candidates, wanted, key=lambda n: np.minimum(sizes, n).sum())


def count_rows(stream, pops, weights) -> tuple[dict, dict]:
    """Rows in all and below the leverage floor: by kind, and by group and kind.

    Returns
    -------
    (dict, dict)
        {kind: {"rows", "below_floor"}} and {group: the same}.
    """

    def pick(part, first):
        below = pops.leverage(part.rows.features, weights.of(part, first)) < pops.leverage_floor_
        return part.rows.kinds, below, part.rows.frames + first

    kinds, below, frames = stream.collect(pick)
    groups = np.array([f.group for f in stream.frames], dtype=object)[frames]
    return _counts(kinds, below), {str(g): _counts(kinds[groups == g], below[groups == g]) for g in sorted(set(groups))}


def _counts(kinds, below):
    mine = {quantity.label: kinds == quantity.row for quantity in QUANTITIES}
    return {label: {"rows": int(np.sum(of)), "below_floor": int(np.sum(below[of]))} for label, of in mine.items()}
