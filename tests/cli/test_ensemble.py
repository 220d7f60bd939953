# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq ensemble as a command: ranks, a job that was killed, files, what is printed and refused."""

from __future__ import annotations

import gzip
import json
import re
import signal
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from lammps_cases import crystal
from lammps_processes import BIN, execute

from lmp_uq.cli import main
from lmp_uq.ensembles import disagreement
from lmp_uq.report.text import WIDTH

TESTS = Path(__file__).resolve().parents[1]
MORSE = "ase:ase.calculators.morse:MorsePotential(epsilon={}, r0=2.3, rho0=4.0, rcut1=2.8, rcut2=3.4)"
GOOD, BAD = MORSE.format(0.5), MORSE.format(0.7)
SPRINGS = "ase:ensemble_factories:Springs"


def reference():
    from ase.calculators.morse import MorsePotential

    return MorsePotential(epsilon=0.52, r0=2.3, rho0=4.0, rcut1=2.8, rcut2=3.4)


def frames(n: int = 12, labelled: int = 9) -> list:
    """Crystals of two groups, the first of them with labels, in three batches; U grows along the list."""
    out = []
    for k, rattle in enumerate(np.linspace(0.03, 0.4, n)):
        atoms = crystal((2, 2, 1 + k % 2), rattle=rattle, seed=700 + k)
        atoms.info["config_type"] = "cold" if k < n // 2 else "hot"
        if k < labelled:
            atoms.calc = reference()
            atoms.info["REF_energy"] = atoms.get_potential_energy() + 0.5 * len(atoms)
            atoms.arrays["REF_forces"] = atoms.get_forces()
            atoms.calc = None
        out.append(atoms)
    return out


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two files of frames."""
    made = frames()
    ase.io.write(tmp_path / "a.xyz", made[:7])
    ase.io.write(tmp_path / "b.xyz", made[7:])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(*more: str, models=(GOOD, BAD, SPRINGS)) -> list[str]:
    return ["ensemble", "a.xyz", "b.xyz", "--models", *models, *more]


def command(*more: str, ranks: int = 0, **options):
    return execute(BIN / "lmp-uq", *words(*more, **options), ranks=ranks, folder=Path.cwd(), PYTHONPATH=str(TESTS), OMP_NUM_THREADS="1")


def read(name: str) -> list:
    return ase.io.read(name, ":")


def forces_of(atoms, names=(GOOD, BAD, SPRINGS)):
    from lmp_uq.ensembles.members import load_members
    from lmp_uq.ensembles.pool import Frame

    members = load_members(names, {}, {})
    return np.array([one.evaluate([Frame(atoms, np.nan, None, None, "", "", 0)])[1] for one in members])


def test_figures_are_those_of_the_formulas(folder):
    """Weights by the median error, U, V and the columns of the table by hand."""
    assert main(words("--out", "out.xyz", "--json", "found.json")) == 0
    found, out = json.loads(Path("found.json").read_text()), read("out.xyz")
    errors: list = [[], [], []]
    for atoms in read("a.xyz") + read("b.xyz")[:2]:
        away = np.linalg.norm(forces_of(atoms) - atoms.arrays["REF_forces"], axis=2)
        for mine, new in zip(errors, away, strict=True):
            mine.extend(new)
    medians = np.array([np.sort(one)[(len(one) - 1) // 2] for one in errors])
    weights = np.array([one["weight"] for one in found["models"]])
    np.testing.assert_allclose([one["median"] for one in found["models"]], medians, rtol=2.5e-3)
    np.testing.assert_allclose(weights, 1.0 / medians / np.sum(1.0 / medians), rtol=5e-3)
    assert found["labels_of"] == GOOD and len(out) == len(found["frames"]) == 12
    for one, atoms, entry in zip(read("a.xyz") + read("b.xyz"), out, found["frames"], strict=True):
        forces = forces_of(one)
        d = disagreement.about_mean(forces)
        np.testing.assert_allclose(entry["d"], d, rtol=1e-12)
        np.testing.assert_allclose([entry["U"], atoms.info["ensemble_U"]], np.sqrt(weights @ d**2), rtol=1e-7)
        np.testing.assert_allclose(atoms.arrays["ensemble_V"], disagreement.from_driver(forces, weights), atol=1e-7)
        np.testing.assert_allclose(atoms.arrays["ensemble_U_atom"], disagreement.of_atoms(forces, weights), atol=1e-7)
        if "REF_forces" in one.arrays:
            mean = np.linalg.norm(one.arrays["REF_forces"] - forces.mean(0), axis=1).max()
            assert entry["error"] == pytest.approx(mean, rel=1e-12)
            np.testing.assert_array_equal(atoms.arrays["REF_forces"], one.arrays["REF_forces"])
        else:
            assert entry["error"] is None
    assert found["groups"]["cold"]["n"] == 6 and found["groups"]["hot"]["n_labelled"] == 3


SPLIT = ("--out", "labelled.xyz", "--to-dft", "todo.xyz", "--filter", "1.2", "--weights", "rmse")


def test_one_rank_and_two_say_the_same(folder):
    assert main(words(*SPLIT, "--json", "one.json")) == 0
    one = [Path(name).read_bytes() for name in ("labelled.xyz", "todo.xyz")]
    ended = command(*SPLIT, "--json", "two.json", ranks=2)
    assert ended.code == 0 and ended.text.count("labelled.xyz: written") == 1, ended.text
    assert [Path(name).read_bytes() for name in ("labelled.xyz", "todo.xyz")] == one
    first, second = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert first.pop("command") != second.pop("command") and first == second
    assert not Path("labelled.xyz.cache").exists()


def test_labels_are_those_of_the_best_model_where_models_agree(folder, capsys):
    assert main(words(*SPLIT, "--energies", "--fit-offsets", "--figure", "f.png")) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= WIDTH for line in printed.splitlines())
    assert Path("f.png").read_bytes().startswith(b"\x89PNG")
    labelled, todo, source = read("labelled.xyz"), read("todo.xyz"), read("a.xyz") + read("b.xyz")
    assert labelled and todo and len(labelled) + len(todo) == len(source)
    assert f"{len(labelled)} frames take the labels of" in printed and f"{len(todo)} go to DFT" in " ".join(printed.split())
    assert max(one.info["ensemble_U"] for one in labelled) < 1.2 <= min(one.info["ensemble_U"] for one in todo)
    by_position = {one.positions.round(6).tobytes(): one for one in source}
    for atoms in labelled:
        assert atoms.info["ensemble_labels_of"] == GOOD
        mine = by_position[atoms.positions.round(6).tobytes()]
        np.testing.assert_allclose(atoms.arrays["REF_forces"], forces_of(mine)[0], atol=1e-7)
        assert set(atoms.info) == {"REF_energy", "config_type", "ensemble_U", "ensemble_labels_of"}
    pairs = [(one, by_position[one.positions.round(6).tobytes()]) for one in labelled]
    away = [(one.info["REF_energy"] - two.info["REF_energy"]) / len(one) for one, two in pairs if "REF_energy" in two.info]
    assert np.abs(away).max() < 0.2 and np.abs(np.mean(away)) < 0.1  # the zero of the labels is 0.5 eV/atom above the model's
    for atoms in todo:
        mine = by_position[atoms.positions.round(6).tobytes()]
        assert "ensemble_labels_of" not in atoms.info and ("REF_forces" in atoms.arrays) == ("REF_forces" in mine.arrays)


def test_models_have_names(folder, capsys):
    Path("w.json").write_text('{"good": 2, "bad": 1, "springs": 1}')
    names = (f"good={GOOD}", f"bad={BAD}", f"springs={SPRINGS}")
    options = ("--weights", "w.json", "--labels-of", "bad", "--out", "o.xyz", "--to-dft", "t.xyz", "--filter", "1.2")
    assert main(words(*options, models=names)) == 0
    assert {one.info["ensemble_labels_of"] for one in read("o.xyz")} == {"bad"}
    printed = capsys.readouterr().out
    assert re.search(r"^1 good +0.500 ", printed, re.MULTILINE) and "take the labels of bad" in printed


def test_the_table_says_what_each_threshold_costs(folder):
    """On the labelled frames; shares by atoms, errors by hand."""
    assert main(words("--weights", "rmse", "--json", "found.json")) == 0
    between = np.median([one["U"] for one in json.loads(Path("found.json").read_text())["frames"] if one["error"] is None])
    split = [f"{between:.3g}" if word == "1.2" else word for word in SPLIT]
    assert main(words(*split, "--json", "found.json", "--keep-labels")) == 0
    found = json.loads(Path("found.json").read_text())
    assert [row["threshold"] for row in found["filter"]] == [0.1, 0.25, 0.5, 1.0, 2.0, float(split[5])]
    source = [one for one in read("a.xyz") + read("b.xyz") if "REF_forces" in one.arrays]
    u = np.array([one["U"] for one in found["frames"] if one["error"] is not None])
    for row in found["filter"]:
        taken = [atoms for atoms, mine in zip(source, u, strict=True) if mine < row["threshold"]]
        away = [atoms.arrays["REF_forces"] - forces_of(atoms)[0] for atoms in taken]
        assert row["n_frames"] == len(taken)
        assert row["to_dft"] == pytest.approx(1.0 - sum(map(len, taken)) / sum(map(len, source)))
        if taken:
            assert row["rmse"] == pytest.approx(np.sqrt(np.mean(np.concatenate(away) ** 2)))
            assert row["worst_p95"] == pytest.approx(np.percentile([np.linalg.norm(one, axis=1).max() for one in away], 95))
    assert found["n_kept"] == 9 and found["n_replaced"] + found["n_to_dft"] == 3
    kept = [one for one in read("labelled.xyz") if "ensemble_labels_of" not in one.info]
    assert len(kept) == 9 and all("REF_forces" in one.arrays for one in kept)


def test_models_that_are_the_same_agree(folder, models):
    """U is zero if forces are the same: two files of one backbone, of which one has a posterior."""
    both = (str(models.bare), str(models.full))
    assert main(words("--out", "out.xyz", "--weights", "equal", models=both)) == 0
    assert max(one.info["ensemble_U"] for one in read("out.xyz")) < 1e-12
    assert main(words("--out", "out.xyz", "--weights", "equal", models=(*both, GOOD))) == 0
    assert min(one.info["ensemble_U"] for one in read("out.xyz")) > 1e-3


def test_dumps_and_packed_files(folder):
    assert main(words("--out", "out.xyz.gz", "--weights", "equal")) == 0
    packed = gzip.decompress(Path("out.xyz.gz").read_bytes())
    assert main(words("--out", "out.xyz", "--weights", "equal")) == 0
    assert packed == Path("out.xyz").read_bytes()


def test_labels_of_a_model_are_no_reference(folder, capsys):
    """What was distilled is not compared with; without other labels there are no weights by errors."""
    assert main(words(*SPLIT)) == 0
    line = ["ensemble", "labelled.xyz", "--models", GOOD, BAD]
    assert main(line) == 1 and "no atom with a labelled force" in capsys.readouterr().err
    assert main([*line, "--weights", "equal", "--to-dft", "t.xyz", "--out", "o.xyz", "--labels-of", BAD, "--filter", "0.3"]) == 0
    assert "nothing says whether U ranks errors" in capsys.readouterr().out
    assert all("REF_forces" not in one.arrays and "ensemble_labels_of" not in one.info for one in read("t.xyz"))


def test_symmetry_says_nothing_about_energies(folder, capsys):
    perfect = crystal(rattle=0.0)
    perfect.symbols[:] = "Si"
    ase.io.write("a.xyz", [perfect, *read("a.xyz")])
    options = ("--weights", "equal", "--labels-of", GOOD, "--to-dft", "todo.xyz", "--out", "labelled.xyz", "--filter", "1.2")
    assert main(words(*options, models=(GOOD, BAD))) == 0
    assert "1 frames have no force by symmetry: U says nothing about them" in " ".join(capsys.readouterr().out.split())
    n = len(read("labelled.xyz"))
    assert main(words(*options, "--energies", "--fit-offsets", models=(GOOD, BAD))) == 0
    assert len(read("labelled.xyz")) == n - 1 and read("todo.xyz")[0].info["ensemble_U"] < 1e-3


# ---- killed, and what is there then ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dies_at", [1, 7])
def test_a_job_that_was_killed_goes_on(folder, dies_at, monkeypatch):
    """Killed while forces are made: no file is there, what was computed is not computed again, and the result is that of one go."""
    spring = f"{SPRINGS}(folder='.', dies_at={dies_at})"
    ended = command(*SPLIT, models=(GOOD, BAD, spring))
    assert ended.code == -signal.SIGKILL and not Path("labelled.xyz").exists() and not Path("todo.xyz").exists()
    assert command(*SPLIT, models=(GOOD, BAD, spring)).code == 0
    assert len(Path("calls").read_text()) == {1: 13, 7: 14}[dies_at]  # two frames of the second batch, which has five, were lost
    resumed = [Path(name).read_text().replace(spring, SPRINGS) for name in ("labelled.xyz", "todo.xyz")]
    assert main(words(*SPLIT)) == 0
    assert resumed == [Path(name).read_text() for name in ("labelled.xyz", "todo.xyz")]


KILLER = """
import os, signal, sys
import ase.io
from lmp_uq.cli import main
module, name, last = {"frames": (ase.io, "write", 5), "names": (os, "replace", 2)}[sys.argv[1]]
done, seen = getattr(module, name), []
def dying(*arguments, **options):
    seen.append(name == "write" or str(arguments[1]).endswith("xyz"))
    if sum(seen) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    done(*arguments, **options)
