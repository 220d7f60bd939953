# SPDX-License-Identifier: GPL-2.0-or-later
"""The safetensors container, written: named arrays and one table of strings in one file. `lmp_uq._native.read_model` reads it.

Layout: 8 bytes, little-endian, the length N of the header; N bytes of JSON, padded with spaces to a multiple
of 8; the arrays, C order, little-endian, without gaps. The JSON maps each name to ``{"dtype", "shape",
"data_offsets": [begin, end]}`` (counted from the first byte of data) and ``"__metadata__"`` to a table of
strings. Arrays are laid out by falling item size, then by name: each begins at a multiple of its item size.

Written here and not by the safetensors library, which stores the table in random order.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq import _native
from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file

DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_CODES = {np.dtype(text): code for code, text in DTYPES.items()}


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
        A dtype that the format does not know, what the reader would refuse, or the file cannot be written.
    """
    arrays = {name: _little_endian(path, name, array) for name, array in tensors.items()}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    start = _start(metadata, {name: arrays[name] for name in names})
    _native.check_model(path, start, arrays)
    digest = hashlib.sha256(start)
    with atomic_file(path) as stream:
        stream.write(start)
        for name in names:
            data = arrays[name].tobytes()
            digest.update(data)
            stream.write(data)
    return digest.hexdigest()


def compact_json(value: Any) -> str:
    """Serialise to the one text that equal values always give: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _start(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> bytes:
    """What stands before the arrays, which come in the order of the file."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, array in arrays.items():
        span = [offset, offset + array.nbytes]
        entries[name] = {"dtype": _CODES[array.dtype], "shape": list(array.shape), "data_offsets": span}
        offset = span[1]
    header = compact_json(entries).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _little_endian(path: str | Path, name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if name == "__metadata__":
        raise UqError(f"{path}: the tensor name '{name}' is reserved by the file format")
    if array.dtype.newbyteorder("<") not in _CODES:
        raise UqError(f"{path}: tensor '{name}' has dtype {array.dtype}; accepted: {', '.join(DTYPES)}")
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"))
