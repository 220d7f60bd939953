# SPDX-License-Identifier: GPL-2.0-or-later
"""The architecture of MACE-MPA-0 medium, with random weights, through the whole line: convert, run on 1, 2 and 4 ranks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
SCRIPT = """
units metal
atom_style atomic
lattice diamond 5.43
region box block 0 2 0 1 0 1
create_box 2 box
create_atoms 1 box
region corner sphere 0 0 0 0.5 units box
set region corner type 2
mass 1 28.085
mass 2 15.999
displace_atoms all random 0.1 0.1 0.1 777 units box
pair_style mace/uq precision float64
pair_coeff * * mpa0.uq Si O
fix move all nve
thermo 1
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
thermo_modify format float %22.15g
run 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import torch
    from tiny_models import MPA0_PARAMETERS, random_mpa0

    from lmp_uq import modelfile
    from lmp_uq.recipes.convert import convert

    path = tmp_path_factory.mktemp("mpa0")
    torch.save(random_mpa0(), path / "mpa0.model")
    convert(str(path / "mpa0.model"), path / "mpa0.uq")
    header = modelfile.read(path / "mpa0.uq").header
    assert header.backbone.n_parameters == MPA0_PARAMETERS == 9_063_204
    assert header.backbone.n_features == 256 and len(header.elements) == 89
    (path / "in.mpa0").write_text(SCRIPT)
    return path


def thermo(folder, n_ranks):
    command = [BIN / "mpiexec", "-n", str(n_ranks), BIN / "lmp-uq", "run", "-in", "in.mpa0", "-log", f"log.{n_ranks}"]
    done = subprocess.run([str(c) for c in command], cwd=folder, text=True, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^\s+([012])\s+(-?[\d.]+.*)$", (folder / f"log.{n_ranks}").read_text(), re.MULTILINE)
    return [float(x) for _, row in rows for x in row.split()]


@pytest.mark.long
def test_ranks_agree(folder):
    one = thermo(folder, 1)
    assert len(one) == 3 * 7
    scale = max(abs(x) for x in one)
    for n_ranks in (2, 4):
        other = thermo(folder, n_ranks)
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) < 1e-10 * scale
