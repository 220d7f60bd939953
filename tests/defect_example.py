# SPDX-License-Identifier: GPL-2.0-or-later
"""A small SNAP potential with a stable bcc crystal, vacancy and slabs: fitted to a Morse solid, with members about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.build import bulk
from linear_example import ZBL, settings_of
from matscipy.neighbours import neighbour_list
from model_example import make_header

from lmp_uq import modelfile
from lmp_uq.backbone.linear.snap import SnapBackbone

LATTICE = 3.16
N_MEMBERS = 16


def morse(atoms, depth: float = 0.8, distance: float = 3.0, width: float = 0.72, cutoff: float = 5.6) -> tuple[float, np.ndarray]:
    """Energy and forces of pairs D (e^2 - 2 e), e = exp((r0 - r)/w), that end smoothly at the cutoff."""
    i, d, vectors = neighbour_list("idD", atoms, cutoff)
    e, end = np.exp((distance - d) / width), (1.0 - d / cutoff) ** 2
    energy = depth * (e**2 - 2.0 * e)
    slope = depth * (-2.0 * e**2 + 2.0 * e) / width * end - energy * 2.0 * (1.0 - d / cutoff) / cutoff
    forces = np.zeros((len(atoms), 3))
    np.add.at(forces, i, slope[:, None] * vectors / d[:, None])
    return 0.5 * float((energy * end).sum()), forces


def frames() -> list:
    """16 atoms of bcc, every third with a vacancy, every fourth with open faces, over volumes and temperatures."""
    generator, out = np.random.default_rng(0), []
    for k in range(45):
        atoms = bulk("W", "bcc", a=LATTICE * (0.93 + 0.14 * generator.random()), cubic=True) * (2, 2, 2)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.01 * generator.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += (0.02, 0.08, 0.15)[k % 3] * generator.normal(size=atoms.positions.shape)
        if k % 3 == 0:
            del atoms[0]
        if k % 4 == 0:
            atoms.cell[2, 2] += 6.0
        out.append(atoms)
    return out


def fitted(backbone: SnapBackbone) -> tuple[np.ndarray, np.ndarray]:
    """Theta by least squares on energies and forces, and a square root of its covariance."""
    x, y = [], []
    for atoms in frames():
        found, n = backbone.evaluate_frame(atoms), len(atoms)
        energy, forces = morse(atoms)
        x += [np.append(found.descriptors.mean(axis=0), 1.0)[None], np.pad(0.1 * found.force_rows, ((0, 0), (0, 1)))]
        y += [[(energy - found.energy) / n], 0.1 * (forces - found.forces).ravel()]
    x, y = np.vstack(x), np.concatenate(y)
    scale = np.sqrt((x**2).mean(axis=0))
    matrix = (x / scale).T @ (x / scale) + 1e-6 * np.eye(len(scale))
    theta = np.linalg.solve(matrix, (x / scale).T @ y)
    root = np.linalg.cholesky(np.linalg.inv(matrix))
    return theta / scale, root / scale[:, None] * np.std(y - x @ (theta / scale))


def write_potential(folder: Path, spread: float = 3.0) -> Path:
    """Model file of the potential; members differ by so many standard errors of the fit."""
    settings = settings_of(folder, ("W",), ZBL, twojmax=4, rcutfac=4.8, bzeroflag=0)
    n, header = settings.n_per_element, make_header()
    theta, root = fitted(SnapBackbone(settings.header(), {"coefficients": np.zeros(n + 1)}, settings.elements))
    header |= {"elements": ["W"], "cutoff": settings.cutoff, "precision": "float64", "grade": None, "calibration": None}
    header["backbone"] = {"family": "snap", "architecture": settings.header(), "n_features": n, "n_parameters": n + 1}
    header["posterior"] |= {"n_features": n, "n_modes": n + 1, "n_members": N_MEMBERS, "n_force_members": 0, "bias": "element"}
    header["provenance"]["roles"] = {}
    modes, widths, _ = np.linalg.svd(spread * root)
    members = (modes * widths) @ np.random.default_rng(1).uniform(-np.sqrt(3), np.sqrt(3), size=(n + 1, N_MEMBERS))
    tensors = {"backbone/coefficients": theta, "posterior/coefficients": np.zeros(n + 1), "posterior/modes": modes}
    tensors |= {"posterior/lower": -np.sqrt(3) * widths, "posterior/upper": np.sqrt(3) * widths, "posterior/members": members.T}
    path = folder / "tungsten.uq"
    modelfile.write(path, header, tensors)
    return path
