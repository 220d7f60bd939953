# SPDX-License-Identifier: GPL-2.0-or-later
"""The model families, as a model file names them."""

from __future__ import annotations

MACE, SNAP, COMPUTE = "mace", "snap", "compute"
LINEAR = (SNAP, COMPUTE)
"""Linear potentials: on bispectrum components, and on the columns of any per-atom compute."""
FAMILIES = (MACE, *LINEAR)
INPUTS = {"total_charge": "charge", "total_spin": "spin"}
"""What a MACE model may take beside the atoms, by mace-torch's names in a model and by the words of frames and options."""
