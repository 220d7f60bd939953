# SPDX-License-Identifier: GPL-2.0-or-later
"""From predictions and a model file to the labels with bars that validation judges."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmp_uq.calibration.force_error import ForceError
from lmp_uq.calibration.grade_error import bar_of_energies
from lmp_uq.calibration.scaled_error import ScaledError
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.calibration.versions import AnyForceError, force_error_of
from lmp_uq.errors import UqError
from lmp_uq.modelfile import ModelFile
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import FORCES, LABELS, QUANTITIES, SCALED, STRESS, Quantity
from lmp_uq.rows.labelled import (
    features_of,
    force_labels,
    force_norms,
    force_vectors,
    groups_of,
    mean_grades,
    predicted_values,
    row_species,
    rows_of,
    stress_factor,
)
from lmp_uq.rows.rows import Predictions
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.force_std import force_std
from lmp_uq.validation.samples import FORCE_THRESHOLDS, CalibratedBars, Samples


def collect(file: ModelFile, predictions: Predictions, backbone: Any, n_members: int) -> dict:
    """Labels of every quantity that the frames have labels of.

    Parameters
    ----------
    file : ModelFile
        With a posterior.
    predictions : Predictions
        Of the labelled frames.
    backbone : Backbone
        Of the predictions: its elements and cutoff.
    n_members : int
        K of the bounds.

    Returns
    -------
    dict
        energy_per_atom and forces (also without labels), stress if there are labels, as `Samples`; force_error as
        `AtomSamples`, absent if the file has none.

    Raises
    ------
    UqError
        A leverage factor that does not fit the posterior.
    """
    box = Box.from_tensors(file.section("posterior"))
    out: dict[str, Samples | AtomSamples] = {}
    for quantity in QUANTITIES:
        rows = rows_of(predictions, quantity)
        if quantity is STRESS and not len(rows):
            continue
        out[quantity.key] = _samples(file, predictions, rows, quantity, box, n_members, np.asarray(backbone.elements, dtype=object))
    atoms = _atom_samples(file, predictions, backbone)
    if atoms is not None:
        out[FORCES.bar] = atoms
    return out


def _samples(
    file: ModelFile, predictions: Predictions, rows: Any, quantity: Quantity, box: Box, n_members: int, elements: np.ndarray
) -> Samples:
    features = features_of(predictions, rows, quantity)
    predicted = predicted_values(predictions, rows, quantity)
    targets = rows.targets * stress_factor(predictions, rows) if quantity is STRESS else rows.targets
    lower, upper = box.bounds(features, n_members)
    std = box.rms(features)
    return Samples(
        predicted + targets, predicted, std, lower, upper, force_norms(predictions, rows, quantity),
        groups_of(predictions.frames)[rows.frames].astype(object),
        frames=rows.frames,
        elements=elements[row_species(predictions, rows)] if quantity is FORCES else None,
        atoms=rows.components // 3 if quantity is FORCES else None,
        components=np.array(quantity.components)[rows.components % len(quantity.components)],
        certifiable=_certifiable(file, rows),
        thresholds=FORCE_THRESHOLDS if quantity is FORCES else (),
        calibrated=_calibrated(file, predictions, rows, quantity, std),
    )  # fmt: skip


def _calibrated(file: ModelFile, predictions: Predictions, rows: Any, quantity: Quantity, std: np.ndarray) -> CalibratedBars | None:
    """The calibrated bars of energies or stresses, None without."""
    calibration = file.header.bars().get(quantity.bar) if quantity in SCALED else None
    if not calibration:
        return None
    bar = bar_of_energies(calibration)
    if isinstance(bar, ScaledError):
        return CalibratedBars(bar.predict(std), bar.level)
    grades = mean_grades(predictions, Novelty.from_tensors(file.section("grade")))
    return CalibratedBars(bar.predict(grades[rows.frames]), bar.level)


def _certifiable(file: ModelFile, rows: Any) -> np.ndarray | None:
    """(n,) bool: leverage at or above the floor of the fit; None for a file without the tensor that tells."""
    factor = file.section("posterior").get("leverage_factor")
    if factor is None:
        return None
    posterior = file.header.fitted
    weights = posterior.kind_weight or None
    if factor.ndim != 2 or len(factor) != rows.features.shape[1] or not isinstance(weights, dict):
        raise UqError(
            f"tensor 'posterior/leverage_factor' of shape {factor.shape} with posterior.kind_weight {weights!r}; accepted: "
            f"({rows.features.shape[1]}, any) and an object of numbers by kind, as lmp-uq fit writes them"
        )
    weight = np.array([float(weights.get(LABELS[k], 0.0)) for k in rows.kinds.tolist()])
    return weight * np.sum((rows.features @ factor) ** 2, axis=1) >= posterior.leverage_floor


def _atom_samples(file: ModelFile, predictions: Predictions, backbone: Any) -> AtomSamples | None:
    calibrated = file.header.bars().get(FORCES.bar)
    if file.header.grade is None or calibrated is None:
        return None
    bar, box = force_error_of(calibrated), Box.from_tensors(file.section("posterior"))
    labels = force_labels(
        predictions, Novelty.from_tensors(file.section("grade")), backbone, box.centre() if bar.correction_slope > 0.0 else None
    )
    atoms = labels.atoms
    reference, predicted, numbers = force_vectors(predictions)
    return AtomSamples(
        atoms.error, bar.predict(atoms.variables), atoms.variables.force, atoms.variables.grade, atoms.groups.astype(object),
        levels={level: bar.predict(atoms.variables, level=level) for level in bar.levels},
        frames=labels.frames,
        elements=labels.elements,
        neighbours=atoms.variables.neighbours,
        force_std=force_std(file, predictions, backbone, box),
        above=_above(bar, atoms.variables),
        atoms=numbers,
        reference=reference,
        predicted=predicted,
    )


def _above(bar: AnyForceError, variables: ForceVariables) -> dict[float, np.ndarray]:
    """Probabilities of errors above the thresholds; none of a file that is too old to tell."""
    return {t: bar.probability(variables, t) for t in FORCE_THRESHOLDS} if isinstance(bar, ForceError) else {}
