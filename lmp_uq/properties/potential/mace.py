# SPDX-License-Identifier: GPL-2.0-or-later
"""A foundation model and its corrector as a linear potential: E_MACE takes the place of the reference, E = E_MACE + Theta.Phi.

The model runs without a corrector, so that the mean has Theta = 0 and a member its Theta_k. A member costs one pass of the engine: pulled
are the energies with weight 1 and the descriptors with the member's Theta.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from ase import Atoms

from lmp_uq import modelfile
from lmp_uq.backbone.families import MACE
from lmp_uq.backbone.graph import check_inputs, forces_of, graph_for
from lmp_uq.backbone.linear.potential import LinearEvaluation
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.errors import UqError
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.features import append_bias, n_bias_columns
from lmp_uq.properties.failure import LARGEST_VOLUME_CHANGE, PropertyFailure
from lmp_uq.properties.minima.descent import descend
from lmp_uq.properties.potential.linear import LinearPotential
from lmp_uq.properties.potential.system import Relaxed, free_strains, placed

LEVER = 20.0
"""Angstrom: how a strain counts among displacements in a relaxation. Large: the first step then is a small strain."""


class MacePotential:
    """E = E_MACE + Theta.Phi, and the Theta that its posterior allows. Attributes and methods as those of `LinearPotential`; theta is 0.

    Parameters
    ----------
    file : lmp_uq.modelfile.file.ModelFile
    name : str
        What the user called it, for messages.

    Raises
    ------
    UqError
        A model of another family, or one without posterior.
    """

    def __init__(self, file: modelfile.ModelFile, name: str) -> None:
        header = file.header
        if header.backbone.family != MACE:
            raise UqError(f"{name} holds a model of family {header.backbone.family}; accepted here: {MACE}")
        if header.posterior is None:
            raise UqError(f"{name} holds no posterior: lmp-uq fit adds one")
        self.header, self.elements, self.sha256 = header, tuple(header.elements), file.sha256
        self.shared: dict[Any, Any] = {}
        self.posterior = Box.from_tensors(file.section("posterior"))
        self.departures = np.array(file.tensors["posterior/members"])
        self.theta = np.zeros(self.departures.shape[1])
        self.bias = header.posterior.bias
        # differences of forces need the digits
        self.backbone = backbone_of_file(file, "float64", "cpu", engine="auto", threads=1)

    @classmethod
    def read(cls, name: str) -> MacePotential:
        """From a *.uq file or the name of an embedded model."""
        return cls(modelfile.read(modelfile.resolve(name)), name)

    def system(self, atoms: Atoms) -> MaceSystem:
        """One structure with this potential."""
        return MaceSystem(self, atoms)

    def write_pair_style(self, theta: np.ndarray, prefix: Path) -> NoReturn:
        """UqError: no pair style runs one member of a corrector."""
        raise UqError("kind lammps: an input with a member of a corrector would need a pair style for it; accepted here: the other kinds")

    def members(self, n: int) -> np.ndarray:
        """(n, P) Theta of the first n members; UqError if the file holds fewer."""
        if not 1 <= n <= len(self.departures):
            raise UqError(f"{n} members are asked for; the model file holds {len(self.departures)}: accepted 1 to {len(self.departures)}")
        return self.departures[:n]


def open_potential(name: str, communicator: Any = None) -> LinearPotential | MacePotential:
    """The potential of a model file, or of an embedded model, whatever its family; communicator as in `LinearPotential`."""
    file = modelfile.read(modelfile.resolve(name))
    return MacePotential(file, name) if file.header.backbone.family == MACE else LinearPotential(file, name, communicator)


class MaceSystem:
    """One structure under a foundation model with a corrector; methods as those of `lmp_uq.properties.potential.system.LinearSystem`.

    P coefficients: those of the descriptors, then of the bias columns.
    """

    def __init__(self, potential: MacePotential, atoms: Atoms) -> None:
        if not atoms.pbc.all() or atoms.cell.rank < 3:
            raise UqError("a structure has an open cell; accepted: cells periodic in all directions, with vacuum where it is wanted")
        check_inputs([atoms], potential.backbone, ["the structure"])
        self.atoms, self._potential, self._backbone = atoms.copy(), potential, potential.backbone
        self.n_atoms, self.n_parameters = len(atoms), len(potential.theta)
        self._width = self._backbone.n_features
        assert self.n_parameters == self._width + n_bias_columns(potential.bias, len(potential.elements))

    def evaluate(
        self, theta: np.ndarray, positions: np.ndarray | None = None, cell: np.ndarray | None = None
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """Energy (eV), forces (n, 3) and virial (3, 3) of the model with Theta; PropertyFailure where they are not finite."""
        theta = np.asarray(theta, dtype=np.float64)
        graph, found = self._pass(positions, cell)
        weights = np.tile(theta[: self._width], (self.n_atoms, 1))
        gradients = self._backbone.pull(found.state, np.ones(self.n_atoms), weights)
        energy = float(found.energies.sum() + self._summed(graph, found) @ theta)
        forces, virial = forces_of(graph, gradients), _virial(graph, gradients)
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise PropertyFailure("the energy is not finite")
        return energy, forces, virial

    def energy(self, theta: np.ndarray, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> float:
        """That of `evaluate`, by a forward pass alone."""
        row, energy = self.energy_row(positions, cell)
        energy += float(row @ theta)
        if not np.isfinite(energy):
            raise PropertyFailure("the energy is not finite")
        return energy

    def energy_row(self, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """Phi (P,), bias columns included, and the energy of the model alone (eV)."""
        graph, found = self._pass(positions, cell, gradients=False)
        return self._summed(graph, found), float(found.energies.sum())

    def sum_of(self, rows: LinearEvaluation) -> np.ndarray:
        """(P,) Phi from `rows`."""
        return append_bias(rows.descriptors, rows.species, self._potential.bias, len(self._potential.elements)).sum(axis=0)

    def phi(self, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> np.ndarray:
        """(P,) dE/dTheta."""
        return self.energy_row(positions, cell)[0]

    def direction(
        self, d_theta: np.ndarray, positions: np.ndarray | None = None, cell: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies, forces and virials of d_theta.Phi alone, (P,) or (K, P)."""
        d_theta, (graph, found) = np.asarray(d_theta, dtype=np.float64), self._pass(positions, cell)
        many = np.atleast_2d(d_theta)[:, None, : self._width]
        pulled = self._backbone.pull(found.state, None, np.repeat(many, self.n_atoms, axis=1))
        energies = d_theta @ self._summed(graph, found)
        forces, virials = (np.array([of(graph, one) for one in pulled]) for of in (forces_of, _virial))
        return (energies, forces, virials) if d_theta.ndim > 1 else (energies, forces[0], virials[0])

    def rows(self, positions: np.ndarray | None = None, cell: np.ndarray | None = None) -> LinearEvaluation:
        """As `LinearSystem.rows`, the model in the place of the reference; a pull for each descriptor."""
        energy, forces, virial = self.evaluate(self._potential.theta, positions, cell)
        unit = np.eye(self._width, self.n_parameters)
        _, force_rows, virial_rows = self.direction(unit, positions, cell)
        graph, found = self._pass(positions, cell, gradients=False)
        return LinearEvaluation(
            energy, forces, virial, found.descriptors, graph.species,
            force_rows.reshape(self._width, -1).T, np.moveaxis(virial_rows, 0, -1),
        )  # fmt: skip

    def relax(
        self,
        theta: np.ndarray,
        cell: str = "fixed",
        positions: np.ndarray | None = None,
        vectors: np.ndarray | None = None,
        *,
        couple: str = "none",
    ) -> Relaxed:
        """As `LinearSystem.relax`, by `descend`; strains are logarithmic, so that those without trace keep the volume."""
        frame = placed(self.atoms, positions, vectors)
        start, box, n = frame.get_positions(), frame.cell.array, self.n_atoms
        axes = np.array([np.diag(one) for one in free_strains(cell, couple)]).reshape(-1, 3)
        lever = LEVER * np.sqrt(n)

        def split(x):
            return np.exp(x[3 * n :] / lever @ axes), x[: 3 * n].reshape(n, 3)

        def function(x):
            stretch, moved = split(x)
            energy, forces, virial = self.evaluate(theta, (start + moved) * stretch, box * stretch)
            forces = forces - forces.mean(axis=0)
            return energy, np.concatenate([-(forces * stretch).ravel(), -axes @ np.diag(virial) / lever])

        def watch(x):
            if abs(np.log(np.prod(split(x)[0]))) > np.log(LARGEST_VOLUME_CHANGE):
                raise PropertyFailure("the cell has come apart or collapsed")

        stretch, moved = split(descend(function, 3 * n + len(axes), watch))
        state = self.evaluate(theta, (start + moved) * stretch, box * stretch)
        far = np.linalg.norm(moved * stretch, axis=1).max()
        return Relaxed((start + moved) * stretch, box * stretch, *state, displacement=float(far))

    def _pass(self, positions, cell, gradients=True):
        try:
            graph, _ = graph_for(self._backbone, [placed(self.atoms, positions, cell)])
            return graph, self._backbone.evaluate(graph, gradients)
        except UqError as error:
            raise PropertyFailure(f"the model cannot be evaluated: {str(error)[:60]}") from error

    def _summed(self, graph, found):
        return append_bias(found.descriptors, graph.species, self._potential.bias, len(self._potential.elements)).sum(axis=0)


def _virial(graph, gradients):
    """(3, 3) -dE/dstrain, eV."""
    found = -graph.vectors.T @ gradients
    return 0.5 * (found + found.T)
