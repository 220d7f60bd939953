# SPDX-License-Identifier: GPL-2.0-or-later
"""The example of a linear potential, shortened, and the split by groups that the page on linear potentials uses."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import ase.io
import pytest
from lammps_processes import execute
from linear_example import labelled

EXAMPLE = Path(__file__).parents[2] / "examples" / "linear"
VERBS = [["python", "make_data.py"], ["lmp-uq", "fit"], ["lmp-uq", "export"], ["lmp-uq", "run"]]


def test_the_commands_of_the_readme(tmp_path):
    check_run(run_example(EXAMPLE, ("w.snapparam", "in.run"), tmp_path))
    check_averages(tmp_path)


def test_the_example_of_other_descriptors(tmp_path):
    check_run(run_example(EXAMPLE.parent / "descriptors", ("w.compute", "w.pod", "in.run"), tmp_path))


def run_example(example, files, folder):
    """What the last command of an example's README prints, all of them done with these files of it."""
    for path in (*(example / name for name in files), EXAMPLE.parent / "fit" / "make_data.py"):
        shutil.copy(path, folder)
    commands = [shlex.split(line) for line in (example / "README.md").read_text().splitlines() if line.startswith("    ")]
    assert [c[:2] for c in commands] == VERBS
    for words in commands:
        short = ["-var", "steps", "20"] if words[1] == "run" else []
        ended = execute(*words, *short, folder=folder)
        assert ended.code == 0, ended.text
    return ended.text


def check_run(text):
    """Bars of the example, at the first and the last step."""
    rows = [line.split() for line in text.splitlines() if re.match(r"\s+(0|20)\s+\d", line)]
    assert len(rows) == 2
    for row in rows:
        energy, std, low, high, bar, grade, force = map(float, row[2:])
        assert std > 0 and low < energy < high and bar > 0 and grade > 0 and force > 0
        assert abs(energy) < 1e5


def check_averages(folder):
    """The example of averages, which begins with the files of this one."""
    averages = EXAMPLE.parent / "averages"
    commands = [shlex.split(line) for line in (averages / "README.md").read_text().splitlines() if line.startswith("    ")]
    assert [c[:2] for c in commands] == [["lmp-uq", "run"], ["lmp-uq", "reweight"]]
    for words in commands:
        words = [str(averages / "in.average") if word.endswith("in.average") else word for word in words]
        short = ["-var", "steps", "100"] if words[1] == "run" else []
        ended = execute(*words, *short, folder=folder)
        assert ended.code == 0, ended.text
    rows = [line.split() for line in (folder / "average.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(rows) == 50 and rows[1][:2] == ["c_thermo_pe", "0"] and rows[0][2] == "10"
    energy = next(line.split() for line in ended.text.splitlines() if line.startswith("energy "))
    assert "10 frames, 600 K" in ended.text
    # the printed figures of the verb, from the dump, are those of the fix
    assert float(energy[1]) == pytest.approx(float(rows[1][2]), rel=1e-6)
    assert float(energy[2]) == pytest.approx(float(rows[1][3]), rel=1e-2)


def test_groups_stay_together(tmp_path):
    frames = labelled("a", 30, 1) + labelled("b", 4, 2) + labelled("c", 3, 3)
    frames[5].info["REF_energy"] = 400.0
    ase.io.write(tmp_path / "all.extxyz", frames, format="extxyz")
    command = "all.extxyz --out x --calibration b --test c --below 50 --share 0.3"
    ended = execute("python", EXAMPLE / "groups.py", *command.split(), folder=tmp_path)
    assert ended.code == 0, ended.text
    parts = {name: ase.io.read(tmp_path / f"x-{name}.extxyz", ":") for name in ("train", "calibration", "test", "random")}
    groups = {name: {atoms.info["config_type"] for atoms in mine} for name, mine in parts.items()}
    assert groups["test"] == {"c"} and groups["train"] == groups["random"] == {"a"} and "b" in groups["calibration"]
    assert sum(map(len, parts.values())) == 36 and 0 < len(parts["random"]) < 20
    ase.io.write(tmp_path / "all.extxyz", [*frames[:30], *frames[:2]], format="extxyz")
    ended = execute("python", EXAMPLE / "groups.py", "all.extxyz", "--out", "y", "--once", folder=tmp_path)
    assert "been there: 2 frames" in ended.text and len(ase.io.read(tmp_path / "y-train.extxyz", ":")) == 30
