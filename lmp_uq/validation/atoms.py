# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled atoms with force_error, and the figures of a part of them beside those of other scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmp_uq.calibration.force_error import FORCE_OFFSET, GRADE_OFFSET, LEVEL
from lmp_uq.calibration.labelled_atoms import tells
from lmp_uq.metrics.bars import rank_metrics, share
from lmp_uq.metrics.bootstrap import intervals, share_interval
from lmp_uq.metrics.sharpness import sharpness, weighted_quantiles
from lmp_uq.validation.frame_weights import equal_frames
from lmp_uq.validation.samples import CONSTANT, FORCE_NORM, FORCE_THRESHOLDS

FORCE_STD, GRADE, NEIGHBOUR_GRADE = "force_std", "grade", "neighbour grade"


@dataclass
class AtomSamples:
    """Per atom; all arrays have length n.

    error: size of the force error, force_error: the 90 % quantile that the file predicts, force_norm: |F_predicted|, eV/Angstrom;
    grade, groups, frames, elements: of the atom; levels: force_error of every level that the file has, by level; scores: of other
    methods by name, larger for atoms where they expect larger errors; neighbours: neighbour grade; force_std: root mean square of the
    force's departures over the posterior, eV/Angstrom; above: probability of an error above a threshold, by threshold; atoms: index of
    the atom in its frame; reference, predicted: (n, 3) forces. None or empty where it is not known.
    """

    error: np.ndarray
    force_error: np.ndarray
    force_norm: np.ndarray
    grade: np.ndarray
    groups: np.ndarray
    levels: dict[float, np.ndarray] = field(default_factory=dict)
    frames: np.ndarray | None = None
    elements: np.ndarray | None = None
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    neighbours: np.ndarray | None = None
    force_std: np.ndarray | None = None
    above: dict[float, np.ndarray] = field(default_factory=dict)
    atoms: np.ndarray | None = None
    reference: np.ndarray | None = None
    predicted: np.ndarray | None = None

    def judged(self) -> np.ndarray:
        """(n,) bool: atoms that have a bar, and whose force does not vanish by symmetry, which any bar would cover."""
        return np.isfinite(self.force_error) & self._telling()

    def _telling(self) -> np.ndarray:
        return tells(self.force_norm, self.error)

    def baselines(self) -> dict[str, np.ndarray]:
        """Bars (n,) of level 0.9 by name, each a score times one factor that covers 0.9 of these very atoms, groups with equal weights.

        The scores: a constant; |F_predicted| and force_std, both + 0.01 eV/Angstrom; grade and neighbour grade, both + 0.05; those of
        other methods. Left out are scores that are not finite, and all without a judged atom.
        """
        scores = {CONSTANT: np.ones(len(self.error)), FORCE_NORM: self.force_norm + FORCE_OFFSET}
        if self.force_std is not None:
            scores[FORCE_STD] = self.force_std + FORCE_OFFSET
        scores[GRADE] = self.grade + GRADE_OFFSET
        if self.neighbours is not None:
            scores[NEIGHBOUR_GRADE] = self.neighbours + GRADE_OFFSET
        mine, out = self.judged(), {}
        weights = equal_frames(self.groups, self.frames, mine)
        for name, score in (scores | self.scores).items():
            if not mine.any() or not np.all(np.isfinite(score[mine])):
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = weighted_quantiles(self.error[mine] / score[mine], [LEVEL], weights)[0]
            if np.isfinite(factor):
                out[name] = factor * score
        return out

    def metrics(self, mask: np.ndarray, blocks: np.ndarray | None = None, baselines: Mapping[str, np.ndarray] | None = None) -> dict:
        """Figures of the atoms where mask is true: of force_error, and under the key baselines of the bars of other scores.

        n_atoms counts all; the figures are those of the n atoms that are `judged`, frames of a group with equal weights, groups too.
        With blocks (n,) also their intervals, under the key interval.
        """
        known, telling = np.isfinite(self.force_error), self._telling()
        mine = mask & known & telling
        weights = equal_frames(self.groups, self.frames, mine)
        out: dict[str, Any] = {
            "n_atoms": int(mask.sum()),
            "n_frames": None if self.frames is None else len(np.unique(self.frames[mask])),
            "n_infinite": int((mask & ~known).sum()),
            "n_symmetric": int((mask & known & ~telling).sum()),
            "grade_above_1": share(self.grade[mask] > 1.0),
        }
        out |= self._worth(self.force_error, mine, weights)
        shares = {level: self._worth(bar, mine, weights, level)["coverage"] for level, bar in self.levels.items()}
        out["coverage_by_level"] = {f"{level:g}": covered for level, covered in shares.items()}
        bars = self.baselines() if baselines is None else baselines
        out["baselines"] = {name: self._worth(bar, mine, weights) for name, bar in bars.items()}
        if blocks is not None:
            out["interval"] = self._intervals(mine, weights, blocks)
        return out

    def _worth(self, bar: np.ndarray, mine: np.ndarray, weights: np.ndarray, level: float = LEVEL) -> dict[str, Any]:
        error = self.error[mine]
        found = sharpness(error, bar[mine], level, weights)
        found["median_width"] = found.pop("width")
        return found | rank_metrics(error, bar[mine], self.groups[mine], FORCE_THRESHOLDS)

    def _intervals(self, mine: np.ndarray, weights: np.ndarray, blocks: np.ndarray) -> dict[str, Any]:
        error, bar, groups = self.error[mine], self.force_error[mine], self.groups[mine]
        found = intervals(error, bar, blocks[mine], groups=groups, thresholds=FORCE_THRESHOLDS)
        names = ("spearman", "spearman_within_groups", *(f"auroc_{t:.1f}" for t in FORCE_THRESHOLDS))
        coverage = share_interval(error <= bar, blocks[mine], weights)
        return {"coverage": coverage} | {name: found.get(name) for name in names}
