# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled frames that the loop begins with, train.extxyz and calibration.extxyz: strained and shaken crystals, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase.build import bulk
from label import LATTICE, open_lammps, with_labels

from lmp_uq.frames.reading import write_extxyz


def crystal(rng, rattle: float, strain: float):
    """16 atoms of bcc tungsten."""
    atoms = bulk("W", "bcc", a=LATTICE, cubic=True) * (2, 2, 2)
    change = rng.normal(scale=strain, size=(3, 3))
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (change + change.T)), scale_atoms=True)
    atoms.positions += rng.normal(scale=rattle, size=atoms.positions.shape)
    return atoms


def main():
    """Make and label them."""
    rng, lmp = np.random.default_rng(7), open_lammps()
    for name, n in (("train", 48), ("calibration", 24)):
        frames = [crystal(rng, 0.03 + 0.02 * (k % 4), 0.005 + 0.01 * (k % 3)) for k in range(n)]
        for k, atoms in enumerate(frames):
            atoms.info["config_type"] = ("cold", "warm", "hot", "hotter")[k % 4]
        write_extxyz(Path(f"{name}.extxyz"), [with_labels(lmp, atoms) for atoms in frames])
        print(f"{name}.extxyz: {n} frames")


if __name__ == "__main__":
    main()
