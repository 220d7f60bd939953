# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands as processes of their own: several at once, their output in files, ended when the loop ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lmp_uq.errors import UqError, piece

PATIENCE = 10.0
"""Seconds that a process has to end by itself, as mpiexec with its ranks."""
QUOTED_LINES = 3
_PR_SET_PDEATHSIG = 1
_LIBC: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


class Job(NamedTuple):
    """A command of a shell: its name, what it is, and the file of its output."""

    name: str
    command: str
    output: Path


class JobFailed(UqError):
    """A command that ended with another exit code than 0."""


def run_jobs(jobs: Sequence[Job], parallel: int, folder: Path, ended: Callable[[Job, JobFailed | None], None]) -> None:
    """Run commands, at most so many at once, and say of each when it has ended.

    Parameters
    ----------
    jobs : sequence of Job
    parallel : int
    folder : Path
        In which they run.
    ended : callable
        Of a job and its failure, None: exit code 0. What it raises is raised when those that run have ended; no others are begun then.

    Raises
    ------
    UqError
        A command that could not be begun.
    """
    waiting, running, failure = list(jobs), dict[Job, subprocess.Popen](), None
    try:
        while running or (waiting and failure is None):
            while waiting and failure is None and len(running) < parallel:
                running[waiting[0]] = _begin(waiting[0], folder)
                del waiting[0]
            over = [job for job, process in running.items() if process.poll() is not None]
            for job in over:
                code = running.pop(job).returncode
                try:
                    ended(job, _failure(job, code) if code else None)
                except UqError as error:
                    failure = failure or error
            if not over:
                time.sleep(0.02)
    finally:
        _end(list(running.values()))
    if failure is not None:
        raise failure


def _begin(job: Job, folder: Path) -> subprocess.Popen:
    # python and mpiexec are those of this environment, also where it is not activated
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    words = ["/bin/sh", "-c", _alone(job.command, path)]
    try:
        with open(job.output, "wb") as output:
            return subprocess.Popen(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env=os.environ | {"PATH": path}, preexec_fn=_end_with_parent,
            )  # fmt: skip
    except OSError as error:
        raise UqError(f"{job.name}: cannot be begun: {error}") from error


def _alone(command: str, path: str) -> str:
    """A command that is one program takes the place of the shell, so that what ends this process ends the program."""
    words = list(shlex.shlex(command, posix=True, punctuation_chars=";&|()\n"))
    parts = any(set(word) <= set(";&|()\n") for word in words)
    return command if parts or not words or shutil.which(words[0], path=path) is None else f"exec {command}"


def _end_with_parent() -> None:
    """Between fork and exec: a loop that is killed cannot end its children itself."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: Sequence[subprocess.Popen]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
        until = time.monotonic() + PATIENCE
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(until - time.monotonic(), 0.1))


def _failure(job: Job, code: int) -> JobFailed:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    text = job.output.read_bytes().decode("utf-8", "replace")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    said = " / ".join(piece(line) for line in lines[-QUOTED_LINES:])
    return JobFailed(f"{job.name} {how}; the end of {job.output}: {said or 'nothing'}; command: {job.command}")
