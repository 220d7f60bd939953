# SPDX-License-Identifier: GPL-2.0-or-later
"""What a loop has done: one JSON file, replaced whole after every step, and the lock of its folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lmp_uq.errors import UqError, argument
from lmp_uq.files import atomic_file
from lmp_uq.learning.settings import Settings

VERSION = 1
FILE, LOCK = "state.json", "lock"


class State:
    """Steps that are done.

    Parameters
    ----------
    folder : Path
        Of the loop.

    Attributes
    ----------
    rounds : list of dict
        Of each round number, model, and what its finished steps found, by the names of the steps.

    Raises
    ------
    UqError
        A state that cannot be read, or is of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._content: dict[str, Any] = {"version": VERSION, "settings": {}, "rounds": []}
        if self._path.exists():
            self._content = self._read()

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """See the class."""
        return self._content["rounds"]

    def save(self) -> None:
        """Replace the file."""
        with atomic_file(self._path) as stream:
            stream.write(json.dumps(self._content, indent=1, sort_keys=True).encode() + b"\n")

    def done(self, settings: Settings, *steps: str) -> None:
        """Note what steps that were just finished depended on, see `Settings.shaping`, and save."""
        for step in steps:
            self._content["settings"].setdefault(step, settings.shaping(step))
        self.save()

    def agree(self, settings: Settings, accept: bool) -> None:
        """Refuse settings by which finished steps would not have been done.

        Parameters
        ----------
        settings : Settings
        accept : bool
            Take the new ones instead, from here on.

        Raises
        ------
        UqError
            Names the first key that differs, and what can be done.
        """
        old: dict[str, Mapping[str, Any]] = self._content["settings"]
        for step in old:
            new = settings.shaping(step)
            changed = [key for key in {**old[step], **new} if old[step].get(key) != new.get(key)]
            if changed and not accept:
                key = changed[0]
                now, before = _said(new.get(key)), _said(old[step].get(key))
                raise UqError(
                    f"{settings.path}: {key} is {now}, and was {before} for what is done in {self._path.parent}; accepted: what it was, "
                    f"a new folder by {argument('out')}, or {argument('accept_changes', True)}, which goes on from here with what is new"
                )
            old[step] = new

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            version = content["version"]
            if version == VERSION and isinstance(content["rounds"], list) and isinstance(content["settings"], dict):
                return content
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UqError(f"{self._path}: cannot be read as the state of a loop: {error}; accepted: that of lmp-uq learn") from error
        raise UqError(f"{self._path}: is of version {version}; accepted: {VERSION}, or a new folder by {argument('out')}")


def _said(value: Any) -> str:
    return "missing" if value is None else json.dumps(value)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second loop out of a folder, which is made if it is missing. The lock goes with the process, however it ends.

    Raises
    ------
    UqError
        Another process has it, or the folder cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise UqError(f"{folder}: cannot be made the folder of a loop: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.seek(0)
            raise UqError(f"{folder}: another lmp-uq learn works in it ({stream.read().strip()}); accepted: one at a time") from error
        except OSError as error:
            raise UqError(f"{folder}: cannot be locked: {error.strerror}; accepted: a file system with locks") from error
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        stream.flush()
        yield
