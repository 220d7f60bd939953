# SPDX-License-Identifier: GPL-2.0-or-later
"""Model files with a P-readout of random weights, and its members worked out from the parts of the package, without engine and LAMMPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from force_members import Members

from lmp_uq import modelfile
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.p_readout import PReadout

HIDDEN = 7


def random_readout(n_features: int, n_members: int, seed: int = 5, **changes) -> PReadout:
    """Corrections of about the size of those of POPS in the tiny models."""
    rng = np.random.default_rng(seed)
    arrays = {
        "input_mean": rng.normal(size=n_features),
        "input_scale": rng.uniform(0.5, 2.0, n_features),
        "weight": rng.normal(size=(HIDDEN, n_features)),
        "output": 0.1 * rng.normal(size=HIDDEN),
        "linear": 0.1 * rng.normal(size=n_features),
        "member_bias": rng.normal(size=(n_members, HIDDEN)),
    }
    return PReadout(**arrays | changes)


def entry_of(readout: PReadout) -> dict:
    length, width = readout.weight.shape
    return {"n_features": width, "hidden": length, "n_members": readout.n_members, "hand_over": 1.0}


def with_readout(source: Path, target: Path, *, edge: float = 1.0, **changes) -> Path:
    """Copy of a model file with a P-readout. edge: grade that has become 1, by another radius; changes: of its arrays."""
    file = modelfile.read(source)
    header = file.header.to_dict()
    held = max(header["posterior"]["n_members"], header["posterior"]["n_force_members"])
    readout = random_readout(header["backbone"]["n_features"], held, **changes)
    header["posterior"]["p_readout"] = entry_of(readout)
    file.tensors["grade/radius"] = file.tensors["grade/radius"] * edge
    modelfile.write(target, header, file.tensors | {f"posterior/p_readout/{k}": v for k, v in readout.tensors().items()})
    return target


class ReadoutMembers(Members):
    """Those of POPS (`forces`, `virials`), and those of the P-readout (`learned_forces`, `learned_virials`, `learned_energies`)."""

    def __init__(self, path, atoms, engine="torch"):
        super().__init__(path, atoms, engine)
        file = modelfile.read(path)
        self.readout = PReadout.from_tensors(file.section("posterior/p_readout"))
        self.descriptors = self.evaluation.descriptors
        self.grades = Novelty.from_tensors(file.section("grade")).grade(self.descriptors, self.graph.species)
        self.learned_energies = self.energy + self.readout.energies(self.descriptors, self.readout.n_members).sum(axis=1)
        weights = self.readout.slopes(self.descriptors, 0, len(self.thetas))
        gradients = self.backbone.pull(self.evaluation.state, None, weights)
        self.learned_forces = np.zeros((len(weights), len(atoms), 3))
        for force, gradient in zip(self.learned_forces, gradients, strict=True):
            np.add.at(force, self.graph.centres, gradient)
            np.subtract.at(force, self.graph.neighbours, gradient)
        self.learned_virials = -np.einsum("ea,keb->kab", self.graph.vectors, gradients)

    def answering(self, n):
        """(n, n_atoms, 3) forces of the members that answer for each atom, (n, 3, 3) virials."""
        beyond = ~(self.grades <= 1.0)
        forces = np.where(beyond[:, None], self.forces[:n], self.learned_forces[:n])
        return forces, (self.virials if beyond.any() else self.learned_virials)[:n]

    def force_std(self, n):
        components = np.sqrt(np.mean(self.answering(n)[0] ** 2, axis=0))
        return np.column_stack([np.linalg.norm(components, axis=1), components])

    def stress_std(self, n, volume):
        mine, self.virials = self.virials, self.answering(n)[1]
        bar = super().stress_std(n, volume)
        self.virials = mine
        return bar
