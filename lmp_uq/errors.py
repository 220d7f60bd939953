# SPDX-License-Identifier: GPL-2.0-or-later
"""The one error type that users see."""

from __future__ import annotations

LONGEST_PIECE = 120
"""Characters of a file's content that a message quotes; csrc/base/text.h has the same number."""


class UqError(ValueError):
    """Input that cannot be used: the message says what was found, what is accepted, and where."""


def piece(found: object) -> str:
    """What a message quotes of something that a file holds: a text, or the repr of another value; its beginning where it is long."""
    text = found if isinstance(found, str) else repr(found)
    return text if len(text) <= LONGEST_PIECE else text[:LONGEST_PIECE] + "..."
