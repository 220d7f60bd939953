# SPDX-License-Identifier: GPL-2.0-or-later
"""What a model file must fulfil before anyone uses it; the SPEC is the docstring of `lmp_uq.modelfile.file`."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np
from ase.data import atomic_numbers

from lmp_uq.calibration.quantile_network import SECTION, tensor_shapes
from lmp_uq.errors import UqError, piece
from lmp_uq.modelfile.check_classifiers import check_classifiers, classifier_shapes
from lmp_uq.modelfile.check_linear import FAMILIES as LINEAR
from lmp_uq.modelfile.check_linear import check_linear

FORMAT = "lmp-uq"
FORMAT_VERSION = 1
MAX_COUNT = 1_000_000
"""Of features, modes, members and the like, before anything multiplies them."""
MAX_FRAMES = 1_000_000_000
"""Of one role in one group."""
MAX_LEVELS = 100
UNITS = {"energy": "eV", "length": "Angstrom"}
PRECISIONS = ("float32", "float64")
FAMILIES = ("mace", *LINEAR)
BIASES = ("none", "constant", "element")
SECTIONS = ("backbone", "posterior", "grade", "calibration", "roles")
HEADER_KEYS = (
    "format", "format_version", "elements", "cutoff", "units", "precision",
    "backbone", "posterior", "grade", "calibration", "provenance",
)  # fmt: skip
_NULLABLE = ("posterior", "grade", "calibration")
_SECTION_KEYS = {
    "backbone": ("family", "architecture", "n_features", "n_parameters"),
    "posterior": ("n_features", "n_modes", "n_members", "bias", "ridge", "leverage_floor", "rows", "counts"),
    "grade": (),
    "calibration": (),
    "provenance": ("command", "versions", "licence", "data", "roles"),
}
_FORCE_ERROR_KEYS = ("intercept", "force_exponent", "grade_exponent", "n_groups")
_ONE_LEVEL_KEYS = ("factor", "conservative_factor", "floor", "level")
_GROWING_FLOOR_KEYS = ("floor_exponent", "least_bar")
_LEVEL_KEYS = ("levels", "factors", "conservative_factors", "floors")
_SCALED_ERROR_KEYS = ("factor", "conservative_factor", "level", "n_groups", "n_blocks")


def check_header(header: Any, where: str) -> None:
    """Check a header against the SPEC.

    Parameters
    ----------
    header : object
        As parsed from JSON.
    where : str
        The file, for the message.

    Raises
    ------
    UqError
        Names the key, what it holds and what is accepted.
    """
    _check_version(header, where)
    _check_keys(header, where)
    _check_general(header, where)
    _check_backbone(header["backbone"], where)
    if header["posterior"] is not None:
        _check_posterior(header, where)
    if header["calibration"] is not None:
        _check_calibration(header, where)
    _check_provenance(header["provenance"], where)
    if header["backbone"]["family"] in LINEAR:
        check_linear(header, _is_number, lambda key, found, accepted: _reject(where, key, found, accepted))


def check_tensors(header: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> None:
    """Check names, shapes, dtypes and values of the tensors against a header that has passed `check_header`.

    Parameters
    ----------
    header : dict
    tensors : dict of str to array
    where : str
        The file, for the message.

    Raises
    ------
    UqError
        Names the tensor, what was found and what is accepted.
    """
    _check_names(header, tensors, where)
    for name, shape in _expected_shapes(header).items():
        if name not in tensors:
            raise UqError(f"{where}: tensor '{name}' is missing; accepted: shape {shape}, float64")
        found = tensors[name]
        if found.shape != shape or found.dtype != np.float64:
            raise UqError(
                f"{where}: tensor '{name}' has shape {found.shape}, {found.dtype}; accepted: {shape}, float64"
            )
    _check_parameters(header, tensors, where)
    _check_finite(header, tensors, where)
    _check_box(tensors, where)
    _check_radius(tensors, where)
    _check_roles(header, tensors, where)


def _reject(where: str, key: str, found: Any, accepted: str) -> NoReturn:
    raise UqError(f"{where}: header key '{piece(key)}' is {piece(repr(found))}; accepted: {accepted}")


def _is_count(value: Any, least: int = 0, most: int | None = None) -> bool:
    return type(value) is int and value >= least and (most is None or value <= most)


def _is_number(value: Any) -> bool:
    # JSON holds whole numbers that no float can
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _check_version(header: Any, where: str) -> None:
    if not isinstance(header, dict):
        raise UqError(f"{where}: the lmp-uq header is a {type(header).__name__}; accepted: a JSON object")
    if header.get("format") != FORMAT:
        _reject(where, "format", header.get("format"), repr(FORMAT))
    version = header.get("format_version")
    if not _is_count(version, 1):
        _reject(where, "format_version", version, f"a whole number from 1 to {FORMAT_VERSION}")
    if version > FORMAT_VERSION:
        raise UqError(
            f"{where}: format version {piece(version)} was written by a newer lmp-uq; "
            f"this one reads up to {FORMAT_VERSION}; upgrade lmp-uq"
        )


def _check_keys(header: dict[str, Any], where: str) -> None:
    unknown = sorted(set(header) - set(HEADER_KEYS))
    if unknown:
        raise UqError(
            f"{where}: unknown header keys {piece(', '.join(unknown))}; accepted: {', '.join(HEADER_KEYS)}"
        )
    missing = [key for key in HEADER_KEYS if key not in header]
    for section, keys in _SECTION_KEYS.items():
        content = header.get(section)
        if isinstance(content, dict):
            missing += [f"{section}.{key}" for key in keys if key not in content]
        elif section in header and not (content is None and section in _NULLABLE):
            _reject(where, section, content, "an object" + " or null" * (section in _NULLABLE))
    if missing:
        raise UqError(f"{where}: header keys are missing: {', '.join(missing)}")


def _check_general(header: dict[str, Any], where: str) -> None:
    elements = header["elements"]
    symbols = isinstance(elements, list) and all(
        isinstance(e, str) and atomic_numbers.get(e) for e in elements
    )
    if not symbols or not elements or len(set(elements)) != len(elements):
        _reject(where, "elements", elements, "a list of distinct chemical symbols")
    if not _is_number(header["cutoff"]) or header["cutoff"] <= 0:
        _reject(where, "cutoff", header["cutoff"], "a positive number (Angstrom)")
    if header["units"] != UNITS:
        _reject(where, "units", header["units"], repr(UNITS))
    if header["precision"] not in PRECISIONS:
        _reject(where, "precision", header["precision"], " or ".join(PRECISIONS))


def _check_backbone(backbone: dict[str, Any], where: str) -> None:
    if backbone["family"] not in FAMILIES:
        _reject(where, "backbone.family", backbone["family"], " or ".join(FAMILIES))
    if not isinstance(backbone["architecture"], dict):
        _reject(where, "backbone.architecture", backbone["architecture"], "an object")
    if not _is_count(backbone["n_features"], 1, MAX_COUNT):
        _reject(where, "backbone.n_features", backbone["n_features"], f"a whole number from 1 to {MAX_COUNT}")
    if not _is_count(backbone["n_parameters"]):
        _reject(where, "backbone.n_parameters", backbone["n_parameters"], "a whole number from 0 on")


def _check_posterior(header: dict[str, Any], where: str) -> None:
    posterior, n_features = header["posterior"], header["backbone"]["n_features"]
    if type(posterior["n_features"]) is not int or posterior["n_features"] != n_features:
        _reject(
            where, "posterior.n_features", posterior["n_features"], f"{n_features}, as backbone.n_features"
        )
    counts = {key: posterior[key] for key in ("n_modes", "n_members")}
    for key, value in (counts | {"n_force_members": posterior.get("n_force_members", 0)}).items():
        if not _is_count(value, 0, MAX_COUNT):
            _reject(where, f"posterior.{key}", value, f"a whole number from 0 to {MAX_COUNT}")
    if posterior["bias"] not in BIASES:
        _reject(where, "posterior.bias", posterior["bias"], " or ".join(BIASES))


def _check_calibration(header: dict[str, Any], where: str) -> None:
    calibration = header["calibration"]
    force_error, network = calibration.get("force_error"), calibration.get("quantile_network")
    for key in ("force_error", "energy_error", "stress_error", "quantile_network"):
        if not isinstance(calibration.get(key), dict | None):
            _reject(where, f"calibration.{key}", calibration[key], "an object or null")
    if force_error is not None:
        _check_force_error(force_error, where)
        if header["grade"] is None:
            accepted = "an object, because calibration.force_error is predicted from the grade"
            _reject(where, "grade", None, accepted)
    for name in ("energy_error", "stress_error"):
        if calibration.get(name) is not None and "variable" in calibration[name]:
            continue
        for key in _SCALED_ERROR_KEYS if calibration.get(name) is not None else ():
            if not _is_number(calibration[name].get(key)):
                _reject(where, f"calibration.{name}.{key}", calibration[name].get(key), "a number")
    if network is not None:
        _check_network(network, header, where)
    check_classifiers(header, lambda key, found, accepted: _reject(where, key, found, accepted))


def _check_force_error(force_error: dict[str, Any], where: str) -> None:
    if "version" in force_error:
        return
    old = "level" in force_error or "factor" in force_error or "levels" not in force_error
    growing = tuple(key for key in _GROWING_FLOOR_KEYS if key in force_error)
    for key in _FORCE_ERROR_KEYS + (_ONE_LEVEL_KEYS if old else ("n_blocks",)) + growing:
        if not _is_number(force_error.get(key)):
            _reject(where, f"calibration.force_error.{key}", force_error.get(key), "a number")
    for key in () if old else _LEVEL_KEYS:
        values, levels = force_error.get(key), force_error["levels"]
        if not _are_levels(values) or len(values) != len(levels):
            accepted = f"a list of one number for each level, at most {MAX_LEVELS}"
            _reject(where, f"calibration.force_error.{key}", values, accepted)


def _check_network(network: dict[str, Any], header: dict[str, Any], where: str) -> None:
    if header["calibration"].get("force_error") is None:
        accepted = "an object, because calibration.quantile_network hands over to it where grade > 1"
        _reject(where, "calibration.force_error", None, accepted)
    n_features = header["backbone"]["n_features"]
    if type(network.get("n_features")) is not int or network["n_features"] != n_features:
        accepted = f"{n_features}, as backbone.n_features"
        _reject(where, "calibration.quantile_network.n_features", network.get("n_features"), accepted)
    levels, hidden = network.get("levels"), network.get("hidden")
    if not _are_levels(levels):
        _reject(where, "calibration.quantile_network.levels", levels, f"a list of at most {MAX_LEVELS} numbers")
    if not isinstance(hidden, list) or len(hidden) != 2 or not all(_is_count(one, 1, MAX_COUNT) for one in hidden):
        accepted = f"a list of two whole numbers from 1 to {MAX_COUNT}"
        _reject(where, "calibration.quantile_network.hidden", hidden, accepted)


def _are_levels(values: Any) -> bool:
    return isinstance(values, list) and 0 < len(values) <= MAX_LEVELS and all(map(_is_number, values))


def _check_provenance(provenance: dict[str, Any], where: str) -> None:
    for key in ("command", "licence"):
        if not isinstance(provenance[key], str):
            _reject(where, f"provenance.{key}", provenance[key], "text")
    for key in ("versions", "roles"):
        if not isinstance(provenance[key], dict):
            _reject(where, f"provenance.{key}", provenance[key], "an object")
    for group, roles in provenance["roles"].items():
        if not isinstance(roles, dict) or not all(_is_count(n, 0, MAX_FRAMES) for n in roles.values()):
            accepted = f"an object of role: number of frames, at most {MAX_FRAMES}"
            _reject(where, f"provenance.roles.{group}", roles, accepted)
    data = provenance["data"]
    keys = {"path", "sha256", "n_frames"}
    if not isinstance(data, list) or not all(
        isinstance(entry, dict) and keys <= set(entry) for entry in data
    ):
        _reject(where, "provenance.data", data, "a list of objects with path, sha256 and n_frames")


def _check_names(header: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> None:
    known = tuple(f"{section}/" for section in SECTIONS)
    unknown = sorted(name for name in tensors if not name.startswith(known))
    if unknown:
        more = f" and {len(unknown) - 5} more" * (len(unknown) > 5)
        names = ", ".join(map(piece, unknown[:5]))
        raise UqError(
            f"{where}: unknown tensors {names}{more}; accepted: names that begin with {', '.join(known)}"
        )
    for section in ("posterior", "grade"):
        present = [name for name in tensors if name.startswith(section + "/")]
        if present and header[section] is None:
            raise UqError(f"{where}: header key '{section}' is null, but there is the tensor '{piece(present[0])}'")
    expected = {f"{SECTION}/{name}" for name in _network_shapes(header)} | set(classifier_shapes(header))
    foreign = sorted(name for name in tensors if name.startswith("calibration/") and name not in expected)
    if foreign:
        raise UqError(
            f"{where}: unknown tensor {piece(foreign[0])}; accepted in calibration: those of quantile_network, probe and ordinal, if the "
            "header has that entry"
        )
    if "posterior/force_members" in tensors and not header["posterior"].get("n_force_members"):
        found = tensors["posterior/force_members"].shape
        raise UqError(f"{where}: tensor 'posterior/force_members' has shape {found}; accepted: none, as posterior.n_force_members is 0")


def _network_shapes(header: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of the learned quantile, by their names in its section; empty without one."""
    network = (header["calibration"] or {}).get("quantile_network")
    if network is None:
        return {}
    return tensor_shapes(network["n_features"], network["hidden"], len(network["levels"]), network.get("n_variables", 1))


