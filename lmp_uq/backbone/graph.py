# SPDX-License-Identifier: GPL-2.0-or-later
"""What a backbone is evaluated on: atoms, directed edges, and the way to fill ghost rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lmp_uq.backbone.families import INPUTS
from lmp_uq.errors import UqError, piece

if TYPE_CHECKING:
    from ase import Atoms

_COINCIDENT = 1e-6  # Angstrom: below it a direction r_ij / |r_ij| means nothing


class GhostRows(Protocol):
    """A row of each node, wherever it lies, as csrc/mace/ghost_exchange.h has it.

    Outside of its holder a row is `width` float64 numbers that may be copied but mean nothing: float32 rows lie in them two by two.
    """

    width: int

    def pack(self, nodes: np.ndarray) -> np.ndarray:
        """Return the rows of nodes, (len(nodes), width) float64."""

    def unpack(self, first: int, rows: np.ndarray) -> None:
        """Overwrite the rows of consecutive nodes."""

    def add(self, nodes: np.ndarray, rows: np.ndarray) -> None:
        """Add to the rows of nodes, of which some may be the same."""


class ArrayRows:
    """Rows of a C-contiguous float64 array (n_nodes, width)."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.width = array, array.shape[1]

    def pack(self, nodes: np.ndarray) -> np.ndarray:
        """See `GhostRows.pack`."""
        return self.array[nodes]

    def unpack(self, first: int, rows: np.ndarray) -> None:
        """See `GhostRows.unpack`."""
        self.array[first : first + len(rows)] = rows

    def add(self, nodes: np.ndarray, rows: np.ndarray) -> None:
        """See `GhostRows.add`."""
        np.add.at(self.array, nodes, rows)


class Exchange(Protocol):
    """Copies of atoms on this rank: their owners send, and get back what was added to the copies.

    `reverse` is the transpose of `forward`. Every rank makes the same calls in the same order with the same widths, also a rank without
    atoms.
    """

    def forward(self, rows: GhostRows) -> None:
        """Overwrite each ghost's row by its owner's row."""

    def reverse(self, rows: GhostRows) -> None:
        """Add each ghost's row to its owner's row; ghosts' rows stay as they are."""


@dataclass(frozen=True)
class Graph:
    """Directed edges of local atoms to their neighbours.

    Attributes
    ----------
    species : (n_nodes,) int64
        Index into the backbone's elements; local atoms first, then ghosts.
    n_local : int
        Atoms whose energies are wanted.
    centres, neighbours : (n_edges,) int64
        Atom i (local) and atom j (local or ghost). An edge and its reverse are two edges.
    vectors : (n_edges, 3) float64
        r_ij = x_j - x_i in Angstrom.
    exchange : Exchange or None
        None: there are no ghosts.
    """

    species: np.ndarray
    n_local: int
    centres: np.ndarray
    neighbours: np.ndarray
    vectors: np.ndarray
    exchange: Exchange | None = None


def graph_of_frames(
    frames: Sequence[Atoms], elements: Sequence[str], cutoff: float, names: Sequence[str] | None = None
) -> tuple[Graph, np.ndarray]:
    """Put several configurations into one graph without ghosts.

    A periodic image is the atom itself: `neighbours` holds the atom, `vectors` holds the lattice shift. Cells
    may be smaller than the cutoff, triclinic, periodic along any of their vectors; a frame without a cell is
    a cluster.

    Parameters
    ----------
    frames : sequence of ase.Atoms
    elements : sequence of str
        The backbone's elements.
    cutoff : float
        Angstrom; edges are shorter than it.
    names : sequence of str or None
        Of the frames, for messages; None: their numbers.

    Returns
    -------
    graph : Graph
    frame_of_atom : (n_atoms,) int64
        Which frame each atom belongs to.

    Raises
    ------
    UqError
        An element that the backbone lacks; coordinates or a cell that are not finite; a periodic direction
        without a cell vector; two atoms at one place.
    """
    species, centres, neighbours, vectors = [], [], [], []
    start = 0
    for number, frame in enumerate(frames):
        name = names[number] if names else f"frame {number}"
        species.append(_species(frame, elements, name))
        i, j, r = _edges(frame, cutoff, name)
        centres.append(i + start)
        neighbours.append(j + start)
        vectors.append(r)
        start += len(frame)
    sizes = np.array([len(frame) for frame in frames], dtype=np.int64)
    graph = Graph(
        species=_joined(species, (0,), np.int64),
        n_local=start,
        centres=_joined(centres, (0,), np.int64),
        neighbours=_joined(neighbours, (0,), np.int64),
        vectors=_joined(vectors, (0, 3), np.float64),
    )
    return graph, np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)


