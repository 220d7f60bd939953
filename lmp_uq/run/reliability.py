# SPDX-License-Identifier: GPL-2.0-or-later
"""What a classifier in a model file says of whole configurations: `lmp_uq.calibration.probe` on the descriptors of their atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from lmp_uq.backbone.graph import graph_for
from lmp_uq.errors import UqError
from lmp_uq.run.engine import Engine


@dataclass(frozen=True, eq=False)
class Reliability:
    """How far energies can be trusted, one entry for each frame.

    Attributes
    ----------
    frames : list of ase.Atoms
    sources : list of str
        ``file[index]``, or ``frames[index]``.
    boundary : float
        eV/atom.
    probability : (n_frames,) array
        That abs(energy error) / N is at most the boundary.
    importance : list of (n_atoms,) arrays
        Attention that each atom receives, 1 over the atoms of a frame.
    """

    frames: list[Atoms]
    sources: list[str]
    boundary: float
    probability: np.ndarray
    importance: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        good = int(np.sum(self.probability >= 0.5))
        return f"Reliability of {len(self)} frames: {good} probably within {self.boundary:.3g} eV/atom"

    def to_ase(self) -> list[Atoms]:
        """Copies of the frames: reliability and reliability_boundary (eV/atom) in ``info``, importance in ``arrays``."""
        out = [atoms.copy() for atoms in self.frames]
        for atoms, probability, importance in zip(out, self.probability, self.importance, strict=True):
            atoms.info |= {"reliability": float(probability), "reliability_boundary": self.boundary}
            atoms.set_array("importance", importance)
        return out


def assess(engine: Engine, frames: Sequence[Atoms], names: Sequence[str]) -> tuple[list[float], list[np.ndarray]]:
    """Probability and importance of each configuration; they are evaluated together, without forces.

    Raises
    ------
    UqError
        A file without classifier; what `lmp_uq.run.evaluation.evaluate` refuses.
    """
    if engine.probe is None:
        raise UqError("the model file holds no classifier of frames: lmp-uq calibrate --classifier probe adds one")
    if getattr(engine.backbone, "linear", False):
        descriptors = [engine.backbone.evaluate_frame(atoms).descriptors for atoms in frames]
    else:
        graph, _ = graph_for(engine.backbone, frames, names)
        found = engine.backbone.evaluate(graph, gradients=False).descriptors
        descriptors = np.split(found, np.cumsum([len(atoms) for atoms in frames])[:-1])
    results = [engine.probe.assess(one) for one in descriptors]
    return [probability for probability, _ in results], [importance for _, importance in results]
