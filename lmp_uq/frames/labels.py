# SPDX-License-Identifier: GPL-2.0-or-later
"""DFT labels of one set of atoms, under whatever names and in whatever shape a file has them.

Labels are looked for under two families of names, in this order: ``REF_energy``, ``REF_forces``,
``REF_stress``, ``REF_virials``; then ``energy``, ``forces``, ``stress``, ``virials``. The second family may
stand in the results of an ASE calculator, where ASE moves it. A frame with one name of the first family is
read by the first alone: numbers of a model that stand beside DFT labels must not pass for DFT. What a frame
has under other names is not read, but noted where the frame lacks that kind of label.

Weights of a frame are those of mace-torch: ``config_weight`` times ``config_energy_weight``,
``config_forces_weight``, ``config_stress_weight`` or ``config_virials_weight``, each 1 unless the frame says
otherwise. What has weight 0 stands where a label is missing, and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import ase
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from lmp_uq.errors import UqError, label_keys
from lmp_uq.frames.notes import UNUSED, WEIGHT_ZERO, ZERO_STRESS, Note, options_for


class LabelKeys(NamedTuple):
    """Names of the labels in the files; None: the default names, see the module docstring."""

    energy: str | None = None
    forces: str | None = None
    stress: str | None = None
    virials: str | None = None


DEFAULT_KEYS = LabelKeys()
KINDS = LabelKeys._fields
_FAMILIES = (
    LabelKeys("REF_energy", "REF_forces", "REF_stress", "REF_virials"),
    LabelKeys("energy", "forces", "stress", "virials"),
)
_OTHER_NAMES = re.compile(r"(?!mace[_.-])(?:.*[_.-])?(energy|forces?|stress|virials?)", re.IGNORECASE)
"""What may be a label; not the numbers of a model that mace-torch and fix uq/select write, as MACE_energy and mace_forces."""
_TOLERANCE = (1e-2, 1e-5)
"""Of stress and -virials/volume: relative to the largest component, and eV/Angstrom^3 (files round)."""


class Labels(NamedTuple):
    """Labels of one frame: energy, eV; forces (n_atoms, 3), eV/Angstrom; stress (3, 3), eV/Angstrom^3.

    weights: of energy, forces and stress. notes: what a user should hear of, once per file.
    """

    energy: float
    forces: np.ndarray | None
    stress: np.ndarray | None
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    notes: tuple[Note, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is a label at all."""
        return np.isfinite(self.energy) or self.forces is not None or self.stress is not None


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
        nan or None for those that the frame lacks or gives weight 0; the stress as a full symmetric tensor, from virials
        -virials/volume, a stress of nothing but zeros as missing.

    Raises
    ------
    UqError
        No label at all, not even of weight 0; no number, NaN or infinite; of a wrong shape; a stress and virials that
        contradict each other; a weight that is negative or no number.
    """
    names, weights = _names(atoms, keys), _weights(atoms, where)
    if not any(name and has_label(atoms, name) for name in names):
        raise UqError(f"{where}: no labels found; looked for {_looked_for(keys)}{_hint(atoms, names)}")
    zero = [kind for kind, name in zip(KINDS, names, strict=True) if name and has_label(atoms, name) and not weights[kind]]
    notes = [Note(WEIGHT_ZERO, kind) for kind in zero]
    read = LabelKeys(*(None if kind in zero else name for kind, name in zip(KINDS, names, strict=True)))
    energy = _shaped(atoms, read.energy, [()], "one number (eV of the cell)", where)
    forces = _shaped(atoms, read.forces, [(len(atoms), 3)], f"{(len(atoms), 3)} (eV/Angstrom)", where)
    stress, source = _stress(atoms, read, where)
    if stress is not None and not stress.any():
        stress = None
        notes.append(Note(ZERO_STRESS, source))
    notes += [Note(UNUSED, kind, name) for kind, name in _unused(atoms, names)]
    number = float("nan") if energy is None else energy.item()
    return Labels(number, forces, stress, (weights["energy"], weights["forces"], weights[source]), tuple(notes))


def labels_if_any(atoms: ase.Atoms, keys: LabelKeys, where: str) -> Labels | None:
    """`find_labels` of a frame that may have none: None then."""
    there = any(name and has_label(atoms, name) for name in _names(atoms, keys))
    return find_labels(atoms, keys, where) if there else None


def names_of_labels(keys: LabelKeys) -> tuple[str, ...]:
    """All names under which labels are looked for."""
    return tuple(dict.fromkeys(name for names in (keys, *_FAMILIES) for name in names if name))


def has_label(atoms: ase.Atoms, name: str) -> bool:
    """Whether a frame has anything under this name."""
    return _lookup(atoms, name) is not None


def _names(atoms: ase.Atoms, keys: LabelKeys) -> LabelKeys:
    """Names to read this frame by: those given, the others from the first family that the frame has."""
    family = next((f for f in _FAMILIES if any(name and has_label(atoms, name) for name in f)), _FAMILIES[-1])
    if keys.stress or keys.virials:  # two names of one thing: what is asked for is not mixed with what is not
        family = family._replace(stress=None, virials=None)
    return LabelKeys(*(key or name for key, name in zip(keys, family, strict=True)))


def _looked_for(keys: LabelKeys) -> str:
    tried = [_names(ase.Atoms(info={name: 0 for name in family if name}), keys) for family in _FAMILIES]
    return ", ".join(dict.fromkeys(name for names in tried for name in names if name))


def _lookup(atoms: ase.Atoms, name: str) -> Any:
    return next((table[name] for table in _tables(atoms) if table.get(name) is not None), None)


def _tables(atoms: ase.Atoms) -> tuple[dict, ...]:
    return atoms.info, atoms.arrays, getattr(atoms.calc, "results", {})


def _weights(atoms: ase.Atoms, where: str) -> dict[str, float]:
    """Weight of each kind of label."""
    whole = _weight(atoms, "config_weight", where)
    weights = {kind: whole * _weight(atoms, f"config_{kind}_weight", where) for kind in KINDS}
    for kind, weight in weights.items():
        if weight == np.inf:
            raise UqError(f"{where}: 'config_weight' times 'config_{kind}_weight' is infinite; accepted: a finite number")
    return weights


def _weight(atoms: ase.Atoms, name: str, where: str) -> float:
    found = atoms.info.get(name, 1.0)
    try:
        value = float(found)
    except (TypeError, ValueError):
        value = np.nan
    if not 0.0 <= value < np.inf:
        raise UqError(f"{where}: '{name}' is {str(found)[:60]!r}; accepted: a number >= 0, and 0 for what is no label")
    return value


def _unused(atoms: ase.Atoms, names: LabelKeys) -> Iterator[tuple[str, str]]:
    """(kind, name) of what looks like labels of a kind that the frame lacks under the names it is read by."""
    missing = {kind for kind, name in zip(KINDS, names, strict=True) if not (name and has_label(atoms, name))}
    if len(missing & {"stress", "virials"}) < 2:  # one of them is enough
        missing -= {"stress", "virials"}
    sizes = {"energy": (1,), "forces": (3 * len(atoms),), "stress": (6, 9), "virials": (6, 9)}
    for name in dict.fromkeys(str(name) for table in _tables(atoms) for name in table):
        word = _OTHER_NAMES.fullmatch(name)
        kind = {"e": "energy", "f": "forces", "s": "stress", "v": "virials"}[word[1][0].lower()] if word else ""
        if kind in missing and np.size(_lookup(atoms, name)) in sizes[kind]:
            yield kind, name


def _hint(atoms: ase.Atoms, names: LabelKeys) -> str:
    found = options_for(_unused(atoms, names))
    return f"; there may be some under other names, which can be asked for: {found}" if found else ""


def _shaped(atoms: ase.Atoms, name: str | None, shapes: list[tuple], accepted: str, where: str) -> np.ndarray | None:
    """One label as finite numbers of one of the shapes, () for a single number however it is wrapped; None if there is none."""
    numbers = None if name is None else _numbers(atoms, name, where)
    if numbers is not None and numbers.shape not in shapes and not (shapes == [()] and numbers.size == 1):
        raise UqError(f"{where}: '{name}' has shape {numbers.shape}; accepted: {accepted}")
    return numbers


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


def _stress(atoms: ase.Atoms, names: LabelKeys, where: str) -> tuple[np.ndarray | None, str]:
    """The stress, and which of stress and virials it is from."""
    stress = _tensor(atoms, names.stress, "eV/Angstrom^3", where)
    virials = _tensor(atoms, names.virials, "eV", where)
    if virials is None or not virials.any():
        return (virials, "virials") if stress is None and virials is not None else (stress, "stress")
    virials = -virials / atoms.get_volume()
    if stress is None or not stress.any():
        return virials, "virials"
    _compare(stress, virials, names, where)
    return stress, "stress"


def _tensor(atoms: ase.Atoms, name: str | None, unit: str, where: str) -> np.ndarray | None:
    """Full symmetric tensor from 3x3, from 9 numbers or from 6 in the order xx yy zz yz xz xy (Voigt)."""
    found = _shaped(atoms, name, [(3, 3), (9,), (6,)], f"(3, 3), (9,) or (6,) ({unit})", where)
    if found is None:
        return None
    if found.any() and atoms.cell.rank < 3:
        accepted = "a cell of three vectors, or no stress"
        raise UqError(f"{where}: '{name}' belongs to a frame without a volume; accepted: {accepted}")
    full = voigt_6_to_full_3x3_stress(found) if found.shape == (6,) else found.reshape(3, 3)
    return 0.5 * (full + full.T)


def _compare(stress: np.ndarray, of_virials: np.ndarray, names: LabelKeys, where: str) -> None:
    """UqError if a stress and the one that virials say are not the same."""
    allowed = _TOLERANCE[0] * np.abs(stress).max() + _TOLERANCE[1]
    if np.abs(of_virials - stress).max() <= allowed:
        return
    k = np.unravel_index(np.argmax(np.abs(of_virials - stress)), (3, 3))
    sign = ", which is the opposite sign," if np.abs(of_virials + stress).max() <= allowed else ""
    raise UqError(
        f"{where}: '{names.stress}' and -'{names.virials}'/volume contradict each other: {stress[k]:.4g} and {of_virials[k]:.4g} "
        f"eV/Angstrom^3{sign} in component {'xyz'[k[0]]}{'xyz'[k[1]]}; accepted: the same stress, or one of them named by "
        f"{label_keys({'stress': [str(names.stress)]})} or {label_keys({'virials': [str(names.virials)]})}"
    )
