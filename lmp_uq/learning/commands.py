# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of a round: the verbs with the files of that round, inside the templates of the user."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lmp_uq.learning.settings import Settings, Start, words_of
from lmp_uq.parallel.ranks import MAIN

LABELLER = "from lmp_uq.learning.calculator import main; raise SystemExit(main())"
FRAMES = "frames.extxyz"


@dataclass(frozen=True)
class RoundFiles:
    """Names of the files of a round, as commands see them from the folder of the loop's settings."""

    folder: Path
    number: int

    @property
    def round(self) -> Path:
        """Folder of the round."""
        return self.folder / f"round-{self.number:02d}"

    def __truediv__(self, name: str) -> Path:
        return self.round / name


def program() -> list[str]:
    """The words that start lmp-uq: the command beside this Python, or Python itself."""
    beside = os.path.join(os.path.dirname(sys.executable), "lmp-uq")
    return [beside] if os.path.exists(beside) else [sys.executable, "-c", MAIN]


def run_command(settings: Settings, start: Start, files: RoundFiles, model: str, folder: Path) -> str:
    """A LAMMPS run of a start in a folder of its own."""
    ours = {"model": model, "frames": str(folder / FRAMES), "folder": str(folder), "round": str(files.number)}
    words = [*program(), "run", "-in", start.input, "-log", str(folder / "log.lammps")]
    for name, values in {**{name: (value,) for name, value in ours.items()}, **start.variables}.items():
        words += ["-var", name, *values]
    more = {"ranks": str(start.ranks), "input": start.input, **ours}
    return _filled(settings, "run", words, more | {"job": f"run-{start.name}", "round": str(files.number)})


def select_command(settings: Settings, files: RoundFiles, model: str, pool: Sequence[Path], seen: Sequence[str]) -> str:
    """Which frames of the pool to label, at most."""
    mine = settings.section("select")
    words = [*program(), "select", *map(str, pool), "--like", model, "--count", str(mine["count"]), "--up-to"]
    words += ["--out", str(files / "selected.extxyz"), "--json", str(files / "select.json"), "--group-key", "config_type"]
    words += ["--seen", *seen] if seen else []
    return _filled(settings, "select", [*words, *shlex.split(mine["options"])], _names("select", files))


def label_command(settings: Settings, files: RoundFiles, frames: Path, out: Path, number: int) -> str:
    """Labels for a file of frames: of a calculator into the folder `out`, of a command of the user into the file `out`."""
    spec = settings.section("label")["ase"]
    words = [sys.executable, "-c", LABELLER, str(frames), str(out), spec] if spec else []
    return _filled(settings, "label", words, _names(f"label-{number}", files) | {"frames": str(frames), "out": str(out)})


def validate_command(settings: Settings, files: RoundFiles, model: str) -> str:
    """The model of the runs against the labels that it has not seen."""
    words = [*program(), "validate", model, "--data", str(files / "labelled.extxyz"), "--json", str(files / "validate.json")]
    words += shlex.split(settings.section("validate")["options"])
    return _filled(settings, "validate", words, _names("validate", files))


def learn_command(settings: Settings, files: RoundFiles, cache: Path, *, shapes: bool, calibrates: bool) -> str:
    """The model of the next round; shapes, calibrates: there are labels of the loop for posterior and grade, and for the calibration."""
    mine, words = settings.section("learn"), program()
    data = [*mine["data"], *[str(files / "data.extxyz")] * shapes]
    if mine["verb"] == "fit":
        calibration = [*mine["calibration"], *[str(files / "calibration.extxyz")] * calibrates]
        words += ["fit", "--backbone", mine["backbone"] or settings.model, "--data", *data]
        words += ["--calibration", *calibration] if calibration else []
        words += ["--cache", str(cache)]
    else:
        option = "--adapt" if mine["verb"] == "adapt" else "--data"
        words += ["calibrate", settings.model, option, *data]
    words += ["--out", str(files / "model.uq"), "--json", str(files / "learn.json"), *shlex.split(mine["options"])]
    return _filled(settings, "learn", words, _names("learn", files))


def _names(job: str, files: RoundFiles) -> dict[str, str]:
    return {"job": job, "round": str(files.number)}


def _filled(settings: Settings, step: str, words: Sequence[str], more: Mapping[str, str]) -> str:
    """The template of a step with its words; each is quoted for a shell, `quoted` once more, as one word."""
    command = shlex.join(words)
    given = {name: shlex.quote(value) for name, value in more.items()} | {"command": command, "quoted": shlex.quote(command)}
    template = settings.section(step)["command"]
    return template.format(**{name: given[name] for name in words_of(template)})
