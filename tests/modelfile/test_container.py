# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are no model files, or no longer, are named for what they are and take nothing down."""

from __future__ import annotations

import hashlib
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from bad_model_files import MALFORMED, NO_JSON, container_bytes
from model_example import HEADER

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.files import hash_file


def test_missing_folder_and_empty(tmp_path):
    with pytest.raises(UqError, match="no such file"):
        modelfile.read(tmp_path / "no.uq")
    with pytest.raises(UqError, match="is a folder; accepted: a file"):
        modelfile.read(tmp_path)
    (tmp_path / "empty.uq").touch()
    with pytest.raises(UqError, match="the file is empty"):
        modelfile.read(tmp_path / "empty.uq")
    os.mkfifo(tmp_path / "pipe.uq")
    with pytest.raises(UqError, match="is a pipe or a device"):
        modelfile.read(tmp_path / "pipe.uq")


def test_truncation_is_noticed(model):
    content = model.read_bytes()
    for length in (*range(1, 20), *range(20, len(content), 7), len(content) - 1):
        model.write_bytes(content[:length])
        with pytest.raises(UqError, match=r"truncated|no model file"):
            modelfile.read(model)
    model.write_bytes(content + b"\0")
    with pytest.raises(UqError, match="goes on after its last tensor"):
        modelfile.read(model)


def test_damaged_header_never_raises_anything_else(model):
    content = model.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    noticed = 0
    for position in (*range(16), *range(16, end, 3)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 7
        model.write_bytes(damaged)
        try:
            modelfile.read(model)
        except UqError:
            noticed += 1
    assert noticed > end // 6


@pytest.mark.parametrize("size", [1, 7, 8, 9, 100, 5000])
def test_random_bytes(tmp_path, size):
    path = tmp_path / "noise.uq"
    path.write_bytes(np.random.default_rng(size).bytes(size))
    with pytest.raises(UqError, match="no model file"):
        modelfile.read(path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_is_named_and_never_opened(tmp_path, protocol):
    path, crater = tmp_path / "model.uq", tmp_path / "crater"
    path.write_bytes(pickle.dumps(Bomb(crater), protocol=protocol))
    with pytest.raises(UqError, match=r"is a pickle, .*run `lmp-uq convert`"):
        modelfile.read(path)
    assert not crater.exists()


def test_torch_archive_is_named(tmp_path):
    path = tmp_path / "model.uq"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    with pytest.raises(UqError, match=r"is a zip archive .*run `lmp-uq convert`"):
        modelfile.read(path)


@pytest.mark.parametrize("start", [b"\x80\x02", b"\x80\x04", b"PK"])
def test_header_length_that_looks_like_a_pickle_is_read(model, start):
    content = model.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    length = int.from_bytes(start, "little")
    while length < end - 8:
        length += 1 << 16
    padding = b" " * (length - (end - 8))
    model.write_bytes(length.to_bytes(8, "little") + content[8:end] + padding + content[end:])
    assert modelfile.read(model).header.to_dict() == HEADER


@pytest.mark.parametrize("length", [2**63, 10**12, 90_000_000])
def test_overlong_header_takes_no_memory(tmp_path, length):
    path = tmp_path / "long.uq"
    path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * 200)
    tracemalloc.start()
    with pytest.raises(UqError, match=r"truncated|no model file"):
        modelfile.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("header", MALFORMED)
def test_malformed_containers(tmp_path, header):
    path = tmp_path / "bad.uq"
    path.write_bytes(container_bytes(header, b"\0" * 8))
    with pytest.raises(UqError, match="damaged"):
        modelfile.read(path)


def test_other_safetensors_file(tmp_path, tensors):
    safetensors.numpy.save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    with pytest.raises(UqError, match=r"without the entry 'lmp_uq'.*lmp-uq convert"):
        modelfile.read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("text", NO_JSON)
def test_header_that_is_no_json(tmp_path, tensors, text):
    safetensors.numpy.save_file(tensors, tmp_path / "a.uq", metadata={"lmp_uq": text})
    with pytest.raises(UqError, match="its lmp-uq header is no JSON"):
        modelfile.read(tmp_path / "a.uq")


def test_hash_file(tmp_path):
    path = tmp_path / "a.xyz"
    path.write_bytes(b"W" * 3_000_000)
    assert hash_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UqError, match="no such file"):
        hash_file(tmp_path / "b.xyz")
