# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways in which a model file can be wrong, and what is said about it."""

from __future__ import annotations

import numpy as np


def container_bytes(header: str, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + data


MALFORMED = [
    '{"a":{"dtype":"F64","shape":[1000000000000],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F64","shape":[-1],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":[8,0]}}',
    '{"a":{"dtype":"F64","shape":[0,1152921504606846976],"data_offsets":[0,0]}}',
    '{"a":{"dtype":"F64","shape":[true],"data_offsets":[0,8]}}',
    '{"a":{"dtype":["F64"],"shape":[1],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F64","shape":[1]}}',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},'
    '"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
    '"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    '{"__metadata__":{"lmp_uq":1}}',
    '{"__metadata__":[]}',
    '{"a":' + "[" * 100_000,
    "{nonsense}",
    '{"a":3}',
    '{"a":{"dtype":"F64","shape":3,"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,4,8]}}',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":{"0":8}}}',
    '{"a":{"dtype":"F64","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F64","shape":[4294967296,4294967297],"data_offsets":[0,8]}}',
    '{"b":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F64","shape":[0,576460752303423488,9],"data_offsets":[8,8]}}',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}} x',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8],}}',
    '{"a\\x":1}',
    '{"a":"\\u12g4"}',
    '{"a":"\x01"}',
    '{"a":-Infinity}',
    '{"a":"\\udc00"}',
    '{"\u00e9":1, "b" 2}',
    '{"a":' + "9" * 5000 + "}",
    '{"a":' + "[" * 100 + "]" * 100 + "}",
    '{"__metadata__":{"lmp_uq":"{}"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{}}',
]
"""Headers of containers, with 8 bytes of data behind them."""

NO_JSON = ["{", '{"format": NaN}', '{"a":1,"a":2}', '{"a":"\\ud800"}', "[" * 101 + "]" * 101]
"""Entries lmp_uq of the container's table that cannot be read."""


def drop(section, key):
    return lambda h: (h[section] if section else h).pop(key)


def put(section, key, value):
    return lambda h: (h[section] if section else h).__setitem__(key, value)


