# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled predictions: what a model and its posterior say of every atom with a force label, and of every row.

All take a stream of predictions or `lmp_uq.rows.rows.Predictions`: what both have is ``frames`` and ``collect``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmp_uq.backbone.graph import graph_for
from lmp_uq.calibration.labelled_atoms import ForceLabels, LabelledAtoms, Labels, ScaledLabels
from lmp_uq.calibration.probe_training import LabelledFrames
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.frames.frame import Frame
from lmp_uq.novelty.grade import Novelty
from lmp_uq.novelty.neighbours import neighbour_grade
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import ENERGY, FORCES, STRESS, Quantity
from lmp_uq.rows.predict import correction_forces
from lmp_uq.rows.rows import VOIGT, Predictions, Rows


def labels_of(source: Any, box: Box, novelty: Novelty | None, backbone: Any) -> Labels:
    """All labels of frames, with the std of a posterior, the grade and the mean correction; the rest as for `force_labels`."""

    def pick(part: Predictions, first: int) -> tuple[np.ndarray, ...]:
        rows = part.rows
        grades = np.zeros(len(part.frames)) if novelty is None else mean_grades(part, novelty)
        return rows.kinds, rows.targets, box.rms(rows.features), rows.frames + first, grades[rows.frames]

    kinds, targets, std, frames, grades = source.collect(pick)
    graded = None if novelty is None else grades
    rows = ScaledLabels(targets, std, groups_of(source.frames)[frames], blocks_of(source.frames)[frames], graded)
    return Labels(None if novelty is None else force_labels(source, novelty, backbone, box.centre()), kinds, rows)


def force_labels(source: Any, novelty: Novelty, backbone: Any, centre: np.ndarray | None = None) -> ForceLabels:
    """The atoms of the frames that have force labels, in the order of the frames; there may be none.

    Parameters
    ----------
    source : Stream or Predictions
    novelty : Novelty
    backbone : Backbone
        Of the predictions: its elements and cutoff.
    centre : (P',) array or None
        `lmp_uq.posterior.box.Box.centre`, for the forces of the mean correction, which cost another evaluation; None: without.
    """

    def pick(part: Predictions, first: int) -> tuple[np.ndarray, ...]:
        chosen = labelled_frames(part)
        predicted = _joined([part.forces[k] for k in chosen], (0, 3))
        reference = _joined([part.frames[k].forces for k in chosen], (0, 3))
        descriptors, species = labelled_descriptors(part)
        frames = np.repeat(np.array(chosen, dtype=int) + first, [len(part.species[k]) for k in chosen])
        grade = novelty.grade(descriptors, species) if chosen else np.zeros(0)
        graph, _ = graph_for(backbone, [part.frames[k].atoms for k in chosen])
        neighbours = neighbour_grade(grade, graph.centres, graph.neighbours)
        forces = [] if centre is None else correction_forces(backbone, [part.frames[k] for k in chosen], centre)
        error, norm, correction = (np.linalg.norm(f, axis=1) for f in (reference - predicted, predicted, _joined(forces, (0, 3))))
        return error, norm, grade, neighbours, correction, species.astype(int), frames

    error, norm, grade, neighbours, correction, species, frames = source.collect(pick)
    groups, blocks = groups_of(source.frames)[frames], blocks_of(source.frames)[frames]
    variables = ForceVariables(norm, grade, neighbours, None if centre is None else correction)
    atoms = LabelledAtoms(error, variables, groups, blocks)
    return ForceLabels(atoms, frames, np.asarray(backbone.elements, dtype=object)[species])


def energy_labels(predictions: Predictions, box: Box, novelty: Novelty | None) -> LabelledFrames:
    """The frames that have energy rows, what their energies are off by, and what else may tell the good ones."""
    rows = rows_of(predictions, ENERGY)
    signals = {"max |F|": np.array([np.linalg.norm(predictions.forces[k], axis=1).max() for k in rows.frames])}
    signals["energy_std/N"] = box.rms(rows.features)
    if novelty is not None:
        signals["mean grade"] = mean_grades(predictions, novelty)[rows.frames]
    groups, blocks = groups_of(predictions.frames)[rows.frames], blocks_of(predictions.frames)[rows.frames]
    return LabelledFrames([predictions.descriptors[k] for k in rows.frames], np.abs(rows.targets), groups, blocks, signals)


