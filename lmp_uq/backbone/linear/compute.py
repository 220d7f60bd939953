# SPDX-License-Identifier: GPL-2.0-or-later
"""A linear potential on the descriptors of any per-atom compute of LAMMPS, with rows from computes of derivatives or from differences."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from lmp_uq.backbone.linear.compute_settings import ComputeSettings
from lmp_uq.backbone.linear.potential import LAMMPS_VOIGT, Columns, LinearBackbone, lammps_cell, order_of
from lmp_uq.errors import UqError

STEP = 1e-4
"""Angstrom, and strain, of central differences."""
BY_MOVED_ATOM = "podd/atom"
"""Style whose rows are those of the centre, with blocks of three for each atom that moves; others have the blocks of snad/atom."""
_ID = "lmp_uq_columns_"
_ATOM, _VECTOR, _ARRAY, _COLUMNS = 1, 1, 2, 5
"""LAMMPS' words for what is extracted of a compute (LMP_STYLE_ATOM, LMP_TYPE_VECTOR, LMP_TYPE_ARRAY, LMP_SIZE_COLS)."""
log = logging.getLogger(__name__)


class ComputeBackbone(LinearBackbone):
    """A linear potential on columns of a compute; its architecture is what `ComputeSettings.header` gives.

    Where there is no compute of derivatives, rows are central differences: 6 N evaluations of a frame of N atoms for forces, 12 for the
    virial.
    """

    def _settings(self, architecture):
        n = len(self.coefficients) // len(self.elements) - 1
        return ComputeSettings.from_header(architecture, self.elements, n)

    def columns_of(self, roles: Sequence[str]) -> dict[str, int]:
        """Columns of the computes of these roles, for one atom of each element; UqError for what LAMMPS refuses."""
        n = len(self.elements)
        chain = 0.45 * self.cutoff * np.outer(np.arange(n), [1.0, 0.0, 0.0])
        probe = Atoms(list(self.elements), positions=chain, cell=(2.0 * self.cutoff + chain[-1]) * np.ones(3), pbc=True)
        cell, _, positions = lammps_cell(probe, self.cutoff)
        try:
            lmp, _ = self._evaluate_roles(cell, positions, np.arange(n), roles)
            return {role: max(1, _columns(lmp, role)) for role in roles}
        except UqError:
            raise
        except Exception as error:  # the lammps module raises bare exceptions
            raise UqError(f"LAMMPS refuses the descriptors: {str(error).strip()}") from error

    def _evaluate_roles(self, cell, positions, species, roles):
        """`_evaluate` with the computes of these roles; their files are there as long, so that a process that ends leaves none behind."""
        with tempfile.TemporaryDirectory(prefix="lmp-uq-") as folder:
            for name, text in self.settings.files.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            lines = [f"compute {_ID}{role} all {self.settings.words(role, folder)}" for role in roles]
            return self._evaluate(cell, positions, species, lines)

    def _run(self, cell, positions, species):
        given = [role for role, words in self.settings.computes.items() if words]
        lmp, reference = self._evaluate_roles(cell, positions, species, given)
        descriptors = self._in_blocks(self._table(lmp, "descriptors", len(species)), species)
        tables = {role: self._table(lmp, role, len(species)) for role in given[1:]}
        forces = self._force_rows(tables.get("gradient"), cell, positions, species)
        return Columns(descriptors, forces, self._virial_rows(tables.get("virial"), cell, positions, species)), reference

    def _table(self, lmp, role, n):
        """(n, columns) of a compute, atoms in their order; UqError for values that are no numbers."""
        table = np.array(lmp.numpy.extract_compute(_ID + role, _ATOM, _ARRAY if _columns(lmp, role) else _VECTOR))
        table = table[:n].reshape(n, -1)[order_of(lmp, n)]
        if not np.isfinite(table).all():
            raise UqError(f"compute {self.settings.words(role).split()[0]} gives values that are no numbers for a frame of {n} atoms")
        return table

    def _in_blocks(self, table, species):
        """(N, P): the columns of each atom in the block of its element."""
        out = np.zeros((len(species), len(self.elements), table.shape[1]))
        out[np.arange(len(species)), species] = table
        return out.reshape(len(species), -1)

    def _force_rows(self, table, cell, positions, species):
        """(3 N, P) from a compute's columns, or from differences."""
        n, n_elements, n_own = len(species), len(self.elements), self.settings.n_per_element
        if table is None:
            return self._differences([_moved(cell, positions, atom, axis) for atom in range(n) for axis in range(3)], species)
        if self.settings.computes["gradient"].split()[0] == BY_MOVED_ATOM:
            moved = table.reshape(n, n, 3, n_own)
            rows = np.stack([moved[species == s].sum(axis=0) for s in range(n_elements)], axis=2)
        else:
            rows = table.reshape(n, n_elements, 3, n_own).swapaxes(1, 2)
        return rows.reshape(3 * n, n_elements * n_own)

    def _virial_rows(self, table, cell, positions, species):
        """(6, P) from a compute's columns, or from differences."""
        n_elements, n_own = len(self.elements), self.settings.n_per_element
        if table is None:
            return self._differences([_strained(cell, positions, a, b) for a, b in LAMMPS_VOIGT], species)
        return table.sum(axis=0).reshape(n_elements, 6, n_own).swapaxes(0, 1).reshape(6, n_elements * n_own)

    def _differences(self, changes, species):
        """(n, P) minus the derivative of the summed descriptors along each change, a function of the length of a step."""
        rows = [(self._summed(change(-STEP), species) - self._summed(change(STEP), species)) / (2.0 * STEP) for change in changes]
        return np.array(rows).reshape(len(rows), self.n_features)

    def _summed(self, moved, species):
        """(P,) descriptors summed over the atoms of any cell; moved: its vectors and positions."""
        vectors, positions = moved
        frame = Atoms([self.elements[s] for s in species], positions=positions, cell=vectors, pbc=True)
        cell, _, inside = lammps_cell(frame, self.cutoff)
        lmp, _ = self._evaluate_roles(cell, inside, species, ["descriptors"])
        return self._in_blocks(self._table(lmp, "descriptors", len(species)), species).sum(axis=0)


