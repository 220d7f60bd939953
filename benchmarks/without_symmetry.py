# SPDX-License-Identifier: GPL-2.0-or-later
"""What members become if nothing holds their symmetry: ``python without_symmetry.py MODEL.uq [--members 10] [PHASE ...]``.

Each member is relaxed in the symmetry of its phase, then from the mean's minimum by LAMMPS over all atoms, then so with the atoms rattled
by 0.01 Angstrom. One line of a Markdown table for each phase: members that symmetry alone holds, and that end lower by more than 1 meV per
atom.
"""

from __future__ import annotations

import argparse

import numpy as np

from lmp_uq.properties.crystal.minimum import crystal_at_minimum
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.potential.mace import open_potential

RATTLE = 0.01
LOWER = 1e-3
COLUMNS = ("phase", "members", "held by symmetry alone", "lower without symmetry", "of these held", "lower when rattled", "of these held")


def free_energy(crystal, theta, positions):
    """eV per atom of a relaxation over all atoms and the free strains; nan without an end."""
    found = crystal.structure
    try:
        relaxed = crystal.system.relax(theta, found.cell, positions, crystal.relaxed.cell, couple=found.couple)
    except PropertyFailure:
        return np.nan
    return relaxed.energy / crystal.system.n_atoms


def line(potential, name, n_members):
    """Text of one phase."""
    crystal, rows = crystal_at_minimum(potential, name, potential.elements[0]), []
    start = crystal.relaxed.positions
    rattled = start + RATTLE * np.random.default_rng(0).normal(size=start.shape)
    for theta in potential.members(n_members):
        try:
            found = crystal.member(theta)
        except PropertyFailure:
            continue
        energy, held = found.energy / crystal.system.n_atoms, crystal.only_symmetry_holds(theta, found.x)
        rows.append((held, *(free_energy(crystal, theta, positions) < energy - LOWER for positions in (start, rattled))))
    held, plain, shaken = np.array(rows).T
    cells = [len(rows), held.sum(), plain.sum(), (plain & held).sum(), shaken.sum(), (shaken & held).sum()]
    return f"| {name} | " + " | ".join(str(cell) for cell in cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("phases", nargs="*", default=["C14", "C36", "sigma", "mu", "chi"])
    parser.add_argument("--members", type=int, default=10)
    options = parser.parse_intermixed_args()
    potential = open_potential(options.model)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|", flush=True)
    for name in options.phases:
        print(line(potential, name, options.members), flush=True)


if __name__ == "__main__":
    main()
