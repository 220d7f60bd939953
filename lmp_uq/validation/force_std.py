# SPDX-License-Identifier: GPL-2.0-or-later
"""What the posterior says of the force of every labelled atom."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmp_uq.modelfile import ModelFile
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import FORCES
from lmp_uq.rows.labelled import labelled_frames, rows_of
from lmp_uq.rows.predict import correction_forces
from lmp_uq.rows.rows import Predictions

MEMBERS = 8
"""Force members that stand for the posterior where its closed form would cost a pass for every component: as many as a run takes."""


def force_std(file: ModelFile, predictions: Predictions, backbone: Any, box: Box) -> np.ndarray | None:
    """Root mean square, over the posterior, of the departure of each atom's force from the model's: the field force_std.

    In closed form where all force components of all labelled frames are rows, as of a linear potential; else over the first 8
    force members of the file.

    Returns
    -------
    ndarray, shape (n,), or None
        eV/Angstrom, in the order of `lmp_uq.rows.labelled.force_labels`; None where the file holds no force members.
    """
    chosen = labelled_frames(predictions)
    rows, n_atoms = rows_of(predictions, FORCES), sum(len(predictions.species[k]) for k in chosen)
    if len(rows) == 3 * n_atoms:
        return np.sqrt(np.sum(box.rms(rows.features).reshape(-1, 3) ** 2, axis=1))
    members = file.tensors.get("posterior/force_members")
    if members is None or not len(members):
        return None
    forces = correction_forces(backbone, [predictions.frames[k] for k in chosen], members[:MEMBERS])
    return np.concatenate([np.sqrt(np.mean(np.sum(mine**2, axis=-1), axis=0)) for mine in forces])
