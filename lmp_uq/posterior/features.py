# SPDX-License-Identifier: GPL-2.0-or-later
"""From descriptors to the features that a Theta multiplies."""

from __future__ import annotations

import numpy as np


def n_bias_columns(bias: str, n_elements: int) -> int:
    """Number of columns that `append_bias` adds."""
    return {"none": 0, "constant": 1, "element": n_elements}[bias]


def append_bias(descriptors: np.ndarray, species: np.ndarray, bias: str, n_elements: int) -> np.ndarray:
    """Descriptors (n, P) with the bias columns of each atom: none, a one, or a one in its element's column.

    Summed over atoms the bias columns count atoms (or atoms of an element), so that a Theta may shift energies per atom; they do not
    depend on positions and leave forces and virials alone.
    """
    n = len(descriptors)
    if bias == "none":
        return np.asarray(descriptors)
    if bias == "constant":
        return np.hstack([descriptors, np.ones((n, 1))])
    columns = np.zeros((n, n_elements))
    columns[np.arange(n), species] = 1.0
    return np.hstack([descriptors, columns])
