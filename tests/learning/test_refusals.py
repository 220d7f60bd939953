# SPDX-License-Identifier: GPL-2.0-or-later
"""What a loop refuses, in one sentence, with all that was done before still there; a user mends it and goes on."""

from __future__ import annotations

import shutil

import ase.io
import numpy as np
import pytest
from lammps_processes import BIN, execute
from loop_example import asked, make_loop, state_of, write_loop

from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.learning.commands import LABELLER
from lmp_uq.learning.labels import LabelStore
from lmp_uq.learning.settings import read_settings
from lmp_uq.recipes.learn import LearnOptions, learn


def fails(path, reason: str) -> None:
    with pytest.raises(UqError, match=reason):
        learn(LearnOptions(str(path)), lambda _: None)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory, models):
    """A loop that has chosen three frames and whose label command failed."""
    folder = tmp_path_factory.mktemp("chosen")
    make_loop(folder, models.full, rounds=1)
    path = write_loop(folder, models.full, {"label": {"command": "echo {frames} {out} >&2; echo no licence >&2; exit 7"}})
    fails(path, r"round 1, label 1 ended with exit code 7; the end of .*label-1.txt: .* / no licence; command: echo")
    return folder


@pytest.fixture
def loop(chosen, tmp_path, models):
    """Its copy: `loop(label=...)` writes other settings and returns their file."""
    shutil.copytree(chosen, tmp_path, dirs_exist_ok=True)
    return lambda changes: write_loop(tmp_path, models.full, {"validate.command": "exit 3"} | changes)


def script(folder, text: str) -> dict:
    """A label command that reads frames, changes them as the text says, and writes them."""
    head = "import sys\nimport ase.io\nimport numpy as np\nfrom oracle import made\nframes = ase.io.read(sys.argv[1], ':')\n"
    label = "for atoms in frames:\n    atoms.info['REF_energy'] = 1.0\n    atoms.arrays['REF_forces'] = np.zeros((len(atoms), 3))\n"
    (folder / "label.py").write_text(head + label + text + "\nase.io.write(sys.argv[2], frames)\n" * ("write" not in text))
    return {"label": {"command": "python label.py {frames} {out}"}}


ANSWERS = {
    "nothing": ("write = 0", "the label command wrote no such file; accepted: extxyz with the 3 frames of its input"),
    "fewer frames": ("del frames[1]", "2 frames, and 3 were asked for; accepted: as many, in the same order"),
    "other order of frames": ("frames.reverse()", r"other (atoms|positions)"),
    "other elements": ("frames[1].symbols[0] = 'W'", r"labelled.extxyz\[1\]: other atoms: .*W.*, and .* was asked for; acc"),
    "other order of atoms": ("frames[2] = frames[2][::-1]", r"labelled.extxyz\[2\]: other atoms: .*, in another order"),
    "other positions": ("frames[0].positions[3, 1] += 0.01", r"labelled.extxyz\[0\]: other positions: atom 3 is 0.01 Angstrom away"),
    "other cell": ("frames[0].cell[0, 0] += 0.1", r"labelled.extxyz\[0\]: another cell than in the input"),
    "NaN forces": ("frames[1].arrays['REF_forces'][0, 0] = np.nan", r"labelled.extxyz\[1\]: 'REF_forces' holds NaN or infinite numbers"),
    "no forces": ("for atoms in frames: del atoms.arrays['REF_forces']", r"labelled.extxyz\[0\]: there are no forces; accepted: forces"),
    "half a file": ("ase.io.write(sys.argv[2], frames); t = open(sys.argv[2]).read(); open(sys.argv[2], 'w').write(t[:-200])",
                    "labelled.extxyz, frame 2: cannot be read"),
    "an exception": ("raise SystemExit('no convergence')", "round 1, label 1 ended with exit code 1; .*: no convergence; command"),
}  # fmt: skip


@pytest.mark.parametrize("what", ANSWERS)
def test_answers_that_are_refused(loop, tmp_path, what):
    text, reason = ANSWERS[what]
    before = state_of(tmp_path / "loop")
    fails(loop(script(tmp_path, text)), reason)
    assert state_of(tmp_path / "loop") == before and not list((tmp_path / "loop/labels").glob("*.extxyz"))
    fails(loop(script(tmp_path, "")), "round 1, validate ended with exit code 3")  # mended: what is right is taken
    assert state_of(tmp_path / "loop")["rounds"][0]["label"] == {"n_labelled": 3}


