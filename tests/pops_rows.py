# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of the POPS tests, their distribution over blocks and ranks, and the numbers that must not depend on it."""

from __future__ import annotations

import numpy as np


def misspecified_rows(n=480, n_features=10, seed=0):
    """Rows (X, y, w): correlated columns of unequal size and labels that no linear model reproduces."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    X = (rng.normal(size=(n, n_features)) * np.linspace(0.3, 4.0, n_features)) @ mixing
    y = X @ rng.normal(size=n_features) + 0.3 * np.sin(2 * X[:, 0]) * X[:, 1] + 0.1 * X[:, 2] ** 2
    return X, y, rng.uniform(0.2, 3.0, n)


class BlocksOfSizes:
    """Blocks of given sizes of one rank, in the order of ranks; the last block takes what is left."""

    def __init__(self, arrays, sizes, rank, spoil=None):
        self.arrays, self.sizes, self.rank, self.spoil = arrays, sizes, rank, spoil

    def __iter__(self):
        start = 0
        for rank, sizes in enumerate(self.sizes):
            for size in sizes:
                if rank == self.rank:
                    X, *rest = (array[start : start + size] for array in self.arrays)
                    if self.spoil == rank and size:
                        X = X.copy()
                        X[-1, 2] = np.nan
                    yield X, *rest
                start += size


def summary(fit, X):
    """What a fit says that must depend on neither blocks nor ranks."""
    box, posterior = fit.box_, fit.posterior_
    numbers = ("dof_", "ridge_", "ridge_relative_", "largest_kept_correction_", "largest_dropped_correction_", "llpr_alpha_")
    counts = ("n_rows_", "n_kept_", "n_dropped_", "n_null_directions_", "leverage_floor_")
    return {
        "coefficients": fit.coef_,
        "factor": fit.factor_ @ fit.factor_.T,
        "std": posterior.std(X),
        "rms": posterior.rms(X),
        "covariance": posterior.covariance(X[:5, None], X[None, :5]),
        "bounds": np.array(posterior.bounds(X, 512)),
        "exact bounds": np.array(posterior.exact_bounds(X)),
        "box std": box.std(X),
        "modes": box.modes,
        "lower": box.lower,
        "upper": box.upper,
        "leverage of rows": fit.leverage(X),
        "numbers": np.array([getattr(fit, name) for name in numbers]),
        "counts": np.array([getattr(fit, name) for name in counts]),
    }
