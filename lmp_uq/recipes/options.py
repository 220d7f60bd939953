# SPDX-License-Identifier: GPL-2.0-or-later
"""What every recipe that evaluates a backbone on labelled frames is told alike."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from lmp_uq.backbone.families import MACE
from lmp_uq.errors import UqError
from lmp_uq.frames.reading import LabelKeys
from lmp_uq.modelfile.header import Header
from lmp_uq.quantities import FORCE_ROWS

log = logging.getLogger("lmp_uq")


def default_force_rows(header: Header) -> int | None:
    """Force components of a frame that become rows unless the user says otherwise; None: all, which cost a linear potential nothing."""
    return FORCE_ROWS if header.backbone.family == MACE else None


def members_in_use(header: Header, asked: int | None, name: str) -> int:
    """K of the bounds: as many members as are asked for, None: all of the file; UqError for more than it holds."""
    held = header.fitted.n_members
    if asked is not None and not 1 <= asked <= held:
        raise UqError(f"members {asked} asked for, {name} holds {held}; accepted: 1 to {held}")
    return asked or held


def say_what_answers(header: Header, verb: str) -> None:
    """Say that a P-readout, which is no distribution of Theta, takes no part in what is computed of one."""
    if header.posterior and header.posterior.p_readout:
        log.info("%s: its bars are those of POPS; the P-readout of the model file takes no part", verb)


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
