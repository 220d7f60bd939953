# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file or foundation model a user means, told without importing mace-torch, which takes seconds."""

from __future__ import annotations

import os
from pathlib import Path

from lmp_uq.errors import UqError

NAMES = (
    "small", "medium", "large", "small-0b", "medium-0b", "small-0b2", "medium-0b2", "large-0b2", "medium-0b3", "medium-mpa-0",
    "small-omat-0", "medium-omat-0", "mace-matpes-pbe-0", "mace-matpes-r2scan-0", "mh-0", "mh-1", "off-small", "off-medium", "off-large",
    "omol",
)  # fmt: skip
"""Those of mace-torch 0.3.16, with off- before its organic models, and its MACE-OMOL."""


def file_of(model: str | os.PathLike[str]) -> Path | None:
    """The file that a user means, or None for one of `NAMES`.  A file of that name wins.

    Raises
    ------
    UqError
        Neither; or a folder, a pipe or an empty file.
    """
    if os.path.exists(model):
        if not os.path.isfile(model) or os.path.getsize(model) == 0:
            found = "is empty" if os.path.isfile(model) else "is not a file"
            raise UqError(f"{model}: {found}; accepted: a model file written by mace-torch")
        return Path(model)
    if str(model) not in NAMES:
        raise UqError(f"{model}: no such file, and not a model that mace-torch knows: {', '.join(NAMES)}")
    return None
