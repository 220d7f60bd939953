# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a model file of every family that the native engine runs: python models.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from native_families import FAMILIES

from lmp_uq.recipes.convert import convert

folder = Path(sys.argv[1])
for number, (name, build) in enumerate(FAMILIES.items()):
    if not (folder / f"family-{number}.uq").exists():
        torch.save(build(), folder / "family.model")
        convert(str(folder / "family.model"), folder / f"family-{number}.uq", head="high" if "heads" in name else None)
