# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader of model files: what it sees in a good one is what the safetensors library sees, and it refuses the others in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors.numpy
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

from lmp_uq import _native, modelfile
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.errors import UqError


def said_of(path):
    """Why a file is refused, in one sentence that names it; empty if it is read as the safetensors library reads it."""
    try:
        file = modelfile.read(path)
    except UqError as error:
        text = str(error)
        assert text.startswith(f"{path}: ") and "\n" not in text
        return text
    content = path.read_bytes()
    arrays = safetensors.numpy.load(content)
    assert file.tensors.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (file.tensors[name].dtype, file.tensors[name].shape) == (array.dtype, array.shape)
        assert file.tensors[name].tobytes() == array.tobytes()
    table = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert file.header.to_dict() == json.loads(table["__metadata__"]["lmp_uq"])
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    return ""


# --- files that are read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["made up", *modelfile.embedded_models()])
def test_header_tensors_and_hash(model, name):
    assert said_of(model if name == "made up" else modelfile.resolve(name)) == ""


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"])
def test_every_dtype(tmp_path, header, tensors, dtype):
    tensors["backbone/more"] = np.array([[0, 1, 1], [1, 0, 0]]).astype(dtype)
    assert said_of(raw_container(tmp_path / "a.uq", header, tensors)) == ""


@pytest.mark.parametrize("n_spaces", range(1, 9))
def test_arrays_at_any_address(model, n_spaces):
    content = model.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    model.write_bytes((end - 8 + n_spaces).to_bytes(8, "little") + content[8:end] + b" " * n_spaces + content[end:])
    assert said_of(model) == ""


def test_sections_and_network(tmp_path, header, tensors):
    header["calibration"]["quantile_network"] = {"levels": [0.5, 0.9], "n_features": 3, "hidden": [4, 2]}
    shapes = {"input_mean": 4, "input_scale": 4, "weight_0": (4, 4), "bias_0": 4, "weight_1": (2, 4), "bias_1": 2}
    shapes |= {"weight_2": (2, 2), "bias_2": 2, "lower": 2, "upper": 2, "factors": 2}
    for name, shape in shapes.items():
        tensors[f"calibration/quantile_network/{name}"] = np.ones(shape)
    assert said_of(raw_container(tmp_path / "a.uq", header, tensors)) == ""
    header["calibration"]["quantile_network"]["hidden"] = [4, 3]
    assert "weight_1" in said_of(raw_container(tmp_path / "b.uq", header, tensors))
    header |= {"posterior": None, "grade": None, "calibration": None}
    kept = {name: a for name, a in tensors.items() if name.startswith(("backbone/", "roles/"))}
    assert said_of(raw_container(tmp_path / "c.uq", header, kept)) == ""


