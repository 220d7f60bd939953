# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user should know of a loaded model: a line for the log, and of the elements that it runs for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmp_uq.modelfile.header import Header
from lmp_uq.novelty.grade import Novelty


def warning_of(novelty: Novelty | None, species: np.ndarray, header: Header) -> str:
    """What a user should know of the elements in use, indices into those of the file; empty where all have training atoms."""
    if novelty is None:
        return ""
    unknown = [header.elements[s] for s in sorted(set(species.tolist())) if not np.isfinite(novelty.radius[s])]
    if not unknown:
        return ""
    return f"no training atoms of {' '.join(unknown)} in this file: their grade and force_error are inf"


def summary_of(engine: Any, fields: Sequence[str]) -> str:
    """One line of a `lmp_uq.run.engine.Engine` and the fields that it offers, as csrc/lammps/native_info.cpp says it."""
    posterior = f"POPS posterior with {engine.n_members} members" if engine.header.posterior else "no posterior"
    if engine.n_force_members:
        posterior += f" and {engine.n_force_members} force members"
    if engine.readout is not None:
        posterior += ", members of a P-readout where the grade is at most 1"
    return (
        f"{' '.join(engine.header.elements)}, cutoff {engine.cutoff:g} Angstrom, {engine.backbone.precision} on {engine.backbone.device}, "
        f"{posterior}, fields: {', '.join(fields) or 'none'}"
    )
