# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled predictions: error, |F|, grade, group of every atom with a force label."""

from __future__ import annotations

import numpy as np


def force_samples(predictions, novelty):
    """Per atom of the frames that have force labels: |F error|, |F_predicted| (eV/Angstrom), grade, group; flat arrays."""
    chosen = [k for k, f in enumerate(predictions.frames) if f.forces is not None]
    if not chosen:
        return np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=str)
    predicted = np.concatenate([predictions.forces[k] for k in chosen])
    reference = np.concatenate([predictions.frames[k].forces for k in chosen])
    grade = novelty.grade(
        np.concatenate([predictions.descriptors[k] for k in chosen]), np.concatenate([predictions.species[k] for k in chosen])
    )
    groups = np.concatenate([np.full(len(predictions.forces[k]), predictions.frames[k].group, dtype=object) for k in chosen])
    return np.linalg.norm(reference - predicted, axis=1), np.linalg.norm(predicted, axis=1), grade, groups.astype(str)
