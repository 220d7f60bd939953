# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known about the surroundings of atoms, and what the atoms of a frame would add: a log-determinant for each element.

    M_z = 1 + WEIGHT sum_frames X^T X,   gain(frame) = sum_z log det(1 + WEIGHT X M_z^-1 X^T),   X = W_z (D - m_z) / sqrt(n)

W_z and m_z are those of the grade: in these coordinates the mean of x x^T over the training atoms is the unit matrix. n counts the
atoms of the frame, so that a frame is one choice whatever its size. This is the D-optimal design of V. V. Fedorov, "Theory of Optimal
Experiments" (1972), with blocks of rows; that gains only fall as frames are added is what makes the greedy choice good
(G. L. Nemhauser, L. A. Wolsey, M. L. Fisher, Math. Program. 14, 265 (1978)) and lazy evaluation exact (M. Minoux, 1978).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.novelty.grade import Novelty

WEIGHT = 0.02
"""Of a frame beside the mean over all training atoms."""

Parts = Mapping[int, np.ndarray]
"""Rows X (m, P) of a frame's atoms by element, times sqrt(WEIGHT); with more atoms than features a triangle with the same X^T X."""


class Known:
    """What is known; `add` makes it more.

    Parameters
    ----------
    novelty : Novelty
        Elements that it does not grade get the moments of all that it does, so that atoms of a new element are far from everything.
    elements : sequence of str
        Its symbols.

    Raises
    ------
    UqError
        A novelty that knows no element.
    """

    def __init__(self, novelty: Novelty, elements: Sequence[str]) -> None:
        self.elements = tuple(elements)
        self._mean, self._whitening = _complete(novelty, elements)
        self._inverse = np.array([np.eye(novelty.mean.shape[1])] * len(elements))

    @property
    def unit(self) -> float:
        """Gain of an atom that is as far from the training atoms' mean as they are on average, alone in its frame, nothing added yet."""
        return float(np.log1p(WEIGHT * self._mean.shape[1]))

    def parts(self, descriptors: np.ndarray, species: np.ndarray) -> dict[int, np.ndarray]:
        """`Parts` of a frame with descriptors (n, P) and species (n,)."""
        out: dict[int, np.ndarray] = {}
        for z in np.unique(species).tolist():
            x = (descriptors[species == z] - self._mean[z]) @ self._whitening[z].T * np.sqrt(WEIGHT / len(species))
            out[z] = np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x
        return out

    def gains(self, parts: Parts) -> dict[int, float]:
        """log det(1 + X M^-1 X^T) of each element of a frame, natural logarithm; their sum is the gain of the frame."""
        return {z: float(np.linalg.slogdet(np.eye(len(x)) + x @ self._inverse[z] @ x.T)[1]) for z, x in parts.items()}

    def add(self, parts: Parts) -> None:
        """Take a frame for known, by the formula of Woodbury."""
        for z, x in parts.items():
            y = self._inverse[z] @ x.T
            self._inverse[z] -= y @ np.linalg.solve(np.eye(len(x)) + x @ y, y.T)
            self._inverse[z] = 0.5 * (self._inverse[z] + self._inverse[z].T)

    def add_squares(self, squares: np.ndarray) -> None:
        """Take frames for known whose X^T X were summed: squares (Z, P, P)."""
        self._inverse = np.linalg.inv(np.linalg.inv(self._inverse) + squares)

    def squares(self, frames: Iterable[Parts]) -> np.ndarray:
        """(Z, P, P) sum of X^T X over frames."""
        out = np.zeros_like(self._inverse)
        for parts in frames:
            for z, x in parts.items():
                out[z] += x.T @ x
        return out


def _complete(novelty: Novelty, elements: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Means and whitenings, those of elements without atoms in the training from the moments of the others."""
    mean, whitening = novelty.mean.copy(), novelty.whitening.copy()
    there = [z for z in range(len(elements)) if whitening[z].any()]
    if not there:
        raise UqError("the grade knows no element; accepted: one with atoms of two or more unlike surroundings")
    if len(there) < len(elements):
        centre = mean[there].mean(axis=0)
        spread = np.array([np.linalg.inv(whitening[z].T @ whitening[z]) + np.outer(mean[z] - centre, mean[z] - centre) for z in there])
        values, vectors = np.linalg.eigh(spread.mean(axis=0))
        for z in sorted(set(range(len(elements))) - set(there)):
            mean[z], whitening[z] = centre, (vectors / np.sqrt(values)).T
    return mean, whitening