def force_vectors(source: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the atoms of `force_labels`, in their order: labels (n, 3) and predictions (n, 3), eV/Angstrom, and (n,) index in the frame."""

    def pick(part: Predictions, first: int) -> tuple[np.ndarray, ...]:
        chosen = labelled_frames(part)
        reference = _joined([part.frames[k].forces for k in chosen], (0, 3))
        atoms = _joined([np.arange(len(part.species[k])) for k in chosen], (0,)).astype(int)
        return reference, _joined([part.forces[k] for k in chosen], (0, 3)), atoms

    reference, predicted, atoms = source.collect(pick)
    return reference, predicted, atoms


def mean_grades(predictions: Predictions, novelty: Novelty) -> np.ndarray:
    """(n_frames,) mean grade of the atoms of each frame."""
    pairs = zip(predictions.descriptors, predictions.species, strict=True)
    return np.array([np.mean(novelty.grade(descriptors, species)) for descriptors, species in pairs])


def labelled_frames(predictions: Predictions) -> list[int]:
    """Indices of the frames with force labels."""
    return [k for k, frame in enumerate(predictions.frames) if frame.forces is not None]


def labelled_descriptors(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """(n, P) descriptors and (n,) species of the atoms of `force_labels`."""
    chosen = labelled_frames(predictions)
    species = _joined([predictions.species[k] for k in chosen], (0,)).astype(int)
    return _joined([predictions.descriptors[k] for k in chosen], (0, predictions.descriptors[0].shape[1])), species


def _joined(arrays: Sequence[Any], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(empty)


def groups_of(frames: Sequence[Frame]) -> np.ndarray:
    """(n_frames,) group of each frame, as text."""
    return np.array([frame.group for frame in frames], dtype=str)


def blocks_of(frames: Sequence[Frame]) -> np.ndarray:
    """(n_frames,) number of the independent block that each frame is; equal frames are one."""
    return np.unique(np.array([frame.key for frame in frames], dtype=np.uint64), return_inverse=True)[1]


def rows_of(predictions: Predictions, quantity: Quantity) -> Rows:
    """Rows of the labels of a quantity."""
    return predictions.rows.select(predictions.rows.kinds == quantity.row)


def features_of(predictions: Predictions, rows: Rows, quantity: Quantity) -> np.ndarray:
    """(n, P') features whose product with Theta is the correction of the label in its own unit.

    Rows of virials are in eV/atom, y = -(S_ref - S) V / N; stress is compared in eV/Angstrom^3, so they are multiplied by -N / V.
    """
    return rows.features * stress_factor(predictions, rows)[:, None] if quantity is STRESS else rows.features


def stress_factor(predictions: Predictions, rows: Rows) -> np.ndarray:
    """(n,) -N / V of each row's frame, 1/Angstrom^3."""
    n_atoms = np.array([len(f.atoms) for f in predictions.frames])
    volumes = np.array([f.atoms.cell.volume for f in predictions.frames])
    return -n_atoms[rows.frames] / volumes[rows.frames]


def predicted_values(predictions: Predictions, rows: Rows, quantity: Quantity) -> np.ndarray:
    """(n,) what the backbone predicts for the labels of rows of a quantity, in its unit."""
    if quantity is ENERGY:
        n_atoms = np.array([len(s) for s in predictions.species])[rows.frames]
        return predictions.energies[rows.frames] / n_atoms
    if quantity is STRESS:
        a, b = np.array(VOIGT)[rows.components].T
        return predictions.stresses[rows.frames, a, b]
    atoms, axes = np.divmod(rows.components, 3)
    return np.array([predictions.forces[k][i, a] for k, i, a in zip(rows.frames, atoms, axes, strict=True)])


def force_norms(predictions: Predictions, rows: Rows, quantity: Quantity) -> np.ndarray:
    """(n,) |F_predicted| of the row's atom; of a label of the whole frame the root mean square over its atoms."""
    if quantity is not FORCES:
        norms = np.array([np.sqrt(np.mean(np.sum(f**2, axis=1))) for f in predictions.forces])
        return norms[rows.frames]
    atoms = rows.components // 3
    vectors = [predictions.forces[k][i] for k, i in zip(rows.frames, atoms, strict=True)]
    return np.linalg.norm(np.array(vectors).reshape(len(rows), 3), axis=1)


def row_species(predictions: Predictions, rows: Rows) -> np.ndarray:
    """(n,) species of the atoms of force rows."""
    atoms = rows.components // 3
    return np.array([predictions.species[k][i] for k, i in zip(rows.frames, atoms, strict=True)], dtype=int)
