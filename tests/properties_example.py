# SPDX-License-Identifier: GPL-2.0-or-later
"""A small SNAP potential of a Morse solid with a posterior, made once per session, for tests of properties."""

from __future__ import annotations

import ase.io
import numpy as np
from ase.build import bulk
from linear_example import ZBL, label, parameter_file

from lmp_uq.properties.kinds.registry import class_of
from lmp_uq.properties.potential.linear import LinearPotential
from lmp_uq.recipes.fit import FitOptions, fit

VOLUME = 11.0
"""Angstrom^3 per atom, near the minima of bcc and fcc."""


def make_model(folder):
    """Fit bcc and fcc at many volumes, rattled; the path of the model file."""
    generator, frames = np.random.default_rng(0), []
    for k in range(64):
        lattice, constant = (("bcc", 2.82), ("fcc", 3.55))[k % 2]
        atoms = bulk("W", lattice, a=constant * generator.uniform(0.88, 1.12), cubic=True) * ((1, 1, 2) if k % 2 == 0 else (1, 1, 1))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.02 * generator.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.08 * generator.normal(size=atoms.positions.shape)
        frames.append(label(atoms, lattice))
    ase.io.write(folder / "train.xyz", frames, format="extxyz")
    parameters = parameter_file(folder, twojmax=6)
    source, data, out = f"snap:{parameters}", (str(folder / "train.xyz"),), folder / "w.uq"
    fit(FitOptions(source, data, str(out), reference=ZBL, leverage_floor=0.1, energy_scale=0.5, n_members=32, progress=False))
    return out


def prop_of(potential: LinearPotential, kind: str, **options):
    """A property with its mean computed, and the mean."""
    known = class_of(kind).OPTIONS
    given = {name: option.default for name, option in known.items()}
    given |= {"volume": VOLUME} if "volume" in known else {}
    made = class_of(kind)(potential, kind, given | options)
    return made, made.mean()
