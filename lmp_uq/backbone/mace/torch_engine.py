# SPDX-License-Identifier: GPL-2.0-or-later
"""Backbone on mace-torch: MACE models evaluated on edges, with ghosts filled by an exchange.

The model is Batatia et al., NeurIPS 2022 (arXiv:2206.07697), as implemented in mace-torch 0.3.16 and run
there in the mode written for LAMMPS' ML-IAP: the model takes edge vectors and calls back for the features of
ghosts before each layer but the first. Descriptors are the invariants of every layer, those that the linear
corrector sum_i Theta.D_i of Perez, Subramanyam, Maliyov and Swinburne, npj Comput. Mater. 11, 263 (2025)
uses. Their derivatives are vector-Jacobian products (`pull`) or, by double backward, Jacobian-vector products
(`push`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmp_uq.backbone.graph import ArrayRows, Exchange, Graph, check_graph, check_push, fixed_inputs, weight_sets
from lmp_uq.backbone.identity import identity_of
from lmp_uq.backbone.mace.architecture import ATOMIC_ENERGIES, DTYPES, MaceModule, build_model, default_dtype, o3, unpack_tensors
from lmp_uq.backbone.mace.spare_model import borrow
from lmp_uq.backbone.protocol import Evaluation
from lmp_uq.errors import UqError


def pick_device(device: str, local_rank: int = 0) -> str:
    """Name of the torch device that a user's word means.

    Parameters
    ----------
    device : str
        "cpu", "cuda:N", or "cuda" and "auto", which give rank `local_rank` of a node its GPU in turn.
    local_rank : int

    Raises
    ------
    UqError
        A word that is not known, or a GPU that torch does not see.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and count == 0):
        return "cpu"
    if device not in ("auto", "cuda") and not (device.startswith("cuda:") and device[5:].isdigit()):
        raise UqError(f"device is {device!r}; accepted: cpu, cuda, cuda:N or auto")
    if count == 0:
        raise UqError(
            f"device is {device!r}, but torch {torch.__version__} sees no GPU here; accepted: cpu or auto"
        )
    number = int(device[5:]) if ":" in device else local_rank % count
    if number >= count:
        raise UqError(f"device is {device!r}; this computer has cuda:0 to cuda:{count - 1}")
    return f"cuda:{number}"


@dataclass(frozen=True)
class State:
    """Tensors of one evaluation, with their history; its lifetime is the lifetime of that memory."""

    vectors: torch.Tensor
    energies: torch.Tensor
    descriptors: torch.Tensor


