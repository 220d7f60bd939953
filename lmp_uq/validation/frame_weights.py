# SPDX-License-Identifier: GPL-2.0-or-later
"""How much each label counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmp_uq.calibration.labelled_atoms import group_weights


def equal_frames(groups: np.ndarray, frames: np.ndarray | None, mask: Any = slice(None)) -> np.ndarray:
    """Weights of the labels where mask is true: groups count alike, the frames of a group too; without frames each label is its own."""
    groups = np.asarray(groups)[mask].astype(str)
    if not len(groups):
        return np.zeros(0)
    return group_weights(groups, np.arange(len(groups)) if frames is None else np.asarray(frames)[mask])
