# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames of a run -> what averages are made of: energies, features and, of pressures, how they depend on Theta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ase.io
import numpy as np
from ase import Atoms
from ase.io.formats import UnknownFileTypeError

from lmp_uq.backbone.families import LINEAR
from lmp_uq.backbone.graph import graph_for
from lmp_uq.backbone.linear.potential import BAR, LinearBackbone
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.errors import UqError
from lmp_uq.files import existing_file
from lmp_uq.modelfile import ModelFile
from lmp_uq.posterior.features import append_bias
from lmp_uq.run.engine import Engine

STRAIN = 3e-4
"""Of the central differences that give -dPhi/dstrain of a MACE model; their error is about 1e-6 of the result, in float32 1e-4."""
ENERGY, PRESSURE = "energy", "pressure"


def read_run(paths: Sequence[str | Path], elements: Sequence[str] = ()) -> list:
    """Frames of a run from dumps, extxyz or any file that ASE reads.

    Parameters
    ----------
    elements : sequence of str
        Of the atom types of a LAMMPS dump that has no column element.

    Raises
    ------
    UqError
        A file that is missing or cannot be read.
    """
    frames: list[Atoms] = []
    for path in map(existing_file, paths):
        with open(path, "rb") as stream:
            is_dump = stream.read(6) == b"ITEM: "    # TIMESTEP, or before it UNITS or TIME of dump_modify
        options: dict[str, Any] = {"format": "lammps-dump-text"} | ({"specorder": list(elements)} if elements else {}) if is_dump else {}
        try:
            frames += ase.io.read(path, ":", **options)
        except (UnknownFileTypeError, ValueError, KeyError, IndexError, OSError) as failure:
            raise UqError(f"{path}: cannot be read as frames: {failure}; accepted: a LAMMPS dump, extxyz or what ASE reads") from failure
    return frames


class LinearFrames:
    """Features of a linear potential."""

    def __init__(self, file: ModelFile) -> None:
        self.backbone = cast("LinearBackbone", backbone_of_file(file))
        self._bias = file.header.fitted.bias

    def sample(self, atoms: Atoms, pressure: bool) -> tuple[float, np.ndarray, float | None, np.ndarray | None]:
        """Energy (eV), features (P,), trace of the virial (eV) and of its rows (P,); the last two None unless asked for."""
        found = self.backbone.evaluate_frame(atoms)
        n_elements = len(self.backbone.elements)
        features = append_bias(found.descriptors, found.species, self._bias, n_elements).sum(axis=0)
        if not pressure:
            return found.energy, features, None, None
        row = np.zeros_like(features)
        trace = found.virial_rows.trace()
        row[: trace.size] = trace
        return found.energy, features, float(np.trace(found.virial)), row


class MaceFrames:
    """Features of a foundation model."""

    def __init__(self, name: str, **options: Any) -> None:
        self._engine = Engine.load(name, None, **options)
        self.backbone = self._engine.backbone

    def sample(self, atoms: Atoms, pressure: bool) -> tuple[float, np.ndarray, float | None, np.ndarray | None]:
        """As `LinearFrames.sample`; a reverse pass and two more forward passes with pressure."""
        graph, _ = graph_for(self.backbone, [atoms])
        energies, gradients = np.empty(graph.n_local), np.empty(graph.vectors.shape) if pressure else None
        self._engine.evaluate(graph, energies, gradients)
        energy, features = energies.sum(), self._engine.feature_sum()
        if gradients is None:
            return energy, features, None, None
        virial = -float((graph.vectors * gradients).sum())
        more, less = (self._engine.feature_sum_of(replace(graph, vectors=scale * graph.vectors)) for scale in (1.0 + STRAIN, 1.0 - STRAIN))
        return energy, features, virial, (less - more) / (2.0 * STRAIN)


def source_of(file: ModelFile, name: str, **options: Any) -> LinearFrames | MaceFrames:
    """What samples frames for a model file with a posterior; options of `Engine.load` for a foundation model."""
    if file.header.posterior is None:
        raise UqError(f"{name} has no posterior: lmp-uq fit writes one")
    return LinearFrames(file) if file.header.backbone.family in LINEAR else MaceFrames(name, **options)


def pressure_of(atoms: Atoms, trace: Any, kt: float = 0.0) -> Any:
    """Pressure in bar: N kT / V, which no potential changes, and a third of the trace of a virial in eV, or of rows of it."""
    return (len(atoms) * kt + trace / 3.0) / atoms.get_volume() * BAR


def radial_distribution(atoms: Atoms, cutoff: float, n_bins: int) -> np.ndarray:
    """(n_bins,) g(r) of all pairs, in bins of equal width up to the cutoff."""
    from matscipy.neighbours import neighbour_list

    edges = np.linspace(0.0, cutoff, n_bins + 1)
    counts, _ = np.histogram(neighbour_list("d", atoms, cutoff), edges)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    return counts / (len(atoms) * shells * len(atoms) / atoms.get_volume())
