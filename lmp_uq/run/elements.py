# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user should know of the elements that a model runs for."""

from __future__ import annotations

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
