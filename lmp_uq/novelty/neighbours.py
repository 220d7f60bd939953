# SPDX-License-Identifier: GPL-2.0-or-later
"""How new the surroundings of an atom are: the grades of the atoms that its force depends on.

    s0_i = grade_i^4,   s1_i = (s0_i + sum_j s0_j) / (1 + n_i),   s2_i = (s1_i + sum_j s1_j) / (1 + n_i),   G_i = s2_i^(1/4)

j runs over the n_i edges of atom i in the model's graph; an image counts as often as there are edges. The force on an atom is a
derivative of the energies of all atoms in reach, so its error follows their grades and not its own alone. A power mean and not
the largest grade: a maximum rises with the number of atoms in reach, whatever they are.
"""

from __future__ import annotations

import numpy as np

POWER = 4
HOPS = 2


def neighbour_grade(grade: np.ndarray, centres: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Power mean of the grades within two hops.

    Parameters
    ----------
    grade : array_like, shape (n,)
        Grades of all atoms of the graph, which has no ghosts.
    centres, neighbours : array_like of int, shape (n_edges,)
        Edges; an edge and its reverse are two.

    Returns
    -------
    ndarray, shape (n,)
        G, dimensionless; inf where an atom within two hops has an infinite grade, or one above 1e77.
    """
    with np.errstate(over="ignore"):  # a grade of 1e77 is as good as none
        mean = np.asarray(grade, dtype=np.float64) ** POWER
    n_edges = np.bincount(centres, minlength=len(mean))
    for _ in range(HOPS):
        mean = (mean + np.bincount(centres, mean[neighbours], len(mean))) / (1 + n_edges)
    return mean ** (1.0 / POWER)
