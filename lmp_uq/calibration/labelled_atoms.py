# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels with what the model says of them: what bars are calibrated on and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import block_weights, split_by_group
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError
from lmp_uq.metrics.bars import has_bar
from lmp_uq.quantities import FORCES, Quantity

SYMMETRIC = 1e-3
"""eV/Angstrom: an atom whose |F| and error are both below it has no force by symmetry, for the reference as for any model."""


def tells(force: np.ndarray, error: np.ndarray) -> np.ndarray:
    """(n,) bool: atoms whose force does not vanish by symmetry; the others would say nothing of a model and flatter any bar.

    force : |F_predicted|; error : |F_predicted - F_reference|; (n,), eV/Angstrom.
    """
    return (force >= SYMMETRIC) | (error >= SYMMETRIC)


def group_weights(groups: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(n,) weights: every group has sum 1, the blocks of a group equal shares, the members of a block too."""
    weights = np.zeros(len(groups))
    for _, inside in split_by_group(groups, len(weights)):
        weights[inside] = block_weights(blocks[inside], int(inside.sum())) / len(np.unique(blocks[inside]))
    return weights


@dataclass(frozen=True, eq=False)
class LabelledAtoms:
    """Labelled atoms; all arrays have length n.

    error : |F_model - F_reference|, eV/Angstrom; variables : what their bars are made of; groups : label of each atom; blocks :
    independent block (frame) of each atom.
    """

    error: np.ndarray
    variables: ForceVariables
    groups: np.ndarray
    blocks: np.ndarray

    @classmethod
    def checked(cls, error: ArrayLike, variables: ForceVariables, groups: ArrayLike, blocks: ArrayLike | None = None) -> LabelledAtoms:
        """From array-likes; without blocks every atom is its own.  UqError for wrong shapes, NaN, negative numbers."""
        error = np.asarray(error, dtype=np.float64)
        n = error.shape
        for name, values in ({"error": error} | variables.columns()).items():
            if values is None:
                continue
            if values.ndim != 1 or values.shape != n or not values.size:
                raise UqError(f"force error: {name} has shape {values.shape}, error {n}: expected (n,)")
            finite = values if name in ("grade", "neighbours") else values[np.isfinite(values)]
            if finite.size != values.size or not np.all(finite >= 0):
                raise UqError(f"force error: {name} holds negative, NaN or infinite values")
        groups = np.asarray(groups)
        split_by_group(groups, n[0])
        block_weights(blocks, n[0])
        return cls(error, variables, groups, np.arange(n[0]) if blocks is None else np.asarray(blocks))

    def take(self, mask: Any) -> LabelledAtoms:
        """The atoms where mask is true."""
        return LabelledAtoms(self.error[mask], self.variables.take(mask), self.groups[mask], self.blocks[mask])

    def graded(self) -> LabelledAtoms:
        """The atoms that have a bar.  UqError if there are none."""
        known = self.variables.graded()
        if not known.any():
            raise UqError(f"force_error: none of {len(known)} atoms has a finite grade, with all atoms within two hops")
        return self.take(known)

    def telling(self) -> np.ndarray:
        """(n,) bool: atoms whose force does not vanish by symmetry, `tells`."""
        return tells(self.variables.force, self.error)

    def judged(self) -> np.ndarray:
        """(n,) bool: `telling` atoms that have a bar."""
        return self.telling() & self.variables.graded()

    def weights(self) -> np.ndarray:
        """(n,) every group has sum 1, the frames of a group equal shares, the atoms of a frame too."""
        return group_weights(self.groups, self.blocks)

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
        """The atoms that have a bar; there may be none."""
        return self.take(self.atoms.variables.graded())

    def judged(self) -> ForceLabels:
        """The atoms that have a bar, and whose force does not vanish by symmetry; there may be none."""
        return self.take(self.atoms.judged())


@dataclass(frozen=True)
class ScaledLabels:
    """Energies per atom or virial components; arrays (n,): error (label minus model), std, group, block, mean grade of the frame's atoms,
    None where the model has no grade.
    """

    error: np.ndarray
    std: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray
    mean_grade: np.ndarray | None = None

    def columns(self) -> tuple[np.ndarray, ...]:
        """Errors, stds, groups and blocks."""
        return self.error, self.std, self.groups, self.blocks

    def take(self, mask: Any) -> ScaledLabels:
        """The labels where mask is true."""
        return ScaledLabels(**{name: column[mask] for name, column in vars(self).items() if column is not None})

    def grades(self) -> np.ndarray:
        """(n,) mean grades.  UqError where the model has none."""
        if self.mean_grade is None:
            raise UqError("the file has no grade; lmp-uq fit writes one")
        return self.mean_grade

    def weights(self) -> np.ndarray:
        """(n,) every group has sum 1, its frames equal shares."""
        return group_weights(self.groups, self.blocks)


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
        return self.rows.take(mine)

    def _forces(self) -> ForceLabels:
        if self.forces is None:
            raise UqError("the file has no grade; lmp-uq fit writes one")
        if not len(self.forces.frames):
            raise UqError("no frame has force labels")
        return self.forces
