# SPDX-License-Identifier: GPL-2.0-or-later
"""Operations that leave a structure as it is, as a projection of displacements and forces: of the cell of a crystal, or about a site."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

SITE_TOLERANCE, CRYSTAL_TOLERANCE = 0.05, 1e-3
"""Angstrom within which an operation must bring an atom onto another: about a site in a supercell, of a crystal that is its prototype."""
SAME_LATTICE = 1e-6
"""How far, relative, an operation may change the products of the vectors of a cell."""


class Operations:
    """Average over operations, each an orthogonal matrix (rows are turned: v -> v R^T) and which atom each atom is brought onto.

    Parameters
    ----------
    found : sequence of ((3, 3), (n,))

    Attributes
    ----------
    order : int
    """

    def __init__(self, found: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self._found, self.order = list(found), len(found)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """(n, 3) the invariant part of displacements or forces."""
        out = np.zeros_like(vectors)
        for matrix, images in self._found:
            out[images] += vectors @ matrix.T
        return out / self.order

    def invariant_displacements(self, n_atoms: int) -> np.ndarray:
        """(m, n, 3) an orthonormal basis of the displacements that all operations keep, without those of the crystal as a whole."""
        size = 3 * n_atoms
        unit = np.eye(size).reshape(size, n_atoms, 3)
        unit -= unit.mean(axis=1, keepdims=True)
        matrix = np.array([self.project(one).ravel() for one in unit])
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        return vectors[:, values > 0.5].T.reshape(-1, n_atoms, 3)

    def orbits(self, n_atoms: int) -> dict[int, dict[int, tuple[np.ndarray, np.ndarray]]]:
        """The first atom of each kind to the atoms it is brought onto, itself among them, each with the operation that does."""
        out, seen = {}, set()
        for first in range(n_atoms):
            if first not in seen:
                out[first] = {int(images[first]): (matrix, images) for matrix, images in self._found}
                seen |= set(out[first])
        return out

    def site(self, atom: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The operations that leave an atom where it is."""
        return [(matrix, images) for matrix, images in self._found if images[atom] == atom]


def brought_onto(scaled: np.ndarray, turned: np.ndarray, cell: np.ndarray, tolerance: float) -> np.ndarray | None:
    """(n,) which atom each turned atom falls on, in scaled coordinates (n, 3) of a periodic cell; None where one falls between atoms."""
    apart = turned[:, None, :] - scaled[None, :, :]
    apart = np.linalg.norm((apart - np.round(apart)) @ cell, axis=2)
    images = apart.argmin(axis=1)
    whole = apart.min(axis=1).max() < tolerance and len(set(images.tolist())) == len(images)
    return images if whole else None


def space_group(
    positions: np.ndarray, cell: np.ndarray, species: Sequence[int] | np.ndarray, strains: Sequence[np.ndarray] | np.ndarray = ()
) -> Operations:
    """The operations of a crystal, those that centre its cell included.

    Parameters
    ----------
    positions : (n, 3), cell : (3, 3)
        Angstrom, periodic.
    species : (n,) int
    strains : sequence of (3, 3)
        Only operations that keep these: a crystal that is strained so has them still.
    """
    cell, species = np.asarray(cell), np.asarray(species)
    scaled = np.linalg.solve(cell.T, np.asarray(positions).T).T
    found = []
    for turn in _lattice_turns(cell):
        matrix = np.linalg.solve(cell, turn @ cell).T  # a vector s.cell goes to s.turn.cell
        if all(np.allclose(matrix @ strain, strain @ matrix, atol=SAME_LATTICE) for strain in strains):
            turned = scaled @ turn
            for atom in np.flatnonzero(species == species[0]):
                images = brought_onto(scaled, turned + (scaled[atom] - turned[0]), cell, CRYSTAL_TOLERANCE)
                if images is not None and (species[images] == species).all():
                    found.append((matrix, images))
    return Operations(found)


def _lattice_turns(cell):
    """Integer matrices (3, 3) that bring the lattice onto itself; of a cell that is not very oblique their entries are -1, 0, 1."""
    metric = cell @ cell.T
    rows = np.array(list(product((-1, 0, 1), repeat=3)))
    lengths = np.einsum("ra,ab,rb->r", rows, metric, rows)
    scale = SAME_LATTICE * np.trace(metric)
    choices = [rows[np.abs(lengths - metric[k, k]) < scale] for k in range(3)]
    turns = (np.array(turn) for turn in product(*choices))
    return [turn for turn in turns if np.abs(turn @ metric @ turn.T - metric).max() < scale]
