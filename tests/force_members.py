# SPDX-License-Identifier: GPL-2.0-or-later
"""Force members evaluated from the parts of the package, without engine and without LAMMPS; and model files changed for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lammps_cases import VOIGT

from lmp_uq import modelfile
from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.load import load_backbone
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.features import append_bias

EV_PER_CUBIC_ANGSTROM = 1.6021765e6
"""bar; the value that LAMMPS takes for units metal."""


class Members:
    """A system under every force member of a model file.

    forces : (M, n, 3) eV/Angstrom, member - model; virials : (M, 3, 3) eV, -dE/dstrain of the same; features : (P',) summed over atoms.
    """

    def __init__(self, path, atoms, engine="torch"):
        file = modelfile.read(path)
        header = file.header
        self.box = Box.from_tensors(file.section("posterior"))
        self.thetas = file.tensors["posterior/force_members"]
        self.backbone = load_backbone(header.backbone.to_dict(), file.section("backbone"), "float64", engine=engine)
        self.graph, _ = graph_of_frames([atoms], self.backbone.elements, self.backbone.cutoff)
        self.evaluation = self.backbone.evaluate(self.graph)
        rows = append_bias(self.evaluation.descriptors, self.graph.species, header.posterior.bias, len(header.elements))
        self.features = rows.sum(axis=0)
        self.energy = self.evaluation.energies.sum()
        self.forces, self.virials = self.apply(self.thetas)

    def apply(self, thetas):
        """Forces and virials of any Thetas (K, P'), from one pull."""
        n, n_descriptors = self.evaluation.descriptors.shape
        weights = np.repeat(thetas[:, None, :n_descriptors], n, axis=1)
        gradients = self.backbone.pull(self.evaluation.state, None, weights)
        forces = np.zeros((len(thetas), n, 3))
        for force, gradient in zip(forces, gradients, strict=True):
            np.add.at(force, self.graph.centres, gradient)
            np.subtract.at(force, self.graph.neighbours, gradient)
        return forces, -np.einsum("ea,keb->kab", self.graph.vectors, gradients)

    def force_std(self, n):
        """Columns force_std, force_std_x, force_std_y, force_std_z of the first n members, (n_atoms, 4)."""
        components = np.sqrt(np.mean(self.forces[:n] ** 2, axis=0))
        return np.column_stack([np.linalg.norm(components, axis=1), components])

    def stress_std(self, n, volume):
        """(6,) bar of the first n members, xx yy zz xy xz yz."""
        virials = np.array([[0.5 * (v[a, b] + v[b, a]) for a, b in VOIGT] for v in self.virials[:n]])
        return np.sqrt(np.mean(virials**2, axis=0)) / volume * EV_PER_CUBIC_ANGSTROM


def changed(source: Path, target: Path, *, calibration=None, **posterior) -> Path:
    """Copy of a model file with other tensors ``posterior/...`` and other numbers in entries of calibration (None: without)."""
    file = modelfile.read(source)
    header = file.header.to_dict()
    for name, array in posterior.items():
        file.tensors.pop(f"posterior/{name}", None)
        if array is not None:
            file.tensors[f"posterior/{name}"] = array
        header["posterior"][f"n_{name}"] = 0 if array is None else len(array)
    for name, entry in (calibration or {}).items():
        whole = entry is None or "n_groups" in entry
        header["calibration"][name] = entry if whole else header["calibration"][name] | entry
    modelfile.write(target, header, file.tensors)
    return target
