# SPDX-License-Identifier: GPL-2.0-or-later
"""ASE calculator of a model file, with its error bars as further properties."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from lmp_uq.backbone import graph_of_frames
from lmp_uq.engine import Engine
from lmp_uq.rows import forces_of

DEAR = ("forces_std", "stress_std")
"""Properties that cost a backward pass of each force member."""


class UqCalculator(Calculator):
    """Energies and forces of a model file, and how far they may be wrong.

    Beside ASE's energy, free_energy, energies, forces and stress, `get_property` gives what the file holds of

    ========================  ======  ========================================================================
    energy_std                eV      POPS error bar of the total energy
    energy_lower, _upper      eV      its bounds over the members
    energy_error              eV      its calibrated 90 % bar
    force_error               (n,)    calibrated 90 % quantile of the force error of each atom, eV/Angstrom
    grade                     (n,)    novelty of each atom; 1 is the edge of the training atoms
    forces_std                (n, 3)  root mean square over the force members of force less the model's, eV/Angstrom
    stress_std                (6,)    the same of the stress, eV/Angstrom^3, Voigt order of ASE
    ========================  ======  ========================================================================

    The first five come with every evaluation; the last two are computed when they are asked for.

    Parameters
    ----------
    model : str or path
        A ``*.uq`` file, or the name of an embedded model.
    engine : {"auto", "native", "torch"}
        As in `lmp_uq.backbone.load_backbone`.
    device, precision, threads, n_members, n_force_members, conservative, learned
        As in `lmp_uq.engine.Engine.load`.

    Raises
    ------
    UqError
        A file that cannot be read, a device that is not there; from a calculation: an element that the model lacks, atoms at
        one place, positions that are not finite.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy", "free_energy", "energies", "forces", "stress",
        "energy_std", "energy_lower", "energy_upper", "energy_error", "force_error", "grade", *DEAR,
    ]  # fmt: skip

    def __init__(self, model, *, engine="auto", **options):
        super().__init__()
        self._engine = Engine.load(model, None, engine=engine, **options)

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        """See `ase.calculators.calculator.Calculator.calculate`."""
        super().calculate(atoms, properties, system_changes)
        for name in properties:
            self._refuse_missing(name)
        dear = any(name in DEAR for name in properties)
        graph, _ = graph_of_frames([self.atoms], self._engine.backbone.elements, self._engine.cutoff)
        energies, gradients = np.empty(graph.n_local), np.empty(graph.vectors.shape)
        self._engine.evaluate(graph, energies, gradients, keep=dear)
        forces = forces_of(graph, gradients)
        self.results = {"energy": energies.sum(), "free_energy": energies.sum(), "energies": energies, "forces": forces}
        if self._has_volume():
            self.results["stress"] = self._stress(graph, gradients)
        self.results |= self._totals(energies.sum()) | self._per_atom(np.linalg.norm(forces, axis=1))
        if dear:
            self.results |= self._members(graph)

    def _refuse_missing(self, name):
        fields = {"forces_std": "force_std"}
        own = name in self.implemented_properties[5:]
        if own and not self._engine.offers(fields.get(name, name)):
            raise PropertyNotImplementedError(f"{name}: the model file holds nothing that gives it")

    def _totals(self, energy):
        engine = self._engine
        if not engine.offers("energy_std"):
            return {}
        std, lower, upper = engine.totals(engine.feature_sum(), energy)
        out = {"energy_std": std, "energy_lower": lower, "energy_upper": upper}
        return out | ({"energy_error": engine.factor("energy_error") * std} if engine.offers("energy_error") else {})

    def _per_atom(self, norm):
        return {name: self._engine.per_atom(name, norm) for name in ("force_error", "grade") if self._engine.offers(name)}

    def _members(self, graph):
        gradients = np.empty((self._engine.n_force_members, *graph.vectors.shape))
        self._engine.member_gradients(0, gradients)
        forces = np.array([forces_of(graph, one) for one in gradients])
        out = {"forces_std": np.sqrt(np.mean(forces**2, axis=0))}
        if self._has_volume():
            stresses = np.array([self._stress(graph, one) for one in gradients])
            out["stress_std"] = np.sqrt(np.mean(stresses**2, axis=0))
        return out

    def _has_volume(self):
        return self.atoms.cell.rank == 3

    def _stress(self, graph, gradients):
        # dE/dstrain over the volume: the sign of ASE, the opposite of a virial's
        strain = graph.vectors.T @ gradients / self.atoms.get_volume()
        return full_3x3_to_voigt_6_stress(0.5 * (strain + strain.T))