def _expected_shapes(header: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    n_features, n_elements = header["backbone"]["n_features"], len(header["elements"])
    shapes: dict[str, tuple[int, ...]] = {}
    if header["backbone"]["family"] in LINEAR:
        shapes |= {"backbone/coefficients": (n_features + n_elements,)}
    if header["posterior"] is not None:
        posterior = header["posterior"]
        columns = n_features + {"none": 0, "constant": 1, "element": n_elements}[posterior["bias"]]
        n_modes = posterior["n_modes"]
        shapes |= {"posterior/coefficients": (columns,), "posterior/modes": (columns, n_modes)}
        shapes |= {"posterior/lower": (n_modes,), "posterior/upper": (n_modes,)}
        shapes |= {"posterior/members": (posterior["n_members"], columns)}
        if posterior.get("n_force_members", 0):
            shapes |= {"posterior/force_members": (posterior["n_force_members"], columns)}
    if header["grade"] is not None:
        shapes |= {"grade/mean": (n_elements, n_features), "grade/radius": (n_elements,)}
        shapes |= {"grade/whitening": (n_elements, n_features, n_features)}
    return shapes | {f"{SECTION}/{name}": shape for name, shape in _network_shapes(header).items()} | classifier_shapes(header)


def _check_parameters(header: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> None:
    n_parameters = header["backbone"]["n_parameters"]
    held = sum(array.size for name, array in tensors.items() if name.startswith("backbone/"))
    if held == 0 or n_parameters > held:
        accepted = f"at most {held}, the count of numbers in the tensors backbone/*, which is not 0"
        _reject(where, "backbone.n_parameters", n_parameters, accepted)


def _check_finite(header: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> None:
    checked = ("posterior/", "grade/", "calibration/") + (("backbone/",) if header["backbone"]["family"] in LINEAR else ())
    absent = np.isnan(tensors["grade/radius"]) if "grade/radius" in tensors else None
    for name, array in tensors.items():
        if not name.startswith(checked) or array.dtype.kind != "f" or name == "grade/radius":
            continue
        if name in ("grade/mean", "grade/whitening"):
            array = array[~absent]
        n_bad = array.size - np.count_nonzero(np.isfinite(array))
        if n_bad:
            raise UqError(
                f"{where}: tensor '{piece(name)}' has {n_bad} NaN or infinite numbers; accepted: finite ones"
            )


def _check_box(tensors: dict[str, np.ndarray], where: str) -> None:
    if "posterior/lower" not in tensors:
        return
    crossed = np.flatnonzero(tensors["posterior/lower"] > tensors["posterior/upper"])
    if crossed.size:
        raise UqError(
            f"{where}: tensor 'posterior/lower' exceeds 'posterior/upper' in {crossed.size} modes, "
            f"first in mode {crossed[0]}; accepted: lower <= upper"
        )


def _check_radius(tensors: dict[str, np.ndarray], where: str) -> None:
    radius = tensors.get("grade/radius", np.ones(1))
    wrong = radius[~np.isnan(radius) & ~(np.isfinite(radius) & (radius > 0))]
    if wrong.size:
        raise UqError(
            f"{where}: tensor 'grade/radius' holds {wrong[0]}; "
            "accepted: above 0, or nan for an element without training atoms"
        )


def _check_roles(header: dict[str, Any], tensors: dict[str, np.ndarray], where: str) -> None:
    counts: dict[str, int] = {}
    for roles in header["provenance"]["roles"].values():
        for role, count in roles.items():
            counts[role] = counts.get(role, 0) + count
    held = {
        name.removeprefix("roles/"): array for name, array in tensors.items() if name.startswith("roles/")
    }
    for role in sorted(counts.keys() | held.keys()):
        array = held.get(role, np.zeros(0, np.uint64))
        if array.ndim != 1 or array.dtype != np.uint64 or len(array) != counts.get(role, 0):
            found = f"{array.shape}, {array.dtype}" if role in held else "missing"
            accepted = f"({counts.get(role, 0)},), uint64, as provenance.roles counts"
            raise UqError(f"{where}: tensor '{piece('roles/' + role)}' is {found}; accepted: {accepted}")
