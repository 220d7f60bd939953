# SPDX-License-Identifier: GPL-2.0-or-later
"""A small loop: the verbs and labels are real, its runs are copies of frames that were made before, which takes no time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import yaml
from lammps_cases import crystal

from lmp_uq import Model

FIT = "--fit-offsets --members 32 --force-rows 24"
ORACLE = '''
"""What labels here: a pair potential that counts how often it is asked."""
import numpy as np
from ase.calculators.morse import MorsePotential


class Counting(MorsePotential):
    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        with open("asked", "a") as file:
            print(repr(float(atoms.positions.sum())), file=file)
        super().calculate(atoms, properties, system_changes)


def made(epsilon):
    return Counting(epsilon=epsilon, r0=2.3, rho0=4.0, rcut1=2.8, rcut2=3.4)


def spoilt(epsilon):
    found = made(epsilon)
    plain = found.calculate

    def calculate(*arguments, **keywords):
        plain(*arguments, **keywords)
        found.results["forces"][0] = np.nan

    found.calculate = calculate
    return found
'''


def make_loop(folder: Path, model: Path, *, rounds: int = 2) -> Path:
    """Files of a loop of two starts, with `rounds` sets of frames each; returns its settings."""
    known = Model.load(model, engine="native")
    (folder / "oracle.py").write_text(ORACLE)
    (folder / "in.run").write_text("# the runs of this loop are copies\n")
    for k in range(1, rounds + 1):
        for seed, name in enumerate(("warm", "hot")):
            frames = [crystal(rattle=0.15 + 0.1 * seed, seed=900 + 100 * k + 10 * seed + n) for n in range(4)]
            for atoms, grade in zip(frames, known.predict(frames, progress=False).grade, strict=True):
                atoms.arrays["grade"] = np.asarray(grade)
            ase.io.write(folder / f"{name}-{k}.extxyz", frames)
    return write_loop(folder, model)


def write_loop(folder: Path, model: Path, changes: Mapping[str, Any] | None = None, name: str = "loop.yaml") -> Path:
    """Settings with some keys, as ``select.count``, of other values; None: without the key."""
    data, known = (str(model.parent / name) for name in ("train.xyz", "hot.xyz"))
    content: dict[str, Any] = {
        "model": str(model),
        "starts": [{"name": "warm", "input": "in.run"}, {"name": "hot", "input": "in.run", "variables": {"seed": [1, 2]}}],
        "run": {"command": "for s in warm hot; do case {folder} in *$s*) cp $s-{round}.extxyz {frames};; esac; done"},
        "select": {"count": 3},
        "label": {"ase": "oracle:made(epsilon=0.05)"},
        "learn": {"data": [data], "calibration": [known], "calibration_share": 0.34, "options": FIT},
        "validate": {"options": "--fit-offsets"},
        "stop": {"rounds": 2},
    }
    for key, value in (changes or {}).items():
        *sections, last = key.split(".")
        target = content
        for section in sections:
            target = target.setdefault(section, {})
        if value is None:
            target.pop(last, None)
        else:
            target[last] = value
    path = folder / name
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def asked(folder: Path) -> list[str]:
    """The frames that the oracle was asked about."""
    path = folder / "asked"
    return path.read_text().split() if path.exists() else []


def results(folder: Path) -> dict[str, bytes]:
    """What a loop leaves that does not depend on when it ran: labels, choices, models, figures of merit."""
    names = ("*.extxyz", "*.uq", "validate.json", "select.json")
    return {str(path.relative_to(folder)): path.read_bytes() for name in names for path in folder.rglob(name)}


def state_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "state.json").read_text())
