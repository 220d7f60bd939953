# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels with their error bars, and the figures of a part of them: all, one group, one element."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lmp_uq.metrics.bars import (
    bar_metrics,
    baseline_metrics,
    has_bar,
    hindsight_std,
    rank_metrics,
    risk_coverage,
    share,
    spearman,
    violation,
    width_metrics,
)
from lmp_uq.metrics.bootstrap import intervals, share_interval
from lmp_uq.metrics.sharpness import sharpness
from lmp_uq.quantities import FORCES, by_key

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
    say; others: bars of other methods by name; thresholds: of abs(error) for auroc; calibrated: energy_error or stress_error of the labels.
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

    @property
    def error(self):
        """Label minus prediction."""
        return self.reference - self.predicted

    def metrics(self, mask, n_members, blocks=None) -> dict:
        """Figures of the labels where mask is true, beside the baselines that know nothing of the posterior.

        With blocks (n,) also their intervals, under the key interval.
        """
        every = has_bar(self.std)
        error, std, bar, groups = self.error[mask], self.std[mask], every[mask], self.groups[mask]
        lower, upper = self.lower[mask], self.upper[mask]
        out = bar_metrics(error, std, lower, upper, n_members, bar, groups, self.thresholds)
        out |= self._leverage_metrics(mask, every) | self._calibrated_metrics(mask & every)
        # on the labels that the bars describe, or the two could not be compared
        scores = {CONSTANT: np.ones(len(error)), FORCE_NORM: self.force_norm[mask]}
        out["baselines"] = {
            name: baseline_metrics(error[bar], score[bar], groups[bar], self.thresholds) for name, score in scores.items()
        }
        if blocks is not None:
            out["interval"] = intervals(
                error, std, blocks[mask], lower=lower, upper=upper, bar=bar, groups=groups, thresholds=self.thresholds
            )
        return out

    def _leverage_metrics(self, mask, bar):
        """Rows below the leverage floor, and how the others fare."""
        if self.certifiable is None:
            return {"n_not_certifiable": None, "envelope_violation_certifiable": None}
        above = mask & bar & self.certifiable
        return {
            "n_not_certifiable": int(np.sum(mask & ~self.certifiable)),
            "envelope_violation_certifiable": violation(self.error[above], self.lower[above], self.upper[above]),
        }

    def _calibrated_metrics(self, mask):
        """What the calibrated bar is worth, for a file that holds one."""
        if self.calibrated is None:
            return {}
        mine = mask & np.isfinite(self.calibrated.bar)
        error, bar, level = np.abs(self.error[mine]), self.calibrated.bar[mine], self.calibrated.level
        return {"calibrated": {"level": level} | sharpness(error, bar, level)}

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
        for name, mine in self.bars().items():
            std = mine.std[bar]
            figures = {"n": len(error), "hindsight": name in HINDSIGHT, "envelope_violation": None}
            if mine.lower is not None:
                figures["envelope_violation"] = violation(error, mine.lower[bar], mine.upper[bar])
            out[name] = figures | width_metrics(error, std) | rank_metrics(error, std, groups, self.thresholds)
        return out

    def curve(self, n_points=20) -> dict[str, list[float]]:
        """Risk-coverage curve of the bars at evenly spaced shares of retained labels."""
        bar = has_bar(self.std)
        retained, rmse = risk_coverage(self.error[bar], self.std[bar])
        if not len(retained):
            return {"retained": [], "rmse": []}
        wanted = np.arange(1, n_points + 1) / n_points
        chosen = np.clip(np.ceil(wanted * len(retained)).astype(int) - 1, 0, None)
        return {"retained": retained[chosen].tolist(), "rmse": rmse[chosen].tolist()}


