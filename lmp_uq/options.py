# SPDX-License-Identifier: GPL-2.0-or-later
"""What every recipe that evaluates a backbone on labelled frames is told alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmp_uq.dataset import LabelKeys

DEFAULT_FORCE_ROWS = 24
"""Force components of a frame that become rows where each costs a pass through the model."""


def default_force_rows(header) -> int | None:
    """Force components of a frame that become rows unless the user says otherwise; None: all, which cost a linear potential nothing."""
    return DEFAULT_FORCE_ROWS if header["backbone"]["family"] == "mace" else None


@dataclass(frozen=True, kw_only=True)
class RecipeOptions:
    """Options that fit, calibrate and validate share; see docs/fit.md for each."""

    seed: int = 0
    device: str = "auto"
    precision: str = "file"
    engine: str = "auto"
    threads: int = 0
    keys: LabelKeys = field(default_factory=LabelKeys)
    group_key: str = "config_type"
    fit_offsets: bool = False
    progress: bool = True
