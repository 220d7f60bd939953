# SPDX-License-Identifier: GPL-2.0-or-later
"""What the header of a linear potential must fulfil beside `lmp_uq.modelcheck`; csrc/engine/model_check_snap says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmp_uq.backbone.snap_settings import MAX_TWOJMAX, PARAMETERS, REFERENCE_WORDS, descriptors_per_element

FAMILY = "snap"
_START = "backbone.architecture."


def check_snap(header: dict[str, Any], is_number: Callable, reject: Callable) -> None:
    """Check the architecture and the number of features; `reject(key, found, accepted)` raises."""
    architecture, n_elements = header["backbone"]["architecture"], len(header["elements"])
    parameters = architecture.get("parameters")
    if not isinstance(parameters, dict):
        reject(_START + "parameters", parameters, "an object")
    for name in PARAMETERS:
        value = parameters.get(name)
        if name == "twojmax":
            if type(value) is not int or not 0 <= value <= MAX_TWOJMAX:
                reject(_START + "parameters.twojmax", value, f"a whole number from 0 to {MAX_TWOJMAX}")
        elif name.endswith("flag"):
            if type(value) is not int or value not in (0, 1):
                reject(_START + f"parameters.{name}", value, "0 or 1")
        elif not is_number(value):
            reject(_START + f"parameters.{name}", value, "a number")
    inner = ("sinner", "dinner") if parameters["switchinnerflag"] else ()
    for name in ("radii", "weights", *inner):
        values = architecture.get(name)
        if not isinstance(values, list) or len(values) != n_elements or not all(map(is_number, values)):
            reject(_START + name, values, "a list of one number for each element")
    _check_reference(architecture.get("reference"), reject)
    _check_counts(header, parameters, n_elements, reject)


def _check_reference(reference, reject):
    if not isinstance(reference, dict):
        reject(_START + "reference", reference, "an object")
    for name in ("styles", "coefficients"):
        texts = reference.get(name)
        if not isinstance(texts, list) or not all(isinstance(text, str) and REFERENCE_WORDS.fullmatch(text) for text in texts):
            reject(_START + f"reference.{name}", texts, "a list of texts of letters, digits, spaces and _./*+-")


def _check_counts(header, parameters, n_elements, reject):
    n_features = n_elements * descriptors_per_element(parameters, n_elements)
    if header["backbone"]["n_features"] != n_features:
        reject("backbone.n_features", header["backbone"]["n_features"], f"{n_features}, as the architecture gives")
    if header["posterior"] is not None and header["posterior"]["bias"] != "element":
        reject("posterior.bias", header["posterior"]["bias"], "element, as a linear potential has a constant for each element")
