# SPDX-License-Identifier: GPL-2.0-or-later
"""Scores of atoms from their descriptors alone: MaxVol's grade gamma, and the distance to the nearest training atoms.

MaxVol: S. A. Goreinov et al., "How to find a good submatrix", in Matrix Methods: Theory, Algorithms and Applications, 247 (2010); its grade
gamma: E. V. Podryabinkin, A. V. Shapeev, Comput. Mater. Sci. 140, 171 (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from lmp_uq.arrays import finite_array, integer_array
from lmp_uq.errors import UqError

MAXVOL_TOLERANCE = 1e-2
MAX_SWAPS = 5000

# Directions of descriptors below this share of the largest singular value are rounding and strangers' noise, not a basis.
MIN_SINGULAR = 1e-4
MAX_NEIGHBOURS_FROM = 5000
BLOCK_ATOMS = 1024


def maxvol(A, tolerance: float = MAXVOL_TOLERANCE, start=None) -> np.ndarray:
    """Rows of a tall matrix that span a nearly largest volume.

    Parameters
    ----------
    A : (n, r) of rank r
    tolerance : float
        Rows are exchanged while that enlarges the volume by more than 1 + tolerance.
    start : (r,) int
        Rows to begin with; None: those of a pivoted QR.

    Returns
    -------
    (r,) int, indices of rows; all entries of A inv(A[rows]) are at most 1 + tolerance in size.

    Raises
    ------
    UqError
        Fewer rows than columns.
    """
    A = finite_array(A, "maxvol: A", (None, None))
    if len(A) < A.shape[1]:
        raise UqError(f"maxvol: found {len(A)} rows for {A.shape[1]} columns, needs at least as many rows")
    # pivoted QR of the transpose is a good start: few exchanges remain
    rows = np.array(qr(A.T, mode="economic", pivoting=True)[2][: A.shape[1]] if start is None else start)
    B = np.linalg.solve(A[rows].T, A.T).T
    for swap in range(MAX_SWAPS):
        i, j = np.unravel_index(np.argmax(np.abs(B)), B.shape)
        if abs(B[i, j]) <= 1.0 + tolerance:
            break
        change = B[i].copy()
        change[j] -= 1.0
        B -= np.outer(B[:, j] / B[i, j], change)
        rows[j] = i
        if swap % 200 == 199:  # rank-one updates pile up rounding
            B = np.linalg.solve(A[rows].T, A.T).T
    return rows


@dataclass(frozen=True, eq=False)
class DOptimality:
    """Grade gamma of atoms per element: how far a descriptor is extrapolated from the MaxVol rows of the training atoms.

    inverse: for each element the (P, r) matrix with c = D @ inverse, or None for an element without training atoms.
    """

    inverse: tuple[np.ndarray | None, ...]

    def gamma(self, descriptors, species) -> np.ndarray:
        """(n,) max_j |c_j| of descriptors (n, P) and element indices (n,); inf for an element without training atoms."""
        out = np.full(len(species), np.inf)
        for z, inverse in enumerate(self.inverse):
            mine = species == z
            if inverse is not None and mine.any():
                out[mine] = np.abs(descriptors[mine] @ inverse).max(axis=1)
        return out


def fit_d_optimality(descriptors, species, n_species: int) -> DOptimality:
    """Choose the active set of every element.

    Parameters
    ----------
    descriptors : (n, P), species : (n,) int
        Training atoms; singular directions below 1e-4 of the largest are dropped, so r may be smaller than P.
    n_species : int

    Returns
    -------
    DOptimality
    """
    descriptors = finite_array(descriptors, "fit_d_optimality: descriptors", (None, None))
    species = integer_array(species, "fit_d_optimality: species", (len(descriptors),))
    out = []
    for z in range(n_species):
        mine = descriptors[species == z]
        if not len(mine) or not np.any(mine):
            out.append(None)
            continue
        # the triangle of a QR has the same right singular vectors and at most P rows
        triangle = np.linalg.qr(mine, mode="r")
        _, singular, right = np.linalg.svd(triangle)
        axes = right[: len(singular)][singular > MIN_SINGULAR * singular[0]].T
        reduced = mine @ axes
        rows = maxvol(reduced)
        out.append(axes @ np.linalg.inv(reduced[rows]))
    return DOptimality(tuple(out))


def neighbour_distance(
    training, training_species, descriptors, species, *, n_neighbours=5, n_training=MAX_NEIGHBOURS_FROM, seed=0
) -> np.ndarray:
    """Mean distance of each atom to its nearest training atoms of the same element.

    Parameters
    ----------
    training, training_species : (m, P), (m,) int
        Whitened descriptors of training atoms; of more than n_training per element a random part is used.
    descriptors, species : (n, P), (n,) int
        Atoms to score, whitened alike.
    n_neighbours, n_training, seed : int

    Returns
    -------
    (n,) distances; inf for an element without training atoms
    """
    generator, out = np.random.default_rng(seed), np.full(len(species), np.inf)
    for z in np.unique(species):
        known = np.flatnonzero(training_species == z)
        if not len(known):
            continue
        if len(known) > n_training:
            known = np.sort(generator.choice(known, n_training, replace=False))
        atoms = np.flatnonzero(species == z)
        for start in range(0, len(atoms), BLOCK_ATOMS):
            block = atoms[start : start + BLOCK_ATOMS]
            out[block] = _nearest(descriptors[block], training[known], min(n_neighbours, len(known)))
    return out


def _nearest(atoms, known, n_neighbours):
    """(n,) mean of the n_neighbours smallest distances."""
    squares = np.sum(atoms**2, axis=1)[:, None] + np.sum(known**2, axis=1) - 2.0 * atoms @ known.T
    smallest = np.partition(squares, n_neighbours - 1, axis=1)[:, :n_neighbours]
    return np.sqrt(np.maximum(smallest, 0.0)).mean(axis=1)