BAD_HEADERS = {
    "format": (put("", "format", "gguf"), r"'format' is \"gguf\"; accepted: lmp-uq$"),
    "version 0": (
        put("", "format_version", 0),
        r"'format_version' is 0; accepted: a whole number from 1 to 1",
    ),
    "version true": (put("", "format_version", True), r"'format_version' is true"),
    "newer": (put("", "format_version", 2), r"newer lmp-uq; this one reads up to 1; upgrade"),
    "unknown": (put("", "colour", 1), r"unknown header keys colour; accepted: format, "),
    "missing": (drop("", "cutoff"), r"missing: cutoff"),
    "missing deep": (drop("posterior", "bias"), r"missing: posterior.bias"),
    "not an object": (put("", "backbone", None), r"'backbone' is null; accepted: an object$"),
    "not an object or null": (put("", "grade", 3), r"'grade' is 3; accepted: an object or null"),
    "element": (put("", "elements", ["W", "Tu"]), r"'elements' is .*distinct chemical symbols"),
    "element zero": (put("", "elements", ["W", "X"]), r"'elements'"),
    "element twice": (put("", "elements", ["W", "W"]), r"'elements'"),
    "no element": (put("", "elements", []), r"'elements'"),
    "cutoff": (put("", "cutoff", -1.0), r"'cutoff' is -1.0; accepted: a positive number"),
    "cutoff true": (put("", "cutoff", True), r"'cutoff' is true"),
    "cutoff huge": (put("", "cutoff", 10**400), r"'cutoff' is 1000"),
    "units": (put("units", "energy", "kcal/mol"), r"'units' is .*kcal/mol.*accepted: .*eV.*Angstrom"),
    "precision": (put("", "precision", "float16"), r"'precision' is \"float16\"; accepted: float32 or float64"),
    "family": (put("backbone", "family", "nequip"), r"'backbone.family' is \"nequip\"; accepted: mace"),
    "architecture": (put("backbone", "architecture", []), r"'backbone.architecture'"),
    "features": (put("backbone", "n_features", 4), r"'posterior.n_features' is 3; accepted: 4"),
    "features beyond count": (put("backbone", "n_features", 10**6 + 1), r"'backbone.n_features' is 1000001; accepted: .* 1 to 1000000"),
    "modes beyond count": (put("posterior", "n_modes", 10**7), r"'posterior.n_modes' is 10000000; accepted: .* from 0 to 1000000"),
    "members beyond count": (put("posterior", "n_members", 10**40), r"'posterior.n_members' is 10+; accepted: .* from 0 to 1000000"),
    "force members beyond count": (put("posterior", "n_force_members", 2**31), r"'posterior.n_force_members' is 2147483648; acc"),
    "frames beyond count": (
        put("provenance", "roles", {"bulk": {"fit": 10**9 + 1}}),
        r"'provenance.roles.bulk' is .*; accepted: .*number of frames, at most 1000000000",
    ),
    "hidden beyond count": (
        put("calibration", "quantile_network", {"n_features": 3, "levels": [0.5], "hidden": [2**31, 2]}),
        r"'calibration.quantile_network.hidden' is \[2147483648, 2\]; accepted: .* from 1 to 1000000",
    ),
    "levels beyond count": (
        put("calibration", "quantile_network", {"n_features": 3, "levels": [0.5] * 101, "hidden": [4, 2]}),
        r"'calibration.quantile_network.levels' is .*\.\.\.; accepted: a list of at most 100 numbers",
    ),
    "features float": (put("backbone", "n_features", 3.0), r"'backbone.n_features' is 3.0"),
    "parameters": (
        put("backbone", "n_parameters", 17),
        r"'backbone.n_parameters' is 17; accepted: at most 16",
    ),
    "modes": (put("posterior", "n_modes", 3), r"'posterior/modes' has shape \(5, 2\).*accepted: \(5, 3\)"),
    "members": (
        put("posterior", "n_members", 5),
        r"'posterior/members' has shape \(4, 5\).*accepted: \(5, 5\)",
    ),
    "members negative": (put("posterior", "n_members", -1), r"'posterior.n_members' is -1"),
    "bias": (
        put("posterior", "bias", "atom"),
        r"'posterior.bias' is \"atom\"; accepted: none or constant or element",
    ),
    "posterior null": (put("", "posterior", None), r"'posterior' is null, but there is .*'posterior/"),
    "grade null": (put("", "grade", None), r"'grade' is null; accepted: an object, because"),
    "force error": (
        put("calibration", "force_error", {"level": 0.9}),
        r"missing: calibration.force_error.intercept, .*calibration.force_error.floor$",
    ),
    "force error list": (put("calibration", "force_error", [1]), r"'calibration.force_error' is \[1\]"),
    "licence": (put("provenance", "licence", None), r"'provenance.licence' is null; accepted: text"),
    "versions": (put("provenance", "versions", []), r"'provenance.versions'"),
    "data": (put("provenance", "data", [{"path": "x"}]), r"'provenance.data'.*path, sha256 and n_frames"),
    "roles": (put("provenance", "roles", {"bulk": {"fit": -1}}), r"'provenance.roles.bulk'"),
    "roles sum": (
        put("provenance", "roles", {"bulk": {"fit": 3}}),
        r"'roles/calibration' is \(1,\), uint64; acc.*\(0,\)",
    ),
    "roles name": (
        put("provenance", "roles", {"a": {"fit": 3, "test": 1, "calibration": 1}}),
        r"'roles/test' is missing",
    ),
}


