# SPDX-License-Identifier: GPL-2.0-or-later
"""Energy zeros: do labels and model count energies from the same one, and what takes the difference up."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from lmp_uq.errors import UqError, argument
from lmp_uq.frames.frame import Frame, check_elements

log = logging.getLogger("lmp_uq")

LIMIT = 0.2
"""Largest offset per atom that is taken for an error of the model, eV/atom."""


def element_offsets(frames: Sequence[Frame], residuals: np.ndarray, elements: Sequence[str]) -> dict[str, float]:
    """Energies per atom of each element that, added to the model, come closest to the reference energies.

    Least squares of the residuals on the numbers of atoms; of all solutions (one composition, two elements)
    the one of smallest norm.

    Parameters
    ----------
    frames : sequence of Frame
    residuals : (n_frames,) array
        Reference minus model, eV of the whole cell; frames with NaN (no energy) are left out.
    elements : sequence of str

    Returns
    -------
    dict of str to float
        Element to eV/atom, of the elements that occur in frames with an energy.

    Raises
    ------
    UqError
        One residual per frame is not given, none is finite, or a frame holds another element.
    """
    found, counts, energies = _system(frames, residuals, elements)
    offsets = np.linalg.lstsq(counts, energies, rcond=None)[0]
    return {element: float(offset) for element, offset in zip(found, offsets, strict=True)}


def undetermined_elements(frames: Sequence[Frame], residuals: np.ndarray, elements: Sequence[str]) -> list[str]:
    """Elements whose offset the compositions leave open, as of two elements in one proportion.  Arguments as of `element_offsets`."""
    found, counts, _ = _system(frames, residuals, elements)
    # by QR first: all left singular vectors would be a square matrix of as many rows as there are frames
    _, singular, modes = np.linalg.svd(np.linalg.qr(counts, mode="r"), full_matrices=True)
    rank = int(np.sum(singular > singular[0] * max(counts.shape) * np.finfo(float).eps))
    free = np.linalg.norm(modes[rank:], axis=0) > 1e-6
    return [element for element, mine in zip(found, free, strict=True) if mine]


def _system(frames: Sequence[Frame], residuals: np.ndarray, elements: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """(elements that occur, (n, Z) numbers of atoms, (n,) residuals) of the frames with an energy."""
    residuals = np.asarray(residuals, dtype=float)
    if residuals.shape != (len(frames),):
        raise UqError(f"energy residuals have shape {residuals.shape}; accepted: ({len(frames)},), one per frame")
    check_elements(frames, elements)
    labelled = np.isfinite(residuals)
    if not labelled.any():
        raise UqError(f"none of {len(frames)} frames has an energy; accepted: at least one, to compare energy zeros")
    numbers = [frame.atoms.numbers for frame, mine in zip(frames, labelled, strict=True) if mine]
    known = [atomic_numbers[element] for element in elements]
    counts = np.array([np.bincount(mine, minlength=len(chemical_symbols))[known] for mine in numbers], float)
    occurs = np.asarray(counts.any(axis=0))
    return [e for e, mine in zip(elements, occurs, strict=True) if mine], counts[:, occurs], residuals[labelled]


def _described(offsets: dict[str, float], undetermined: list[str]) -> str:
    table = ", ".join(f"{element} {offset:+.4f}" for element, offset in offsets.items())
    if not undetermined:
        return f"{table} eV/atom"
    names = ", ".join(undetermined)
    return f"{table} eV/atom (the compositions do not determine {names}: the smallest numbers that fit, of no meaning elsewhere)"


def check_energy_zero(
    frames: Sequence[Frame], residuals: np.ndarray, elements: Sequence[str], limit: float = LIMIT
) -> dict[str, float]:
    """Check that the labels and the model count energy from the same zero.

    Parameters
    ----------
    frames, residuals, elements
        As in `element_offsets`.
    limit : float
        Largest offset per atom that is taken for an error of the model, eV/atom.

    Returns
    -------
    dict of str to float
        The offsets, eV/atom.

    Raises
    ------
    UqError
        An offset exceeds the limit; prints all of them.
    """
    offsets = element_offsets(frames, residuals, elements)
    if max(abs(offset) for offset in offsets.values()) > limit:
        table = _described(offsets, undetermined_elements(frames, residuals, elements))
        raise UqError(
            "the labels and the model count energy from different zeros: reference minus model is "
            f"{table}; accepted: at most {limit:g} for each element. Use labels of the model's level "
            f"of theory and energy zero, or let {argument('fit_offsets', True)} take these differences up"
        )
    return offsets


def energy_zero(predictions: Any, fit_offsets: bool, backbone: Any) -> dict[str, float]:
    """Check that labels and backbone count energies from the same zero; with fit_offsets make it so (energy rows lose the offsets).

    Returns
    -------
    dict
        Offsets taken off, eV/atom by element; empty without fit_offsets.

    Raises
    ------
    UqError
        Offsets beyond 0.2 eV/atom without fit_offsets.
    """
    residuals = predictions.energy_residuals()
    if not np.isfinite(residuals).any():
        return {}
    offsets = energy_offsets(predictions.frames, residuals, fit_offsets, backbone.elements)
    apply_offsets(predictions, offsets, backbone)
    return offsets


def energy_offsets(frames: Sequence[Frame], residuals: np.ndarray, fit_offsets: bool, elements: Sequence[str]) -> dict[str, float]:
    """`energy_zero` of energy residuals (eV, one per frame): the offsets, which nothing is taken off yet."""
    if not fit_offsets:
        check_energy_zero(frames, residuals, elements)
        return {}
    offsets = element_offsets(frames, residuals, elements)
    undetermined = undetermined_elements(frames, residuals, elements)
    level = logging.WARNING if undetermined else logging.INFO
    log.log(level, "energy offsets taken off the labels: %s", _described(offsets, undetermined))
    return offsets


def match_energy_zero(predictions: Any, stored: dict[str, float] | None, fit_offsets: bool, backbone: Any) -> dict[str, float]:
    """Take the stored offsets of a model file (eV/atom by element), or with fit_offsets newly fitted ones, off the energy rows; which."""
    if fit_offsets:
        return energy_zero(predictions, True, backbone)
    apply_offsets(predictions, stored or {}, backbone)
    return stored or {}


def apply_offsets(predictions: Any, offsets: dict[str, float], backbone: Any) -> None:
    """Take per-element offsets (eV/atom) off the targets of the energy rows."""
    if offsets:
        predictions.take_off(np.array([offsets.get(e, 0.0) for e in backbone.elements]))