setattr(module, name, dying)
main(sys.argv[2:])
"""


@pytest.mark.parametrize("stage", ["frames", "names"])
def test_killed_while_files_are_written(folder, stage):
    """Whenever it was, files are whole, those of before or those of now, and the same command makes both."""
    for name in ("labelled.xyz", "todo.xyz"):
        Path(name).write_text("older\n")
    ended = execute("python", "-c", KILLER, stage, *words(*SPLIT), folder=folder, PYTHONPATH=str(TESTS), OMP_NUM_THREADS="1")
    assert ended.code == -signal.SIGKILL
    assert Path("labelled.xyz").read_text() == "older\n"
    assert (Path("todo.xyz").read_text() == "older\n") == (stage == "frames")
    assert main(words(*SPLIT, "--json", "one.json")) == 0
    resumed = [Path(name).read_bytes() for name in ("labelled.xyz", "todo.xyz")]
    assert main(words(*SPLIT)) == 0 and resumed == [Path(name).read_bytes() for name in ("labelled.xyz", "todo.xyz")]


def test_damaged_files_of_forces_are_made_anew(folder):
    assert main(words("--out", "one.xyz", "--cache", "kept")) == 0
    for path in Path("kept").iterdir():
        path.write_bytes(path.read_bytes()[:-30])
    assert main(words("--out", "two.xyz", "--cache", "kept")) == 0
    assert Path("one.xyz").read_bytes() == Path("two.xyz").read_bytes()


# ---- bad input ------------------------------------------------------------------------------------------------------------------

SPLIT_WORDS = ["--out", "o.xyz", "--to-dft", "t.xyz"]
REFUSED = {
    "nan": ([], (GOOD, f"{SPRINGS}(nan=True)"), r"Springs\(nan=True\): a.xyz\[0\]: energy or forces are NaN or infinite"),
    "element": ([], (GOOD, f"{SPRINGS}(fails='O')"), r"a.xyz\[0\]: ValueError: no parameters for O"),
    "one model": ([], (GOOD,), "1 model; accepted: two or more"),
    "twice": ([], (GOOD, GOOD), "stands there twice"),
    "no folder": (["--out", "no/o.xyz"], (GOOD, BAD), "--out no/o.xyz: there is no folder"),
    "no folder for dft": (["--out", "o.xyz", "--to-dft", "no/t.xyz"], (GOOD, BAD), "--to-dft no/t.xyz: there is no folder"),
    "no folder for json": (["--json", "no/j"], (GOOD, BAD), "--json no/j: there is no folder"),
    "no folder for figure": (["--figure", "no/f"], (GOOD, BAD), "--figure no/f: there is no folder"),
    "same file": (["--out", "o.xyz", "--to-dft", "./o.xyz"], (GOOD, BAD), "--to-dft ./o.xyz: is where --out goes"),
    "input": (["--out", "./a.xyz"], (GOOD, BAD), "--out ./a.xyz: is a file of frames that is read"),
    "no out": (["--to-dft", "t.xyz"], (GOOD, BAD), "--to-dft t.xyz: needs --out"),
    "filter alone": (["--filter", "0.3"], (GOOD, BAD), "--filter says how frames are split; accepted: with --to-dft"),
    "energies alone": (["--energies"], (GOOD, BAD), "--energies says how frames are split"),
    "offsets alone": ([*SPLIT_WORDS, "--fit-offsets"], (GOOD, BAD), "--fit-offsets: no labels of energies are asked for"),
    "whose": ([*SPLIT_WORDS, "--labels-of", "x"], (GOOD, BAD), "--labels-of x: is no model of this; accepted: ase:"),
    "too low": ([*SPLIT_WORDS, "--filter", "1e-9"], (GOOD, BAD), "--filter 1e-09: no frame would get labels of a model: the smallest U"),
    "zero": ([*SPLIT_WORDS, "--energies", "--filter", "9"], (GOOD, BAD), "count energy from different zeros"),
    "no weights": (["--weights", "w.json"], (GOOD, BAD), "w.json: no such file"),
    "no file": (["c.xyz"], (GOOD, BAD), "c.xyz: no such file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_are_one_line(folder, what, capsys):
    options, names, reason = REFUSED[what]
    line = ["ensemble", "c.xyz", "--models", *names] if what == "no file" else words(*options, models=names)
    assert main(line) == 1
    said = capsys.readouterr().err
    assert re.search(reason if what in ("nan", "element") else re.escape(reason), said) and said.count("lmp-uq: error: ") == 1
    assert not any(Path(name).exists() for name in ("o.xyz", "t.xyz"))


def test_frames_without_labels_have_no_weights_by_errors(folder, capsys):
    ase.io.write("a.xyz", frames(labelled=0)[:3])
    ase.io.write("b.xyz", frames(labelled=0)[3:])
    assert main(words()) == 1
    said = "--weights median: no atom with a labelled force; accepted: frames with forces of a reference, --weights equal"
    assert said in capsys.readouterr().err
    assert main(words(*SPLIT_WORDS, "--weights", "equal")) == 1
    assert "no frame has labels to say which model is the best; accepted: --labels-of with one of" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["half a frame", "nan on one rank", "no factory"])
def test_an_error_ends_all_ranks(folder, broken):
    names = (GOOD, f"{SPRINGS}(nan=True)") if broken == "nan on one rank" else (GOOD, BAD)
    names = (GOOD, "ase:no_such_thing:make") if broken == "no factory" else names
    if broken == "half a frame":
        Path("b.xyz").write_text("".join(Path("b.xyz").read_text().splitlines(keepends=True)[:-1]))
    ended = command("--out", "o.xyz", ranks=2, models=names)
    reason = {"half a frame": "b.xyz, frame 4: cannot be read", "nan on one rank": "NaN or infinite", "no factory": "ModuleNotFoundError"}
    assert ended.code == 1 and reason[broken] in ended.text and not Path("o.xyz").exists()


def test_a_file_of_no_frame_that_goes_to_dft_is_not_left(folder):
    """An older one would be taken for this job's."""
    Path("todo.xyz").write_text("older\n")
    assert main(words("--out", "labelled.xyz", "--to-dft", "todo.xyz", "--filter", "1e6")) == 0
    assert not Path("todo.xyz").exists() and len(read("labelled.xyz")) == 12


