# SPDX-License-Identifier: GPL-2.0-or-later
"""The model file, ``*.uq``: the only thing that crosses from fitting to running.

What it holds is specified in csrc/file/specification.cpp, from which docs/file_format.md is made and by which the one reader,
`lmp_uq._native.read_model`, goes. What is written is checked by it too. Equal content gives equal bytes.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq import _native
from lmp_uq.errors import UqError
from lmp_uq.modelfile.container import compact_json, write_container
from lmp_uq.modelfile.header import Header

METADATA_KEY = "lmp_uq"
SUFFIX = ".uq"
POTENTIALS = "LAMMPS_POTENTIALS"
"""Variable of the environment with folders, separated by colons, in which LAMMPS looks for potentials."""
_EMBEDDED = Path(__file__).parents[1] / "models"


@dataclass
class ModelFile:
    """Content of one ``*.uq`` file.

    Attributes
    ----------
    header : Header
    tensors : dict of str to array
        By full names.
    sha256 : str
        Of the file it was read from; empty if it was not read from one.
    """

    header: Header
    tensors: dict[str, np.ndarray]
    sha256: str = ""

    def section(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the tensors named ``prefix/...``, by the rest of their names; empty if there are none."""
        start = prefix + "/"
        return {
            name.removeprefix(start): array for name, array in self.tensors.items() if name.startswith(start)
        }


def read(path: str | Path) -> ModelFile:
    """Read and check a model file. Nothing in it is executed.

    Parameters
    ----------
    path : str or Path
        A file; for the name of an embedded model see `resolve`.

    Returns
    -------
    ModelFile

    Raises
    ------
    UqError
        The file is missing, damaged, of another format or version, or its parts contradict each other.
    """
    return _content(*_native.read_model(path))


def parse(path: str | Path, data: bytes | memoryview, sha256: str) -> ModelFile:
    """Do as `read` does, with the bytes of a file that somebody has read and hashed; path: for messages."""
    return _content(*_native.parse_model(path, data, sha256))


def _content(header: str, tensors: dict[str, np.ndarray], sha256: str) -> ModelFile:
    return ModelFile(Header.from_dict(json.loads(header)), tensors, sha256)


def write(path: str | Path, header: Header | Mapping[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """Check and write a model file, atomically; equal input gives equal bytes.

    Parameters
    ----------
    path : str or Path
    header : Header or mapping
        The mapping as JSON has it; NumPy scalars, arrays and tuples become JSON numbers and lists.
    tensors : dict of str to array
        As specified.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    UqError
        What `read` would reject, before anything is written; or the disk refuses. No temporary file stays.
    """
    header = header.to_dict() if isinstance(header, Header) else header
    text = compact_json(_plain(header, "the header", str(path)))
    try:
        _native.json_text(text)
    except UqError as error:
        raise UqError(f"{path}: the header cannot be written: {error}") from error
    return write_container(path, {METADATA_KEY: text}, {name: np.asarray(array) for name, array in tensors.items()})


def embedded_models() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(file.stem for file in _EMBEDDED.glob("*" + SUFFIX))


def resolve(name_or_path: str | Path) -> Path:
    """Return the file that a user means: a path, the name of an embedded model, or a file in a folder of LAMMPS_POTENTIALS.

    Parameters
    ----------
    name_or_path : str or Path
        A file of that path wins over an embedded model of that name. Of another path that ends in .uq the last part is looked for in the
        folders, as LAMMPS looks for potentials.

    Returns
    -------
    Path

    Raises
    ------
    UqError
        None of them exists; lists the embedded models and the folders.
    """
    path, names = Path(name_or_path), embedded_models()
    if not path.is_file() and str(name_or_path) in names:
        return _EMBEDDED / f"{name_or_path}{SUFFIX}"
    if path.exists():
        return path
    folders = [folder for folder in os.environ.get(POTENTIALS, "").split(":") if folder]
    for found in (Path(folder, path.name) for folder in folders if path.suffix == SUFFIX):
        if found.is_file():
            return found
    known = ", ".join(names) or "none"
    searched = f"; folders of {POTENTIALS}: {', '.join(folders)}" if folders else ""
    raise UqError(f"{name_or_path}: neither a file nor an embedded model; embedded models: {known}{searched}")


def _plain(value: Any, where: str, path: str) -> Any:
    """Return `value` in the types of JSON, so that what is written equals what will be read."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise UqError(f"{path}: {where} has the key {key!r}; accepted: text")
        return {key: _plain(item, f"{where}, {key}", path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where, path) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise UqError(f"{path}: {where} holds {value}; accepted: finite numbers (null for an absent one)")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UqError(f"{path}: {where} holds a {type(value).__name__}; accepted: what JSON can hold")
