# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model: complete, small, documented, and smooth enough for constant-energy dynamics."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmp_uq import modelfile
from lmp_uq.engine import FIELDS, Engine

BIN = Path(sys.executable).parent
NAMES = modelfile.embedded_models()


def test_there_is_one():
    assert "nbmotaw" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_complete_small_and_with_a_card(name):
    path = modelfile.resolve(name)
    assert path.stat().st_size < 3_000_000
    card = path.with_suffix(".md").read_text()
    for word in ("Data", "Licence", "Coverage", "lmp-uq fit"):
        assert word in card
    file = modelfile.read(path)
    assert file.sha256[:12] in card, "the card describes another file"
    engine = Engine.load(name, file.header["elements"])
    assert all(engine.offers(field) for field in FIELDS)
    assert engine.n_members == 512 and engine.warning == ""


def test_roles_are_apart():
    file = modelfile.read(modelfile.resolve("nbmotaw"))
    roles = {role: set(keys.tolist()) for role, keys in file.section("roles").items()}
    assert not roles["calibration"] & (roles["posterior"] | roles["backbone_training"])
    assert roles["backbone_training"] <= roles["posterior"]


DRIFT = """
units metal
atom_style atomic
lattice bcc 3.24
region box block 0 3 0 3 0 3
create_box 2 box
create_atoms 1 box
set type 1 type/ratio 2 0.5 20261
mass 1 180.948
mass 2 183.84
pair_style mace/uq precision float64
pair_coeff * * nbmotaw Ta W
velocity all create 600.0 4928459 loop geom
fix move all nve
timestep 0.002
thermo 50
thermo_style custom step etotal temp
thermo_modify format float %20.12g
run 100
"""


def test_total_energy_is_conserved(tmp_path):
    (tmp_path / "in.drift").write_text(DRIFT)
    done = subprocess.run([str(BIN / "lmp-uq"), "run", "-in", "in.drift"], cwd=tmp_path, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    energies = [float(e) for e in re.findall(r"^\s+(?:0|50|100)\s+(-\d+\.\d+)\s+\d", done.stdout, re.MULTILINE)]
    assert len(energies) == 3
    assert abs(energies[-1] - energies[0]) / 54 < 1e-4, "eV/atom over 0.2 ps"
