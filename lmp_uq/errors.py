# SPDX-License-Identifier: GPL-2.0-or-later
"""The one error type that users see."""

from __future__ import annotations


class UqError(ValueError):
    """Input that cannot be used: the message says what was found, what is accepted, and where."""
