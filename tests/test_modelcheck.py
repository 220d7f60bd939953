# SPDX-License-Identifier: GPL-2.0-or-later
"""A model file whose parts contradict each other or the SPEC is rejected, by write and by read alike."""

from __future__ import annotations

import numpy as np
import pytest
from model_example import nothing_else_in, raw_container

from lmp_uq import modelfile
from lmp_uq.errors import UqError


def drop(section, key):
    return lambda h: (h[section] if section else h).pop(key)


def put(section, key, value):
    return lambda h: (h[section] if section else h).__setitem__(key, value)


BAD_HEADERS = {
    "format": (put("", "format", "gguf"), r"'format' is 'gguf'; accepted: 'lmp-uq'"),
    "version 0": (
        put("", "format_version", 0),
        r"'format_version' is 0; accepted: a whole number from 1 to 1",
    ),
    "version true": (put("", "format_version", True), r"'format_version' is True"),
    "newer": (put("", "format_version", 2), r"newer lmp-uq; this one reads up to 1; upgrade"),
    "unknown": (put("", "colour", 1), r"unknown header keys colour; accepted: format, "),
    "missing": (drop("", "cutoff"), r"missing: cutoff"),
    "missing deep": (drop("posterior", "bias"), r"missing: posterior.bias"),
    "not an object": (put("", "backbone", None), r"'backbone' is None; accepted: an object$"),
    "not an object or null": (put("", "grade", 3), r"'grade' is 3; accepted: an object or null"),
    "element": (put("", "elements", ["W", "Tu"]), r"'elements' is .*distinct chemical symbols"),
    "element zero": (put("", "elements", ["W", "X"]), r"'elements'"),
    "element twice": (put("", "elements", ["W", "W"]), r"'elements'"),
    "no element": (put("", "elements", []), r"'elements'"),
    "cutoff": (put("", "cutoff", -1.0), r"'cutoff' is -1.0; accepted: a positive number"),
    "cutoff true": (put("", "cutoff", True), r"'cutoff' is True"),
    "cutoff huge": (put("", "cutoff", 10**400), r"'cutoff' is 1000"),
    "units": (put("units", "energy", "kcal/mol"), r"'units' is .*kcal/mol.*accepted: .*eV.*Angstrom"),
    "precision": (put("", "precision", "float16"), r"'precision' is 'float16'; accepted: float32 or float64"),
    "family": (put("backbone", "family", "nequip"), r"'backbone.family' is 'nequip'; accepted: mace"),
    "architecture": (put("backbone", "architecture", []), r"'backbone.architecture'"),
    "features": (put("backbone", "n_features", 4), r"'posterior.n_features' is 3; accepted: 4"),
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
        r"'posterior.bias' is 'atom'; accepted: none or constant or element",
    ),
    "posterior null": (put("", "posterior", None), r"'posterior' is null, but there is .*'posterior/"),
    "grade null": (put("", "grade", None), r"'grade' is None; accepted: an object, because"),
    "force error": (
        put("calibration", "force_error", {"level": 0.9}),
        r"'calibration.force_error.intercept' is None",
    ),
    "force error list": (put("calibration", "force_error", [1]), r"'calibration.force_error' is \[1\]"),
    "licence": (put("provenance", "licence", None), r"'provenance.licence' is None; accepted: text"),
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


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_headers_are_rejected(tmp_path, header, tensors, name):
    change, message = BAD_HEADERS[name]
    change(header)
    with pytest.raises(UqError, match=message):
        modelfile.write(tmp_path / "a.uq", header, tensors)
    assert nothing_else_in(tmp_path)
    path = raw_container(tmp_path / "b.uq", header, tensors)
    with pytest.raises(UqError, match=message) as caught:
        modelfile.read(path)
    assert str(path) in str(caught.value)


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


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_tensors_are_rejected(tmp_path, header, tensors, name):
    change, message = BAD_TENSORS[name]
    change(tensors)
    with pytest.raises(UqError, match=message):
        modelfile.write(tmp_path / "a.uq", header, tensors)
    assert nothing_else_in(tmp_path)
    with pytest.raises(UqError, match=message):
        modelfile.read(raw_container(tmp_path / "b.uq", header, tensors))


def test_element_without_training_atoms_may_hold_nan(tmp_path, header, tensors):
    tensors["grade/radius"][1] = tensors["grade/mean"][1] = tensors["grade/whitening"][1] = np.nan
    modelfile.write(tmp_path / "a.uq", header, tensors)
    assert np.isnan(modelfile.read(tmp_path / "a.uq").tensors["grade/radius"][1])
    tensors["grade/mean"][0, 0] = np.nan
    with pytest.raises(UqError, match="'grade/mean' has 1 NaN"):
        modelfile.write(tmp_path / "a.uq", header, tensors)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ridge", np.nan, "the header, posterior, ridge holds nan; accepted: finite"),
        ("rows", {1: 2}, "the header, posterior, rows has the key 1; accepted: text"),
        ("counts", {1, 2}, "the header, posterior, counts holds a set"),
    ],
)
def test_header_must_be_json(tmp_path, header, tensors, key, value, message):
    header["posterior"][key] = value
    with pytest.raises(UqError, match=message):
        modelfile.write(tmp_path / "a.uq", header, tensors)


def test_complex_tensor_is_rejected(tmp_path, header, tensors):
    tensors["backbone/phase"] = np.array([1j])
    with pytest.raises(UqError, match="'backbone/phase' has dtype complex128; accepted: F64"):
        modelfile.write(tmp_path / "a.uq", header, tensors)