def test_lammps_as_a_calculator_on_two_ranks(folder):
    """Each rank has a LAMMPS of its own: on all ranks together they would wait for one another's frames."""
    lines = ["pair_style lj/cut 5.5", "pair_coeff * * 0.02 2.0"]
    lj = f"ase:ase.calculators.lammpslib:LAMMPSlib(lmpcmds={lines}, atom_types={{'Si': 1, 'O': 2}}, log_file=None)"
    ase_lj = "ase:ase.calculators.lj:LennardJones(epsilon=0.02, sigma=2.0, rc=5.5)"
    ended = command("--weights", "equal", "--out", "o.xyz", ranks=2, models=(lj, ase_lj))
    assert ended.code == 0, ended.text
    assert max(one.info["ensemble_U"] for one in read("o.xyz")) < 1e-8 < np.abs(forces_of(read("a.xyz")[3], (lj, ase_lj))).max()


def test_standard_output_is_json_alone(folder, capfd):
    """Calculators may print."""
    assert main(words("--weights", "equal", "--json", "-", models=(GOOD, "ase:ensemble_factories:chatty"))) == 0
    said = capfd.readouterr()
    assert len(json.loads(said.out)["frames"]) == 12 and "made" in said.err and "asked" in said.err


def test_a_lone_atom_has_no_disagreement(folder, models):
    lone = ase.Atoms("Si", cell=[12.0] * 3, pbc=True)
    ase.io.write("a.xyz", [lone, *read("a.xyz")])
    assert main(words("--weights", "equal", "--out", "o.xyz", models=(str(models.bare), GOOD))) == 0
    assert read("o.xyz")[0].info["ensemble_U"] == 0.0


