# SPDX-License-Identifier: GPL-2.0-or-later
"""Ranks of a fit: the only user of mpi4py. Without mpiexec there is one rank, and mpi4py is not imported."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from lmp_uq.errors import UqError

LAUNCHED = (
    "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID",
    "PALS_RANKID", "FLUX_TASK_RANK", "JSM_NAMESPACE_RANK",
)  # fmt: skip
"""What process managers set in each process that they start; csrc/lammps/launcher_check.cpp reads how many they announce."""


class Ranks:
    """The processes that share one job; one process by itself is rank 0 of 1.

    Attributes
    ----------
    rank, size : int
    local_rank : int
        Rank among those on the same node: deals out its GPUs.
    """

    rank = 0
    size = 1
    local_rank = 0

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Sum over ranks of a float64 or int64 array of the same shape on each; the same on every rank."""
        return array

    def minimum(self, array: np.ndarray) -> np.ndarray:
        """Elementwise minimum over ranks."""
        return array

    def maximum(self, array: np.ndarray) -> np.ndarray:
        """Elementwise maximum over ranks."""
        return array

    def gather(self, value: Any) -> list[Any]:
        """Values of all ranks, in the order of ranks, on every rank."""
        return [value]

    def alone(self) -> Any:
        """MPI communicator of this process by itself; None where it is the only one."""
        return None

    def abort(self) -> None:
        """End all ranks after an error on this one, which has been printed."""


class MpiRanks(Ranks):
    """Ranks of MPI_COMM_WORLD."""

    def __init__(self) -> None:
        from mpi4py import MPI

        self._mpi, self._comm = MPI, MPI.COMM_WORLD
        self.rank, self.size = self._comm.rank, self._comm.size
        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.local_rank = node.rank
        node.Free()

    def sum(self, array: np.ndarray) -> np.ndarray:
        """See `Ranks.sum`."""
        return self._reduce(array, self._mpi.SUM)

    def minimum(self, array: np.ndarray) -> np.ndarray:
        """See `Ranks.minimum`."""
        return self._reduce(array, self._mpi.MIN)

    def maximum(self, array: np.ndarray) -> np.ndarray:
        """See `Ranks.maximum`."""
        return self._reduce(array, self._mpi.MAX)

    def gather(self, value: Any) -> list[Any]:
        """See `Ranks.gather`."""
        return self._comm.allgather(value)

    def alone(self) -> Any:
        """See `Ranks.alone`."""
        return self._mpi.COMM_SELF

    def abort(self) -> None:
        """See `Ranks.abort`."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._comm.Abort(1)
        os._exit(1)  # Abort may return before the launcher has ended this process

    def _reduce(self, array: np.ndarray, operation: Any) -> np.ndarray:
        array = np.ascontiguousarray(array)
        out = np.empty_like(array)
        self._comm.Allreduce(array, out, op=operation)
        return out


def ranks() -> Ranks:
    """The ranks of this process: those of MPI where a process manager started it, else itself alone."""
    if not any(name in os.environ for name in LAUNCHED):
        return Ranks()
    from lmp_uq.parallel.library import preload_mpi

    preload_mpi()
    found = MpiRanks()
    return found if found.size > 1 else Ranks()


@contextlib.contextmanager
def ending_together(everyone: Ranks) -> Iterator[None]:
    """End all ranks with exit code 1 when one raises: the others may wait in an exchange that it will never reach.

    An error that all ranks find is printed by rank 0 alone, which needs less than the seconds that the others leave it.
    """
    try:
        yield
    except BaseException as failure:
        if everyone.size == 1:
            raise
        if everyone.rank != 0:
            time.sleep(3.0)
        text = f"lmp-uq: error: {failure}" if isinstance(failure, UqError) else traceback.format_exc()
        text = "lmp-uq: interrupted" if isinstance(failure, KeyboardInterrupt) else text
        print(text, file=sys.stderr, flush=True)
        time.sleep(0.5)  # for the launcher to read it
        everyone.abort()


MAIN = "import sys; sys.path = [p for p in sys.path if p]; from lmp_uq.cli import main; raise SystemExit(main())"
"""As ``python -m lmp_uq.cli``, but in the root of a source tree too, whose folder of that name has no extensions."""


def run_on_ranks(n_ranks: int, arguments: list[str]) -> int:
    """Run ``lmp-uq`` with these arguments on ranks of MPI, by the mpiexec of this Python environment or the one on PATH.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    UqError
        No mpiexec, or this process is already one that a launcher started.
    """
    from lmp_uq.parallel.ranks import LAUNCHED

    if any(name in os.environ for name in LAUNCHED):
        raise UqError(f"--ranks {n_ranks} inside mpiexec, which sees one rank only; accepted: either of them, not both")
    beside = os.path.join(os.path.dirname(sys.executable), "mpiexec")
    program = beside if os.path.exists(beside) else shutil.which("mpiexec")
    if program is None:
        raise UqError(f"--ranks {n_ranks} needs mpiexec, which is neither beside {sys.executable} nor on PATH; accepted: --ranks 1")
    return subprocess.call([program, "-n", str(n_ranks), sys.executable, "-c", MAIN, *arguments])
