# SPDX-License-Identifier: GPL-2.0-or-later
"""The native engine reads the files that the Python reader reads, sees the same in them, and refuses the others with the same text."""

from __future__ import annotations

import json
import os
import pickle
import random
import zipfile

import numpy as np
import pytest
from bad_model_files import (
    BAD_HEADERS,
    BAD_TENSORS,
    LONG_CONTAINERS,
    LONG_HEADERS,
    LONG_TENSORS,
    MALFORMED,
    NO_JSON,
    container_bytes,
)
from model_example import make_header, make_tensors, raw_container
from native_families import described

from lmp_uq import _native_head, modelfile
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.errors import UqError
from lmp_uq.modelfile.container import MAX_HEADER
from lmp_uq.modelfile.json import strict_json


def what_is_read(reader, path):
    """What a reader returns, or the text with which it refuses; arrays as bytes, so that NaN equals itself."""
    try:
        header, tensors, sha256 = reader(path)
    except UqError as error:
        return str(error)
    return header, {name: (a.dtype, a.shape, a.tobytes()) for name, a in tensors.items()}, sha256


def python_reader(path):
    file = modelfile.read(path)
    return file.header, file.tensors, file.sha256


def same(path):
    """Assert that both readers say the same; the text if they refuse, else empty."""
    expected = what_is_read(python_reader, path)
    assert what_is_read(_native_head.read_model, path) == expected
    return expected if isinstance(expected, str) else ""


# --- files that are read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["made up", *modelfile.embedded_models()])
def test_header_tensors_and_hash(model, name):
    assert same(model if name == "made up" else modelfile.resolve(name)) == ""


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_every_dtype(tmp_path, header, tensors, dtype):
    tensors["backbone/more"] = np.array([[0, 1, 1], [1, 0, 0]]).astype(dtype)
    assert same(raw_container(tmp_path / "a.uq", header, tensors)) == ""


@pytest.mark.parametrize("n_spaces", range(1, 9))
def test_arrays_at_any_address(model, n_spaces):
    content = model.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    model.write_bytes((end - 8 + n_spaces).to_bytes(8, "little") + content[8:end] + b" " * n_spaces + content[end:])
    assert same(model) == ""


def test_sections_and_network(tmp_path, header, tensors):
    header["calibration"]["quantile_network"] = {"levels": [0.5, 0.9], "n_features": 3, "hidden": [4, 2]}
    shapes = {"input_mean": 4, "input_scale": 4, "weight_0": (4, 4), "bias_0": 4, "weight_1": (2, 4), "bias_1": 2}
    shapes |= {"weight_2": (2, 2), "bias_2": 2, "lower": 2, "upper": 2, "factors": 2}
    for name, shape in shapes.items():
        tensors[f"calibration/quantile_network/{name}"] = np.ones(shape)
    assert same(raw_container(tmp_path / "a.uq", header, tensors)) == ""
    header["calibration"]["quantile_network"]["hidden"] = [4, 3]
    assert "weight_1" in same(raw_container(tmp_path / "b.uq", header, tensors))
    header |= {"posterior": None, "grade": None, "calibration": None}
    kept = {name: a for name, a in tensors.items() if name.startswith(("backbone/", "roles/"))}
    assert same(raw_container(tmp_path / "c.uq", header, kept)) == ""