def test_dumps_of_types(folder):
    atoms = read("a.xyz")[2]
    lines = [(k + 1, ("Si", "O").index(one.symbol) + 1, *map(float, one.position)) for k, one in enumerate(atoms)]
    rows = "".join(" ".join(map(repr, line)) + "\n" for line in lines)
    box = "".join(f"0.0 {float(length)!r}\n" for length in atoms.cell.lengths())
    head = f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(atoms)}\nITEM: BOX BOUNDS pp pp pp\n{box}ITEM: ATOMS id type x y z\n"
    Path("b.xyz").write_text(head + rows)
    assert main(words("--out", "o.xyz", "--elements", "Si", "O")) == 0
    out = read("o.xyz")
    assert len(out) == 8 and out[7].info["ensemble_U"] == pytest.approx(out[2].info["ensemble_U"], rel=1e-6)


def test_results_of_a_calculator_are_labels(folder):
    """Names `energy` and `forces` of extxyz become results in ASE; they are the labels that REF_energy and REF_forces are."""
    assert main(words("--json", "one.json", "--out", "one.xyz")) == 0
    for name in ("a.xyz", "b.xyz"):
        Path(name).write_text(Path(name).read_text().replace("REF_", ""))
    assert main(words("--json", "two.json", "--out", "two.xyz")) == 0
    first, second = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert first["frames"] == second["frames"] and first["models"] == second["models"]
    np.testing.assert_array_equal(read("two.xyz")[0].get_forces(), read("one.xyz")[0].arrays["REF_forces"])
