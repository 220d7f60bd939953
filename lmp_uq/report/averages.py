# SPDX-License-Identifier: GPL-2.0-or-later
"""Averages over the frames of a run, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.averages.sampling import ENERGY, PRESSURE
from lmp_uq.report.text import Column, table, wrap

COLUMNS = (
    Column("", "mean", ("mean",), "#.7g", "average over the frames"),
    Column("", "std", ("std",), "#.3g", "root mean square departure over the posterior, first order, closed form"),
    Column("bounds of members", "lower", ("lower",), "#.5g", "expected least of K members"),
    Column("bounds of members", "upper", ("upper",), "#.5g", "expected largest"),
    Column("block error of", "mean", ("mean_error",), "#.2g", "statistical error of the average"),
    Column("block error of", "bar", ("bar_error",), "#.2g", "statistical error of the members' shifts, in the std beside what it is about"),
    Column("rms of members", "cumulant", ("cumulant_rms",), "#.3g", "first order, over the members that were reweighted"),
    Column("rms of members", "direct", ("direct_rms",), "#.3g", "by weights, over the same members"),
)


def describe_averages(result: Mapping[str, Any]) -> str:
    """Lines of at most `lmp_uq.report.text.WIDTH` characters."""
    observables = result["observables"]
    rows = [(f"{name}{'' if figures['explicit'] else ' *'}", figures) for name, figures in observables.items()]
    head = (
        f"{result['n_frames']} frames, {result['temperature']:g} K, K = {result['n_members']} members; of the first "
        f"{result['n_test_members']}: var(h) median {result['variance_median']:.3g}, 90 % {result['variance_90']:.3g}; effective sample "
        f"size over frames: median {result['effective_share_median']:.3g}, least {result['effective_share_least']:.3g}"
    )
    foot = [f"{ENERGY} in eV" + (f", {PRESSURE} in bar" if PRESSURE in observables else "")]
    if any(not figures["explicit"] for figures in observables.values()):
        foot.append("* taken as a function of the positions only: <da/dTheta> = 0")
    if result["cell_changes"]:
        foot.append("the cell changes: Phi is that of the cell of each frame, so what the volume does is in the covariance")
    return "\n".join([*wrap(head), *table("observable", COLUMNS, rows), *(line for text in foot for line in wrap(text))])
