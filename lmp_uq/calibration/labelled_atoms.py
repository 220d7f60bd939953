# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels with what the model says of them: what bars are calibrated on and judged by."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import block_weights, split_by_group
from lmp_uq.errors import UqError
from lmp_uq.metrics.bars import has_bar
from lmp_uq.quantities import FORCES, Quantity


@dataclass(frozen=True)
class LabelledAtoms:
    """Labelled atoms; all arrays have length n.

    error : |F_model - F_reference|, eV/Angstrom; force : |F_model|, eV/Angstrom; grade : inf allowed; groups : label of
    each atom; blocks : independent block (frame) of each atom.
    """

    error: np.ndarray
    force: np.ndarray
    grade: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray

    @classmethod
    def checked(
        cls, error_norm: ArrayLike, force_norm: ArrayLike, grade: ArrayLike, groups: ArrayLike, blocks: ArrayLike | None = None
    ) -> LabelledAtoms:
        """From array-likes; without blocks every atom is its own.  UqError for wrong shapes, NaN, negative numbers."""
        given = {"error_norm": error_norm, "force_norm": force_norm, "grade": grade}
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in given.items()}
        n = columns["error_norm"].shape
        for name, values in columns.items():
            if values.ndim != 1 or values.shape != n or not values.size:
                raise UqError(f"force error: {name} has shape {values.shape}, error_norm {n}: expected (n,)")
            finite = values if name == "grade" else values[np.isfinite(values)]
            if finite.size != values.size or not np.all(finite >= 0):
                raise UqError(f"force error: {name} holds negative, NaN or infinite values")
        groups = np.asarray(groups)
        split_by_group(groups, n[0])
        block_weights(blocks, n[0])
        blocks = np.arange(n[0]) if blocks is None else np.asarray(blocks)
        return cls(columns["error_norm"], columns["force_norm"], columns["grade"], groups, blocks)

    def take(self, mask: np.ndarray) -> LabelledAtoms:
        """The atoms where mask is true."""
        return LabelledAtoms(*(getattr(self, field.name)[mask] for field in fields(self)))

    def graded(self) -> LabelledAtoms:
        """The atoms of finite grade.  UqError if there are none."""
        finite = np.isfinite(self.grade)
        if not finite.any():
            raise UqError(f"force error: none of {len(finite)} atoms has a finite grade")
        return self.take(finite)

    @property
    def n_blocks(self) -> int:
        """Number of different blocks."""
        return len(np.unique(self.blocks))


@dataclass(frozen=True)
class ForceLabels:
    """Atoms with force labels: the arrays of `LabelledAtoms`, not checked; frames (n,) int: index of the frame; elements (n,): symbol."""

    atoms: LabelledAtoms
    frames: np.ndarray
    elements: np.ndarray

    def take(self, mask: np.ndarray) -> ForceLabels:
        """The atoms where mask is true."""
        return ForceLabels(self.atoms.take(mask), self.frames[mask], self.elements[mask])

    def graded(self) -> ForceLabels:
        """The atoms of finite grade; there may be none."""
        return self.take(np.isfinite(self.atoms.grade))


@dataclass(frozen=True)
class ScaledLabels:
    """Energies per atom or virial components; arrays (n,): error (label minus model), std, group, block."""

    error: np.ndarray
    std: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The four arrays."""
        return self.error, self.std, self.groups, self.blocks


@dataclass(frozen=True)
class Labels:
    """All labels of some frames.

    forces : of the atoms, None where the model has no grade; kinds (n,) : `lmp_uq.quantities.Quantity.row` of each row; rows : error,
    std, group and block of each row, also without bar.
    """

    forces: ForceLabels | None
    kinds: np.ndarray
    rows: ScaledLabels

    def has(self, quantity: Quantity) -> bool:
        """Whether any row is of a quantity."""
        return bool(np.any(self.kinds == quantity.row))

    def of(self, quantity: Quantity) -> ForceLabels | ScaledLabels:
        """Atoms with force labels, or the rows of another quantity that have a bar.  UqError if there are none."""
        if quantity is FORCES:
            return self._forces()
        mine = self.kinds == quantity.row
        if not mine.any():
            raise UqError("no frame has such labels")
        mine[mine] = has_bar(self.rows.std[mine])
        if not mine.any():
            raise UqError("no label has a bar: the posterior's std vanishes")
        return ScaledLabels(*(column[mine] for column in self.rows.columns()))

    def _forces(self) -> ForceLabels:
        if self.forces is None:
            raise UqError("the file has no grade; lmp-uq fit writes one")
        if not len(self.forces.frames):
            raise UqError("no frame has force labels")
        return self.forces
