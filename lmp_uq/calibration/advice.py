# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user should know of the groups that calibrated the force bars."""

from __future__ import annotations

import numpy as np

from lmp_uq.calibration.conformal import split_by_group
from lmp_uq.calibration.force_error import LEVEL, ForceError
from lmp_uq.calibration.grouped_fit import FEW_GROUPS
from lmp_uq.calibration.labelled_atoms import ForceLabels

ENOUGH_GROUPS = 8
"""Below this number a new group is covered less often, or by bars too wide."""
KNOWN, NEW = 0.5, 1.0
"""Median grade of a group below which it is of a known kind, and above which it is of a new kind."""
LEAST_ELEMENT_COVERAGE = 0.8


def kinds_of_groups(labels: ForceLabels) -> dict[str, int]:
    """Number of groups by the median grade of their atoms: known (below 0.5), near (to 1), new."""
    medians = [np.median(labels.atoms.variables.grade[mine]) for _, mine in split_by_group(labels.atoms.groups, len(labels.frames))]
    known, new = sum(m < KNOWN for m in medians), sum(m > NEW for m in medians)
    return {"known": known, "near": len(medians) - known - new, "new": new}


def advice(labels: ForceLabels, bar: ForceError) -> list[str]:
    """One sentence for each way in which the calibration groups fall short.

    Parameters
    ----------
    labels : ForceLabels
        That the bar was calibrated on. Atoms without a bar, and those whose force vanishes by symmetry, take no part.
    bar : ForceError
    """
    labels = labels.judged()
    kinds, out = kinds_of_groups(labels), []
    n = sum(kinds.values())
    of_kinds = f"{kinds['known']} of known, {kinds['near']} of nearly known, {kinds['new']} of new kind"
    found = f"{n} calibration group{'s' if n > 1 else ''} of forces ({of_kinds})"
    if n < FEW_GROUPS:
        text = "force_error holds for these kinds of structure, not for others"
        out.append(f"ONLY {found}: {text}; {ENOUGH_GROUPS} groups of unlike kinds are needed")
    elif n < ENOUGH_GROUPS:
        out.append(f"{found}: with fewer than {ENOUGH_GROUPS} of unlike kinds the bars of a new kind are often too wide or too narrow")
    if not kinds["known"]:
        out.append(
            f"no calibration group has a median grade below {KNOWN:g}: in known structures force_error will be far too wide; add "
            "validation frames of the backbone's own groups"
        )
    return out + _elements(labels, bar)


def _elements(labels: ForceLabels, bar: ForceError) -> list[str]:
    inside = labels.atoms.error <= bar.predict(labels.atoms.variables)
    weights = labels.atoms.weights()
    out = []
    for element, mine in split_by_group(labels.elements, len(inside)):
        coverage = np.average(inside[mine], weights=weights[mine])
        if coverage < LEAST_ELEMENT_COVERAGE:
            out.append(f"force_error covers {coverage:.2f} of the atoms of {element} (aim: {LEVEL:.2f}): do not trust it on this element")
    return out
