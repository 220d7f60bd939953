# SPDX-License-Identifier: GPL-2.0-or-later
"""DFT labels of one set of atoms, under whatever names and in whatever shape a file has them.

Labels are looked for under two families of names, in this order: ``REF_energy``, ``REF_forces``,
``REF_stress``; then ``energy``, ``forces``, ``stress``. The second family may stand in the results of an ASE
calculator, where ASE moves it. A frame with one name of the first family is read by the first alone: numbers
of a model that stand beside DFT labels must not pass for DFT.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ase
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from lmp_uq.errors import UqError


class LabelKeys(NamedTuple):
    """Names of the labels in the files; None: the default names, see the module docstring."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None


DEFAULT_KEYS = LabelKeys()
_FAMILIES = (LabelKeys("REF_energy", "REF_forces", "REF_stress"), LabelKeys("energy", "forces", "stress"))


class Labels(NamedTuple):
    """Labels of one frame: energy, eV; forces (n_atoms, 3), eV/Angstrom; stress (3, 3), eV/Angstrom^3."""

    energy: float
    forces: np.ndarray | None
    stress: np.ndarray | None


def find_labels(atoms: ase.Atoms, keys: LabelKeys, where: str) -> Labels:
    """Find and check the labels of one frame.

    Parameters
    ----------
    atoms : ase.Atoms
        With its calculator, if the file had results.
    keys : LabelKeys
        Names to look for instead of the default ones.
    where : str
        File and frame, for messages.

    Returns
    -------
    Labels
        nan or None for those that the frame lacks; the stress as a full symmetric tensor.

    Raises
    ------
    UqError
        No label at all; no number, NaN or infinite; of a wrong shape.
    """
    names = _names(atoms, keys)
    energy, forces, stress = (_numbers(atoms, name, where) for name in names)
    if energy is None and forces is None and stress is None:
        tried = [LabelKeys(*(key or name for key, name in zip(keys, f, strict=True))) for f in _FAMILIES]
        looked_for = ", ".join(dict.fromkeys(name for names in tried for name in names))
        raise UqError(f"{where}: no labels found; looked for {looked_for}")
    if energy is not None and energy.size != 1:
        raise UqError(
            f"{where}: '{names.energy}' has shape {energy.shape}; accepted: one number (eV of the cell)"
        )
    if forces is not None and forces.shape != (len(atoms), 3):
        shape = (len(atoms), 3)
        raise UqError(f"{where}: '{names.forces}' has shape {forces.shape}; accepted: {shape} (eV/Angstrom)")
    if stress is not None:
        stress = _full_stress(stress, names.stress, atoms, where)
    return Labels(float("nan") if energy is None else energy.item(), forces, stress)


def has_label(atoms: ase.Atoms, name: str) -> bool:
    """Whether a frame has anything under this name."""
    return _lookup(atoms, name) is not None


def _names(atoms: ase.Atoms, keys: LabelKeys) -> LabelKeys:
    """Names to read this frame by: those given, the others from the first family that the frame has."""
    family = next((f for f in _FAMILIES if any(has_label(atoms, name) for name in f)), _FAMILIES[-1])
    return LabelKeys(*(key or name for key, name in zip(keys, family, strict=True)))


def _lookup(atoms: ase.Atoms, name: str) -> Any:
    results = getattr(atoms.calc, "results", {})
    for table in (atoms.info, atoms.arrays, results):
        if table.get(name) is not None:
            return table[name]
    return None


def _numbers(atoms: ase.Atoms, name: str, where: str) -> np.ndarray | None:
    """One label as finite numbers, or None."""
    value = _lookup(atoms, name)
    if value is None:
        return None
    try:
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise UqError(f"{where}: '{name}' is {str(value)[:60]!r}; accepted: numbers") from None
    if not np.isfinite(numbers).all():
        raise UqError(
            f"{where}: '{name}' holds NaN or infinite numbers; accepted: finite ones, or no '{name}'"
        )
    return numbers.astype(float, copy=False)


def _full_stress(stress: np.ndarray, name: str, atoms: ase.Atoms, where: str) -> np.ndarray:
    """Full symmetric tensor from 3x3, from 9 numbers or from 6 in the order xx yy zz yz xz xy (Voigt)."""
    if stress.shape not in ((3, 3), (9,), (6,)):
        accepted = "(3, 3), (9,) or (6,) (eV/Angstrom^3)"
        raise UqError(f"{where}: '{name}' has shape {stress.shape}; accepted: {accepted}")
    if stress.any() and atoms.cell.rank < 3:
        accepted = "a cell of three vectors, or no stress"
        raise UqError(f"{where}: '{name}' belongs to a frame without a volume; accepted: {accepted}")
    full = voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress.reshape(3, 3)
    return 0.5 * (full + full.T)
