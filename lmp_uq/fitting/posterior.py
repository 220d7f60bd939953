# SPDX-License-Identifier: GPL-2.0-or-later
"""From a stream of predictions to a posterior, and the leverage floor that its bars need. Used by ``lmp-uq fit``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmp_uq.fitting.counts import ROWS_PER_FEATURE
from lmp_uq.fitting.weighting import Blocks, Weighting
from lmp_uq.modelfile.source import BackboneSource
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.pops.choice import best_floor
from lmp_uq.posterior.pops.estimator import POPS
from lmp_uq.quantities import ENERGY, FORCES
from lmp_uq.rows.stream import Stream

log = logging.getLogger("lmp_uq")

FLOORS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Leverage floors that ``auto`` chooses from."""
DEFAULT_FLOOR = 1e-3
"""Leverage floor without calibration frames."""


@dataclass
class Judged:
    """The model that will run: its source, what makes its posterior of the box of a fit, and its calibration frames or None."""

    source: BackboneSource
    posterior: Callable
    checked: Stream | None


def fit_posterior(
    stream: Stream, weights: Weighting, judge: Callable[[Any], Judged], options: Any, ranks: Ranks
) -> tuple[Any, list[tuple[float, dict[str, float]]], Judged]:
    """POPS with the leverage floor asked for, what was tried: [(floor, {kind: std/RMSE})], and what `judge` gave.

    Parameters
    ----------
    stream : Stream
        Frames of the posterior.
    judge : callable
        POPS -> `Judged`.
    weights : Weighting
    options : FitOptions
    ranks : Ranks
    """
    blocks = Blocks(stream, weights)
    automatic = options.leverage_floor == "auto"
    first = FLOORS[0] if automatic else options.leverage_floor
    pops = POPS(options.ridge, leverage_floor=first, floor_grid=FLOORS, n_components=options.n_components, axes=options.axes)
    pops.fit_blocks(blocks, ranks)
    judged = judge(pops)  # the floor has no say in the coefficients
    if FORCES.label in options.rows and ranks.rank == 0:
        _say_if_few(pops.n_rows_ / (options.n_components or pops.n_features_))
    if not automatic:
        return pops, [], judged
    ratios, checked = {}, judged.checked
    if checked is not None:
        tried = {floor: pops if floor == first else pops.with_leverage_floor(floor, blocks, ranks) for floor in FLOORS}
        ratios = {floor: std_over_rmse(judged.posterior(p.box_), checked) for floor, p in tried.items()}
    if not ratios or not any(ratios.values()):
        log.warning("no calibration frames with energies or forces: leverage floor %g is used unchecked", DEFAULT_FLOOR)
        return pops.with_leverage_floor(DEFAULT_FLOOR, blocks, ranks), [], judged
    floor, enough = floor_by_ratios({f: min(r.values()) for f, r in ratios.items()})
    if not enough:
        text = "leverage floor: with every floor the bars of energies or of forces are narrower than the errors of the calibration frames; "
        log.warning(text + "with %g the least", floor)
    return tried[floor], [(f, ratios[f]) for f in FLOORS], judged


def _say_if_few(rows_per_feature: float) -> None:
    if rows_per_feature < ROWS_PER_FEATURE:
        text = "%.0f rows per feature; below %d expect force bars that are too narrow for unseen frames, the more so the fewer"
        log.info(text, rows_per_feature, ROWS_PER_FEATURE)


def std_over_rmse(box: Box, stream: Stream) -> dict[str, float]:
    """Root mean square of the predicted std over that of the errors, for the energy and the force rows that there are."""
    collected = stream.collect(lambda part, first: (part.rows.kinds, box.rms(part.rows.features) ** 2, part.rows.targets**2))
    kinds, variances, squares = collected or (np.zeros(0), np.zeros(0), np.zeros(0))
    out = {}
    for quantity in (ENERGY, FORCES):
        mine = kinds == quantity.row
        if mine.any():
            out[quantity.label] = float(np.sqrt(np.mean(variances[mine]) / np.mean(squares[mine])))
    return out


def floor_by_ratios(ratios: dict[float, float]) -> tuple[float, bool]:
    """The leverage floor whose std/RMSE is the smallest that is at least 1 (a tighter box would fall short of the errors).

    A few near-symmetric force rows blow the box up 5 to 40 times where the floor is low, so the widest box is not the honest one.
    Without any ratio of 1 the floor with the largest ratio, and False.
    """
    floor = best_floor([{"leverage_floor": floor, "std_over_rmse": ratio} for floor, ratio in ratios.items()])
    return floor, ratios[floor] >= 1.0


