# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bar of a force error is a function of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ForceVariables:
    """Of n atoms.

    Attributes
    ----------
    force : (n,) |F| of the model, eV/Angstrom
    grade : (n,) novelty grade; inf allowed
    neighbours : (n,) `lmp_uq.novelty.neighbours.neighbour_grade`; inf allowed
    correction : (n,) force of the posterior's mean correction, eV/Angstrom, or None where nobody asked for it
    """

    force: np.ndarray
    grade: np.ndarray
    neighbours: np.ndarray
    correction: np.ndarray | None = None

    @classmethod
    def of(cls, force, grade, neighbours, correction=None) -> ForceVariables:
        """From array-likes, as float64 arrays."""
        columns = [np.atleast_1d(np.asarray(values, dtype=np.float64)) for values in (force, grade, neighbours)]
        return cls(*columns, None if correction is None else np.atleast_1d(np.asarray(correction, dtype=np.float64)))

    def __len__(self):
        return len(self.force)

    def take(self, mask) -> ForceVariables:
        """The atoms where mask is true."""
        return ForceVariables(*(None if column is None else column[mask] for column in self.columns().values()))

    def without_correction(self) -> ForceVariables:
        """The same atoms, the mean correction forgotten."""
        return ForceVariables(self.force, self.grade, self.neighbours)

    def columns(self) -> dict[str, np.ndarray | None]:
        """The arrays by name."""
        return vars(self)

    def graded(self) -> np.ndarray:
        """(n,) bool: atoms that have a bar, since they and all atoms within two hops have a grade."""
        return np.isfinite(self.grade) & np.isfinite(self.neighbours)
