# SPDX-License-Identifier: GPL-2.0-or-later
"""Shape and finiteness checks of the arrays that enter this room: done once, at the door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.errors import UqError


def finite_array(values: ArrayLike, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return ``values`` as a float64 array after checking its shape and that every number is finite.

    Parameters
    ----------
    values : array_like
    name : str
        What the array is, for the message.
    shape : tuple of (int or None)
        Expected shape; None accepts any length.

    Returns
    -------
    ndarray of float64

    Raises
    ------
    UqError
        Not numeric, another shape, or NaN or infinity inside.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UqError(f"{name}: cannot be read as an array of floats ({error})") from error
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if want is None else str(want) for want in shape) + ")"
        raise UqError(f"{name}: found shape {array.shape}, expected {wanted}")
    n_bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if n_bad:
        raise UqError(f"{name}: {n_bad} of {array.size} values are NaN or infinite, all must be finite")
    return array


def integer_array(values: ArrayLike, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return ``values`` as an int64 array; a float array is refused (`finite_array` states the rest)."""
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise UqError(f"{name}: found dtype {array.dtype}, expected integers")
    return finite_array(array, name, shape).astype(np.int64)


def named_tensors(tensors: Mapping[str, np.ndarray], names: Sequence[str], owner: str) -> list[np.ndarray]:
    """Return ``[tensors[name] for name in names]``; UqError names what is missing."""
    missing = [name for name in names if name not in tensors]
    if missing:
        raise UqError(f"{owner}: tensors {missing} are missing, found {sorted(tensors)}, needs {list(names)}")
    return [tensors[name] for name in names]
