# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of the best model in the place of DFT, on the frames on which the models agree.

K. Liu et al., arXiv:2507.21297 ("uncertainty-aware model distillation").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ase
import numpy as np

from lmp_uq.ensembles.pool import Record
from lmp_uq.errors import UqError, argument
from lmp_uq.frames.energy_zero import energy_offsets
from lmp_uq.frames.frame import Frame
from lmp_uq.frames.labels import KINDS, LabelKeys, names_of_labels
from lmp_uq.frames.notes import LABELS_OF
from lmp_uq.metrics.bars import size_metrics

THRESHOLD = 0.25
"""eV/Angstrom: U below which a model's labels are taken unless the user says otherwise."""
STEPS = (0.1, 0.25, 0.5, 1.0, 2.0)
"""U_c of the table, beside the one that was asked for."""
U_ATOM, V_ATOM = "ensemble_U_atom", "ensemble_V"
"""Columns that frames get."""


@dataclass(frozen=True)
class Labeller:
    """Puts the labels of one model into frames.

    Attributes
    ----------
    member : int
        Whose labels.
    name : str
        Of that model.
    keys : LabelKeys
        Names of the labels; without a name REF_energy and REF_forces.
    offsets : dict or None
        Element to eV/atom, added to the model's energy; None: no label of the energy.
    """

    member: int
    name: str
    keys: LabelKeys
    offsets: dict[str, float] | None

    def replace(self, atoms: ase.Atoms, energies: np.ndarray, forces: np.ndarray) -> None:
        """Take off all labels and put in those of the model; of energies (K,), eV, and forces (K, n, 3), eV/Angstrom."""
        without_labels(atoms, self.keys)
        atoms.arrays[self.keys.forces or "REF_forces"] = forces[self.member].copy()
        if self.offsets is not None:
            zero = sum(self.offsets.get(symbol, 0.0) for symbol in atoms.get_chemical_symbols())
            atoms.info[self.keys.energy or "REF_energy"] = float(energies[self.member] + zero)
        atoms.info[LABELS_OF] = self.name


def without_labels(atoms: ase.Atoms, keys: LabelKeys) -> None:
    """Take off all labels, their weights, and the mark of whose they are."""
    for name in names_of_labels(keys):
        atoms.info.pop(name, None)
        atoms.arrays.pop(name, None)
    for name in (LABELS_OF, *(f"config_{kind}_weight" for kind in KINDS)):
        atoms.info.pop(name, None)
    atoms.calc = None


def energy_zero_of(records: Sequence[Record], member: int, fit_offsets: bool, agreed: np.ndarray) -> dict[str, float]:
    """Energies per atom of each element, eV, that lead from a model's zero to that of the labels; none where the zeros are the same.

    Of frames on which the models agree, (n,) bool, where such have energies: elsewhere the model's error may be larger than any zero.

    Raises
    ------
    UqError
        Zeros that differ, without fit_offsets; fit_offsets without a labelled energy.
    """
    known = [k for k, one in enumerate(records) if np.isfinite(one.energies[member])]
    used = [records[k] for k in known if agreed[k] and not records[k].silent] or [records[k] for k in known]
    frames = [Frame(ase.Atoms(list(one.composition.elements())), np.nan, None, None, one.group, one.source, 0) for one in used]
    residuals = [one.energies[member] for one in used]
    if frames:
        elements = sorted({symbol for frame in frames for symbol in frame.atoms.get_chemical_symbols()})
        return energy_offsets(frames, np.array(residuals), fit_offsets, elements)
    if fit_offsets:
        raise UqError(f"{argument('fit_offsets', True)}: no frame has an energy; accepted: frames with energies of a reference")
    return {}


def filter_table(
    records: Sequence[Record], u: np.ndarray, member: int, threshold: float | None, offsets: dict[str, float] | None
) -> list[dict[str, Any]]:
    """What labels of a model below each U_c would cost, on the labelled frames.

    Parameters
    ----------
    records : sequence of Record
    u : (n,) array
        U of each, eV/Angstrom.
    member : int
        Whose labels.
    threshold : float or None
        A row beside those of `STEPS`.
    offsets : dict or None
        As in `Labeller`; None: no column of energies.

    Returns
    -------
    list of dict
        threshold; to_dft: share of the atoms of labelled frames whose frames have U >= U_c; all_to_dft: the same of all frames; rmse:
        of the force components of the labels, worst_p95: 95th percentile over frames of the worst atom, eV/Angstrom; n_frames that they
        are of; energy_rmse, eV/atom.
    """
    steps = sorted({*STEPS, *([] if threshold is None else [threshold])})
    return [_row(records, u, member, step, offsets) for step in steps]


def _row(records: Sequence[Record], u: np.ndarray, member: int, step: float, offsets: dict[str, float] | None) -> dict[str, Any]:
    labelled = [k for k, one in enumerate(records) if one.labelled]
    taken = [records[k] for k in labelled if u[k] < step]
    n_taken = sum(one.n_atoms for one in taken)
    out: dict[str, Any] = {
        "threshold": step,
        "to_dft": 1.0 - n_taken / max(sum(records[k].n_atoms for k in labelled), 1),
        "all_to_dft": 1.0 - sum(one.n_atoms for one, mine in zip(records, u, strict=True) if mine < step) / sum(r.n_atoms for r in records),
        "n_frames": len(taken),
        "rmse": float(np.sqrt(sum(one.squares[member] for one in taken) / (3 * n_taken))) if taken else None,
        "worst_p95": float(np.percentile([one.errors[member] for one in taken], 95)) if taken else None,
    }
    if offsets is not None:
        away = [(one.energies[member] - _zero(one, offsets)) / one.n_atoms for one in taken if np.isfinite(one.energies[member])]
        out["energy_rmse"] = size_metrics(np.array(away))["rmse"]
    return out


def _zero(record: Record, offsets: dict[str, float]) -> float:
    symbols = ase.Atoms(list(record.composition)).get_chemical_symbols()
    return sum(offsets.get(symbol, 0.0) * n for symbol, n in zip(symbols, record.composition.values(), strict=True))
