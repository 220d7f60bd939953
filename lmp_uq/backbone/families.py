# SPDX-License-Identifier: GPL-2.0-or-later
"""The model families, as a model file names them."""

from __future__ import annotations

MACE, SNAP, COMPUTE = "mace", "snap", "compute"
LINEAR = (SNAP, COMPUTE)
"""Linear potentials: on bispectrum components, and on the columns of any per-atom compute."""
FAMILIES = (MACE, *LINEAR)
