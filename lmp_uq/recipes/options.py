# SPDX-License-Identifier: GPL-2.0-or-later
"""What every recipe that evaluates a backbone on labelled frames is told alike."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmp_uq.errors import UqError
from lmp_uq.frames.reading import LabelKeys
from lmp_uq.quantities import FORCE_ROWS


def default_force_rows(header) -> int | None:
    """Force components of a frame that become rows unless the user says otherwise; None: all, which cost a linear potential nothing."""
    return FORCE_ROWS if header["backbone"]["family"] == "mace" else None


def members_in_use(header, asked: int | None, name: str) -> int:
    """K of the bounds: as many members as are asked for, None: all of the file; UqError for more than it holds."""
    held = header["posterior"]["n_members"]
    if asked is not None and not 1 <= asked <= held:
        raise UqError(f"members {asked} asked for, {name} holds {held}; accepted: 1 to {held}")
    return asked or held


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
