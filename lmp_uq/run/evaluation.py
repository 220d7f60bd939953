# SPDX-License-Identifier: GPL-2.0-or-later
"""Energies, forces, stress and bars of whole configurations: what an `lmp_uq.run.engine.Engine` gives outside LAMMPS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from tqdm import tqdm

from lmp_uq.backbone.graph import Graph, forces_of, graph_for
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.frames.frame import Frame
from lmp_uq.novelty.neighbours import neighbour_grade
from lmp_uq.rows.predict import batches
from lmp_uq.rows.rows import RowOptions
from lmp_uq.run.engine import RELIABILITY, Engine
from lmp_uq.run.members import beyond_known_ground

DEAR = ("forces_std", "stress_std")
"""Results that cost a backward pass of each force member."""
WITHOUT_FORCES = (
    "energy", "free_energy", "energies", "energy_std", "energy_lower", "energy_upper", "energy_error", "feature_sum", "grade",
    "neighbour_grade",
)  # fmt: skip
"""Results that cost no backward pass."""
QUIET = 1.0
"""Seconds for which no progress bar is shown."""
_FIELD = {"forces_std": "force_std"}
_VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def has_volume(atoms: Atoms) -> bool:
    """Whether a configuration has a stress."""
    return atoms.cell.rank == 3


def gives(engine: Engine, name: str) -> bool:
    """Whether the file holds what a result of `evaluate` needs."""
    return engine.offers(_FIELD.get(name, name))


def evaluate(
    engine: Engine, frames: Sequence[Atoms], names: Sequence[str] | None = None, *, forces: bool = True, dear: bool = False
) -> list[dict[str, Any]]:
    """Everything that the file gives about configurations, which are evaluated together.

    Parameters, returns and raises as `Evaluated` and its `results`.
    """
    return Evaluated(engine, frames, names, keep=forces).results(forces=forces, dear=dear)


class Evaluated:
    """Configurations after a pass of the model; what takes a backward pass is computed when it is first asked for.

    Parameters
    ----------
    engine : Engine
    frames : sequence of ase.Atoms
    names : sequence of str or None
        For messages; None: their numbers.
    keep : bool
        The derivatives, without which there are results `WITHOUT_FORCES` only. The engine holds those of one evaluation: the last.

    Raises
    ------
    UqError
        As `lmp_uq.backbone.graph.graph_for`, or what LAMMPS refuses of a linear potential.
    """

    def __init__(self, engine: Engine, frames: Sequence[Atoms], names: Sequence[str] | None = None, *, keep: bool = True) -> None:
        self._linear = [_Linear(engine, atoms) for atoms in frames] if getattr(engine.backbone, "linear", False) else None
        self._graphs = _Graphs(engine, frames, names, keep) if self._linear is None else None

    def results(self, *, forces: bool = True, dear: bool = False, stresses: bool = False) -> list[dict[str, Any]]:
        """What the file gives about each configuration.

        Parameters
        ----------
        forces : bool
            All but those `WITHOUT_FORCES`.
        dear : bool
            Those of `DEAR` too.
        stresses : bool
            The atoms' shares of the stress too.

        Returns
        -------
        list of dict
            energy, free_energy, energy_std, energy_lower, energy_upper, energy_error (eV); energies (n,) eV; forces, forces_std (n, 3)
            eV/Angstrom; stress, stress_std (6,), stresses (n, 6) eV/Angstrom^3, Voigt order and sign of ASE, where there is a volume;
            force_error, force_error_50, force_error_95 (n,) eV/Angstrom; grade, neighbour_grade, reliability (n,); feature_sum (P',);
            correction_norm (n,) eV/Angstrom, the force of the posterior's mean correction, where force_error is made of it.
        """
        if self._graphs is not None:
            return self._graphs.results(forces, dear, stresses)
        return [one.results(dear) for one in self._linear or ()]


def member_energies(engine: Engine, frames: Sequence[Atoms], names: Sequence[str] | None = None) -> list[np.ndarray]:
    """Total energies (n_members,) of each frame, eV; those of a P-readout if no atom of the frame is beyond its ground.

    Raises as `Evaluated`.
    """
    found = Evaluated(engine, frames, names, keep=False).results(forces=False)
    sizes = np.cumsum([0, *map(len, frames)])
    out = []
    for one, first, last in zip(found, sizes[:-1], sizes[1:], strict=True):
        if engine.readout is None or beyond_known_ground(one["grade"]).any():
            out.append(engine.member_energies(one["feature_sum"], one["energy"]))
        else:
            out.append(one["energy"] + engine.readout_energies(slice(first, last)))
    return out


def in_batches(
    frames: Sequence[Frame], name: str, progress: bool, work: Callable[[list[Atoms], list[str]], Iterable[Any]]
) -> list[Any]:
    """What work(atoms, sources) gives for each frame, batch by batch, with a progress bar."""
    out: list[Any] = []
    with tqdm(total=len(frames), desc=name, unit="frame", disable=not progress, delay=QUIET) as bar:
        for batch in batches(frames, RowOptions().batch_atoms):
            out += work([one.atoms for one in batch], [one.source for one in batch])
            bar.update(len(batch))
    return out


def error_above(engine: Engine, found: dict, threshold: float) -> np.ndarray:
    """Probability (n,) that the force error of an atom exceeds a threshold, eV/Angstrom; found: one entry of what `evaluate` returns.

    Raises
    ------
    UqError
        As `lmp_uq.run.engine.Engine.error_above`.
    """
    force, correction = np.linalg.norm(found["forces"], axis=1), found.get("correction_norm")
    return engine.error_above(ForceVariables.of(force, found["grade"], found["neighbour_grade"], correction), threshold)


class _Graphs:
    """Several configurations in one graph."""

    def __init__(self, engine: Engine, frames: Sequence[Atoms], names: Sequence[str] | None, keep: bool) -> None:
        self.engine, self.frames = engine, frames
        graph, owner = graph_for(engine.backbone, frames, names)
        self.graph, self.energies = graph, np.empty(graph.n_local)
        engine.evaluate(graph, self.energies, keep=keep)
        numbers = np.arange(len(frames) + 1)
        self.atoms, self.edges = np.searchsorted(owner, numbers), np.searchsorted(owner[graph.centres], numbers)

    @cached_property
    def gradients(self) -> np.ndarray:
        out = np.empty(self.graph.vectors.shape)
        self.engine.energy_gradients(np.ones(self.graph.n_local), out)
        return out

    @cached_property
    def forces(self) -> np.ndarray:
        return forces_of(self.graph, self.gradients)

    def results(self, forces: bool, dear: bool, stresses: bool) -> list[dict[str, Any]]:
        norm = np.linalg.norm(self.forces, axis=1) if forces else None
        bars = _bars(self.engine, norm, self.graph, self._correction if forces else None, np.diff(self.atoms))
        away = _Away(self.engine, self.graph, bars.fields.get("grade")) if dear else None
        return [self._of(k, bars, away, forces, stresses) for k in range(len(self.frames))]

    @cached_property
    def _correction(self) -> np.ndarray | None:
        if not self.engine.uses_correction:
            return None
        gradients = np.empty(self.graph.vectors.shape)
        self.engine.correction_gradients(gradients)
        return np.linalg.norm(forces_of(self.graph, gradients), axis=1)

    def _of(self, k: int, bars: _Bars, away: Any, forces: bool, stresses: bool) -> dict[str, Any]:
        mine = slice(*self.atoms[k : k + 2])
        energies = self.energies[mine]
        out = {"energies": energies}
        if forces:
            out["forces"] = self.forces[mine]
        if forces and has_volume(self.frames[k]):
            out["stress"] = self._stress(k, self.gradients)
            if stresses:
                out["stresses"] = self._stresses(k)
        out |= _energy_bars(self.engine, bars, k, energies.sum(), mine) | {name: field[mine] for name, field in bars.fields.items()}
        if away is not None:
            out["forces_std"] = away.forces_std(mine)
            if has_volume(self.frames[k]):
                out["stress_std"] = _rms([self._stress(k, gradients) for gradients in away.of_all(mine)])
        return out

    def _stress(self, k: int, gradients: np.ndarray) -> np.ndarray:
        # dE/dstrain over the volume: the sign of ASE, the opposite of a virial's
        mine = slice(*self.edges[k : k + 2])
        strain = self.graph.vectors[mine].T @ gradients[mine] / self.frames[k].get_volume()
        return full_3x3_to_voigt_6_stress(0.5 * (strain + strain.T))

    def _stresses(self, k: int) -> np.ndarray:
        # an edge's share goes half to either end, as in csrc/lammps/graph.cpp
        mine, first_atom = slice(*self.edges[k : k + 2]), self.atoms[k]
        vectors, gradients = self.graph.vectors[mine], self.gradients[mine]
        first, second = _VOIGT
        edges = 0.25 * (vectors[:, first] * gradients[:, second] + vectors[:, second] * gradients[:, first])
        ends = np.concatenate([self.graph.centres[mine], self.graph.neighbours[mine]]) - first_atom
        sums = [np.bincount(ends, np.tile(column, 2), len(self.frames[k])) for column in edges.T]
        return np.transpose(sums) / self.frames[k].get_volume()


class _Away:
    """By how much force members are away from the model: those of POPS and, on known ground, those of a P-readout."""

    def __init__(self, engine: Engine, graph: Graph, grades: np.ndarray | None) -> None:
        n = engine.n_force_members
        self.beyond = np.ones(graph.n_local, bool) if engine.readout is None else beyond_known_ground(grades)
        first, last = 0 if self.beyond.any() else n, n if engine.readout is None else 2 * n
        gradients = np.empty((last - first, *graph.vectors.shape))
        engine.member_gradients(first, gradients)
        self.pops, self.readout = gradients[: n - first], gradients[n - first :]
        self.forces = [[forces_of(graph, one) for one in mine] for mine in (self.pops, self.readout)]

    def of_all(self, atoms: slice) -> np.ndarray:
        """Gradients (K', n_edges, 3) of the members that answer for the whole of a frame: POPS, if they have to for one of its atoms."""
        return self.pops if self.beyond[atoms].any() else self.readout

    def forces_std(self, atoms: slice) -> np.ndarray:
        """(n, 3) of a frame, eV/Angstrom."""
        bars = [_rms([one[atoms] for one in mine]) if mine else 0.0 for mine in self.forces]
        return np.where(self.beyond[atoms, None], *bars)


class _Linear:
    """One configuration of a linear potential, whose backbone gives the derivatives of its descriptors with its energy."""

    def __init__(self, engine: Engine, atoms: Atoms) -> None:
        self.engine, self.atoms = engine, atoms
        self.evaluation = engine.backbone.evaluate_frame(atoms)

    def results(self, dear: bool) -> dict[str, Any]:
        one, volume = self.evaluation, self.atoms.cell.volume
        self.engine.take(one.descriptors, one.species)
        out = {"forces": one.forces}
        if has_volume(self.atoms):
            out["stress"] = full_3x3_to_voigt_6_stress(-one.virial / volume)
        graph, _ = graph_for(self.engine.backbone, [self.atoms])
        correction = None
        if self.engine.uses_correction:
            correction = np.linalg.norm((one.force_rows @ self.engine.mean_correction).reshape(-1, 3), axis=1)
        bars = _bars(self.engine, np.linalg.norm(one.forces, axis=1), graph, correction, [len(self.atoms)])
        out |= _energy_bars(self.engine, bars, 0, one.energy, slice(0, len(self.atoms))) | bars.fields
        if dear:
            theta = self.engine.force_members
            out["forces_std"] = _rms((one.force_rows @ theta.T).T).reshape(-1, 3)
            if has_volume(self.atoms):
                out["stress_std"] = _rms([full_3x3_to_voigt_6_stress(one.virial_rows @ mine) / volume for mine in theta])
        return out


class _Bars(NamedTuple):
    """Fields of the atoms of all configurations last evaluated, and the sum of features of each."""

    fields: dict[str, np.ndarray]
    sums: np.ndarray | None


def _bars(
    engine: Engine, norm: np.ndarray | None, graph: Graph, correction: np.ndarray | None, sizes: Sequence[int] | np.ndarray
) -> _Bars:
    fields: dict[str, np.ndarray] = {}
    if engine.offers("grade"):
        fields["grade"] = engine.per_atom("grade")
        fields["neighbour_grade"] = neighbour_grade(fields["grade"], graph.centres, graph.neighbours)
    for name in ("force_error", "force_error_50", "force_error_95", RELIABILITY):
        if norm is not None and engine.offers(name):
            fields[name] = engine.per_atom(name, norm, fields["neighbour_grade"], correction)
    if correction is not None:
        fields["correction_norm"] = correction
    sums = engine.feature_sums(sizes) if engine.offers("energy_std") else None
    return _Bars(fields, sums)


def _energy_bars(engine: Engine, bars: _Bars, k: int, energy: float, atoms: slice) -> dict[str, Any]:
    out = {"energy": energy, "free_energy": energy}
    if bars.sums is None:
        return out
    std, lower, upper = engine.totals(bars.sums[k], energy)
    out |= {"energy_std": std, "energy_lower": lower, "energy_upper": upper, "feature_sum": bars.sums[k]}
    if engine.offers("energy_error"):
        grade = np.mean(bars.fields["grade"][atoms]) if engine.of_mean_grade else np.nan
        out["energy_error"] = engine.energy_error(std, grade, atoms.stop - atoms.start)
    return out


def _rms(away: Any) -> np.ndarray:
    return np.sqrt(np.mean(np.asarray(away) ** 2, axis=0))
