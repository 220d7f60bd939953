# SPDX-License-Identifier: GPL-2.0-or-later
"""The backbone that a fit starts from: any of the places a backbone may come from, as sections of a *.uq file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmp_uq import modelfile
from lmp_uq.backbone.families import MACE
from lmp_uq.backbone.load import load_backbone
from lmp_uq.backbone.mace.names import file_of
from lmp_uq.errors import UqError, needs_torch
from lmp_uq.modelfile.header import BackboneEntry, Header, ProvenanceEntry


@dataclass
class BackboneSource:
    """A backbone as a model file stores it.

    Attributes
    ----------
    entry : BackboneEntry, header key backbone
    tensors : dict of arrays, section backbone
    elements : list of str
    cutoff : float, Angstrom
    precision : "float32" or "float64"
    provenance, role_hashes : of the file it came from; None and empty for a foreign model
    """

    entry: BackboneEntry
    tensors: dict[str, np.ndarray]
    elements: list[str]
    cutoff: float
    precision: str
    provenance: ProvenanceEntry | None = None
    role_hashes: dict[str, np.ndarray] = field(default_factory=dict)

    def header(self, provenance: ProvenanceEntry, **sections: Any) -> Header:
        """The header of a model file of this backbone; sections: posterior, grade, calibration, as far as there are any."""
        mine: dict[str, Any] = {"elements": list(self.elements), "cutoff": float(self.cutoff), "precision": self.precision}
        return Header(**mine, **sections, backbone=self.entry, provenance=provenance)


def open_backbone(
    name: str, head: str | None = None, charge: float | None = None, spin: float | None = None, elements: Sequence[str] = ()
) -> BackboneSource:
    """Read a backbone: a *.uq file, an embedded model, a mace-torch file (a pickle, opened because it was named here) or a name that
    mace-torch knows and downloads.

    Raises
    ------
    UqError
        Nothing of that name; a model that is not of the MACE family; several heads and none named, the same of
        charge and spin.
    """
    if name.endswith(modelfile.SUFFIX) or name in modelfile.embedded_models():
        if charge is not None or spin is not None or elements:
            raise UqError(f"{name}: charge, spin and elements of a *.uq file are fixed; these options are for mace-torch models")
        found = _from_model_file(name)
        held = found.entry.architecture.get("head")
        if head is not None and head != held:
            raise UqError(f"--head {head}: {name} holds {held or 'no heads'}; several heads are in models of mace-torch only")
        return found
    file_of(name)  # a missing file is said before torch and mace-torch are imported
    with needs_torch(f"the conversion of {name}"):
        from lmp_uq.backbone.mace.convert import convert_mace

    found = convert_mace(name, head=head, charge=charge, spin=spin, elements=elements)
    backbone = load_backbone(found.architecture, found.tensors, found.precision, engine="torch")
    entry = BackboneEntry(
        family=MACE, architecture=found.architecture, n_features=backbone.n_features, n_parameters=backbone.n_parameters
    )  # fmt: skip
    return BackboneSource(entry, found.tensors, list(found.elements), found.cutoff, found.precision)


def _from_model_file(name):
    file = modelfile.read(modelfile.resolve(name))
    header = file.header
    return BackboneSource(
        header.backbone,
        file.section("backbone"),
        list(header.elements),
        header.cutoff,
        header.precision,
        header.provenance,
        file.section("roles"),
    )
