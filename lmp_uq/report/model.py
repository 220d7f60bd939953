# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``lmp-uq inspect`` prints of a model file."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lmp_uq.backbone.families import LINEAR, SNAP
from lmp_uq.modelfile import ModelFile
from lmp_uq.modelfile.provenance import ROLES
from lmp_uq.quantities import LABELS
from lmp_uq.report.calibration import calibration_lines
from lmp_uq.report.fit import BELOW_FLOOR, offsets_text
from lmp_uq.report.text import Column, entry, number, printable, table

_BIASES = {"none": "no bias", "constant": "one bias for all elements", "element": "one bias per element"}


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
    backbone = header.backbone
    lines = entry("elements", " ".join(header.elements))
    lines += entry("cutoff", f"{header.cutoff:g} Angstrom")
    lines += entry("precision", header.precision)
    size = f"{backbone.n_parameters} parameters, {backbone.n_features} features per atom"
    lines += entry("backbone", f"{backbone.family}, {size}")
    fixed = backbone.fixed_inputs()
    if fixed:
        lines += entry("", ", ".join(f"{name} {value:g}" for name, value in fixed.items()) + ", fixed for all configurations")
    lines += _linear_lines(backbone) if backbone.family in LINEAR else []
    lines += _posterior_lines(header.posterior)
    lines += _grade_lines(file)
    lines += calibration_lines(header.calibration)
    lines += _provenance_lines(header.provenance)
    lines += entry("sha256", file.sha256 or "none: not read from a file")
    return "\n".join(lines + _role_lines(header.provenance.roles))


def _linear_lines(backbone):
    """Settings of a linear potential that its name does not tell."""
    architecture = backbone.architecture
    if backbone.family == SNAP:
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
    force_members = posterior.n_force_members or 0
    members = f"{posterior.n_members} members, " + f"{force_members} force members, " * (force_members > 0)
    lines = entry("posterior", f"{members}{posterior.n_modes} modes of the box")
    ridge = f"ridge {number(posterior.ridge, '.3g')} (relative)"
    if isinstance(posterior.ridge, str):
        ridge = f"ridge {posterior.ridge} (relative {number(posterior.ridge_relative, '.3g')})"
    floor = number(posterior.leverage_floor, ".3g")
    lines += entry("", f"{ridge}, leverage floor {floor}, {_BIASES[posterior.bias]}")
    lines += _count_lines(posterior)
    if posterior.p_readout:
        mine = posterior.p_readout
        lines += entry("", f"P-readout of {mine.n_members} members, {mine.hidden} hidden units: they answer where the grade is at most 1")
    offsets = posterior.energy_offsets
    return lines + (entry("", offsets_text(offsets)) if isinstance(offsets, Mapping) and offsets else [])


def _count_lines(posterior):
    """Rows by kind; the file format leaves the form of the counts free."""
    counts = posterior.counts if isinstance(posterior.counts, Mapping) else {}
    mine = [(kind, counts[kind]) for kind in LABELS if isinstance(counts.get(kind), Mapping)]
    if not mine:
        rows = posterior.rows
        return entry("", f"rows: {' '.join(map(str, rows)) if isinstance(rows, list) else rows}")
    texts = [f"{kind} {number(c.get('rows'), 'd')} ({number(c.get('below_floor'), 'd')})" for kind, c in mine]
    lines = entry("", f"rows of {number(counts.get('frames'), 'd')} frames: {', '.join(texts)}")
    return lines + entry("", f"in brackets the rows {BELOW_FLOOR}")


def _grade_lines(file):
    if file.header.grade is None:
        return entry("grade", "none: grade and force_error cannot be computed; lmp-uq fit adds one")
    radii = list(zip(file.header.elements, file.tensors["grade/radius"].tolist(), strict=True))
    known = ", ".join(f"{element} {radius:.3g}" for element, radius in radii if math.isfinite(radius))
    unknown = " ".join(element for element, radius in radii if not math.isfinite(radius))
    lines = entry("grade", f"distance that has grade 1: {known or 'of no element'}")
    if unknown:
        lines += entry("", f"grade and force_error are inf for {unknown}: no training atoms")
    return lines


def _provenance_lines(provenance):
    lines = entry("licence", provenance.licence)
    lines += entry("command", provenance.command or "unknown")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance.versions.items()))
    lines += entry("versions", versions or "unknown")
    for k, data in enumerate(provenance.data):
        text = f"{data.path}, {data.n_frames} frames, sha256 {str(data.sha256)[:12]}"
        lines += entry("" if k else "data", text)
    if not provenance.data:
        lines += entry("data", "no files known")
    return lines


def _role_lines(roles):
    if not roles:
        return entry("roles", "no frames known")
    found = {role for mine in roles.values() for role in mine}
    names = [*(r for r in ROLES if r in found), *sorted(found - set(ROLES))]
    columns = [Column("", printable(role), (role,), "d", "frames") for role in names]
    return ["", *table("frames by role", columns, sorted(roles.items()))]