def graph_for(backbone: Any, frames: Sequence[Atoms], names: Sequence[str] | None = None) -> tuple[Graph, np.ndarray]:
    """Return what `graph_of_frames` makes of configurations that a backbone is to evaluate, which `check_inputs` accepts."""
    check_inputs(frames, backbone, names)
    return graph_of_frames(frames, backbone.elements, backbone.cutoff, names)


def check_inputs(frames: Iterable[Atoms], backbone: Any, names: Sequence[str] | None = None) -> None:
    """Refuse frames of another charge or spin than the model was converted for.

    Parameters
    ----------
    frames : iterable of Atoms
    backbone : Backbone
    names : sequence of str, optional
        For the message; frames are numbered otherwise.

    Raises
    ------
    UqError
        Names the frame, the entry of its info and both values.
    """
    fixed = getattr(backbone, "fixed_inputs", {})
    for number, frame in enumerate(frames if fixed else ()):
        for name, value in fixed.items():
            for key in (INPUTS[name], name):
                if key in frame.info and not _is(frame.info[key], value):
                    where = names[number] if names else f"frame {number}"
                    found = f"{where}: {key} is {piece(str(frame.info[key]))}"
                    raise UqError(f"{found}, the model was converted for {value:g}; accepted: frames of that {key}")


def _is(found: Any, value: float) -> bool:
    try:
        return float(found) == value
    except (TypeError, ValueError):  # a text, a list
        return False


def fixed_inputs(architecture: Mapping[str, Any]) -> dict[str, float]:
    """Charge and spin that a MACE architecture says its model was converted for."""
    return {name: float(architecture[name]) for name in INPUTS if name in architecture}


def has_edges(frame: Atoms, cutoff: float) -> bool:
    """Whether any atom of a frame has a neighbour within the cutoff (Angstrom); True also where that cannot be told."""
    steps = np.diff(frame.positions, axis=0)
    if len(steps) and np.einsum("ij,ij->i", steps, steps).min() < cutoff**2:  # nearly every frame, at no cost
        return True
    try:
        return len(_edges(frame, cutoff, "")[0]) > 0
    except UqError:  # a cell that is none, which whoever makes the graph says with the frame's number
        return True


def check_graph(graph: Graph, n_elements: int) -> None:
    """Refuse a graph whose parts do not belong together.

    Raises
    ------
    UqError
        A species index outside the elements, ghosts without an exchange, or arrays that do not fit each
        other.
    """
    n_nodes, n_edges = len(graph.species), len(graph.centres)
    if np.shape(graph.vectors) != (n_edges, 3) or len(graph.neighbours) != n_edges:
        raise UqError(
            f"graph: {n_edges} centres, {len(graph.neighbours)} neighbours and vectors of shape "
            f"{np.shape(graph.vectors)} do not belong together"
        )
    if graph.exchange is None and n_nodes != graph.n_local:
        raise UqError(f"graph: {n_nodes - graph.n_local} ghosts but no exchange to fill them")
    for name, values, limit in (
        ("species", graph.species, n_elements),
        ("centres", graph.centres, graph.n_local),
        ("neighbours", graph.neighbours, n_nodes),
    ):
        if len(values) and not 0 <= values.min() <= values.max() < limit:
            raise UqError(f"graph: {name} holds {values.min()} to {values.max()}; accepted: 0 to {limit - 1}")


def check_push(tangents: np.ndarray, segments: np.ndarray, n_edges: int, n_local: int, n_segments: int) -> None:
    """Refuse arguments of `Backbone.push` that do not fit an evaluation.

    Raises
    ------
    UqError
        Tangents that are not (K, n_edges, 3), segments that are not (n_local,) or not below n_segments.
    """
    if tangents.ndim != 3 or tangents.shape[1:] != (n_edges, 3):
        raise UqError(f"tangents have shape {tangents.shape}; accepted: (K, {n_edges}, 3)")
    outside = segments.shape != (n_local,) or (n_local and not 0 <= segments.min() <= segments.max() < n_segments)
    if outside:
        raise UqError(f"segments must be {n_local} whole numbers from 0 to {n_segments - 1}")


