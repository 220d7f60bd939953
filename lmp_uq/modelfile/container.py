# SPDX-License-Identifier: GPL-2.0-or-later
"""The safetensors container: named arrays and one table of strings in one file.

Layout: 8 bytes, little-endian, the length N of the header; N bytes of JSON, padded with spaces to a multiple
of 8; the arrays, C order, little-endian, without gaps. The JSON maps each name to ``{"dtype", "shape",
"data_offsets": [begin, end]}`` (counted from the first byte of data) and ``"__metadata__"`` to a table of
strings. Arrays are laid out by falling item size, then by name: each begins at a multiple of its item size.

Written here and not by the safetensors library, which stores the table in random order; its files are read.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lmp_uq.errors import UqError, piece
from lmp_uq.files import atomic_file, existing_file
from lmp_uq.modelfile.json import compact_json, strict_json

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_CODES = {np.dtype(text): code for code, text in DTYPES.items()}
MAX_HEADER = 4_000_000
"""Bytes of the container's header: values of JSON take a hundred times the memory of their text."""


def write_container(path: str | Path, metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> str:
    """Write a container atomically; equal input gives equal bytes.

    Parameters
    ----------
    path : str or Path
    metadata : dict of str to str
    tensors : dict of str to array
        Any shape; dtypes as in `DTYPES`.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    UqError
        A dtype that the format does not know, a header that is too long, or the file cannot be written.
    """
    arrays = {name: _little_endian(path, name, array) for name, array in tensors.items()}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name in names:
        array = arrays[name]
        span = [offset, offset + array.nbytes]
        entries[name] = {"dtype": _CODES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        offset = span[1]
    header = compact_json(entries).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise UqError(f"{path}: the header has {len(header)} bytes; accepted: at most {MAX_HEADER}")
    start = len(header).to_bytes(8, "little") + header
    digest = hashlib.sha256(start)
    with atomic_file(path) as stream:
        stream.write(start)
        for name in names:
            data = arrays[name].tobytes()
            digest.update(data)
            stream.write(data)
    return digest.hexdigest()


def read_container(path: str | Path) -> tuple[dict[str, str], dict[str, np.ndarray], str]:
    """Read a container; never more memory than the file is long, nothing in it is executed.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    metadata : dict of str to str
    tensors : dict of str to array
        Own memory, native byte order.
    sha256 : str

    Raises
    ------
    UqError
        Missing, empty, truncated, a pickle or a zip archive, or not this format.
    """
    path = existing_file(path)
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            header = _read_header(path, stream, size)
            digest = hashlib.sha256(len(header).to_bytes(8, "little") + header)
            metadata, layout = _layout(path, header, size - 8 - len(header))
            tensors = {entry[0]: _read_array(path, stream, entry, digest) for entry in layout}
    except OSError as error:
        raise UqError(f"{path}: cannot be read: {error.strerror}") from error
    return metadata, dict(sorted(tensors.items())), digest.hexdigest()


def _little_endian(path: str | Path, name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if name == "__metadata__":
        raise UqError(f"{path}: the tensor name '{name}' is reserved by the file format")
    if array.dtype.newbyteorder("<") not in _CODES:
        raise UqError(f"{path}: tensor '{name}' has dtype {array.dtype}; accepted: {', '.join(DTYPES)}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"))


def _read_header(path: Path, stream: BinaryIO, size: int) -> bytes:
    start = stream.read(9)
    length = int.from_bytes(start[:8], "little")
    # a valid length may begin with the bytes of a pickle or a zip archive: asked only when it makes no sense
    if start[8:] != b"{" or not 2 <= length <= min(size - 8, MAX_HEADER):
        raise UqError(f"{path}: {_describe(start, length, size)}")
    header = start[8:] + stream.read(length - 1)
    if len(header) < length:
        raise UqError(f"{path}: the file is truncated")
    return header


def _describe(start: bytes, length: int, size: int) -> str:
    """Say what a file is that is no container, from its first nine bytes."""
    kind = ""
    if start.startswith(b"PK\x03\x04"):
        kind = "a zip archive (as torch.save writes them)"
    elif start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        kind = "a pickle"
    if kind:
        return (
            f"the file is {kind}, which can run code when it is opened and is never opened here; "
            "run `lmp-uq convert` on it once to make a *.uq file"
        )
    if start[8:] == b"{" and size - 8 < length <= MAX_HEADER:
        return f"the file is truncated: its header says {length + 8} bytes or more, it has {size}"
    if start[8:] == b"{" and MAX_HEADER < length <= size - 8:
        return f"the header has {length} bytes; accepted: at most {MAX_HEADER}"
    return "the file is no model file: found other bytes; accepted: a *.uq file as lmp-uq writes it"


def _layout(
    path: Path, header: bytes, n_data: int
) -> tuple[dict[str, str], list[tuple[str, str, list[int], int]]]:
    """Check the container's header against the number of data bytes; arrays come back in file order."""
    try:
        entries = strict_json(header)
        metadata = entries.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("__metadata__ is no table of strings")
        spans = {name: _span(name, entry) for name, entry in entries.items()}
    except ValueError as error:
        raise UqError(f"{path}: damaged, its safetensors header cannot be read: {error}") from error
    layout, position = [], 0
    for name in sorted(spans, key=lambda name: spans[name][:2]):
        begin, end, dtype, shape = spans[name]
        if begin != position:
            raise UqError(f"{path}: damaged, tensor '{piece(name)}' begins at byte {begin}; accepted: {position}")
        layout.append((name, dtype, shape, end - begin))
        position = end
    if position != n_data:
        problem = "truncated" if position > n_data else "damaged, it goes on after its last tensor"
        raise UqError(f"{path}: the file is {problem}: {n_data} data bytes found, {position} expected")
    return metadata, layout


def _span(name: str, entry: Any) -> tuple[int, int, str, list[int]]:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"tensor '{piece(name)}' is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor '{piece(name)}' has dtype {piece(repr(dtype))}; accepted: {', '.join(DTYPES)}")
    if not _sizes(shape, 8) or not _sizes(offsets, 2) or len(offsets) != 2:
        raise ValueError(f"tensor '{piece(name)}' has shape {piece(repr(shape))} and data_offsets {piece(repr(offsets))}")
    begin, end = offsets
    if end - begin != math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize:
        raise ValueError(f"tensor '{piece(name)}' of shape {piece(shape)} and dtype {dtype} has {end - begin} bytes")
    return begin, end, DTYPES[dtype], shape


def _sizes(values: Any, most: int) -> bool:
    numbers = isinstance(values, list) and len(values) <= most
    return numbers and all(type(number) is int and 0 <= number < 2**60 for number in values)


def _read_array(
    path: Path, stream: BinaryIO, entry: tuple[str, str, list[int], int], digest: Any
) -> np.ndarray:
    name, dtype, shape, n_bytes = entry
    raw = np.empty(n_bytes, dtype=np.uint8)
    if stream.readinto(memoryview(raw)) != n_bytes:  # type: ignore[attr-defined]
        raise UqError(f"{path}: the file is truncated within tensor '{piece(name)}'")
    digest.update(raw)
    try:
        array = raw.view(dtype).reshape(shape)
    except ValueError as error:
        raise UqError(f"{path}: damaged, tensor '{piece(name)}' cannot have shape {piece(shape)}") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)
