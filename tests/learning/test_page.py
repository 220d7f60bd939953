# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of the verb: its settings are accepted, its tables are complete; the example, shortened; what the verb prints."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import ase.io
import pytest
import yaml
from lammps_processes import BIN, execute
from loop_example import make_loop, write_loop

from lmp_uq.cli import main
from lmp_uq.learning.commands import RoundFiles, label_command, learn_command, run_command
from lmp_uq.learning.rounds import STEPS, misses, why_it_ends
from lmp_uq.learning.settings import SECTIONS, START, WORDS, read_settings
from lmp_uq.report.learning import describe_rounds, draw_rounds
from lmp_uq.report.text import WIDTH

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/learn.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples/active-learning"


def settings_of(folder, changes: str = ""):
    """The settings of the page, with sections of another block of it."""
    whole, *others = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    content = yaml.safe_load(whole)
    for name, section in (yaml.safe_load(changes) or {}).items():
        content[name] = content[name] | section
    for name in ("start.uq", "in.explore", "train.extxyz", "calibration.extxyz"):
        (folder / name).touch()
    (folder / "loop.yaml").write_text(yaml.safe_dump(content))
    return read_settings(str(folder / "loop.yaml")), others


def test_settings_of_the_page_are_accepted(tmp_path):
    found, others = settings_of(tmp_path)
    assert len(others) == 2 and [one.ranks for one in found.starts] == [1, 2]
    files = RoundFiles(Path("loop"), 2)
    command = run_command(found, found.starts[1], files, "m.uq", Path("loop/round-02/vacancy"))
    shaping = {*found.shaping("label"), *found.shaping("run")}
    assert "label.command" in shaping and not {"label.batch", "run.command"} & shaping
    assert " -var model m.uq " in command and " -var round 2 " in command
    assert command.startswith("mpiexec -n 2 ") and command.endswith("-var temperature 1500.0 -var vacancy yes")
    slurm, _ = settings_of(tmp_path, others[0])
    assert run_command(slurm, found.starts[1], files, "m.uq", Path("x")).startswith("srun -n 2 --exclusive ")
    batch, _ = settings_of(tmp_path, others[1])
    assert run_command(batch, found.starts[0], files, "m.uq", Path("x")).startswith("sbatch --wait -n 1 -J run-hot --wrap '")
    assert label_command(batch, files, Path("a b"), Path("c"), 1) == "sbatch --wait dft.slurm 'a b' c"
    assert " fit --backbone nbmotaw --data train.extxyz loop/round-02/data.extxyz " in learn_command(
        found, files, Path("cache"), shapes=True, calibrates=False
    )
    assert "--wrap 'srun ''" in learn_command(batch, files, Path("cache"), shapes=True, calibrates=True)


def test_quoted_commands_are_one_word(tmp_path):
    """A shell that is given `quoted` runs what `command` is, blanks and quotes of the user included."""
    found, _ = settings_of(tmp_path, "label: {ase: \"oracle:made('a b', epsilon=1.0)\", command: 'sh -c {quoted}'}")
    ended = execute("/bin/sh", "-c", label_command(found, RoundFiles(Path("loop"), 1), Path("f"), Path("o"), 1), folder=tmp_path)
    assert ended.code == 1 and "calculator oracle:made('a b', epsilon=1.0): makes no calculator: ModuleNotFoundError" in ended.text


def test_every_key_and_every_word_is_on_the_page():
    for section, keys in SECTIONS.items():
        for key, option in keys.items():
            row = next((line for line in PAGE.splitlines() if line.startswith("| `") and f"`{section}.{key}`" in line.split("|")[1]), None)
            row = row or next(line for line in PAGE.splitlines() if line.startswith(f"| `{section}.") and f"`{key}`" in line)
            default = row.split("|")[2].strip().strip("`")
            if option.default is None:
                assert default == "required", key
            elif option.default not in ("", [], -1.0):
                assert default == str(option.default).lower() or default == str(option.default) or float(default) == option.default, key
    assert all(f"`starts: {key}`" in PAGE for key in (*START, "variables"))
    assert all(f"`{{{word}}}`" in PAGE for words in WORDS.values() for word in words)


def test_the_example_shortened(tmp_path):
    """Real runs, real labels, one round: what is in the page, with fewer steps."""
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLE, folder)
    assert execute("python", "make_start.py", folder=folder).code == 0
    for name, n in (("train", 24), ("calibration", 12)):
        ase.io.write(folder / f"{name}.extxyz", ase.io.read(folder / f"{name}.extxyz", f":{n}"))
    words = ["--backbone", "nbmotaw", "--data", "train.extxyz", "--calibration", "calibration.extxyz", "--out", "start.uq", "--fit-offsets"]
    ended = execute(BIN / "lmp-uq", "fit", *words, folder=folder)
    assert ended.code == 0, ended.text
    content = yaml.safe_load((folder / "loop.yaml").read_text())
    content["stop"], content["select"] = {"rounds": 1}, {"count": 2}
    content["starts"] = [one | {"variables": one["variables"] | {"steps": 30}} for one in content["starts"][1:]]
    (folder / "loop.yaml").write_text(yaml.safe_dump(content))
    ended = execute(BIN / "lmp-uq", "learn", "loop.yaml", folder=folder)
    assert ended.code == 0 and "ended: 1 rounds are done" in ended.text, ended.text
    (found,) = json.loads((folder / "loop/learn.json").read_text())["rounds"]
    assert found["n_frames"] == 4 and found["n_labelled"] == 2 and 0.0 <= found["miss_rate"] <= 1.0 and found["bar"] == "force_error"
    assert (folder / "loop/learn.png").read_bytes().startswith(b"\x89PNG") and (folder / "loop/round-01/model.uq").exists()
    labelled = ase.io.read(folder / "loop/round-01/labelled.extxyz", ":")
    assert {atoms.info["config_type"] for atoms in labelled} <= {"vacancy", "stretched"}


