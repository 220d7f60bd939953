# SPDX-License-Identifier: GPL-2.0-or-later
"""When a property has no value, and the limits that decide it."""

from __future__ import annotations

FORCE_TOLERANCE = 1e-5
"""eV/Angstrom, largest component of a force at a minimum."""
ENERGY_NOISE = 1e-10
"""eV per atom, by which energies of minimised positions are uncertain."""
LARGEST_VOLUME_CHANGE = 2.0
"""Factor of the volume by which a relaxation may go: beyond, the potential has come apart or collapsed."""


class PropertyFailure(Exception):
    """A property has no value for one Theta. The text is a short reason without numbers: reasons are counted."""
