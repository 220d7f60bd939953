# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs with fix uq/average of a small fitted potential, and what the fix writes."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from lammps_cases import write_data
from lammps_processes import LammpsError, Ranks
from linear_example import ZBL, crystal, labelled, parameter_file

from lmp_uq import modelfile
from lmp_uq.backbone.linear.potential import lammps_cell
from lmp_uq.posterior import Box
from lmp_uq.recipes.export import export, settings_of
from lmp_uq.recipes.fit import FitOptions, fit

TEMPERATURE = 600.0
INPUTS = "c_thermo_pe c_thermo_press[*] c_virial v_gyration c_rdf[2]"


class Potential:
    """A small fitted potential of one element, its files, and a crystal that LAMMPS can read."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "x.uq"
        ase.io.write(folder / "train.xyz", labelled("bulk", 30, 1) + labelled("hot", 10, 2, rattle=0.2), format="extxyz")
        parameters = parameter_file(folder, twojmax=2)
        data = (str(folder / "train.xyz"),)
        given = {"elements": ("W:0.5:1.0",), "reference": ZBL, "n_members": 80, "progress": False, "leverage_floor": 1e-2}
        fit(FitOptions(f"snap:{parameters}", data, str(self.path), **given))
        export(str(self.path), str(folder / "pot"))
        self.file = modelfile.read(self.path)
        self.settings = settings_of(self.file)
        self.box, self.members = Box.from_tensors(self.file.section("posterior")), self.file.tensors["posterior/members"]
        self.atoms = crystal(11, size=(2, 2, 2), rattle=0.05)
        self.atoms.cell, _, self.atoms.positions = lammps_cell(self.atoms, 4.6)
        write_data(folder / "system.data", self.atoms, ("W",))

    def head(self, pot="pot", start=True):
        read = f"box tilt large\nread_data {self.folder}/system.data" if start else "read_restart half.restart"
        return f"""
units metal
atom_modify map array
{read}
include {self.folder}/{pot}.in
compute b all sna/atom {self.settings.compute_arguments()}
compute v all snav/atom {self.settings.compute_arguments()}
compute u all uq/linear {self.path} c_b[*] virial c_v[*] energy_std
compute virial all pressure NULL virial
compute rdf all rdf 6
compute gyration all gyration
variable gyration equal c_gyration
thermo_style custom step pe c_thermo_press[*] c_virial v_gyration
thermo_modify format float %.17g
fix move all nve
timestep 0.002
{f"velocity all create {2 * TEMPERATURE} 1234 loop geom" if start else ""}
"""

    def average(self, schedule="2 3 10", inputs=INPUTS, more="file avg.txt"):
        return f"fix a all uq/average {schedule} {inputs} uq u temp {TEMPERATURE} {more}\n"


def jobs(tmp_path_factory):
    """Yields what runs a script on n ranks that stay and returns the job's result; for a fixture."""
    started, folder = {}, tmp_path_factory.mktemp("ranks")

    def job(script, n=1, folder_of_run=None):
        if n not in started:
            started[n] = Ranks(n, folder)
        return started[n].run(script, folder_of_run or tmp_path_factory.mktemp("run"))

    yield job
    for processes in started.values():
        processes.stop()
    for processes in started.values():
        processes.join()


def blocks(path) -> list[tuple[np.ndarray, np.ndarray]]:
    """(summary, (rows, columns)) of each output in a file of the fix."""
    lines = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    out = []
    while lines:
        n = int(lines[0][1])
        out.append((np.array(lines[0], float), np.array([line[2:] for line in lines[1 : 1 + n]], float)))
        lines = lines[1 + n :]
    return out


def error_of(run, script, n=1, **options):
    with pytest.raises(LammpsError) as failure:
        run(script, n, **options)
    assert len(set(failure.value.texts)) == 1
    return failure.value.texts[0]
