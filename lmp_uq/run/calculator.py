# SPDX-License-Identifier: GPL-2.0-or-later
"""ASE calculator of a model file, with its error bars as further properties."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes, all_properties
from ase.io import extxyz
from ase.outputs import ArrayProperty, ScalarProperty, all_outputs

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.run.arguments import name_of_model
from lmp_uq.run.engine import Engine
from lmp_uq.run.evaluation import DEAR, WITHOUT_FORCES, Evaluated, error_above, gives

BARS = {
    "energy_std": (), "energy_lower": (), "energy_upper": (), "energy_error": (), "force_error": ("natoms",), "grade": ("natoms",),
    "neighbour_grade": ("natoms",), "reliability": ("natoms",), "forces_std": ("natoms", 3), "stress_std": (6,),
}  # fmt: skip
"""Properties beside those of ASE, and their shapes."""


def declare_bars() -> None:
    """Tell ASE of the names in `BARS`: it refuses or drops results whose names it does not know. Any number of calls is one."""
    for name, shape in BARS.items():
        all_outputs.setdefault(name, ArrayProperty(name, float, shape) if shape else ScalarProperty(name, float))
        columns = extxyz.per_atom_properties if shape[:1] == ("natoms",) else extxyz.per_config_properties
        for names in (all_properties, columns):
            if name not in names:
                names.append(name)


declare_bars()


class UqCalculator(Calculator):
    """Energies and forces of a model file, and how far they may be wrong.

    Beside ASE's energy, free_energy, energies, forces, stress and stresses, `get_property` gives what the file holds of

    ========================  ======  ========================================================================
    energy_std                eV      POPS error bar of the total energy
    energy_lower, _upper      eV      its bounds over the members
    energy_error              eV      its calibrated 90 % bar
    force_error               (n,)    calibrated 90 % quantile of the force error of each atom, eV/Angstrom
    grade                     (n,)    novelty of each atom; 1 is the edge of the training atoms
    neighbour_grade           (n,)    the same of the atoms that its force depends on
    reliability               (n,)    probability that its force error is at most the middle threshold of the file's ordinal head
    forces_std                (n, 3)  root mean square over the force members of force less the model's, eV/Angstrom
    stress_std                (6,)    the same of the stress, eV/Angstrom^3, Voigt order of ASE
    ========================  ======  ========================================================================

    Energies, their bars and the grades come with every evaluation, all but the last two when forces or one of them is asked for, which
    costs a backward pass; forces_std, stress_std and stresses when they are. What was computed is kept until the atoms change.

    `get_error_above` gives the probability that a force error exceeds a threshold.

    Copies, also those that pickle makes for other processes, hold what this one was made from and load the model when they need it.

    Parameters
    ----------
    model : str or path
        A ``*.uq`` file, or the name of an embedded model.
    engine : {"auto", "native", "torch"}
        As in `lmp_uq.backbone.load.load_backbone`.
    sha256 : str or None
        Hash that the file must have, as `todict` says it; None: any.
    device, precision, threads, n_members, n_force_members, conservative, learned
        As in `lmp_uq.run.engine.Engine.load`.

    Raises
    ------
    UqError
        A file that cannot be read or has another hash, a device that is not there; from a calculation: an element that the model
        lacks, atoms at one place, positions that are not finite.
    """

    implemented_properties: ClassVar[list[str]] = [  # type: ignore[misc]  # ASE declares it without ClassVar
        "energy", "free_energy", "energies", "forces", "stress", "stresses", *BARS,
    ]  # fmt: skip

    def __init__(self, model: str | os.PathLike[str], *, engine: str = "auto", sha256: str | None = None, **options: Any) -> None:
        super().__init__(model=model, engine=engine, sha256=sha256, **options)

    def set(self, **changes: Any) -> dict[str, Any]:
        """Change what the constructor was given: the model is loaded anew. See `ase.calculators.calculator.Calculator.set`."""
        expected = changes.pop("sha256", None)
        if "model" in changes:
            changes["model"] = _lasting_name(changes["model"])
        loaded = _load({**self.parameters, **changes})  # first: a file that cannot be read leaves all as it was
        if expected not in (None, loaded.sha256):
            raise UqError(f"{changes.get('model', 'the model')}: has sha256 {loaded.sha256}; accepted: {expected}, which was asked for")
        self._loaded, self.sha256 = loaded, loaded.sha256
        self._evaluated: Evaluated | None = None
        self.reset()
        return super().set(**changes)

    def todict(self, skip_default: bool = True) -> dict[str, Any]:
        """What the model was loaded from, as the constructor takes it: name or path, options, and the hash of the file."""
        return super().todict(skip_default) | {"sha256": self.sha256}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_loaded": None, "_evaluated": None}  # a model in memory belongs to one calculator of one process

    @property
    def _engine(self) -> Engine:
        if self._loaded is None:
            loaded = _load(self.parameters)
            if loaded.sha256 != self.sha256:
                raise UqError(
                    f"{self.parameters['model']}: the file has changed since the calculator was made that this is a copy of "
                    f"(sha256 {self.sha256}, now {loaded.sha256}); make a new calculator"
                )
            self._loaded = loaded
        return self._loaded

    def calculate(
        self, atoms: Atoms | None = None, properties: Sequence[str] = ("energy",), system_changes: Sequence[str] = tuple(all_changes)
    ) -> None:
        """See `ase.calculators.calculator.Calculator.calculate`."""
        super().calculate(atoms, properties, system_changes)
        for name in properties:
            self._refuse_missing(name)
        forces, dear = any(name not in WITHOUT_FORCES for name in properties), any(name in DEAR for name in properties)
        if system_changes or self._evaluated is None:
            self._found: dict[str, Any] = {}
            self._evaluated = Evaluated(self._engine, [cast(Atoms, self.atoms)])
        (found,) = self._evaluated.results(forces=forces, dear=dear, stresses="stresses" in properties)
        self._found |= found  # asked for one after another: a writer finds them all
        self.results = {name: value for name, value in self._found.items() if name in self.implemented_properties}

    def get_error_above(self, threshold: float, atoms: Atoms | None = None) -> np.ndarray:
        """Probability that the force error of an atom exceeds a threshold.

        Parameters
        ----------
        threshold : float
            eV/Angstrom, 0 or more.
        atoms : ase.Atoms or None
            None: those of the last calculation.

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        PropertyNotImplementedError
            A file without a calibration of force_error, or with one of lmp-uq before 0.2: `lmp-uq calibrate` makes a new one.
        UqError
            A threshold that is negative or not a number.
        """
        self._refuse_missing("error_above")
        self.get_property("force_error", atoms)
        return error_above(self._engine, self._found, threshold)

    def _refuse_missing(self, name: str) -> None:
        if name in (*BARS, "error_above") and not gives(self._engine, name):
            raise PropertyNotImplementedError(f"{name}: the model file holds nothing that gives it")


def _load(parameters: Mapping[str, Any]) -> Engine:
    return Engine.load(parameters["model"], None, **{name: value for name, value in parameters.items() if name != "model"})


def _lasting_name(model: str | os.PathLike[str]) -> str:
    """Name of an embedded model, or a path that means the same file in any folder."""
    path = modelfile.resolve(name_of_model(model))
    return os.path.abspath(path) if path == Path(model) else str(model)
