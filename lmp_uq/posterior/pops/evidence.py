# SPDX-License-Identifier: GPL-2.0-or-later
"""The ridge that maximises the evidence, from reduced quantities.

Source: D. J. C. MacKay, Neural Comput. 4, 415 (1992).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lmp_uq.posterior.pops.blocks import RowBlocks, from_first, together
from lmp_uq.posterior.pops.normal import NormalEquations

# The least-squares residual is a difference of two sums; below this fraction of them it has lost too many digits and is summed anew.
CANCELLATION = 1e-4


def with_least_sse(normal: NormalEquations, rows: RowBlocks) -> NormalEquations:
    """The normal equations with the least-squares sum of squared errors; reads the rows again only where the difference cancels."""
    if normal.least_sse is not None:
        return normal
    least = normal.least_squares
    sse = float(from_first(rows.ranks, np.array([normal.label_square - least @ normal.projections]))[0][0])
    if sse < CANCELLATION * normal.label_square:
        coefficients = (normal.vectors @ least) / normal.scale
        local = together(rows.ranks, lambda: sum((w @ (y - X @ coefficients) ** 2 for _, X, y, w in rows.chunks()), 0.0))
        sse = float(rows.ranks.sum(np.array([local]))[0]) * normal.weight_factor
    return replace(normal, least_sse=sse)


def evidence_precisions(
    normal: NormalEquations, *, max_iterations: int = 300, tolerance: float = 1e-3, prior: float = 1e-6
) -> tuple[float, float]:
    """Precisions (alpha, lambda) of noise and coefficients by MacKay's fixed-point iteration.

    Start (1 / var y, 1), Gamma priors of shape and rate 1e-6, stop when the coefficients move by less than ``tolerance`` in the sum of
    absolute values: the choices of scikit-learn's BayesianRidge, so that both agree.  Needs ``least_sse``.
    """
    s, projections, determined, least = normal.eigenvalues, normal.projections, normal.determined, normal.least_squares
    alpha, lam = 1.0 / (normal.label_variance + np.finfo(float).eps), 1.0
    previous = None
    for _ in range(max_iterations):
        rotated = projections / (s + lam / alpha)
        # sse = (least-squares sse) + (excess of the ridge): all terms >= 0, no cancellation for small residuals.
        sse = normal.least_sse + np.sum((s * (rotated - least) ** 2)[determined])
        gamma = np.sum(alpha * s / (lam + alpha * s))
        lam = (gamma + 2.0 * prior) / (np.sum(rotated**2) + 2.0 * prior)
        alpha = (normal.n_rows - gamma + 2.0 * prior) / (sse + 2.0 * prior)
        coefficients = normal.vectors @ rotated
        if previous is not None and np.sum(np.abs(coefficients - previous)) < tolerance:
            break
        previous = coefficients
    return float(alpha), float(lam)
