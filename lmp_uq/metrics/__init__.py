# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of merit of bars, and their intervals."""
