# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of one quantity with their error bars, and the figures of a part of them: all, one group, one element."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lmp_uq.metrics.bars import (
    bar_metrics,
    baseline_metrics,
    has_bar,
    hindsight_std,
    rank_metrics,
    risk_coverage,
    violation,
    width_metrics,
)
from lmp_uq.metrics.bootstrap import intervals
from lmp_uq.metrics.sharpness import sharpness
from lmp_uq.validation.frame_weights import equal_frames

FORCE_THRESHOLDS = (0.1, 0.3, 1.0)
"""eV/Angstrom: what the figures auroc count as a large error."""
CONSTANT, FORCE_NORM = "constant", "|F_predicted|"
POPS_NAME = "POPS"
HINDSIGHT = (CONSTANT, FORCE_NORM)
"""Scores without unit: their scale is set on the very labels they are judged by."""


@dataclass
class Bars:
    """Bars of one method: std (n,), and lower and upper bounds (n,) of the error where it has them; unit of the label."""

    std: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None


@dataclass
class CalibratedBars:
    """bar (n,): that abs(error) is below with a probability of level; unit of the label."""

    bar: np.ndarray
    level: float


@dataclass
class Samples:
    """Labels of one quantity with everything the figures need; all arrays have length n.

    reference, predicted, std, lower, upper: unit of the quantity; force_norm: |F_predicted| of the row's atom (energies, stress: root
    mean square over the frame), eV/Angstrom; groups: group of the row's frame; frames: its index; elements: of the row's atom, None
    where a label belongs to no atom; certifiable: False for rows below the leverage floor of the file, None where the file does not
    say; others: bars of other methods by name; thresholds: of abs(error) for auroc; calibrated: energy_error or stress_error of the labels;
    atoms: index of the row's atom in its frame; components: x, y, z, or xx and so on, as text.
    """

    reference: np.ndarray
    predicted: np.ndarray
    std: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    force_norm: np.ndarray
    groups: np.ndarray
    frames: np.ndarray | None = None
    elements: np.ndarray | None = None
    certifiable: np.ndarray | None = None
    others: dict[str, Bars] = field(default_factory=dict)
    thresholds: tuple[float, ...] = ()
    calibrated: CalibratedBars | None = None
    atoms: np.ndarray | None = None
    components: np.ndarray | None = None

    @property
    def error(self) -> np.ndarray:
        """Label minus prediction."""
        return self.reference - self.predicted

    def metrics(self, mask: np.ndarray, n_members: int, blocks: np.ndarray | None = None) -> dict:
        """Figures of the labels where mask is true, beside the baselines that know nothing of the posterior.

        With blocks (n,) also their intervals, under the key interval.
        """
        every = has_bar(self.std)
        error, std, bar, groups = self.error[mask], self.std[mask], every[mask], self.groups[mask]
        lower, upper = self.lower[mask], self.upper[mask]
        certifiable = None if self.certifiable is None else self.certifiable[mask]
        out = bar_metrics(error, std, lower, upper, n_members, bar, groups, self.thresholds, certifiable)
        out |= self._leverage_metrics(mask, every) | self._calibrated_metrics(mask & every)
        # on the labels that the bars describe, or the two could not be compared
        scores = {CONSTANT: np.ones(len(error)), FORCE_NORM: self.force_norm[mask]}
        out["baselines"] = {
            name: baseline_metrics(error[bar], score[bar], groups[bar], self.thresholds) for name, score in scores.items()
        }
        if blocks is not None:
            out["interval"] = intervals(
                error, std, blocks[mask], lower=lower, upper=upper, bar=bar, groups=groups, thresholds=self.thresholds,
                certifiable=certifiable,
            )  # fmt: skip
        return out

    def _leverage_metrics(self, mask: np.ndarray, bar: np.ndarray) -> dict[str, Any]:
        """Rows below the leverage floor, and how the others fare."""
        if self.certifiable is None:
            return {"n_not_certifiable": None, "envelope_violation_certifiable": None}
        above = mask & bar & self.certifiable
        return {
            "n_not_certifiable": int(np.sum(mask & ~self.certifiable)),
            "envelope_violation_certifiable": violation(self.error[above], self.lower[above], self.upper[above]),
        }

    def _calibrated_metrics(self, mask: np.ndarray) -> dict[str, Any]:
        """What the calibrated bar is worth, for a file that holds one."""
        if self.calibrated is None:
            return {}
        mine = mask & np.isfinite(self.calibrated.bar)
        error, bar, level = np.abs(self.error[mine]), self.calibrated.bar[mine], self.calibrated.level
        return {"calibrated": {"level": level} | sharpness(error, bar, level, equal_frames(self.groups, self.frames, mine))}

    def bars(self) -> dict[str, Bars]:
        """Bars of all methods by name: of the posterior, the two that know nothing (scaled with hindsight), and the others."""
        bar, out = has_bar(self.std), {POPS_NAME: Bars(self.std, self.lower, self.upper)}
        for name, score in ((CONSTANT, np.ones(len(bar))), (FORCE_NORM, self.force_norm)):
            std = np.full(len(bar), np.nan)
            scaled = hindsight_std(self.error[bar], score[bar])
            if scaled is not None:
                std[bar] = scaled
                out[name] = Bars(std)
        return out | self.others

    def comparison(self) -> dict[str, dict]:
        """Figures of all methods on the labels that have a bar, by name; hindsight: its scale was set on these labels."""
        bar = has_bar(self.std)
        error, groups, out = self.error[bar], self.groups[bar], {}
        certifiable = None if self.certifiable is None else self.certifiable[bar]
        for name, mine in self.bars().items():
            std = mine.std[bar]
            figures: dict[str, Any] = {"n": len(error), "hindsight": name in HINDSIGHT, "envelope_violation": None}
            if mine.lower is not None and mine.upper is not None:
                figures["envelope_violation"] = violation(error, mine.lower[bar], mine.upper[bar])
            out[name] = figures | width_metrics(error, std, certifiable) | rank_metrics(error, std, groups, self.thresholds)
        return out

    def curve(self, n_points: int = 20) -> dict[str, list[float]]:
        """Risk-coverage curve of the bars at evenly spaced shares of retained labels."""
        bar = has_bar(self.std)
        retained, rmse = risk_coverage(self.error[bar], self.std[bar])
        if not len(retained):
            return {"retained": [], "rmse": []}
        wanted = np.arange(1, n_points + 1) / n_points
        chosen = np.clip(np.ceil(wanted * len(retained)).astype(int) - 1, 0, None)
        return {"retained": retained[chosen].tolist(), "rmse": rmse[chosen].tolist()}
