# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of some of its elements: what belongs to the others is left out, and what remains gives the same numbers.

A model of 89 elements has most of its weights for elements that a system does not hold, and the grade of its atoms is a P x P matrix for
each element of the file, 8 MB at 1024 descriptors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from lmp_uq.backbone.mace.architecture import ATOMIC_ENERGIES, MaceModule
from lmp_uq.errors import UqError, argument

_EMBEDDING = re.compile(r"^node_embedding\.linear\.weight$|\.(source|target)_embedding\.weight$")
_PRODUCT = re.compile(r"\.contractions\.\d+\.weights(_max|\.\d+)$")
_SKIP = re.compile(r"^interactions\.(\d+)\.skip_tp\.weight$")


def kept_elements(known: Sequence[int], wanted: Sequence[str]) -> list[int]:
    """Atomic numbers of the wanted elements, in the order of the model.

    Raises
    ------
    UqError
        One that the model has not.
    """
    missing = [symbol for symbol in wanted if atomic_numbers.get(symbol, 0) not in known]
    if missing:
        symbols = " ".join(chemical_symbols[z] for z in known)
        raise UqError(f"{argument('elements', *wanted)}: {' '.join(missing)} not in the model; accepted: {symbols}")
    chosen = {atomic_numbers[symbol] for symbol in wanted}
    return [z for z in known if z in chosen]


def restrict(
    model: MaceModule, architecture: Mapping[str, Any], state: Mapping[str, np.ndarray], elements: Sequence[int]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Architecture and dense state dict of the model with these elements alone.

    Parameters
    ----------
    model : torch.nn.Module
        Knows how its weights are laid out.
    architecture : mapping
    state : mapping of str to array
    elements : sequence of int
        Atomic numbers, in the order of the architecture's.
    """
    known = architecture["atomic_numbers"]
    keep = [known.index(z) for z in elements]
    scale = np.sqrt(len(keep) / len(known))  # mace-torch divides by the root of the number of elements
    out = dict(state)
    for name, value in state.items():
        skip = _SKIP.search(name)
        if _EMBEDDING.search(name):
            out[name] = (scale * value.reshape(len(known), -1)[keep]).reshape(-1).astype(value.dtype)
        elif _PRODUCT.search(name) and not architecture["use_agnostic_product"]:
            out[name] = value[keep]
        elif skip and hasattr(model.interactions[int(skip[1])].skip_tp, "irreps_in2"):  # of features and elements
            shapes = [one.path_shape for one in model.interactions[int(skip[1])].skip_tp.instructions]
            pieces = np.split(value, np.cumsum([np.prod(shape) for shape in shapes])[:-1])
            kept = [piece.reshape(shape)[:, keep].reshape(-1) for piece, shape in zip(pieces, shapes, strict=True)]
            out[name] = (scale * np.concatenate(kept)).astype(value.dtype)
    out[ATOMIC_ENERGIES] = state[ATOMIC_ENERGIES][:, keep]
    out["atomic_numbers"] = np.asarray(elements, dtype=state["atomic_numbers"].dtype)
    return dict(architecture) | {"atomic_numbers": list(elements)}, out
