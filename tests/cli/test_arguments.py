# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages name an argument as the caller wrote it: the parameter from Python, the option on the command line."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import ase.io
import pytest
from lammps_cases import crystal
from test_docs import ROOT

import lmp_uq
from lmp_uq import UqError, cli
from lmp_uq.errors import argument, label_keys, named_by_options
from lmp_uq.recipes.calibrate import CalibrateOptions
from lmp_uq.recipes.convert import convert
from lmp_uq.recipes.ensemble import EnsembleOptions
from lmp_uq.recipes.export import export
from lmp_uq.recipes.fit import FitOptions
from lmp_uq.recipes.learn import LearnOptions
from lmp_uq.recipes.propagate import PropagateOptions
from lmp_uq.recipes.reweight import ReweightOptions
from lmp_uq.recipes.select import SelectOptions
from lmp_uq.recipes.validate import ValidateOptions
from lmp_uq.selection.choice import Request

OPTIONS = (
    FitOptions, CalibrateOptions, ValidateOptions, PropagateOptions, ReweightOptions, SelectOptions, Request, EnsembleOptions, LearnOptions,
)  # fmt: skip
OF_THE_COMMAND_LINE = {"json", "report"}
"""Names that Python has no parameter for."""
ASIDE = {"lmp_uq/parallel/ranks.py", "lmp_uq/modelfile/source.py", "lmp_uq/learning/commands.py"}
"""What the command line alone calls; what says both words itself; what makes commands."""


def modules():
    return [path for path in (ROOT / "lmp_uq").rglob("*.py") if path.parent.name != "cli"]


def test_the_words_of_both_doors():
    said = [argument("n_members", 8), argument("in_sample", True), argument("out", Path("a b")), argument("elements", "W", "Ta")]
    assert said == ["n_members=8", "in_sample=True", "out='a b'", "elements=['W', 'Ta']"]
    names = {"energy": ["e", "E"], "forces": ["f"]}
    assert label_keys(names) == "keys=dict(energy='e' or 'E', forces='f')"
    with named_by_options():
        said = [argument("n_members", 8), argument("in_sample", True), argument("out", Path("a b")), argument("elements", "W", "Ta")]
        assert said == ["--members 8", "--in-sample", "--out a b", "--elements W Ta"]
        assert label_keys(names) == "--energy-key e or --energy-key E --forces-key f"
    assert argument("n_members") == "n_members"


def test_every_name_is_an_option_and_a_parameter():
    calls = [node for path in modules() for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", "") == "argument" and isinstance(call.args[0], ast.Constant)
    }
    assert {"out", "in_sample", "member", "skip"} <= names
    options = {word for verb in cli._parser().verbs().values() for word in verb._option_string_actions}
    parameters = {field.name for kind in OPTIONS for field in fields(kind)} | OF_THE_COMMAND_LINE
    parameters |= {field.name for field in fields(LearnOptions)}
    parameters |= {name for function in (export, convert) for name in inspect.signature(function).parameters}
    with named_by_options():
        assert {argument(name) for name in names} <= options
    assert names <= parameters


def test_no_other_text_names_an_option():
    """But for whole commands, and docstrings, which are not said."""
    for path in modules():
        tree = ast.parse(path.read_text())
        silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                found = re.search(r"(?<!lmp-uq fit )(?<!lmp-uq calibrate )--[a-z]", node.value)
                assert not found or str(path.relative_to(ROOT)) in ASIDE, (path, node.value)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A frame whose stress and virials contradict each other."""
    path = tmp_path_factory.mktemp("doors") / "bad.xyz"
    atoms = crystal((1, 1, 1))
    atoms.info |= {"REF_stress": [1.0] * 6, "REF_virials": [1.0] * 6}
    ase.io.write(path, atoms)
    return str(path)


CASES = {
    "out": ("calibrate", {"out": "nowhere/x.uq"}, "out='nowhere/x.uq': there is no folder", "--out nowhere/x.uq: there is no folder"),
    "no name": ("calibrate", {"out": ""}, "out: the name is empty", "--out: the name is empty"),
    "cache": ("fit", {"cache": "/dev/null/x"}, "cache='/dev/null/x': /dev/null is no", "--cache /dev/null/x: /dev/null is no"),
    "elements": ("fit", {"elements": ["W"]}, "elements, reference and reference_coeff", "--elements, --reference and --reference-coeff"),
    "labels": (
        "validate", {}, "keys=dict(stress='REF_stress') or keys=dict(virials='REF_virials')",
        "--stress-key REF_stress or --virials-key REF_virials",
    ),
    "flag": ("validate", {"baselines": True}, "baselines=True needs", "--baselines needs"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_fault_at_both_doors(case, bad, models, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verb, given, of_python, of_shell = CASES[case]
    data = bad if case == "labels" else str(models.full.parent / "hot.xyz")
    first = {"backbone": str(models.bare)} if verb == "fit" else {"model": str(models.full)}
    options = first | {"data": data} | ({} if verb == "validate" else {"out": "x.uq"}) | given
    with pytest.raises(UqError) as failure:
        getattr(lmp_uq, verb)(**options, **({} if verb == "fit" else {"in_sample": True}), progress=False)
    assert of_python in str(failure.value) and "--" not in str(failure.value)
    words = [] if verb == "fit" else [options.pop("model"), "--in-sample"]
    for name, value in options.items():
        words += ["--" + name] + ([] if value is True else [value] if isinstance(value, str) else value)
    assert cli.main([verb, *words, "-q"]) == 1
    assert of_shell in capsys.readouterr().err
    assert argument("out") == "out" and not list(tmp_path.iterdir())
