# SPDX-License-Identifier: GPL-2.0-or-later
"""MACE-MH-1 and MACE-OMOL-0 extra large with random weights: native is mace-torch, and its forces are differences of energies."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from backbone_checks import assert_derivatives
from tiny_models import MH1_PARAMETERS, OMOL_PARAMETERS, mh1_like, omol_like

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.mace.architecture import ATOMIC_ENERGIES
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone

MODELS = {"MH-1": (mh1_like, "omat_pbe", 2 * 512, MH1_PARAMETERS), "OMOL": (omol_like, None, 3 * 1024, OMOL_PARAMETERS)}


def results(backbone, graph, isolated):
    rng = np.random.default_rng(1)
    weights, sets = rng.normal(size=graph.n_local), rng.normal(size=(2, graph.n_local, backbone.n_features))
    found = backbone.evaluate(graph)
    return found.energies - isolated, found.descriptors, backbone.pull(found.state, weights), backbone.pull(found.state, None, sets)


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_exact_architecture(name):
    make, head, n_features, n_parameters = MODELS[name]
    model = make()
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters
    architecture, tensors = describe_mace(model, head=head)
    reference = MaceTorchBackbone(architecture, tensors, precision="float64")
    atoms = bulk("Si", "diamond", a=5.43, cubic=True)
    atoms.symbols[::3] = "O"
    atoms.rattle(0.1, seed=0)
    graph, _ = graph_of_frames([atoms], reference.elements, reference.cutoff)
    isolated = tensors[ATOMIC_ENERGIES][architecture["heads"].index(architecture["head"])][graph.species]
    expected = results(reference, graph, isolated)
    for precision, tolerance in (("float64", 1e-8), ("float32", 2e-5)):
        backbone = MaceNativeBackbone(architecture, tensors, precision=precision)
        assert backbone.n_features == n_features
        for one, two in zip(results(backbone, graph, isolated), expected, strict=True):
            assert np.abs(one - two).max() < tolerance * np.abs(two).max()
        if precision == "float64":
            assert_derivatives(backbone, atoms)
