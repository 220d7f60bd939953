# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq ensemble on a frame says what compute uq/ensemble says of the same atoms in LAMMPS."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest
import torch
from ensemble_cases import overlay
from lammps_cases import assert_equal, crystal, read_dump
from tiny_models import density_model

from lmp_uq.cli import main
from lmp_uq.ensembles.disagreement import from_driver, of_atoms
from lmp_uq.ensembles.members import load_members
from lmp_uq.ensembles.pool import Forces, frame_of
from lmp_uq.frames.streaming import stream_frames
from lmp_uq.recipes.convert import convert

LJ = "ase:ase.calculators.lj:LennardJones(epsilon=0.02, sigma=2.0, rc=5.5)"
"""lj/cut of `ensemble_cases`; ASE shifts its energy, not its forces."""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A second model, of other random weights."""
    folder = tmp_path_factory.mktemp("other")
    torch.save(density_model(seed=5), folder / "other.model")
    convert(str(folder / "other.model"), folder / "other.uq")
    return folder / "other.uq"


@pytest.mark.parametrize("tilt", [False, True])
def test_python_says_what_lammps_says(lammps, models, other, tmp_path, monkeypatch, tilt):
    monkeypatch.chdir(tmp_path)
    atoms = crystal((2, 2, 1), rattle=0.1, tilt=tilt)
    weights = {str(models.full): 5.0, str(other): 2.0, LJ: 3.0}
    ase.io.write("a.traj", atoms)  # all digits
    (tmp_path / "w.json").write_text(json.dumps(weights))
    files = ["--weights", "w.json", "--out", "out.xyz", "--json", "f.json", "--cache", "c"]
    assert main(["ensemble", "a.traj", "--models", *weights, *files]) == 0
    (frame,) = json.loads((tmp_path / "f.json").read_text())["frames"]
    pair = overlay("mace/uq:1", "mace/uq:2", "lj/cut", off=("mace/uq:2", "lj/cut")).replace("mace/uq 2 {model}", f"mace/uq 2 {other}")
    lines = (
        "compute e all uq/ensemble V U 5 mace/uq:1 2 mace/uq:2 3 lj/cut", "thermo_style custom step pe c_e c_e[*]",
        "thermo_modify format float %.17g", "dump d all custom 1 atoms.dump id c_e[*]", "dump_modify d sort id format float %.17g", "run 0",
    )  # fmt: skip
    result = lammps.run(atoms, *lines, pair=pair)
    thermo, columns = result.thermo[0], read_dump(result.folder / "atoms.dump")[0]
    assert frame["U"] > 0.1
    assert_equal("U", thermo["c_e"][0], frame["U"], relative=1e-10)
    assert_equal("d", [thermo[f"c_e[{k}]"][0] for k in (3, 4, 5)], frame["d"], relative=1e-10)
    (written,) = ase.io.read("out.xyz", ":")
    members = load_members(list(weights), {}, {})
    _, (forces,) = Forces(members, "c").of([frame_of(next(iter(stream_frames("a.traj"))), "")])
    numbers = np.array(list(weights.values()))
    for k, (name, mine) in enumerate({"V": from_driver(forces, numbers), "U_atom": of_atoms(forces, numbers)}.items()):
        assert_equal(name, columns[:, 1 + k], mine, relative=1e-10)
        assert_equal(f"{name}, written with eight digits", written.arrays[f"ensemble_{name}"], mine, absolute=1e-8)
