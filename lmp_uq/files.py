# SPDX-License-Identifier: GPL-2.0-or-later
"""Files on disk: what must exist before it is read, atomic writing, content hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lmp_uq.errors import UqError


def existing_file(path: str | Path) -> Path:
    """Return `path` if it is a regular file that holds at least one byte.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Path

    Raises
    ------
    UqError
        Missing, a folder, not a regular file (pipe, device) or empty.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise UqError(f"{path}: is a folder; accepted: a file")
        if not path.exists():
            raise UqError(f"{path}: no such file")
        if not path.is_file():
            raise UqError(f"{path}: is a pipe or a device; accepted: a regular file")
        if path.stat().st_size == 0:
            raise UqError(f"{path}: the file is empty")
    except OSError as error:
        raise UqError(f"{path}: cannot be looked at: {error.strerror}") from error
    return path


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name complete or not at all.

    The bytes go to a temporary name in the same folder, are flushed to the disk and then renamed, so a reader
    never sees half a file and an older file of that name survives a failure. A symbolic link is followed: the
    file behind it is replaced.

    Parameters
    ----------
    path : str or Path
        Where the file shall be when the block ends without an exception.

    Yields
    ------
    BinaryIO
        Open for writing.

    Raises
    ------
    UqError
        A folder stands there, the enclosing folder is missing, or the disk refuses. The temporary is removed
        on every exception.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise UqError(f"{path}: is a folder; accepted: the name of a file to write")
    if not target.parent.is_dir():
        raise UqError(f"{path}: cannot be written, its folder does not exist; create the folder first")
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise UqError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        # gone after a successful rename; on a read-only disk even the removal of nothing fails
        with contextlib.suppress(OSError):
            temporary.unlink()


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str

    Raises
    ------
    UqError
        As `existing_file`, or the file cannot be opened.
    """
    path = existing_file(path)
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UqError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
