# SPDX-License-Identifier: GPL-2.0-or-later
"""The YAML file of a loop: what runs, what is chosen, who labels, what is learned, and when it ends."""

from __future__ import annotations

import shlex
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmp_uq.ase_factory import parse_factory
from lmp_uq.errors import UqError
from lmp_uq.modelfile import resolve
from lmp_uq.yaml_file import Option, checked, mapping, number_of, read_yaml, shown

TOP = ("model", "seen", "starts", "run", "select", "label", "learn", "validate", "stop")
SAME = Option("{command}", str)
SECTIONS: dict[str, dict[str, Option]] = {
    "run": {
        "command": Option("mpiexec -n {ranks} {command}", str),
        "parallel": Option(1, int),
        "failed": Option("stop", str, ("stop", "keep")),
    },
    "select": {"count": Option(None, int), "worth": Option(False, bool), "options": Option("", str), "command": SAME},
    "label": {
        "ase": Option("", str),
        "command": SAME,
        "batch": Option(0, int),
        "parallel": Option(1, int),
        "energy_key": Option("", str),
        "forces_key": Option("", str),
        "stress_key": Option("", str),
        "virials_key": Option("", str),
    },
    "learn": {
        "verb": Option("fit", str, ("fit", "calibrate", "adapt")),
        "backbone": Option("", str),
        "data": Option([], list),
        "calibration": Option([], list),
        "calibration_share": Option(0.0, float),
        "options": Option("", str),
        "command": SAME,
    },
    "validate": {"options": Option("", str), "command": SAME},
    "stop": {"rounds": Option(None, int), "above_grade_1": Option(-1.0, float), "miss_rate": Option(-1.0, float)},
}
START = {"name": Option(None, str), "input": Option(None, str), "group": Option("", str), "ranks": Option(1, int)}
OURS = ("model", "frames", "folder", "round")
"""Variables that every input script is given."""
LEAST = {("run", "parallel"): 1, ("select", "count"): 1, ("label", "batch"): 0, ("label", "parallel"): 1, ("stop", "rounds"): 1}
WORDS: dict[str, tuple[str, ...]] = {
    "run": ("command", "quoted", "job", "round", "ranks", "input", "model", "frames", "folder"),
    "select": ("command", "quoted", "job", "round"),
    "label": ("command", "quoted", "job", "round", "frames", "out"),
    "learn": ("command", "quoted", "job", "round"),
    "validate": ("command", "quoted", "job", "round"),
}
"""What the template of a step may hold in braces."""
HOW = {"command", "parallel", "batch"}
"""Keys that say how a step is done and not what: they may change in the middle of a loop."""


@dataclass(frozen=True)
class Start:
    """A run of every round: input script, its variables, ranks of MPI, and the group of its frames."""

    name: str
    input: str
    group: str
    ranks: int
    variables: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Settings:
    """A file that was read.

    path; model: of the first round; seen: files of frames that have labels elsewhere; starts; sections: names to checked keys.
    """

    path: Path
    model: str
    seen: tuple[str, ...]
    starts: tuple[Start, ...]
    sections: Mapping[str, Mapping[str, Any]]

    @property
    def folder(self) -> Path:
        """Where commands run, and from where names in the file are seen."""
        return self.path.absolute().parent

    def section(self, name: str) -> Mapping[str, Any]:
        """The keys of a section, defaults too."""
        return self.sections[name]

    @property
    def own_labels(self) -> bool:
        """Whether a calculator of ASE labels; else a command of the user does."""
        return bool(self.sections["label"]["ase"])

    def shaping(self, step: str) -> dict[str, Any]:
        """What the results of a step, or of `start NAME`, depend on, by the names of the keys; as JSON has it; of no such start nothing."""
        found: dict[str, Any]
        for one in self.starts:
            if step == f"start {one.name}":
                found = {f"starts {one.name}: input": one.input, f"starts {one.name}: group": one.group}
                return found | {f"starts {one.name}: variables {name}": list(words) for name, words in one.variables.items()}
        if step not in self.sections:
            return {}
        keep = HOW - {"command"} if step == "label" and not self.own_labels else HOW
        found = {f"{step}.{key}": value for key, value in self.sections[step].items() if key not in keep}
        return found | ({"model": self.model} if step == "run" else {})


