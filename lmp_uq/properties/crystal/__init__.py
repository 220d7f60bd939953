# SPDX-License-Identifier: GPL-2.0-or-later
"""Crystals in their symmetry: structures, free coordinates, minima and their expansion."""
