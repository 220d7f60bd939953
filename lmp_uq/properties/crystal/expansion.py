# SPDX-License-Identifier: GPL-2.0-or-later
"""Minima of a crystal for every Theta, by expansion about the mean's: predicted from one grid of Phi, then settled with the mean's Hessian.

With f the generalised force of a member at the mean's geometry of some volume and H the Hessian of the mean, the member relaxes
by H^-1 f and gains f.H^-1 f / 2 (I. Maliyov, P. Grigorev, T. D. Swinburne, npj Comput. Mater. 11, 22 (2025)). f is linear in Theta, so that
this costs no run. It predicts the member's minimum. From there the step is repeated with the member's own forces until nothing is left
of them: quasi-Newton steps whose metric begins as the mean's H^-1 (J. Nocedal, S. J. Wright, Numerical Optimization, chapter 6).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.interpolate import make_interp_spline

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.volume_curve import DEGREE, EV_PER_A3, VolumeCurve
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.minima.quasi_newton import UNSETTLED, DenseMetric, minimise

LOST = "the minimum is lost"
RIGID_GRID = np.linspace(0.75, 1.35, 121)
"""Volumes of a curve, as shares of the mean's at its minimum."""
FREE_GRID = np.linspace(0.82, 1.24, 22)
"""The same of a crystal with internal coordinates or a free shape, which has to be relaxed at each."""
JUMP = 0.1
"""Angstrom."""
DIFFERENCE = 0.01
"""Angstrom, of the differences of forces that make H and curvatures."""
SOFTEST = 0.004
"""Eigenvalues of H are taken to be at least this share of the largest: what is softer the expansion cannot judge."""
LARGEST_STEP = 0.3
"""Angstrom: a prediction that moves an atom farther is no better a start than the mean's minimum."""
LARGEST_SHAPE = 0.06
"""The same of the strain of an axis at constant volume."""
TOLERANCE = 1e-7
"""eV per atom that the last step gains."""
EVALUATIONS = 20
LONGEST = 0.1
"""Angstrom of one step, root mean square of the atoms."""
PRODUCTS, REMAINDER = 5, 0.01
"""Differences of forces that a bulk modulus may cost, and the share of it that may be left of the answer of atoms and shape."""


class ExpandedMinima(NamedTuple):
    """Minima of K Theta; NaN where there is none.

    Attributes
    ----------
    volume, energy, bulk_modulus : (K,)
        Angstrom^3 and eV per atom, GPa.
    x : (K, M)
        `FreeCoordinates` of the crystal.
    reasons : list of tuple of str
        Why there is none.
    n_evaluations : (K,) int
        Of each member; 0 where the curve is exact.
    """

    volume: np.ndarray
    energy: np.ndarray
    bulk_modulus: np.ndarray
    x: np.ndarray
    reasons: list[tuple[str, ...]]
    n_evaluations: np.ndarray


