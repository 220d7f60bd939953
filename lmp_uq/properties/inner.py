# SPDX-License-Identifier: GPL-2.0-or-later
"""Second-order relaxation of internal coordinates and shape: what a member gains at a volume where the mean is at rest.

With f the generalised force of a member at the mean's geometry and H the Hessian of the mean, the member relaxes by H^-1 f and gains
f.H^-1 f / 2 (I. Maliyov, P. Grigorev, T. D. Swinburne, npj Comput. Mater. 11, 22 (2025)). f is linear in Theta.
"""

from __future__ import annotations

import numpy as np

STEP = 5e-3
"""Angstrom, of the differences of forces that make H."""
SHAPE_STEP = 1e-3
"""Amplitude of strains in these differences."""
SOFTEST = 0.004
"""Eigenvalues of H below this share of the largest are left out: translations, and what the expansion cannot judge."""


class InnerRelaxation:
    """H of the mean at its minimum, over positions (3 n) and shape amplitudes (S).

    Parameters
    ----------
    system : lmp_uq.properties.system.LinearSystem
    theta : (P,)
    positions, cell
        The minimum of the mean.
    directions : (S, 3, 3)
        Strains that the shape is free in; S may be 0.
    """

    def __init__(self, system, theta, positions, cell, directions):
        self._n, self._directions = system.n_atoms, np.asarray(directions).reshape(-1, 3, 3)
        hessian = np.array([-self._difference(system, theta, positions, cell, k) for k in range(3 * self._n + len(self._directions))])
        values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
        stiff = values > SOFTEST * values.max()
        self._root = vectors[:, stiff] / np.sqrt(values[stiff])
        self.unstable = bool(values[0] < -SOFTEST * values.max())

    def rows(self, rows) -> tuple[np.ndarray, np.ndarray]:
        """A (r, p) and b (r,) with the gain |b + A.Theta|^2 / 2 (eV, all atoms) from rows of `LinearSystem.rows`, constants left out."""
        slopes = np.einsum("kab,abp->kp", self._directions, rows.virial_rows)
        reference = np.einsum("kab,ab->k", self._directions, rows.virial)
        return self._root.T @ np.vstack([rows.force_rows, slopes]), self._root.T @ np.concatenate([rows.forces.ravel(), reference])

    def displacement(self, reduced) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) Angstrom and (S,) amplitudes by which atoms and shape move, from b + A.Theta (r,)."""
        moved = self._root @ reduced
        return moved[: 3 * self._n].reshape(-1, 3), moved[3 * self._n :]

    def _difference(self, system, theta, positions, cell, k):
        """Central difference of the generalised force along one coordinate."""
        parts = []
        for sign in (1.0, -1.0):
            if k < 3 * self._n:
                moved = positions.copy()
                moved.flat[k] += sign * STEP
                at, step = (moved, cell), STEP
            else:
                strain = np.eye(3) + sign * SHAPE_STEP * self._directions[k - 3 * self._n]
                at, step = (positions @ strain, cell @ strain), SHAPE_STEP
            _, forces, virial = system.evaluate(theta, *at)
            parts.append(np.concatenate([forces.ravel(), np.einsum("kab,ab->k", self._directions, virial)]))
        return (parts[0] - parts[1]) / (2.0 * step)
