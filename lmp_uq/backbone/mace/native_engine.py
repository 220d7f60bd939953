# SPDX-License-Identifier: GPL-2.0-or-later
"""Backbone on the native engine (csrc/mace/cpu): MACE models in C++, without torch.

The model is Batatia et al., NeurIPS 2022 (arXiv:2206.07697), in the families that csrc/mace/architecture.h lists. `MaceTorchBackbone` is
its reference.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmp_uq._native import Engine, State, choose_device, double_precision_remark
from lmp_uq.backbone.graph import Graph, check_graph, check_push, fixed_inputs, weight_sets
from lmp_uq.backbone.protocol import Evaluation
from lmp_uq.errors import UqError

PRECISIONS = ("float32", "float64")

log = logging.getLogger("lmp_uq")
_PULLED = 16  # gradients at once in `push`
_TRAINED = re.compile(r"\.(weight|weights_max|weights\.\d+)$")


class MaceNativeBackbone:
    """A MACE model as a `lmp_uq.backbone.protocol.Backbone`. Calls release the GIL, and several threads may make them at once; on
    a device they wait for one another, so that threads which exchange ghosts with one another need a backbone each.

    Parameters
    ----------
    architecture : mapping
        See `lmp_uq.backbone.mace.architecture.FIELDS`.
    tensors : mapping of str to array
        Packed state dict; kept as long as the backbone.
    precision : {"float32", "float64"}
        Of features, radial tables and work on edges. Energies, gradients and sums over channels are float64 in either case.
    table_tolerance : float, optional
        Largest error of the derivative of a tabulated radial function over its largest derivative; 1e-9, or 1e-6 in float32, unless given.
        0 makes no tables: exact and slow.
    single_precision_bars : bool
        Pulls of descriptor weights alone run in float32, also where `precision` is float64.
    threads : int
        Of each call; 0: what OpenMP says (OMP_NUM_THREADS, else the processors). The same number gives the same bits.
    device : str
        cpu, cuda, cuda:N, or auto: a CUDA device where there is one. "cuda" and "auto" deal the devices of a node out to its ranks.
    local_rank : int
        Number of this process on its node.

    Attributes
    ----------
    elements : tuple of str
    cutoff : float
        Angstrom.
    fixed_inputs : dict of str to float
        total_charge and total_spin that the model was converted for, if it takes them.
    n_features, n_parameters, n_threads : int
    precision, device, engine : str
    instruction_set : str
        Vectors that the loops use on this processor.

    Raises
    ------
    UqError
        A feature that the engine does not run, by its name; tensors that do not fit the architecture; a device that is not there.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray],
        *,
        precision: str,
        table_tolerance: float | None = None,
        single_precision_bars: bool = False,
        threads: int = 0,
        device: str = "cpu",
        local_rank: int = 0,
    ) -> None:
        from ase.data import chemical_symbols

        if precision not in PRECISIONS:
            raise UqError(f"precision is {precision!r}; accepted: {' or '.join(PRECISIONS)}")
        tolerance = -1.0 if table_tolerance is None else table_tolerance
        number, _ = choose_device(device, local_rank)  # None: the CPU
        if number is not None and precision == "float64" and (remark := double_precision_remark(number)):
            log.warning(remark)
        on_device = -1 if number is None else number
        self._engine = Engine(architecture, tensors, precision == "float32", tolerance, single_precision_bars, threads, on_device)
        self.elements = tuple(chemical_symbols[z] for z in architecture["atomic_numbers"])
        self.cutoff = float(architecture["r_max"])
        self.fixed_inputs = fixed_inputs(architecture)
        self.precision = precision
        self.device, self.engine = "cpu" if number is None else f"cuda:{number}", "native"
        self.n_parameters = _n_parameters(tensors)
        self.n_features = self._engine.n_features
        self.instruction_set = self._engine.instruction_set
        self.n_threads = self._engine.n_threads

    @property
    def table_bytes(self) -> int:
        """Memory of the radial tables, which are made when a pair of elements is first met."""
        return self._engine.table_bytes

    @property
    def n_bytes(self) -> int:
        """Memory of weights, tables and work space."""
        return self._engine.n_bytes

    def evaluate(self, graph: Graph, gradients: bool = True) -> Evaluation:
        """See `Backbone.evaluate`.

        Raises
        ------
        UqError
            A species index outside the elements, ghosts without an exchange, arrays that do not fit each other, or an edge whose vector has
            no length or is not finite.
        """
        check_graph(graph, len(self.elements))
        return Evaluation(*self._engine.evaluate(graph, gradients))

    def pull(
        self, state: State, energy_weights: np.ndarray | None, descriptor_weights: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Backbone.pull`.

        Raises
        ------
        UqError
            See `lmp_uq.backbone.graph.weight_sets`.
        """
        w, big_w, stacked = weight_sets(energy_weights, descriptor_weights, state.n_local, self.n_features)
        n_sets = next(len(weights) for weights in (w, big_w) if weights is not None)
        gradients = self._engine.pull(state, n_sets, w, big_w)
        return gradients if stacked else gradients[0]

    def push(self, state: State, tangents: np.ndarray, segments: np.ndarray, n_segments: int) -> np.ndarray:
        """See `Backbone.push`; here by pulls: one for each feature, times the segments unless no edge leaves its segment.

        Raises
        ------
        UqError
            Tangents that are not (K, n_edges, 3), segments that are not (n_local,) or not below n_segments.
        """
        tangents, segments = np.asarray(tangents, dtype=np.float64), np.asarray(segments, dtype=np.int64)
        check_push(tangents, segments, state.n_edges, state.n_local, n_segments)
        rows = np.zeros((len(tangents), n_segments, self.n_features))
        graph = state.graph
        # where no edge leaves its segment, one pull serves all segments: which gradients belong to which is known
        separate = graph.exchange is None and np.array_equal(segments[graph.centres], segments[graph.neighbours])
        for first in range(0, self.n_features, _PULLED):
            features = range(first, min(first + _PULLED, self.n_features))
            columns = slice(features.start, features.stop)
            if separate:
                slopes = self._slopes(state, tangents, np.ones(state.n_local), features)
                np.add.at(rows[:, :, columns].swapaxes(0, 1), segments[graph.centres], slopes)
                continue
            for segment in range(n_segments):
                members = (segments == segment).astype(np.float64)
                rows[:, segment, columns] = self._slopes(state, tangents, members, features).sum(axis=0)
        return rows

    def _slopes(self, state: State, tangents: np.ndarray, members: np.ndarray, features: range) -> np.ndarray:
        """(n_edges, K, features): share of each edge in the derivatives of sum_i members_i D_ip along the tangents."""
        weights = np.zeros((len(features), state.n_local, self.n_features))
        for k, feature in enumerate(features):
            weights[k, :, feature] = members
        return np.einsum("pex,kex->ekp", self._engine.pull(state, len(features), None, weights), tangents)


def _n_parameters(tensors: Mapping[str, np.ndarray]) -> int:
    """Count the numbers that training changes; the rest are constants of the method."""
    return sum(int(np.size(array)) for name, array in tensors.items() if _TRAINED.search(name))
