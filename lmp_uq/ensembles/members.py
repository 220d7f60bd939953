# SPDX-License-Identifier: GPL-2.0-or-later
"""Models of an ensemble: `*.uq` files, and calculators that a factory of the user's environment makes."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import ase
import numpy as np

from lmp_uq import modelfile
from lmp_uq.ase_factory import make_calculator, parse_factory, said
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.errors import UqError, argument, piece
from lmp_uq.files import hash_file
from lmp_uq.frames.frame import Frame, check_frames
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import RowOptions

PREFIX = "ase:"
_NAME = re.compile(r"[\w.+-]+")


class Member(Protocol):
    """One model.

    name: as `named` says; identity: of all that its forces depend on; elements: those that it has, None where nobody can tell.
    """

    name: str
    identity: str
    elements: tuple[str, ...] | None

    def evaluate(self, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
        """Energies (n_frames,), eV, and forces of all atoms one after another (n, 3), eV/Angstrom. UqError names model and frame."""
        ...


def named(text: str) -> tuple[str, str]:
    """Name of a model and where it comes from: ``NAME=MODEL``, or the model itself as the name."""
    name, equals, model = text.partition("=")
    return (name, model) if equals and _NAME.fullmatch(name) and not os.path.exists(text) else (text, text)


def load_members(models: Sequence[str], engine: Mapping[str, Any], machine: Mapping[str, Any]) -> list[Member]:
    """The models of an ensemble, the first of which drives.

    Parameters
    ----------
    models : sequence of str
        ``*.uq``, embedded models, or ``ase:`` and what `lmp_uq.ase_factory` takes; each with or without a name, see `named`.
    engine : mapping
        device, precision and engine of `*.uq` files.
    machine : mapping
        threads, local_rank and communicator of this rank.

    Raises
    ------
    UqError
        Fewer than two models, one twice, a file or a factory that gives no model, no element that all know.
    """
    if len(models) < 2:
        raise UqError(f"{argument('models', *models)}: {len(models)} model; accepted: two or more, the first drives")
    members: list[Member] = []
    for text in models:
        name, model = named(text)
        if any(one.name == name for one in members):
            raise UqError(f"{argument('models')}: {name} stands there twice; accepted: each once")
        communicator = machine.get("communicator")
        member = _AseMember(name, model, communicator) if model.startswith(PREFIX) else _FileMember(name, model, engine, machine)
        same = next((one.name for one in members if one.identity == member.identity), None)
        if same is not None:
            raise UqError(f"{argument('models')}: {same} and {name} are the same model; accepted: each once")
        members.append(member)
    known = [set(one.elements) for one in members if one.elements is not None]
    if known and not set.intersection(*known):
        told = "; ".join(f"{one.name}: {', '.join(one.elements)}" for one in members if one.elements is not None)
        raise UqError(f"{argument('models')}: there is no element that all models have ({told})")
    return members


class _FileMember:
    def __init__(self, name: str, model: str, engine: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        file = modelfile.read(modelfile.resolve(model))
        said = dict(engine)
        precision, device = said.pop("precision", "file"), said.pop("device", "auto")
        self.name, self._backbone = name, backbone_of_file(file, precision, device, **said, **machine)
        self.identity = f"{file.sha256} {precision} {getattr(self._backbone, 'engine', '')}"
        self.elements: tuple[str, ...] | None = tuple(self._backbone.elements)

    def evaluate(self, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
        try:
            check_frames(frames, self._backbone)
        except UqError as reason:
            raise UqError(f"{self.name}: {reason}") from None
        found = predict(self._backbone, frames, RowOptions(kinds=()))
        forces = np.concatenate(found.forces)
        _check_finite(self.name, frames, found.energies, forces)
        return found.energies, forces


class _AseMember:
    elements: tuple[str, ...] | None = None

    def __init__(self, name: str, model: str, communicator: Any = None) -> None:
        self.name = name
        factory = parse_factory(model.removeprefix(PREFIX), f"{argument('models')}: {piece(model)}")
        self._calculator = make_calculator(factory, name)
        parameters = getattr(self._calculator, "parameters", {})
        if communicator is not None and parameters.get("comm", 0) is None:  # as of LAMMPSlib: all ranks, which evaluate other frames
            parameters["comm"] = communicator
        files = sorted({text for text in _texts([factory.positional, factory.keywords]) if os.path.isfile(text)})
        digest = hashlib.sha256(f"{model} {_version(factory.module)}".encode())
        for path in files:
            digest.update(hash_file(path).encode())
        self.identity = digest.hexdigest()

    def evaluate(self, frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
        found = [self._one(frame) for frame in frames]
        energies = np.array([energy for energy, _ in found])
        forces = np.concatenate([forces for _, forces in found])
        _check_finite(self.name, frames, energies, forces)
        return energies, forces

    def _one(self, frame: Frame) -> tuple[float, np.ndarray]:
        atoms: ase.Atoms = frame.atoms.copy()
        atoms.set_constraint()
        atoms.calc = self._calculator
        try:
            with contextlib.redirect_stdout(sys.stderr):  # what they print is no part of our output
                forces, energy = np.array(atoms.get_forces(), float), float(atoms.get_potential_energy())
        except Exception as failure:  # other people's code raises anything
            raise UqError(f"{self.name}: {frame.source}: {said(failure)}") from failure
        if forces.shape != (len(atoms), 3):
            raise UqError(f"{self.name}: {frame.source}: forces have shape {forces.shape}; accepted: {(len(atoms), 3)}")
        return energy, forces


def _version(module: str) -> str:
    """Of the package that a module is in, or of its file where it is in none."""
    top = module.partition(".")[0]
    names = _distributions().get(top)
    if names:
        return " ".join(f"{one} {importlib.metadata.version(one)}" for one in sorted(set(names)))
    path = getattr(importlib.import_module(module), "__file__", None)
    return hash_file(path) if path else ""


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Packages of the environment by their modules; a second of work."""
    return importlib.metadata.packages_distributions()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _texts(one)


def _check_finite(name: str, frames: Sequence[Frame], energies: np.ndarray, forces: np.ndarray) -> None:
    first = 0
    for frame, energy in zip(frames, energies, strict=True):
        mine = forces[first : first + len(frame.atoms)]
        if not np.isfinite(energy) or not np.isfinite(mine).all():
            raise UqError(f"{name}: {frame.source}: energy or forces are NaN or infinite; all must be finite")
        first += len(frame.atoms)
