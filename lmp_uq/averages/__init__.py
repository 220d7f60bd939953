# SPDX-License-Identifier: GPL-2.0-or-later
"""Thermal averages with bars, from frames: estimators and what frames give."""
