# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq convert``, and the backbone that a fit starts from: any of the places a backbone may come from, as sections of a *.uq file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lmp_uq import modelfile
from lmp_uq.files import check_target
from lmp_uq.modelfile.provenance import Provenance
from lmp_uq.modelfile.source import open_backbone


def convert(
    name: str,
    out: str | Path,
    *,
    head: str | None = None,
    charge: float | None = None,
    spin: float | None = None,
    elements: Sequence[str] = (),
    licence: str = "unstated",
    command: str = "",
) -> dict[str, float]:
    """Write a model file without posterior (whole or not at all).

    Parameters
    ----------
    name : str
        A mace-torch file (a pickle, which can run code) or a name that mace-torch knows.
    out : path
    head : str or None
        Of a model with several.
    charge, spin : float or None
        Total charge (e) and spin multiplicity of all configurations, of a model that takes them.
    elements : sequence of str
        Those that are kept; all unless given.
    licence : str
        Of the model; kept in the file.
    command : str
        What the file says of its origin.

    Returns
    -------
    dict
        What charge and spin are fixed at, where the model takes them.

    Raises
    ------
    UqError
        Nothing of that name, a model that is not of the MACE family or cannot be rebuilt, several heads and none named, charge or spin
        missing or of no use, an element that the model has not, no folder to write into.
    """
    check_target(out, "out")
    source = open_backbone(name, head, charge, spin, elements)
    provenance = Provenance.inherit(source, command, licence)
    tensors = {f"backbone/{key}": value for key, value in source.tensors.items()}
    modelfile.write(out, source.header(provenance.entry()), tensors | provenance.tensors())
    return source.entry.fixed_inputs()
