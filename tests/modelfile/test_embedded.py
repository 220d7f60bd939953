# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model: complete, small, documented, and smooth enough for constant-energy dynamics."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lmp_uq import modelfile
from lmp_uq.run.engine import FIELDS, RELIABILITY, Engine

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
    engine = Engine.load(name, file.header.elements)
    assert all(engine.offers(field) for field in FIELDS if field != RELIABILITY)    # no classifier is embedded
    assert engine.n_members == 512 and engine.warning == ""


def test_roles_are_apart():
    file = modelfile.read(modelfile.resolve("nbmotaw"))
    roles = {role: set(keys.tolist()) for role, keys in file.section("roles").items()}
    assert not roles["calibration"] & roles["backbone_training"]
    assert roles["backbone_training"] <= roles["posterior"]
    # validation frames of the backbone: they shaped posterior and grade too, and say what bars are worth in known structures
    assert len(roles["calibration"] & roles["posterior"]) <= len(roles["posterior"] - roles["backbone_training"]) == 164


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
pair_style mace/uq precision float64 engine ${engine}
pair_coeff * * nbmotaw Ta W
velocity all create 600.0 4928459 loop geom
fix move all nve
timestep 0.002
thermo 10
thermo_style custom step etotal temp
thermo_modify format float %20.12g
run ${steps}
"""


def energies_of(folder, engine, steps):
    """Total energy, eV, of 54 atoms every ten steps."""
    (folder / "in.drift").write_text(DRIFT)
    command = [str(BIN / "lmp-uq"), "run", "-in", "in.drift", "-var", "engine", engine, "-var", "steps", str(steps)]
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [float(e) for e in re.findall(r"^\s+\d+\s+(-\d+\.\d+)\s+\d", done.stdout, re.MULTILINE)]
    assert len(found) == steps // 10 + 1
    return np.array(found)


def test_total_energy_is_conserved(tmp_path):
    """Over 1 ps with the native engine; the torch engine goes the same way, to what the tables of the native one are worth."""
    native = energies_of(tmp_path, "native", 500)
    assert np.abs(native - native[0]).max() / 54 < 1e-4, "eV/atom"
    torch = energies_of(tmp_path, "torch", 30)
    assert np.abs(torch - native[:4]).max() < 1e-6, "eV"
    assert np.ptp(native[:4]) > 1e-5, "the integrator's own wiggle, which is larger than that bound"
