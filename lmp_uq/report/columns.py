# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures that the tables of validation show, each with the line that defines it."""

from __future__ import annotations

from lmp_uq.quantities import FORCES
from lmp_uq.report.text import Column

_RATIO = "mean |err|/std of"
_RANK = "Spearman of"
_SHARE = "share within"
_AUROC = "AUROC > 0.3 of"
_CONSTANT = ("baselines", "constant")
_NORM = ("baselines", "|F_predicted|")
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

FORCE_ERROR_COLUMNS = (
    Column("", "atoms", ("n_atoms",), "d", "atoms with force labels"),
    Column("", "coverage", ("coverage",), ".3f", "share of atoms with |F error| <= force_error; aim: 0.90"),
    Column("median", "width", ("median_width",), "#.3g", "median of force_error"),
    Column(_RANK, FORCES.bar, (_RHO,), ".2f", "rank correlation of |F error| with force_error"),
    Column(_RANK, "|F|", (*_NORM, _RHO), ".2f", "rank correlation of |F error| with |F_predicted|"),
    Column(_AUROC, FORCES.bar, (_EVENT,), ".2f", "chance that force_error is larger for |F error| > 0.3"),
    Column(_AUROC, "|F|", (*_NORM, _EVENT), ".2f", "chance that |F_predicted| is; a constant has 0.5"),
    Column("grade", "> 1", ("grade_above_1",), ".3f", "share of atoms beyond the edge of the training atoms"),
    Column("no", "bar", ("n_infinite",), "d", "atoms of an element without grade; not in coverage and width"),
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

RANKING_COLUMNS = (
    Column("Spearman", "all", (_RHO,), ".2f", "rank correlation of |F error| with the score"),
    Column("Spearman", "in groups", ("spearman_within_groups",), ".2f", "mean of the rank correlations inside groups, weighted by atoms"),
    Column("AUROC of |F error|", "> 0.1", ("auroc_0.1",), ".2f", "chance that the score is larger where |F error| > 0.1 eV/Angstrom"),
    Column("AUROC of |F error|", "> 0.3", (_EVENT,), ".2f", "the same for 0.3 eV/Angstrom; a constant has 0.5"),
    Column("AUROC of |F error|", "> 1.0", ("auroc_1.0",), ".2f", "the same for 1.0 eV/Angstrom"),
)

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
