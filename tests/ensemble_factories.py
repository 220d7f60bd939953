# SPDX-License-Identifier: GPL-2.0-or-later
"""Factories of calculators for tests of lmp-uq ensemble, also of those that fail, and what counts how often they were asked."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, all_changes


class Springs(Calculator):
    """A force of -k on every atom along x, and what a test asks for beside it."""

    implemented_properties: ClassVar[list[str]] = ["energy", "forces"]

    def __init__(self, k: float = 1.0, *, nan: bool = False, shape: int = 3, fails: str = "", folder: str = "", dies_at: int = 0) -> None:
        super().__init__()
        self.k, self.nan, self.shape, self.fails, self.folder, self.dies_at = k, nan, shape, fails, folder, dies_at

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        if self.fails in (atoms.get_chemical_symbols() if self.fails else ()):
            raise ValueError(f"no parameters for {self.fails}")
        if self.folder:
            log = Path(self.folder, "calls")
            with open(log, "a") as file:
                file.write("x")
            if log.stat().st_size == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
        forces = np.zeros((len(atoms), self.shape))
        forces[:, 0] = np.nan if self.nan else -self.k
        self.results = {"energy": 0.1 * self.k * len(atoms), "forces": forces}


def nothing() -> int:
    """No calculator."""
    return 3


def leaves() -> None:
    """As a package does that misses its files."""
    raise SystemExit("weights not found")


def chatty() -> Springs:
    """As packages do that greet their users."""
    print("made")
    made = Springs()
    calculate = made.calculate

    def speaking(*arguments, **options):
        print("asked")
        calculate(*arguments, **options)

    made.calculate = speaking
    return made
