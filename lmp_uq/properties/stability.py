# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a crystal that is relaxed in its symmetry is a minimum against displacements that break it, in the same cell."""

from __future__ import annotations

import numpy as np

HELD = "only symmetry holds the structure"
UNSTABLE = 0.004
"""Eigenvalues of the Hessian below minus this share of the largest are an instability, not the error of differences."""
STEP = 1e-3
"""Angstrom, of the differences of forces."""


def hessian(forces, positions, symmetry) -> np.ndarray:
    """(3 n, 3 n) eV/Angstrom^2 where all forces vanish, from three evaluations for each atom that symmetry makes no other of.

    Parameters
    ----------
    forces : function of (n, 3), (n, 3)
    positions : (n, 3)
    symmetry : lmp_uq.properties.operations.Operations
    """
    n = len(positions)
    matrix = np.zeros((n, 3, n, 3))
    for first, others in symmetry.orbits(n).items():
        block = np.zeros((n, 3, 3))
        for axis in range(3):
            moved = positions.copy()
            moved[first, axis] += STEP
            block[:, :, axis] = -forces(moved) / STEP
        for atom, (turn, images) in others.items():
            matrix[images, :, atom, :] = turn @ block @ turn.T
    matrix = matrix.reshape(3 * n, 3 * n)
    return 0.5 * (matrix + matrix.T)


def only_symmetry_holds(system, theta, at, symmetry) -> bool:
    """Whether displacements from positions and cell `at`, where Theta has no forces, lower its energy."""
    positions, cell = at
    modes = np.linalg.eigvalsh(hessian(lambda moved: system.evaluate(theta, moved, cell)[1], positions, symmetry))
    return bool(modes[0] < -UNSTABLE * modes[-1])