def read_settings(path: str) -> Settings:
    """Read a loop.

    Raises
    ------
    UqError
        No such file, no YAML, a key that is unknown or missing, a value of the wrong type, two starts of one name, a template with
        braces that mean nothing, an input script that is not there.
    """
    content = mapping(read_yaml(path), path, TOP)
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise UqError(f"{path}: model is {shown(model)}; accepted: a *.uq file or an embedded model, as nbmotaw")
    sections = {name: _section(content.get(name) or {}, name, path) for name in SECTIONS}
    _check(sections, path)
    listed = content.get("starts")
    if not isinstance(listed, list) or not listed:
        raise UqError(f"{path}: starts is {shown(listed)}; accepted: a list with one entry or more")
    starts = tuple(_start(one, f"{path}: start {k + 1}") for k, one in enumerate(listed))
    names = [one.name for one in starts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UqError(f"{path}: two starts are called {twice[0]!r}; give one of them another name")
    seen = tuple(checked(content.get("seen") or [], Option([], list), f"{path}: seen"))
    found = Settings(Path(path), model, seen, starts, sections)
    _look_for_files(found)
    return found


def _section(content: Any, name: str, path: str) -> dict[str, Any]:
    known, where = SECTIONS[name], f"{path}: {name}"
    content = mapping(content, where, known)
    return {key: checked(content.get(key, option.default), option, f"{where}.{key}") for key, option in known.items()}


def _check(sections: Mapping[str, Mapping[str, Any]], path: str) -> None:
    for (section, key), least in LEAST.items():
        if sections[section][key] < least:
            raise UqError(f"{path}: {section}.{key} is {sections[section][key]}; accepted: {least} or more")
    share = sections["learn"]["calibration_share"]
    if not 0.0 <= share <= 1.0:
        raise UqError(f"{path}: learn.calibration_share is {share:g}; accepted: 0 to 1")
    for name in SECTIONS:
        for key in ("command", "options"):
            if key in sections[name]:
                _check_shell(sections[name][key], name, f"{path}: {name}.{key}", key == "command")
    label = sections["label"]
    if label["ase"]:
        parse_factory(label["ase"], f"{path}: label.ase {label['ase']}")
    if not label["ase"] and {"command", "quoted"} & set(words_of(label["command"])):
        raise UqError(f"{path}: label: {{command}} is the calculator's; accepted: ase, or a command with {{frames}} and {{out}}")
    if not label["ase"] and not {"frames", "out"} <= set(words_of(label["command"])):
        raise UqError(f"{path}: label.command is {shown(label['command'])}; accepted: a command with {{frames}} and {{out}}")
    learn = sections["learn"]
    if learn["verb"] != "fit" and (learn["calibration"] or share or learn["backbone"]):
        raise UqError(f"{path}: learn: calibration, calibration_share and backbone are of verb fit; accepted without them: {learn['verb']}")
    if not sections["learn"]["data"] and sections["learn"]["verb"] == "fit":
        raise UqError(f"{path}: learn.data is missing; accepted: the labelled frames that a fit has without those of the loop")


def _check_shell(text: str, step: str, where: str, is_template: bool) -> None:
    try:
        shlex.split(text)
    except ValueError as error:
        raise UqError(f"{where} is {shown(text)}: {str(error).lower()}; accepted: words of a shell") from error
    if is_template:
        try:
            foreign = [word for word in words_of(text) if word not in WORDS[step]]
        except ValueError as error:
            raise UqError(f"{where} is {shown(text)}: {error}; accepted: {{ and }} of the shell are written {{{{ and }}}}") from error
        if foreign:
            raise UqError(f"{where}: {{{foreign[0]}}}; accepted: {', '.join('{' + word + '}' for word in WORDS[step])}")


def words_of(template: str) -> list[str]:
    """Names in the braces of a template."""
    parts = list(string.Formatter().parse(template))
    # with a format or a conversion it is no name
    return [name + (f":{form}" if form else "") + (f"!{how}" if how else "") for _, name, form, how in parts if name is not None]


def _start(content: Any, where: str) -> Start:
    content = mapping(content, where, (*START, "variables"))
    found = {key: checked(content.get(key, option.default), option, f"{where}: {key}") for key, option in START.items()}
    name = found["name"]
    if not name or not set(name) <= set(string.ascii_letters + string.digits + "-_"):
        raise UqError(f"{where}: name is {shown(name)}; accepted: letters, digits, - and _")
    group = found["group"] or name
    if not set(group) <= set(string.ascii_letters + string.digits + "-_."):
        raise UqError(f"{where}: group is {shown(group)}; accepted: letters, digits, -, _ and .")
    if found["ranks"] < 1:
        raise UqError(f"{where}: ranks is {found['ranks']}; accepted: 1 or more")
    variables = mapping(content.get("variables") or {}, f"{where}: variables")
    for word in variables:
        if word in OURS or not word.isidentifier():
            accepted = f"letters, digits and _, and none of {', '.join(OURS)}, which the loop gives"
            raise UqError(f"{where}: variable {word!r}; accepted: {accepted}")
    given = {word: _values(value, f"{where}: variable {word}") for word, value in variables.items()}
    return Start(name, found["input"], group, found["ranks"], given)


def _values(value: Any, where: str) -> tuple[str, ...]:
    """The words of a variable: a text, a number, or a list of them."""
    words = value if isinstance(value, list) else [value]
    if not words or any(not isinstance(one, str) and number_of(one) is None for one in words):
        raise UqError(f"{where} is {shown(value)}; accepted: a text, a number, or a list of them")
    return tuple(map(str, words))


def _look_for_files(settings: Settings) -> None:
    if not (settings.folder / settings.model).is_file():
        try:
            resolve(settings.model)  # embedded, or where LAMMPS looks for potentials
        except UqError as error:
            raise UqError(f"{settings.path}: model: {error}") from error
    learn = settings.section("learn")
    named: dict[str, Sequence[str]] = {f"starts {one.name}: input": [one.input] for one in settings.starts}
    named |= {"seen": settings.seen, "learn.data": learn["data"], "learn.calibration": learn["calibration"]}
    for key, names in named.items():
        for name in names:
            if not (settings.folder / name).is_file():
                raise UqError(f"{settings.path}: {key}: {settings.folder / name}: no such file")
