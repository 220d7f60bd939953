# SPDX-License-Identifier: GPL-2.0-or-later
"""Posteriors of linear correctors, and the novelty grade of descriptors.  Imports numpy, scipy and scikit-learn only."""

from __future__ import annotations

from lmp_uq.posterior.box import Box
from lmp_uq.posterior.ensemble import Ensemble
from lmp_uq.posterior.novelty import Novelty
from lmp_uq.posterior.novelty_fit import fit_novelty, fit_novelty_blocks
from lmp_uq.posterior.weights import ENERGY, FORCE, VIRIAL, exponential_weights, group_weights

__all__ = [
    "ENERGY",
    "FORCE",
    "POPS",
    "VIRIAL",
    "Box",
    "Ensemble",
    "Novelty",
    "exponential_weights",
    "fit_novelty",
    "fit_novelty_blocks",
    "group_weights",
]


def __getattr__(name):
    # POPS brings scikit-learn, which a LAMMPS that only reads a posterior need not wait for.
    if name == "POPS":
        from lmp_uq.posterior.pops import POPS

        return POPS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