_LONG = "a" + "\u00e9" * 50_000
LONG_HEADERS = {
    "key": put("", _LONG, 1),
    "format": put("", "format", _LONG),
    "version": put("", "format_version", 10**4000),
    "elements": put("", "elements", [_LONG]),
    "units": put("", "units", {"energy": _LONG}),
    "family": put("backbone", "family", [_LONG]),
    "features": put("backbone", "n_features", 10**4000),
    "parameters": put("backbone", "n_parameters", 10**4000),
    "bias": put("posterior", "bias", {"a": _LONG}),
    "members": put("posterior", "n_members", [0] * 50_000),
    "levels": lambda h: h["calibration"]["force_error"].update(level=[0.5] * 50_000),
    "group": put("provenance", "roles", {_LONG: {"fit": -1}}),
    "role": put("provenance", "roles", {"bulk": {_LONG: 3}}),
    "data": put("provenance", "data", [{_LONG: 1}]),
}
"""Headers that are wrong in a place that holds a very long text, list or number."""
LONG_TENSORS = {
    "section": lambda t: t.update({f"{_LONG}{k}": np.ones(1) for k in range(7)}),
    "calibration": lambda t: t.update({f"calibration/{_LONG}": np.ones(1)}),
    "role": lambda t: t.update({f"roles/{_LONG}": np.ones(1)}),
    "values": lambda t: t.update({f"posterior/{_LONG}": np.full(1, np.nan)}),
}
LONG_CONTAINERS = [
    f'{{"{_LONG}":{{"dtype":"F64","shape":[1],"data_offsets":[0,9]}}}}',
    f'{{"{_LONG}":3}}',
    f'{{"{_LONG}":{{"dtype":"F64","shape":[1],"data_offsets":[8,16]}}}}',
    f'{{"a":{{"dtype":"{_LONG}","shape":[1],"data_offsets":[0,8]}}}}',
    '{"a":{"dtype":"F64","shape":[' + "1," * 50_000 + '1],"data_offsets":[0,8]}}',
    '{"a":{"dtype":"F64","shape":[1],"data_offsets":[' + "0," * 50_000 + "8]}}",
    f'{{"{_LONG}":{{"dtype":"F64","shape":[0,576460752303423488,9],"data_offsets":[8,8]}},"b":{{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}}}',
]


def spoil(name, index, value):
    def change(tensors):
        tensors[name][index] = value

    return change


def replace(name, function):
    def change(tensors):
        tensors[name] = function(tensors[name])

    return change


BAD_TENSORS = {
    "unknown": (
        lambda t: t.update(head=np.ones(1)),
        r"unknown tensors head; accepted: .*backbone/, posterior/, grade/",
    ),
    "missing": (
        lambda t: t.pop("posterior/members"),
        r"'posterior/members' is missing; accepted: shape \(4, 5\)",
    ),
    "transposed": (replace("posterior/modes", lambda a: a.T.copy()), r"shape \(2, 5\).*accepted: \(5, 2\)"),
    "bounds": (
        replace("posterior/upper", lambda a: a[:1]),
        r"'posterior/upper' has shape \(1,\).*accepted: \(2,\)",
    ),
    "single": (replace("posterior/lower", np.float32), r"'posterior/lower' .*float32; accepted: .*float64"),
    "crossed": (
        spoil("posterior/lower", 1, 0.0),
        r"'posterior/lower' exceeds 'posterior/upper' in 1 modes.*mode 1",
    ),
    "whitening": (replace("grade/whitening", lambda a: a[:1]), r"'grade/whitening' .*accepted: \(2, 3, 3\)"),
    "nan coefficient": (
        spoil("posterior/coefficients", 0, np.nan),
        r"'posterior/coefficients' has 1 NaN or inf",
    ),
    "nan mode": (spoil("posterior/modes", (0, 0), np.nan), r"'posterior/modes' has 1 NaN"),
    "inf bound": (spoil("posterior/upper", 0, np.inf), r"'posterior/upper' has 1 NaN or infinite"),
    "nan member": (spoil("posterior/members", 1, np.nan), r"'posterior/members' has 5 NaN"),
    "nan mean": (spoil("grade/mean", (1, 0), np.nan), r"'grade/mean' has 1 NaN"),
    "radius inf": (spoil("grade/radius", 0, np.inf), r"'grade/radius' holds inf; accepted: above 0, or nan"),
    "radius zero": (spoil("grade/radius", 1, 0.0), r"'grade/radius' holds 0.0"),
    "role type": (replace("roles/fit", np.int64), r"'roles/fit' is \(3,\), int64; accepted: \(3,\), uint64"),
    "role count": (replace("roles/fit", lambda a: a[:2]), r"'roles/fit' is \(2,\), uint64; accepted: \(3,\)"),
    "no backbone": (
        lambda t: [t.pop(n) for n in list(t) if n[0] == "b"],
        r"'backbone.n_parameters' is 12; acc.*at most 0",
    ),
}
