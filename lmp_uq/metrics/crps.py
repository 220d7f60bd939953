# SPDX-License-Identifier: GPL-2.0-or-later
"""Continuous ranked probability score of a finite ensemble.

Sources: fair estimator: C. A. T. Ferro, Q. J. R. Meteorol. Soc. 140, 1917 (2014), doi:10.1002/qj.2270; spread and skill: V. Fortin et al.,
J. Hydrometeorol. 15, 1708 (2014), doi:10.1175/JHM-D-14-0008.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def fair_crps(members: Any, label: Any, sort: Any = None) -> Any:
    """Unbiased estimate of the score that infinitely many members of the same distribution would have, in the unit of the label.

        1/K sum_k |x_k - y| - 1/(2 K (K - 1)) sum_jk |x_j - x_k|

    The second sum is 2 sum_k (2 k - K + 1) x_(k) over the sorted members, k = 0 ... K - 1.

    Parameters
    ----------
    members : (K, ...) array or torch tensor, K >= 2
    label : (...)
    sort : callable or None
        Along the first axis, of tensors; None: numpy's.

    Returns
    -------
    (...)
        Smaller is better; below 0 by chance.
    """
    k = len(members)
    ranked = np.sort(members, axis=0) if sort is None else sort(members)
    pairs = sum((2 * j - k + 1) * ranked[j] for j in range(k))
    return abs(members - label).mean(0) - pairs / (k * (k - 1))


def spread_skill(members: np.ndarray, label: np.ndarray, weights: np.ndarray | None = None) -> float:
    """sqrt((K + 1)/K) times the root mean variance of members (K, n) over the root mean square error of their mean: 1 is right."""
    k = len(members)
    error = np.average((members.mean(axis=0) - label) ** 2, weights=weights)
    spread = np.average(members.var(axis=0, ddof=1), weights=weights)
    return float(np.sqrt((k + 1) / k * spread / error)) if error > 0 else np.nan
