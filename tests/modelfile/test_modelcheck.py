# SPDX-License-Identifier: GPL-2.0-or-later
"""A model file whose parts contradict each other or the SPEC is rejected, by write and by read alike."""

from __future__ import annotations

import numpy as np
import pytest
from bad_model_files import BAD_HEADERS, BAD_TENSORS
from model_example import nothing_else_in, raw_container

from lmp_uq import modelfile
from lmp_uq.errors import UqError


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
