# SPDX-License-Identifier: GPL-2.0-or-later
"""Grade of an atom: how unlike the training atoms of its element its descriptor is.

The grade is a Mahalanobis distance (P. C. Mahalanobis, Proc. Natl. Inst. Sci. India 2, 49 (1936)) divided by
a high percentile of the distances of training atoms.  1 is the edge of the training set.  It measures
novelty, not the size of the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.arrays import finite_array, integer_array, named_tensors
from lmp_uq.errors import UqError


@dataclass(frozen=True, eq=False)
class Novelty:
    """Per-element novelty grade of descriptors.

    Parameters
    ----------
    mean : ndarray, shape (Z, P)
        mu_z, mean descriptor of each element.
    whitening : ndarray, shape (Z, P, P)
        W_z, with W_z (D - mu_z) of unit covariance over the training atoms.
    radius : ndarray, shape (Z,)
        Distance |W_z (D - mu_z)| that counts as grade 1; NaN for an element that cannot be graded.

    Raises
    ------
    UqError
        Inconsistent shapes, or a radius that is neither NaN nor positive.
    """

    mean: np.ndarray
    whitening: np.ndarray
    radius: np.ndarray

    def __post_init__(self) -> None:
        mean = finite_array(self.mean, "Novelty: mean", (None, None))
        n_species, n_features = mean.shape
        whitening = finite_array(self.whitening, "Novelty: whitening", (n_species, n_features, n_features))
        radius = np.array(self.radius, dtype=np.float64)
        usable = np.isnan(radius) | ((radius > 0) & np.isfinite(radius))
        if radius.shape != (n_species,) or not usable.all():
            raise UqError(f"Novelty: radius {radius} must be {n_species} numbers, each positive or NaN")
        for name, array in zip(self.tensor_names, (mean, whitening, radius), strict=True):
            object.__setattr__(self, name, np.ascontiguousarray(array))

    tensor_names = ("mean", "whitening", "radius")

    def grade(self, descriptors: ArrayLike, species: ArrayLike) -> np.ndarray:
        """Grade of each atom.

        Parameters
        ----------
        descriptors : array_like, shape (n, P)
        species : array_like of int, shape (n,)
            Index of the element of each atom, 0 to Z - 1.

        Returns
        -------
        ndarray, shape (n,)
            |W_z (D - mu_z)| / radius_z, dimensionless; inf for an element that has no radius.

        Raises
        ------
        UqError
            Wrong shapes, NaN, or a species index outside 0 to Z - 1.
        """
        descriptors = finite_array(descriptors, "Novelty.grade: descriptors", (None, self.mean.shape[1]))
        species = species_array(species, len(descriptors), len(self.radius), "Novelty.grade")
        grades = np.full(len(species), np.inf)
        for z in np.unique(species):
            if np.isfinite(self.radius[z]):
                atoms = species == z
                grades[atoms] = distances(descriptors[atoms], self.mean[z], self.whitening[z]) / self.radius[z]
        return grades

    def slope(self, descriptors: ArrayLike, species: ArrayLike) -> np.ndarray:
        """Derivatives of each atom's grade by its descriptors; arguments and errors as in `grade`.

        Returns
        -------
        ndarray, shape (n, P)
            W_z^T W_z (D - mu_z) / (|W_z (D - mu_z)| radius_z); 0 where the grade is 0 or inf.
        """
        grades = self.grade(descriptors, species)
        descriptors, species = np.asarray(descriptors, dtype=np.float64), np.asarray(species)
        slopes = np.zeros_like(descriptors)
        for z in np.unique(species[np.isfinite(grades) & (grades > 0.0)]):
            atoms = (species == z) & (grades > 0.0)
            whitened = (descriptors[atoms] - self.mean[z]) @ self.whitening[z].T
            slopes[atoms] = whitened @ self.whitening[z] / (grades[atoms, None] * self.radius[z] ** 2)
        return slopes

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the grade, by name: what a model file stores."""
        return {name: getattr(self, name) for name in self.tensor_names}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Novelty:
        """Inverse of `tensors`; further entries are ignored.  UqError if one is missing or does not fit.

        Mean and whitening of an element without a radius mean nothing, and may hold NaN.
        """
        mean, whitening, radius = named_tensors(tensors, cls.tensor_names, "Novelty")
        absent = np.isnan(radius)
        return cls(np.where(absent[:, None], 0.0, mean), np.where(absent[:, None, None], 0.0, whitening), radius)


def species_array(species: ArrayLike, n_atoms: int, n_species: int, where: str) -> np.ndarray:
    """Element indices as int64 (n_atoms,); UqError for another shape or an index outside 0 to n_species - 1."""
    species = integer_array(species, f"{where}: species", (n_atoms,))
    if n_atoms and not (species.min() >= 0 and species.max() < n_species):
        raise UqError(
            f"{where}: species indices lie in [{species.min()}, {species.max()}], accepted are 0 to "
            f"{n_species - 1}"
        )
    return species


def distances(descriptors: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """(n,) Mahalanobis distances |W (D - mu)| of descriptors (n, P) of one element."""
    return np.linalg.norm((descriptors - mean) @ whitening.T, axis=1)
