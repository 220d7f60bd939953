# SPDX-License-Identifier: GPL-2.0-or-later
"""Minima by quasi-Newton steps from a guess and a metric: J. Nocedal, S. J. Wright, Numerical Optimization, chapters 6 and 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

UNSETTLED = "the expansion does not settle"
HALVINGS = 8
SUFFICIENT = 1e-4
"""Part of the expected descent that a step has to give."""
STIFFNESS = 10.0
"""eV/Angstrom^2, of a step where nothing better is known."""


class Metric(Protocol):
    """What stands for the inverse of the Hessian."""

    def answer(self, gradient: np.ndarray) -> np.ndarray:
        """(M,) H^-1 g."""

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """That the gradient changes so over this step."""


class DenseMetric:
    """A matrix that is improved by BFGS.

    Attributes
    ----------
    inverse : (M, M) positive definite
    """

    def __init__(self, inverse: np.ndarray) -> None:
        self.inverse = np.array(inverse)

    def answer(self, gradient: np.ndarray) -> np.ndarray:
        """See `Metric`."""
        return self.inverse @ gradient

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """See `Metric`."""
        self.inverse = bfgs(self.inverse, step, change)


class LimitedMetric:
    """A solve, and the steps since: BFGS without a matrix.

    Parameters
    ----------
    solve : function of (M,), (M,)
        The inverse at the beginning.
    """

    def __init__(self, solve: Callable[[np.ndarray], np.ndarray]) -> None:
        self._solve = solve
        self._pairs: list[Any] = []

    def answer(self, gradient: np.ndarray) -> np.ndarray:
        """See `Metric`."""
        left, shares = np.array(gradient), []
        for step, change in reversed(self._pairs):
            shares.append((step @ left) / (step @ change))
            left -= shares[-1] * change
        out = self._solve(left)
        for (step, change), share in zip(self._pairs, reversed(shares), strict=True):
            out = out + (share - (change @ out) / (step @ change)) * step
        return out

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """See `Metric`."""
        if step @ change > 0.0:
            self._pairs.append((np.array(step), np.array(change)))


class Minimised(NamedTuple):
    """Where a minimisation ended.

    Attributes
    ----------
    x, energy, gradient : (M,), float, (M,)
    step : (M,)
        To where the minimum is, as far as the metric knows.
    left : float
        How far the energy is above that: -g . step / 2.
    n_evaluations : int
    converged : bool
    """

    x: np.ndarray
    energy: float
    gradient: np.ndarray
    step: np.ndarray
    left: float
    n_evaluations: int
    converged: bool


def minimise(function: Callable, x: np.ndarray, metric: Metric, *, tolerance: float, evaluations: int, longest: float, noise: float = 0.0,
             length: Callable = np.linalg.norm, first: Any = None) -> Minimised:  # fmt: skip
    """BFGS with short steps and halving, which stays in the basin.

    Parameters
    ----------
    function : of (M,), energy and gradient (M,)
    x : (M,)
    metric : Metric
        The better it is, the fewer the steps; it learns from each.
    tolerance : float
        Of `Minimised.left`, eV.
    evaluations : int
        At most.
    longest : float
        Length of one step.
    noise : float
        By which energies are uncertain, eV.
    length : function of (M,)
    first : (float, (M,)) or None
        Energy and gradient at x, if they are known.
    """
    energy, gradient = first or function(x)
    count = int(first is None)
    while True:
        step = -metric.answer(gradient)
        left = -0.5 * float(gradient @ step)
        if left < 0.0:
            step = -gradient / STIFFNESS
            left = 0.5 * float(gradient @ gradient) / STIFFNESS
        if left < tolerance or count >= evaluations:
            return Minimised(x, energy, gradient, step, left, count, left < tolerance)
        step = step * min(1.0, longest / length(step))
        for _ in range(HALVINGS):
            trial, slope = function(x + step)
            count += 1
            if trial <= energy + SUFFICIENT * float(gradient @ step) + noise or count >= evaluations:
                break
            metric.learn(step, slope - gradient)
            step = 0.5 * step
        metric.learn(step, slope - gradient)
        x, energy, gradient = x + step, trial, slope


def bfgs(inverse: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Inverse Hessian after a step over which the slope changed; as it was where the curvature is not positive."""
    along = step @ change
    if along <= 0.0:  # no minimum this way
        return inverse
    left = np.eye(len(step)) - np.outer(step, change) / along
    return left @ inverse @ left.T + np.outer(step, step) / along
