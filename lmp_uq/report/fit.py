# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``lmp-uq fit`` prints: plain text of at most 100 columns, no colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lmp_uq.quantities import LABELS
from lmp_uq.report.calibration import left_out_lines
from lmp_uq.report.rows import suspicious_lines
from lmp_uq.report.text import Column, number, printable, table, wrap

BELOW_FLOOR = "below the leverage floor: not certified by the box"


def describe_fit(report: Mapping[str, Any]) -> str:
    """What `lmp_uq.recipes.fit.fit` found.

    Parameters
    ----------
    report : dict
        As `lmp_uq.recipes.fit.fit` returns it.

    Returns
    -------
    str
        Lines of at most `WIDTH` characters.
    """
    rows = _row_lines(report["rows"])
    rows.append(f"{report['n_frames']} frames, {number(report['dof'], '.4g')} effective degrees of freedom")
    blocks = [rows, _group_lines(report), _path_lines(report.get("ridge_path"), "ridge", report.get("ridge"))]
    blocks += [_path_lines(report.get("floor_path"), "leverage_floor", report["leverage_floor"])]
    blocks += [_floor_lines(report), left_out_lines(report["force_error_leave_one_group_out"])]
    blocks.append(_readout_lines(report.get("p_readout")))
    if report["energy_offsets"]:
        blocks.append(wrap(offsets_text(report["energy_offsets"])))
    blocks.append(suspicious_lines([one for mine in report.get("suspicious", {}).values() for one in mine]))
    blocks = [lines for lines in blocks if lines]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _row_lines(counts):
    lines = [f"{'rows':8}{'in all':>10}  {BELOW_FLOOR}"]
    for kind in LABELS:
        mine = counts.get(kind, {})
        lines.append(f"{kind:8}{mine.get('rows', 0):>10}  {mine.get('below_floor', 0)}")
    return lines


def _group_lines(report):
    """Rows by group, where there is more than one."""
    groups = report.get("groups") or {}
    if len(groups) < 2:
        return []
    columns = []
    for kind in LABELS:
        columns += [Column(kind, "rows", (kind, "rows"), "d", ""), Column(kind, "below", (kind, "below_floor"), "d", "")]
    return table("group", columns, sorted(groups.items()))


def _path_lines(path, name, chosen):
    """What was tried on left-out groups."""
    if not path:
        return []
    figures = {"violation": "outside K=512", "error_over_std": "|err|/std", "std_over_rmse": "std/RMSE", "below_floor": "below floor"}
    columns = [Column("", head, (key,), ".3f", "") for key, head in figures.items()]
    rows = [(f"{row[name]:g}" + "   chosen" * math.isclose(row[name], chosen, rel_tol=1e-6), row) for row in path]
    return [f"{name.replace('_', ' ')} chosen on left-out groups", *table(name.replace("_", " "), columns, rows)]


def _floor_lines(report):
    """The leverage floor, and the floors that were tried."""
    floor, tried = report["leverage_floor"], report["floors_tried"]
    if report.get("floor_path"):
        return []
    if not tried:
        return wrap(f"leverage floor {floor:g}, not compared with others on calibration frames")
    wide = any(min(one["std_over_rmse"].values(), default=0.0) >= 1.0 for one in tried)
    reason = "the narrowest bars with 1 or more for both"
    if not wide:
        reason = "with every floor the bars of energies or of forces are narrower than the errors, with this one the least"
    lines = wrap(f"leverage floor {floor:g}, chosen by std/RMSE on the calibration frames: {reason}")
    lines.append(f"{'floor':8}{'energies':>10}{'forces':>10}")
    for one in tried:
        energies, forces = (number(one["std_over_rmse"].get(k), ".2f") for k in ("energy", "forces"))
        chosen = "   chosen" * (one["floor"] == floor)
        lines.append(f"{one['floor']:<8g}{energies:>10}{forces:>10}{chosen}")
    return lines


def _readout_lines(found):
    """Trainings of a P-readout, and its groups beside POPS."""
    if not found:
        return []
    taken = "; ".join(f"seed {one['seed']}: {one['loss']:.4g}" + " (taken)" * bool(one["chosen"]) for one in found["trainings"])
    lines = wrap(f"P-readout, trained on {found['n_frames']} frames; loss on a sixth of them, kept back: {taken}")
    lines += wrap("force components of each group, eV/Angstrom; spread/skill is 1 where the members are as far apart as they are wrong")
    columns = [Column("", "MAE", ("mae",), ".4f", "")]
    for key, head in (("pops", "POPS"), ("p_readout", "P-readout")):
        columns += [Column(head, "CRPS", (key, "crps"), ".4f", ""), Column(head, "spread", (key, "spread_skill"), ".2f", "")]
        columns += [Column(head, "rho", (key, "spearman"), ".2f", "")]
    rows = [(group + ", left out" * (not one["known"]), one) for group, one in found["groups"].items()]
    lines += table("group", columns, rows)
    return lines + wrap("it answers for atoms whose grade is at most 1, and POPS for the others")


def offsets_text(offsets: Mapping[str, float]) -> str:
    """Energies by element that were taken off, in a sentence."""
    values = ", ".join(f"{printable(element)} {value:+.4f}" for element, value in offsets.items())
    return f"energy offsets taken off the labels, eV/atom: {values}"


