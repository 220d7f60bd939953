# SPDX-License-Identifier: GPL-2.0-or-later
"""A pool of crystals in three groups, and the tiny model that knows some like them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lammps_cases import crystal

from lmp_uq import Model, modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.selection.choice import Source


def frames_of_pool() -> list:
    """Crystals from cold to hot in three groups; one of silicon alone."""
    out = []
    for k, rattle in enumerate(np.linspace(0.03, 0.3, 18)):
        atoms = crystal((1, 1, 1 + k % 2), tilt=k % 3 == 0, rattle=rattle, seed=500 + k)
        atoms.info["config_type"] = ("cold", "warm", "hot")[k // 6]
        out.append(atoms)
    out[9].symbols = "Si" * len(out[9])
    return out


@pytest.fixture(scope="module")
def pool() -> list:
    return frames_of_pool()


@pytest.fixture(scope="module")
def model(models) -> Model:
    return Model.load(models.full, engine="native")


@pytest.fixture(scope="module")
def source(models) -> Source:
    file = modelfile.read(models.full)
    return Source.of(file, backbone_of_file(file, engine="native"), str(models.full))


@pytest.fixture(scope="module")
def bare(source) -> Source:
    """The same without a grade, and with no frames that shaped it."""
    return replace(source, novelty=None, labelled=frozenset())