# --- files that are refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_headers(tmp_path, header, tensors, name):
    BAD_HEADERS[name][0](header)
    assert said_of(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_bad_tensors(tmp_path, header, tensors, name):
    BAD_TENSORS[name][0](tensors)
    assert said_of(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_containers(tmp_path, text):
    path = tmp_path / "a.uq"
    path.write_bytes(container_bytes(text, b"\0" * 8))
    assert said_of(path)


MAX_HEADER = 4_000_000
LONGEST_MESSAGE = 1500
"""Characters beside the path: a few pieces of the file, and what is accepted."""


def assert_short(path):
    text = said_of(path)
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
        assert said_of(path).removeprefix(f"{path}: ") == expected
    path.write_bytes(path.read_bytes()[: MAX_HEADER // 2])    # shorter than it says, and it says too much
    assert "no model file" in said_of(path)


def test_a_header_that_no_reader_takes_is_not_written(tmp_path, header, tensors):
    header["provenance"]["command"] = "x" * MAX_HEADER
    with pytest.raises(UqError, match=f"the header has .* bytes; accepted: at most {MAX_HEADER}"):
        modelfile.write(tmp_path / "a.uq", header, tensors)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", NO_JSON)
def test_header_that_is_no_json(tmp_path, tensors, text):
    path = tmp_path / "a.uq"
    path.write_bytes(container_bytes(json.dumps({"__metadata__": {"lmp_uq": text}})))
    assert "no JSON" in said_of(path)


@pytest.mark.parametrize("start", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc3", b"\x80"])
def test_bytes_that_are_no_text(tmp_path, start):
    path = tmp_path / "a.uq"
    header = b'{"' + start + b'":1}'
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "it is no UTF-8 text" in said_of(path)


def test_utf_16_is_no_text(tmp_path):
    header = "{}".encode("utf-16-le")
    (tmp_path / "a.uq").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "damaged" in said_of(tmp_path / "a.uq")


def test_no_files(tmp_path):
    (tmp_path / "empty.uq").touch()
    os.mkfifo(tmp_path / "pipe.uq")
    (tmp_path / "nowhere.uq").symlink_to(tmp_path / "absent")
    for name in ("absent", "", "empty.uq", "pipe.uq", "nowhere.uq", "empty.uq/below"):
        assert said_of(tmp_path / name)


def test_other_files(tmp_path):
    path = tmp_path / "a.uq"
    for protocol in range(2, 6):
        path.write_bytes(pickle.dumps({"weights": [1.0]}, protocol=protocol))
        assert "is a pickle" in said_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "is a zip archive" in said_of(path)
    for length in (2**63, 10**12, 90_000_000, 1, 0):
        path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * 200)
        assert said_of(path)


@pytest.mark.parametrize("count", [3 * 10**18, -1, 0])
def test_number_of_couplings_in_a_damaged_file(count):
    """Found by tests/fuzz: the engine's tables are not made before this number fits the rest of the file."""
    architecture, tensors = described("density 0")
    name = "products.0.symmetric_contractions.contractions.0.U_matrix_1.shape"
    damaged = tensors[name].copy()
    damaged[-1] = count
    with pytest.raises(UqError, match="coupling tensor of order 1 and degree 0 of layer 0 does not fit"):
        MaceNativeBackbone(architecture, tensors | {name: damaged}, precision="float64")


def test_any_name_of_a_file(model, tmp_path):
    """Names that are no ASCII, or no UTF-8 at all, are read and stand in what is said."""
    for name in ("größe Å.uq", os.fsdecode(b"caf\xe9.uq")):
        path = tmp_path / name
        path.write_bytes(model.read_bytes())
        path.chmod(0o444)
        assert modelfile.read(path).sha256 == modelfile.read(model).sha256
        with pytest.raises(UqError) as caught:
            modelfile.read(tmp_path / f"no {name}")
        assert str(caught.value) == f"{tmp_path / f'no {name}'}: no such file"


def test_nothing_of_a_name_moves_the_cursor(tmp_path, header, tensors):
    text = said_of(raw_container(tmp_path / "a.uq", header | {"a\x1b[2J\0b": 1}, tensors))
    assert "unknown header keys a\\u001b[2J\\u0000b; accepted: format" in text
    header["elements"] = ["\u0085"]
    assert "'elements' is [\"\\u0085\"]; accepted" in said_of(raw_container(tmp_path / "b.uq", header, tensors))


def test_reading_needs_no_lammps_and_no_torch(model):
    code = "import sys; from lmp_uq import modelfile; modelfile.read(sys.argv[1]); print(*{'torch', 'mpi4py', 'lammps'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, cwd=model.parent, check=True)
    assert not done.stdout.strip()


def test_what_is_read_is_ones_own(model):
    """Arrays do not change with the file, nor with one another."""
    first, second = modelfile.read(model), modelfile.read(model)
    kept = {name: array.copy() for name, array in second.tensors.items()}
    for array in first.tensors.values():
        array.fill(0)
    model.write_bytes(b"")
    for name, array in kept.items():
        np.testing.assert_array_equal(second.tensors[name], array, strict=True)


# --- seeded damage ------------------------------------------------------------------------------------------


def test_truncation(model):
    content = model.read_bytes()
    for length in (*range(1, 20), *range(20, len(content), 61), len(content) - 1):
        model.write_bytes(content[:length])
        assert said_of(model)


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
        refused.add(said_of(model))
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
        refused.add(said_of(path))
    assert len(refused) > 150


def test_changed_containers(model):
    content, rng, refused = model.read_bytes(), random.Random(3), set()
    end = 8 + int.from_bytes(content[:8], "little")
    table = json.loads(content[8:end])
    for _ in range(800):
        header = json.dumps(changed(table, rng), ensure_ascii=rng.random() < 0.5).encode()
        model.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
        refused.add(said_of(model))
    assert len(refused) > 150


# --- JSON ---------------------------------------------------------------------------------------------------

TEXTS = [
    "0", "-0", "-0.0", "1.5", "1e5", "1E+05", "1e-400", "123456789012345678901234567890", "5e-324", "0.1", "1.",
    ".5", "01", "+1", "-", "1e", "--1", "tru", "nul", '"', '"\\', '"\\u', '"\\u123', '"\\ud83d\\ude00"', '"\\ud83d"', '"a\nb"',
    '"\\n\\t\\"\\\\\\/\\b\\f\\r\\u00e9"', "[1,]", "[,1]", "[1 2]", "[", "{", "{1:2}", '{"a":1,}', '{"a":1,"b":2}', '{"b":1,"a":[{}]}', "",
    " ", "\ufeff1", "[]x", '{"a":NaN}', "[Infinity]", "\u00a01", '"\u2028"', "[" * 100 + "]" * 100,
]  # fmt: skip


def strict_json(text):
    """What Python makes of a text that repeats no key and holds no NaN, infinity or lone surrogate; its error otherwise."""

    def unique(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def no_constant(name):
        raise ValueError(name)

    value = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    json.dumps(value, ensure_ascii=False).encode()
    return value


@pytest.mark.parametrize("text", TEXTS)
def test_json(text):
    """The engine's parser takes what Python's takes, reads the same, and says at the same place what is wrong."""
    try:
        expected = strict_json(text)
    except ValueError as error:
        with pytest.raises(UqError) as caught:
            _native.json_text(text)
        if isinstance(error, json.JSONDecodeError):
            assert str(caught.value) == str(error)
        return
    assert repr(json.loads(_native.json_text(text))) == repr(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ('{"a":1,"a":2}', "a key is given twice"),
        ('"\\ud83d"', "half a character"),
        ("9" * 4301, "a whole number has 4301 digits; accepted: at most 4300"),
    ],
)
def test_what_the_parser_refuses_beside(text, message):
    with pytest.raises(UqError, match=message):
        _native.json_text(text)
    assert _native.json_text("[" * 100 + "]" * 100)
    assert len(_native.json_text("9" * 4300)) == 4300


def test_numbers_come_back():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**64, 2000, dtype=np.uint64).view(np.float64)
    values = values[np.isfinite(values)].tolist()
    assert json.loads(_native.json_text(json.dumps(values))) == values
