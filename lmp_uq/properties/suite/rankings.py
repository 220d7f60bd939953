# SPDX-License-Identifier: GPL-2.0-or-later
"""Rankings of properties: how far members keep the mean's order, beside how far the reference does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from lmp_uq.errors import UqError

SMALLEST = 3
"""Properties that make a ranking."""


def spearman(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Rank correlation of two sequences; ties share their rank. NaN where one is constant."""
    a, b = rankdata(a), rankdata(b)
    spread = np.std(a) * np.std(b)
    return float(np.mean((a - a.mean()) * (b - b.mean())) / spread) if spread else float("nan")


def rank(ranking: Any, results: list) -> dict[str, Any]:
    """Spearman correlation of the mean's order with that of each member, and with that of the references.

    The members of brute force are taken where there are any, else those of the expansion.

    Parameters
    ----------
    ranking : lmp_uq.properties.suite.suite.Ranking
    results : list of PropertyResult

    Returns
    -------
    dict
        quantity, of (names), method, n_members (those with a value in all), spearman (one for each of them), and with references of all
        spearman_reference.

    Raises
    ------
    UqError
        Fewer than three properties with this quantity and members.
    """
    for method in ("members", "implicit"):
        mine = [r for r in results if r.quantity == ranking.quantity and r.method == method and r.members is not None]
        mine = [r for r in mine if not ranking.of or r.property in ranking.of]
        if len(mine) >= SMALLEST:
            break
    else:
        raise UqError(f"{len(mine)} properties have members with {ranking.quantity}; accepted: {SMALLEST} or more")
    values, mean = np.array([r.members for r in mine]).T, [r.value for r in mine]
    whole = values[np.isfinite(values).all(axis=1)]
    out = {"quantity": ranking.quantity, "of": [r.property for r in mine], "method": method, "n_members": len(whole)}
    out |= {"n_incomplete": len(values) - len(whole), "spearman": np.array([spearman(mean, row) for row in whole])}
    if all(r.reference is not None for r in mine):
        out["spearman_reference"] = spearman(mean, [r.reference for r in mine])
    return out
