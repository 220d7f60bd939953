# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq select as a command: ranks, files, dumps, what is printed and refused."""

from __future__ import annotations

import json
import os
import warnings

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from lammps_cases import crystal
from lammps_processes import BIN, execute

from lmp_uq import Model, modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.cli import main
from lmp_uq.report.selection import describe_selection, draw_selection
from lmp_uq.report.text import WIDTH
from lmp_uq.selection.choice import Source, select_frames


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


@pytest.fixture
def large(files):
    """Files with more atoms than a batch holds, so that every rank has frames; one frame is in both, one group in the last batch alone."""
    frames = [crystal((2, 2, 2), rattle=rattle, seed=750 + k) for k, rattle in enumerate(np.linspace(0.05, 0.3, 14))]
    for k, atoms in enumerate(frames):
        atoms.info["kind"] = "last" if k > 11 else "first"
    ase.io.write(files / "a.xyz", frames[:7])
    ase.io.write(files / "b.xyz", [*frames[7:], frames[0]])
    ase.io.write(files / "seen.xyz", [frames[5], *(crystal((2, 2, 2), rattle=0.2, seed=770 + k) for k in range(8))])
    return files


@pytest.mark.parametrize("by", ["logdet", "farthest"])
def test_ranks_that_all_have_frames_choose_the_same(large, models, by):
    """With seen frames, copies in the batches of other ranks, and a quota of a group that one rank alone has."""
    more = ["--by", by, "--seen", "seen.xyz", "--group-key", "kind", "--group-quota", "last=1"]
    assert main(words(models, *more, "--json", "one.json")) == 0
    first = json.loads((large / "one.json").read_text())
    assert first["n_duplicates"] == 1 and first["n_labelled"] == 1 and [one["group"] for one in first["chosen"]].count("last") <= 1
    assert main(words(models, "--by", by, "--json", "free.json")) == 0
    assert json.loads((large / "free.json").read_text())["chosen"] != first["chosen"]
    ended = execute(BIN / "lmp-uq", *words(models, *more, "--json", "three.json"), ranks=3, folder=large)
    assert ended.code == 0, ended.text
    other = json.loads((large / "three.json").read_text())
    assert [one["source"] for one in other["chosen"]] == [one["source"] for one in first["chosen"]]
    same = ("n_frames", "n_duplicates", "n_labelled", "n_candidates", "n_worth")
    assert {name: other[name] for name in same} == {name: first[name] for name in same}
    for name in ("gain", "score", "grade"):
        values = [[one[name] for one in found["chosen"]] for found in (first, other)]
        np.testing.assert_allclose(values[0], values[1], rtol=1e-9)


def test_options_reach_the_choice(files, models, capsys):
    """Each one changes what is found, or is refused there with its value."""
    found = {}
    for name, more in {"plain": [], "seed": ["--seed", "4"], "quota": ["--group-quota", "default=2"], "max": ["--max-grade", "0.9"],
                       "up to": ["--up-to", "--max-grade", "1e-9"]}.items():  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the quota
            assert main(words(models, "--by", "random", *more, "--json", "x.json")) == 0, name
        found[name] = json.loads((files / "x.json").read_text())
    assert found["seed"]["chosen"] != found["plain"]["chosen"] and len(found["quota"]["chosen"]) == 2
    assert found["max"]["n_outside"] > 0 and max(one["grade"] for one in found["max"]["chosen"]) <= 0.9
    assert found["up to"]["chosen"] == [] and (files / "todo.xyz").read_bytes() == b""
    assert "0 of 0 candidates by random; 14 frames in the pool, of these 14 outside the window" in capsys.readouterr().out
    assert main(words(models, "--group-key", "kind", "--group-quota", "x=1")) == 1
    assert "--group-quota x: there is no such group in the pool; accepted: default" in capsys.readouterr().err


def test_seen_frames_alone_are_known_by_the_descriptors_of_the_embedded_model(files):
    """Not its grade, and not the frames that shaped it."""
    metals = [bulk("W", cubic=True) * (2, 2, 2) for _ in range(12)]
    for k, atoms in enumerate(metals):
        atoms.rattle(0.02 + 0.02 * k, seed=k)
    ase.io.write(files / "pool.xyz", metals[6:])
    ase.io.write(files / "seen.xyz", metals[:6])
    assert main(["select", "pool.xyz", "--seen", "seen.xyz", "--count", "2", "--out", "todo.xyz", "--json", "x.json"]) == 0
    file = modelfile.read(modelfile.resolve("nbmotaw"))
    source = Source.of(file, backbone_of_file(file), "x", like=False)
    expected = select_frames(source, files / "pool.xyz", files / "seen.xyz", False, {"count": 2})
    found = json.loads((files / "x.json").read_text())
    assert [one["source"] for one in found["chosen"]] == [one["source"] for one in expected.found["chosen"]]
    np.testing.assert_allclose([one["grade"] for one in found["chosen"]], [one["grade"] for one in expected.found["chosen"]])


def test_precision_is_that_of_the_option(files, models):
    gains = []
    for precision in ("float32", "float64"):
        assert main(words(models, "--precision", precision, "--json", "x.json")) == 0
        gains.append([one["gain"] for one in json.loads((files / "x.json").read_text())["chosen"]])
    assert gains[0] != gains[1] and np.allclose(gains[0], gains[1], rtol=1e-3)


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
