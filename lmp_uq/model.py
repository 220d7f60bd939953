# SPDX-License-Identifier: GPL-2.0-or-later
"""A model file in a notebook: what it holds, and what it says about structures.

The bars are those of D. Perez et al., npj Comput. Mater. 11, 263 (2025) and of `lmp_uq.calibration`; `lmp_uq.run.evaluation` computes them.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from lmp_uq import modelfile
from lmp_uq.calibration.force_error import LEVEL
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError
from lmp_uq.files import hash_file
from lmp_uq.frames.frame import Frame, check_frames
from lmp_uq.frames.memory import FrameSource, sources_of
from lmp_uq.frames.reading import read_atoms
from lmp_uq.run.arguments import check_counts, name_of_model
from lmp_uq.run.engine import Engine
from lmp_uq.run.evaluation import DEAR, WITHOUT_FORCES, error_above, evaluate, gives, has_volume, in_batches, member_energies
from lmp_uq.run.reliability import Reliability, assess
from lmp_uq.run.table import data_frame
from lmp_uq.selection.choice import Selection, Source, select_frames

if TYPE_CHECKING:
    from pandas import DataFrame

Frames: TypeAlias = "FrameSource | Iterable[FrameSource]"
PER_FRAME = ("energy_std", "energy_lower", "energy_upper", "energy_error")
PER_ATOM = ("force_error", "grade", "neighbour_grade", "reliability", "forces_std")
OF_LEVELS = {0.5: "force_error_50", LEVEL: "force_error", 0.95: "force_error_95"}


class Model:
    """A model file, ready to be asked. `Model.load` makes one.

    Attributes
    ----------
    name : str
        What `load` was given.
    sha256 : str
        Of the file.
    elements : tuple of str
    cutoff : float
        Angstrom.
    fields : tuple of str
        Bars that the file gives: attributes of a `Prediction`.
    members : int
        Members of the ensemble in use; 0 without a posterior.
    info : dict
        The header of the file, see `lmp_uq.modelfile.file`.
    options : dict
        What it was loaded with.
    """

    def __init__(self, name: str, engine: Engine, options: dict[str, Any]) -> None:
        self.name, self.sha256, self._engine, self.options = name, engine.sha256, engine, options
        self.elements = tuple(engine.header.elements)
        self.cutoff, self.members = float(engine.cutoff), int(engine.n_members)
        self.fields = tuple(name for name in (*PER_FRAME, *PER_ATOM, "error_above", "stress_std") if gives(engine, name))
        self.fields += ("members",) * engine.offers("energy_std")

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "file",
        n_threads: int = 0,
        n_members: int = 0,
        n_force_members: int = 0,
        conservative: bool = False,
        learned: bool = False,
    ) -> Model:
        """Read a model file.

        Parameters
        ----------
        name : str or path
            A ``*.uq`` file, the name of an embedded model, or a file in a folder of LAMMPS_POTENTIALS.
        engine : {"auto", "native", "torch"}
        device : str
            "auto", "cpu", "cuda", "cuda:N".
        precision : {"file", "float32", "float64"}
        n_threads : int
            CPU threads; 0: what OpenMP or torch choose.
        n_members, n_force_members : int
            Members to use; 0: all of the file, and 8 or what the file holds.
        conservative : bool
            Calibrated bars with their conservative quantiles and factors, see docs/uncertainty.md.
        learned : bool
            force_error from the file's learned quantile.

        Raises
        ------
        UqError
            No model of that name, a file that is damaged or something else, an engine, device or precision that is not known or not
            there, more members than the file holds.
        """
        check_counts(n_threads=n_threads, n_members=n_members, n_force_members=n_force_members)
        options: dict[str, Any] = {"engine": engine, "device": device, "precision": precision, "threads": n_threads, "n_members": n_members}
        options |= {"n_force_members": n_force_members, "conservative": conservative, "learned": learned}
        return cls(name_of_model(name), Engine.load(name, None, linear=True, **options), options)

    def predict(self, frames: Frames, *, progress: bool = True, n_threads: int | None = None) -> Prediction:
        """What the model says about structures. Nothing is computed before it is asked for.

        Parameters
        ----------
        frames : ase.Atoms, path of a file that ASE reads, or an iterable of them
            Copied: what becomes of them later changes nothing. Needs no labels.
        progress : bool
            A bar on standard error for what takes longer than a second.
        n_threads : int or None
            CPU threads from now on; None: as before.

        Raises
        ------
        UqError
            Naming the frame: no frames, no atoms, elements that the model lacks, positions or a cell that are not finite, a file that
            cannot be read.
        """
        if n_threads is not None and n_threads != self.options["threads"]:
            check_counts(n_threads=n_threads)
            self._reload(n_threads)
        return Prediction(self, self._read(frames), progress)

    def reliability(self, frames: Frames, *, progress: bool = True) -> Reliability:
        """What the file's classifier says of the energies of structures; see docs/reliability.md for where it can be trusted.

        Returns
        -------
        Reliability
            Of each frame, given as to `predict`, the probability that abs(energy error) / N is at most the boundary of the classifier, and
            the attention that each atom receives.

        Raises
        ------
        UqError
            A file without classifier; what `predict` raises.
        """
        if self._engine.probe is None:
            raise UqError(f"reliability: {self.name} holds no classifier of frames; lmp-uq calibrate --classifier probe adds one")
        found = self._read(frames)
        parts = in_batches(found, self.name, progress, lambda atoms, sources: zip(*assess(self._engine, atoms, sources), strict=True))
        probability, importance = zip(*parts, strict=True)
        atoms, sources = [one.atoms for one in found], [one.source for one in found]
        return Reliability(atoms, sources, self._engine.probe.boundary, np.array(probability), list(importance))

    def select(self, pool: Frames, count: int, *, seen: Frames = (), progress: bool = True, **options: Any) -> Selection:
        """So many frames of a pool that are worth a label, in this order; see docs/select.md.

        Parameters
        ----------
        pool, seen, progress
            As `predict` takes them; seen: frames that have labels already, beside those that shaped the file.
        **options
            Those of `lmp_uq.selection.choice.Request`; what is refused stands there and in `Chooser.choose`.
        """
        self.check_file()
        source = Source.of(modelfile.read(modelfile.resolve(self.name)), self._engine.backbone, self.name)
        return select_frames(source, pool, seen, progress, {"count": count} | options)

    def _read(self, frames: Frames) -> list[Frame]:
        found = [Frame(atoms.copy(), np.nan, None, None, "", source, 0) for atoms, source in read_atoms(sources_of(frames, "frames"))]
        check_frames(found, self._engine.backbone)
        return found

    @property
    def info(self) -> dict[str, Any]:
        """The header of the file."""
        return copy.deepcopy(self._engine.header.to_dict())

    def check_file(self) -> None:
        """Raise UqError if the file is no longer the one that was loaded."""
        now = hash_file(modelfile.resolve(self.name))
        if now != self.sha256:
            raise UqError(f"{self.name}: the file has changed since it was loaded (sha256 {self.sha256}, now {now}); load it anew")

    def _reload(self, n_threads: int) -> None:
        self.check_file()
        options = self.options | {"threads": n_threads}
        self._engine, self.options = Engine.load(self.name, None, linear=True, **options), options

    def __repr__(self) -> str:
        return f"Model {self.name}: {self._engine.summary}"


class Prediction:
    """What a model says about structures, one entry for each, in their order.

    Energies, their bars and grades come together when the first of them is asked for; all but the last two when forces or what needs them
    is, at a backward pass; `forces_std` and `stress_std` cost one of each force member. What comes later is a new pass of the model, so the
    dearest is best asked for first. An attribute that the file holds nothing for raises UqError.

    Attributes
    ----------
    frames : list of ase.Atoms
    sources : list of str
        ``file[index]``, or ``frames[index]``.
    """

    def __init__(self, model: Model, frames: list[Frame], progress: bool = True) -> None:
        self.model, self._frames, self._progress = model, frames, progress
        self._engine = model._engine
        self.frames, self.sources = [one.atoms for one in frames], [one.source for one in frames]

    def __len__(self) -> int:
        return len(self._frames)

    def __repr__(self) -> str:
        state = "computed" if {"_free", "_cheap", "_dear"} & set(vars(self)) else "nothing computed yet"
        bars, n_atoms = ", ".join(self.model.fields) or "none", sum(map(len, self.frames))
        return f"Prediction of {self.model.name}: {len(self)} frames, {n_atoms} atoms, {state}; bars: {bars}"

    @property
    def energy(self) -> np.ndarray:
        """(n_frames,) total energies, eV."""
        return self._column("energy")

    @property
    def forces(self) -> list[np.ndarray]:
        """Forces (n_atoms, 3) of each frame, eV/Angstrom."""
        return self._arrays("forces")

    @property
    def stress(self) -> np.ndarray:
        """(n_frames, 6) stress, eV/Angstrom^3, Voigt order and sign of ASE. UqError if a frame has no cell of three vectors."""
        return self._stress("stress")

    @property
    def energy_std(self) -> np.ndarray:
        """(n_frames,) POPS error bar of the total energy, eV: root mean square of x.Theta over the posterior."""
        return self._column("energy_std")

    @property
    def energy_lower(self) -> np.ndarray:
        """(n_frames,) lower bound of the total energy over the members in use, eV."""
        return self._column("energy_lower")

    @property
    def energy_upper(self) -> np.ndarray:
        """(n_frames,) upper bound of the total energy over the members in use, eV."""
        return self._column("energy_upper")

    @property
    def energy_error(self) -> np.ndarray:
        """(n_frames,) calibrated 90 % bar of the total energy, eV."""
        return self._column("energy_error")

    @property
    def members(self) -> np.ndarray:
        """(n_frames, K) total energies of the members in use, eV."""
        self._refuse_missing("members")
        if self._engine.readout is not None:  # of the atoms' descriptors, which are not kept
            return np.array(in_batches(self._frames, self.model.name, self._progress, partial(member_energies, self._engine)))
        sums = self._arrays("feature_sum", "members")
        return np.array([self._engine.member_energies(mine, energy) for mine, energy in zip(sums, self.energy, strict=True)])

    @property
    def grade(self) -> list[np.ndarray]:
        """Novelty (n_atoms,) of each frame's atoms; 1 is the edge of the training atoms."""
        return self._arrays("grade")

    @property
    def neighbour_grade(self) -> list[np.ndarray]:
        """Novelty (n_atoms,) of the atoms that the force of each atom depends on; see `lmp_uq.novelty.neighbours`."""
        return self._arrays("neighbour_grade")

    @property
    def reliability(self) -> list[np.ndarray]:
        """Probability (n_atoms,) that an atom's force error is at most the middle threshold of the file's ordinal head."""
        return self._arrays("reliability")

    def force_error(self, level: float = LEVEL) -> list[np.ndarray]:
        """Calibrated quantile of the force error (n_atoms,) of each frame's atoms, eV/Angstrom.

        Parameters
        ----------
        level : float
            Share of the errors that it shall cover.

        Raises
        ------
        UqError
            A level that the file was not calibrated to, or a file without force_error.
        """
        self._refuse_missing("force_error")
        known = [one for one, name in OF_LEVELS.items() if self._engine.offers(name)]
        if level not in known:
            raise UqError(f"force_error: level {level!r} is not in {self.model.name}; accepted: {', '.join(f'{one:g}' for one in known)}")
        return self._arrays(OF_LEVELS[level], "force_error")

    def error_above(self, threshold: float) -> list[np.ndarray]:
        """Probability (n_atoms,) that the force error of an atom exceeds a threshold, of each frame.

        Parameters
        ----------
        threshold : float
            eV/Angstrom, 0 or more.

        Raises
        ------
        UqError
            A threshold that is negative or not a number; a file without force_error, or with one of lmp-uq before 0.2.
        """
        self._refuse_missing("force_error", asked="error_above")
        self._engine.error_above(ForceVariables.of([], [], [], []), threshold)  # what cannot be is said before anything is computed
        return [error_above(self._engine, found, threshold) for found in self._results("force_error")]

    @property
    def forces_std(self) -> list[np.ndarray]:
        """How far the force members are from the model: root mean square (n_atoms, 3) of each frame, eV/Angstrom."""
        return self._arrays("forces_std")

    @property
    def stress_std(self) -> np.ndarray:
        """(n_frames, 6) the same of the stress, eV/Angstrom^3. UqError if a frame has no cell of three vectors."""
        return self._stress("stress_std")

    def to_ase(self) -> list[Atoms]:
        """Copies of the frames with what was predicted.

        Returns
        -------
        list of ase.Atoms
            Energy, forces and, where there is a cell, stress as the results of a SinglePointCalculator; bars of the energy in ``info``,
            grade, neighbour_grade, force_error and, if it was asked for before, forces_std in ``arrays``.
        """
        per_atom = [name for name in PER_ATOM if name in self.model.fields and (name not in DEAR or "_dear" in vars(self))]
        out = []
        for k, found in enumerate(self._results("forces")):
            atoms = self.frames[k].copy()
            atoms.info |= {name: float(found[name]) for name in PER_FRAME if name in self.model.fields}
            atoms.calc = SinglePointCalculator(atoms, **{name: found[name] for name in ("energy", "forces", "stress") if name in found})
            for name in per_atom:
                atoms.set_array(name, self._results(name)[k][name])
            out.append(atoms)
        return out

    def to_frame(self) -> DataFrame:
        """A pandas DataFrame with a row for each frame: energies and their bars, the largest of what belongs to atoms.

        Raises
        ------
        UqError
            pandas is not installed.
        """
        return data_frame(self, PER_FRAME)

    @cached_property
    def _free(self) -> list[dict[str, Any]]:
        known = {"_cheap", "_dear"} & set(vars(self)) or getattr(self._engine.backbone, "linear", False)
        return self._cheap if known else self._evaluate(forces=False)

    @cached_property
    def _cheap(self) -> list[dict[str, Any]]:
        return vars(self).get("_dear") or self._evaluate()

    @cached_property
    def _dear(self) -> list[dict[str, Any]]:
        return self._evaluate(dear=True)

    def _results(self, name: str) -> list[dict[str, Any]]:
        return self._dear if name in DEAR else self._free if name in WITHOUT_FORCES else self._cheap

    def _evaluate(self, *, forces: bool = True, dear: bool = False) -> list[dict[str, Any]]:
        return in_batches(self._frames, self.model.name, self._progress, partial(evaluate, self._engine, forces=forces, dear=dear))

    def _refuse_missing(self, name: str, asked: str = "") -> None:
        if name not in self.model.fields and name not in ("energy", "forces", "stress"):
            gives = ", ".join(self.model.fields) or "no bars"
            raise UqError(f"{asked or name}: {self.model.name} holds nothing that gives it; it gives {gives}")

    def _arrays(self, name: str, of: str | None = None) -> list[Any]:
        self._refuse_missing(of or name)
        return [found[name] for found in self._results(name)]

    def _column(self, name: str) -> np.ndarray:
        return np.array(self._arrays(name))

    def _stress(self, name: str) -> np.ndarray:
        self._refuse_missing(name)
        open_frames = [source for atoms, source in zip(self.frames, self.sources, strict=True) if not has_volume(atoms)]
        if open_frames:
            more = f" and {len(open_frames) - 1} more" * (len(open_frames) > 1)
            raise UqError(f"{name}: {open_frames[0]}{more} has no volume; accepted: frames with a cell of three vectors")
        return self._column(name)
