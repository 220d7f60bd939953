# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures that the tables of validation show, each with the line that defines it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lmp_uq.quantities import FORCES
from lmp_uq.report.text import Column
from lmp_uq.validation.atoms import FORCE_STD, NEIGHBOUR_GRADE
from lmp_uq.validation.samples import CONSTANT, FORCE_NORM

_RATIO = "mean |err|/std of"
_RANK = "Spearman of"
_SHARE = "share within"
_CONSTANT = ("baselines", CONSTANT)
_NORM = ("baselines", FORCE_NORM)
_MEAN = "mean_error_over_std"
_RHO = "spearman"
_EVENT = "auroc_0.3"
BAR_COLUMNS = (
    Column("", "n", ("n",), "d", "labels"),
    Column("", "MAE", ("mae",), "#.3g", "mean of |err|, with err = label minus prediction"),
    Column("", "RMSE", ("rmse",), "#.3g", "root of the mean of err^2"),
    Column("outside", "bounds", ("envelope_violation",), ".3f", "share of labels outside K-member bounds"),
    Column(_RATIO, "bars", (_MEAN,), ".2f", "0.80 for Gaussian errors of that std; more: too narrow"),
    Column(_RATIO, "const", (*_CONSTANT, _MEAN), ".2f", "the same of a bar that is the RMSE for every label"),
    Column(_RATIO, "|F|", (*_NORM, _MEAN), ".2f", "the same of a bar in proportion to |F_predicted|"),
    Column(_RANK, "bars", (_RHO,), ".2f", "rank correlation of |err| with std; 1: they order alike"),
    Column(_RANK, "|F|", (*_NORM, _RHO), ".2f", "rank correlation of |err| with |F_predicted|"),
    Column(_SHARE, "1 std", ("within_1_std",), ".3f", "share of |err| <= std; Gaussian: 0.683"),
    Column(_SHARE, "2 std", ("within_2_std",), ".3f", "share of |err| <= 2 std; Gaussian: 0.954"),
    Column(_SHARE, "3 std", ("within_3_std",), ".3f", "share of |err| <= 3 std; Gaussian: 0.997"),
)

WORTH_COLUMNS = (
    Column("", "coverage", ("coverage",), ".3f", "share of errors that are not above the bar; aim: 0.90"),
    Column("median", "width", ("median_width",), "#.3g", "median of the bars, unit of the label"),
    Column("width", "/oracle", ("width_over_oracle",), "#.3g", "over the constant bar that would have covered 0.90, known afterwards"),
    Column("", "pinball", ("pinball",), "#.3g", "loss over that of this constant bar; below 1 the bar follows the labels"),
    Column("", "Spearman", (_RHO,), ".2f", "rank correlation of the sizes of the errors with the bars"),
)

FORCE_ERROR_COLUMNS = (
    Column("", "frames", ("n_frames",), "d", "frames with force labels"),
    Column("", "atoms", ("n",), "d", "atoms that the figures are about: all but those of the last two columns"),
    *WORTH_COLUMNS,
    Column("grade", "> 1", ("grade_above_1",), ".3f", "share of atoms beyond the edge of the training atoms"),
    Column("no", "bar", ("n_infinite",), "d", "atoms of an element without grade, or near one"),
    Column("by", "symmetry", ("n_symmetric",), "d", "atoms whose force vanishes by symmetry: |F| and error below 0.001 eV/Angstrom"),
)

CALIBRATED_COLUMNS = (
    Column("", "labels", ("calibrated", "n"), "d", "labels that have a calibrated bar"),
    *(c._replace(path=("calibrated", "width" if c.head == "width" else c.path[0])) for c in WORTH_COLUMNS),
)

CALIBRATION_COLUMNS = (
    Column("covered by interval", "50 %", ("coverage_50",), ".3f", "share of |err| <= 0.674 std, the Gaussian 50 % interval"),
    Column("covered by interval", "90 %", ("coverage_90",), ".3f", "share of |err| <= 1.645 std, the Gaussian 90 % interval"),
    Column("covered by interval", "95 %", ("coverage_95",), ".3f", "share of |err| <= 1.960 std, the Gaussian 95 % interval"),
    Column("miscal.", "area", ("miscalibration_area",), ".3f", "mean |observed - nominal coverage| over nominal levels; 0 is perfect"),
    Column("", "CRPS", ("crps",), "#.3g", "continuous ranked probability score of a Gaussian of that std, unit of label; less is better"),
    Column("", "sharpness", ("sharpness",), "#.3g", "root mean square of std, unit of the label"),
    Column("Spearman", "in groups", ("spearman_within_groups",), ".2f", "mean of the rank correlations inside groups, weighted by labels"),
    Column("risk-cov.", "gain", ("risk_coverage_gain",), ".2f", "area under the risk-coverage curve; 1: as the errors order, 0: chance"),
    Column("not", "certif.", ("n_not_certifiable",), "d", "rows below the leverage floor of the fit; -: the file does not say"),
)

