# SPDX-License-Identifier: GPL-2.0-or-later
"""What fit, calibrate and validate found: dataclasses that print as the verbs do, with the JSON of the verbs behind `to_dict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmp_uq.errors import UqError
from lmp_uq.metrics.bars import LEVELS
from lmp_uq.model import Model
from lmp_uq.report.calibration import describe_calibration
from lmp_uq.report.files import FIGURES, draw, plain_json, write_report
from lmp_uq.report.fit import describe_fit
from lmp_uq.report.validation import describe_validation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES_OF_FIGURES = {"reliability": "calibration"}
"""Other words for figures."""


@dataclass(frozen=True, repr=False, kw_only=True)
class Result:
    """What a verb found."""

    found: Mapping[str, Any] = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything that was found, in the types of JSON: what ``--json`` writes."""
        return plain_json(self.found, "the result")

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Rows:
    """Rows of one kind of label: how many, and how many below the leverage floor."""

    rows: int
    below_floor: int


@dataclass(frozen=True, repr=False, kw_only=True)
class FitResult(Result):
    """What a fit found, and where it was written.

    Attributes
    ----------
    out : str
    n_frames : int
        Of the posterior.
    rows : dict of {"energy", "forces", "stress"} to Rows
    dof : float
        Effective degrees of freedom.
    ridge, leverage_floor : float
        Relative, as chosen.
    energy_offsets : dict
        eV/atom by element, taken off the labels.
    """

    out: str
    n_frames: int
    rows: dict[str, Rows]
    dof: float
    ridge: float
    leverage_floor: float
    energy_offsets: dict[str, float]

    @classmethod
    def of(cls, report: Mapping[str, Any], out: str) -> FitResult:
        """From what `lmp_uq.recipes.fit.fit` returns."""
        same = {name: report[name] for name in ("n_frames", "dof", "ridge", "leverage_floor", "energy_offsets")}
        rows = {kind: Rows(mine.get("rows", 0), mine.get("below_floor", 0)) for kind, mine in report["rows"].items()}
        return cls(found=report, out=out, rows=rows, **same)

    def __str__(self) -> str:
        return f"{describe_fit(self.found)}\n{self.out}: written"

    def model(self, **options: Any) -> Model:
        """The file that was written. See `Model.load`."""
        return Model.load(self.out, **options)


@dataclass(frozen=True)
class Factor:
    """A calibrated bar: its factor (of the std, or of the exponential in its formula), the conservative one, and the mean bar."""

    factor: float | None
    conservative_factor: float | None
    width: float | None


@dataclass(frozen=True)
class CalibratedLabel:
    """Labels of one kind and their bars before and after; coverage: share of these labels inside the old bars."""

    n: int
    n_frames: int
    coverage_before: float | None
    before: Factor | None
    after: Factor

    @classmethod
    def of(cls, mine: Mapping[str, Any]) -> CalibratedLabel:
        """From a report of `lmp_uq.calibration.labels`."""
        before, after = mine.get("before") or {}, mine["after"]
        return cls(mine["n"], mine["n_blocks"], before.get("coverage"), _factor(before) if before else None, _factor(after))


@dataclass(frozen=True, repr=False, kw_only=True)
class CalibrationResult(Result):
    """What a calibration found, and where it was written.

    Attributes
    ----------
    out : str
    n_frames : int
    in_sample : bool
        Whether frames with another role in the file were accepted.
    labels : dict of {"force_error", "energy_error", "stress_error"} to CalibratedLabel
    left_out : dict
        Why a kind of label was not calibrated.
    warnings : list of str
    energy_offsets : dict
        eV/atom by element.
    """

    out: str
    n_frames: int
    in_sample: bool
    labels: dict[str, CalibratedLabel]
    left_out: dict[str, str]
    warnings: list[str]
    energy_offsets: dict[str, float]

    @classmethod
    def of(cls, report: Mapping[str, Any], out: str) -> CalibrationResult:
        """From what `lmp_uq.recipes.calibrate.calibrate` returns."""
        same = {name: report[name] for name in ("n_frames", "in_sample", "left_out", "warnings", "energy_offsets")}
        return cls(found=report, out=out, labels={name: CalibratedLabel.of(mine) for name, mine in report["labels"].items()}, **same)

    def __str__(self) -> str:
        return f"{describe_calibration(self.found)}\n{self.out}: written"

    def model(self, **options: Any) -> Model:
        """The file that was written. See `Model.load`."""
        return Model.load(self.out, **options)


@dataclass(frozen=True)
class Bars:
    """Errors of one quantity and what its bars are worth; None: too few labels to say.

    Attributes
    ----------
    n, n_members : int
        Labels; K of the bounds.
    mae, rmse, sharpness, crps : float
        Unit of the label: eV/atom, eV/Angstrom, eV/Angstrom^3.
    coverage : dict of level to share
        Of labels inside the Gaussian interval of that level.
    envelope_violation : float
        Share of labels outside the bounds.
    mean_error_over_std, spearman, miscalibration_area : float
        See `lmp_uq.metrics.bars`.
    figures : dict
        These and all others by name.
    """

    n: int
    n_members: int
    mae: float | None
    rmse: float | None
    coverage: dict[float, float | None]
    envelope_violation: float | None
    mean_error_over_std: float | None
    spearman: float | None
    crps: float | None
    sharpness: float | None
    miscalibration_area: float | None
    figures: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Bars:
        """From the figures of `lmp_uq.validation.samples.Samples.metrics`."""
        coverage = {level: found.get(f"coverage_{100 * level:.0f}") for level in LEVELS}
        return cls(coverage=coverage, figures=found, **_same(cls, found))


