# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars that are far wider than the errors: whether they are, and which labels make them so."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np

from lmp_uq.errors import argument
from lmp_uq.fitting.posterior import Judged
from lmp_uq.fitting.weighting import Weighting
from lmp_uq.frames.frame import Frame
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import ENERGY, FORCES, STRESS
from lmp_uq.rows.rows import Predictions
from lmp_uq.rows.stream import Stream

log = logging.getLogger("lmp_uq")

WIDE = 10.0
"""Mean std over mean error beyond which bars say nothing any more."""
LINEAR_FLOOR = 1e-2
"""A floor that kept the bars of linear SNAP potentials near their errors."""
N_NAMED = 3
"""Labels that are named, at most."""
SHARE = 0.1
"""Size of a correction, of the largest, below which its label is not to blame."""


class Shaping(NamedTuple):
    """A label that shapes the box: file and frame, what it is, its leverage in units of P / n, and the size of its correction squared."""

    source: str
    label: str
    leverage: float
    size: float


def say_if_wide(judged: Judged, training: Stream, pops: Any, weights: Weighting, options: Any, everyone: Ranks) -> None:
    """Warn on rank 0 if the bars are far wider than the errors, with the labels that shape the box.  Collective over the ranks."""
    box = judged.posterior(pops.box_)
    # without frames to check on the frames of the fit will do: what is meant is wrong by orders of magnitude
    shift = pops.coef_ - box.coefficients if judged.checked is None else 0.0
    ratios = std_over_mae(box, judged.checked or training, shift)
    if not any(ratio > WIDE for ratio in ratios.values()):
        return
    shaping = shaping_labels(training, pops, weights)
    if everyone.rank == 0:
        log.warning("%s", wide_bars(ratios, pops.leverage_floor_, shaping, other_floor(options.leverage_floor, judged.checked is not None)))


def std_over_mae(box: Box, stream: Stream, shift: float | np.ndarray = 0.0) -> dict[str, float]:
    """Mean predicted std over mean |target - features . shift|, for the energy and the force rows that there are."""

    def pick(part: Predictions, first: int) -> tuple[np.ndarray, ...]:
        rows = part.rows
        return rows.kinds, box.rms(rows.features), np.abs(rows.targets - np.sum(rows.features * shift, axis=1))

    collected = stream.collect(pick)
    kinds, stds, errors = collected or (np.zeros(0), np.zeros(0), np.zeros(0))
    means = {q.label: (np.sum(stds[kinds == q.row]), np.sum(errors[kinds == q.row])) for q in (ENERGY, FORCES)}
    return {label: float(std / error) for label, (std, error) in means.items() if error > 0.0}


def shaping_labels(stream: Stream, pops: Any, weights: Weighting) -> list[Shaping]:
    """The labels with the largest corrections of those that shape the box, one per frame, the largest first.  Collective.

    With C of `lmp_uq.posterior.pops.estimator`, dTheta^T C dTheta of the correction of a row is e^2 / h: what it
    changes on the rows of the fit.
    """

    def pick(part: Predictions, first: int) -> tuple[np.ndarray, ...]:
        rows, weight = part.rows, weights.of(part, first)
        leverage = pops.leverage(rows.features, weight)
        residual = rows.targets - rows.features @ pops.coef_
        kept = (leverage >= pops.leverage_floor_) & (leverage > 0.0)
        size = np.zeros(len(rows))
        size[kept] = residual[kept] ** 2 * weight[kept] / leverage[kept]
        largest = np.argsort(-size)[: 10 * N_NAMED]  # of a batch: enough to find other frames beside the worst one
        return size[largest], leverage[largest], rows.kinds[largest], rows.components[largest], rows.frames[largest] + first

    size, leverage, kinds, components, frames = stream.collect(pick)
    found: dict[str, Any] = {}
    for k in np.argsort(-size):
        frame = stream.frames[frames[k]]
        found.setdefault(frame.source, Shaping(frame.source, _label(frame, kinds[k], components[k]), leverage[k], size[k]))
    largest = max(one.size for one in found.values())
    return [one for one in found.values() if one.size > SHARE**2 * largest][:N_NAMED]


def _label(frame: Frame, kind: int, component: int) -> str:
    """What a row is of."""
    if kind == ENERGY.row:
        return ENERGY.label
    if kind == FORCES.row:
        atom, axis = divmod(int(component), 3)
        return f"force {FORCES.components[axis]} of atom {atom} ({frame.atoms.symbols[atom]})"
    return f"stress {STRESS.components[component]}"


def other_floor(asked: float | str, calibrated: bool) -> str:
    """How to get another leverage floor than the fit's; empty where calibration frames or groups chose it, so that no other helps."""
    if asked == "groups" or (asked == "auto" and calibrated):
        return ""
    wanted = "" if calibrated else f" with {argument('calibration')}"
    return f"{argument('leverage_floor', 'auto')}{wanted}, or {LINEAR_FLOOR:g}"


def wide_bars(ratios: dict[str, float], floor: float, shaping: list[Shaping], advice: str = "") -> str:
    """The sentences: how wide, by which labels, and what is left to be tried.

    Parameters
    ----------
    ratios : dict
        Of `std_over_mae`.
    floor : float
        Leverage floor of the fit.
    shaping : list of Shaping
    advice : str
        Of `other_floor`.
    """
    found = ", ".join(f"{name} {ratio:.3g} times" for name, ratio in ratios.items() if ratio > WIDE)
    named = "; ".join(f"{one.source} {one.label} (leverage {one.leverage:.2g})" for one in shaping)
    cures = ["check these labels, and leave their frames out or give them weight 0 if they are wrong"]
    # a handful of near-symmetric force rows does it where every row shapes the box: a finite residual over a leverage of almost nothing
    if shaping and shaping[0].leverage < LINEAR_FLOOR and advice:
        cures.insert(0, f"{advice}, as these rows hardly depend on Theta")
    return (
        f"the bars are far wider than the errors ({found} the mean error). With leverage floor {floor:g} the box is shaped by {named}. "
        f"To narrow them: {'; or '.join(cures)}"
    )
