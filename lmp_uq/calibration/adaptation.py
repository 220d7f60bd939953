# SPDX-License-Identifier: GPL-2.0-or-later
"""A calibrated force bar follows a few labelled frames of a new system.

    c <- c + 0.7 (m - 0.1)      for each labelled frame, m: share of its atoms outside the bar of level 0.9

Adaptive conformal inference (I. Gibbs, E. Candes, NeurIPS 34 (2021)) on the logarithm of the bar, which all levels share. Coefficients
stay: so few labels do not tell them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lmp_uq.calibration.few_frames import MIN_REST
from lmp_uq.calibration.force_error import LEVEL, ForceError
from lmp_uq.calibration.labelled_atoms import ForceLabels, LabelledAtoms
from lmp_uq.errors import UqError

STEP = 0.7
TRUSTED = 5
"""Labelled frames from which the bars of most groups were right: shares in 0.85-0.97 rose from 0.6 to 0.75, with 3 frames to 0.7."""


def adapt(bar: ForceError, labels: ForceLabels) -> tuple[ForceError, dict]:
    """The bar after the labelled frames, in their order.

    Parameters
    ----------
    bar : ForceError
    labels : ForceLabels
        Atoms without a bar, and those whose force vanishes by symmetry, take no part.

    Returns
    -------
    bar : ForceError
        With shifted quantiles.
    report : dict
        n_frames; shift: of the logarithm of all bars; factor: exp(shift); coverage_before, coverage_after: mean over the frames of the
        share of atoms inside the bar of level 0.9, of the given and of the new bar, which has seen them.

    Raises
    ------
    UqError
        No atom that tells anything.
    """
    atoms = labels.judged().atoms
    if not len(atoms.error):
        raise UqError("no atom of these frames has a grade and a force that does not vanish by symmetry: there is nothing to adapt to")
    frames = [atoms.take(atoms.blocks == block) for block in dict.fromkeys(atoms.blocks.tolist())]  # one that is given twice tells once
    shift = _shift_of(bar, frames)
    new = shifted(bar, shift)
    shares = [1.0 - float(np.mean([_outside(one, mine) for mine in frames])) for one in (bar, new)]
    report = {"n_frames": len(frames), "shift": shift, "factor": float(np.exp(shift))}
    return new, report | {"coverage_before": shares[0], "coverage_after": shares[1]}


def _shift_of(bar: ForceError, frames: Sequence[LabelledAtoms]) -> float:
    shift = 0.0
    for atoms in frames:
        shift += STEP * (_outside(shifted(bar, shift), atoms) - (1.0 - LEVEL))
    return shift


def shifted(bar: ForceError, shift: float) -> ForceError:
    """The bar with the logarithm of all its levels moved."""
    curve, wide = (tuple(value + shift for value in one) for one in (bar.quantiles, bar.conservative_quantiles))
    return replace(bar, quantiles=curve, conservative_quantiles=wide)


def _outside(bar: ForceError, atoms: LabelledAtoms) -> float:
    return float(np.mean(atoms.error > bar.predict(atoms.variables)))


def few_frames_adapted(bar: ForceError, atoms: LabelledAtoms, *, n_frames: int = TRUSTED, n_draws: int = 12, seed: int = 0) -> dict | None:
    """What a few labelled frames of a group change that the bar has never seen.

    Parameters
    ----------
    bar : ForceError
        Calibrated without the group.
    atoms : LabelledAtoms
        Of the group, with a bar and with forces that do not vanish by symmetry.
    n_frames, n_draws, seed
        Frames that get known, and random choices of them.

    Returns
    -------
    dict or None
        n_frames of the group; coverage of the remaining frames (equal weights) of the bar before ("others") and after the frames
        ("adapted"), means over the choices. None if fewer than `MIN_REST` frames would remain.
    """
    frames = [atoms.take(atoms.blocks == block) for block in np.unique(atoms.blocks)]
    if len(frames) < n_frames + MIN_REST:
        return None
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {"others": [], "adapted": []}
    for _ in range(n_draws):
        order = rng.permutation(len(frames))
        shift = _shift_of(bar, [frames[k] for k in order[:n_frames]])
        for name, one in (("others", bar), ("adapted", shifted(bar, shift))):
            found[name].append(1.0 - float(np.mean([_outside(one, frames[k]) for k in order[n_frames:]])))
    return {"n_frames": len(frames)} | {name: float(np.mean(values)) for name, values in found.items()}
