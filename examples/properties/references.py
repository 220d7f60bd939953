# SPDX-License-Identifier: GPL-2.0-or-later
"""Volume, energy and bulk modulus of bcc, A15 and fcc tungsten from DFT energies of strained cells: the references of tungsten.yaml.

    python references.py fitsnap_W_VASP2019.extxyz
"""

import sys

import ase.io
import numpy as np

from lmp_uq.properties.crystal.volume_curve import EV_PER_A3

NAMES = {16: "bcc", 8: "A15", 4: "fcc"}
"""Atoms of a cell of the group EOS_Data to its structure."""


def main(path):
    """Print a third-order Birch-Murnaghan fit (a cubic in V^(-2/3)) to all volumes of each structure."""
    curves = {}
    for atoms in ase.io.read(path, ":"):
        if atoms.info["config_type"] == "EOS_Data":
            n = len(atoms)
            curves.setdefault(NAMES[n], []).append((atoms.get_volume() / n, atoms.info["REF_energy"] / n))
    for name, points in sorted(curves.items()):
        volumes, energies = np.array(points).T
        start = volumes[np.argmin(energies)]
        cubic = np.polynomial.Polynomial.fit((volumes / start) ** (-2 / 3) - 1.0, energies, 3).convert()
        roots = cubic.deriv().roots().real
        u = roots[cubic.deriv(2)(roots) > 0.0][0]
        volume = start * (1.0 + u) ** -1.5
        bulk = cubic.deriv(2)(u) * (1.0 + u) ** 2 * 4.0 / (9.0 * volume) * EV_PER_A3
        print(f"{name}: {len(points)} volumes, V {volume:.3f} Angstrom^3, E {cubic(u):.4f} eV/atom, B {bulk:.1f} GPa")


if __name__ == "__main__":
    main(sys.argv[1])
