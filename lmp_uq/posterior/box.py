# SPDX-License-Identifier: GPL-2.0-or-later
"""The POPS box: a uniform distribution of coefficient vectors, and what it says about linear quantities.

Theta = Theta* + V u with independent u_k ~ U(lower_k, upper_k).  For a quantity q = x.Theta everything needed
in a simulation has a closed form in g = V^T x, so no member has to be drawn to obtain a std or a bound.

Sources: box posterior: T. D. Swinburne, D. Perez, Mach. Learn.: Sci. Technol. 6, 015008 (2025),
doi:10.1088/2632-2153/ad9fce.  Expected extremes of K draws: plotting position of G. Blom, "Statistical
Estimates and Transformed Beta-Variables" (1958), with the fourth-cumulant term of the expansion of
E. A. Cornish, R. A. Fisher, Rev. Inst. Int. Stat. 5, 307 (1938).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import qmc

from lmp_uq.arrays import finite_array, named_tensors
from lmp_uq.errors import UqError

# Below this number of effective modes a sum of uniforms has no Gaussian shoulder left to correct.
MIN_EFFECTIVE_MODES = 1.5


@dataclass(frozen=True, eq=False)
class Box:
    """Uniform box posterior of the coefficients of a linear corrector.

    Rows ``x`` of all methods have shape (..., P) and the unit of label per unit of Theta; results drop the
    last axis.  With energies in eV, a row of descriptors gives eV and a row of force features gives
    eV/Angstrom.

    Parameters
    ----------
    coefficients : ndarray, shape (P,)
        Theta*, the weighted ridge solution.
    modes : ndarray, shape (P, R)
        V.  Columns need not be orthonormal: a fit on scaled columns stores them in the original units.
    lower, upper : ndarray, shape (R,)
        Bounds of u along each mode, lower <= upper.  The box is in general not centred on Theta*.

    Raises
    ------
    UqError
        Inconsistent shapes, values that are not finite, or lower > upper.
    """

    coefficients: np.ndarray
    modes: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __post_init__(self) -> None:
        coefficients = finite_array(self.coefficients, "Box: coefficients", (None,))
        modes = finite_array(self.modes, "Box: modes", (coefficients.size, None))
        lower = finite_array(self.lower, "Box: lower", (modes.shape[1],))
        upper = finite_array(self.upper, "Box: upper", (modes.shape[1],))
        if np.any(lower > upper):
            n_bad = np.count_nonzero(lower > upper)
            raise UqError(f"Box: lower exceeds upper in {n_bad} of {lower.size} modes")
        for name, array in zip(self.tensor_names, (coefficients, modes, lower, upper), strict=True):
            object.__setattr__(self, name, np.ascontiguousarray(array))

    tensor_names = ("coefficients", "modes", "lower", "upper")

    @property
    def half(self) -> np.ndarray:
        """(R,) half edges of the box, (upper - lower) / 2."""
        return 0.5 * (self.upper - self.lower)

    @property
    def mid(self) -> np.ndarray:
        """(R,) middle of the box along each mode, (upper + lower) / 2."""
        return 0.5 * (self.upper + self.lower)

    def centre(self) -> np.ndarray:
        """(P,) mean of the distribution, Theta* + V mid."""
        return self.coefficients + self.modes @ self.mid

    def mean(self, x: ArrayLike) -> np.ndarray:
        """(...) mean of x.Theta over the box, x.(Theta* + V mid)."""
        return self._rows(x) @ self.centre()

    def std(self, x: ArrayLike) -> np.ndarray:
        """(...) exact standard deviation of x.Theta, sqrt(sum_k g_k^2 half_k^2 / 3) with g = V^T x."""
        return np.sqrt(np.sum(self._reach(x) ** 2, axis=-1) / 3.0)

    def std_slope(self, x: ArrayLike) -> np.ndarray:
        """(..., P) derivatives of `std` by x, sum_k V_k g_k half_k^2 / (3 std); 0 where the std is."""
        along = (self._rows(x) @ self.modes) * self.half**2 @ self.modes.T / 3.0
        std = self.std(x)[..., None]
        return np.divide(along, std, out=np.zeros_like(along), where=std > 0.0)

    def rms(self, x: ArrayLike, *, about: str = "backbone") -> np.ndarray:
        """Root mean square of x.Theta about the model that makes the prediction.

        Parameters
        ----------
        x : array_like, shape (..., P)
        about : {"backbone", "coefficients"}
            "backbone": the frozen model runs and the corrector only supplies bars, so the distance is x.Theta
            itself, sqrt(std^2 + (x.(Theta* + V mid))^2).  "coefficients": the corrected model x.Theta* runs,
            sqrt(std^2 + (x.V mid)^2).

        Returns
        -------
        ndarray, shape (...)
        """
        if about not in ("backbone", "coefficients"):
            raise UqError(f"Box.rms: about={about!r}, accepted are 'backbone' and 'coefficients'")
        origin = 0.0 if about == "backbone" else self.coefficients
        return np.hypot(self.std(x), self._rows(x) @ (self.centre() - origin))

    def covariance(self, x1: ArrayLike, x2: ArrayLike) -> np.ndarray:
        """Covariance of x1.Theta and x2.Theta, sum_k g1_k g2_k half_k^2 / 3.

        The leading axes broadcast: ``covariance(x, x)`` is the variance of each row, and
        ``covariance(x[:, None], x[None, :])`` the (n, n) matrix of a set of rows.
        """
        first = (self._rows(x1) @ self.modes) * self.half
        second = (self._rows(x2) @ self.modes) * self.half
        return np.einsum("...k,...k->...", first, second) / 3.0

    def exact_bounds(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper) of x.Theta over the whole box, each (...); reached at box vertices."""
        middle, reach = self.mean(x), np.sum(self._reach(x), axis=-1)
        return middle - reach, middle + reach

    def bounds(self, x: ArrayLike, n_members: int) -> tuple[np.ndarray, np.ndarray]:
        """Expected extremes of x.Theta over ``n_members`` independent members, without drawing them.

        Parameters
        ----------
        x : array_like, shape (..., P)
        n_members : int
            K >= 1.  The bounds are K-member bounds and widen with K; they never exceed `exact_bounds`.

        Returns
        -------
        lower, upper : ndarray, shape (...)
            x.(Theta* + V mid) -/+ z'(K) std.  z' corrects the Gaussian z(K) = Phi^-1((K - 3/8)/(K + 1/4)) for
            the excess kurtosis -1.2/R_eff of a sum of uniforms with R_eff = (sum a^2)^2 / sum a^4 effective
            modes, a_k = |g_k| half_k.  For R_eff < 1.5 the exact box is returned.
        """
        middle, half = self.mean(x), extreme_half_range(self._reach(x), n_members)
        return middle - half, middle + half

    def draw(self, n_members: int, seed: int) -> np.ndarray:
        """Draw members by a scrambled Sobol sequence.

        Parameters
        ----------
        n_members : int
            K >= 1; the first K' < K members are those of ``draw(K', seed)``.
        seed : int
            The same seed gives the same members.

        Returns
        -------
        ndarray, shape (K, P)
            Theta* + V u, with u inside [lower, upper].
        """
        n_members = _positive_integer(n_members, "Box.draw: n_members")
        if not self.lower.size:
            return np.tile(self.coefficients, (n_members, 1))
        sobol = qmc.Sobol(self.lower.size, scramble=True, seed=np.random.default_rng(seed))
        # A Sobol sequence is balanced in powers of two only, so the block is drawn whole and then cut.
        unit = sobol.random_base2((n_members - 1).bit_length())[:n_members]
        return self.coefficients + (self.lower + (self.upper - self.lower) * unit) @ self.modes.T

    def sample(self, n: int, seed: int | np.random.Generator) -> np.ndarray:
        """Draw members independently of each other.

        For estimates that need the error of a mean: members of `draw` are spread more evenly than chance, so
        the scatter of a few of them says nothing about the scatter of the estimate.

        Parameters
        ----------
        n : int
            >= 1; the first n' < n members are those of ``sample(n', seed)``.
        seed : int or numpy.random.Generator
            The same seed gives the same members.

        Returns
        -------
        ndarray, shape (n, P)
            Theta* + V u, with u uniform in [lower, upper].
        """
        n = _positive_integer(n, "Box.sample: n")
        unit = np.random.default_rng(seed).random((n, self.lower.size))
        return self.coefficients + (self.lower + (self.upper - self.lower) * unit) @ self.modes.T

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the box, by name: what a model file stores."""
        return {name: getattr(self, name) for name in self.tensor_names}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Box:
        """Inverse of `tensors`; further entries are ignored.  UqError if one is missing or does not fit."""
        return cls(*named_tensors(tensors, cls.tensor_names, "Box"))

    def _rows(self, x: ArrayLike) -> np.ndarray:
        x = np.asarray(x, dtype=np.float64)
        if x.ndim < 1 or x.shape[-1] != self.coefficients.size:
            raise UqError(f"Box: rows have shape {x.shape}, the last axis must be {self.coefficients.size}")
        return x

    def _reach(self, x: ArrayLike) -> np.ndarray:
        """(..., R) a_k = |g_k| half_k: how far each mode alone moves x.Theta from the box mean."""
        return np.abs(self._rows(x) @ self.modes) * self.half


def extreme_half_range(reach: np.ndarray, n_members: int) -> np.ndarray:
    """Expected half range of ``n_members`` draws of sum_k reach_k v_k with v_k ~ U(-1, 1).

    Parameters
    ----------
    reach : ndarray, shape (..., R), >= 0
    n_members : int

    Returns
    -------
    ndarray, shape (...)
        See `Box.bounds`.
    """
    n_members = _positive_integer(n_members, "Box.bounds: n_members")
    exact = np.sum(reach, axis=-1)
    largest = np.max(reach, axis=-1, keepdims=True, initial=0.0)
    # Relative to the largest mode: fourth powers of small reaches would underflow.
    relative = np.divide(reach, largest, out=np.zeros_like(reach), where=largest > 0)
    second, fourth = np.sum(relative**2, axis=-1), np.sum(relative**4, axis=-1)
    effective = np.divide(second**2, fourth, out=np.ones_like(second), where=fourth > 0)
    z = ndtri((n_members - 0.375) / (n_members + 0.25))
    # The truncated expansion turns down beyond this z; the true extremes never shrink with more members.
    z = np.minimum(z, np.sqrt(1.0 + 8.0 * effective / 1.2))
    corrected = z - (z**3 - 3.0 * z) * 1.2 / (24.0 * effective)
    half = np.minimum(corrected * np.sqrt(second / 3.0) * largest[..., 0], exact)
    return np.where(effective < MIN_EFFECTIVE_MODES, exact, half)


def _positive_integer(value: Any, name: str) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise UqError(f"{name}: found {value!r}, expected an integer >= 1")
    return int(value)


def departures(box: Box) -> Box:
    """The box about a potential that runs with its Theta*: Theta* itself is no departure."""
    return Box(np.zeros(len(box.coefficients)), box.modes, box.lower, box.upper)
