# SPDX-License-Identifier: GPL-2.0-or-later
"""Downhill to a minimum of a function of many variables, in this process: what relaxes where LAMMPS' own minimiser cannot.

Relaxations within a symmetry, and of potentials that LAMMPS does not run in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from lmp_uq.properties.failure import FORCE_TOLERANCE, PropertyFailure

STEPS = 400
STIFFNESS = 4.0
"""Root of the curvature, in eV/Angstrom^2, of which the first step thinks: a 16th of the forces, at most a quarter Angstrom, lest it
leave the basin."""
SLACK = 20.0
"""Tolerance over `FORCE_TOLERANCE` at which a line search that gives up, at the last digit of the energy, has still arrived."""


def descend(function: Callable, size: int, watch: Callable | None = None) -> np.ndarray:
    """Where the gradient vanishes downhill from the origin (L-BFGS).

    Parameters
    ----------
    function : of (size,), energy (eV) and its gradient (size,) in eV/Angstrom
    size : int
    watch : function of (size,), called after each step; it may raise

    Raises
    ------
    PropertyFailure
        It does not converge; what function and watch raise.
    """
    options: Any = {"maxiter": STEPS, "maxfun": 2 * STEPS, "ftol": 0.0, "gtol": FORCE_TOLERANCE / STIFFNESS, "maxls": 40}
    start = function(np.zeros(size))[0]

    def lowered(x):  # near zero, where the energy has the most digits
        energy, gradient = function(x / STIFFNESS)
        return energy - start, gradient / STIFFNESS

    def observed(x):
        if watch is not None:
            watch(x / STIFFNESS)

    found = minimize(lowered, np.zeros(size), jac=True, method="L-BFGS-B", callback=observed, options=options)
    if not np.abs(found.jac).max(initial=0.0) < SLACK * FORCE_TOLERANCE / STIFFNESS:
        raise PropertyFailure("the relaxation does not converge")
    return found.x / STIFFNESS
