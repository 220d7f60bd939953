# SPDX-License-Identifier: GPL-2.0-or-later
"""Pair styles of the tests of compute uq/ensemble, on the systems of `lammps_cases`."""

from __future__ import annotations

COEFFS = {
    "mace/uq": ("pair_coeff * * {name} {{model}} Si O",),
    "zbl": ("pair_coeff 1 1 {name} 14 14", "pair_coeff 1 2 {name} 14 8", "pair_coeff 2 2 {name} 8 8"),
    "lj/cut": ("pair_coeff * * {name} 0.02 2.0",),
    "morse": ("pair_coeff * * {name} 0.1 1.5 2.1",),
}
SETTINGS = {"zbl": "zbl 1.8 2.6", "lj/cut": "lj/cut 5.5", "morse": "morse 3.4"}
"""lj/cut reaches further than the model that drives the run, whose cutoff is 3.5 Angstrom."""


def overlay(*styles, off=(), **settings):
    """pair_style hybrid/overlay of sub-styles, those in `off` not computed by the run; settings replaces words of a style."""
    names = {style: (style.split(":")[0], " ".join(style.split(":"))) for style in styles}
    first = " ".join(settings.get(name.replace("/", "_"), SETTINGS.get(name, name)) for name, _ in names.values())
    lines = [f"pair_style hybrid/overlay {first}"]
    for name, said in names.values():
        lines += [line.format(name=said) for line in COEFFS[name]]
    return "\n".join(lines + [f"pair_modify pair {names[style][1]} compute no" for style in off])


PAIR = overlay("mace/uq", "zbl", "lj/cut", "morse", off=("zbl", "lj/cut", "morse"))
