# SPDX-License-Identifier: GPL-2.0-or-later
"""The one error type that users see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

LONGEST_PIECE = 120
"""Characters of a file's content that a message quotes; csrc/base/text.h has the same number."""


class UqError(ValueError):
    """Input that cannot be used: the message says what was found, what is accepted, and where."""


def piece(found: object) -> str:
    """What a message quotes of something that a file holds: a text, or the repr of another value; its beginning where it is long."""
    text = found if isinstance(found, str) else repr(found)
    return text if len(text) <= LONGEST_PIECE else text[:LONGEST_PIECE] + "..."


@contextlib.contextmanager
def needs_torch(what: str) -> Iterator[None]:
    """Say in one sentence that something needs packages which an installation for runs alone may lack.

    Raises
    ------
    UqError
        In the place of the error of an import of torch, mace or e3nn.
    """
    try:
        yield
    except ModuleNotFoundError as failure:
        package = (failure.name or "").partition(".")[0]
        if package not in ("torch", "mace", "e3nn"):
            raise
        raise UqError(
            f"{what} needs torch and mace-torch, and {package} is not installed; accepted: pip install torch mace-torch, or a *.uq "
            "file that the native engine runs"
        ) from failure