# --- files that are refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_headers(tmp_path, header, tensors, name):
    BAD_HEADERS[name][0](header)
    assert same(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_tensors(tmp_path, header, tensors, name):
    BAD_TENSORS[name][0](tensors)
    assert same(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_containers(tmp_path, text):
    path = tmp_path / "a.uq"
    path.write_bytes(container_bytes(text, b"\0" * 8))
    assert same(path)


LONGEST_MESSAGE = 1500
"""Characters beside the path: a few pieces of the file, and what is accepted."""


def assert_short(path):
    text = same(path)
    assert 0 < len(text) < LONGEST_MESSAGE + len(str(path)), text[:500]
    assert "..." in text


@pytest.mark.parametrize("name", LONG_HEADERS)
def test_messages_quote_a_piece_of_a_long_header(tmp_path, header, tensors, name):
    LONG_HEADERS[name](header)
    assert_short(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("name", LONG_TENSORS)
def test_messages_quote_a_piece_of_long_names(tmp_path, header, tensors, name):
    LONG_TENSORS[name](tensors)
    assert_short(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("text", LONG_CONTAINERS, ids=range(len(LONG_CONTAINERS)))
def test_messages_quote_a_piece_of_a_long_container(tmp_path, text):
    path = tmp_path / "a.uq"
    data = text.encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data + b"\0" * 8)
    assert_short(path)


def test_longest_header(tmp_path):
    """At most 4 MB; the memory that JSON takes is a hundred times as much."""
    path = tmp_path / "a.uq"
    for length, expected in ((MAX_HEADER, ""), (MAX_HEADER + 8, f"the header has {MAX_HEADER + 8} bytes; accepted: at most {MAX_HEADER}")):
        raw_container(path, make_header(), make_tensors())
        content = path.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        path.write_bytes(length.to_bytes(8, "little") + content[8:end] + b" " * (length + 8 - end) + content[end:])
        assert same(path).removeprefix(f"{path}: ") == expected
    path.write_bytes(path.read_bytes()[: MAX_HEADER // 2])    # shorter than it says, and it says too much
    assert "no model file" in same(path)


def test_a_header_that_no_reader_takes_is_not_written(tmp_path, header, tensors):
    header["provenance"]["command"] = "x" * MAX_HEADER
    with pytest.raises(UqError, match=f"the header has .* bytes; accepted: at most {MAX_HEADER}"):
        modelfile.write(tmp_path / "a.uq", header, tensors)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", NO_JSON)
def test_header_that_is_no_json(tmp_path, tensors, text):
    path = tmp_path / "a.uq"
    path.write_bytes(container_bytes(json.dumps({"__metadata__": {"lmp_uq": text}})))
    assert "no JSON" in same(path)


@pytest.mark.parametrize("start", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\x80"])
def test_bytes_that_are_no_text(tmp_path, start):
    path = tmp_path / "a.uq"
    header = b'{"' + start + b'":1}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "it is no UTF-8 text" in same(path)


def test_utf_16_is_no_text(tmp_path):
    header = "{}".encode("utf-16-le")
    (tmp_path / "a.uq").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "damaged" in same(tmp_path / "a.uq")


def test_no_files(tmp_path):
    (tmp_path / "empty.uq").touch()
    os.mkfifo(tmp_path / "pipe.uq")
    (tmp_path / "nowhere.uq").symlink_to(tmp_path / "absent")
    for name in ("absent", "", "empty.uq", "pipe.uq", "nowhere.uq", "empty.uq/below"):
        assert same(tmp_path / name)


def test_other_files(tmp_path):
    path = tmp_path / "a.uq"
    for protocol in range(2, 6):
        path.write_bytes(pickle.dumps({"weights": [1.0]}, protocol=protocol))
        assert "is a pickle" in same(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "is a zip archive" in same(path)
    for length in (2**63, 10**12, 90_000_000, 1, 0):
        path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * 200)
        assert same(path)


@pytest.mark.parametrize("count", [3 * 10**18, -1, 0])
def test_number_of_couplings_in_a_damaged_file(count):
    """Found by tests/fuzz: the engine's tables are not made before this number fits the rest of the file."""
    architecture, tensors = described("density 0")
    name = "products.0.symmetric_contractions.contractions.0.U_matrix_1.shape"
    damaged = tensors[name].copy()
    damaged[-1] = count
    with pytest.raises(UqError, match="coupling tensor of order 1 and degree 0 of layer 0 does not fit"):
        MaceNativeBackbone(architecture, tensors | {name: damaged}, precision="float64")


# --- seeded damage ------------------------------------------------------------------------------------------


def test_truncation(model):
    content = model.read_bytes()
    for length in (*range(1, 20), *range(20, len(content), 61), len(content) - 1):
        model.write_bytes(content[:length])
        assert same(model)


def damaged(content: bytes, rng: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5])):
        position, length = rng.randrange(len(out)), rng.choice([1, 1, 2, 8, 60])
        kind = rng.randrange(4)
        if kind == 0:
            out[position] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[position : position + length] = rng.randbytes(length)
        elif kind == 2:
            del out[position : position + length]
        else:
            start = rng.randrange(len(out))
            out[position:position] = out[start : start + length]
    return bytes(out)


def test_damaged_bytes(model):
    content, rng, refused = model.read_bytes(), random.Random(1), set()
    for _ in range(800):
        model.write_bytes(damaged(content, rng))
        refused.add(same(model))
    assert len(refused) > 150


VALUES = (
    None, True, False, -1, 0, 1, 3, 2**31, 2**64, 10**40, -0.0, 0.5, 1e300, 1e-7, 1.5e16, "", "W", "mace", "é\n'", [], {}, [0], [1.0, "a"],
    {"a": 1}, [[]], {"levels": [0.5]}, "float32",
)  # fmt: skip


def changed(value, rng: random.Random):
    """A copy of a JSON value with one change somewhere in it."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key, out = rng.choice(list(keys)), value.copy()
        kind = rng.random()
        if kind < 0.15:
            del out[key]
        elif kind < 0.25 and isinstance(out, dict):
            out[rng.choice(["more", "level", "levels", "quantile_network", "n_force_members", "a'b"])] = rng.choice(VALUES)
        else:
            out[key] = changed(out[key], rng)
        return out
    return rng.choice(VALUES)


def test_changed_headers(tmp_path):
    path, rng, tensors, refused = tmp_path / "a.uq", random.Random(2), make_tensors(), set()
    for _ in range(800):
        header = changed(make_header(), rng)
        raw_container(path, changed(header, rng) if rng.random() < 0.3 else header, tensors)
        refused.add(same(path))
    assert len(refused) > 150


def test_changed_containers(model):
    content, rng, refused = model.read_bytes(), random.Random(3), set()
    end = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:end])
    for _ in range(800):
        header = json.dumps(changed(table, rng), ensure_ascii=rng.random() < 0.5).encode()
        model.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
        refused.add(same(model))
    assert len(refused) > 150


# --- JSON ---------------------------------------------------------------------------------------------------

TEXTS = [
    "0", "-0", "-0.0", "1.5", "1e5", "1E+05", "1e400", "-1e400", "1e-400", "123456789012345678901234567890", "5e-324", "0.1", "1.",
    ".5", "01", "+1", "-", "1e", "--1", "tru", "nul", '"', '"\\', '"\\u', '"\\u123', '"\\ud83d\\ude00"', '"\\ud83d"', '"a\nb"',
    '"\\n\\t\\"\\\\\\/\\b\\f\\r\\u00e9"', "[1,]", "[,1]", "[1 2]", "[", "{", "{1:2}", '{"a":1,}', '{"a":1,"b":2}', '{"b":1,"a":[{}]}', "",
    " ", "\ufeff1", "[]x", '{"a":NaN}', "[Infinity]", "\u00a01", '"\u2028"', "[" * 100 + "]" * 100, "[" * 101 + "]" * 101,
]  # fmt: skip


def answer(parse, text):
    try:
        return repr(parse(text))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("text", TEXTS)
def test_json(text):
    assert answer(_native_head.json_of, text) == answer(strict_json, text)


def test_numbers_come_back():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    values = values[np.isfinite(values)].tolist()
    assert _native_head.json_of(json.dumps(values)) == values
