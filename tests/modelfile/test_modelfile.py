# SPDX-License-Identifier: GPL-2.0-or-later
"""The model file: what is written is read, equal content gives equal bytes, writing is all or nothing."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from model_example import HEADER, nothing_else_in, raw_container

from lmp_uq import modelfile
from lmp_uq.errors import UqError

# --- identities -------------------------------------------------------------------------------------------


def test_read_returns_what_was_written(model, header, tensors):
    read = modelfile.read(model)
    assert read.header.to_dict() == header
    assert read.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(read.tensors[name], array, strict=True)
        assert read.tensors[name].flags.writeable and read.tensors[name].flags.aligned
    assert read.sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert nothing_else_in(model.parent, "model.uq")


def test_bytes_that_somebody_has_read(model):
    data, expected = model.read_bytes(), modelfile.read(model)
    for held in (data, memoryview(bytearray(b"." + data))[1:]):
        found = modelfile.parse("elsewhere", held, "")
        assert found.header == expected.header and found.sha256 == expected.sha256
        for name, array in expected.tensors.items():
            np.testing.assert_array_equal(found.tensors[name], array, strict=True)
    assert modelfile.parse("elsewhere", data, "of them").sha256 == "of them"
    with pytest.raises(UqError, match=r"^elsewhere: "):
        modelfile.parse("elsewhere", data[:-1], "")


def test_write_returns_the_hash_of_the_file(tmp_path, header, tensors):
    path = tmp_path / "a.uq"
    assert modelfile.write(path, header, tensors) == modelfile.read(path).sha256


def test_section_strips_the_prefix(model, tensors):
    section = modelfile.read(model).section("posterior")
    assert sorted(section) == ["coefficients", "lower", "members", "modes", "upper"]
    np.testing.assert_array_equal(section["modes"], tensors["posterior/modes"])
    assert modelfile.read(model).section("post") == {}


def test_equal_content_gives_equal_bytes(tmp_path, header, tensors):
    backwards = {key: header[key] for key in reversed(header)}
    transposed = {name: np.array(tensors[name], order="F") for name in reversed(tensors)}
    modelfile.write(tmp_path / "a.uq", header, tensors)
    modelfile.write(tmp_path / "b.uq", backwards, transposed)
    assert (tmp_path / "a.uq").read_bytes() == (tmp_path / "b.uq").read_bytes()
    tensors["posterior/coefficients"][0] = np.nextafter(tensors["posterior/coefficients"][0], 9)
    modelfile.write(tmp_path / "b.uq", header, tensors)
    assert (tmp_path / "a.uq").read_bytes() != (tmp_path / "b.uq").read_bytes()


def test_numpy_values_in_the_header_become_json(tmp_path, header, tensors):
    header["posterior"] |= {"n_modes": np.int64(2), "ridge": np.float64(0.01), "rows": ("energy", "force")}
    header["elements"] = np.array(["W", "Ta"])
    modelfile.write(tmp_path / "a.uq", header, tensors)
    assert modelfile.read(tmp_path / "a.uq").header.to_dict() == HEADER


def test_safetensors_library_reads_our_files(model, tensors):
    arrays = safetensors.numpy.load_file(model)
    assert arrays.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
    with safetensors.safe_open(model, framework="np") as file:
        assert json.loads(file.metadata()["lmp_uq"]) == HEADER


def test_we_read_files_of_the_safetensors_library(tmp_path, header, tensors):
    read = modelfile.read(raw_container(tmp_path / "a.uq", header, tensors))
    for name, array in tensors.items():
        np.testing.assert_array_equal(read.tensors[name], array, strict=True)


def test_arrays_begin_at_multiples_of_their_item_size(model):
    content = model.read_bytes()
    length = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + length])
    sizes = {"F64": 8, "U64": 8, "I64": 8, "F32": 4, "BOOL": 1}
    starts = [
        (8 + length + e["data_offsets"][0]) % sizes[e["dtype"]] for n, e in entries.items() if n[0] != "_"
    ]
    assert not any(starts)


def test_sections_may_be_absent(tmp_path, header, tensors):
    header |= {"posterior": None, "grade": None, "calibration": None}
    tensors = {name: a for name, a in tensors.items() if name.startswith(("backbone/", "roles/"))}
    modelfile.write(tmp_path / "a.uq", header, tensors)
    assert modelfile.read(tmp_path / "a.uq").header.posterior is None


@pytest.mark.parametrize(("bias", "columns"), [("none", 3), ("constant", 4), ("element", 5)])
def test_bias_decides_the_number_of_columns(tmp_path, header, tensors, bias, columns):
    header["posterior"]["bias"] = bias
    rng = np.random.default_rng(0)
    for size in (3, 4, 5):
        tensors["posterior/coefficients"] = rng.normal(size=size)
        tensors["posterior/modes"] = rng.normal(size=(size, 2))
        tensors["posterior/members"] = rng.normal(size=(4, size))
        if size == columns:
            modelfile.write(tmp_path / "a.uq", header, tensors)
        else:
            with pytest.raises(UqError, match=rf"accepted: \({columns},\)"):
                modelfile.write(tmp_path / "b.uq", header, tensors)


def test_empty_posterior_box(tmp_path, header, tensors):
    header["posterior"] |= {"n_modes": 0, "n_members": 0}
    tensors |= {"posterior/modes": np.zeros((5, 0)), "posterior/members": np.zeros((0, 5))}
    tensors |= {"posterior/lower": np.zeros(0), "posterior/upper": np.zeros(0)}
    modelfile.write(tmp_path / "a.uq", header, tensors)
    assert modelfile.read(tmp_path / "a.uq").tensors["posterior/modes"].shape == (5, 0)


# --- writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_failed_write_leaves_the_old_file_alone(model, header, tensors, monkeypatch, function):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = model.read_bytes()
    monkeypatch.setattr(os, function, full)
    with pytest.raises(UqError, match="cannot be written: No space left"):
        modelfile.write(model, header | {"cutoff": 5.0}, tensors)
    assert model.read_bytes() == before
    assert nothing_else_in(model.parent, "model.uq")


def test_interrupted_write_leaves_nothing(tmp_path, header, tensors, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        modelfile.write(tmp_path / "a.uq", header, tensors)
    assert nothing_else_in(tmp_path)


def test_write_replaces_and_follows_links(model, header, tensors):
    link = model.parent / "link.uq"
    link.symlink_to(model)
    modelfile.write(link, header | {"cutoff": 5.0}, tensors)
    assert link.is_symlink()
    assert modelfile.read(model).header.cutoff == 5.0


def test_written_file_has_ordinary_permissions(tmp_path, header, tensors):
    mask = os.umask(0o022)
    try:
        modelfile.write(tmp_path / "a.uq", header, tensors)
    finally:
        os.umask(mask)
    assert (tmp_path / "a.uq").stat().st_mode & 0o777 == 0o644


def test_write_where_nothing_can_be_written(tmp_path, header, tensors):
    with pytest.raises(UqError, match="its folder does not exist"):
        modelfile.write(tmp_path / "no" / "a.uq", header, tensors)
    with pytest.raises(UqError, match="is a folder"):
        modelfile.write(tmp_path, header, tensors)


# --- names ------------------------------------------------------------------------------------------------


def test_names_of_embedded_models(tmp_path, monkeypatch, header, tensors):
    embedded = tmp_path / "models"
    embedded.mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(modelfile.file, "_EMBEDDED", embedded)
    monkeypatch.chdir(tmp_path / "here")
    assert modelfile.embedded_models() == []
    with pytest.raises(UqError, match=r"'?tungsten: neither .*embedded models: none"):
        modelfile.resolve("tungsten")
    for name in ("tungsten", "alloy"):
        modelfile.write(embedded / f"{name}.uq", header, tensors)
    assert modelfile.embedded_models() == ["alloy", "tungsten"]
    assert modelfile.resolve("tungsten") == embedded / "tungsten.uq"
    with pytest.raises(
        UqError, match="gold: neither a file nor an embedded model; embedded models: alloy, tungsten"
    ):
        modelfile.resolve("gold")
    with pytest.raises(UqError, match="embedded models: alloy"):
        modelfile.resolve("../models/tungsten")
    Path("tungsten").mkdir()
    assert modelfile.resolve("tungsten") == embedded / "tungsten.uq"
    Path("alloy").write_text("mine")
    assert modelfile.resolve("alloy") == Path("alloy")
    assert modelfile.resolve(embedded / "alloy.uq") == embedded / "alloy.uq"


def test_folders_of_potentials(tmp_path, monkeypatch, header, tensors):
    """A *.uq file that is not there is looked for by its name where LAMMPS looks for potentials, in order."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    modelfile.write(second / "w.uq", header, tensors)
    (second / "w").write_text("no suffix")
    monkeypatch.delenv("LAMMPS_POTENTIALS", raising=False)
    with pytest.raises(UqError, match=r"w.uq: neither a file nor an embedded model; embedded models: [\w, ]+$"):
        modelfile.resolve("w.uq")
    monkeypatch.setenv("LAMMPS_POTENTIALS", f":{first}:{second}:")
    assert modelfile.resolve("w.uq") == modelfile.resolve("far/away/w.uq") == second / "w.uq"
    with pytest.raises(UqError, match=f"; folders of LAMMPS_POTENTIALS: {first}, {second}$"):
        modelfile.resolve("w")
    (first / "w.uq").mkdir()
    assert modelfile.resolve("w.uq") == second / "w.uq", "a folder is no file"
    (first / "w.uq").rmdir()
    modelfile.write(first / "w.uq", header, tensors)
    assert modelfile.resolve("w.uq") == first / "w.uq"
    Path("w.uq").write_text("mine")
    assert modelfile.resolve("w.uq") == Path("w.uq")


# --- golden: files of format version 1 stay what they are --------------------------------------------------


def test_bytes_of_format_version_1(tmp_path, header):
    header |= {"posterior": None, "grade": None, "calibration": None, "elements": ["W"]}
    header["backbone"]["n_parameters"] = 2
    header["provenance"]["roles"] = {"bulk": {"fit": 1}}
    tensors = {"backbone/w": np.array([1.5, -2.0]), "roles/fit": np.array([7], dtype=np.uint64)}
    digest = modelfile.write(tmp_path / "a.uq", header, tensors)
    assert digest == "120f6586df6fa72eeaf58afbc36416eb9995534339db61e951d82d98edef216d"
