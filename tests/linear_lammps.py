# SPDX-License-Identifier: GPL-2.0-or-later
"""A small fitted linear potential under LAMMPS, and what Python says of its fields."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from lammps_cases import write_data
from lammps_processes import LammpsError, Ranks
from linear_example import ZBL, crystal, labelled

from lmp_uq import modelfile
from lmp_uq.backbone.linear.potential import lammps_cell
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior import Box
from lmp_uq.posterior.features import append_bias
from lmp_uq.recipes.export import export, settings_of
from lmp_uq.recipes.fit import FitOptions, fit

ELEMENTS = ("W", "Be")
FIELDS = ("energy_std", "energy_lower", "energy_upper", "grade", "force_std", "force_std_x", "force_std_y", "force_std_z")


class Potential:
    """Fitted to small data, its exported files, and a crystal that LAMMPS can read.

    Parameters
    ----------
    folder : Path
    backbone : str
        As ``--backbone`` names it.
    elements : sequence of str
        What ``--elements`` says.
    """

    def __init__(self, folder, backbone, elements=()):
        self.folder = folder
        frames = labelled("bulk", 30, 1, ELEMENTS) + labelled("hot", 10, 2, ELEMENTS, rattle=0.2)
        ase.io.write(folder / "train.xyz", frames, format="extxyz")
        ase.io.write(folder / "calibration.xyz", labelled("dense", 12, 3, ELEMENTS, strain=0.05), format="extxyz")
        given = {"elements": elements, "reference": ZBL, "n_members": 16, "progress": False, "leverage_floor": 1e-2}
        data = (str(folder / "train.xyz"),)
        fit(FitOptions(backbone, data, str(folder / "x.uq"), calibration=(str(folder / "calibration.xyz"),), **given))
        export(str(folder / "x.uq"), str(folder / "pot"))
        self.file = modelfile.read(folder / "x.uq")
        self.settings = settings_of(self.file)
        atoms = crystal(11, size=(2, 2, 3), elements=ELEMENTS)
        cell, _, positions = lammps_cell(atoms, 4.6)
        atoms.set_cell(cell)
        atoms.positions = positions
        self.atoms = atoms
        write_data(folder / "system.data", atoms, ELEMENTS)

    def script(self, b="", db="", command="", pot="pot", fields=FIELDS):
        """Two snapshots of a run, with the columns of SNAP unless other computes are named."""
        arguments = "" if b and db else self.settings.compute_arguments()
        command = command or f"{self.folder}/x.uq c_b[*] gradient c_db[*] {' '.join(fields)}"
        return f"""
units metal
atom_modify map array
box tilt large
read_data {self.folder}/system.data
include {self.folder}/{pot}.in
compute b all {b or f"sna/atom {arguments}"}
compute db all {db or f"snad/atom {arguments}"}
compute uq all uq/linear {command}
compute tot all uq/linear {self.folder}/x.uq c_b[*] energy_std
compute sums all reduce sum c_uq[*]
thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_sums[*] c_tot[*]
thermo 5
run 0
#snapshot first
velocity all create 300 1234 loop geom
fix move all nve
run 10
#snapshot last
"""


def runner(tmp_path_factory):
    """Generator of a function that runs a script on n ranks that stay; in the place of the session's, which run a MACE model."""
    started, folder = {}, tmp_path_factory.mktemp("ranks")

    def run(script, n=1):
        if n not in started:
            started[n] = Ranks(n, folder)
        return started[n].run(script, tmp_path_factory.mktemp("run")).snapshots

    yield run
    for processes in started.values():
        processes.stop()
    for processes in started.values():
        processes.join()


def expected(potential, positions):
    """Fields (n, 8) and totals of Python for atoms at these positions."""
    atoms = potential.atoms.copy()
    atoms.positions = positions
    found = backbone_of_file(potential.file).evaluate_frame(atoms)
    box, novelty = (kind.from_tensors(potential.file.section(name)) for kind, name in ((Box, "posterior"), (Novelty, "grade")))
    features = append_bias(found.descriptors, found.species, "element", 2)
    theta, n_members = potential.file.tensors["backbone/coefficients"], 16
    energies, bounds = features @ theta, box.bounds(features, n_members)
    rows = np.hstack([found.force_rows, np.zeros((len(found.force_rows), 2))])
    forces = box.rms(rows).reshape(-1, 3)
    columns = [box.rms(features), energies + bounds[0], energies + bounds[1], novelty.grade(found.descriptors, found.species)]
    columns += [np.linalg.norm(forces, axis=1), *forces.T]
    total = features.sum(axis=0)
    bounds, factor = box.bounds(total, n_members), potential.file.header.calibration.energy_error.factor
    totals = [box.rms(total), energies.sum() + bounds[0], energies.sum() + bounds[1], factor * box.rms(total)]
    return np.array(columns).T, np.array(totals)


def error_of(run, script, n=1):
    with pytest.raises(LammpsError) as failure:
        run(script, n)
    assert len(set(failure.value.texts)) == 1
    return failure.value.texts[0]


def refused_in_other_units(potential, run):
    """Whether LAMMPS refuses the exported files where the units are not metal."""
    lines = ["units real", "box tilt large", f"read_data {potential.folder}/system.data", f"include {potential.folder}/pot.in"]
    with pytest.raises(LammpsError, match="requires metal units but real units are in use"):
        run("\n".join([*lines, "run 0", ""]))
    return True
