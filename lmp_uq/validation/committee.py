# SPDX-License-Identifier: GPL-2.0-or-later
"""The spread over several models on the labels that validation judges: what ``--committee`` adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmp_uq import modelfile
from lmp_uq.frames.energy_zero import element_offsets
from lmp_uq.frames.frame import Frame
from lmp_uq.quantities import ENERGY, by_key
from lmp_uq.rows.labelled import predicted_values, rows_of
from lmp_uq.rows.predict import predict_by_file
from lmp_uq.rows.rows import Predictions
from lmp_uq.validation.samples import Bars

COMMITTEE = "committee"


def add_committee(predictions: Predictions, zero: np.ndarray, samples: dict[str, Any], options: Any) -> dict:
    """Put the spread over several models into samples: the model that is validated and those of ``--committee``.

    Parameters
    ----------
    predictions : Predictions
        Of the model that is validated.
    zero : (n_frames,) eV
        What its energies lack to those of the labels.
    samples, options

    Returns
    -------
    dict
        committee: names of the other models.

    Raises
    ------
    UqError
        A file that cannot be read, or that lacks an element of the frames.
    """
    models = [(predictions, zero), *(_evaluate(path, predictions.frames, options) for path in options.committee)]
    n_atoms = np.array([len(s) for s in predictions.species])
    for quantity in by_key(samples):
        rows = rows_of(predictions, quantity)
        values = np.stack([predicted_values(one, rows, quantity) for one, _ in models], axis=1)
        if quantity is ENERGY:
            values = values + np.stack([(z / n_atoms)[rows.frames] for _, z in models], axis=1)
        away = values - values[:, :1]
        samples[quantity.key].others[COMMITTEE] = Bars(np.std(values, axis=1, ddof=1), away.min(axis=1), away.max(axis=1))
    return {"committee": [str(path) for path in options.committee]}


def _evaluate(path: str, frames: Sequence[Frame], options: Any) -> tuple[Predictions, np.ndarray]:
    """Predictions of one more model, without rows, and what its energies lack to the labels."""
    file = modelfile.read(modelfile.resolve(path))
    backbone, predictions = predict_by_file(file, frames, options, kinds=(), what=f"frames, {path}")
    stored = (file.header.posterior and file.header.posterior.energy_offsets) or {}
    return predictions, energy_lack(predictions, stored, backbone.elements, options.fit_offsets)


def energy_lack(predictions: Predictions, stored: Mapping[str, float], elements: Sequence[str], fit_offsets: bool) -> np.ndarray:
    """(n_frames,) eV that a model's energies lack to the labels: by the offsets of its file, or fitted to these frames."""
    residuals = predictions.energy_residuals()
    if fit_offsets and np.isfinite(residuals).any():
        stored = element_offsets(predictions.frames, residuals, elements)
    per_species = np.array([stored.get(e, 0.0) for e in elements])
    return np.array([per_species[s].sum() for s in predictions.species])