def test_answers_that_are_the_same_atoms(loop, tmp_path):
    """Rounded, wrapped, under other names; the frames of the loop stay what they were."""
    names = "atoms.info['dft_energy'] = atoms.info.pop('REF_energy'); atoms.arrays['dft_forces'] = atoms.arrays.pop('REF_forces')"
    change = f"for atoms in frames:\n    atoms.positions += atoms.cell[0] - 2 * atoms.cell[2] + 1e-4\n    {names}"
    settings = script(tmp_path, change)
    settings["label"] |= {"energy_key": "dft_energy", "forces_key": "dft_forces"}
    fails(loop(settings), "round 1, validate ended")
    asked_for, labelled = (ase.io.read(tmp_path / f"loop/round-01/{name}.extxyz", ":") for name in ("todo", "labelled"))
    assert all((one.positions == other.positions).all() for one, other in zip(asked_for, labelled, strict=True))
    assert all(one.info["REF_energy"] == 1.0 and not one.arrays["REF_forces"].any() for one in labelled)


def test_batches_keep_what_they_have(loop, tmp_path):
    settings = script(tmp_path, "if '-2.part' in sys.argv[1]: raise SystemExit('full disk')")
    settings["label"] |= {"batch": 1, "parallel": 3}
    fails(loop(settings), "round 1, label 2 ended with exit code 1; .*full disk")
    assert len(list((tmp_path / "loop/labels").glob("*.extxyz"))) == 2
    settings = script(tmp_path, "print(len(frames), file=open('count', 'a'))")
    fails(loop(settings), "round 1, validate ended")
    assert (tmp_path / "count").read_text().split() == ["1"], "of three frames one was left"


CALCULATORS = {
    "no such module": ("nowhere:made()", "calculator nowhere:made.*: makes no calculator: ModuleNotFoundError: No module named 'nowhere'"),
    "no such factory": ("oracle:mad(1.0)", "calculator oracle:mad.*: AttributeError: module 'oracle' has no attribute 'mad'"),
    "a factory that fails": ("oracle:made()", "calculator oracle:made.*: TypeError: made.. missing 1 required positional argument"),
    "no calculator": ("math:sqrt(2.0)", "calculator math:sqrt.2.0.: gives a float; accepted: an ASE calculator"),
    "NaN": ("oracle:spoilt(0.05)", r"frames.extxyz\[0\]: 'REF_forces' holds NaN or infinite numbers"),
}


def test_a_calculator_that_is_begun_again_goes_on(chosen, tmp_path):
    """As a job that a scheduler puts into its queue once more: what has labels is not computed again."""
    shutil.copy(chosen / "oracle.py", tmp_path)
    frames = ase.io.read(chosen / "loop/round-01/todo.extxyz", ":")
    for n in (1, 3):
        ase.io.write(tmp_path / "frames.extxyz", frames[:n])
        words = ["frames.extxyz", "labels", "oracle:made(epsilon=0.05)"]
        assert execute(BIN / "python", "-c", LABELLER, *words, folder=tmp_path).code == 0
    assert len(asked(tmp_path)) == 3 and len(list((tmp_path / "labels").iterdir())) == 3


@pytest.mark.parametrize("what", CALCULATORS)
def test_calculators_that_are_refused(loop, tmp_path, what):
    spec, reason = CALCULATORS[what]
    fails(loop({"label": {"ase": spec}}), f"round 1, label 1 ended with exit code 1; the end of .*label-1.txt: .*{reason}")
    assert not list((tmp_path / "loop/labels").glob("*.extxyz"))


RUNS = {
    "a run that fails": ("echo one; echo; echo ERROR: lost atoms; exit 1", "run warm ended with exit code 1; the end of .*run-warm.txt: "
                         "one / ERROR: lost atoms; command: echo"),
    "a run that is killed": ("kill -9 $$", "run warm was ended by signal 9; the end of .*run-warm.txt: nothing; command: kill"),
    "no frames": ("true", r"run warm: wrote no frames to .*extxyz; accepted: fix ID all uq/select N grade 0.0 INF file \$\{frames\}"),
    "half a frame": ("head -c 900 warm-1.extxyz > {frames}", "frames.extxyz, frame 1: cannot be read: [0-9]+ of 8 atoms, then the file"),
    "no grade": ("sed -e 's/grade:R:1/mark:R:1/' warm-1.extxyz > {frames}", "frame 0: has no column grade; accepted: what fix"),
    "no frames but text": ("echo ITEM: TIMESTEP > {frames}", "begins with 'ITEM: TIMESTEP'; accepted: extended XYZ, as fix uq/select"),
    "an empty file": ("> {frames}", "frames.extxyz: the file is empty"),
}  # fmt: skip