def _columns(lmp, role):
    """Columns of a per-atom array, 0 of a per-atom vector."""
    found = lmp.extract_compute(_ID + role, _ATOM, _COLUMNS)
    if found is None:
        raise UqError(f"the compute of the {role} has no per-atom values")
    return found


def _moved(cell, positions, atom, axis):
    def change(step):
        moved = positions.copy()
        moved[atom, axis] += step
        return cell, moved

    return change


def _strained(cell, positions, a, b):
    def change(step):
        strain = np.eye(3)
        strain[a, b] += 0.5 * step
        strain[b, a] += 0.5 * step
        return cell @ strain, positions @ strain

    return change


def with_columns(settings: ComputeSettings, communicator: Any = None) -> ComputeSettings:
    """Settings with the number of descriptors that LAMMPS gives; communicator: see `LinearBackbone`.

    Raises
    ------
    UqError
        What LAMMPS refuses, derivatives with another number of columns than the descriptors ask for.
    """
    n_elements = len(settings.elements)
    probe = ComputeBackbone(settings.header(), {"coefficients": np.zeros(2 * n_elements)}, settings.elements, communicator)
    found = probe.columns_of([role for role, words in settings.computes.items() if words])
    probe.close()
    n_own = found["descriptors"]
    for role, factor in (("gradient", 3 * n_elements), ("virial", 6 * n_elements)):
        if role not in found:
            name, count = ("force", "6 N") if role == "gradient" else ("virial", "12")
            log.warning("no compute gives the %s: %s rows are central differences, %s evaluations of a frame of N atoms", role, name, count)
        elif found[role] != factor * n_own:
            accepted = f"{factor * n_own}, that is {factor} times the {n_own} of the descriptors"
            raise UqError(f"{role} {settings.computes[role]} has {found[role]} columns; accepted: {accepted}")
    return replace(settings, n_per_element=n_own)
