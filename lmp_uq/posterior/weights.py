# SPDX-License-Identifier: GPL-2.0-or-later
"""Weights that give every kind the same say in a fit, and weights that prefer rows near equilibrium."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.arrays import finite_array, integer_array
from lmp_uq.errors import UqError

REPLACED_SCALE = 0.25
"""eV/Angstrom, of `replaced_weights`: the U below which `lmp-uq ensemble` takes labels of a model unless it is told otherwise."""


def group_weights(kinds: ArrayLike, base: ArrayLike | None = None) -> np.ndarray:
    """Weights whose sum is the same for every kind of row and n in total.

    Without this a fit sees hundreds of force rows for each energy row and forgets the energies.

    Parameters
    ----------
    kinds : array_like of int, shape (n,)
        Kind of each row: `lmp_uq.quantities.Quantity.row`, or any other integer label.
    base : array_like, shape (n,), optional
        Relative weights inside a kind, >= 0, for example the inverse of the probability with which a force
        row was drawn.  Default: all equal.

    Returns
    -------
    ndarray, shape (n,)
        ``w`` with ``w[kinds == k].sum() == n / n_kinds`` for each kind that is present.

    Raises
    ------
    UqError
        No rows, wrong shapes, negative base weights, or a kind whose base weights are all zero.
    """
    kinds = integer_array(kinds, "group_weights: kinds", (None,))
    if not kinds.size:
        raise UqError("group_weights: found no rows, needs at least one")
    base = np.ones(kinds.size) if base is None else finite_array(base, "group_weights: base", kinds.shape)
    if base.min() < 0:
        raise UqError(f"group_weights: base weights must be >= 0, found {base.min():g}")
    labels, position = np.unique(kinds, return_inverse=True)
    sums = np.bincount(position, weights=base)
    if not np.all(sums > 0):
        raise UqError(f"group_weights: the base weights of kind {labels[sums <= 0].tolist()} sum to zero")
    return base * (kinds.size / labels.size / sums)[position]


def exponential_weights(values: ArrayLike, scale: float) -> np.ndarray:
    """Base weights that fall off with energy or force, so that a fit gives more say to configurations near equilibrium.

    D. Perez, A. P. A. Subramanyam, I. Maliyov, T. D. Swinburne, npj Comput. Mater. 11, 263 (2025) weight rows of tungsten so, with scales
    of 2 eV and 50 eV/Angstrom, and do not print the formula: the exponential is our choice.  `group_weights` takes the result as ``base``.

    Parameters
    ----------
    values : array_like, shape (n,) or (n, 3)
        (n,): energies in eV/atom; w = exp(-(v - min v) / scale).  (n, 3): the forces on the atoms of the rows, in eV/Angstrom;
        w = exp(-|F| / scale).  For the three rows of one atom repeat its force three times, so that they weigh the same.
    scale : float
        a in eV/atom or b in eV/Angstrom, > 0; inf gives weights of 1.

    Returns
    -------
    ndarray, shape (n,)
        Weights in (0, 1]; what would underflow is the smallest normal float instead, so that no row disappears.

    Raises
    ------
    UqError
        No rows, another shape, values that are not finite, or a scale that is not positive.
    """
    if not isinstance(scale, Real) or isinstance(scale, bool) or not float(scale) > 0.0:
        raise UqError(f"exponential_weights: scale={scale!r}, accepted is a float > 0")
    vectors = np.ndim(values) == 2
    values = finite_array(values, "exponential_weights: values", (None, 3) if vectors else (None,))
    if not len(values):
        raise UqError("exponential_weights: found no rows, needs at least one")
    above = np.linalg.norm(values, axis=1) if vectors else values - values.min()
    return np.maximum(np.exp(-above / scale), np.finfo(float).tiny)


def replaced_weights(errors: ArrayLike, scale: float = REPLACED_SCALE) -> np.ndarray:
    """Weights of labels that are a model's, of error U, beside labels of a reference, of weight 1.

    A fit leaves residuals of some size sigma, also of labels without error. An error of a label adds to their variance, which is
    sigma^2 + U^2 then; rows weigh by its inverse,

        w = sigma^2 / (sigma^2 + U^2) = 1 / (1 + (U / sigma)^2)

    Parameters
    ----------
    errors : array_like
        U of `lmp-uq ensemble`, eV/Angstrom, 0 for labels of a reference.
    scale : float
        sigma, eV/Angstrom, > 0: a label of that U counts half.
    """
    return 1.0 / (1.0 + (np.asarray(errors, float) / scale) ** 2)
