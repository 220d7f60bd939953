# SPDX-License-Identifier: GPL-2.0-or-later
"""What the symmetry of a crystal leaves free, as one vector: its volume, the shape of its cell, displacements of its atoms."""

from __future__ import annotations

import numpy as np

LEVER = 1.7
"""Angstrom: strains count as displacements of this times the root of the number of atoms, which makes metals about as stiff in both."""


class FreeCoordinates:
    """M coordinates x (Angstrom) about one geometry: x[0] is the volume, x[1 : 1 + S] the shape, the others are displacements.

    Strains are logarithmic and diagonal: they multiply, and those without trace keep the volume.

    Parameters
    ----------
    positions, cell : (n, 3), (3, 3)
        Where x is 0.
    shape : (S, 3, 3)
        Diagonal strains without trace that are free.
    displacements : (m, n, 3)
        Orthonormal, of the atoms.
    """

    def __init__(self, positions: np.ndarray, cell: np.ndarray, shape: np.ndarray, displacements: np.ndarray) -> None:
        self.positions, self.cell, self.n_atoms = np.array(positions), np.array(cell), len(positions)
        axes = np.array([np.ones(3), *(np.diag(one) for one in shape)])
        self._axes = axes / np.linalg.norm(axes, axis=1)[:, None] / (LEVER * np.sqrt(self.n_atoms))
        self._displacements = np.asarray(displacements).reshape(-1, self.n_atoms, 3)
        self.n_strains, self.size = len(axes), len(axes) + len(self._displacements)
        self.start_volume = abs(np.linalg.det(self.cell)) / self.n_atoms

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n, 3) and cell (3, 3)."""
        stretch = self._stretch(x)
        return (self.positions + self.displacements(x)) * stretch, self.cell * stretch

    def displacements(self, x: np.ndarray) -> np.ndarray:
        """(n, 3) of the atoms, before the strain."""
        return np.tensordot(x[self.n_strains :], self._displacements, 1)

    def strains(self, x: np.ndarray) -> np.ndarray:
        """(3,) logarithms of the stretch of each axis."""
        return x[: self.n_strains] @ self._axes

    def volume(self, x: np.ndarray) -> float:
        """Angstrom^3 per atom."""
        return self.start_volume * float(np.exp(self.strains(x).sum()))

    def volume_slope(self, x: np.ndarray) -> float:
        """dV/dx[0] of all atoms, Angstrom^2."""
        return self.volume(x) * self.n_atoms * float(self._axes[0].sum())

    def with_volume(self, x: np.ndarray, volume: float) -> np.ndarray:
        """The same shape and displacements at another volume, Angstrom^3 per atom."""
        moved = np.array(x, dtype=np.float64)
        moved[0] = np.log(volume / self.start_volume) / self._axes[0].sum()
        return moved

    def gradient(self, x: np.ndarray, forces: np.ndarray, virial: np.ndarray) -> np.ndarray:
        """(M,) dE/dx in eV/Angstrom from forces (n, 3) and virial (3, 3); of rows (n, 3, P) and (3, 3, P) it is (M, P)."""
        stretch = self._stretch(x)
        along = np.einsum("kia,ia...->k...", self._displacements * stretch, forces)
        return -np.concatenate([np.einsum("ka,aa...->k...", self._axes, virial), along])

    def _stretch(self, x):
        return np.exp(self.strains(x))
