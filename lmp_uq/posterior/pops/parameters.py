# SPDX-License-Identifier: GPL-2.0-or-later
"""Ranges of the options of `POPS`, and the checks of the rows that `fit` is given."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import column_or_1d, validate_data

from lmp_uq.errors import UqError

# Below three rows per parameter the fit passes through the rows unless a ridge of this size holds it back.
MIN_RIDGE_FEW_ROWS = 1e-2
RIDGES = ("evidence", "groups", "absolute")
AXES = ("scaled", "given")


class NotFitted(UqError, NotFittedError):
    """A fitted attribute was asked for before fit."""


def check_parameters(pops: Any) -> None:
    """Raise UqError for the first option of an estimator that is out of range."""
    if pops.ridge not in RIDGES if isinstance(pops.ridge, str) else True:
        _check_number(pops.ridge, "ridge", 0.0, np.inf, "a float >= 0 or one of 'evidence', 'groups', 'absolute'")
    if (pops.ridge == "absolute") != (pops.ridge_absolute is not None):
        raise UqError(
            f"POPS: ridge={pops.ridge!r} with ridge_absolute={pops.ridge_absolute!r}: 'absolute' needs a number, the others None"
        )
    if pops.ridge_absolute is not None:
        _check_number(pops.ridge_absolute, "ridge_absolute", 0.0, np.inf, "a float >= 0")
    if not (isinstance(pops.leverage_floor, str) and pops.leverage_floor == "groups"):
        _check_number(pops.leverage_floor, "leverage_floor", 0.0, np.inf, "a float >= 0 or 'groups'")
    _check_number(pops.leverage_percentile, "leverage_percentile", 0.0, 100.0, "a float in [0, 100)")
    _check_number(pops.percentile_clipping, "percentile_clipping", 0.0, 50.0, "a float in [0, 50)")
    _check_number(pops.mode_threshold, "mode_threshold", 0.0, 1.0, "a float in [0, 1)")
    _check_number(pops.minimum_relative_error, "minimum_relative_error", 0.0, np.inf, "a float >= 0")
    for name in ("ridge_grid", "floor_grid"):
        values = getattr(pops, name)
        if not isinstance(values, tuple | list | np.ndarray) or not len(values):
            raise UqError(f"POPS: {name}={values!r}, accepted is a sequence of at least one float >= 0")
        for value in values:
            _check_number(value, name, 0.0, np.inf, "a sequence of floats >= 0")
    _check_integer(pops.n_members, "n_members", 2)
    _check_integer(pops.n_folds, "n_folds", 2)
    if pops.n_components is not None:
        _check_integer(pops.n_components, "n_components", 1, "None or ")
    if pops.block_rows is not None:
        _check_integer(pops.block_rows, "block_rows", 1, "None or ")
    for name, accepted in (("posterior", ("box", "ensemble")), ("solver", ("auto", "normal", "qr")), ("axes", AXES)):
        if getattr(pops, name) not in accepted:
            raise UqError(f"POPS: {name}={getattr(pops, name)!r}, accepted are {', '.join(map(repr, accepted))}")


def checked_arrays(pops: Any, X: Any, y: Any, sample_weight: Any, groups: Any) -> tuple:
    """(X, y, weight) or (X, y, weight, groups) of equal length; X keeps float32 and float64, finite numbers are checked block by block."""
    where = "POPS.fit"
    if y is None:
        raise UqError(f"{where}: requires y to be passed, but the target y is None")
    X = checked_X(pops, X, where, reset=True)
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    out = [X]
    for name, values in (("y", y), ("sample_weight", weight)):
        try:
            values = np.asarray(column_or_1d(values, warn=name == "y"), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UqError(f"{where}: {name}: {error}") from error
        out.append(_of_length(values, name, len(X)))
    if groups is not None:
        out.append(_of_length(np.asarray(groups), "groups", len(X)))
    elif "groups" in (pops.ridge, pops.leverage_floor):
        raise UqError(
            f"{where}: ridge={pops.ridge!r}, leverage_floor={pops.leverage_floor!r}: 'groups' needs fit(..., groups=) of shape (n,)"
        )
    return tuple(out)


def checked_X(pops: Any, X: Any, where: str, *, reset: bool = False) -> np.ndarray:
    """X (n, P) as float32 or float64, checked as scikit-learn does; reset notes the number and names of its columns."""
    try:
        return validate_data(pops, X, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False)
    except (TypeError, ValueError) as error:
        raise UqError(f"{where}: X: {error}") from error


def _of_length(values: np.ndarray, name: str, n: int) -> np.ndarray:
    if values.shape != (n,):
        raise UqError(f"POPS.fit: {name}: found shape {values.shape}, expected ({n})")
    return values


def _check_number(value: Any, name: str, low: float, high: float, accepted: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) < high:
        raise UqError(f"POPS: {name}={value!r}, accepted is {accepted}")


def _check_integer(value: Any, name: str, low: int, or_else: str = "") -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise UqError(f"POPS: {name}={value!r}, accepted is {or_else}an integer >= {low}")
