# SPDX-License-Identifier: GPL-2.0-or-later
"""Minima of functions of few variables by quasi-Newton steps from a guess and a metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

HALVINGS = 8
SUFFICIENT = 1e-4
"""Part of the expected descent that a step has to give."""


class Minimised(NamedTuple):
    """Where a minimisation ended.

    Attributes
    ----------
    x, energy, gradient : (M,), float, (M,)
    inverse : (M, M)
        The metric, improved by what the steps have met.
    left : float
        g . inverse . g / 2: how far the energy is above the minimum, as far as is known.
    n_evaluations : int
    converged : bool
    """

    x: np.ndarray
    energy: float
    gradient: np.ndarray
    inverse: np.ndarray
    left: float
    n_evaluations: int
    converged: bool


def minimise(function: Callable, x, inverse, *, tolerance: float, steps: int, longest: float, noise: float = 0.0) -> Minimised:
    """BFGS with short steps and halving, which stays in the basin.

    Parameters
    ----------
    function : of (M,), energy and gradient (M,)
    x : (M,)
    inverse : (M, M)
        Of the Hessian, positive definite: the better it is, the fewer the steps.
    tolerance : float
        Of `Minimised.left`, eV.
    steps : int
        Most evaluations.
    longest : float
        Norm of one step.
    noise : float
        By which energies are uncertain, eV.
    """
    energy, gradient = function(x)
    count = 1
    while True:
        step = -inverse @ gradient
        left = -0.5 * float(gradient @ step)
        if left < tolerance or count >= steps:
            return Minimised(x, energy, gradient, inverse, left, count, left < tolerance)
        step *= min(1.0, longest / np.linalg.norm(step))
        for _ in range(HALVINGS):
            trial, slope = function(x + step)
            count += 1
            if trial <= energy + SUFFICIENT * float(gradient @ step) + noise or count >= steps:
                break
            inverse = bfgs(inverse, step, slope - gradient)
            step = 0.5 * step
        inverse = bfgs(inverse, step, slope - gradient)
        x, energy, gradient = x + step, trial, slope


def bfgs(inverse, step, change):
    """Inverse Hessian after a step over which the slope changed; as it was where the curvature is not positive."""
    along = step @ change
    if along <= 0.0:  # no minimum this way
        return inverse
    left = np.eye(len(step)) - np.outer(step, change) / along
    return left @ inverse @ left.T + np.outer(step, step) / along
