# SPDX-License-Identifier: GPL-2.0-or-later
"""The POPS ensemble: the pointwise optima themselves as members, instead of the box around them.

Source: ensemble posterior: T. D. Swinburne, D. Perez, Mach. Learn.: Sci. Technol. 6, 015008 (2025), doi:10.1088/2632-2153/ad9fce.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.arrays import finite_array, named_tensors
from lmp_uq.errors import UqError
from lmp_uq.posterior.box import _positive_integer


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Discrete posterior of the coefficients: Theta* + dTheta_i of the rows that shaped it, all equally likely.

    Mean and covariance are those of all M corrections, exactly.  Bounds and draws use the ``members``, which for large M are a subset:
    the rows that are extreme along a mode, each counted once, and a uniform random draw of the others, which shares their weight.

    Rows ``x`` of all methods have shape (..., P) and the unit of label per unit of Theta; results drop the last axis.

    Parameters
    ----------
    coefficients : ndarray, shape (P,)
        Theta*, the weighted ridge solution.
    members : ndarray, shape (K, P)
        Theta* + dTheta_i.
    probabilities : ndarray, shape (K,)
        Share of each member in the ensemble; positive, sum 1.
    centre_shift : ndarray, shape (P,)
        Mean of all dTheta_i.
    spread : ndarray, shape (P, R)
        B with B B^T the covariance of all dTheta_i.

    Raises
    ------
    UqError
        Inconsistent shapes, values that are not finite, or probabilities that are not positive with sum 1.
    """

    coefficients: np.ndarray
    members: np.ndarray
    probabilities: np.ndarray
    centre_shift: np.ndarray
    spread: np.ndarray

    tensor_names = ("coefficients", "members", "probabilities", "centre_shift", "spread")

    def __post_init__(self) -> None:
        coefficients = finite_array(self.coefficients, "Ensemble: coefficients", (None,))
        members = finite_array(self.members, "Ensemble: members", (None, coefficients.size))
        probabilities = finite_array(self.probabilities, "Ensemble: probabilities", (len(members),))
        shift = finite_array(self.centre_shift, "Ensemble: centre_shift", coefficients.shape)
        spread = finite_array(self.spread, "Ensemble: spread", (coefficients.size, None))
        if not len(members) or probabilities.min() <= 0 or abs(probabilities.sum() - 1.0) > 1e-9:
            raise UqError(
                f"Ensemble: {len(members)} members with probabilities of sum {probabilities.sum():g}: at least one member is needed, "
                "all probabilities must be positive and their sum 1"
            )
        for name, array in zip(self.tensor_names, (coefficients, members, probabilities, shift, spread), strict=True):
            object.__setattr__(self, name, np.ascontiguousarray(array))

    def centre(self) -> np.ndarray:
        """(P,) mean of the distribution, Theta* + mean dTheta_i."""
        return self.coefficients + self.centre_shift

    def mean(self, x: ArrayLike) -> np.ndarray:
        """(...) mean of x.Theta over all corrections."""
        return self._rows(x) @ self.centre()

    def std(self, x: ArrayLike) -> np.ndarray:
        """(...) standard deviation of x.Theta over all corrections, |B^T x|."""
        return np.linalg.norm(self._rows(x) @ self.spread, axis=-1)

    def rms(self, x: ArrayLike, *, about: str = "backbone") -> np.ndarray:
        """Root mean square of x.Theta about the model that makes the prediction; see `Box.rms`."""
        if about not in ("backbone", "coefficients"):
            raise UqError(f"Ensemble.rms: about={about!r}, accepted are 'backbone' and 'coefficients'")
        origin = 0.0 if about == "backbone" else self.coefficients
        return np.hypot(self.std(x), self._rows(x) @ (self.centre() - origin))

    def covariance(self, x1: ArrayLike, x2: ArrayLike) -> np.ndarray:
        """Covariance of x1.Theta and x2.Theta over all corrections; the leading axes broadcast as in `Box.covariance`."""
        return np.einsum("...k,...k->...", self._rows(x1) @ self.spread, self._rows(x2) @ self.spread)

    def exact_bounds(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper) of x.Theta over the members, each (...): narrower than over all corrections if the members are a subset."""
        values = self._rows(x) @ self.members.T
        return values.min(axis=-1), values.max(axis=-1)

    def bounds(self, x: ArrayLike, n_members: int) -> tuple[np.ndarray, np.ndarray]:
        """Expected extremes of x.Theta over ``n_members`` independent draws, without drawing them.

        Parameters
        ----------
        x : array_like, shape (..., P)
        n_members : int
            K >= 1.

        Returns
        -------
        lower, upper : ndarray, shape (...)
            With the values sorted and F_j their cumulative probability, the expected maximum of K draws is
            sum_j v_j (F_j^K - F_(j-1)^K), exactly; the minimum likewise.
        """
        power = _positive_integer(n_members, "Ensemble.bounds: n_members")
        values = self._rows(x) @ self.members.T
        order = np.argsort(values, axis=-1)
        values, weight = np.take_along_axis(values, order, axis=-1), self.probabilities[order]
        upper = np.sum(values * _extreme_probability(weight, power), axis=-1)
        return np.sum(values * _extreme_probability(weight[..., ::-1], power)[..., ::-1], axis=-1), upper

    def draw(self, n_members: int, seed: int) -> np.ndarray:
        """(K, P) members drawn with their probabilities, with replacement; the same seed gives the same members."""
        count = _positive_integer(n_members, "Ensemble.draw: n_members")
        return self.members[np.random.default_rng(seed).choice(len(self.members), count, p=self.probabilities)]

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the ensemble, by name."""
        return {name: getattr(self, name) for name in self.tensor_names}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Ensemble:
        """Inverse of `tensors`; further entries are ignored.  UqError if one is missing or does not fit."""
        return cls(*named_tensors(tensors, cls.tensor_names, "Ensemble"))

    def _rows(self, x: ArrayLike) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        if x.ndim < 1 or x.shape[-1] != self.coefficients.size:
            raise UqError(f"Ensemble: rows of shape {x.shape}, expected (..., {self.coefficients.size})")
        return x


def _extreme_probability(weight: np.ndarray, power: int) -> np.ndarray:
    """Probability of each of the ascending values to be the largest of ``power`` draws; weight (..., K)."""
    cumulative = np.minimum(np.cumsum(weight, axis=-1), 1.0)
    cumulative[..., -1] = 1.0
    return np.diff(cumulative**power, axis=-1, prepend=0.0)
