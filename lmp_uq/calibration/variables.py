# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bar of a force error is a function of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


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
    def of(
        cls, force: ArrayLike, grade: ArrayLike, neighbours: ArrayLike, correction: ArrayLike | None = None
    ) -> ForceVariables:
        """From array-likes, as float64 arrays."""
        columns = {"force": force, "grade": grade, "neighbours": neighbours, "correction": correction}
        return cls(**{name: np.atleast_1d(np.asarray(v, dtype=np.float64)) for name, v in columns.items() if v is not None})

    def __len__(self) -> int:
        return len(self.force)

    def take(self, mask: Any) -> ForceVariables:
        """The atoms where mask is true."""
        return ForceVariables(**{name: column[mask] for name, column in self.columns().items() if column is not None})

    def without_correction(self) -> ForceVariables:
        """The same atoms, the mean correction forgotten."""
        return ForceVariables(self.force, self.grade, self.neighbours)

    def columns(self) -> dict[str, np.ndarray | None]:
        """The arrays by name."""
        return vars(self)

    def graded(self) -> np.ndarray:
        """(n,) bool: atoms that have a bar, since they and all atoms within two hops have a grade."""
        return np.isfinite(self.grade) & np.isfinite(self.neighbours)
