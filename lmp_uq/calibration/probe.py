# SPDX-License-Identifier: GPL-2.0-or-later
"""Is the energy of a frame reliable?  A classifier on the frozen descriptors of its atoms, with attention between them.

    h    = encoder(D_i) of every atom: two dense layers, each with layer norm, gelu between
    h'   = norm(h + sum over heads of softmax(q.k / sqrt(width / heads)) v): every atom of the frame attends to every other
    P(|dE|/N > boundary) = sigmoid(classifier(mean of h' || max of h')): three dense layers, norm and gelu between

The boundary is the median of |dE|/N, eV/atom, over the frames of the training.  The importance of an atom is the attention that it
receives, averaged over heads and over the atoms that attend: 1 over all atoms.  Neither the total energy nor N is an input: what
is said of a crystal is said of its supercell.  The attention costs a number for each pair of atoms and each head.

Method: PROBE (Mehdi, Cho, Isayev, arXiv:2605.00640), whose classifier has the total energy and N among its inputs, labels |dE|, and two
outputs, of which only the difference matters.  Descriptors are those of all layers of a backbone, not of the last alone.  The
formula serves numpy, which answers, and torch, which trains (`lmp_uq.calibration.probe_training`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from lmp_uq.errors import UqError

SECTION = "calibration/probe"
"""Of the tensors in a model file."""
SIZES = {"hidden": 64, "width": 64, "heads": 8}
"""Of a new classifier: lengths of the hidden layer of the encoder and of the code of an atom, and attention heads."""
_NORM = 1e-5
_MAX_SCORES = 4_000_000
"""Attention scores held at once."""


def tensor_shapes(n_features: int, hidden: int, width: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the stored arrays, all float64, by name."""
    dense = {"encoder_0": (hidden, n_features), "encoder_1": (width, hidden)}
    dense |= {name: (width, width) for name in ("query", "key", "value", "output")}
    dense |= {"classifier_0": (width, 2 * width), "classifier_1": (width, width), "classifier_2": (1, width)}
    shapes: dict[str, tuple[int, ...]] = {"input_mean": (n_features,), "input_scale": (n_features,)}
    for name, shape in dense.items():
        shapes |= {f"{name}_weight": shape, f"{name}_bias": shape[:1]}
    norms = {"encoder_0": hidden, "encoder_1": width, "attention": width, "classifier_0": width, "classifier_1": width}
    for name, length in norms.items():
        shapes |= {f"{name}_gain": (length,), f"{name}_shift": (length,)}
    return shapes


class Functions(NamedTuple):
    """What numpy and torch call differently; drop: dropout, only while training."""

    gelu: Callable
    softmax: Callable
    where: Callable
    amax: Callable
    concatenate: Callable
    drop: Callable


def _softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


NUMPY = Functions(lambda x: x * ndtr(x), _softmax, np.where, np.amax, np.concatenate, lambda x: x)


def logits_and_importance(arrays: Mapping[str, Any], z: Any, present: Any, heads: int, f: Functions) -> tuple[Any, Any]:
    """The formula, on frames padded to the same number of atoms.

    Parameters
    ----------
    arrays : mapping of name to array
    z : (B, N, P)
        Scaled descriptors; anything finite where there is no atom.
    present : (B, N) bool
        Whether there is an atom.
    heads : int
    f : Functions
        Of the arrays' library.

    Returns
    -------
    (B,) logits of P(unreliable); (B, N) importance, 0 where there is no atom
    """
    for k in range(2):
        z = _norm(arrays, f"encoder_{k}", _dense(arrays, f"encoder_{k}", z))
        z = f.drop(f.gelu(z)) if k == 0 else z
    mixed, received = _attention(arrays, z, present, heads, f)
    z = _norm(arrays, "attention", z + mixed)
    n_atoms = present.sum(-1)[:, None]
    mean = (z * present[:, :, None]).sum(1) / n_atoms
    z = f.concatenate([mean, f.amax(f.where(present[:, :, None], z, -np.inf), 1)], -1)
    for k in range(2):
        z = f.drop(f.gelu(_norm(arrays, f"classifier_{k}", _dense(arrays, f"classifier_{k}", z))))
    return _dense(arrays, "classifier_2", z)[:, 0], received / n_atoms


def _dense(arrays: Mapping[str, Any], name: str, z: Any) -> Any:
    return z @ arrays[f"{name}_weight"].T + arrays[f"{name}_bias"]


def _norm(arrays: Mapping[str, Any], name: str, z: Any) -> Any:
    centred = z - z.mean(-1)[..., None]
    return centred / ((centred**2).mean(-1)[..., None] + _NORM) ** 0.5 * arrays[f"{name}_gain"] + arrays[f"{name}_shift"]


