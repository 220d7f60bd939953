# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of an ASE calculator, as a process of its own: every frame is kept as soon as it has its labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from lmp_uq.ase_factory import make_calculator, parse_factory, said
from lmp_uq.errors import UqError
from lmp_uq.frames.reading import read_atoms
from lmp_uq.learning.labels import LabelStore


def labelled_by(calculator: Any, atoms: Atoms, where: str) -> Atoms:
    """The frame with REF_energy, REF_forces and, where the calculator has it, REF_stress.

    Raises
    ------
    UqError
        The calculation fails.
    """
    out, atoms = atoms.copy(), atoms.copy()
    atoms.calc = calculator
    try:
        out.info["REF_energy"] = float(atoms.get_potential_energy())
        out.arrays["REF_forces"] = atoms.get_forces()
        if atoms.cell.rank == 3 and atoms.pbc.all():
            try:
                out.info["REF_stress"] = atoms.get_stress(voigt=False)
            except (PropertyNotImplementedError, NotImplementedError):
                out.info.pop("REF_stress", None)
    except Exception as error:  # whatever the code of somebody else raises
        raise UqError(f"{where}: the calculator failed: {said(error)}") from error
    return out


def main() -> int:
    """Arguments: file of frames, folder of labels, calculator. Exit code 0, or 1 after one line on standard error."""
    frames, folder, spec = sys.argv[1:]
    sys.path.insert(0, "")  # modules of the user lie beside the settings of the loop
    try:
        called = f"calculator {spec}"
        calculator, store = make_calculator(parse_factory(spec, called), called), LabelStore(Path(folder))
        for atoms, where in read_atoms(frames):
            if atoms not in store:
                store.put(atoms, labelled_by(calculator, atoms, where), where)
    except UqError as error:
        print(f"lmp-uq: error: {error}", file=sys.stderr)
        return 1
    return 0
