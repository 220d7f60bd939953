# SPDX-License-Identifier: GPL-2.0-or-later
"""Loops from beginning to end: killed after and before every step they come to the same as without, and buy no label twice."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import time

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.morse import MorsePotential
from lammps_cases import column_of
from lammps_processes import BIN, execute
from loop_example import asked, make_loop, results, state_of, write_loop

from lmp_uq import modelfile
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.learning.rounds import look_at
from lmp_uq.learning.state import State
from lmp_uq.recipes.learn import LearnOptions, learn, plan
from lmp_uq.run.calculator import declare_bars


@pytest.fixture(scope="module")
def finished(tmp_path_factory, models):
    """A loop of two rounds, and what was said after each."""
    folder = tmp_path_factory.mktemp("loop")
    path, said = make_loop(folder, models.full), []
    found = learn(LearnOptions(str(path)), said.append)
    return folder, found, said


def test_what_a_loop_finds(finished, models):
    folder, found, said = finished
    assert found == said[-1] and len(said) == 2 and said[0]["ended"] is None and found["ended"] == "2 rounds are done"
    first, second = found["rounds"]
    assert first["model"] == str(models.full) and second["model"] == "loop/round-01/model.uq" and found["model"] == "loop/round-02/model.uq"
    pools = {name: ase.io.read(folder / f"{name}-1.extxyz", ":") for name in ("warm", "hot")}
    above = {name: sum(column_of(atoms, "grade").max() > 1.0 for atoms in frames) for name, frames in pools.items()}
    assert {name: one["n_above"] for name, one in first["runs"].items()} == above
    assert first["n_frames"] == 8 and first["n_above"] == sum(above.values()) and first["n_chosen"] == first["n_labelled"] == 3
    judged = json.loads((folder / "loop/round-02/validate.json").read_text())
    assert judged["model"] == "loop/round-01/model.uq", "the model that ran, before it saw these labels"
    assert second["miss_rate"] == pytest.approx(1.0 - judged["force_error"]["coverage"]) and second["level"] == 0.9
    assert second["force_rmse"] == judged["forces"]["rmse"]


def test_labels_are_those_of_the_calculator_and_go_into_the_fit(finished):
    folder, _, _ = finished
    labelled = [ase.io.read(folder / f"loop/round-0{k}/labelled.extxyz", ":") for k in (1, 2)]
    assert sorted(asked(folder)) == sorted(repr(float(atoms.positions.sum())) for atoms in itertools.chain(*labelled)), "each once"
    for atoms in labelled[0]:
        bare = atoms.copy()
        bare.calc = MorsePotential(epsilon=0.05, r0=2.3, rho0=4.0, rcut1=2.8, rcut2=3.4)
        np.testing.assert_allclose(atoms.arrays["REF_forces"], bare.get_forces(), atol=1e-7)
        assert atoms.info["REF_energy"] == pytest.approx(bare.get_potential_energy(), abs=1e-9)
        assert atoms.info["config_type"] == atoms.info["learn_start"] in ("warm", "hot")
    parts = [ase.io.read(folder / f"loop/round-02/{name}.extxyz", ":") for name in ("data", "calibration")]
    assert [len(part) for part in parts] == [4, 2]
    fitted = json.loads((folder / "loop/round-02/learn.json").read_text())
    assert fitted["n_frames"] == 40 + 4


class Killed(BaseException):
    """Like SIGKILL: nothing of the loop runs after it but what Python does."""


def kill_at_saves(monkeypatch) -> list[bool]:
    """Every step is ended twice: before the state is written, as the step is done again then, and after it. One entry for each kill."""
    plain, seen, kills = State.save, {}, []

    def save(self):
        now = json.dumps([[sorted(one), sorted(one.get("run", {}))] for one in self.rounds])
        seen[now] = seen.get(now, 0) + 1
        if seen[now] == 1:
            kills.append(False)
            raise Killed
        plain(self)
        if seen[now] == 2:
            kills.append(True)
            raise Killed

    monkeypatch.setattr(State, "save", save)
    return kills


def test_a_loop_that_is_killed_at_every_step_comes_to_the_same(finished, models, tmp_path, monkeypatch):
    folder, found, _ = finished
    path = make_loop(tmp_path, models.full)
    write_loop(tmp_path, models.full, {"stop.rounds": 1})
    kills, mine = kill_at_saves(monkeypatch), None
    while mine is None:
        with contextlib.suppress(Killed):
            mine = learn(LearnOptions(str(path)), lambda _: None)
    assert len(kills) == 12, "two runs, select, label, validate, learn"
    following = dict(plan(LearnOptions(str(write_loop(tmp_path, models.full)))))
    assert following["round 2, select"].endswith(" --seen loop/round-01/labelled.extxyz")
    assert mine["rounds"] == found["rounds"][:1] and len(asked(tmp_path)) == 3 and not list(tmp_path.rglob("*.part-*"))
    first = {name: data for name, data in results(folder / "loop").items() if name.startswith("round-01")}
    assert {name: data for name, data in results(tmp_path / "loop").items() if name.startswith("round-01")} == first
    monkeypatch.undo()  # and goes on as the other did
    write_loop(tmp_path, models.full)
    assert learn(LearnOptions(str(path)), lambda _: None)["rounds"] == found["rounds"]
    assert results(tmp_path / "loop") == results(folder / "loop")


def test_a_loop_that_adapts_labels_what_is_worth_it(models, tmp_path):
    """The bars of the first file are shifted by all labels of the loop; its grade stays."""
    make_loop(tmp_path, models.full, rounds=1)
    learns = {"verb": "adapt"}
    path = write_loop(tmp_path, models.full, {"learn": learns, "stop.rounds": 1, "select": {"count": 8, "worth": True}})
    learn(LearnOptions(str(path)), lambda _: None)
    (one,) = state_of(tmp_path / "loop")["rounds"]
    gains = [frame["gain"] for frame in json.loads((tmp_path / "loop/round-01/select.json").read_text())["chosen"]]
    unit = one["select"]["unit_gain"]
    assert len(gains) == 8 and one["select"]["n_chosen"] == sum(gain >= unit for gain in gains) < 8
    old, new = (modelfile.read(name) for name in (models.full, tmp_path / "loop/round-01/model.uq"))
    assert len(new.section("roles")["calibration"]) == len(old.section("roles")["calibration"]) + one["select"]["n_chosen"]
    assert all((new.section("grade")[name] == old.section("grade")[name]).all() for name in old.section("grade"))


def test_grades_are_found_where_ase_takes_them_for_results(tmp_path):
    declare_bars()
    frames = [bulk("W", cubic=True) for _ in range(3)]
    for atoms, grade in zip(frames, (0.9, 1.0, 1.1), strict=True):
        atoms.arrays["grade"] = np.array([0.1, grade])
    ase.io.write(tmp_path / "frames.extxyz", frames)
    assert ase.io.read(tmp_path / "frames.extxyz", 0).calc.results["grade"][1] == 0.9
    assert look_at(tmp_path / "frames.extxyz", "run", needed=True) == {"n_frames": 3, "n_above": 1}


def test_a_round_in_which_nothing_is_new(models, tmp_path):
    """Frames that have labels already: the loop ends, and labels nothing."""
    make_loop(tmp_path, models.full, rounds=1)
    trained = ase.io.read(models.full.parent / "train.xyz", ":4")
    for atoms in trained:
        atoms.arrays = {name: atoms.arrays[name] for name in ("numbers", "positions")} | {"grade": np.full(len(atoms), 0.5)}
    ase.io.write(tmp_path / "warm-1.extxyz", trained[:2])
    ase.io.write(tmp_path / "hot-1.extxyz", trained[2:])
    found = learn(LearnOptions(str(tmp_path / "loop.yaml")), lambda _: None)
    assert found["ended"] == "no frame of the runs is worth a label" and found["rounds"][0]["n_chosen"] == 0 and not asked(tmp_path)
    again = learn(LearnOptions(str(tmp_path / "loop.yaml")), lambda _: pytest.fail("there is nothing to do"))
    assert again == found


TOGETHER = """touch here-$(basename {folder} | cut -d. -f1); for i in $(seq 300); do
[ -e here-warm ] && [ -e here-hot ] && break; sleep 0.05; done; [ -e here-warm ] && [ -e here-hot ] && cp hot-1.extxyz {frames}"""


def test_runs_at_once(models, tmp_path):
    """Each waits for the other; where one fails the other is not lost."""
    make_loop(tmp_path, models.full, rounds=1)
    path = write_loop(tmp_path, models.full, {"run": {"command": TOGETHER, "parallel": 2}, "select.command": "exit 3"})
    with pytest.raises(UqError, match="select ended with exit code 3"):
        learn(LearnOptions(str(path)), lambda _: None)
    late = "case {folder} in *warm*) exit 5;; esac; sleep 1; cp hot-1.extxyz {frames}"
    path = write_loop(tmp_path, models.full, {"run": {"command": late, "parallel": 2}}, "late.yaml")
    with pytest.raises(UqError, match="run warm ended with exit code 5"):
        learn(LearnOptions(str(path)), lambda _: None)
    assert list(state_of(tmp_path / "late")["rounds"][0]["run"]) == ["hot"]
    alone = "[ ! -e busy ] && touch busy && sleep 0.3 && rm busy && cp hot-1.extxyz {frames}"
    path = write_loop(tmp_path, models.full, {"run": {"command": alone}, "select.command": "exit 3"}, "alone.yaml")
    with pytest.raises(UqError, match="select ended with exit code 3"):
        learn(LearnOptions(str(path)), lambda _: None)


def wait_for(condition, process, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def begin(folder, *words):
    """Begin a loop that hears SIGINT, which a shell has its background jobs ignore, these tests and what they begin among them."""
    return subprocess.Popen(
        [BIN / "lmp-uq", "learn", "loop.yaml", *words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_processes_of_a_run_end_with_the_loop(models, tmp_path, sign):
    make_loop(tmp_path, models.full, rounds=1)
    # killed, a loop can end programs only; else also what a shell has begun
    command = "sh -c 'echo $$ > pid-1; exec sleep 1000'" if sign == signal.SIGKILL else "sleep 1000 & echo $! > pid-1; wait; true"
    write_loop(tmp_path, models.full, {"run.command": command, "starts": [{"name": "warm", "input": "in.run"}]})
    process = begin(tmp_path)
    wait_for(lambda: (tmp_path / "pid-1").exists() and (tmp_path / "pid-1").read_text().strip(), process)
    pid = int((tmp_path / "pid-1").read_text())
    process.send_signal(sign)
    _, errors = process.communicate(timeout=30)
    if sign != signal.SIGKILL:
        assert process.returncode == 130 and "the same command goes on with what is left" in errors
    for _ in range(200):
        if not alive(pid):
            break
        time.sleep(0.02)
    assert not alive(pid)


def test_labels_that_were_given_stay_when_the_labelling_is_killed(models, tmp_path):
    make_loop(tmp_path, models.full, rounds=1)
    write_loop(tmp_path, models.full, {"validate.command": "exit 3"})  # what follows the labels takes time
    text = (tmp_path / "oracle.py").read_text()
    text = text.replace("        super().calculate", SLOW + "        super().calculate", 1)
    (tmp_path / "oracle.py").write_text("import os, time\n" + text)
    process = begin(tmp_path)
    wait_for(lambda: len(asked(tmp_path)) == 2, process)
    process.kill()
    process.communicate()
    kept = list((tmp_path / "loop/labels").glob("*.extxyz"))
    assert len(kept) == 1 and "label" not in state_of(tmp_path / "loop")["rounds"][0]
    (tmp_path / "go").touch()
    ended = execute(BIN / "lmp-uq", "learn", "loop.yaml", folder=tmp_path)
    assert ended.code == 1 and "round 1, validate ended with exit code 3" in ended.text
    asked_for = asked(tmp_path)
    assert len(asked_for) == 4 and asked_for[1] in asked_for[2:] and asked_for[0] not in asked_for[1:], "the interrupted one again"


SLOW = """        while len(open("asked").read().split()) > 1 and not os.path.exists("go"):
            time.sleep(0.02)
"""


def test_two_loops_in_one_folder(models, tmp_path):
    path = make_loop(tmp_path, models.full, rounds=1)
    write_loop(tmp_path, models.full, {"run.command": "echo > begun; exec sleep 1000"})
    process = begin(tmp_path)
    wait_for((tmp_path / "begun").exists, process)
    with pytest.raises(UqError, match=rf"another lmp-uq learn works in it \(process {process.pid} on .*\); accepted: one at a time"):
        learn(LearnOptions(str(path)), lambda _: None)
    assert main(["learn", str(path), "--status"]) == 0
    process.send_signal(signal.SIGTERM)
    process.communicate()
