# SPDX-License-Identifier: GPL-2.0-or-later
"""The cubic operations about a point that leave a structure as it is, as a projection of displacements and forces.

A dumbbell or a hopping atom half-way is stationary by symmetry: held in the invariant displacements, a relaxation finds it also where it is
no minimum, and the crystal cannot drift as a whole.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from lmp_uq.properties.crystal.operations import SITE_TOLERANCE, Operations, brought_onto


def cubic_operations() -> list[np.ndarray]:
    """The 48 orthogonal matrices whose entries are -1, 0, 1."""
    out = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[np.arange(3), order] = signs
            out.append(matrix)
    return out


class SiteSymmetry(Operations):
    """The cubic operations about a point.

    Parameters
    ----------
    positions : (n, 3), cell : (3, 3)
        Angstrom, periodic.
    centre : (3,)
        Angstrom.
    """

    def __init__(self, positions: np.ndarray, cell: np.ndarray, centre: np.ndarray) -> None:
        scaled, found = np.linalg.solve(np.asarray(cell).T, (np.asarray(positions) - centre).T).T, []
        for matrix in cubic_operations():
            if self._keeps_lattice(matrix, cell):
                turned = np.linalg.solve(np.asarray(cell).T, (scaled @ cell @ matrix.T).T).T
                images = brought_onto(scaled, turned, cell, SITE_TOLERANCE)
                if images is not None:
                    found.append((matrix, images))
        super().__init__(found)

    @staticmethod
    def _keeps_lattice(matrix, cell):
        turned = np.linalg.solve(np.asarray(cell).T, (cell @ matrix.T).T).T
        return np.allclose(turned, np.round(turned), atol=1e-6)
