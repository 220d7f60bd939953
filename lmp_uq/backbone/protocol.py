# SPDX-License-Identifier: GPL-2.0-or-later
"""What every model family offers: one pass over a graph, and the derivatives that go back and forth through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lmp_uq.backbone.graph import Graph


@dataclass(frozen=True)
class Evaluation:
    """Result of one pass over a graph.

    Attributes
    ----------
    energies : (n_local,) float64
        eV, energies of isolated atoms included.
    descriptors : (n_local, n_features) float64
        Invariant features of each local atom.
    state : object
        What `Backbone.pull` and `Backbone.push` need; None when no gradients were asked for.
    """

    energies: np.ndarray
    descriptors: np.ndarray
    state: Any = None


class Backbone(Protocol):
    """A frozen model.

    Attributes
    ----------
    elements : tuple of str
    cutoff : float
        Angstrom.
    n_features : int
        Descriptors per atom, P.
    n_parameters : int
    n_bytes : int
        Memory of weights and tables.
    precision : {"float32", "float64"}
        Arithmetic inside; what goes in and comes out is float64.
    device : str
    engine : {"native", "torch"}
        What runs it.
    """

    elements: tuple[str, ...]
    cutoff: float
    n_features: int
    n_parameters: int
    n_bytes: int
    precision: str
    device: str
    engine: str

    def evaluate(self, graph: Graph, gradients: bool = True) -> Evaluation:
        """Energies and descriptors of the local atoms; `gradients=False` is cheaper and leaves no state."""

    def pull(
        self, state: Any, energy_weights: np.ndarray | None, descriptor_weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of weighted sums with respect to the edge vectors.

        Parameters
        ----------
        state : object
            From `evaluate`; it may be pulled any number of times.
        energy_weights : (n_local,), (K, n_local) or None
            w.
        descriptor_weights : (n_local, P), (K, n_local, P) or None
            W; with K sets of one of them, a single array of the other goes into each.

        Returns
        -------
        (n_edges, 3) or (K, n_edges, 3) float64
            d(sum_i w_i E_i + sum_ip W_ip D_ip) / d r_ij in eV/Angstrom.
        """

    def push(self, state: Any, tangents: np.ndarray, segments: np.ndarray, n_segments: int) -> np.ndarray:
        """Directional derivatives of sums of descriptors.

        Parameters
        ----------
        state : object
            From `evaluate`.
        tangents : (K, n_edges, 3)
            Directions in which the edge vectors move.
        segments : (n_local,) int64
            The sum each atom belongs to, 0 to n_segments - 1.
        n_segments : int

        Returns
        -------
        (K, n_segments, P) float64
            sum over edges of d(sum_{i in segment} D_i) / d r_ij . tangent_ij.
        """
