# SPDX-License-Identifier: GPL-2.0-or-later
"""What the classifiers in a model file must fulfil: header entries calibration.probe and calibration.ordinal, and their tensors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from lmp_uq.calibration import ordinal_head, probe

NAMES = ("probe", "ordinal")
MAX_SIZE = 10_000
"""Of layers and heads."""
MAX_THRESHOLDS = 100


def check_classifiers(header: dict[str, Any], reject: Callable[[str, Any, str], None]) -> None:
    """Check the header entries; calibration is an object.  reject(key, found, accepted) raises."""
    calibration = header["calibration"]
    for name in NAMES:
        entry, key = calibration.get(name), f"calibration.{name}"
        if entry is None:
            continue
        if not isinstance(entry, dict):
            reject(key, entry, "an object or null")
        n_features = header["backbone"]["n_features"]
        if not _is_size(entry.get("n_features"), n_features) or entry["n_features"] != n_features:
            reject(f"{key}.n_features", entry.get("n_features"), f"{n_features}, as backbone.n_features")
        (_check_probe if name == "probe" else _check_ordinal)(entry, key, reject)
    if calibration.get("ordinal") is not None and calibration.get("force_error") is None:
        reject("calibration.force_error", None, "an object, because calibration.ordinal hands over to it where grade > 1")


def _check_probe(entry, key, reject):
    for name in ("hidden", "width", "heads"):
        if not _is_size(entry.get(name)):
            reject(f"{key}.{name}", entry.get(name), f"a whole number from 1 to {MAX_SIZE}")
    if entry["width"] % entry["heads"]:
        reject(f"{key}.heads", entry["heads"], f"a divisor of width, {entry['width']}")
    if not _is_positive(entry.get("boundary")):
        reject(f"{key}.boundary", entry.get("boundary"), "a number above 0 (eV/atom)")


def _check_ordinal(entry, key, reject):
    thresholds, hidden = entry.get("thresholds"), entry.get("hidden")
    listed = isinstance(thresholds, list) and 0 < len(thresholds) <= MAX_THRESHOLDS and all(map(_is_positive, thresholds))
    if not listed or any(a >= b for a, b in pairwise(thresholds)):
        reject(f"{key}.thresholds", thresholds, f"a list of at most {MAX_THRESHOLDS} rising numbers above 0 (eV/Angstrom)")
    if not isinstance(hidden, list) or len(hidden) != 2 or not all(map(_is_size, hidden)):
        reject(f"{key}.hidden", hidden, f"a list of two whole numbers from 1 to {MAX_SIZE}")


def _is_size(value, most=MAX_SIZE):
    return type(value) is int and 1 <= value <= most


def _is_positive(value):
    return type(value) in (int, float) and 0 < value <= sys.float_info.max


def classifier_shapes(header: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors by full name, of a header that has passed; empty without classifiers."""
    calibration, out = header["calibration"] or {}, {}
    if calibration.get("probe") is not None:
        mine = calibration["probe"]
        shapes = probe.tensor_shapes(mine["n_features"], mine["hidden"], mine["width"])
        out |= {f"{probe.SECTION}/{name}": shape for name, shape in shapes.items()}
    if calibration.get("ordinal") is not None:
        mine = calibration["ordinal"]
        shapes = ordinal_head.tensor_shapes(mine["n_features"], mine["hidden"], len(mine["thresholds"]))
        out |= {f"{ordinal_head.SECTION}/{name}": shape for name, shape in shapes.items()}
    return out
