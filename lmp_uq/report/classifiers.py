# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``lmp-uq calibrate`` and ``lmp-uq inspect`` print of the classifiers: text of at most 100 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.modelfile.header import CalibrationEntry
from lmp_uq.report.text import Column, entry, table, wrap

HELD_OUT = "frames left out"
_SIGNALS = "AUROC of"
PROBE_COLUMNS = (
    Column("", "frames", ("n",), "d", "frames that shaped nothing of this row"),
    Column("", "unreliable", ("unreliable",), ".2f", "share of frames above the boundary"),
    Column("accuracy", "constant", ("majority",), ".2f", "share of the larger class"),
    Column("accuracy", "probe", ("accuracy",), ".2f", "share of right answers at probability 0.5"),
    Column(_SIGNALS, "probe", ("auroc",), ".2f", "chance that an unreliable frame ranks above a reliable one"),
    Column(_SIGNALS, "grade", ("signals", "mean grade"), ".2f", "the same of the mean grade"),
    Column(_SIGNALS, "std/N", ("signals", "energy_std/N"), ".2f", "the same of energy_std per atom"),
    Column(_SIGNALS, "max |F|", ("signals", "max |F|"), ".2f", "the same of the largest force"),
)
ORDINAL_COLUMNS = (
    Column("", "atoms", ("n",), "d", "atoms that shaped nothing of this row"),
    Column("", "above", ("above",), ".2f", "share of errors above the threshold"),
    Column(_SIGNALS, "ordinal", ("ordinal",), ".3f", "chance that an atom above ranks above one below"),
    Column(_SIGNALS, "error_above", ("error_above",), ".3f", "the same of error_above, without a network"),
)


def classifier_blocks(classifiers: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Paragraphs on the classifiers that a calibration trained."""
    blocks = []
    if "probe" in classifiers:
        mine = classifiers["probe"]
        text = (
            f"classifier probe, of frames: |dE|/N above {mine['boundary']:.3g} eV/atom, the median of its training frames, or not "
            f"({mine['n_frames']['training']} training, {mine['n_frames']['stopping']} stopping frames, {mine['epochs']} epochs); groups "
            "left out by classifiers of the other groups"
        )
        if mine["n_too_large"]:
            text += f"; {mine['n_too_large']} frames too large to train on"
        blocks.append([*wrap(text), *table("", PROBE_COLUMNS, _rows(mine))])
    if "ordinal" in classifiers:
        mine = classifiers["ordinal"]
        middle = mine["thresholds"][len(mine["thresholds"]) // 2]
        head = f"classifier ordinal, of atoms: force error above {middle:g} eV/Angstrom, beside error_above, which it is where grade > 1"
        blocks.append([*wrap(head), *table("", ORDINAL_COLUMNS, _rows(mine))])
    return blocks


def _rows(mine):
    return [(HELD_OUT, mine["held_out"] or {}), *((name, found or {}) for name, found in sorted(mine["groups_left_out"].items()))]


def classifier_lines(calibration: CalibrationEntry) -> list[str]:
    """Lines of ``lmp-uq inspect`` on the header entries probe and ordinal."""
    lines = []
    if calibration.probe:
        lines += entry("", f"classifier of frames (probe): |dE|/N above {calibration.probe.boundary:.3g} eV/atom")
    if calibration.ordinal:
        thresholds = ", ".join(f"{one:g}" for one in calibration.ordinal.thresholds)
        lines += entry("", f"classifier of atoms (ordinal): force error above {thresholds} eV/Angstrom, where grade <= 1")
    return lines
