# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq select as a command: ranks, files, dumps, what is printed and refused."""

from __future__ import annotations

import json
import os

import ase.io
import numpy as np
import pytest
from lammps_cases import crystal
from lammps_processes import BIN, execute

from lmp_uq import Model
from lmp_uq.cli import main
from lmp_uq.report.selection import describe_selection, draw_selection
from lmp_uq.report.text import WIDTH


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files of a pool."""
    frames = [crystal((1, 1, 1 + k % 2), rattle=rattle, seed=700 + k) for k, rattle in enumerate(np.linspace(0.03, 0.3, 14))]
    ase.io.write(tmp_path / "a.xyz", frames[:9])
    ase.io.write(tmp_path / "b.xyz", frames[9:])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(models, *more: str) -> list[str]:
    return ["select", "a.xyz", "b.xyz", "--like", str(models.full), "--count", "4", "--out", "todo.xyz", *more]


def test_one_rank_two_and_three_choose_the_same(files, models):
    assert main(words(models, "--json", "one.json")) == 0
    one = (files / "todo.xyz").read_bytes()
    assert not (files / "todo.xyz.cache").exists()
    for n, name in ((2, "two.json"), (3, "three.json")):
        ended = execute(BIN / "lmp-uq", *words(models, "--json", name), ranks=n, folder=files)
        assert ended.code == 0 and ended.text.count("4 of 14 candidates") == 1, ended.text
        assert (files / "todo.xyz").read_bytes() == one
        first, other = (json.loads((files / path).read_text()) for path in ("one.json", name))
        assert first.pop("command") != other.pop("command")
        assert first == other
    found = Model.load(models.full).select(["a.xyz", "b.xyz"], 4, progress=False)
    assert [one.info["select_source"] for one in found.frames] == [one.info["select_source"] for one in ase.io.read("todo.xyz", ":")]


def test_what_is_printed(files, models, capsys):
    assert main(words(models, "--cache", "kept", "--figure", "gains.png", "--min-grade", "0.01")) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= WIDTH for line in printed.splitlines())
    assert "4 of 14 candidates by logdet" in printed and "1 unit is a gain of" in printed and "todo.xyz: written" in printed
    assert (files / "gains.png").read_bytes().startswith(b"\x89PNG") and list((files / "kept").iterdir())


def test_when_to_stop_is_said():
    entry = {"number": 0, "source": "a.xyz[0]", "group": "g", "n_atoms": 8, "element": "W", "grade": 1.2, "score": 3.0}
    result = {"by": "logdet", "n_frames": 9, "n_candidates": 7, "n_duplicates": 2, "n_labelled": 0, "n_outside": 0, "unit_gain": 0.5}
    result |= {"chosen": [entry | {"gain": 3.0}, entry | {"gain": 0.2}], "n_worth": 1, "next_gain": 0.1}
    assert "1 of 2 gain a unit or more: the others are hardly worth a label" in describe_selection(result)
    assert "of these 2 duplicates" in describe_selection(result)
    result |= {"chosen": [entry | {"gain": 3.0}]}
    assert "the next frame would gain 0.2 units: label these and stop" in describe_selection(result)
    assert "so would the next (4)" in describe_selection(result | {"next_gain": 2.0})
    assert "no gains" in describe_selection(result | {"unit_gain": None, "chosen": [entry | {"gain": None}]})
    assert draw_selection(result).axes


def test_dumps_of_types(files, models):
    atoms = crystal(rattle=0.2, seed=3)
    lines = [(k + 1, ("Si", "O").index(one.symbol) + 1, *map(float, one.position)) for k, one in enumerate(atoms)]
    rows = "".join(" ".join(map(repr, line)) + "\n" for line in lines)
    box = "".join(f"0.0 {float(length)!r}\n" for length in atoms.cell.lengths())
    text = f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS pp pp pp\n{box}ITEM: ATOMS id type x y z\n{rows}"
    (files / "run.lammpstrj").write_text(text)
    command = ["select", "run.lammpstrj", "a.xyz", "--like", str(models.full), "--count", "10", "--out", "todo.xyz"]
    assert main([*command, "--elements", "Si", "O"]) == 0
    (mine,) = [one for one in ase.io.read("todo.xyz", ":") if one.info["select_source"] == "run.lammpstrj[0]"]
    assert mine.get_chemical_symbols() == atoms.get_chemical_symbols()
    np.testing.assert_allclose(mine.positions, atoms.positions, atol=1e-7)


REFUSED = {
    "nothing known": (["--out", "t.xyz"], "nothing says what is known; accepted: --like with a model file, --seen with frames, or both"),
    "elements": (["--seen", "a.xyz", "--out", "t.xyz"], "a.xyz[0]: elements O, Si found; accepted: Nb, Mo, Ta, W"),
    "no grade": (["--like", "BARE", "--out", "t.xyz"], "--by logdet: BARE holds no grade; accepted: a file that lmp-uq fit made, or --se"),
    "count": (["--like", "FULL", "--count", "15", "--out", "t.xyz"], "--count 15: of 14 frames 14 can be chosen"),
    "quota": (["--like", "FULL", "--quota", "W=3", "--out", "t.xyz"], "--quota W: there is no such element in the pool; accepted: O, Si"),
    "target": (["--like", "FULL", "--out", "no/t.xyz"], "--out no/t.xyz: there is no folder of that name to write into"),
    "figure": (["--like", "FULL", "--out", "t.xyz", "--figure", "no/f"], "--figure no/f: there is no folder of that name to write into"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_are_one_line_on_any_number_of_ranks(files, models, what, capsys):
    options, reason = REFUSED[what]
    names = {"FULL": str(models.full), "BARE": str(models.bare)}
    options = [names.get(word, word) for word in options]
    reason = reason.replace("BARE", names["BARE"])
    assert main(["select", "a.xyz", "b.xyz", "--count", "2", *options]) == 1
    assert f"lmp-uq: error: {reason}" in capsys.readouterr().err
    assert not os.path.exists("t.xyz")


def test_one_rank_that_finds_a_broken_frame_ends_all(files, models):
    text = (files / "b.xyz").read_text().splitlines(keepends=True)
    (files / "b.xyz").write_text("".join(text[:-1]))
    ended = execute(BIN / "lmp-uq", *words(models), ranks=2, folder=files)
    assert ended.code != 0 and "b.xyz, frame 4: cannot be read" in ended.text and not (files / "todo.xyz").exists()


@pytest.mark.parametrize("option", [["--quota", "Si"], ["--quota", "=3"], ["--quota", "Si=-1"], ["--min-grade", "-1"], ["--count", "0"]])
def test_words_that_mean_nothing(models, option, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words(models, *option))
    assert ended.value.code == 2 and option[0] in capsys.readouterr().err