@dataclass(frozen=True)
class GroupCounts:
    """The headline of bars of level 0.9; None: no group to say.

    Attributes
    ----------
    n_groups, in_band, below, above : int
        Groups; those covered by 0.85 to 0.97, by less, by more.
    width_over_oracle, pinball : float
        Geometric means over the groups, see `lmp_uq.metrics.sharpness.sharpness`.
    spearman : float
        Mean over the groups.
    """

    n_groups: int
    in_band: int
    below: int
    above: int
    width_over_oracle: float | None
    pinball: float | None
    spearman: float | None


@dataclass(frozen=True)
class ForceErrors:
    """What force_error is worth; None: too few atoms to say.

    Attributes
    ----------
    n_atoms, n_infinite, n_symmetric : int
        Atoms with labels; those without a bar; those whose force vanishes by symmetry. The figures are about the others.
    coverage : dict of level to share
        Of atoms with abs(F error) <= force_error of that level; frames of a group with equal weights, groups too.
    median_width : float
        eV/Angstrom.
    width_over_oracle, pinball : float
        See `lmp_uq.metrics.sharpness.sharpness`.
    spearman, spearman_within_groups : float
        Rank correlation of abs(F error) with force_error.
    grade_above_1 : float
        Share of atoms beyond the edge of the training atoms.
    by_group : GroupCounts or None
        Of all atoms: how the groups fare; None of a part.
    figures : dict
        These and all others by name, those of other scores under baselines.
    """

    n_atoms: int
    n_infinite: int
    n_symmetric: int
    coverage: dict[float, float | None]
    median_width: float | None
    width_over_oracle: float | None
    pinball: float | None
    spearman: float | None
    spearman_within_groups: float | None
    grade_above_1: float | None
    by_group: GroupCounts | None
    figures: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> ForceErrors:
        """From the figures of `lmp_uq.validation.atoms.AtomSamples.metrics`."""
        coverage = {float(level): share for level, share in found["coverage_by_level"].items()}
        by_group = GroupCounts(**found["by_group"]) if "by_group" in found else None
        return cls(**_same(cls, found) | {"coverage": coverage, "figures": found, "by_group": by_group})


@dataclass(frozen=True)
class Part:
    """What was found on a part of the labels, or on all; None: no labels."""

    energy_per_atom: Bars | None
    forces: Bars | None
    stress: Bars | None
    force_error: ForceErrors | None

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Part:
        """From the figures of `lmp_uq.validation.parts.figures`."""
        bars = {name: Bars.of(found[name]) if name in found else None for name in ("energy_per_atom", "forces", "stress")}
        return cls(force_error=ForceErrors.of(found["force_error"]) if "force_error" in found else None, **bars)


@dataclass(frozen=True, repr=False, kw_only=True)
class ValidationReport(Result):
    """Errors of a model and the worth of its bars, on frames that it did not see.

    Attributes
    ----------
    model, sha256 : str
    n_frames : int
    in_sample : bool
        Whether frames that shaped the file were accepted.
    energy_per_atom, forces, stress : Bars or None
        eV/atom, eV/Angstrom, eV/Angstrom^3.
    force_error : ForceErrors or None
    groups, elements : dict of Part
    suspicious : list of dict
        Frames whose labels may be wrong, see `lmp_uq.validation.suspicious.suspicious_frames`.
    """

    samples: Mapping[str, Any] = field(compare=False)
    model: str
    sha256: str
    n_frames: int
    in_sample: bool
    energy_per_atom: Bars | None
    forces: Bars | None
    stress: Bars | None
    force_error: ForceErrors | None
    groups: dict[str, Part]
    elements: dict[str, Part]
    suspicious: list[dict[str, Any]]

    @classmethod
    def of(cls, result: Mapping[str, Any], samples: Mapping[str, Any]) -> ValidationReport:
        """From what `lmp_uq.recipes.validate.validate` returns."""
        same = {name: result[name] for name in ("model", "sha256", "n_frames", "in_sample", "suspicious")}
        groups, elements = ({name: Part.of(mine) for name, mine in result[axis].items()} for axis in ("groups", "elements"))
        return cls(found=result, samples=samples, groups=groups, elements=elements, **vars(Part.of(result)), **same)

    def __str__(self) -> str:
        return describe_validation(self.found)

    def figure(self, name: str) -> Figure:
        """One of the figures of the report; ``savefig`` writes it, and a notebook shows it.

        Parameters
        ----------
        name : str
            groups, parity, error_uncertainty, error_distribution, binned_errors, bagging, calibration (or reliability), risk_coverage.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UqError
            Another name, or nothing to draw in it.
        """
        name = NAMES_OF_FIGURES.get(name, name)
        if name not in FIGURES:
            raise UqError(f"there is no figure {name!r}; accepted: {', '.join([*FIGURES, *NAMES_OF_FIGURES])}")
        figure = draw(name, self.samples)
        if figure is None:
            needs = "bagging needs baselines=True, groups needs force_error, the others labels with a bar"
            raise UqError(f"there is nothing to draw in figure {name!r}: {needs}")
        return figure

    def write(self, folder: str | Path) -> None:
        """Write report.html, report.md and all figures into a folder. UqError if that cannot be done."""
        write_report(folder, self.found, self.samples)


def _factor(found: Mapping[str, Any]) -> Factor:
    return Factor(found.get("factor"), found.get("conservative_factor"), found.get("width"))


def _same(kind: type, found: Mapping[str, Any]) -> dict[str, Any]:
    """Figures whose names are those of the fields of a dataclass."""
    return {one.name: found.get(one.name) for one in fields(kind) if one.name not in ("coverage", "figures")}
