# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs print: plain text of at most 100 columns, no colours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lmp_uq.modelfile.check_linear import FAMILIES as LINEAR
from lmp_uq.modelfile.check_linear import SNAP
from lmp_uq.modelfile.file import ModelFile
from lmp_uq.modelfile.provenance import ROLES
from lmp_uq.report.calibration import calibration_lines, left_out_lines
from lmp_uq.report.text import Column, entry, number, printable, table, wrap

BELOW_FLOOR = "below the leverage floor: not certified by the box"
KINDS = ("energy", "forces", "stress")
_BIASES = {"none": "no bias", "constant": "one bias for all elements", "element": "one bias per element"}


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
    blocks = [lines for lines in blocks if lines]
    if report["energy_offsets"]:
        blocks.append(wrap(_offsets(report["energy_offsets"])))
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _row_lines(counts):
    lines = [f"{'rows':8}{'in all':>10}  {BELOW_FLOOR}"]
    for kind in KINDS:
        mine = counts.get(kind, {})
        lines.append(f"{kind:8}{mine.get('rows', 0):>10}  {mine.get('below_floor', 0)}")
    return lines


def _group_lines(report):
    """Rows by group, where there is more than one."""
    groups = report.get("groups") or {}
    if len(groups) < 2:
        return []
    columns = []
    for kind in KINDS:
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


def _offsets(offsets):
    values = ", ".join(f"{printable(element)} {value:+.4f}" for element, value in offsets.items())
    return f"energy offsets taken off the labels, eV/atom: {values}"


def describe_model(file: ModelFile) -> str:
    """What a model file holds, what is missing and what follows from that.

    Parameters
    ----------
    file : ModelFile

    Returns
    -------
    str
        Lines of at most `WIDTH` characters.
    """
    header = file.header
    backbone = header["backbone"]
    lines = entry("elements", " ".join(header["elements"]))
    lines += entry("cutoff", f"{header['cutoff']:g} Angstrom")
    lines += entry("precision", header["precision"])
    size = f"{backbone['n_parameters']} parameters, {backbone['n_features']} features per atom"
    lines += entry("backbone", f"{backbone['family']}, {size}")
    lines += _linear_lines(backbone) if backbone["family"] in LINEAR else []
    lines += _posterior_lines(header["posterior"])
    lines += _grade_lines(file)
    lines += calibration_lines(header["calibration"])
    lines += _provenance_lines(header["provenance"])
    lines += entry("sha256", file.sha256 or "none: not read from a file")
    return "\n".join(lines + _role_lines(header["provenance"]["roles"]))


def _linear_lines(backbone):
    """Settings of a linear potential that its name does not tell."""
    architecture = backbone["architecture"]
    if backbone["family"] == SNAP:
        stated = [" ".join(f"{name} {value:g}" for name, value in architecture["parameters"].items())]
    else:
        stated = [f"{role}: {words or 'none'}" for role, words in architecture["computes"].items()]
        stated += [f"runs with pair style {architecture['pair'] or 'not stated'}"]
    reference = "; ".join(architecture["reference"]["styles"] + architecture["reference"]["coefficients"])
    return [line for text in stated for line in entry("", text)] + entry("reference", reference or "none")


def _posterior_lines(posterior):
    if posterior is None:
        missing = "energy_std, energy_lower and energy_upper cannot be computed"
        return entry("posterior", f"none: {missing}, nothing to validate; lmp-uq fit adds one")
    force_members = posterior.get("n_force_members", 0)
    members = f"{posterior['n_members']} members, " + f"{force_members} force members, " * (force_members > 0)
    lines = entry("posterior", f"{members}{posterior['n_modes']} modes of the box")
    ridge = f"ridge {number(posterior['ridge'], '.3g')} (relative)"
    if isinstance(posterior["ridge"], str):
        ridge = f"ridge {posterior['ridge']} (relative {number(posterior.get('ridge_relative'), '.3g')})"
    floor = number(posterior["leverage_floor"], ".3g")
    lines += entry("", f"{ridge}, leverage floor {floor}, {_BIASES[posterior['bias']]}")
    lines += _count_lines(posterior)
    offsets = posterior.get("energy_offsets")
    return lines + (entry("", _offsets(offsets)) if isinstance(offsets, Mapping) and offsets else [])


def _count_lines(posterior):
    """Rows by kind; the SPEC leaves the form of the counts free."""
    counts = posterior["counts"] if isinstance(posterior["counts"], Mapping) else {}
    mine = [(kind, counts[kind]) for kind in KINDS if isinstance(counts.get(kind), Mapping)]
    if not mine:
        rows = posterior["rows"]
        return entry("", f"rows: {' '.join(map(str, rows)) if isinstance(rows, list) else rows}")
    texts = [f"{kind} {number(c.get('rows'), 'd')} ({number(c.get('below_floor'), 'd')})" for kind, c in mine]
    lines = entry("", f"rows of {number(counts.get('frames'), 'd')} frames: {', '.join(texts)}")
    return lines + entry("", f"in brackets the rows {BELOW_FLOOR}")


def _grade_lines(file):
    if file.header["grade"] is None:
        return entry("grade", "none: grade and force_error cannot be computed; lmp-uq fit adds one")
    radii = list(zip(file.header["elements"], file.tensors["grade/radius"].tolist(), strict=True))
    known = ", ".join(f"{element} {radius:.3g}" for element, radius in radii if math.isfinite(radius))
    unknown = " ".join(element for element, radius in radii if not math.isfinite(radius))
    lines = entry("grade", f"distance that has grade 1: {known or 'of no element'}")
    if unknown:
        lines += entry("", f"grade and force_error are inf for {unknown}: no training atoms")
    return lines


def _provenance_lines(provenance):
    lines = entry("licence", provenance["licence"])
    lines += entry("command", provenance["command"] or "unknown")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance["versions"].items()))
    lines += entry("versions", versions or "unknown")
    for k, data in enumerate(provenance["data"]):
        text = f"{data['path']}, {data['n_frames']} frames, sha256 {str(data['sha256'])[:12]}"
        lines += entry("" if k else "data", text)
    if not provenance["data"]:
        lines += entry("data", "no files known")
    return lines


def _role_lines(roles):
    if not roles:
        return entry("roles", "no frames known")
    found = {role for mine in roles.values() for role in mine}
    names = [*(r for r in ROLES if r in found), *sorted(found - set(ROLES))]
    columns = [Column("", printable(role), (role,), "d", "frames") for role in names]
    return ["", *table("frames by role", columns, sorted(roles.items()))]