def test_dry_run_and_status_do_nothing(models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_loop(tmp_path, models.full, rounds=0)
    assert main(["learn", "loop.yaml", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"round 1, {what}" for what in ("run warm", "run hot", *STEPS[1:])]
    assert "--up-to --out loop/round-01/selected.extxyz" in lines[2] and "--seen" not in lines[2]
    assert main(["learn", "loop.yaml", "--status", "--json", "s.json"]) == 0
    assert capsys.readouterr().out == "loop: no round has been begun\n" and json.loads(Path("s.json").read_text())["rounds"] == []
    assert not (tmp_path / "loop").exists()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert main(["learn", "../loop.yaml", "--out", "here", "--dry-run"]) == 0
    assert "--out other/here/round-01/selected.extxyz" in capsys.readouterr().out, "as it is seen from where commands run"
    assert main(["learn", "no.yaml", "--status"]) == 1 and "no.yaml: no such file" in capsys.readouterr().err


ROUND = {"round": 2, "model": "a.uq", "runs": {}, "n_frames": 40, "n_above": 10, "share_above": 0.25, "n_chosen": 4, "n_labelled": 4,
         "miss_rate": 0.125, "level": 0.9, "bar": "force_error", "force_rmse": 0.31, "energy_rmse": 0.002}  # fmt: skip


def test_what_is_printed_and_drawn():
    empty = dict.fromkeys(ROUND) | {"round": 3, "model": "b.uq", "runs": {}, "n_frames": 40, "n_above": 0, "share_above": 0.0}
    report = {"folder": "loop", "rounds": [ROUND, empty], "ended": None, "model": "b.uq", "stop": {"above_grade_1": 0.1, "miss_rate": -1.0}}
    text = describe_rounds(report)
    assert all(len(line) <= WIDTH for line in text.splitlines()) and "bars: force_error" in text and "not ended" in text
    row = next(line.split() for line in text.splitlines() if line.startswith("2 "))
    assert row == ["2", "40", "10", "0.25", "4", "4", "0.125", "0.9", "0.310", "0.0020"]
    assert "ended: why" in describe_rounds(report | {"ended": "why"})
    (panel,) = draw_rounds(report).axes
    share, end, missed, meant = panel.lines
    assert list(share.get_ydata()) == [0.25, 0.0] and list(missed.get_ydata()) == [0.125] and list(missed.get_xdata()) == [2]
    assert end.get_ydata()[0] == 0.1 and meant.get_ydata()[0] == pytest.approx(0.1)


def test_misses_of_files_with_and_without_force_error():
    forces = {"rmse": 0.2, "envelope_violation": 0.03, "n_members": 64}
    found = misses({"n_frames": 3, "forces": forces, "force_error": {"coverage": 0.75}, "energy_per_atom": {"rmse": 0.1}})
    assert found == {"n_frames": 3, "miss_rate": 0.25, "level": 0.9, "bar": "force_error", "force_rmse": 0.2, "energy_rmse": 0.1}
    found = misses({"n_frames": 3, "forces": forces})
    assert (found["miss_rate"], found["level"], found["bar"], found["energy_rmse"]) == (0.03, None, "bounds of 64 members", None)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"run": {"a": (10, 2)}}, "0.2 of the frames are above grade 1, bound 0.2"),
        ({"run": {"a": (10, 3)}}, None),
        ({"run": {}}, None),
        ({"run": {"a": (10, 3)}, "select": 0}, "no frame of the runs is worth a label"),
        ({"run": {"a": (10, 3)}, "select": 4, "miss": 0.1}, "the miss rate is 0.1, bound 0.1"),
        ({"run": {"a": (10, 3)}, "select": 4, "miss": 0.11}, None),
        ({"run": {"a": (10, 3)}, "select": 4, "miss": None}, None),
        ({"run": {"a": (10, 3)}, "select": 4, "miss": 0.11, "round": 5}, "5 rounds are done"),
    ],
)
def test_why_a_loop_ends(models, tmp_path, found, reason):
    make_loop(tmp_path, models.full, rounds=0)
    changes = {"starts": [{"name": "a", "input": "in.run"}], "stop": {"rounds": 5, "above_grade_1": 0.2, "miss_rate": 0.1}}
    settings = read_settings(str(write_loop(tmp_path, models.full, changes)))
    entry = {"round": found.get("round", 1), "run": {name: {"n_frames": n, "n_above": k} for name, (n, k) in found["run"].items()}}
    entry |= {"select": {"n_chosen": found["select"]}} if "select" in found else {}
    entry |= {"validate": {"miss_rate": found["miss"]}, "learn": {}} if "miss" in found else {}
    assert why_it_ends(entry, settings) == reason
