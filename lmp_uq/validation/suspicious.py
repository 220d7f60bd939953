# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames whose force labels may be wrong: errors far beyond what the bars allow.

    score of a frame = largest over its atoms of   error / (bar + 0.05 eV/Angstrom)

A large error alone is no sign of a wrong label where the model is new to the structure; the bar says where it is. Not found: labels off
by a common factor, and wrong labels of frames whose forces vanish by symmetry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.versions import AnyForceError
from lmp_uq.frames.frame import Frame
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import FORCES
from lmp_uq.rows.labelled import force_labels, force_vectors
from lmp_uq.validation.atoms import FORCE_STD, AtomSamples

OFFSET = 0.05
"""eV/Angstrom, added to the bar: errors of that size are noise of DFT, however narrow the bar."""
LEAST_SCORE = 5.0
"""Of a frame that is named."""
MOST_NAMED = 5
"""Frames that are named for each bar, the worst first."""


@dataclass
class AtomErrors:
    """Errors of the forces of n atoms.

    error, bar : (n,) eV/Angstrom, infinite bars allowed; frames : (n,) index of the frame; atoms : (n,) of the atom in it; reference,
    predicted : (n, 3), eV/Angstrom.
    """

    error: np.ndarray
    bar: np.ndarray
    frames: np.ndarray
    atoms: np.ndarray
    reference: np.ndarray
    predicted: np.ndarray


def scores_of_errors(error: ArrayLike, bar: ArrayLike) -> np.ndarray:
    """(n,) error / (bar + 0.05 eV/Angstrom); 0 for an infinite bar."""
    return np.asarray(error, float) / (np.asarray(bar, float) + OFFSET)


def frame_scores(error: ArrayLike, bar: ArrayLike, frames: ArrayLike, n_frames: int) -> np.ndarray:
    """(n_frames,) largest of `scores_of_errors` of each frame; 0 for a frame without labels."""
    out = np.zeros(n_frames)
    np.maximum.at(out, np.asarray(frames), scores_of_errors(error, bar))
    return out


def suspicious_frames(found: AtomErrors, name: str, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """The frames with the largest scores above 5, at most five, the worst first.

    Parameters
    ----------
    found : AtomErrors
    name : str
        Of the bar.
    frames : sequence of Frame
        That the indices are those of.

    Returns
    -------
    list of dict
        score, bar (its name), source, frame, group, atom, element, error, width (the bar), reference, predicted: of the worst atom of
        the frame.
    """
    scores = scores_of_errors(found.error, found.bar)
    out: dict[int, dict[str, Any]] = {}
    for k in np.argsort(-scores, kind="stable").tolist():
        frame = int(found.frames[k])
        if not scores[k] > LEAST_SCORE or len(out) == MOST_NAMED:
            break
        if frame not in out:
            out[frame] = {"score": float(scores[k]), "bar": name} | _entry(found, k, frames[frame])
    return list(out.values())


def _entry(found: AtomErrors, k: int, frame: Frame) -> dict[str, Any]:
    return {
        "source": frame.source,
        "frame": int(found.frames[k]),
        "group": frame.group,
        "atom": int(found.atoms[k]),
        "element": frame.atoms.get_chemical_symbols()[found.atoms[k]],
        "error": float(found.error[k]),
        "width": float(found.bar[k]),
        "reference": found.reference[k].tolist(),
        "predicted": found.predicted[k].tolist(),
    }


def suspicious_atoms(atoms: AtomSamples | None, frames: Sequence[Frame]) -> list[dict[str, Any]]:
    """`suspicious_frames` of force_error at level 0.9, then of force_std, where there are such bars."""
    out: list[dict[str, Any]] = []
    if atoms is None or atoms.frames is None or atoms.atoms is None or atoms.reference is None or atoms.predicted is None:
        return out
    for name, bar in ((FORCES.bar, atoms.force_error), (FORCE_STD, atoms.force_std)):
        if bar is not None:
            found = AtomErrors(atoms.error, bar, atoms.frames, atoms.atoms, atoms.reference, atoms.predicted)
            out += suspicious_frames(found, name, frames)
    return out


def suspicious_labels(source: Any, bar: AnyForceError, box: Box, novelty: Novelty, backbone: Any) -> list[dict[str, Any]]:
    """`suspicious_frames` of force_error on frames of a fit.

    The std of the posterior will not do for frames that shaped it: its box encloses the correction that each of their rows asks for, so
    no error is far beyond it, however wrong the label.

    Parameters
    ----------
    source : Stream or Predictions
    bar : ForceError or ForceError1
    box, novelty, backbone
        As for `lmp_uq.rows.labelled.force_labels`.
    """
    labels = force_labels(source, novelty, backbone, box.centre() if bar.correction_slope > 0.0 else None)
    reference, predicted, atoms = force_vectors(source)
    found = AtomErrors(labels.atoms.error, bar.predict(labels.atoms.variables), labels.frames, atoms, reference, predicted)
    return suspicious_frames(found, FORCES.bar, source.frames)
