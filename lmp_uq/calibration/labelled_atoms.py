# SPDX-License-Identifier: GPL-2.0-or-later
"""Atoms whose force error is known: what the force bar is calibrated on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lmp_uq.calibration.conformal import block_weights, split_by_group
from lmp_uq.errors import UqError


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
    def checked(cls, error_norm, force_norm, grade, groups, blocks=None):
        """From array-likes; without blocks every atom is its own.  UqError for wrong shapes, NaN, negative numbers."""
        columns = {"error_norm": error_norm, "force_norm": force_norm, "grade": grade}
        columns = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
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
        return cls(*columns.values(), groups, np.arange(n[0]) if blocks is None else np.asarray(blocks))

    def take(self, mask):
        """The atoms where mask is true."""
        return LabelledAtoms(*(getattr(self, field.name)[mask] for field in fields(self)))

    def graded(self):
        """The atoms of finite grade.  UqError if there are none."""
        finite = np.isfinite(self.grade)
        if not finite.any():
            raise UqError(f"force error: none of {len(finite)} atoms has a finite grade")
        return self.take(finite)

    @property
    def n_blocks(self):
        """Number of different blocks."""
        return len(np.unique(self.blocks))
