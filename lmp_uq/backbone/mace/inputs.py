# SPDX-License-Identifier: GPL-2.0-or-later
"""Charge and spin of a configuration, which models as MACE-OMOL take, fixed when a model is converted.

Such a model adds a vector that depends on both to the embedding of every atom (`GenericJointEmbedding` of mace-torch). With both fixed the
vector is a constant, and the model is one without these inputs whose embedding of the elements holds it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lmp_uq.backbone.families import INPUTS
from lmp_uq.backbone.mace.architecture import ATOMIC_ENERGIES, MaceModule, default_dtype
from lmp_uq.errors import UqError, argument, piece

EMBEDDING = "node_embedding.linear.weight"
PARTS = ("joint_embedding", "embedding_readout")


def fixed_inputs(model: MaceModule, given: Mapping[str, float | None]) -> dict[str, float]:
    """What a model's inputs are fixed at, by mace-torch's names; of a model without inputs nothing.

    Parameters
    ----------
    model : torch.nn.Module
    given : mapping
        By our names; None: not said.

    Raises
    ------
    UqError
        An input that is not said or that the model has not; one that is neither charge nor spin of a configuration, or outside the classes
        that the model knows.
    """
    specs = dict(getattr(model, "embedding_specs", None) or {}) if hasattr(model, "joint_embedding") else {}
    said = {name: given.get(word) for name, word in INPUTS.items()}
    foreign = [name for name in specs if name not in INPUTS or specs[name].get("per", "graph") != "graph"]
    if foreign:
        raise UqError(f"the model takes {piece(', '.join(foreign))}; accepted: total_charge and total_spin of whole configurations")
    for name, word in INPUTS.items():
        if name not in specs and said[name] is not None:
            raise UqError(f"{argument(word, said[name])}: the model takes no {name}; leave it out")
    if any(said[name] is None for name in specs):
        options = " ".join(argument(INPUTS[name]) for name in specs)
        raise UqError(
            f"the model takes {' and '.join(specs)}, which lmp-uq convert fixes for all configurations; say {options}, 0 and 1 for a "
            "neutral singlet"
        )
    fixed = {name: float(said[name]) for name in specs}  # type: ignore[arg-type]
    for name, spec in specs.items():
        low = -int(spec.get("offset", 0))
        high = low + int(spec.get("num_classes", 0)) - 1
        if spec["type"] == "categorical" and not (fixed[name] == int(fixed[name]) and low <= fixed[name] <= high):
            raise UqError(f"{argument(INPUTS[name], said[name])}; accepted: whole numbers from {low} to {high}")
    return fixed


def fold_inputs(model: MaceModule, fixed: Mapping[str, float], state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """State dict of the model without inputs that equals this one with fixed inputs, in double precision.

    Parameters
    ----------
    model : torch.nn.Module
    fixed : mapping
        See `fixed_inputs`.
    state : mapping of str to array
        Of the model, with energies of isolated atoms (n_heads, n_elements).
    """
    if not fixed:
        return dict(state)
    n_elements = len(model.atomic_numbers)
    folded = {name: value for name, value in state.items() if name.split(".")[0] not in PARTS}
    with torch.no_grad(), default_dtype(torch.float64):
        values: dict[str, Any] = {name: torch.tensor([value]) for name, value in fixed.items()}
        constant = copy.deepcopy(model.joint_embedding).double()(torch.zeros(1, dtype=torch.int64), values)[0].numpy()
        scale = np.sqrt(n_elements)  # mace-torch divides by it
        embedding = state[EMBEDDING].astype(np.float64).reshape(n_elements, -1) / scale + constant
        if hasattr(model, "embedding_readout"):
            energies = copy.deepcopy(model.embedding_readout).double()(torch.from_numpy(embedding)).numpy()
            folded[ATOMIC_ENERGIES] = state[ATOMIC_ENERGIES] + energies.T
    folded[EMBEDDING] = (scale * embedding).reshape(-1)
    return folded