class _Reverse(torch.autograd.Function):
    """The transpose of a halo exchange, itself differentiable so that `push` works with ghosts."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, halo: Halo) -> torch.Tensor:
        ctx.halo = halo
        return halo.sent_home(values)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.halo.sent_out(grad), None


class Halo:
    """What mace-torch sees as the LAMMPS data object: the two calls that move features between atoms and
    ghosts.

    Parameters
    ----------
    exchange : Exchange
    n_local : int
        Of the graph.
    n_padding : int
        Leading rows that are no atoms of the graph.
    """

    def __init__(self, exchange: Exchange, n_local: int, n_padding: int) -> None:
        self._exchange = exchange
        self._n_local, self._n_padding = n_local, n_padding

    def forward_exchange(self, features: torch.Tensor, out: torch.Tensor, _width: int) -> None:
        """Fill `out` with `features`, ghost rows from their owners."""
        out.copy_(self.sent_out(features))

    def reverse_exchange(self, grad: torch.Tensor, out: torch.Tensor, _width: int) -> None:
        """Fill `out` with `grad`, ghost rows added to their owners."""
        out.copy_(_Reverse.apply(grad, self))

    def sent_out(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` (n_rows, width), ghost rows from their owners."""
        rows = _on_host(values)
        self._exchange.forward(ArrayRows(rows[self._n_padding :]))
        return torch.from_numpy(rows).to(values)

    def sent_home(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` (n_rows, width), ghost rows added to their owners and zero."""
        rows = _on_host(values)
        self._exchange.reverse(ArrayRows(rows[self._n_padding :]))
        rows[self._n_padding + self._n_local :] = 0.0
        return torch.from_numpy(rows).to(values)


def _on_host(values: torch.Tensor) -> np.ndarray:
    return np.array(values.detach().cpu().numpy(), dtype=np.float64, order="C", copy=True)


class MaceTorchBackbone:
    """A MACE model as a `lmp_uq.backbone.protocol.Backbone`.

    Parameters
    ----------
    architecture : mapping
        See `lmp_uq.backbone.mace.architecture.FIELDS`.
    tensors : mapping of str to array
        Packed state dict.
    precision : {"float32", "float64"}
        Weights are cast to it. Energies of isolated atoms are added in float64 in either case.
    device : str
        A torch device.

    Attributes
    ----------
    elements : tuple of str
    cutoff : float
        Angstrom.
    fixed_inputs : dict of str to float
        total_charge and total_spin that the model was converted for, if it takes them.
    n_features, n_parameters : int
    exchange_width : int
        Of the widest rows that are exchanged with ghosts.
    precision, device : str

    Raises
    ------
    UqError
        See `build_model`.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray],
        *,
        precision: str,
        device: str = "cpu",
    ) -> None:
        from ase.data import chemical_symbols

        state = unpack_tensors(tensors)
        device = str(torch.device(device))
        model = borrow(
            self, identity_of(architecture, tensors, f"{precision} {device}"), lambda: _evaluable(architecture, state, precision, device)
        )
        head = architecture["heads"].index(architecture["head"])
        self.elements = tuple(chemical_symbols[z] for z in architecture["atomic_numbers"])
        self.cutoff = float(architecture["r_max"])
        self.fixed_inputs = fixed_inputs(architecture)
        self.precision = precision
        self.device = device
        self.engine = "torch"
        self.n_parameters = sum(parameter.numel() for parameter in model.parameters())
        self.n_bytes = sum(array.numel() * array.element_size() for array in (*model.parameters(), *model.buffers()))
        self._invariants = _invariant_columns(model)
        self.exchange_width = max(o3.Irreps(str(block.node_feats_irreps)).dim for block in model.interactions)
        self.n_features = len(self._invariants)
        self._atomic_energies = np.atleast_2d(state[ATOMIC_ENERGIES]).astype(np.float64)[head]
        self._model = model
        self._dtype = DTYPES[precision]
        self._columns = torch.tensor(self._invariants, device=self.device)
        self._head = torch.tensor([head], device=self.device)

    def evaluate(self, graph: Graph, gradients: bool = True) -> Evaluation:
        """See `Backbone.evaluate`.

        Raises
        ------
        UqError
            A species index outside the elements, ghosts without an exchange, or arrays that do not fit each
            other.
        """
        check_graph(graph, len(self.elements))
        # mace-torch cannot reshape features of no atoms: a rank without atoms computes one that is dropped
        n_padding = int(graph.n_local == 0)
        vectors = torch.tensor(graph.vectors, dtype=self._dtype, device=self.device, requires_grad=gradients)
        with self._settings(gradients):
            data = self._inputs(graph, vectors, n_padding)
            out = self._model(data, compute_force=False, lammps_mliap=True)
            energies = out["node_energy"][n_padding:].double()
            descriptors = out["node_feats"][n_padding:, self._columns]
        atomic = self._atomic_energies[np.asarray(graph.species[: graph.n_local], dtype=np.int64)]
        return Evaluation(
            energies=atomic + energies.detach().cpu().numpy(),
            descriptors=descriptors.detach().double().cpu().numpy(),
            state=State(vectors, energies, descriptors) if gradients else None,
        )

    def pull(
        self, state: State, energy_weights: np.ndarray | None, descriptor_weights: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Backbone.pull`.

        Raises
        ------
        UqError
            See `lmp_uq.backbone.graph.weight_sets`.
        """
        *given, stacked = weight_sets(energy_weights, descriptor_weights, *state.descriptors.shape)
        pairs = [(out, weights) for out, weights in zip((state.energies, state.descriptors), given, strict=True) if weights is not None]
        outputs = [out for out, _ in pairs]
        gradients = np.empty((len(pairs[0][1]), *state.vectors.shape))
        for k, gradient in enumerate(gradients):
            sets = [torch.tensor(weights[k], dtype=out.dtype, device=self.device) for out, weights in pairs]
            with self._settings(True):
                gradient[:] = torch.autograd.grad(outputs, state.vectors, sets, retain_graph=True)[0].double().cpu().numpy()
        return gradients if stacked else gradients[0]

    def push(self, state: State, tangents: np.ndarray, segments: np.ndarray, n_segments: int) -> np.ndarray:
        """See `Backbone.push`.

        The gradient of u.D with respect to the edges is linear in u, so its derivative with respect to u
        along a tangent is the wanted row, for all features and segments at once.

        Raises
        ------
        UqError
            Tangents that are not (K, n_edges, 3), segments that are not (n_local,) or not below n_segments.
        """
        n_atoms, n_features = state.descriptors.shape
        tangents, segments = np.asarray(tangents, dtype=np.float64), np.asarray(segments, dtype=np.int64)
        check_push(tangents, segments, len(state.vectors), n_atoms, n_segments)
        rows = np.empty((len(tangents), n_segments, n_features))
        with self._settings(True):
            u = state.descriptors.new_zeros((n_segments, n_features), requires_grad=True)
            weights = u[torch.from_numpy(segments).to(self.device)]
            (gradient,) = torch.autograd.grad(state.descriptors, state.vectors, weights, create_graph=True)
            for row, tangent in zip(rows, torch.from_numpy(tangents).to(gradient), strict=True):
                row[:] = torch.autograd.grad(gradient, u, tangent, retain_graph=True)[0].cpu().numpy()
        return rows

    @contextmanager
    def _settings(self, gradients: bool) -> Iterator[None]:
        # multithreaded, backward on a GPU would call the exchange, hence MPI, from a thread of its own
        # and part of mace-torch (the screening length of the repulsion) computes in torch's default dtype
        with (
            default_dtype(self._dtype),
            torch.set_grad_enabled(gradients),
            torch.autograd.set_multithreading_enabled(False),
        ):
            yield

    def _inputs(self, graph: Graph, vectors: torch.Tensor, n_padding: int) -> dict[str, Any]:
        n_nodes = len(graph.species)
        n_local = graph.n_local + n_padding
        species = np.concatenate([np.zeros(n_padding), graph.species]).astype(np.int64)
        edges = np.stack([graph.neighbours, graph.centres]).astype(np.int64) + n_padding
        return {
            # mace-torch's edges run from the neighbour (row 0) to the centre (row 1): its vector is -r_ij
            "vectors": -vectors,
            "node_attrs": torch.nn.functional.one_hot(
                torch.from_numpy(species).to(self.device), num_classes=len(self.elements)
            ).to(self._dtype),
            "edge_index": torch.from_numpy(edges).to(self.device),
            "batch": torch.zeros(n_local, dtype=torch.int64, device=self.device),
            "head": self._head,
            "natoms": (n_local, n_nodes - graph.n_local),
            "lammps_class": None if graph.exchange is None else Halo(graph.exchange, graph.n_local, n_padding),
        }


def _evaluable(architecture, state, precision, device):
    model = build_model(architecture, state, precision)
    # they are added outside: a float32 sum of -1000 eV and 0.01 eV would lose the interaction
    model.atomic_energies_fn.atomic_energies.zero_()
    return model.to(device)


def _invariant_columns(model: MaceModule) -> list[int]:
    """Columns of mace-torch's node_feats that hold scalars (0e), layer after layer."""
    columns: list[int] = []
    start = 0
    for product in model.products:
        irreps = o3.Irreps(str(product.linear.irreps_out))
        for block, (_, irrep) in zip(irreps.slices(), irreps, strict=True):
            if irrep == o3.Irrep("0e"):
                columns.extend(range(start + block.start, start + block.stop))
        start += irreps.dim
    return columns