@dataclass
class AtomSamples:
    """Per atom: size of the force error, force_error (the 90 % quantile that the file predicts), |F_predicted|, grade, group.

    levels: force_error of every level that the file has, by level; frames, elements: of the atom; scores: of other methods by name,
    larger for atoms where they expect larger errors.
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

    def metrics(self, mask, blocks=None) -> dict:
        """Coverage and ranking of force_error, beside the ranking by |F_predicted|.

        Coverage and median_width leave out the n_infinite atoms of elements without grade: an infinite bar
        covers everything.
        """
        error, bar, norm = self.error[mask], self.force_error[mask], self.force_norm[mask]
        finite, groups = np.isfinite(bar), self.groups[mask]
        out = {
            "n_atoms": len(error),
            "n_infinite": int(np.sum(~finite)),
            "coverage": share(error[finite] <= bar[finite]),
            "coverage_by_level": {f"{level:g}": _covered(error, mine[mask]) for level, mine in self.levels.items()},
            "median_width": float(np.median(bar[finite])) if finite.any() else None,
            "grade_above_1": share(self.grade[mask] > 1.0),
        }
        out |= _ranking(error, bar, groups)
        nothing = _ranking(error, np.ones(len(error)), groups)
        out["baselines"] = {
            CONSTANT: dict.fromkeys(nothing),
            FORCE_NORM: _ranking(error, norm, groups),
        }
        if blocks is not None:
            out["interval"] = self._intervals(mask, blocks)
        return out

    def _intervals(self, mask, blocks):
        finite = mask & np.isfinite(self.force_error)
        found = intervals(
            self.error[mask], self.force_error[mask], blocks[mask], bar=np.isfinite(self.force_error[mask]),
            groups=self.groups[mask], thresholds=FORCE_THRESHOLDS,
        )  # fmt: skip
        names = ("spearman", "spearman_within_groups", *(f"auroc_{t:.1f}" for t in FORCE_THRESHOLDS))
        coverage = share_interval(self.error[finite] <= self.force_error[finite], blocks[finite])
        return {"coverage": coverage} | {name: found[name] for name in names}

    def comparison(self) -> dict[str, dict]:
        """How well the scores of atoms rank |F error|, by name."""
        scores = {FORCES.bar: self.force_error, FORCE_NORM: self.force_norm, "grade": self.grade} | self.scores
        out = {name: {"n": len(self.error)} | _ranking(self.error, score, self.groups) for name, score in scores.items()}
        return out | {CONSTANT: {"n": len(self.error)} | dict.fromkeys(_ranking(self.error, self.error, self.groups))}


def _covered(error, bar):
    finite = np.isfinite(bar)
    return share(error[finite] <= bar[finite])


def _ranking(error, score, groups):
    return {"spearman": spearman(error, score)} | rank_metrics(error, score, groups, FORCE_THRESHOLDS)


def figures(samples: Mapping[str, Samples | AtomSamples], n_members: int, blocks: str = "frame") -> dict:
    """All figures of a validation: overall, by group, by element, and of all methods.

    Parameters
    ----------
    samples : dict
        Quantities by key as Samples, force_error as AtomSamples; each may be absent.
    n_members : int
        K of the bounds.
    blocks : {"frame", "group"}
        What the bootstrap draws.

    Returns
    -------
    dict
        The quantities, groups, elements, comparison, blocks.
    """
    out = _part(samples, None, None, n_members, blocks)
    for quantity in by_key(samples):
        out[quantity.key]["risk_coverage"] = samples[quantity.key].curve()
    out["blocks"] = blocks
    groups = sorted({str(group) for mine in samples.values() for group in mine.groups})
    out["groups"] = {group: _part(samples, "groups", group, n_members, blocks) for group in groups}
    per_atom = {name: mine for name, mine in samples.items() if mine.elements is not None}
    elements = sorted({str(element) for mine in per_atom.values() for element in mine.elements})
    out["elements"] = {element: _part(per_atom, "elements", element, n_members, blocks) for element in elements}
    out["comparison"] = {name: mine.comparison() for name, mine in samples.items()}
    return out


def _part(samples, axis, value, n_members, blocks):
    """Figures of the labels whose attribute axis has a value."""
    out = {}
    for name, mine in samples.items():
        mask = np.ones(len(mine.groups), bool) if axis is None else getattr(mine, axis) == value
        block = mine.groups.astype(str) if blocks == "group" else mine.frames
        out[name] = mine.metrics(mask, block) if name == FORCES.bar else mine.metrics(mask, n_members, block)
    if FORCES.bar in out and FORCES.key in out:
        out[FORCES.key]["force_error_coverage"] = out[FORCES.bar]["coverage"]
    return out
