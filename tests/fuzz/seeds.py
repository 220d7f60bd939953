# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the valid model files that the fuzzer damages: python seeds.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from linear_example import compute_content, model_content
from model_example import classifier_content, make_header, make_tensors
from posterior_example import today, write_model
from tiny_models import density_model

from lmp_uq import modelfile
from lmp_uq.recipes.convert import convert

folder = Path(sys.argv[1])
if not (folder / "mace.uq").exists():
    modelfile.write(folder / "small.uq", make_header(), make_tensors())
    modelfile.write(folder / "classifiers.uq", *classifier_content())
    write_model(folder / "posterior.uq")
    write_model(folder / "today.uq", change=today(0.4))
    modelfile.write(folder / "snap.uq", *model_content(folder, quadraticflag=1))
    modelfile.write(folder / "compute.uq", *compute_content(folder))
    torch.save(density_model(), folder / "mace.model")
    convert(str(folder / "mace.model"), folder / "mace.uq")
