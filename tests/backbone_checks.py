# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames, reference results and shared backbones for the tests of the backbone."""

from __future__ import annotations

import functools
import threading

import numpy as np
import torch
from ase import Atoms
from emulated_device import machine
from tiny_models import as_backbone, density_model, omol_model, plain_model, residual_model

from lmp_uq.backbone.graph import Graph, graph_of_frames
from lmp_uq.backbone.mace.architecture import default_dtype, quiet
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone

MODELS = {
    "density": density_model,
    "residual": residual_model,
    "plain": plain_model,
    "options": lambda: density_model(distance_transform="Soft", radial_type="gaussian", gate=torch.tanh, correlation=[3, 1]),
}
NONLINEAR = {"nonlinear": omol_model}
"""A model of the newest blocks, for tests that are dear for each further model."""
ENGINES = ("torch", "native", "device")
"""The last one is the native engine on the emulated device."""
FRAMES = ("triclinic", "small", "cluster", "slab")


@functools.cache
def shared_backbone(name: str, engine: str = "torch", **options):
    """One float64 backbone per model and engine for all tests; options are those of the native one."""
    model = (MODELS | NONLINEAR)[name]()
    return as_backbone(model) if engine == "torch" else as_native(model, engine=engine, **options)


def as_native(model: torch.nn.Module, precision: str = "float64", **options) -> MaceNativeBackbone:
    """Native backbone of a mace-torch model, through its architecture and tensors; options of `native_backbone`."""
    return native_backbone(*describe_mace(model), precision=precision, **options)


def native_backbone(architecture, tensors, precision: str = "float64", engine: str = "native", **options) -> MaceNativeBackbone:
    """Native backbone on the CPU, or with engine "device" on the emulated device."""
    if engine == "native":
        return MaceNativeBackbone(architecture, tensors, precision=precision, **options)
    with machine():
        return MaceNativeBackbone(architecture, tensors, precision=precision, device="cuda", **options)


def make_frame(kind: str, elements: tuple[str, ...], seed: int = 0) -> Atoms:
    """A frame whose atoms are not closer than about 1.4 Angstrom."""
    rng = np.random.default_rng(seed)
    if (
        kind == "small"
    ):  # every cell vector shorter than the cutoff: several images of each atom are neighbours
        cell = np.array([[2.6, 0.2, 0.1], [0.4, 2.5, -0.3], [0.0, 0.5, 2.7]])
        positions = np.array([[0.1, 0.2, 0.0], [1.3, 1.4, 1.5]])
    else:
        grid = 2.1 * np.stack(np.unravel_index(np.arange(8), (2, 2, 2)), axis=-1)
        positions = grid[:7] + rng.uniform(-0.35, 0.35, (7, 3)) - 1.0
        cell = np.array([[4.5, 0.3, -0.2], [0.5, 4.4, 0.4], [-0.3, 0.6, 4.6]])
    symbols = [elements[k] for k in rng.integers(0, len(elements), len(positions))]
    frame = Atoms(symbols, positions=positions, cell=cell, pbc=True)
    if kind == "cluster":
        frame.set_cell(None)
        frame.pbc = False
    if kind == "slab":
        frame.pbc = (True, True, False)
        frame.cell[2] = 0.0
    return frame


def one_graph(backbone, frame: Atoms) -> Graph:
    return graph_of_frames([frame], backbone.elements, backbone.cutoff)[0]


def forces_of(
    graph: Graph, edge_gradients: np.ndarray, *, sign: float = 1.0, factor: float = 1.0
) -> np.ndarray:
    """F_i += g, F_j -= g with g = dE/dr_ij; sign and factor plant errors."""
    forces = np.zeros((graph.n_local, 3))
    np.add.at(forces, graph.centres, factor * edge_gradients)
    np.add.at(forces, graph.neighbours, -sign * edge_gradients)
    return forces


def stress_of(graph: Graph, edge_gradients: np.ndarray, volume: float) -> np.ndarray:
    tensor = edge_gradients.T @ graph.vectors / volume
    return 0.5 * (tensor + tensor.T)


def reference(model: torch.nn.Module, frame: Atoms):
    """Energy, forces and stress of mace-torch's calculator."""
    with quiet(), default_dtype(torch.float64):  # it evaluates the repulsion in torch's default dtype
        from mace.calculators import MACECalculator

        frame = frame.copy()
        frame.calc = MACECalculator(models=[model], device="cpu", default_dtype="float64")
        stress = frame.get_stress(voigt=False) if frame.pbc.all() else None
        return frame.get_potential_energy(), frame.get_forces(), stress


def evaluated(backbone, frame: Atoms):
    graph = one_graph(backbone, frame)
    evaluation = backbone.evaluate(graph)
    return graph, evaluation, backbone.pull(evaluation.state, np.ones(graph.n_local))


def assert_derivatives(backbone, frame: Atoms, bound: float = 1e-8, h: float = 1e-4) -> None:
    """Forces and stress are what differences of fourth order of the energy say, along displacements of all atoms and along a strain.

    Relative to the largest force, and to the largest component of the stress.
    """
    graph, _, gradients = evaluated(backbone, frame)
    forces, stress = forces_of(graph, gradients), stress_of(graph, gradients, frame.get_volume())
    rng = np.random.default_rng(5)
    direction, strain = rng.normal(size=forces.shape) / len(frame), 0.3 * rng.normal(size=(3, 3))
    strain += strain.T

    def moved(step: float) -> Atoms:
        return Atoms(frame.symbols, positions=frame.positions + step * direction, cell=frame.cell, pbc=frame.pbc)

    def strained(step: float) -> Atoms:
        other = frame.copy()
        other.set_cell(frame.cell.array @ (np.eye(3) + 0.3 * step * strain), scale_atoms=True)
        return other

    found = [-_slope(backbone, moved, h), _slope(backbone, strained, h) / (0.3 * frame.get_volume())]
    exact = [(forces * direction).sum(), (stress * strain).sum()]
    for one, other, scale in zip(found, exact, (np.abs(forces).max(), np.abs(stress).max()), strict=True):
        assert abs(one - other) < bound * scale, (one, other, scale)
        assert abs(other) > 1e-3 * scale  # a direction along which nothing happens would show nothing


def _slope(backbone, changed, h: float) -> float:
    """Derivative of the energy of changed(step) at 0, of fourth order."""

    def energy(step):
        return backbone.evaluate(one_graph(backbone, changed(step)), gradients=False).energies.sum()

    return (8 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12 * h)


def check_at_once(ask, expected, times):
    """Threads, one for each entry of expected, that ask(number) at once and again get the bits of it each time."""
    right = []

    def work(k):
        if all(np.array_equal(a, b) for _ in range(times) for a, b in zip(ask(k), expected[k], strict=True)):
            right.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(expected))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(right) == list(range(len(expected)))