COMPARISON_COLUMNS = (
    Column("outside", "bounds", ("envelope_violation",), ".3f", "share of labels outside the bounds, for methods that have bounds"),
    Column("covered", "90 %", ("coverage_90",), ".3f", "share of |err| <= 1.645 std"),
    Column("mean", "|err|/std", (_MEAN,), ".2f", "0.80 for Gaussian errors of that std; more: too narrow"),
    Column("Spearman", "all", (_RHO,), ".2f", "rank correlation of |err| with std; 1: they order alike"),
    Column("Spearman", "in groups", ("spearman_within_groups",), ".2f", "mean of the rank correlations inside groups, weighted by labels"),
    Column("AUROC", "> 0.3", (_EVENT,), ".2f", "chance that the bar is larger where |err| > 0.3 eV/Angstrom; a constant has 0.5"),
    Column("", "CRPS", ("crps",), "#.3g", "continuous ranked probability score, unit of the label; less is better"),
    Column("miscal.", "area", ("miscalibration_area",), ".3f", "mean |observed - nominal coverage|; 0 is perfect"),
    Column("", "sharpness", ("sharpness",), "#.3g", "root mean square of std, unit of the label"),
)

AUROC_COLUMNS = (
    Column("AUROC of |F error|", "> 0.1", ("auroc_0.1",), ".2f", "chance that the bar is larger where |F error| > 0.1 eV/Angstrom"),
    Column("AUROC of |F error|", "> 0.3", (_EVENT,), ".2f", "the same for 0.3 eV/Angstrom; a constant has 0.5"),
    Column("AUROC of |F error|", "> 1.0", ("auroc_1.0",), ".2f", "the same for 1.0 eV/Angstrom"),
)

_BY_GROUP = "by_group"
_BAND = "groups covered"
SCORE_COLUMNS = (
    Column(_BAND, "0.85-0.97", (_BY_GROUP, "in_band"), "d", "groups that are covered as they should"),
    Column(_BAND, "less", (_BY_GROUP, "below"), "d", "groups covered by less than 0.85"),
    Column(_BAND, "more", (_BY_GROUP, "above"), "d", "groups covered by more than 0.97"),
    Column("width", "/oracle", (_BY_GROUP, "width_over_oracle"), "#.3g", "geometric mean over the groups"),
    Column("", "pinball", (_BY_GROUP, "pinball"), "#.3g", "geometric mean over the groups"),
    Column("Spearman", "in groups", (_BY_GROUP, _RHO), ".2f", "mean of the rank correlations inside groups, all groups alike"),
    *AUROC_COLUMNS,
)

SHORT = {CONSTANT: "const", FORCE_NORM: "|F|", FORCE_STD: "std", NEIGHBOUR_GRADE: "G"}
"""Names of scores where there is little room."""
BESIDE = (("coverage", "width_over_oracle"), ("pinball", _RHO))
"""Figures of force_error that stand beside those of other scores: two of them in a table."""
_OF_METHODS = {
    "coverage": ("coverage of", ".2f"),
    "width_over_oracle": ("width/oracle of", "#.2g"),
    "pinball": ("pinball of", "#.2g"),
    _RHO: ("Spearman of", ".2f"),
}


def beside_columns(figures: Sequence[str], methods: Iterable[str]) -> list[Column]:
    """Figures of force_error ("bar") beside those of other scores; a star marks bars scaled with hindsight.

    Parameters
    ----------
    figures : sequence of str
        Any of coverage, width_over_oracle, pinball, spearman.
    methods : iterable of str
        Names of the baselines.
    """
    methods, out = list(methods), []
    for figure in figures:
        over, form = _OF_METHODS[figure]
        out.append(Column(over, "bar", (figure,), form, f"{over} {FORCES.bar}"))
        known = [name for name in methods if figure != _RHO or name != CONSTANT]
        out += [Column(over, f"{SHORT.get(n, n)}*", ("baselines", n, figure), form, f"{over} the score {n}") for n in known]
    return out


LEFT_OUT_COLUMNS = (
    Column("", "frames", ("n_frames",), "d", "frames of the group"),
    Column("", "atoms", ("n",), "d", "atoms of the group"),
    Column("", "coverage", ("coverage",), ".3f", "share of atoms with |F error| <= force_error"),
    Column("median", "width", ("width",), "#.3g", "median of force_error, eV/Angstrom"),
    Column("width", "/oracle", ("width_over_oracle",), "#.3g", "over the constant bar that would have covered 0.90, known afterwards"),
    Column("", "pinball", ("pinball",), "#.3g", "loss over that of this constant bar; below 1 the bar follows the atoms"),
    Column("", "Spearman", ("spearman",), ".2f", "rank correlation of |F error| with force_error in the group"),
    Column("no", "bar", ("n_infinite",), "d", "atoms of an element without grade, or near one; in no other figure"),
    Column("by", "symmetry", ("n_symmetric",), "d", "atoms whose force vanishes by symmetry; in no other figure"),
)
