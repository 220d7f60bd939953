# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated device (csrc/mace/cuda/emulation): its library, compiled once for all processes of a session, and who is told of it."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from pathlib import Path

LIBRARY = Path(__file__).with_name("cpp") / "emulation" / "library.sh"


@functools.cache
def library() -> str:
    """Path of the emulated liblmp_uq_cuda.so; LMP_UQ_EMULATED_LIBRARY names one that is compiled already."""
    if path := os.environ.get("LMP_UQ_EMULATED_LIBRARY"):
        return path
    done = subprocess.run(["sh", LIBRARY, "plain"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def variables(**settings) -> dict[str, str]:
    """Environment of a process whose machine is the emulated one, with settings as MEMORY_MB or DEVICES."""
    return {"LMP_UQ_CUDA_LIBRARY": library()} | {f"LMP_UQ_EMULATION_{name}": str(value) for name, value in settings.items()}


def noted(path: Path, what: str) -> list[int]:
    """Numbers of the lines that a device with NOTES=path has written of a kind: launch, graph, and bytes of copies to it and from it."""
    lines = (line.split() for line in path.read_text().splitlines())
    return [int(number) for kind, number in lines if kind == what]


@contextlib.contextmanager
def machine(**settings):
    """This process has the emulated device."""
    changed = variables(**settings)
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
