# SPDX-License-Identifier: GPL-2.0-or-later
"""From a stream of predictions to a posterior: weights, blocks of rows, leverage floor, counts. Used by ``lmp-uq fit``."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.posterior.pops.choice import best_floor
from lmp_uq.posterior.pops.estimator import POPS
from lmp_uq.posterior.weights import exponential_weights, group_weights
from lmp_uq.quantities import ENERGY, FORCE, VIRIAL

log = logging.getLogger("lmp_uq")

FLOORS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Leverage floors that ``auto`` chooses from."""
DEFAULT_FLOOR = 1e-3
"""Leverage floor without calibration frames."""
NAMES = {ENERGY: "energy", FORCE: "forces", VIRIAL: "stress"}
BLOCK_ROWS = 8192
ROWS_PER_FEATURE = 100
"""Rows per feature below which the box is narrower than the errors of unseen force labels (docs/proof.md)."""
MIN_FORCE_ROWS = 24
"""Force rows per frame where there are rows enough."""


@dataclass
class Judged:
    """The model that will run: its source, what makes its posterior of the box of a fit, and its calibration frames or None."""

    source: object
    posterior: Callable
    checked: object


@dataclass(frozen=True)
class Weighting:
    """Weight of a row: kind_weight x weight of the label in its frame x importance x (1 / probability of having been drawn).

    Attributes
    ----------
    kind_weight : dict
        {ENERGY | FORCE | VIRIAL: factor} that gives each kind the same sum, the number of rows in all.
    of_frames : (n_frames,) array
        Importance of the energy row of each frame of the stream.
    force_scale : float or None
        Importance exp(-|F| / force_scale) of force rows, F the label on the atom in eV/Angstrom; None: 1.
    """

    kind_weight: dict[int, float]
    of_frames: np.ndarray
    force_scale: float | None

    def of(self, part, first) -> np.ndarray:
        """(n,) weights of the rows of a batch whose first frame is frame `first` of the stream."""
        factor = np.array([self.kind_weight.get(kind, 0.0) for kind in NAMES])
        return factor[part.rows.kinds] * self.base(part, first)

    def base(self, part, first) -> np.ndarray:
        """(n,) weights inside a kind."""
        rows, importance = part.rows, np.ones(len(part.rows))
        mine = rows.kinds == ENERGY
        importance[mine] = self.of_frames[rows.frames[mine] + first]
        mine = np.flatnonzero(rows.kinds == FORCE)
        if self.force_scale is not None and len(mine):
            labels = [part.frames[k].forces[c // 3] for k, c in zip(rows.frames[mine], rows.components[mine], strict=True)]
            importance[mine] = exponential_weights(np.array(labels), self.force_scale)
        of_labels = np.array([f.weights for f in part.frames]).reshape(-1, len(NAMES))
        return rows.base * importance * of_labels[rows.frames, rows.kinds]


def weighting(stream, energy_scale=None, force_scale=None) -> Weighting:
    """Weights that give each kind of row of a stream the same sum.

    energy_scale : float or None
        Importance exp(-(E - E_min) / energy_scale) of energy rows, eV/atom above the lowest frame of the same composition; None: 1.

    Raises
    ------
    UqError
        No rows at all, or weights that sum to zero.
    """
    plain = Weighting({}, _importance_of_frames(stream.frames, energy_scale), force_scale)
    collected = stream.collect(lambda part, first: (part.rows.kinds, plain.base(part, first)))
    if not collected or not len(collected[0]):
        raise UqError("the frames have none of the labels that --rows asks for: no rows to fit")
    kinds, base = collected
    weights = group_weights(kinds, base)
    found = {kind: float(np.max(weights[kinds == kind] / base[kinds == kind])) for kind in np.unique(kinds).tolist()}
    return replace(plain, kind_weight=found)


def mean_weights(counts) -> dict[str, float]:
    """Mean weight of a row of each kind, from {kind: {"rows": n}}: every kind has the same sum, the number of rows in all."""
    rows = {kind: mine["rows"] for kind, mine in counts.items() if mine["rows"]}
    return {kind: sum(rows.values()) / len(rows) / n for kind, n in rows.items()}


def _importance_of_frames(frames, energy_scale):
    out = np.ones(len(frames))
    if energy_scale is not None:
        energies = np.array([f.energy / len(f.atoms) for f in frames])
        # frames that differ in size only have the same element fractions
        compositions = np.array([f.atoms.symbols.formula.reduce()[0].format("hill") for f in frames])
        for one in np.unique(compositions[np.isfinite(energies)]):
            mine = (compositions == one) & np.isfinite(energies)
            out[mine] = exponential_weights(energies[mine], energy_scale)
    return out


def enough_force_rows(frames, kinds, n_features: int) -> int:
    """Force rows per frame: 24, or as many more as 100 rows per feature take, or all.

    The box is as wide as the extremes of the corrections, so it grows with the number of rows: with fewer it is too narrow.

    Parameters
    ----------
    frames : list of Frame
    kinds : sequence of str
        Labels that become rows: energy, forces, stress.
    n_features : int
        P, with bias columns, or the number of components that are fitted.

    Returns
    -------
    int
        At least 24, at most the number of force components of the largest frame that has force labels.
    """
    n_energies = sum(np.isfinite(f.energy) for f in frames) if "energy" in kinds else 0
    n_stresses = 6 * sum(f.stress is not None for f in frames) if "stress" in kinds else 0
    sizes = np.array([3 * len(f.atoms) for f in frames if f.forces is not None and "forces" in kinds], dtype=np.int64)
    wanted = ROWS_PER_FEATURE * n_features - n_energies - n_stresses
    candidates = range(MIN_FORCE_ROWS, max(sizes.max(initial=0), MIN_FORCE_ROWS))
    return MIN_FORCE_ROWS + bisect_left(candidates, wanted, key=lambda n: np.minimum(sizes, n).sum())


class Blocks:
    """Rows of a stream as (features, targets, weights, groups) of a few thousand rows each; may be iterated again."""

    def __init__(self, stream, weights: Weighting):
        self._stream, self._weights = stream, weights

    def __iter__(self):
        found, n = [], 0
        for part, first in self._stream.numbered():
            if len(part.rows):
                groups = np.array([part.frames[k].group for k in part.rows.frames])
                found.append((part.rows.features, part.rows.targets, self._weights.of(part, first), groups))
                n += len(part.rows)
            if n >= BLOCK_ROWS:
                yield tuple(np.concatenate(column) for column in zip(*found, strict=True))
                found, n = [], 0
        if found:
            yield tuple(np.concatenate(column) for column in zip(*found, strict=True))


def fit_posterior(stream, weights, judge, options, ranks):
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
    if "forces" in options.rows and ranks.rank == 0:
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
    floor, enough = choose_floor({f: min(r.values()) for f, r in ratios.items()})
    if not enough:
        text = "leverage floor: with every floor the bars of energies or of forces are narrower than the errors of the calibration frames; "
        log.warning(text + "with %g the least", floor)
    return tried[floor], [(f, ratios[f]) for f in FLOORS], judged


def _say_if_few(rows_per_feature):
    if rows_per_feature < ROWS_PER_FEATURE:
        text = "%.0f rows per feature; below %d expect force bars that are too narrow for unseen frames, the more so the fewer"
        log.info(text, rows_per_feature, ROWS_PER_FEATURE)


def std_over_rmse(box, stream) -> dict[str, float]:
    """Root mean square of the predicted std over that of the errors, for the energy and the force rows that there are."""
    collected = stream.collect(lambda part, first: (part.rows.kinds, box.rms(part.rows.features) ** 2, part.rows.targets**2))
    kinds, variances, squares = collected or (np.zeros(0), np.zeros(0), np.zeros(0))
    out = {}
    for kind in (ENERGY, FORCE):
        mine = kinds == kind
        if mine.any():
            out[NAMES[kind]] = float(np.sqrt(np.mean(variances[mine]) / np.mean(squares[mine])))
    return out


def choose_floor(ratios: dict[float, float]) -> tuple[float, bool]:
    """The leverage floor whose std/RMSE is the smallest that is at least 1 (a tighter box would fall short of the errors).

    A few near-symmetric force rows blow the box up 5 to 40 times where the floor is low, so the widest box is not the honest one.
    Without any ratio of 1 the floor with the largest ratio, and False.
    """
    floor = best_floor([{"leverage_floor": floor, "std_over_rmse": ratio} for floor, ratio in ratios.items()])
    return floor, ratios[floor] >= 1.0


def count_rows(stream, pops, weights) -> tuple[dict, dict]:
    """Rows in all and below the leverage floor: by kind, and by group and kind.

    Returns
    -------
    (dict, dict)
        {kind: {"rows", "below_floor"}} and {group: the same}.
    """

    def pick(part, first):
        below = pops.leverage(part.rows.features, weights.of(part, first)) < pops.leverage_floor_
        return part.rows.kinds, below, part.rows.frames + first

    kinds, below, frames = stream.collect(pick)
    groups = np.array([f.group for f in stream.frames], dtype=object)[frames]
    return _counts(kinds, below), {str(g): _counts(kinds[groups == g], below[groups == g]) for g in sorted(set(groups))}


def _counts(kinds, below):
    return {name: {"rows": int(np.sum(kinds == k)), "below_floor": int(np.sum(below[kinds == k]))} for k, name in NAMES.items()}
