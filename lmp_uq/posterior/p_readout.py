# SPDX-License-Identifier: GPL-2.0-or-later
"""The P-readout: members of a small readout on the descriptors, which a shared random number moves together.

    e_i(z) = w2 . silu(W1 x_i + b + Wn z) + w0 . x_i,   x = (D - mean)/scale,   z ~ N(0, 1)

Energies and forces of a member are those of the model plus the sum of e_i and its derivatives, so every member is continuous and
conservative. A member differs from another by its bias c_k = b + Wn z_k alone, which is what a model file holds.

Sources: learned functional perturbations: M. Zaghen et al., arXiv:2605.19939; a readout on fixed descriptors is their cheapest form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.arrays import finite_array, named_tensors
from lmp_uq.calibration.dense_layers import silu
from lmp_uq.errors import UqError

SECTION = "posterior/p_readout"
"""Of its arrays in a model file."""
HAND_OVER = 1.0
"""Grade of an atom above which POPS answers for it: beyond known ground the members are far too close to each other."""


@dataclass(frozen=True, eq=False)
class PReadout:
    """A trained P-readout; P descriptors, H hidden units, K members.

    Parameters
    ----------
    input_mean, input_scale : ndarray, shape (P,)
        Of the descriptors.
    weight : ndarray, shape (H, P)
        W1.
    output : ndarray, shape (H,), eV
        w2.
    linear : ndarray, shape (P,), eV
        w0.
    member_bias : ndarray, shape (K, H)
        c_k.

    Raises
    ------
    UqError
        Shapes that do not fit, numbers that are not finite, a scale that is not above 0.
    """

    input_mean: np.ndarray
    input_scale: np.ndarray
    weight: np.ndarray
    output: np.ndarray
    linear: np.ndarray
    member_bias: np.ndarray

    tensor_names = ("input_mean", "input_scale", "weight", "output", "linear", "member_bias")

    def __post_init__(self) -> None:
        weight = finite_array(self.weight, "PReadout: weight", (None, None))
        length, width = weight.shape
        shapes = {"input_mean": (width,), "input_scale": (width,), "output": (length,), "linear": (width,), "member_bias": (None, length)}
        arrays = {name: finite_array(getattr(self, name), f"PReadout: {name}", shape) for name, shape in shapes.items()}
        if np.any(arrays["input_scale"] <= 0):
            raise UqError("PReadout: needs input_scale > 0")
        for name, array in (arrays | {"weight": weight}).items():
            object.__setattr__(self, name, np.ascontiguousarray(array))

    @property
    def n_members(self) -> int:
        """K."""
        return len(self.member_bias)

    def energies(self, descriptors: ArrayLike, n_members: int) -> np.ndarray:
        """What the first members add to the energies of atoms.

        Parameters
        ----------
        descriptors : (n, P) array_like
        n_members : int

        Returns
        -------
        (n_members, n) ndarray, eV
        """
        x = self._scaled(descriptors)
        hidden, linear = x @ self.weight.T, x @ self.linear
        return np.array([silu(hidden + bias) @ self.output + linear for bias in self.member_bias[:n_members]]).reshape(n_members, len(x))

    def total_energies(self, descriptors: ArrayLike, n_members: int) -> np.ndarray:
        """`energies` (n_members,) summed over the atoms, eV."""
        return self.energies(descriptors, n_members).sum(axis=1)

    def slopes(self, descriptors: ArrayLike, first: int, n_members: int) -> np.ndarray:
        """Derivatives of `energies` of some members by each atom's descriptors.

        Returns
        -------
        (n_members, n, P) ndarray, eV per unit of the descriptor
        """
        hidden = self._scaled(descriptors) @ self.weight.T
        inward, constant = self.weight / self.input_scale, self.linear / self.input_scale
        out = [(self.output * silu_slope(hidden + c)) @ inward + constant for c in self.member_bias[first : first + n_members]]
        return np.array(out).reshape(n_members, len(hidden), self.weight.shape[1])

    def force_rows(self, descriptors: np.ndarray, derivatives: np.ndarray, n_members: int) -> np.ndarray:
        """What the first members add to some force components of a frame, eV/Angstrom.

        Parameters
        ----------
        descriptors : (n, P) array
        derivatives : (R, n, P) array
            Of each atom's descriptors along the displacement of the component, 1/Angstrom.

        Returns
        -------
        (n_members, R) ndarray
        """
        return -np.array([np.einsum("rnp,np->r", derivatives, self.slopes(descriptors, k, 1)[0]) for k in range(n_members)])

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define it, by name."""
        return {name: getattr(self, name) for name in self.tensor_names}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> PReadout:
        """Inverse of `tensors`; further entries are ignored.  UqError if one is missing or does not fit."""
        return cls(*named_tensors(tensors, cls.tensor_names, "PReadout"))

    def _scaled(self, descriptors: ArrayLike) -> np.ndarray:
        return (np.asarray(descriptors, dtype=np.float64) - self.input_mean) / self.input_scale


def silu_slope(z: np.ndarray) -> np.ndarray:
    """Derivative of `lmp_uq.calibration.dense_layers.silu`."""
    share = 0.5 * (1.0 + np.tanh(0.5 * z))
    return share * (1.0 + z * (1.0 - share))