@pytest.mark.parametrize("what", RUNS)
def test_runs_that_are_refused(models, tmp_path, what):
    command, reason = RUNS[what]
    make_loop(tmp_path, models.full, rounds=1)
    one = {"starts": [{"name": "warm", "input": "in.run"}]}
    fails(write_loop(tmp_path, models.full, one | {"run.command": command}), reason)
    assert not (tmp_path / "loop/state.json").exists() or state_of(tmp_path / "loop")["rounds"][0]["run"] == {}


def test_a_run_that_fails_may_keep_its_frames(models, tmp_path):
    make_loop(tmp_path, models.full, rounds=1)
    command = "case {folder} in *warm*) exit 1;; esac; cp hot-1.extxyz {frames}; exit 1"
    path = write_loop(tmp_path, models.full, {"run.command": command, "run.failed": "keep", "select.command": "exit 3"})
    fails(path, "round 1, select ended with exit code 3")
    runs = state_of(tmp_path / "loop")["rounds"][0]["run"]
    assert runs["warm"] == {"n_frames": 0, "n_above": 0, "failed": True} and runs["hot"]["n_frames"] == 4 and runs["hot"]["failed"]
    other = write_loop(tmp_path, models.full, {"run.command": "exit 1", "run.failed": "keep"}, "other.yaml")
    fails(other, "round 1: no run has kept a frame")


