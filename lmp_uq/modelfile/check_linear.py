# SPDX-License-Identifier: GPL-2.0-or-later
"""What the header of a linear potential must fulfil beside `lmp_uq.modelfile.check`; csrc/engine/model_check_linear says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lmp_uq.backbone.linear.compute_settings import COMPUTE_ACCEPTED, COMPUTE_WORDS, FILE_NAME, PAIR, ROLES
from lmp_uq.backbone.linear.reference import PAIR_STYLES, REFERENCE_WORDS
from lmp_uq.backbone.linear.snap_settings import MAX_TWOJMAX, PARAMETERS, descriptors_per_element

SNAP, COMPUTE = "snap", "compute"
FAMILIES = (SNAP, COMPUTE)
"""Linear potentials: on bispectrum components, and on the columns of any per-atom compute."""
_START = "backbone.architecture."


def check_linear(header: dict[str, Any], is_number: Callable, reject: Callable) -> None:
    """Check the architecture and the number of features; `reject(key, found, accepted)` raises."""
    architecture = header["backbone"]["architecture"]
    (_check_snap if header["backbone"]["family"] == SNAP else _check_compute)(header, architecture, is_number, reject)
    if header["posterior"] is not None and header["posterior"]["bias"] != "element":
        reject("posterior.bias", header["posterior"]["bias"], "element, as a linear potential has a constant for each element")


def _check_snap(header, architecture, is_number, reject):
    parameters, n_elements = architecture.get("parameters"), len(header["elements"])
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
    n_features = n_elements * descriptors_per_element(parameters, n_elements)
    if header["backbone"]["n_features"] != n_features:
        reject("backbone.n_features", header["backbone"]["n_features"], f"{n_features}, as the architecture gives")


def _check_compute(header, architecture, is_number, reject):
    cutoff, computes, files, pair = (architecture.get(name) for name in ("cutoff", "computes", "files", "pair"))
    if not is_number(cutoff) or cutoff <= 0:
        reject(_START + "cutoff", cutoff, "a positive number (Angstrom)")
    if not isinstance(computes, dict):
        reject(_START + "computes", computes, "an object")
    for role in ROLES:
        words = computes.get(role)
        none = words == "" and role != "descriptors"
        if not none and not (isinstance(words, str) and COMPUTE_WORDS.fullmatch(words)):
            reject(_START + f"computes.{role}", words, COMPUTE_ACCEPTED)
    if not isinstance(files, dict) or not all(FILE_NAME.fullmatch(name) and isinstance(text, str) for name, text in files.items()):
        reject(_START + "files", files, "an object of plain file names and texts")
    if not isinstance(pair, str) or not PAIR.fullmatch(pair):
        reject(_START + "pair", pair, "the name of a pair style, or an empty text")
    _check_reference(architecture.get("reference"), reject)
    if header["backbone"]["n_features"] % len(header["elements"]):
        reject("backbone.n_features", header["backbone"]["n_features"], f"a multiple of {len(header['elements'])}, the number of elements")


def _check_reference(reference, reject):
    if not isinstance(reference, dict):
        reject(_START + "reference", reference, "an object")
    for name in ("styles", "coefficients"):
        texts = reference.get(name)
        if not isinstance(texts, list) or not all(isinstance(text, str) and REFERENCE_WORDS.fullmatch(text) for text in texts):
            reject(_START + f"reference.{name}", texts, "a list of texts of letters, digits, spaces and _./*+-")
    for k, text in enumerate(reference["styles"]):
        if (text.split() or [""])[0] not in PAIR_STYLES:
            reject(_START + f"reference.styles[{k}]", text, f"a text that begins with one of the pair styles {', '.join(PAIR_STYLES)}")
