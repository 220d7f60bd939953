# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of an ASE calculator, as a process of its own: every frame is kept as soon as it has its labels."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError

from lmp_uq.errors import UqError
from lmp_uq.frames.reading import read_atoms
from lmp_uq.learning.labels import LabelStore

ACCEPTED = "accepted: MODULE:FACTORY or MODULE:FACTORY(key=value, ...) with numbers and texts in quotes, as ase.calculators.emt:EMT()"


def parse_calculator(spec: str) -> tuple[str, str, list[Any], dict[str, Any]]:
    """Module, factory and its arguments.

    Raises
    ------
    UqError
        Another form; arguments that are not plain values.
    """
    module, colon, call = spec.partition(":")
    try:
        found = ast.parse(call.strip(), mode="eval").body
        positional, keywords = [], {}
        if isinstance(found, ast.Call):
            positional = [ast.literal_eval(one) for one in found.args]
            keywords = {one.arg: ast.literal_eval(one.value) for one in found.keywords if one.arg is not None}
            if len(keywords) < len(found.keywords):
                raise ValueError
            found = found.func
        if not colon or not module.strip() or not isinstance(found, ast.Name):
            raise ValueError
    except (SyntaxError, ValueError) as error:
        raise UqError(f"calculator {spec!r}; {ACCEPTED}") from error
    return module.strip(), found.id, positional, keywords


def make_calculator(spec: str) -> Any:
    """The calculator that a text names.

    Raises
    ------
    UqError
        No such module or factory, a factory that fails, or gives no calculator of ASE.
    """
    module, factory, positional, keywords = parse_calculator(spec)
    try:
        found = getattr(importlib.import_module(module), factory)(*positional, **keywords)
    except Exception as error:  # whatever the code of somebody else raises
        raise UqError(f"calculator {spec}: {type(error).__name__}: {error}") from error
    if not hasattr(found, "get_property"):
        raise UqError(f"calculator {spec}: is a {type(found).__name__}; accepted: a calculator of ASE")
    return found


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
        raise UqError(f"{where}: the calculator failed: {type(error).__name__}: {error}") from error
    return out


def main() -> int:
    """Arguments: file of frames, folder of labels, calculator. Exit code 0, or 1 after one line on standard error."""
    frames, folder, spec = sys.argv[1:]
    sys.path.insert(0, "")  # modules of the user lie beside the settings of the loop
    try:
        calculator, store = make_calculator(spec), LabelStore(Path(folder))
        for atoms, where in read_atoms(frames):
            if atoms not in store:
                store.put(atoms, labelled_by(calculator, atoms, where), where)
    except UqError as error:
        print(f"lmp-uq: error: {error}", file=sys.stderr)
        return 1
    return 0
