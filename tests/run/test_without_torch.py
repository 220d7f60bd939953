# SPDX-License-Identifier: GPL-2.0-or-later
"""Without torch and mace-torch: runs, the ASE calculator, fits on *.uq and validation work; what needs them says so in one sentence."""

from __future__ import annotations

import subprocess
import sys

import ase.io
import numpy as np
import pytest
from conftest import labelled_frames
from lammps_cases import crystal
from lammps_processes import execute

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "mace", "e3nn"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""
SENTENCE = "needs torch and mace-torch, and torch is not installed; accepted:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, mace_reference):
    """Labelled frames, and what hides the packages from every Python that is started there."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(ABSENT)
    ase.io.write(folder / "train.xyz", labelled_frames(mace_reference, "train", np.linspace(0.02, 0.15, 20), 1))
    ase.io.write(folder / "cold.xyz", labelled_frames(mace_reference, "cold", np.full(6, 0.06), 2))
    ase.io.write(folder / "hot.xyz", labelled_frames(mace_reference, "hot", np.full(9, 0.2), 3))
    return folder


def run(folder, *words):
    return execute(*words, folder=folder, PYTHONPATH=str(folder))


def test_it_is_hidden(folder):
    assert "No module named 'torch'" in run(folder, "python", "-c", "import torch").text


def test_fit_and_validate(folder, models):
    data = ("--data", "train.xyz", "--calibration", "cold.xyz", "hot.xyz")
    fit = run(folder, "lmp-uq", "fit", "--backbone", models.bare, *data, "--out", "x.uq")
    assert fit.code == 0, fit.text
    done = run(folder, "lmp-uq", "validate", "x.uq", "--data", "hot.xyz", "--in-sample", "--json", "x.json")
    assert done.code == 0 and (folder / "x.json").exists(), done.text


def test_calculator_and_run(folder, models, lammps):
    code = f"import ase.io; from lmp_uq import Model; print('GRADE', Model.load('{models.full}').predict('hot.xyz').grade[0].max())"
    assert "GRADE" in run(folder, "python", "-c", code).text
    script = lammps.write(folder, crystal(), "compute g all uq grade_max", "thermo_style custom step pe c_g", "run 0")
    (folder / "in.run").write_text(script)
    done = run(folder, "lmp-uq", "run", "-in", "in.run", "-log", "none")
    assert done.code == 0, done.text


def test_what_needs_them(folder, models, lammps):
    done = run(folder, "lmp-uq", "convert", models.mace, "--out", "y.uq")
    assert done.code == 1 and f"the conversion of {models.mace} {SENTENCE}" in done.text and "Traceback" not in done.text
    done = run(folder, "lmp-uq", "validate", models.full, "--data", "hot.xyz", "--in-sample", "--engine", "torch")
    assert done.code == 1 and f"engine torch {SENTENCE}" in done.text and "Traceback" not in done.text
    (folder / "in.torch").write_text(lammps.write(folder, crystal(), "run 0").replace("mace/uq", "mace/uq engine torch", 1))
    done = run(folder, "lmp-uq", "run", "-in", "in.torch", "-log", "none")
    assert done.code == 1 and f"ERROR: Pair style mace/uq: engine torch {SENTENCE}" in done.text and "Traceback" not in done.text


def test_the_import_is_light(tmp_path):
    code = (
        "import sys, time; began = time.perf_counter(); import lmp_uq; took = time.perf_counter() - began\n"
        "heavy = {'torch', 'mpi4py', 'numpy', 'scipy', 'ase', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert {'Model', 'fit', 'calibrate', 'validate'} <= set(dir(lmp_uq))\n"
        "assert not hasattr(lmp_uq, 'nothing_of_this_name')\n"
        "print(took)\n"
        "from lmp_uq import Model, fit, calibrate, validate\n"
        "heavy = {'torch', 'mpi4py.MPI'} & set(sys.modules); assert not heavy, heavy\n"
    )
    done = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path) for _ in range(2)]
    assert not done[0].returncode, done[0].stderr
    assert min(float(one.stdout) for one in done) < 0.2
