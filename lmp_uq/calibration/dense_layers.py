# SPDX-License-Identifier: GPL-2.0-or-later
"""Dense layers with silu between them, on scaled inputs: what the small networks on descriptors have in common.

    z_0 = (x - input_mean) / input_scale,   z_(k+1) = silu(weight_k z_k + bias_k),   the last one without silu

Arrays by these names, float64. What is written here serves numpy, which answers, and torch, which trains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.errors import UqError

Shapes = Callable[[int, Sequence[int]], Mapping[str, tuple[int, ...]]]
HIDDEN = (64, 32)
"""Lengths of the hidden layers of a new network."""
N_LAYERS = len(HIDDEN) + 1
LAYER_NAMES = tuple(f"{kind}_{k}" for k in range(N_LAYERS) for kind in ("weight", "bias"))


def layer_shapes(n_inputs: int, hidden: Sequence[int], n_outputs: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays by name, scales of the inputs first."""
    sizes = (n_inputs, *hidden, n_outputs)
    shapes: dict[str, tuple[int, ...]] = {"input_mean": (n_inputs,), "input_scale": (n_inputs,)}
    for k, (width, length) in enumerate(pairwise(sizes)):
        shapes |= {f"weight_{k}": (length, width), f"bias_{k}": (length,)}
    return shapes


def checked_layers(owner: str, found: Mapping[str, ArrayLike], names: Sequence[str], shapes: Shapes) -> dict[str, np.ndarray]:
    """The arrays of a network, float64 and contiguous.

    Parameters
    ----------
    owner : str
        Named in messages.
    found : mapping
        Arrays by name.
    names : sequence of str
        Of those that the network holds; others are left out.
    shapes : callable
        Of the number of inputs and the lengths of the hidden layers: accepted shapes by name.

    Raises
    ------
    UqError
        An array that is missing, of another shape or not finite; a scale that is not above 0.
    """
    missing = [name for name in names if name not in found]
    if missing:
        raise UqError(f"{owner}: arrays {', '.join(missing)} are missing")
    arrays = {name: np.ascontiguousarray(found[name], dtype=np.float64) for name in names}
    hidden = [arrays[f"bias_{k}"].size for k in range(len(HIDDEN))]
    for name, shape in shapes(arrays["input_mean"].size, hidden).items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise UqError(f"{owner}: {name} has shape {arrays[name].shape}; accepted: {shape}, finite numbers")
    if np.any(arrays["input_scale"] <= 0):
        raise UqError(f"{owner}: needs input_scale > 0")
    return arrays


def silu(z: np.ndarray) -> np.ndarray:
    """z / (1 + exp(-z)), without overflow."""
    return z * 0.5 * (1.0 + np.tanh(0.5 * z))


def apply_layers(layers: Mapping[str, Any], z: Any, silu: Callable[[Any], Any] = silu) -> Any:
    """(n, outputs) of scaled inputs (n, inputs); of torch's tensors with torch's silu."""
    for k in range(N_LAYERS):
        z = z @ layers[f"weight_{k}"].T + layers[f"bias_{k}"]
        z = silu(z) if k < N_LAYERS - 1 else z
    return z


def first_layers(n_inputs: int, n_outputs: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights of variance 1 / fan-in, the last ones a tenth of that; biases 0."""
    layers = {}
    for name, shape in layer_shapes(n_inputs, HIDDEN, n_outputs).items():
        if name.startswith("weight"):
            layers[name] = rng.normal(size=shape) / np.sqrt(shape[1])
        elif name.startswith("bias"):
            layers[name] = np.zeros(shape)
    layers[f"weight_{N_LAYERS - 1}"] *= 0.1
    return layers


def mean_and_scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread (P,) of the columns of x (n, P)."""
    spread = x.std(axis=0)
    # a component that does not vary says nothing, and must not be blown up where it does vary
    return x.mean(axis=0), np.where(spread > 1e-8 * max(spread.max(), 1e-300), spread, 1.0)
