# SPDX-License-Identifier: GPL-2.0-or-later
"""Files on disk: what must exist before it is read, atomic writing, content hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from lmp_uq.errors import UqError, argument


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


STANDARD_OUTPUT = "-"


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Write a file that appears under its name complete or not at all.

    The bytes go to a temporary name in the same folder, are flushed to the disk and then renamed, so a reader
    never sees half a file and an older file of that name survives a failure. A symbolic link is followed: the
    file behind it is replaced, and the new one has its mode and, where that is allowed, its owner.

    Only a regular file is replaced. A pipe or a device is written through, as is standard output: `-`, or a name
    of the stream that this process writes to, as ``/dev/stdout``.

    Parameters
    ----------
    path : str or Path
        Where the file shall be when the block ends without an exception.

    Yields
    ------
    BinaryIO
        Open for writing; it may not be able to seek.

    Raises
    ------
    UqError
        A folder stands there, the enclosing folder is missing, or the disk refuses. The temporary is removed
        on every exception.
    BrokenPipeError
        Nobody reads standard output any more.
    """
    target, own = Path(os.path.realpath(path)), None
    try:
        found = None if str(path) == STANDARD_OUTPUT else _status(path)
        own = _own_stream(path, found)
        if own is not None:
            with _written_through(own) as stream:
                yield stream
        elif found is not None and stat.S_ISDIR(found.st_mode):
            raise UqError(f"{path}: is a folder; accepted: the name of a file to write")
        elif found is not None and not stat.S_ISREG(found.st_mode):
            with open(path, "wb") as stream:
                yield stream
        elif not target.parent.is_dir():
            raise UqError(f"{path}: cannot be written, its folder does not exist; create the folder first")
        else:
            with _replaced(target, found) as stream:
                yield stream
    except OSError as error:
        if isinstance(error, BrokenPipeError) and own is not None:
            raise
        raise UqError(f"{path}: cannot be written: {error.strerror or error}") from error


def summary_stream(*paths: str | Path | None) -> TextIO:
    """Where to print what is told beside files: standard error if one of them goes to standard output.

    Parameters
    ----------
    *paths : str, Path or None
        As `atomic_file` takes them, or None for no file.
    """
    return sys.stderr if any(path is not None and _takes_standard_output(path) for path in paths) else sys.stdout


def is_stream(path: str | Path) -> bool:
    """Whether a name is standard output, a pipe or a device, beside which no other file can be put."""
    found = None if str(path) == STANDARD_OUTPUT else _status(path)
    return str(path) == STANDARD_OUTPUT or (found is not None and not stat.S_ISREG(found.st_mode))


def check_target(path: str | Path, name: str) -> None:
    """Refuse a file that `atomic_file` could not write, before the work whose result it shall hold. Nothing is written.

    Parameters
    ----------
    path : str or Path
    name : str
        Of the argument that it is, for the message.

    Raises
    ------
    UqError
        No name, a folder stands there, the enclosing folder is missing, or nothing can be written into it.
    """
    if str(path) == STANDARD_OUTPUT:
        return
    _refuse_no_name(path, name)
    try:
        found, target = _status(path), Path(os.path.realpath(path))
        if found is not None and stat.S_ISDIR(found.st_mode):
            raise UqError(f"{argument(name, path)}: is a folder; accepted: the name of a file to write")
        if not target.parent.is_dir():
            raise UqError(f"{argument(name, path)}: there is no folder of that name to write into")
        if found is None or stat.S_ISREG(found.st_mode):
            tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise UqError(f"{argument(name, path)}: cannot be written: {error.strerror or error}") from error


def check_folder(path: str | Path, name: str) -> None:
    """`check_target` of a folder that will be made where it is missing, with the folders above it."""
    _refuse_no_name(path, name)
    there = next(folder for folder in (Path(path).absolute(), *Path(path).absolute().parents) if os.path.lexists(folder))
    try:
        if not there.is_dir():
            raise UqError(f"{argument(name, path)}: {there} is no folder; accepted: the name of a folder")
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise UqError(f"{argument(name, path)}: cannot be written into: {error.strerror or error}") from error


def name_as_text(path: str | Path) -> str:
    """A file's name for texts that must be UTF-8: bytes that are not, which Python carries as half characters, as \\xHH."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _refuse_no_name(path: str | Path, name: str) -> None:
    if not str(path):  # as of a variable of the shell that is not set; for the system it is this folder
        raise UqError(f"{argument(name)}: the name is empty; accepted: a name")


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _takes_standard_output(path: str | Path) -> bool:
    if str(path) == STANDARD_OUTPUT:
        return True
    with contextlib.suppress(OSError):
        found = _status(path)
        # a terminal may show both, and /dev/null none
        return found is not None and not stat.S_ISCHR(found.st_mode) and _own_stream(path, found) == 1
    return False


def _own_stream(path: str | Path, found: os.stat_result | None) -> int | None:
    """Number of the standard stream that a name stands for: a file that the shell has opened is not replaced under its feet."""
    if str(path) == STANDARD_OUTPUT:
        return 1
    for number in (1, 2):
        with contextlib.suppress(OSError):  # closed
            if found is not None and os.path.samestat(found, os.fstat(number)):
                return number
    return None


def _written_through(number: int) -> BinaryIO:
    sys.stdout.flush()
    sys.stderr.flush()
    return open(os.dup(number), "wb")


@contextlib.contextmanager
def _replaced(target: Path, found: os.stat_result | None) -> Iterator[BinaryIO]:
    temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            if found is not None:
                with contextlib.suppress(OSError):  # of another user, or a file system that knows no owners
                    os.fchown(stream.fileno(), found.st_uid, found.st_gid)
                os.fchmod(stream.fileno(), stat.S_IMODE(found.st_mode))
            os.fsync(stream.fileno())
        os.replace(temporary, target)
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
