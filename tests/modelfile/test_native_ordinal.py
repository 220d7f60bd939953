# SPDX-License-Identifier: GPL-2.0-or-later
"""Classifiers in a model file: what the reader refuses of them, and that the native ordinal head says what the Python one says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from model_example import THRESHOLDS, classifier_content, make_header, make_tensors, raw_container, some_force_error

from lmp_uq import _native, modelfile
from lmp_uq.calibration import ordinal_head
from lmp_uq.calibration.ordinal_head import OrdinalHead
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError

P = 3


@pytest.fixture
def path(tmp_path):
    modelfile.write(tmp_path / "both.uq", *classifier_content())
    return tmp_path / "both.uq"


def read(path):
    file = modelfile.read(path)
    return OrdinalHead.from_tensors(file.header.calibration.ordinal.to_dict(), file.section(ordinal_head.SECTION))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_the_native_head_says_the_same(path, scale, threads):
    """Atoms beyond grade 1, without grade within two hops and that take no part among them, more than a block of the head holds."""
    head, rng, n = read(path), np.random.default_rng(1), 150
    descriptors, species = scale * rng.normal(size=(n, P)), rng.choice([-1, 0, 1], n)
    grade, neighbours = rng.uniform(0, 2, n), rng.uniform(0, 9, n)
    neighbours[::7], grade[::35] = np.inf, np.inf
    grade[1::9] = 1.0
    variables = ForceVariables.of(rng.exponential(size=n), grade, neighbours)
    native, fallback = _native.NativePosterior(path, [0, 1], threads=threads), some_force_error()
    assert native.thresholds == THRESHOLDS
    for threshold in (None, *THRESHOLDS):
        expected = np.where(species < 0, 0.0, 1.0 - head.error_above(descriptors, variables, fallback, threshold))
        found = native.reliabilities(descriptors, species, variables, threshold)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)
        away, threshold = (species >= 0) & ~((grade <= 1.0) & np.isfinite(neighbours)), threshold or head.middle
        np.testing.assert_array_equal(found[away], 1.0 - native.errors_above(species, variables, threshold)[away])
        inside = (species >= 0) & ~away
        assert np.mean(found[inside] != 1.0 - native.errors_above(species, variables, threshold)[inside]) > 0.5
    none = ForceVariables.of(*np.zeros((3, 0)))
    assert native.reliabilities(descriptors[:0], species[:0], none).size == 0
    # planted: another neighbour is seen
    other = replace(variables, neighbours=variables.neighbours + 0.1)
    assert np.max(np.abs(native.reliabilities(descriptors, species, other) - native.reliabilities(descriptors, species, variables))) > 1e-6


def test_what_the_native_head_refuses(path, tmp_path):
    column = np.ones(2)
    variables = ForceVariables.of(column, column, column)
    with pytest.raises(UqError) as found:
        _native.NativePosterior(path, [0, 1]).reliabilities(np.ones((2, P)), np.zeros(2), variables, 0.2)
    with pytest.raises(UqError) as expected:
        read(path).error_above(np.ones((2, P)), variables, some_force_error(), 0.2)
    assert str(found.value) == str(expected.value)
    modelfile.write(tmp_path / "without.uq", make_header(), make_tensors())
    without = _native.NativePosterior(tmp_path / "without.uq", [0, 1])
    assert without.thresholds == ()
    with pytest.raises(UqError, match="the file holds no ordinal head; lmp-uq calibrate --classifier ordinal adds one"):
        without.reliabilities(np.ones((2, P)), np.zeros(2), variables)


def change(name, **values):
    return lambda header, tensors: header["calibration"][name].update(values)


def tensor(name, array):
    return lambda header, tensors: tensors.__setitem__(f"calibration/{name}", array)


BAD = {
    "probe text": lambda h, t: h["calibration"].update(probe="x"),
    "probe 0": lambda h, t: h["calibration"].update(probe=0),
    "ordinal list": lambda h, t: h["calibration"].update(ordinal=[]),
    "probe empty": lambda h, t: h["calibration"].update(probe={}),
    "probe null": lambda h, t: h["calibration"].update(probe=None),
    "ordinal absent": lambda h, t: h["calibration"].pop("ordinal"),
    "features": change("probe", n_features=4),
    "features real": change("probe", n_features=3.0),
    "features bool": change("ordinal", n_features=True),
    "width 0": change("probe", width=0),
    "width negative": change("probe", width=-8),
    "width endless": change("probe", width=10**30),
    "width large": change("probe", width=1_000_001),
    "width other": change("probe", width=16),
    "heads": change("probe", heads=3),
    "heads bool": change("probe", heads=True),
    "hidden text": change("probe", hidden="5"),
    "boundary 0": change("probe", boundary=0),
    "boundary negative": change("probe", boundary=-1.5),
    "boundary text": change("probe", boundary="x"),
    "boundary endless": change("probe", boundary=10**400),
    "boundary bool": change("probe", boundary=True),
    "thresholds fall": change("ordinal", thresholds=[0.3, 0.1]),
    "thresholds equal": change("ordinal", thresholds=[0.3, 0.3]),
    "thresholds 0": change("ordinal", thresholds=[0, 0.3]),
    "thresholds none": change("ordinal", thresholds=[]),
    "thresholds text": change("ordinal", thresholds=["a"]),
    "thresholds many": change("ordinal", thresholds=list(range(1, 102))),
    "thresholds three": change("ordinal", thresholds=[0.1, 0.3, 1.0]),
    "hidden one": change("ordinal", hidden=[9]),
    "hidden number": change("ordinal", hidden=9),
    "hidden real": change("ordinal", hidden=[9, 5.0]),
    "no force error": lambda h, t: h["calibration"].pop("force_error"),
    "old force error": lambda h, t: h["calibration"].update(force_error=make_header()["calibration"]["force_error"]),
    "missing": lambda h, t: t.pop("calibration/probe/attention_gain"),
    "shape": tensor("ordinal/bias_1", np.zeros(6)),
    "dtype": tensor("probe/query_weight", np.zeros((8, 8), np.float32)),
    "nan": tensor("probe/value_bias", np.full(8, np.nan)),
    "foreign": tensor("probe/query_gain", np.zeros(8)),
    "elsewhere": tensor("tree/weight", np.zeros(8)),
}
FINE = ("probe null", "ordinal absent")


@pytest.mark.parametrize("name", BAD)
def test_what_contradicts_itself_is_refused(tmp_path, name):
    """With words that name the entry or the tensor."""
    header, tensors = classifier_content()
    BAD[name](header, tensors)
    if name in FINE:
        gone = name.split()[0]
        modelfile.read(raw_container(tmp_path / "fine.uq", header, {k: v for k, v in tensors.items() if f"/{gone}/" not in k}))
    with pytest.raises(UqError) as caught:
        modelfile.read(raw_container(tmp_path / "bad.uq", header, tensors))
    assert re.search("calibration[./](probe|ordinal|force_error|tree/weight)", str(caught.value)), str(caught.value)


def test_scales_of_zero(tmp_path):
    header, tensors = classifier_content()
    tensors["calibration/ordinal/input_scale"][2] = 0.0
    modelfile.write(tmp_path / "zero.uq", header, tensors)
    with pytest.raises(UqError) as found:
        _native.NativePosterior(tmp_path / "zero.uq", [0, 1])
    with pytest.raises(UqError) as expected:
        read(tmp_path / "zero.uq")
    assert str(found.value) == str(expected.value)
