# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of a round: run, select, label, validate, learn. Each leaves its files under their names and then a line in the state."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from lmp_uq.errors import UqError, piece
from lmp_uq.files import atomic_file, existing_file
from lmp_uq.frames.labels import LabelKeys
from lmp_uq.frames.reading import read_atoms, write_extxyz
from lmp_uq.frames.streaming import stream_frames
from lmp_uq.learning import commands
from lmp_uq.learning.commands import FRAMES, RoundFiles
from lmp_uq.learning.jobs import Job, JobFailed, run_jobs
from lmp_uq.learning.labels import LabelStore, bare, take_answer
from lmp_uq.learning.settings import Settings, Start
from lmp_uq.learning.state import State

STEPS = ("run", "select", "label", "validate", "learn")
PART = ".part-"
"""In the names of folders whose job has not ended, or was killed."""

log = logging.getLogger("lmp_uq")


class Round:
    """One round of a loop.

    Parameters
    ----------
    settings : Settings
    state : State
    folder : Path
        Of the loop, seen from the folder of the settings.
    number : int
        From 1 on; its entry in the state is made if there is none.
    """

    def __init__(self, settings: Settings, state: State, folder: Path, number: int) -> None:
        self._settings, self._state, self._number = settings, state, number
        self.files = RoundFiles(folder, number)
        if len(state.rounds) < number:
            model = settings.model if number == 1 else state.rounds[-1]["learn"]["model"]
            state.rounds.append({"round": number, "model": model})
        self.found: dict[str, Any] = state.rounds[number - 1]
        self.model: str = self.found["model"]

    def plan(self) -> list[tuple[str, str]]:
        """Names and commands of the steps that have not been done; of labels as if one command made them all."""
        settings, files, done = self._settings, self.files, self.found.get("run", {})
        starts = [one for one in settings.starts if one.name not in done]
        runs = [(f"run {one.name}", commands.run_command(settings, one, files, self.model, files / one.name)) for one in starts]
        labels = files.folder / "labels" if settings.own_labels else files / "labelled.extxyz"
        share = settings.section("learn")["calibration_share"]
        rest = {
            "select": self._select_command(settings.starts),
            "label": commands.label_command(settings, files, files / "todo.extxyz", labels, 1),
            "validate": commands.validate_command(settings, files, self.model),
            "learn": commands.learn_command(settings, files, files.folder / "cache", shapes=share < 1.0, calibrates=share > 0.0),
        }
        left = [*runs, *((step, command) for step, command in rest.items() if step not in self.found)]
        return [(self._name(what), command) for what, command in left]

    def begin(self) -> None:
        """Make its folder, and remove what a loop that was killed left of jobs there."""
        self._at(self.files / "logs").mkdir(parents=True, exist_ok=True)
        for part in self._at(self.files.round).glob(f"*{PART}*"):
            shutil.rmtree(part, ignore_errors=True)

    def run(self) -> None:
        """All starts that have not run: UqError for a run that fails or keeps no frames."""
        done = self.found.setdefault("run", {})
        waiting = [one for one in self._settings.starts if one.name not in done]
        parts = {self._name(f"run {one.name}"): (one, self._part(one.name)) for one in waiting}
        keeps = self._settings.section("run")["failed"] == "keep"

        def ended(job: Job, failure: JobFailed | None) -> None:
            start, part = parts[job.name]
            if failure is not None and not keeps:
                raise failure
            found = look_at(self._at(part / FRAMES), job.name, needed=failure is None)
            if found["n_frames"]:
                name_group(self._at(part / FRAMES), start.group)
            self._replace(part, self.files / start.name)
            done[start.name] = found | {"failed": failure is not None}
            self._state.done(self._settings, "run", f"start {start.name}")
            log.info("%s: %s%s", job.name, "failed, " if failure else "", frames_in_words(found))

        jobs = [
            self._job(name, commands.run_command(self._settings, one, self.files, self.model, part)) for name, (one, part) in parts.items()
        ]
        run_jobs(jobs, self._settings.section("run")["parallel"], self._settings.folder, ended)
        if not sum(one["n_frames"] for one in done.values()):
            raise UqError(f"round {self._number}: no run has kept a frame; accepted: one or more")

    def select(self) -> None:
        """Which frames of the runs to label; in todo.extxyz, with the groups of their starts."""
        counts = [(one, self.found["run"][one.name]["n_frames"]) for one in self._settings.starts]
        self._do("select", self._select_command([one for one, n in counts if n]))
        found = self._json("select.json")
        starts = [one for one, n in counts for _ in range(n)]
        n_chosen = found["n_worth"] if self._settings.section("select")["worth"] and found["n_worth"] is not None else len(found["chosen"])
        chosen = found["chosen"][:n_chosen]
        frames = self._frames(self.files / "selected.extxyz")[:n_chosen] if chosen else []
        for atoms, one in zip(frames, chosen, strict=True):
            atoms.info |= {"learn_round": self._number, "learn_start": starts[one["number"]].name}
        self._write("todo.extxyz", [bare(atoms) for atoms in frames])
        names = ("n_frames", "n_candidates", "n_duplicates", "n_labelled", "n_outside", "n_worth", "unit_gain")
        by_start = {one.name: sum(starts[frame["number"]] is one for frame in chosen) for one in self._settings.starts}
        self._finish("select", {name: found[name] for name in names} | {"n_chosen": n_chosen, "by_start": by_start})
        log.info("%s: %d of %d frames", self._name("select"), n_chosen, found["n_candidates"])

    def label(self) -> None:
        """Labels for the chosen frames that have none yet; each is kept as soon as it is there."""
        todo = self._frames(self.files / "todo.extxyz")
        store, mine = LabelStore(self._at(self.files.folder / "labels")), self._settings.section("label")
        keys = LabelKeys(*(mine[f"{name}_key"] or None for name in LabelKeys._fields))
        missing = [atoms for atoms in todo if atoms not in store]
        size = mine["batch"] or max(len(missing), 1)
        batches = {self._name(f"label {k // size + 1}"): missing[k : k + size] for k in range(0, len(missing), size)}
        parts = {name: self._part(f"label-{k}") for k, name in enumerate(batches, 1)}

        def ended(job: Job, failure: JobFailed | None) -> None:
            if failure is not None:
                raise failure
            if not self._settings.own_labels:
                take_answer(store, batches[job.name], self._at(parts[job.name] / "labelled.extxyz"), keys)
            shutil.rmtree(self._at(parts[job.name]))
            log.info("%s: %d frames", job.name, len(batches[job.name]))

        jobs = []
        for k, (name, part) in enumerate(parts.items(), 1):
            write_extxyz(self._at(part / FRAMES), batches[name])
            out = self.files.folder / "labels" if self._settings.own_labels else part / "labelled.extxyz"
            jobs.append(self._job(name, commands.label_command(self._settings, self.files, part / FRAMES, out, k)))
        run_jobs(jobs, mine["parallel"], self._settings.folder, ended)
        lacking = [k for k, atoms in enumerate(todo) if atoms not in store]
        if lacking:
            raise UqError(f"{self._name('label')}: frame {lacking[0]} of {self.files / 'todo.extxyz'} has no labels after all commands")
        self._write("labelled.extxyz", [store.get(atoms) for atoms in todo])
        self._finish("label", {"n_labelled": len(todo)})

    def validate(self) -> None:
        """The model that ran against the labels of this round, which it has not seen."""
        self._do("validate", commands.validate_command(self._settings, self.files, self.model))
        found = misses(self._json("validate.json"))
        self._finish("validate", found)
        log.info("%s: %s", self._name("validate"), misses_in_words(found))

    def learn(self) -> None:
        """The model of the next round, from all labels so far."""
        data, calibration = self._split()
        self._write("data.extxyz", data)
        self._write("calibration.extxyz", calibration)
        cache = self.files.folder / "cache"
        command = commands.learn_command(self._settings, self.files, cache, shapes=bool(data), calibrates=bool(calibration))
        self._do("learn", command)
        self._finish("learn", {"model": str(self.files / "model.uq"), "n_data": len(data), "n_calibration": len(calibration)})
        log.info("%s: %s from %d labelled frames", self._name("learn"), self.files / "model.uq", len(data) + len(calibration))

    def _split(self) -> tuple[list[Atoms], list[Atoms]]:
        """All labelled frames in their order: those of posterior and grade, and the share of the calibration, spread evenly."""
        frames = [atoms for path in self._labelled(self._number + 1) for atoms in self._frames(path)]
        steps = np.floor(np.arange(len(frames) + 1) * self._settings.section("learn")["calibration_share"] + 1e-9)
        drawn = np.diff(steps) > 0
        data, calibration = ([a for a, mine in zip(frames, drawn, strict=True) if bool(mine) is which] for which in (False, True))
        return data, calibration

    def _labelled(self, end: int) -> list[Path]:
        """Labels of the rounds before one."""
        return [RoundFiles(self.files.folder, k) / "labelled.extxyz" for k in range(1, end)]

    def _select_command(self, starts: Sequence[Start]) -> str:
        pool = [self.files / one.name / FRAMES for one in starts]
        seen = [*self._settings.seen, *map(str, self._labelled(self._number))]
        return commands.select_command(self._settings, self.files, self.model, pool, seen)

    def _frames(self, path: Path) -> list[Atoms]:
        return [atoms for atoms, _ in read_atoms(self._at(path))]

    def _write(self, name: str, frames: Sequence[Atoms]) -> None:
        """Write frames; of none there is no file."""
        if frames:
            write_extxyz(self._at(self.files / name), frames)

    def _do(self, step: str, command: str) -> None:
        def ended(job: Job, failure: JobFailed | None) -> None:
            if failure is not None:
                raise failure

        run_jobs([self._job(self._name(step), command)], 1, self._settings.folder, ended)

    def _job(self, name: str, command: str) -> Job:
        log.debug("%s: %s", name, command)
        file = name.partition(", ")[2].replace(" ", "-") + ".txt"
        return Job(name, command, self._at(self.files / "logs") / file)

    def _finish(self, step: str, found: Mapping[str, Any]) -> None:
        self.found[step] = dict(found)
        self._state.done(self._settings, step)

    def _name(self, what: str) -> str:
        return f"round {self._number}, {what}"

    def _at(self, path: Path) -> Path:
        return self._settings.folder / path

    def _part(self, name: str) -> Path:
        """A new folder for a job: what an earlier one may still write goes elsewhere."""
        made = tempfile.mkdtemp(prefix=f"{name}{PART}", dir=self._at(self.files.round))
        return self.files / Path(made).name

    def _replace(self, part: Path, final: Path) -> None:
        shutil.rmtree(self._at(final), ignore_errors=True)  # of a loop that was killed before it could note that it is done
        self._at(part).rename(self._at(final))

    def _json(self, name: str) -> dict[str, Any]:
        path = self._at(self.files / name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UqError(f"{path}: cannot be read: {error}; accepted: the JSON that the command of that step writes") from error


def look_at(path: Path, name: str, *, needed: bool) -> dict[str, Any]:
    """What a run kept.

    Returns
    -------
    dict
        n_frames, n_above: frames with an atom whose grade is above 1.

    Raises
    ------
    UqError
        No file where one is needed, half a frame, no column grade.
    """
    if not path.exists():
        if not needed:
            return {"n_frames": 0, "n_above": 0}
        accepted = "fix ID all uq/select N grade 0.0 INF file ${frames}, which keeps frames of any grade"
        raise UqError(f"{name}: wrote no frames to {path}; accepted: {accepted}")
    with open(existing_file(path), "rb") as stream:
        first = stream.readline().strip()
    if not first.isdigit():
        found = piece(first.decode("utf-8", "replace"))
        raise UqError(f"{path}: begins with {found!r}; accepted: extended XYZ, as fix uq/select writes it")
    n_frames = n_above = 0
    for located in stream_frames(path, results=True):
        frame = located.read()
        # where a calculator of lmp_uq is at work, ASE takes the column for a result
        grade = (frame.arrays | (frame.calc.results if frame.calc else {})).get("grade")
        if grade is None or grade.ndim != 1:
            raise UqError(f"{path}: frame {n_frames}: has no column grade; accepted: what fix uq/select writes")
        n_frames, n_above = n_frames + 1, n_above + bool(np.max(grade) > 1.0)
    return {"n_frames": n_frames, "n_above": n_above}


def name_group(path: Path, group: str) -> None:
    """Write the group into the comment line of every frame of extended XYZ that was read whole; numbers stay as they are written."""
    with open(path, encoding="utf-8") as stream, atomic_file(path) as out:
        while (line := stream.readline()).strip():
            comment = f"{stream.readline().rstrip()} config_type={group}\n"
            out.write((line + comment + "".join(itertools.islice(stream, int(line)))).encode())


def misses(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of the JSON of lmp-uq validate: miss_rate of the bar of atoms' forces, level that it is meant for, and what bar that is; RMSEs.

    The bar is force_error; of a file without one the bounds of the members, whose level is None.
    """
    out = {"n_frames": found["n_frames"], "miss_rate": None, "level": None, "bar": None}
    atoms, forces, energy = (found.get(name) or {} for name in ("force_error", "forces", "energy_per_atom"))
    if atoms.get("coverage") is not None:
        out |= {"miss_rate": 1.0 - atoms["coverage"], "level": 0.9, "bar": "force_error"}
    elif forces.get("envelope_violation") is not None:
        out |= {"miss_rate": forces["envelope_violation"], "bar": f"bounds of {forces['n_members']} members"}
    return out | {"force_rmse": forces.get("rmse"), "energy_rmse": energy.get("rmse")}


def why_it_ends(found: Mapping[str, Any], settings: Settings) -> str | None:
    """Why no step follows those that a round has done; None: there is more to do."""
    stop, runs = settings.section("stop"), found.get("run", {})
    n_frames, n_above = (sum(one[name] for one in runs.values()) for name in ("n_frames", "n_above"))
    if len(runs) == len(settings.starts) and n_frames and n_above / n_frames <= stop["above_grade_1"]:
        return f"{n_above / n_frames:.3g} of the frames are above grade 1, bound {stop['above_grade_1']:g}"
    if "select" in found and not found["select"]["n_chosen"]:
        return "no frame of the runs is worth a label"
    if "learn" in found:
        rate = found["validate"]["miss_rate"]
        if rate is not None and rate <= stop["miss_rate"]:
            return f"the miss rate is {rate:.3g}, bound {stop['miss_rate']:g}"
        if found["round"] >= stop["rounds"]:
            return f"{found['round']} rounds are done"
    return None


def frames_in_words(found: Mapping[str, Any]) -> str:
    """Of what `look_at` gives."""
    return f"{found['n_frames']} frames, {found['n_above']} above grade 1"


def misses_in_words(found: Mapping[str, Any]) -> str:
    """Of what `misses` gives."""
    rate = "no bars" if found["miss_rate"] is None else f"miss rate {found['miss_rate']:.3g} of {found['bar']}"
    level = "" if found["level"] is None else f" at {found['level']:g}"
    rmse = "" if found["force_rmse"] is None else f", force RMSE {found['force_rmse']:.3g} eV/Angstrom"
    return f"{rate}{level}{rmse}"