def weight_sets(
    energy_weights: np.ndarray | None, descriptor_weights: np.ndarray | None, n_local: int, n_features: int
) -> tuple[np.ndarray | None, np.ndarray | None, bool]:
    """Arguments of `Backbone.pull` set by set; a single array goes into each set of the other.

    Returns
    -------
    (K, n_local) and (K, n_local, n_features) float64 array or None, and whether there were sets at all; K is 1 otherwise.

    Raises
    ------
    UqError
        No weights, or weights of another shape than the evaluation's atoms and features.
    """
    given = [(energy_weights, (n_local,)), (descriptor_weights, (n_local, n_features))]
    arrays = [(np.asarray(weights, dtype=np.float64), shape) for weights, shape in given if weights is not None]
    if not arrays:
        raise UqError("pull needs energy weights or descriptor weights, got neither")
    for array, shape in arrays:
        if array.shape[-len(shape) :] != shape or array.ndim > len(shape) + 1:
            raise UqError(f"weights have shape {array.shape}; accepted: {shape}, or a number of sets before it")
    counts = [len(array) for array, shape in arrays if array.ndim > len(shape)]
    if len(set(counts)) > 1:
        raise UqError(f"{counts[0]} sets of energy weights and {counts[1]} of descriptor weights; accepted: as many, or one set of either")
    n_sets = counts[0] if counts else 1
    sets = iter([np.ascontiguousarray(np.broadcast_to(array, (n_sets, *shape))) for array, shape in arrays])
    w, big_w = (None if weights is None else next(sets) for weights, _ in given)
    return w, big_w, bool(counts)


def _joined(parts: list[np.ndarray], empty: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate([np.empty(empty, dtype), *parts]), dtype=dtype)


def _species(frame: Atoms, elements: Sequence[str], name: str) -> np.ndarray:
    index = {element: k for k, element in enumerate(elements)}
    symbols = frame.get_chemical_symbols()
    missing = sorted(set(symbols) - set(index))
    if missing:
        raise UqError(
            f"{name}: element {' '.join(missing)} is not in the model; it has: {' '.join(elements)}"
        )
    return np.array([index[symbol] for symbol in symbols], dtype=np.int64)


def _edges(frame: Atoms, cutoff: float, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from matscipy.neighbours import neighbour_list

    if len(frame) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 3))
    positions = np.ascontiguousarray(frame.positions, dtype=np.float64)
    cell = _full_cell(frame, positions, name)
    i, j, shift = neighbour_list("ijS", cutoff=float(cutoff), positions=positions, cell=cell, pbc=frame.pbc)
    vectors = positions[j] - positions[i] + shift @ cell
    short = np.flatnonzero(np.einsum("ij,ij->i", vectors, vectors) < _COINCIDENT**2)
    if len(short):
        raise UqError(f"{name}: atoms {i[short[0]]} and {j[short[0]]} are at the same place")
    return i.astype(np.int64), j.astype(np.int64), vectors


def _full_cell(frame: Atoms, positions: np.ndarray, name: str) -> np.ndarray:
    """Return the cell with vectors invented along open directions: the neighbour search needs three."""
    cell = np.array(frame.cell, dtype=np.float64)
    if not (np.isfinite(positions).all() and np.isfinite(cell).all()):
        raise UqError(f"{name}: a coordinate or the cell is not a finite number")
    absent = ~cell.any(axis=1)
    if (absent & frame.pbc).any():
        raise UqError(f"{name}: periodic along a cell vector that is zero")
    complete = np.array(frame.get_cell(complete=True), dtype=np.float64)
    span = float(np.ptp(positions, axis=0).max()) + 1.0
    complete[absent] *= span
    if abs(np.linalg.det(complete)) < 1e-9:
        raise UqError(f"{name}: the cell vectors lie in a plane")
    return complete


def forces_of(graph: Graph, gradients: np.ndarray) -> np.ndarray:
    """Forces (n_nodes, 3) = -dE/dx from gradients dE/dr_ij (n_edges, 3)."""
    out = np.zeros((len(graph.species), 3))
    for axis in range(3):
        out[:, axis] = np.bincount(graph.centres, gradients[:, axis], len(out))
        out[:, axis] -= np.bincount(graph.neighbours, gradients[:, axis], len(out))
    return out