class CrystalExpansion:
    """A crystal's energies against volume for every Theta, and its minima.

    Parameters
    ----------
    crystal : lmp_uq.properties.crystal.minimum.Crystal
    evaluations : int
        In which a member has to settle.
    jump : float
        Angstrom that an atom of the mean may go from one volume of the grid to the next: farther, it is in another minimum.
    """

    def __init__(self, crystal, *, evaluations: int = EVALUATIONS, jump: float = JUMP):
        self._crystal, self._at, self._curve, self._hessian, self._found = crystal, crystal.coordinates, None, None, {}
        self._evaluations, self._jump = evaluations, jump

    @property
    def curve(self) -> VolumeCurve:
        """Energies against volume for every Theta; computed once.

        Raises
        ------
        UqError
            The mean's crystal comes apart at most volumes.
        """
        if self._curve is None:
            crystal, at, n = self._crystal, self._at, self._at.n_atoms
            self._grid = [at.with_volume(np.zeros(at.size), v * crystal.volume) for v in RIGID_GRID] if crystal.rigid else self._relaxed()
            rows = [crystal.system.rows(*at.at(x)) for x in self._grid]
            phi = [crystal.system.sum_of(found) / n for found in rows]
            gains = None if crystal.rigid else [self._gain_rows(x, found) for x, found in zip(self._grid, rows, strict=True)]
            volumes = [at.volume(x) for x in self._grid]
            self._curve = VolumeCurve(volumes, phi, [found.energy / n for found in rows], crystal.volume, gains)
        return self._curve

    @property
    def hessian(self) -> np.ndarray:
        """(M, M) of the mean at its minimum, eV/Angstrom^2, by central differences; none of its eigenvalues is left below `SOFTEST`."""
        if self._hessian is None:
            function, unit = self._crystal.function(self._crystal.potential.theta), DIFFERENCE * np.eye(self._at.size)
            rows = np.array([(function(step)[1] - function(-step)[1]) / (2.0 * DIFFERENCE) for step in unit])
            values, vectors = np.linalg.eigh(0.5 * (rows + rows.T))
            self._hessian = (vectors * np.maximum(values, SOFTEST * values.max())) @ vectors.T
        return self._hessian

    def minima(self, thetas) -> ExpandedMinima:
        """The minimum of each Theta (K, P); kept for the next property that asks."""
        thetas = np.atleast_2d(thetas)
        key = thetas.tobytes()
        if key not in self._found:
            self._found[key] = self._minima(thetas)
        return self._found[key]

    def predicted(self, thetas) -> ExpandedMinima:
        """The same without any evaluation: the minima of the curve and the coordinates there."""
        curve = self.curve
        found, at = curve.minima(thetas), self._at
        x = np.full((len(thetas), at.size), np.nan)
        for k in np.flatnonzero(np.isfinite(found.volume)):
            moved = np.zeros(at.size) if self._crystal.rigid else self._path(thetas[k])(found.volume[k])
            x[k] = at.with_volume(moved, found.volume[k])
        reasons = [() if np.isfinite(v) else (LOST,) for v in found.volume]
        return ExpandedMinima(*found, x, reasons, np.zeros(len(thetas), dtype=int))

    def _minima(self, thetas):
        predicted = self.predicted(thetas)
        if self._crystal.rigid:
            return predicted
        found = ExpandedMinima(*(np.full_like(a, np.nan) for a in predicted[:4]), [], predicted.n_evaluations.copy())
        for k, theta in enumerate(thetas):
            function = _Counted(self._crystal.function(theta))
            try:
                values, reasons = self._settled(function, *self._start(theta, predicted, k)), ()
            except PropertyFailure as failure:
                values, reasons = (), (str(failure),)
            for column, value in zip(found, values, strict=False):
                column[k] = value
            found.reasons.append(reasons)
            found.n_evaluations[k] = function.count
        return found

    def _settled(self, function, start, metric):
        """Volume, energy, bulk modulus and coordinates of one Theta; PropertyFailure if it has no such minimum."""
        crystal, at, n = self._crystal, self._at, self._at.n_atoms
        limits = {"tolerance": TOLERANCE * n, "evaluations": self._evaluations, "longest": LONGEST * np.sqrt(n)}
        best = minimise(function, start, metric, **limits)
        x = best.x + best.step * best.converged
        reason = crystal.why_another(x) or UNSETTLED * (not best.converged)
        if reason:
            raise PropertyFailure(reason)
        bulk = _relaxed_curvature(function, x, metric) / at.volume_slope(x) ** 2 * at.volume(x) * n * EV_PER_A3
        return at.volume(x), (best.energy - best.left) / n, bulk, x

    def _start(self, theta, predicted, k):
        """Where to begin, and the metric: the prediction and the curvature of the member's own curve, or the mean's minimum."""
        x, at = predicted.x[k], self._at
        if np.isfinite(x).all() and predicted.bulk_modulus[k] > 0.0:
            strains = at.strains(x)
            far = np.linalg.norm(at.displacements(x), axis=1).max() > LARGEST_STEP
            if not far and np.abs(strains - strains.mean()).max() < LARGEST_SHAPE:
                return x, DenseMetric(self._inverse(theta, predicted, k))
        return np.zeros(at.size), DenseMetric(np.linalg.inv(self.hessian))

    def _inverse(self, theta, predicted, k):
        """(M, M): the mean's H^-1 at constant volume, and the member's own curvature along its path through the volumes."""
        at, volume, slope = self._at, predicted.volume[k], self._at.volume_slope(predicted.x[k])
        along = self._path(theta).derivative()(volume)
        along = along * (slope / at.n_atoms)  # dx/dx[0]
        curvature = predicted.bulk_modulus[k] / EV_PER_A3 / (volume * at.n_atoms) * slope**2
        inverse = np.zeros((at.size, at.size))
        inverse[1:, 1:] = np.linalg.inv(self.hessian[1:, 1:])
        return inverse + np.outer(along, along) / curvature

    def _path(self, theta):
        """Spline of the member's predicted coordinates (M,) against volume."""
        n, curve = self._at.n_atoms, self.curve
        moved = [-np.sqrt(n) * self._root @ (a @ theta[: a.shape[1]] + b) for a, b in curve.gains]
        return make_interp_spline(curve.volumes, np.array(self._grid) + np.pad(moved, ((0, 0), (1, 0))), k=3)

    def _gain_rows(self, x, rows):
        """A (r, p) and b (r,) with the gain |b + A.Theta|^2 / 2, eV per atom."""
        n, at = self._at.n_atoms, self._at
        values, vectors = np.linalg.eigh(self.hessian[1:, 1:])
        self._root = vectors / np.sqrt(values)
        linear = at.gradient(x, rows.force_rows.reshape(n, 3, -1), rows.virial_rows)
        constant = at.gradient(x, rows.forces, rows.virial)
        return tuple(self._root.T @ part[1:] / np.sqrt(n) for part in (linear, constant))

    def _relaxed(self):
        """Coordinates of the mean at each volume of the grid, in its order: as far as the structure holds."""
        crystal, out = self._crystal, {}
        middle = int(np.argmin(np.abs(FREE_GRID - 1.0)))
        for order in (range(middle, len(FREE_GRID)), range(middle - 1, -1, -1)):
            x, metric = np.zeros(self._at.size), DenseMetric(np.linalg.inv(self.hessian[1:, 1:]))
            for k in order:
                volume = FREE_GRID[k] * crystal.volume
                try:
                    found = crystal.at_volume(crystal.potential.theta, x, volume, metric)
                except PropertyFailure:
                    break
                before, x = x, self._at.with_volume(np.append(0.0, found.x), volume)
                jump = np.linalg.norm(self._at.displacements(x - before), axis=1).max()
                if jump > self._jump or crystal.why_another(x):
                    break
                out[k] = x
        if len(out) <= DEGREE:
            raise UqError(
                f"{crystal.structure.name}: atoms leave the structure under the mean when its volume changes, it holds at {len(out)} of "
                f"the {DEGREE + 1} volumes that are needed; its minimum is not stable in this potential"
            )
        return [out[k] for k in sorted(out)]


class _Counted:
    """A function that knows how often it was called."""

    def __init__(self, function):
        self._function, self.count = function, 0

    def __call__(self, x):
        self.count += 1
        return self._function(x)


def _relaxed_curvature(function, x, metric) -> float:
    """Second derivative of the energy along x[0] while the others follow, eV/Angstrom^2: 1 / (H^-1)_00.

    The metric says how they follow, each difference of forces along that way improves it; what is left is taken off to second order.
    """
    for _ in range(PRODUCTS):
        inverse = metric.inverse
        along = inverse[:, 0] / inverse[0, 0]
        step = along * DIFFERENCE / np.abs(along).max()
        change = (function(x + step)[1] - function(x - step)[1]) / (2.0 * DIFFERENCE) * np.abs(along).max()
        held = inverse[1:, 1:] - np.outer(inverse[1:, 0], inverse[0, 1:]) / inverse[0, 0]
        left = float(change[1:] @ held @ change[1:])
        curvature = float(along @ change) - left
        if left < REMAINDER * abs(curvature):
            break
        metric.learn(along, change)
    return curvature
