# SPDX-License-Identifier: GPL-2.0-or-later
"""Hidden features of irrep 0o, which users write beside 0e: where they are zero for all atoms and weights, they are left out.

Harmonics have the parity of their degree, (-1)^l, and so have the sums A of layer 0. A product of them is a pseudo-scalar if its degrees
sum to an odd number. Its coupling is antisymmetric where two factors have one degree, and the factors are of one channel: it vanishes
unless all degrees differ: with degrees up to 3 and up to three factors there is no such triple (1, 2, 4 fits no triangle, 2, 3, 4 is the
first). With hidden features 0e and 0o alone the messages of the next layers that come from 0e have natural parity again, and those from 0o
are zero, and so on. With 1o among the hidden features, layer 1 has pseudo-vectors, and nothing vanishes.

What is tested here is the coupling tensors of the model at hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmp_uq.backbone.mace.architecture import REBUILT, MaceModule, o3

_EVEN, _ODD = o3.Irrep("0e"), o3.Irrep("0o")


def without_odd_scalars(
    model: MaceModule, architecture: Mapping[str, Any], state: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Architecture and dense arrays of the same function without the features 0o, if they are zero; else as given.

    Parameters
    ----------
    model : torch.nn.Module
    architecture, state : mapping
        As `lmp_uq.backbone.mace.describe` read them off the model.
    """
    hidden = o3.Irreps(architecture["hidden_irreps"])
    if [irrep for _, irrep in hidden] != [_EVEN, _ODD] or architecture["use_so3"] or not all(map(_odd_is_zero, model.products)):
        return dict(architecture), dict(state)
    kept = {name: value for name, value in state.items() if not REBUILT.search(name)}
    for layer, block in enumerate(model.interactions):
        _cut_interaction(block, f"interactions.{layer}.", kept)
    for layer, product in enumerate(model.products):
        _cut_product(product, f"products.{layer}.", kept)
    return dict(architecture) | {"hidden_irreps": str(hidden[:1])}, kept


def _natural(irrep: o3.Irrep) -> bool:
    return bool(irrep.p == (-1) ** irrep.l)


def _components(irreps: o3.Irreps) -> np.ndarray:
    """Which components of one channel have natural parity."""
    return np.concatenate([np.full(irrep.dim, _natural(irrep)) for _, irrep in irreps])


def _couplings(contraction: MaceModule, natural: np.ndarray) -> list[np.ndarray]:
    """Of each order, those of components of natural parity to a scalar: (components, ..., paths)."""
    out = []
    for order in range(1, contraction.correlation + 1):
        coupling = getattr(contraction, f"U_matrix_{order}").double().numpy()
        out.append(coupling[np.ix_(*[natural] * order, np.full(coupling.shape[-1], True))])
    return out


def _odd_is_zero(product: MaceModule) -> bool:
    """Whether every product of A of natural parity to 0o cancels: its coupling, summed over the orders of its factors."""
    contractions, natural = product.symmetric_contractions, _components(product.symmetric_contractions.irreps_in)
    for contraction, (_, irrep) in zip(contractions.contractions, contractions.irreps_out, strict=True):
        for coupling in _couplings(contraction, natural) if irrep == _ODD else []:
            factors = coupling.ndim - 1
            symmetric = sum(coupling.transpose(*order, factors) for order in itertools.permutations(range(factors)))
            if np.abs(symmetric).max() > 1e-6 * max(1.0, np.abs(coupling).max()):
                return False
    return True


def _rows(operation: MaceModule, irreps: o3.Irreps, index: str) -> np.ndarray:
    """Which weights of an operation belong to its inputs of natural parity."""
    return np.concatenate(
        [np.full(int(np.prod(one.path_shape)), _natural(irreps[getattr(one, index)].ir)) for one in operation.instructions]
    )


def _cut_interaction(block: MaceModule, name: str, state: dict[str, np.ndarray]) -> None:
    for part in ("linear_up", "linear"):
        key = f"{name}{part}.weight"
        state[key] = state[key][_rows(getattr(block, part), getattr(block, part).irreps_in, "i_in")]
    key = f"{name}skip_tp.weight"
    state[key] = state[key][_rows(block.skip_tp, block.skip_tp.irreps_in1, "i_in1")]
    key = f"{name}conv_tp_weights.layer{len(block.conv_tp_weights.hs) - 2}.weight"
    state[key] = state[key][:, _rows(block.conv_tp, block.conv_tp.irreps_in1, "i_in1")]


def _cut_product(product: MaceModule, name: str, state: dict[str, np.ndarray]) -> None:
    contractions, natural = product.symmetric_contractions, _components(product.symmetric_contractions.irreps_in)
    for number, (contraction, (_, irrep)) in enumerate(zip(contractions.contractions, contractions.irreps_out, strict=True)):
        prefix = f"{name}symmetric_contractions.contractions.{number}."
        if irrep == _ODD:
            for key in [key for key in state if key.startswith(prefix)]:
                del state[key]
            continue
        for order, coupling in enumerate(_couplings(contraction, natural), 1):
            paths = np.abs(coupling).reshape(-1, coupling.shape[-1]).max(axis=0) > 0.0
            below = contraction.correlation - order
            weights = prefix + (f"weights.{below - 1}" if below else "weights_max")
            state[f"{prefix}U_matrix_{order}"] = coupling[..., paths].astype(state[f"{prefix}U_matrix_{order}"].dtype)
            state[weights] = state[weights][:, paths]
    key = f"{name}linear.weight"
    state[key] = state[key][_rows(product.linear, product.linear.irreps_in, "i_in")]
