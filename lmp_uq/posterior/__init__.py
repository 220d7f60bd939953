# SPDX-License-Identifier: GPL-2.0-or-later
"""Posteriors of linear correctors.  Imports numpy, scipy and scikit-learn only."""

from __future__ import annotations

from typing import Any

from lmp_uq.posterior.box import Box
from lmp_uq.posterior.ensemble import Ensemble
from lmp_uq.posterior.weights import exponential_weights, group_weights

__all__ = [
    "POPS",
    "Box",
    "Ensemble",
    "exponential_weights",
    "group_weights",
]


def __getattr__(name: str) -> Any:
    # POPS brings scikit-learn, which a LAMMPS that only reads a posterior need not wait for.
    if name == "POPS":
        from lmp_uq.posterior.pops.estimator import POPS

        return POPS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
