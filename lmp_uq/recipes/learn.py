# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq learn``: runs, choice, labels, validation and fit, round after round, until the runs bring nothing new."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmp_uq.learning.rounds import STEPS, Round, why_it_ends
from lmp_uq.learning.settings import Settings, read_settings
from lmp_uq.learning.state import State, locked

log = logging.getLogger("lmp_uq")


@dataclass(frozen=True)
class LearnOptions:
    """What ``lmp-uq learn`` is told; see docs/learn.md.

    loop: YAML file; out: folder of the loop, None: named as the file, beside it; accept_changes: go on with settings that differ from
    those of the finished steps.
    """

    loop: str
    out: str | None = None
    accept_changes: bool = False

    @property
    def folder(self) -> Path:
        """Of the loop."""
        return Path(self.loop).with_suffix("") if self.out is None else Path(self.out)


def learn(options: LearnOptions, after_round: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Do what is left of a loop.

    Parameters
    ----------
    options : LearnOptions
    after_round : callable
        Given what `report` gives, after every round.

    Returns
    -------
    dict
        As `report`.

    Raises
    ------
    UqError
        Settings that cannot be used, or differ from those of finished steps; another loop in the folder; a step that fails. All that is
        done stays done.
    """
    settings = read_settings(options.loop)
    with locked(options.folder):
        state = State(options.folder)
        state.agree(settings, options.accept_changes)
        if options.accept_changes:
            state.save()
        while not state.rounds or why_it_ends(state.rounds[-1], settings) is None:
            one = _current(settings, state, options.folder)
            one.begin()
            for step in STEPS:
                if not _is_done(one.found, step, settings):
                    getattr(one, step)()
                if why_it_ends(one.found, settings):
                    break
            after_round(report(options, settings, state))
        return report(options, settings, state)


def report(options: LearnOptions, settings: Settings, state: State) -> dict[str, Any]:
    """What a loop has found.

    Returns
    -------
    dict
        loop, folder, model: the newest; ended: why, None: there is more to do; stop: bounds; rounds: list of dict with round, model,
        n_frames and n_above of its runs, share_above, n_chosen, n_labelled, miss_rate, level, bar, force_rmse (eV/Angstrom), energy_rmse
        (eV/atom), runs. None for what has not been done.
    """
    rounds = [_row(one) for one in state.rounds]
    models = [settings.model, *(one["learn"]["model"] for one in state.rounds if "learn" in one)]
    ended = why_it_ends(state.rounds[-1], settings) if state.rounds else None
    found = {"loop": options.loop, "folder": str(options.folder), "model": models[-1], "ended": ended}
    return found | {"stop": dict(settings.section("stop")), "rounds": rounds}


def status(options: LearnOptions) -> dict[str, Any]:
    """`report` of a loop as it stands, which may be running."""
    return report(options, read_settings(options.loop), State(options.folder))


def plan(options: LearnOptions) -> list[tuple[str, str]]:
    """Names and commands of what is left of the round at which a loop stands, or of its first one; nothing is done."""
    settings, state = read_settings(options.loop), State(options.folder)
    state.agree(settings, options.accept_changes)
    if state.rounds and why_it_ends(state.rounds[-1], settings):
        return []
    return _current(settings, state, options.folder).plan()


def _current(settings: Settings, state: State, folder: Path) -> Round:
    """The round at which a loop stands: the last one, or one more if that is finished."""
    number = len(state.rounds) + (not state.rounds or "learn" in state.rounds[-1])
    return Round(settings, state, Path(os.path.relpath(folder, settings.folder)), number)


def _is_done(found: dict[str, Any], step: str, settings: Settings) -> bool:
    """Runs also where the frames have been chosen: a start that is new takes part from the next round on."""
    every = {one.name for one in settings.starts}
    return step in found and (step != "run" or "select" in found or every <= found["run"].keys())


def _row(found: dict[str, Any]) -> dict[str, Any]:
    runs, bars = found.get("run", {}), found.get("validate", {})
    n_frames, n_above = (sum(one[name] for one in runs.values()) for name in ("n_frames", "n_above"))
    counts = {"n_frames": n_frames, "n_above": n_above, "share_above": n_above / n_frames if n_frames else None}
    counts |= {"n_chosen": found.get("select", {}).get("n_chosen"), "n_labelled": found.get("label", {}).get("n_labelled")}
    same = ("miss_rate", "level", "bar", "force_rmse", "energy_rmse")
    return {"round": found["round"], "model": found["model"]} | counts | {name: bars.get(name) for name in same} | {"runs": runs}
