# SPDX-License-Identifier: GPL-2.0-or-later
"""Two universal models whose weights lie in their wheels, beside the embedded one: with an e3nn that mace-torch refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from lammps_processes import BIN

from lmp_uq.ensembles.disagreement import about_mean, from_driver, of_frame

PACKAGES = ("chgnet==0.4.2", "sevenn==0.13.0")
SEVENNET = "ase:sevenn.calculator:SevenNetCalculator('7net-0', device='cpu')"
CHGNET = "ase:chgnet.model.dynamics:CHGNetCalculator(use_device='cpu')"
ALONE = """
import ase.io, numpy as np
from chgnet.model.dynamics import CHGNetCalculator
from sevenn.calculator import SevenNetCalculator
from lmp_uq.calculator import UqCalculator
frames = ase.io.read("a.xyz", ":")
forces = {}
for k, made in enumerate((UqCalculator("nbmotaw"), SevenNetCalculator("7net-0", device="cpu"), CHGNetCalculator(use_device="cpu"))):
    for n, atoms in enumerate(frames):
        atoms.calc = made
        forces[f"{n} {k}"] = atoms.get_forces()
np.savez("alone.npz", **forces)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Python of an environment with both packages and all that this one has."""
    folder = tmp_path_factory.mktemp("universal")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    program = folder / "bin" / "python"
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([program, "-c", script], check=True, text=True, capture_output=True).stdout.strip()
    with open(f"{site}/project.pth", "w") as file:
        file.write(sysconfig.get_path("purelib") + "\n")
    ended = subprocess.run([program, "-m", "pip", "install", "-q", *PACKAGES], text=True, capture_output=True)
    if ended.returncode:
        pytest.skip(f"pip install {' '.join(PACKAGES)}: {ended.stderr[-300:]}")
    return program


@pytest.mark.long
def test_universal_models_beside_the_embedded_one(python, tmp_path):
    frames = []
    for seed in range(4):
        atoms = bulk("W", "bcc", a=3.18, cubic=True)
        atoms.symbols[1] = "Ta" if seed % 2 else "W"
        atoms.rattle(0.1, seed=seed)
        frames.append(atoms)
    ase.io.write(tmp_path / "a.xyz", frames)
    words = ["ensemble", "a.xyz", "--models", "nbmotaw", SEVENNET, CHGNET, "--weights", "equal", "--out", "out.xyz", "--json", "found.json"]
    for options in ([], ["--ranks", "2"]):
        path = f"{BIN}:{os.environ['PATH']}"  # where mpiexec is
        subprocess.run([python, "-m", "lmp_uq.cli", *words, *options], cwd=tmp_path, check=True, env=os.environ | {"PATH": path})
        found = json.loads((tmp_path / "found.json").read_text())
        if not options:
            first = found["frames"]
    for one, other in zip(first, found["frames"], strict=True):
        np.testing.assert_allclose(other["d"], one["d"], rtol=1e-4)  # float32
    subprocess.run([python, "-c", ALONE], cwd=tmp_path, check=True)
    alone = np.load(tmp_path / "alone.npz")
    for n, (atoms, entry) in enumerate(zip(ase.io.read(tmp_path / "out.xyz", ":"), found["frames"], strict=True)):
        forces = np.array([alone[f"{n} {k}"] for k in range(3)])
        np.testing.assert_allclose(entry["d"], about_mean(forces), rtol=1e-4)
        np.testing.assert_allclose(entry["U"], of_frame(about_mean(forces), np.ones(3)), rtol=1e-4)
        np.testing.assert_allclose(atoms.arrays["ensemble_V"], from_driver(forces, np.ones(3)), atol=1e-4)
        assert 0.05 < entry["U"] < 2.0
