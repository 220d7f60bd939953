# SPDX-License-Identifier: GPL-2.0-or-later
"""Factors and error models that turn signals into honest intervals.

Imports numpy and scipy only, but for the trainings in `quantile_network`, `ordinal_head` and `probe_training`.
"""

from __future__ import annotations

from lmp_uq.calibration.conformal import (
    conformal_quantile,
    group_quantiles,
    leave_one_group_out_coverage,
    pooled_and_conservative,
    split_by_group,
)
from lmp_uq.calibration.force_error import ForceError
from lmp_uq.calibration.force_error_fit import fit_force_error, leave_one_group_out
from lmp_uq.calibration.ordinal_head import OrdinalHead
from lmp_uq.calibration.probe import Probe
from lmp_uq.calibration.quantile_network import QuantileNetwork, train_quantile_network
from lmp_uq.calibration.scaled_error import ScaledError, fit_scaled_error, scaled_leave_one_group_out
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.calibration.versions import force_error_of

__all__ = [
    "ForceError",
    "ForceVariables",
    "OrdinalHead",
    "Probe",
    "QuantileNetwork",
    "ScaledError",
    "conformal_quantile",
    "fit_force_error",
    "fit_scaled_error",
    "force_error_of",
    "group_quantiles",
    "leave_one_group_out",
    "leave_one_group_out_coverage",
    "pooled_and_conservative",
    "scaled_leave_one_group_out",
    "split_by_group",
    "train_quantile_network",
]
