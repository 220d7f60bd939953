# SPDX-License-Identifier: GPL-2.0-or-later
"""Brute force: a property of each member in turn, shared out over ranks, resumable, failures counted.

What is done is a file of JSON lines. A line is written whole after each member, so that a run that ends early goes on where it stopped,
with any number of ranks. Failures are lines too: they are not tried again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.property import Property

MEANING = 2
"""Of the values of members; counted up when a change makes old ones something else. 2: phases are relaxed in their symmetry."""


class NotKept(UqError):
    """What has been computed cannot be kept. Ends a run: it says nothing about a property, and may be true on one rank alone."""


class MemberValues(NamedTuple):
    """Values (K, Q) with NaN for those that failed, reasons and flags by count, members with flags, seconds of all members together."""

    values: np.ndarray
    failures: Counter
    flags: Counter
    odd: int
    seconds: float


class MemberFile:
    """The members that have been computed, of all properties of all suites with one model file or several.

    Parameters
    ----------
    path : str or Path or None
        None: nothing is kept.

    Raises
    ------
    UqError
        The file cannot be read, or holds lines that are not of this kind.
    NotKept
        By `add`: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._known = path, {}
        if path is None or not Path(path).exists():
            return
        try:
            lines = Path(path).read_bytes().split(b"\n")
        except OSError as error:
            raise UqError(f"{path}: cannot be read: {error.strerror}") from error
        for number, line in enumerate(lines):
            try:
                record = json.loads(line)
                if not ("failure" in record or {"values", "flags"} <= record.keys()):
                    raise KeyError("values")
                self._known[record["key"], record["member"]] = record | {"seconds": float(record["seconds"])}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if line.strip():
                    raise UqError(f"{path}: line {number + 1} is no record of a member; remove the file to begin anew") from error

    def get(self, key: str, member: int) -> dict | None:
        """The record of a member, if there is one."""
        return self._known.get((key, member))

    def share(self, ranks: Ranks) -> None:
        """Know what rank 0 has read, on every rank: another run may have written in between, and the ranks would divide different work."""
        self._known = ranks.gather(self._known)[0]

    def keep(self, record: dict) -> None:
        """Know a record that another rank has written."""
        self._known[record["key"], record["member"]] = record

    def add(self, record: dict) -> None:
        """Keep a record; on the disk by one write, so that ranks do not mix their lines."""
        self.keep(record)
        if self._path is None:
            return
        line = (json.dumps(record) + "\n").encode()
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                written = os.write(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            raise NotKept(f"{self._path}: cannot be written: {error.strerror}") from error
        if written < len(line):
            raise NotKept(f"{self._path}: cannot be written: the disk took {written} of {len(line)} bytes of a line")


def key_of(potential: Any, kind: str, prop: Property) -> str:
    """What makes two computations of a member the same: model file, kind, options, and the text of inputs they name."""
    options = dict(prop.options)
    for name, value in prop.options.items():
        if isinstance(value, str) and Path(value).is_file():
            options[name] = hashlib.sha256(Path(value).read_bytes()).hexdigest()
    text = json.dumps([MEANING, potential.sha256, kind, options, [q.name for q in prop.quantities]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def run_members(prop: Property, thetas: np.ndarray, key: str, file: MemberFile, ranks: Ranks, progress: bool = False) -> MemberValues:
    """The property of every Theta (K, P) by brute force; the same on every rank."""
    todo = [k for k in range(len(thetas)) if file.get(key, k) is None]
    bar = tqdm(todo[ranks.rank :: ranks.size], desc=prop.name, unit="member", leave=False, disable=not progress)
    mine = [_record(prop, thetas[k], key, k, file) for k in bar]
    for part in ranks.gather(mine):
        for record in part:
            if file.get(key, record["member"]) is None:
                file.keep(record)
    return _collect([file.get(key, k) for k in range(len(thetas))], len(prop.quantities))


def _record(prop, theta, key, member, file):
    start, record = time.perf_counter(), {"key": key, "member": member, "property": prop.name}
    try:
        outcome = prop.member(theta)
        if not np.isfinite(outcome.values).all():
            raise PropertyFailure("a value is not finite")
        record |= {"values": [float(v) for v in outcome.values], "flags": list(outcome.flags)}
    except PropertyFailure as failure:
        record["failure"] = str(failure)
    record["seconds"] = time.perf_counter() - start
    file.add(record)
    return record


def _collect(records, n_quantities):
    values = np.full((len(records), n_quantities), np.nan)
    failures: Counter[str] = Counter()
    flags: Counter[str] = Counter()
    odd = 0
    for k, record in enumerate(records):
        if "failure" in record:
            failures[record["failure"]] += 1
        else:
            values[k] = record["values"]
            flags.update(set(record["flags"]))
            odd += bool(record["flags"])
    return MemberValues(values, failures, flags, odd, sum(record["seconds"] for record in records))


def drop_cut_line(path: Path) -> None:
    """Remove a last line that a run left without its end; by one process, before others read the file."""
    path = Path(path)
    try:
        if path.exists():
            content = path.read_bytes()
            if not content.endswith(b"\n"):
                os.truncate(path, content.rfind(b"\n") + 1)
    except OSError as error:
        raise UqError(f"{path}: cannot be read or written: {error.strerror}") from error
