# SPDX-License-Identifier: GPL-2.0-or-later
"""Every published foundation architecture, with random weights, gives natively what mace-torch gives, and forces that are derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from backbone_checks import assert_derivatives, evaluated, forces_of, make_frame
from foundation_models import FOUNDATIONS, foundation_model

from lmp_uq.backbone.mace.architecture import ATOMIC_ENERGIES
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.names import NAMES
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone

ELSEWHERE = {"mh-1", "omol"}  # test_large_nonlinear.py


def test_every_published_name_has_an_architecture():
    assert {*FOUNDATIONS} | ELSEWHERE == {*NAMES}


@pytest.mark.long
@pytest.mark.parametrize("name", FOUNDATIONS)
def test_native_is_torch(name):
    architecture, tensors = describe_mace(foundation_model(name), head=FOUNDATIONS[name].get("heads", [None])[-1])
    frame = make_frame("triclinic", ("H", "C", "O") if name.startswith("off") else ("Si", "O", "W"))
    wanted = results(MaceTorchBackbone(architecture, tensors, precision="float64"), frame, tensors, architecture)
    bounds = {"float64": (1e-9, 1e-7, 1e-7), "float32": (1e-5, 1e-4, 1e-3)}
    for precision, (of_energies, of_forces, relative) in bounds.items():
        backbone = MaceNativeBackbone(architecture, tensors, precision=precision)
        found = results(backbone, frame, tensors, architecture)
        assert np.abs(found[0] - wanted[0]).max() < of_energies * max(1.0, np.abs(wanted[0]).max())
        assert np.abs(found[1] - wanted[1]).max() < of_forces * min(1.0, np.abs(wanted[1]).max())
        for one, two in zip(found[2:], wanted[2:], strict=True):
            assert np.abs(one - two).max() < relative * np.abs(two).max()
        if precision == "float64":
            assert_derivatives(backbone, frame)
    planted = tensors | {"node_embedding.linear.weight": 1.001 * tensors["node_embedding.linear.weight"]}
    wrong = results(MaceNativeBackbone(architecture, planted, precision="float64"), frame, tensors, architecture)
    assert np.abs(wrong[1] - wanted[1]).max() > 1e-6


def results(backbone, frame, tensors, architecture):
    """Energies without those of isolated atoms, forces, descriptors, four stacked pulls."""
    graph, evaluation, gradients = evaluated(backbone, frame)
    isolated = tensors[ATOMIC_ENERGIES][architecture["heads"].index(architecture["head"])]
    weights = np.random.default_rng(0).normal(size=(4, graph.n_local, backbone.n_features))
    pulls = backbone.pull(evaluation.state, None, weights)
    return evaluation.energies - isolated[graph.species], forces_of(graph, gradients), evaluation.descriptors, pulls