def _attention(arrays: Mapping[str, Any], z: Any, present: Any, heads: int, f: Functions) -> tuple[Any, Any]:
    """(B, N, width) of the block before its residual, and (B, N) attention received, averaged over heads, summed over atoms."""
    n_frames, n_atoms, width = z.shape
    query, key, value = (
        _dense(arrays, name, z).reshape(n_frames, n_atoms, heads, width // heads).swapaxes(1, 2) for name in ("query", "key", "value")
    )
    there = present[:, None, None, :]
    received: Any = 0.0
    mixed, step = [], max(1, _MAX_SCORES // (n_frames * heads * n_atoms))
    for first in range(0, n_atoms, step):
        mine = slice(first, first + step)
        scores = query[:, :, mine] @ key.swapaxes(2, 3) * (heads / width) ** 0.5
        attention = f.softmax(f.where(there, scores, -np.inf))
        mixed.append(attention @ value)
        received = received + (attention.mean(1) * present[:, mine, None]).sum(1)
    joined = f.concatenate(mixed, 2).swapaxes(1, 2).reshape(n_frames, n_atoms, width)
    return _dense(arrays, "output", joined), received


@dataclass(frozen=True, eq=False)
class Probe:
    """A trained classifier of frames.

    Parameters
    ----------
    boundary : float
        eV/atom; a frame whose |dE|/N is above it is unreliable.
    heads : int
        Divides the width.
    arrays : dict of str to ndarray, float64
        Names and shapes as in `tensor_shapes`.
    figures : dict
        How it was trained and what it is worth, ready for JSON.

    Raises
    ------
    UqError
        Arrays that are missing, of another shape or not finite; a boundary or heads out of range.
    """

    boundary: float
    heads: int
    arrays: dict[str, np.ndarray]
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.boundary > 0:
            raise UqError(f"Probe: boundary is {self.boundary!r}; accepted: above 0, eV/atom")
        # their lengths are those of the file
        sizes = [len(self.arrays[name]) if name in self.arrays else 1 for name in ("input_mean", "encoder_0_bias", "encoder_1_bias")]
        arrays = {}
        for name, shape in tensor_shapes(*sizes).items():
            found = np.ascontiguousarray(self.arrays.get(name, np.zeros(0)), dtype=np.float64)
            if found.shape != shape or not np.isfinite(found).all():
                raise UqError(f"Probe: {name} has shape {found.shape}; accepted: {shape}, finite numbers")
            arrays[name] = found
        if np.any(arrays["input_scale"] <= 0) or self.heads < 1 or sizes[2] % self.heads:
            raise UqError(f"Probe: needs input_scale > 0, and heads ({self.heads}) that divide the width {sizes[2]}")
        object.__setattr__(self, "arrays", arrays)

    @property
    def n_features(self) -> int:
        """P, length of a descriptor."""
        return self.arrays["input_mean"].size

    def assess(self, descriptors: ArrayLike) -> tuple[float, np.ndarray]:
        """One frame.

        Parameters
        ----------
        descriptors : array_like, shape (N, P)
            Of its atoms, N > 0.

        Returns
        -------
        probability : float
            That |dE|/N is at most the boundary.
        importance : ndarray, shape (N,)
            Attention that each atom receives; 1 over all.

        Raises
        ------
        UqError
            Another shape.
        """
        descriptors = np.asarray(descriptors, dtype=np.float64)
        if descriptors.ndim != 2 or not len(descriptors) or descriptors.shape[1] != self.n_features:
            raise UqError(f"Probe: descriptors have shape {descriptors.shape}; accepted: (N, {self.n_features})")
        z = (descriptors - self.arrays["input_mean"]) / self.arrays["input_scale"]
        logits, importance = logits_and_importance(self.arrays, z[None], np.ones((1, len(z)), bool), self.heads, NUMPY)
        return float(expit(-logits[0])), importance[0]

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name: what a model file stores."""
        return dict(self.arrays)

    def header(self) -> dict:
        """What a model file's header says of the classifier."""
        sizes = {"hidden": self.arrays["encoder_0_bias"].size, "width": self.arrays["encoder_1_bias"].size, "heads": self.heads}
        return {"n_features": self.n_features, **sizes, "boundary": self.boundary, **self.figures}

    @classmethod
    def from_tensors(cls, header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> Probe:
        """Inverse of `header` and `tensors`.  UqError if one is missing or does not fit."""
        for name in ("boundary", "heads"):
            if name not in header:
                raise UqError(f"Probe: the header entry has no {name}")
        own = ("n_features", "hidden", "width", "heads", "boundary")
        return cls(header["boundary"], header["heads"], dict(tensors), {k: v for k, v in header.items() if k not in own})
