# SPDX-License-Identifier: GPL-2.0-or-later
"""The cubic operations about a point that leave a structure as it is, as a projection of displacements and forces.

A dumbbell or a hopping atom half-way is stationary by symmetry: held in the invariant displacements, a relaxation finds it also where it is
no minimum, and the crystal cannot drift as a whole.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

TOLERANCE = 0.05
"""Angstrom within which an operation must bring an atom onto another."""


def cubic_operations() -> list[np.ndarray]:
    """The 48 orthogonal matrices whose entries are -1, 0, 1."""
    out = []
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[np.arange(3), order] = signs
            out.append(matrix)
    return out


class SiteSymmetry:
    """Average over the operations about a point.

    Parameters
    ----------
    positions : (n, 3), cell : (3, 3)
        Angstrom, periodic.
    centre : (3,)
        Angstrom.

    Attributes
    ----------
    order : int
        Number of operations, 1 to 48.
    """

    def __init__(self, positions: np.ndarray, cell: np.ndarray, centre: np.ndarray):
        scaled = np.linalg.solve(np.asarray(cell).T, (np.asarray(positions) - centre).T).T
        self._found = []
        for matrix in cubic_operations():
            if self._keeps_lattice(matrix, cell):
                images = self._images(scaled, matrix, cell)
                if images is not None:
                    self._found.append((matrix, images))
        self.order = len(self._found)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """(n, 3) the invariant part of displacements or forces."""
        out = np.zeros_like(vectors)
        for matrix, images in self._found:
            out[images] += vectors @ matrix.T
        return out / self.order

    @staticmethod
    def _keeps_lattice(matrix, cell):
        turned = np.linalg.solve(np.asarray(cell).T, (cell @ matrix.T).T).T
        return np.allclose(turned, np.round(turned), atol=1e-6)

    @staticmethod
    def _images(scaled, matrix, cell):
        """Which atom each atom is brought onto; None where one falls between atoms."""
        turned = np.linalg.solve(np.asarray(cell).T, (scaled @ cell @ matrix.T).T).T
        apart = turned[:, None, :] - scaled[None, :, :]
        apart = np.linalg.norm((apart - np.round(apart)) @ cell, axis=2)
        images = apart.argmin(axis=1)
        whole = apart.min(axis=1).max() < TOLERANCE and len(set(images.tolist())) == len(images)
        return images if whole else None
