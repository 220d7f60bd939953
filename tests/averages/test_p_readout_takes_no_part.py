# SPDX-License-Identifier: GPL-2.0-or-later
"""What is made of the posterior of Theta is the same with a P-readout in the file, and says so."""

from __future__ import annotations

import logging

import ase.io
import numpy as np
import pytest
from lammps_cases import crystal
from p_readout_example import with_readout

from lmp_uq.errors import UqError
from lmp_uq.recipes.propagate import PropagateOptions, propagate
from lmp_uq.recipes.reweight import ReweightOptions, reweight


@pytest.fixture(scope="module")
def both(models, tmp_path_factory):
    return models.full, with_readout(models.full, tmp_path_factory.mktemp("readout") / "both.uq")


def test_reweighting(both, tmp_path, caplog):
    ase.io.write(tmp_path / "run.extxyz", [crystal(seed=k, rattle=0.02) for k in range(4)])
    found, texts = [], []
    for model in both:
        caplog.clear()
        with caplog.at_level(logging.INFO, "lmp_uq"):
            found.append(reweight(ReweightOptions(str(model), (str(tmp_path / "run.extxyz"),), 300.0, engine={"engine": "native"})))
        texts.append(caplog.text)
    assert [("reweight: its bars are those of POPS; the P-readout" in text) for text in texts] == [False, True]
    plain, other = ({k: v for k, v in one.items() if k not in ("model", "sha256")} for one in found)
    np.testing.assert_equal(other, plain)


def test_properties_say_the_same(both, tmp_path, caplog):
    """Before the first property, here one of an element that the model lacks."""
    (tmp_path / "suite.yaml").write_text("properties: [{kind: eos, element: W}]")
    with caplog.at_level(logging.INFO, "lmp_uq"):
        for model in both:
            with pytest.raises(UqError, match="W"):
                propagate(PropagateOptions(str(model), str(tmp_path / "suite.yaml"), str(tmp_path / "out"), members=1))
    assert caplog.text.count("propagate: its bars are those of POPS; the P-readout of the model file takes no part") == 1
