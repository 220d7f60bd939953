# SPDX-License-Identifier: GPL-2.0-or-later
"""How much each model of an ensemble counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq.errors import UqError, argument, piece
from lmp_uq.files import existing_file

MEDIAN, RMSE, EQUAL = "median", "rmse", "equal"
FROM_LABELS = (MEDIAN, RMSE)
OWN = 1e-7
"""eV/Angstrom: labels that a model meets so well are its own forces."""


def weights_of_file(path: str, names: Sequence[str]) -> np.ndarray:
    """(K,) weights of sum 1 from a JSON file {model: weight}.

    Raises
    ------
    UqError
        No such file, no such JSON, a model that is missing or unknown, a weight that is no finite number above 0.
    """
    try:
        found = json.loads(Path(existing_file(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        if isinstance(failure, UqError):
            raise
        raise UqError(f"{path}: is no JSON file: {failure}") from failure
    if not isinstance(found, Mapping) or set(found) != set(names):
        told = ", ".join(map(piece, found)) if isinstance(found, Mapping) else type(found).__name__
        raise UqError(f"{path}: weights of {told}; accepted: one of each model, {', '.join(names)}")
    return _checked([found[name] for name in names], names, path)


def weights_of_errors(kind: str, errors: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(K,) weights of sum 1 that go as 1 / error, eV/Angstrom: `MEDIAN` errors or `RMSE`.

    Raises
    ------
    UqError
        No labelled forces, or labels that are the forces of one of the models.
    """
    if not np.isfinite(errors).all():
        accepted = f"frames with forces of a reference, {argument('weights', EQUAL)} or a file of weights"
        raise UqError(f"{argument('weights', kind)}: no atom with a labelled force; accepted: {accepted}")
    if errors.min() <= OWN:
        own = names[int(np.argmin(errors))]
        raise UqError(f"{argument('weights', kind)}: the labels are the forces of {own} itself; accepted: those of a reference")
    return _checked((1.0 / errors).tolist(), names, kind)


def _checked(weights: Sequence[Any], names: Sequence[str], where: str) -> np.ndarray:
    for name, weight in zip(names, weights, strict=True):
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0.0 < weight < np.inf:
            raise UqError(f"{where}: the weight of {name} is {piece(weight)}; accepted: a number above 0")
    out = np.array(weights, float)
    return out / out.sum()
