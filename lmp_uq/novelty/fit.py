# SPDX-License-Identifier: GPL-2.0-or-later
"""Fit of the novelty grade, in blocks of atoms and over ranks: no more than one block is in memory.

Three passes: (1) frames, counts and means by element; (2) second moments by element and fold; (3) the distance of each atom under the
mean and covariance of the other folds, whose percentile is the radius. Between passes only counts, means and P x P moments travel, and
after the last one number per atom.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.arrays import finite_array, integer_array
from lmp_uq.errors import UqError
from lmp_uq.novelty.grade import Novelty, distances, species_array
from lmp_uq.parallel.ranks import Ranks

EIGENVALUE_FLOOR = 1e-6
# Few atoms per feature: the small eigenvalues are estimated far too small, so the floor is raised.
EIGENVALUE_FLOOR_FEW = 1e-4
FEW_ATOMS_PER_FEATURE = 10
# A relative spread below this is the rounding of single-precision descriptors, not a set of environments.
MIN_RELATIVE_SPREAD = 1e-6


def fit_novelty(descriptors: ArrayLike, species: ArrayLike, frames: ArrayLike, n_species: int, **options: Any) -> Novelty:
    """Fit the novelty grade of each element on arrays in memory.

    Parameters
    ----------
    descriptors : array_like, shape (n, P)
        Descriptors of all training atoms.
    species : array_like of int, shape (n,)
        Element index of each atom, 0 to n_species - 1.
    frames : array_like of int, shape (n,)
        Frame of each atom.  Atoms of a frame resemble each other, so folds are made of whole frames.
    n_species : int
        Z.
    **options
        See `fit_novelty_blocks`, also for the result and what is raised.
    """
    return fit_novelty_blocks([(descriptors, species, frames)], n_species, **options)


def fit_novelty_blocks(
    blocks: Iterable[Any],
    n_species: int,
    *,
    n_folds: int = 5,
    percentile: float = 99.9,
    seed: int = 0,
    cross_fit: bool = True,
    ranks: Ranks | None = None,
) -> Novelty:
    """Fit the novelty grade of each element on blocks of atoms.

    Parameters
    ----------
    blocks : iterable of (descriptors (m, P), species (m,), frames (m,))
        This rank's atoms; iterated three times.  Frames are numbered over all ranks.
    n_species : int
        Z.
    n_folds : int
        Folds of the cross-fit, >= 2; fewer where an element occurs in fewer frames.
    percentile : float
        Percentile of the distances that becomes the radius, in (0, 100].
    seed : int
        Seed of the assignment of frames to folds.
    cross_fit : bool
        True: the radius comes from distances of atoms that had no part in their own mean and covariance.
        False: from the training atoms themselves; with few frames most new atoms then exceed grade 1.
    ranks : optional
        The processes that share the atoms, as `lmp_uq.parallel.ranks.Ranks`.  Default: this process alone.

    Returns
    -------
    Novelty
        The same on every rank.  Radius NaN (grade inf) for elements without atoms, with one descriptor only, or, when
        cross-fitting, with atoms in a single frame.

    Raises
    ------
    UqError
        Wrong shapes, NaN, indices or options out of range.

    Warns
    -----
    UserWarning
        An element has atoms and still gets no radius.
    """
    if not isinstance(n_folds, Integral) or n_folds < 2 or not 0 < percentile <= 100:
        raise UqError(
            f"fit_novelty: n_folds={n_folds!r}, percentile={percentile!r}; accepted are an integer >= 2 "
            "and a number in (0, 100]"
        )
    atoms, ranks = _Atoms(blocks, n_species), ranks or Ranks()
    elements = _survey(atoms, n_species, n_folds if cross_fit else 1, seed, ranks)
    _moments(atoms, elements, ranks)
    found = _distances_of_all(atoms, elements, cross_fit, ranks)
    return _assemble(elements, found, n_species, percentile)


@dataclass
class _Atoms:
    """The blocks, checked as they come, split by element: (z, descriptors, frames)."""

    blocks: Iterable[Any]
    n_species: int

    def __iter__(self) -> Iterator[Any]:
        for descriptors, species, frames in self.blocks:
            descriptors = finite_array(descriptors, "fit_novelty: descriptors", (None, None))
            species = species_array(species, len(descriptors), self.n_species, "fit_novelty")
            frames = integer_array(frames, "fit_novelty: frames", (len(descriptors),))
            for z in np.unique(species):
                mine = species == z
                yield int(z), descriptors[mine], frames[mine]


@dataclass
class _Element:
    """Moments of one element; the last axis but for P is the fold. Moments are about `mean`."""

    mean: np.ndarray  # (P,)
    largest: float  # |D| component
    fold_of: dict  # frame -> fold
    n_folds: int
    count: np.ndarray  # (folds,)
    first: np.ndarray  # (folds, P)
    second: np.ndarray  # (folds, P, P)

    def folds(self, frames: np.ndarray) -> np.ndarray:
        return np.array([self.fold_of[frame] for frame in frames.tolist()], dtype=np.int64)

    def whitening(self, left_out: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
        """Mean and whitening of all folds, or of all but one; None where nothing spreads."""
        use = np.arange(self.n_folds) != (-1 if left_out is None else left_out)
        n = self.count[use].sum()
        if not n:
            return None
        shift = self.first[use].sum(axis=0) / n
        covariance = self.second[use].sum(axis=0) / n - np.outer(shift, shift)
        eigenvalues, vectors = np.linalg.eigh(covariance)
        if eigenvalues[-1] <= (MIN_RELATIVE_SPREAD * self.largest) ** 2:
            return None
        few = self.count.sum() < FEW_ATOMS_PER_FEATURE * len(shift)
        floor = EIGENVALUE_FLOOR_FEW if few else EIGENVALUE_FLOOR
        # Raised, not dropped: a displacement along a direction the data never took must still count.
        eigenvalues = np.maximum(eigenvalues, floor * eigenvalues[-1])
        return self.mean + shift, vectors.T / np.sqrt(eigenvalues)[:, None]


def _survey(atoms: _Atoms, n_species: int, n_folds: int, seed: int, ranks: Ranks) -> dict[int, _Element]:
    """Pass 1: means and folds of the elements that occur, by element index."""
    n_features, count, largest = 0, np.zeros(n_species), np.zeros(n_species)
    frames: list[set[int]] = [set() for _ in range(n_species)]
    total: dict[int, Any] = {}
    for z, descriptors, mine in atoms:
        n_features = descriptors.shape[1]
        frames[z].update(mine.tolist())
        count[z] += len(descriptors)
        total[z] = total.get(z, 0.0) + descriptors.sum(axis=0)
        largest[z] = max(largest[z], np.abs(descriptors).max(initial=0.0))
    n_features = int(ranks.maximum(np.array([n_features]))[0])
    count, largest = ranks.sum(count), ranks.maximum(largest)
    if not count.any() or not n_features:
        raise UqError(f"fit_novelty: {int(count.sum())} atoms with {n_features} features, needs atoms and features")
    elements = {}
    for z in np.flatnonzero(count).tolist():
        mean = ranks.sum(np.zeros(n_features) + total.get(z, 0.0)) / count[z]
        labels = sorted(set().union(*ranks.gather(frames[z])))
        # shuffled and dealt out in turn
        order = np.random.default_rng((seed, z)).permutation(len(labels))
        folds = min(n_folds, len(labels))
        moments = (np.zeros(folds), np.zeros((folds, n_features)), np.zeros((folds, n_features, n_features)))
        elements[z] = _Element(mean, largest[z], dict(zip(labels, (order % folds).tolist(), strict=True)), folds, *moments)
    return elements


def _moments(atoms: _Atoms, elements: Mapping[int, _Element], ranks: Ranks) -> None:
    """Pass 2: counts and moments by fold."""
    for z, descriptors, frames in atoms:
        element = elements[z]
        folds, centred = element.folds(frames), descriptors - element.mean
        for fold in np.unique(folds):
            mine = centred[folds == fold]
            element.count[fold] += len(mine)
            element.first[fold] += mine.sum(axis=0)
            element.second[fold] += mine.T @ mine
    for element in elements.values():
        element.count, element.first, element.second = (ranks.sum(a) for a in (element.count, element.first, element.second))


def _distances_of_all(atoms: _Atoms, elements: Mapping[int, _Element], cross_fit: bool, ranks: Ranks) -> dict[int, np.ndarray]:
    """Pass 3: {element: distances of its atoms}, cross-fitted over the folds if asked for."""
    if cross_fit:
        fitted = {z: [e.whitening(k) for k in range(e.n_folds)] if e.n_folds > 1 else [None] for z, e in elements.items()}
    else:
        fitted = {z: [e.whitening()] for z, e in elements.items()}
    found: dict[int, list] = {z: [] for z in elements}
    for z, descriptors, frames in atoms:
        folds = elements[z].folds(frames)
        for fold in np.unique(folds):
            if fitted[z][fold] is not None:
                found[z].append(distances(descriptors[folds == fold], *fitted[z][fold]))
    return {z: np.concatenate([d for mine in ranks.gather(found[z]) for d in mine] or [np.zeros(0)]) for z in elements}


def _assemble(elements: Mapping[int, _Element], found: Mapping[int, np.ndarray], n_species: int, percentile: float) -> Novelty:
    n_features = len(next(iter(elements.values())).mean)
    mean, whitening = np.zeros((n_species, n_features)), np.zeros((n_species, n_features, n_features))
    radius = np.full(n_species, np.nan)
    for z, element in elements.items():
        statistics = element.whitening()
        if statistics is not None:
            mean[z], whitening[z] = statistics
            if len(found[z]):
                radius[z] = np.percentile(found[z], percentile)
        if np.isnan(radius[z]):
            warnings.warn(
                f"fit_novelty: element index {z} has {int(element.count.sum())} training atoms, but all alike or in one "
                "frame; its grade will be infinite",
                UserWarning,
                stacklevel=4,
            )
    return Novelty(mean, whitening, radius)


def fit_scaled_novelty(blocks: Iterable[Any], n_species: int, *, seed: int, ranks: Ranks) -> Novelty:
    """`fit_novelty_blocks` on descriptors in units of their standard deviation; the result takes them as they are.

    Bispectrum components, and still more their products, differ in size by powers of ten. The floor under the
    eigenvalues of the covariance then is one under correlations, not under the components of small size.
    """
    count = np.zeros(1)
    first: Any = 0.0
    second: Any = 0.0
    for descriptors, _, _ in blocks:
        count, first, second = count + len(descriptors), first + descriptors.sum(axis=0), second + (descriptors**2).sum(axis=0)
    width = int(ranks.maximum(np.array([np.size(first)]))[0])
    count, first, second = (ranks.sum(np.zeros(n) + one) for n, one in ((1, count), (width, first), (width, second)))
    scale = np.sqrt(np.maximum(second / count - (first / count) ** 2, 0.0))
    scale[scale <= MIN_RELATIVE_SPREAD * np.abs(first / count)] = 1.0
    scaled = _Scaled(blocks, scale)
    found = fit_novelty_blocks(scaled, n_species, seed=seed, ranks=ranks)
    return Novelty(found.mean * scale, found.whitening / scale, found.radius)


class _Scaled:
    """Blocks of atoms with descriptors over a scale; may be iterated again."""

    def __init__(self, blocks: Iterable[Any], scale: np.ndarray) -> None:
        self._blocks, self._scale = blocks, scale

    def __iter__(self) -> Iterator[Any]:
        for descriptors, species, frames in self._blocks:
            yield descriptors / self._scale, species, frames
