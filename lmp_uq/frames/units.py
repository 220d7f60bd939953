# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels that are in other units than the model's: seen from their size beside what the model predicts."""

from __future__ import annotations

from typing import Any

import numpy as np

FORCE_UNITS = {
    "kcal/mol/Angstrom": 23.0605,
    "kJ/mol/Angstrom": 96.4853,
    "Hartree/Bohr": 1.0 / 51.4221,
    "Rydberg/Bohr": 1.0 / 25.7110,
    "meV/Angstrom": 1000.0,
    "eV/nm": 10.0,
}
"""One eV/Angstrom in other units (CODATA 2018)."""
STRESS_UNITS = {
    "GPa": 160.2177,
    "kbar": 1602.177,
    "bar": 1.602177e6,
    "Hartree/Bohr^3": 1.0 / 183.6315,
}
"""One eV/Angstrom^3 in other units."""
TOLERANCE = 1.3
"""Factor within which a ratio is taken for that of a unit."""
PLAUSIBLE = (0.5, 2.0)
"""Ratio of label to prediction of a model that is only wrong, not in other units."""
MIN_CORRELATION = 0.7
"""Below this correlation of labels and predictions a ratio means nothing."""


def unit_warning(what: str, unit: str, known: dict[str, float], labels: np.ndarray, predicted: np.ndarray) -> str:
    """One sentence if labels look like another unit or sign than the predictions, else an empty text.

    Parameters
    ----------
    what, unit : str
        "force" and "eV/Angstrom", for the sentence.
    known : dict
        {name of a unit: its size in units of the predictions}.
    labels, predicted : (n,) arrays
        Components, mean over frames not subtracted.
    """
    square, product = float(predicted @ predicted), float(labels @ predicted)
    size = np.sqrt(square * float(labels @ labels))
    if not size > 0.0 or abs(product) / size < MIN_CORRELATION:
        return ""
    slope = product / square
    if PLAUSIBLE[0] <= slope <= PLAUSIBLE[1]:
        return ""
    sign = " with the opposite sign" if slope < 0 else ""
    near = {name: abs(np.log(abs(slope) / factor)) for name, factor in known.items()}
    name = min(near, key=near.__getitem__)
    guess = f"they look like {name}{sign}" if near[name] < np.log(TOLERANCE) else "no known unit has this ratio"
    if PLAUSIBLE[0] <= -slope <= PLAUSIBLE[1]:
        guess = "their sign looks reversed"
    return f"{what} labels are {slope:.4g} times what the model predicts: {guess}; accepted is {unit}"


def unit_warnings(stream: Any) -> list[str]:
    """Sentences on the force and stress labels of a stream of predictions; collective over its ranks."""

    def pick(part: Any, first: int) -> list[np.ndarray]:
        forces = [(f.forces.ravel(), p.ravel()) for f, p in zip(part.frames, part.forces, strict=True) if f.forces is not None]
        stresses = [(f.stress.ravel(), s.ravel()) for f, s in zip(part.frames, part.stresses, strict=True) if f.stress is not None]
        return [np.concatenate([np.zeros(0), *(pair[side] for pair in pairs)]) for pairs in (forces, stresses) for side in (0, 1)]

    forces, forces_model, stresses, stresses_model = stream.collect(pick)
    found = np.isfinite(stresses_model)
    texts = (
        unit_warning("force", "eV/Angstrom", FORCE_UNITS, forces, forces_model),
        unit_warning("stress", "eV/Angstrom^3, ASE sign", STRESS_UNITS, stresses[found], stresses_model[found]),
    )
    return [text for text in texts if text]