SETTINGS = {
    "unknown key": ({"selct": {"count": 3}}, r"loop.yaml: key 'selct' \(did you mean select\?\); accepted: model, seen, starts"),
    "unknown key in a section": ({"stop.round": 3}, r"loop.yaml: stop: key 'round' \(did you mean rounds\?\); accepted: rounds, abo"),
    "unknown key of a start": ({"starts": [{"name": "a", "inputs": "in.run"}]}, r"start 1: key 'inputs' \(did you mean input\?\)"),
    "no count": ({"select.count": None}, "loop.yaml: select.count is missing"),
    "a count of text": ({"select.count": "many"}, "loop.yaml: select.count is 'many'; accepted: int, a whole number"),
    "a count of nothing": ({"select.count": 0}, "loop.yaml: select.count is 0; accepted: 1 or more"),
    "no rounds": ({"stop": {}}, "loop.yaml: stop.rounds is missing"),
    "no starts": ({"starts": []}, r"loop.yaml: starts is \[\]; accepted: a list with one entry or more"),
    "two of one name": ({"starts": [{"name": "a", "input": "in.run"}] * 2}, "two starts are called 'a'; give one of them another name"),
    "a name with a slash": ({"starts": [{"name": "a/b", "input": "in.run"}]}, "start 1: name is 'a/b'; accepted: letters, digits, - and _"),
    "missing input": ({"starts": [{"name": "a", "input": "in.no"}]}, "loop.yaml: starts a: input: .*in.no: no such file"),
    "missing data": ({"learn.data": ["no.xyz"]}, "loop.yaml: learn.data: .*no.xyz: no such file"),
    "a variable of ours": ({"starts": [{"name": "a", "input": "in.run", "variables": {"frames": 1}}]}, "variable 'frames'; accepted: "),
    "braces of nothing": ({"run.command": "srun {comand}"}, r"loop.yaml: run.command: \{comand\}; accepted: \{command\}, \{quoted\}"),
    "braces of the shell": ({"run.command": "a {"}, "run.command is 'a {': .*; accepted: { and } of the shell are written {{ and }}"),
    "an open quote": ({"select.options": "--by 'x"}, "loop.yaml: select.options is .*: no closing quotation; accepted: words of a shell"),
    "no labels": ({"label": {}}, "loop.yaml: label: {command} is the calculator's; accepted: ase, or a command with {frames} and {out}"),
    "labels into nothing": ({"label": {"command": "dft {frames}"}}, "label.command is 'dft {frames}'; accepted: a command with"),
    "no factory": ({"label": {"ase": "oracle.made(1.0)"}}, "label.ase oracle.made.1.0. names no factory of a calculator; accepted: MODULE"),
    "code": ({"label": {"ase": "oracle:made(open('x'))"}}, "label.ase oracle:made.* has an argument that is no literal; accepted: numbers"),
    "a share of two": ({"learn.calibration_share": 2}, "loop.yaml: learn.calibration_share is 2; accepted: 0 to 1"),
    "a verb": ({"learn.verb": "train"}, "loop.yaml: learn.verb is 'train'; accepted: fit, calibrate, adapt"),
    "calibration of calibrate": ({"learn.verb": "adapt"}, "loop.yaml: learn: calibration, .* are of verb fit; accepted without them: a"),
    "missing model": ({"model": "no.uq"}, "loop.yaml: model: no.uq: neither a file nor an embedded model"),
    "model that is a list": ({"model": ["a"]}, r"loop.yaml: model is \['a'\]; accepted: a \*.uq file or an embedded model"),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_settings_that_are_refused(models, tmp_path, what, capsys):
    changes, reason = SETTINGS[what]
    make_loop(tmp_path, models.full, rounds=0)
    with pytest.raises(UqError, match=reason):
        read_settings(str(write_loop(tmp_path, models.full, changes)))
    assert main(["learn", str(tmp_path / "loop.yaml")]) == 1
    assert capsys.readouterr().err.startswith("lmp-uq: error: ") and not (tmp_path / "loop").exists()


HOT = {"name": "hot", "input": "in.run", "variables": {"seed": [1, 2]}}


def test_a_start_that_failed_may_be_mended(models, tmp_path):
    """Also where another start of the same round has run."""
    make_loop(tmp_path, models.full, rounds=1)
    command = "case {folder} in *hot*) exit 4;; esac; cp warm-1.extxyz {frames}"
    fails(write_loop(tmp_path, models.full, {"run.command": command}), "run hot ended with exit code 4")
    changes = {"starts": [{"name": "warm", "input": "in.run"}, {"name": "hot", "input": "in.run"}], "select.command": "exit 3"}
    fails(write_loop(tmp_path, models.full, changes), "select ended with exit code 3")
    assert sorted(state_of(tmp_path / "loop")["rounds"][0]["run"]) == ["hot", "warm"]
    fails(write_loop(tmp_path, models.full, changes | {"starts": [HOT]}), "starts hot: variables seed is ..1., .2.., and was missing")


def test_settings_of_what_is_done_may_not_change(loop, tmp_path):
    """Of finished steps; how they are done may, and when the loop ends."""
    for changes, key in (({"select.count": 2}, "select.count is 2, and was 3"), ({"model": "nbmotaw"}, "model is"),
                         ({"starts": [{"name": "warm", "input": "in.run"}]}, "starts hot: group is missing, and was"),
                         ({"run.failed": "keep"}, 'run.failed is "keep", and was "stop"')):  # fmt: skip
        fails(loop(changes), f"loop.yaml: {key}.* for what is done in .*loop; accepted: what it was, a new folder by out, or accept")
    more = [{"name": "warm", "input": "in.run"}, HOT, {"name": "new", "input": "in.run"}]
    free = {"starts": more, "run.parallel": 4, "run.command": "exit 9", "stop.rounds": 7, "learn.options": "--members 8"}
    fails(loop(free), "validate ended")
    settings = loop({"select.count": 2})
    with pytest.raises(UqError, match="validate ended"):
        learn(LearnOptions(str(settings), accept_changes=True), lambda _: None)
    fails(settings, "validate ended")


def test_a_state_that_is_none(loop, tmp_path):
    path, state = loop({}), tmp_path / "loop/state.json"
    whole = state.read_text()
    newer = whole.replace('"version": 1', '"version": 2')
    none, other = "state.json: cannot be read as the state of a loop: ", "state.json: is of version 2; accepted: 1, or a new folder"
    for text, reason in ((whole[:-9], none), ("{}", none), (newer, other)):
        state.write_text(text)
        fails(path, reason)


def test_a_folder_that_is_none(loop, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UqError, match="file: cannot be made the folder of a loop: "):
        learn(LearnOptions(str(loop({})), out=str(tmp_path / "file")), lambda _: None)


def test_labels_are_found_by_the_content_of_a_frame(chosen, tmp_path):
    frames = ase.io.read(chosen / "loop/round-01/todo.extxyz", ":")
    store = LabelStore(tmp_path / "labels")
    answer = frames[0].copy()
    answer.info |= {"energy": -1.25, "stress": np.arange(9.0), "other": 3}
    answer.arrays["forces"] = np.full((len(answer), 3), 0.12345678)
    store.put(frames[0], answer, "here")
    assert frames[0] in store and frames[1] not in store
    found = store.get(frames[0])
    assert found.info["REF_energy"] == -1.25 and (found.arrays["REF_forces"] == 0.12345678).all() and "other" not in found.info
    moved = frames[0].copy()
    moved.positions[0, 0] += 1e-5
    assert moved not in store and asked(chosen) == []
