# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of the linear corrector, and the predictions whose errors they are.

A row is one scalar label with its features. With Phi the sum of a frame's descriptors, r_ij the edge vectors, N atoms and volume V:

    energy   x = Phi / N                   y = (E_ref - E_model) / N                              eV/atom
    force    x = -dPhi/dr_ia               y = F_ref,ia - F_model,ia                              eV/Angstrom
    virial   x = -dPhi/deps_ab / N         y = -(S_ref - S_model)_ab V / N   (S: stress, ASE sign)  eV/atom
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from lmp_uq.frames.frame import Frame
from lmp_uq.posterior.weights import group_weights
from lmp_uq.quantities import ENERGY, FORCE_ROWS, LABELS, STRESS

VOIGT = tuple(tuple("xyz".index(axis) for axis in name) for name in STRESS.components)
"""Axes of the components of virial rows: xx yy zz xy xz yz."""


@dataclass
class Rows:
    """Rows of several frames.

    Attributes
    ----------
    features : (n, P) float64; bias columns are zero in force and virial rows
    targets : (n,) label minus model, unit of the row's kind
    kinds : (n,) `lmp_uq.quantities.Quantity.row`
    frames : (n,) index of the row's frame
    components : (n,) 3 i + a of a force row's atom i and axis a, index into VOIGT of a virial row, 0 of an energy row
    base : (n,) inverse of the probability with which the row was drawn
    """

    features: np.ndarray
    targets: np.ndarray
    kinds: np.ndarray
    frames: np.ndarray
    components: np.ndarray
    base: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, mask: np.ndarray) -> Rows:
        """The rows where mask is true."""
        return Rows(*(getattr(self, name)[mask] for name in ROW_FIELDS))

    def weights(self) -> np.ndarray:
        """Weights that give energies, forces and virials the same sum, n in total."""
        return group_weights(self.kinds, self.base)


ROW_FIELDS = tuple(f.name for f in fields(Rows))


@dataclass
class Predictions:
    """What a backbone says about frames, and the rows that its errors make.

    Attributes
    ----------
    frames : list of Frame
    energies : (n_frames,) eV
    forces, descriptors, species : lists over frames of (N, 3) eV/Angstrom, (N, P), (N,)
    stresses : (n_frames, 3, 3) eV/Angstrom^3, ASE sign; nan for frames without a cell
    rows : Rows
    of_atoms : list over frames of (force rows, N, P) float32, or None
        Derivatives of each atom's descriptors along the displacements of the frame's force rows, 1/Angstrom, where asked for.
    """

    frames: list[Frame]
    energies: np.ndarray
    forces: list[np.ndarray]
    stresses: np.ndarray
    descriptors: list[np.ndarray]
    species: list[np.ndarray]
    rows: Rows
    of_atoms: list[np.ndarray] | None = None

    def energy_residuals(self) -> np.ndarray:
        """E_ref - E_model of each frame, eV; nan where there is no label."""
        return np.array([f.energy for f in self.frames]) - self.energies

    def collect(self, pick: Callable[[Predictions, int], Sequence[np.ndarray]]) -> list[np.ndarray]:
        """What `pick` takes, as `lmp_uq.rows.stream.Stream.collect` of a single batch."""
        return list(pick(self, 0))

    def take_off(self, offsets: np.ndarray) -> None:
        """Take energies per atom, (Z,) eV by species, off the targets of the energy rows."""
        energy = self.rows.kinds == ENERGY.row
        per_frame = np.array([offsets[species].mean() for species in self.species])
        self.rows.targets[energy] -= per_frame[self.rows.frames[energy]]


@dataclass(frozen=True)
class RowOptions:
    """Which rows to make.

    n_force_rows: per frame, drawn at random; None: all force components. of_atoms: keep what each atom has in a force row
    (`Predictions.of_atoms`), for functions of the descriptors that are not linear; by central differences, without stress rows.
    """

    kinds: tuple[str, ...] = LABELS
    n_force_rows: int | None = FORCE_ROWS
    bias: str = "constant"
    seed: int = 0
    batch_atoms: int = 256
    progress: str = ""
    of_atoms: bool = False

    def quiet(self) -> RowOptions:
        """The same rows without a progress bar."""
        return replace(self, progress="")

    def identity(self) -> str:
        """Everything that decides about the rows of a frame, as text."""
        return f"{sorted(self.kinds)} {self.n_force_rows} {self.bias} {self.seed}" + " of atoms" * self.of_atoms
