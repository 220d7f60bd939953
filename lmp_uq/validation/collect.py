# SPDX-License-Identifier: GPL-2.0-or-later
"""From predictions and a model file to the labels with bars that validation judges."""

from __future__ import annotations

import numpy as np

from lmp_uq.calibration.force_error import ForceError
from lmp_uq.errors import UqError
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import ENERGY, FORCE, VIRIAL
from lmp_uq.rows.labelled import force_samples
from lmp_uq.rows.predict import VOIGT
from lmp_uq.validation.samples import FORCE_THRESHOLDS, AtomSamples, Samples

ROW_KINDS = {"energy_per_atom": ENERGY, "forces": FORCE, "stress": VIRIAL}
WEIGHT_KEYS = {ENERGY: "energy", FORCE: "forces", VIRIAL: "stress"}
CALIBRATIONS = {"energy_per_atom": "energy_error", "stress": "stress_error"}


def collect(file, predictions, elements, n_members: int) -> dict:
    """Labels of every quantity that the frames have labels of.

    Parameters
    ----------
    file : ModelFile
        With a posterior.
    predictions : Predictions
        Of the labelled frames.
    elements : sequence of str
        Symbols of the species indices.
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
    out = {}
    for name in ROW_KINDS:
        rows = rows_of(predictions, name)
        if name == "stress" and not len(rows):
            continue
        out[name] = _samples(file, predictions, rows, name, box, n_members, np.asarray(elements, dtype=object))
    atoms = _atom_samples(file, predictions, np.asarray(elements, dtype=object))
    if atoms is not None:
        out["force_error"] = atoms
    return out


def rows_of(predictions, name: str):
    """Rows of the labels of a quantity."""
    return predictions.rows.select(predictions.rows.kinds == ROW_KINDS[name])


def features_of(predictions, rows, name: str) -> np.ndarray:
    """(n, P') features whose product with Theta is the correction of the label in its own unit.

    Rows of virials are in eV/atom, y = -(S_ref - S) V / N; stress is compared in eV/Angstrom^3, so they are multiplied by -N / V.
    """
    return rows.features * stress_factor(predictions, rows)[:, None] if name == "stress" else rows.features


def stress_factor(predictions, rows) -> np.ndarray:
    """(n,) -N / V of each row's frame, 1/Angstrom^3."""
    n_atoms = np.array([len(f.atoms) for f in predictions.frames])
    volumes = np.array([f.atoms.cell.volume for f in predictions.frames])
    return -n_atoms[rows.frames] / volumes[rows.frames]


def predicted_values(predictions, rows, name: str) -> np.ndarray:
    """(n,) what the backbone predicts for the labels of rows."""
    if name == "energy_per_atom":
        n_atoms = np.array([len(s) for s in predictions.species])[rows.frames]
        return predictions.energies[rows.frames] / n_atoms
    if name == "stress":
        a, b = np.array(VOIGT)[rows.components].T
        return predictions.stresses[rows.frames, a, b]
    atoms, axes = np.divmod(rows.components, 3)
    return np.array([predictions.forces[k][i, a] for k, i, a in zip(rows.frames, atoms, axes, strict=True)])


def _samples(file, predictions, rows, name, box, n_members, elements):
    features = features_of(predictions, rows, name)
    predicted = predicted_values(predictions, rows, name)
    targets = rows.targets * stress_factor(predictions, rows) if name == "stress" else rows.targets
    lower, upper = box.bounds(features, n_members)
    groups = np.array([predictions.frames[k].group for k in rows.frames], dtype=object)
    calibration = (file.header["calibration"] or {}).get(CALIBRATIONS.get(name, ""))
    return Samples(
        predicted + targets, predicted, box.rms(features), lower, upper, _force_norms(predictions, rows, name), groups,
        frames=rows.frames,
        elements=_row_elements(predictions, rows, elements) if name == "forces" else None,
        certifiable=_certifiable(file, rows),
        thresholds=FORCE_THRESHOLDS if name == "forces" else (),
        calibrated=calibration if isinstance(calibration, dict) and "factor" in calibration else None,
    )  # fmt: skip


def _force_norms(predictions, rows, name):
    """|F_predicted| of the row's atom; of a label of the whole frame the root mean square over its atoms."""
    if name != "forces":
        norms = np.array([np.sqrt(np.mean(np.sum(f**2, axis=1))) for f in predictions.forces])
        return norms[rows.frames]
    atoms = rows.components // 3
    vectors = [predictions.forces[k][i] for k, i in zip(rows.frames, atoms, strict=True)]
    return np.linalg.norm(np.array(vectors).reshape(len(rows), 3), axis=1)


def _row_elements(predictions, rows, elements):
    atoms = rows.components // 3
    species = [predictions.species[k][i] for k, i in zip(rows.frames, atoms, strict=True)]
    return elements[np.array(species, dtype=int)]


def _certifiable(file, rows):
    """(n,) bool: leverage at or above the floor of the fit; None for a file without the tensor that tells."""
    factor = file.section("posterior").get("leverage_factor")
    if factor is None:
        return None
    posterior = file.header["posterior"]
    weights = posterior.get("kind_weight")
    if factor.ndim != 2 or len(factor) != rows.features.shape[1] or not isinstance(weights, dict):
        raise UqError(
            f"tensor 'posterior/leverage_factor' of shape {factor.shape} with posterior.kind_weight {weights!r}; accepted: "
            f"({rows.features.shape[1]}, any) and an object of numbers by kind, as lmp-uq fit writes them"
        )
    weight = np.array([float(weights.get(WEIGHT_KEYS[k], 0.0)) for k in rows.kinds.tolist()])
    return weight * np.sum((rows.features @ factor) ** 2, axis=1) >= posterior["leverage_floor"]


def _atom_samples(file, predictions, elements):
    calibration = file.header["calibration"] or {}
    if not file.header["grade"] or not calibration.get("force_error"):
        return None
    error, norm, grade, groups = force_samples(predictions, Novelty.from_tensors(file.section("grade")))
    bar = ForceError.from_dict(calibration["force_error"])
    chosen = labelled_frames(predictions)
    counts = [len(predictions.species[k]) for k in chosen]
    species = np.concatenate([predictions.species[k] for k in chosen]) if chosen else np.zeros(0, int)
    levels = {level: bar.predict(norm, grade, level=level) for level in bar.levels}
    return AtomSamples(
        error, bar.predict(norm, grade), norm, grade, groups,
        levels=levels, frames=np.repeat(np.array(chosen, dtype=int), counts), elements=elements[species.astype(int)],
    )  # fmt: skip


def labelled_frames(predictions) -> list[int]:
    """Frames with force labels, in the order of `lmp_uq.rows.labelled.force_samples`."""
    return [k for k, f in enumerate(predictions.frames) if f.forces is not None]
