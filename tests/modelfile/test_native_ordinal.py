# SPDX-License-Identifier: GPL-2.0-or-later
"""Classifiers in a model file: both readers say the same of them, and the native ordinal head says what the Python one says."""

from __future__ import annotations

import numpy as np
import pytest
from model_example import make_header, make_tensors, raw_container

from lmp_uq import _native_head, modelfile
from lmp_uq.calibration import ordinal_head, probe
from lmp_uq.calibration.ordinal_head import OrdinalHead
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError

P = 3
THRESHOLDS = (0.1, 0.3, 1.0, 2.5)


def random_arrays(shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape) / np.sqrt(shape[-1]) for name, shape in shapes.items()}
    return arrays | {"input_scale": np.exp(arrays["input_scale"])}


def both_classifiers():
    """Header and tensors of the made-up model with a probe and an ordinal head."""
    header, tensors = make_header(), make_tensors()
    parts = {probe.SECTION: probe.tensor_shapes(P, 5, 8), ordinal_head.SECTION: ordinal_head.tensor_shapes(P, (9, 5), len(THRESHOLDS))}
    header["calibration"]["probe"] = {"n_features": P, "hidden": 5, "width": 8, "heads": 2, "boundary": 0.02, "epochs": 7}
    header["calibration"]["ordinal"] = {"thresholds": list(THRESHOLDS), "n_features": P, "hidden": [9, 5]}
    for section, shapes in parts.items():
        tensors |= {f"{section}/{name}": array for name, array in random_arrays(shapes, 5).items()}
    return header, tensors


@pytest.fixture
def path(tmp_path):
    modelfile.write(tmp_path / "both.uq", *both_classifiers())
    return tmp_path / "both.uq"


def read(path):
    file = modelfile.read(path)
    return OrdinalHead.from_tensors(file.header["calibration"]["ordinal"], file.section(ordinal_head.SECTION))


@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_the_native_head_says_the_same(path, scale):
    head, rng = read(path), np.random.default_rng(1)
    descriptors = scale * rng.normal(size=(60, P))
    variables = ForceVariables.of(rng.exponential(size=60), rng.uniform(0, 1, 60), rng.uniform(0, 9, 60))
    expected = head.probabilities(descriptors, variables)
    columns = variables.force, variables.grade, variables.neighbours
    for k, threshold in enumerate(THRESHOLDS):
        found = _native_head.ordinal_above(path, threshold, descriptors, *columns)
        np.testing.assert_allclose(found, expected[:, k], rtol=1e-11, atol=1e-14)
    middle = _native_head.ordinal_above(path, None, descriptors, *columns)
    np.testing.assert_array_equal(middle, _native_head.ordinal_above(path, head.middle, descriptors, *columns))
    assert _native_head.ordinal_above(path, 0.3, descriptors[:0], *(c[:0] for c in columns)).size == 0
    # planted: another neighbour is seen
    other = _native_head.ordinal_above(path, 0.3, descriptors, *columns[:2], variables.neighbours + 0.1)
    assert np.max(np.abs(other - expected[:, 1])) > 1e-6


def test_a_threshold_that_was_not_trained(path):
    column = np.ones(2)
    with pytest.raises(UqError) as found:
        _native_head.ordinal_above(path, 0.2, np.ones((2, P)), column, column, column)
    with pytest.raises(UqError) as expected:
        read(path).error_above(np.ones((2, P)), ForceVariables.of(column, column, column), None, 0.2)
    assert str(found.value) == str(expected.value)


def answer(reader, path):
    try:
        reader(path)
    except UqError as error:
        return str(error)
    return ""


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
    "width large": change("probe", width=10_001),
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
    "missing": lambda h, t: t.pop("calibration/probe/attention_gain"),
    "shape": tensor("ordinal/bias_1", np.zeros(6)),
    "dtype": tensor("probe/query_weight", np.zeros((8, 8), np.float32)),
    "nan": tensor("probe/value_bias", np.full(8, np.nan)),
    "foreign": tensor("probe/query_gain", np.zeros(8)),
    "elsewhere": tensor("tree/weight", np.zeros(8)),
}
FINE = ("probe null", "ordinal absent")


@pytest.mark.parametrize("name", BAD)
def test_both_readers_say_the_same(tmp_path, name):
    header, tensors = both_classifiers()
    BAD[name](header, tensors)
    for section in FINE if name in FINE else ():
        gone = section.split()[0]
        tensors = {k: v for k, v in tensors.items() if name.split()[0] != gone or not k.startswith(f"calibration/{gone}/")}
    made = raw_container(tmp_path / "bad.uq", header, tensors)
    found = answer(modelfile.read, made)
    assert found == answer(_native_head.read_model, made)
    assert bool(found) == (name not in FINE), found


def test_scales_of_zero(tmp_path):
    header, tensors = both_classifiers()
    tensors["calibration/ordinal/input_scale"][2] = 0.0
    modelfile.write(tmp_path / "zero.uq", header, tensors)
    column = np.ones(1)
    with pytest.raises(UqError) as found:
        _native_head.ordinal_above(tmp_path / "zero.uq", None, np.ones((1, P)), column, column, column)
    with pytest.raises(UqError) as expected:
        read(tmp_path / "zero.uq")
    assert str(found.value) == str(expected.value)
