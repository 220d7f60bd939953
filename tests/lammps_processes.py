# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes of the LAMMPS tests: ranks that stay and run many jobs, and programs that run once."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import ase
import emulated_device
import numpy as np
from lammps_cases import PLAIN, script, thermo_tables, write_data

BIN = Path(sys.executable).parent
DRIVER = Path(__file__).with_name("lammps_driver.py")


class LammpsError(Exception):
    """Error raised by LAMMPS in a job; `texts` has the message of every rank."""

    def __init__(self, texts: list[str]):
        super().__init__("\n".join(texts))
        self.texts = texts


@dataclass
class Result:
    """Files and snapshots of one job."""

    folder: Path
    snapshots: dict[str, dict]

    @property
    def log(self) -> str:
        return (self.folder / "log.lammps").read_text()

    @property
    def thermo(self) -> list[dict[str, np.ndarray]]:
        return thermo_tables(self.log)


class Ranks:
    """N ranks that stay and run jobs; started by the first job, and again after a job that they did not survive."""

    def __init__(self, n: int, folder: Path):
        self.n, self.folder = n, folder
        self.process, self.inbox, self.job, self.starts = None, None, 0, 0

    def run(self, text: str, folder: Path, timeout: float = 300.0, machine: dict | None = None) -> Result:
        """Run a script in a folder (see `lammps_driver.run_job`); one that asks for a device, or has a machine, gets the emulated one.

        Raises
        ------
        LammpsError
            With the text of every rank.
        TimeoutError, ChildProcessError
            The ranks hung, or died; the next job gets new ones.
        """
        if self.process is None or self.process.poll() is not None:
            self._start()
        settings = emulated_device.variables(**machine or {}) if machine is not None or " device cuda" in text else {}
        job = {"script": text, "folder": str(folder), "environment": settings}
        part = self.inbox / "part"
        part.write_bytes(pickle.dumps(job))
        part.rename(self.inbox / f"job-{self.job}.pkl")
        answer = self._wait(self.inbox / f"result-{self.job}.pkl", timeout)
        self.job += 1
        if any(answer["errors"]):
            raise LammpsError(answer["errors"])
        return Result(folder, answer["answer"])

    def _start(self):
        self.inbox = self.folder / f"ranks{self.n}-{self.starts}"
        self.inbox.mkdir()
        self.starts, self.job = self.starts + 1, 0
        command = [BIN / "mpiexec", "-n", str(self.n), sys.executable, DRIVER, self.inbox, str(os.getpid())]
        with open(self.inbox / "output", "wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment(), start_new_session=True
            )

    def _wait(self, path: Path, timeout: float) -> dict:
        end = time.monotonic() + timeout + 60.0 * (self.job == 0)
        while not path.exists():
            ended = self.process.poll() is not None
            if ended or time.monotonic() > end:
                self._kill()
                tail = (self.inbox / "output").read_text()[-4000:]
                raise (ChildProcessError if ended else TimeoutError)(f"{self.n} ranks, job {self.job}:\n{tail}")
            time.sleep(0.005)
        return pickle.loads(path.read_bytes())

    def _kill(self):
        end_group(self.process)
        self.process = None

    def stop(self):
        """Tell the processes to end."""
        if self.process is not None:
            (self.inbox / "stop").touch()

    def join(self):
        """Wait for the end."""
        if self.process is None:
            return
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self._kill()


class Lammps:
    """Runs systems with the model files of `models`; every run has a folder of its own."""

    def __init__(self, folder: Path, models):
        self.folder, self.models = folder, models
        self._started, self._number = {}, itertools.count()

    def new_folder(self) -> Path:
        path = self.folder / f"run-{next(self._number)}"
        path.mkdir()
        return path

    def write(
        self,
        folder: Path,
        atoms: ase.Atoms,
        *more: str,
        elements=("Si", "O"),
        pair: str = PLAIN,
        before: str = "",
        model: Path | None = None,
    ) -> str:
        """Write system.data and return a script for it."""
        write_data(folder / "system.data", atoms, elements)
        return script("system.data", model or self.models.full, *more, pair=pair, before=before)

    def run(self, atoms: ase.Atoms, *more: str, n: int = 1, folder: Path | None = None, machine: dict | None = None, **options) -> Result:
        """Run a system on n ranks; options of `write`. Errors, and machine, as in `Ranks.run`."""
        folder = folder or self.new_folder()
        return self._ranks(n).run(self.write(folder, atoms, *more, **options), folder, machine=machine)

    def state(self, *arguments, **options) -> dict:
        """Like `run`, returning the last snapshot that the script asks for."""
        return list(self.run(*arguments, **options).snapshots.values())[-1]

    def fails(self, *arguments, **options) -> str:
        """Like `run`, for a script that must end with one error, the same on every rank: its text."""
        try:
            self.run(*arguments, **options)
        except LammpsError as failure:
            if len(set(failure.texts)) > 1:
                raise
            return failure.texts[0]
        raise AssertionError("LAMMPS raised no error")

    def _ranks(self, n: int) -> Ranks:
        if n not in self._started:
            self._started[n] = Ranks(n, self.folder)
        return self._started[n]

    def stop(self):
        """End all processes."""
        for processes in self._started.values():
            processes.stop()
        for processes in self._started.values():
            processes.join()


def environment(**changes: str) -> dict[str, str]:
    """Environment of a child process: one thread per rank, and nothing of the checkout on the path."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LAMMPS_PLUGIN_PATH") and not k.startswith("LMP_UQ_")}
    # ranks that wait give their core away: the tests start more ranks than some machines have cores
    return kept | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPIR_CVAR_POLLS_BEFORE_YIELD": "1"} | changes


def end_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@dataclass
class Ended:
    """A process that ended by itself."""

    code: int
    text: str
    seconds: float


def execute(*command, ranks: int = 0, folder: Path, timeout: float = 300.0, stdin: str = "", **changes: str) -> Ended:
    """Run a program of the environment's bin folder, under mpiexec for ranks > 0; a hang raises TimeoutError."""
    command = [str(BIN / command[0]), *map(str, command[1:])]
    if ranks:
        command = [str(BIN / "mpiexec"), "-n", str(ranks), *command]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(**changes),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(stdin, timeout)
    except subprocess.TimeoutExpired:
        end_group(process)
        raise TimeoutError(f"{' '.join(command)}: no end after {timeout} s\n{process.stdout.read()[-4000:]}") from None
    return Ended(process.returncode, text, time.monotonic() - began)
