# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a crystal that is relaxed in its symmetry is a minimum against displacements that break it, in the same cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lmp_uq.properties.crystal.operations import Operations

HELD = "only symmetry holds the structure"
UNSTABLE = 0.004
"""Eigenvalues of the Hessian below minus this share of the largest are an instability, not the error of differences."""
STEP = 1e-3
"""Angstrom, of the differences of forces."""
GENERAL = np.linalg.qr([[0.8, 0.3, 0.1], [0.5, -0.6, 0.2], [0.3, 0.2, -0.9]])[0]
"""Three unit vectors at right angles, in no plane or axis of a crystal."""
INDEPENDENT = 0.02
"""Square sum of the components of unit vectors along one direction, below which they are taken to lie in the plane across it."""


def hessian(forces: Callable[[np.ndarray], np.ndarray], positions: np.ndarray, symmetry: Operations) -> np.ndarray:
    """(3 n, 3 n) eV/Angstrom^2 where all forces vanish, from few displacements: symmetry makes the others of these.

    One atom of each kind is displaced, in a general direction. The operations of its site turn that direction into others.

    Parameters
    ----------
    forces : function of (n, 3), (n, 3)
    positions : (n, 3)
    symmetry : lmp_uq.properties.crystal.operations.Operations
    """
    n = len(positions)
    matrix = np.zeros((n, 3, n, 3))
    for first, others in symmetry.orbits(n).items():
        block = _block(forces, positions, first, symmetry.site(first))
        for atom, (turn, images) in others.items():
            matrix[images, :, atom, :] = turn @ block @ turn.T
    square = matrix.reshape(3 * n, 3 * n)
    return 0.5 * (square + square.T)


def _block(forces, positions, atom, site):
    """(n, 3, 3): minus the forces on all atoms for displacements of one along each axis."""
    along = np.zeros((0, 3))
    answers: list[np.ndarray] = []
    while np.linalg.eigvalsh(along.T @ along)[0] < INDEPENDENT:
        direction = GENERAL[len(answers) // len(site)]
        moved = positions.copy()
        moved[atom] += STEP * direction
        answer = -forces(moved) / STEP
        for turn, images in site:
            turned = np.empty_like(answer)
            turned[images] = answer @ turn.T
            answers.append(turned)
        along = np.vstack([along, [turn @ direction for turn, _ in site]])
    return np.einsum("kd,dna->nak", np.linalg.pinv(along), np.array(answers))


def only_symmetry_holds(system: Any, theta: np.ndarray, at: tuple[np.ndarray, np.ndarray], symmetry: Operations) -> bool:
    """Whether displacements from positions and cell `at`, where Theta has no forces, lower its energy."""
    positions, cell = at
    modes = np.linalg.eigvalsh(hessian(lambda moved: system.evaluate(theta, moved, cell)[1], positions, symmetry))
    return bool(modes[0] < -UNSTABLE * modes[-1])
