# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinds of labels, and of the rows that they give."""

from __future__ import annotations

ENERGY = 0

FORCE = 1

VIRIAL = 2
