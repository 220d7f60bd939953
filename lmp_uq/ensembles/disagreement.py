# SPDX-License-Identifier: GPL-2.0-or-later
"""How far the forces of K models disagree. compute uq/ensemble gives the same numbers inside a run.

K. Liu et al., arXiv:2507.21297, for U; the first model is the one that drives a run, for V.
"""

from __future__ import annotations

import numpy as np


def about_mean(forces: np.ndarray) -> np.ndarray:
    """d_k = max_i |F_k,i - Fbar_i|, Fbar the plain mean over models: (K,) eV/Angstrom of forces (K, n, 3)."""
    return _distances(forces, forces.mean(axis=0)).max(axis=1)


def of_frame(d: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """U = sqrt(sum_k w_k d_k^2), eV/Angstrom, of d (..., K) and weights (K,), which are divided by their sum."""
    return np.sqrt(d**2 @ (weights / weights.sum()))


def of_atoms(forces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """U_i = sqrt(sum_k w_k |F_k,i - Fbar_i|^2): (n,) eV/Angstrom of forces (K, n, 3) and weights (K,)."""
    return np.sqrt((weights / weights.sum()) @ _distances(forces, forces.mean(axis=0)) ** 2)


def from_driver(forces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """V_i = sqrt(sum_(k>1) w_k |F_k,i - F_1,i|^2 / sum_(k>1) w_k): (n,) eV/Angstrom of forces (K, n, 3) and weights (K,)."""
    partners = weights[1:] / weights[1:].sum()
    return np.sqrt(partners @ _distances(forces[1:], forces[0]) ** 2)


def _distances(forces: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(K, n) distances of forces (K, n, 3) from (n, 3)."""
    return np.linalg.norm(forces - origin, axis=2)
