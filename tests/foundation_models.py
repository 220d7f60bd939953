# SPDX-License-Identifier: GPL-2.0-or-later
"""The architectures of the published foundation models, with random weights.

What is known is from the training scripts that their authors publish (ACEsuit/mace-mp, mace-foundations, mace-off) and from the defaults of
mace-torch 0.3.16 where a script is silent: `SCRIPT`. `DERIVED`: a published fine-tuning of one of those, or a sibling in size. `ASSUMED`:
see `NOTES`. Weights, energies of isolated atoms, scales and mean numbers of neighbours are nobody's.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from tiny_models import random_model

from lmp_uq.backbone.mace.architecture import INTERACTIONS, o3, symmetric_contraction

SCRIPT, DERIVED, ASSUMED = "script", "derived", "assumed"
_MATERIALS = [*range(1, 84), *range(89, 95)]
_ORGANIC = [1, 6, 7, 8, 9, 15, 16, 17, 35, 53]
_MH_HEADS = ["matpes_r2scan", "mp_pbe_refit_add", "spice_wB97M", "oc20_usemppbe", "omol", "omat_pbe"]
_OLD = {"interaction_first": "RealAgnosticResidualInteractionBlock", "interaction": "RealAgnosticResidualInteractionBlock"}
_PLAIN = _OLD | {"interaction_first": "RealAgnosticInteractionBlock"}
_DENSITY = {
    "interaction_first": "RealAgnosticDensityInteractionBlock",
    "interaction": "RealAgnosticDensityResidualInteractionBlock",
    "pair_repulsion": True,
    "distance_transform": "Agnesi",
}
_AGNESI = _PLAIN | {"pair_repulsion": True, "distance_transform": "Agnesi"}


def _kind(known: str, degree: int, blocks: dict[str, Any], *, channels=128, r_max=6.0, num_bessel=10, **more: Any) -> dict[str, Any]:
    hidden = "+".join(f"{channels}x{k}{'eo'[k % 2]}" for k in range(degree + 1))
    return {"known": known, "hidden_irreps": hidden, "r_max": r_max, "num_bessel": num_bessel, **blocks, **more}


FOUNDATIONS = {
    "small": _kind(SCRIPT, 0, _OLD),
    "medium": _kind(SCRIPT, 1, _OLD),
    "large": _kind(DERIVED, 2, _OLD),
    "small-0b": _kind(SCRIPT, 0, _AGNESI, num_bessel=8),
    "medium-0b": _kind(SCRIPT, 1, _AGNESI, num_bessel=8),
    "small-0b2": _kind(SCRIPT, 0, _DENSITY, r_max=5.0, num_bessel=8),
    "medium-0b2": _kind(SCRIPT, 1, _DENSITY, r_max=5.0, num_bessel=8),
    "large-0b2": _kind(SCRIPT, 2, _DENSITY, r_max=5.0, num_bessel=8),
    "medium-0b3": _kind(SCRIPT, 1, _DENSITY),
    "medium-mpa-0": _kind(DERIVED, 1, _DENSITY),
    "small-omat-0": _kind(DERIVED, 0, _DENSITY),
    "medium-omat-0": _kind(SCRIPT, 1, _DENSITY),
    "mace-matpes-pbe-0": _kind(DERIVED, 1, _DENSITY),
    "mace-matpes-r2scan-0": _kind(DERIVED, 1, _DENSITY),
    "mh-0": _kind(ASSUMED, 1, _DENSITY, heads=_MH_HEADS),
    "off-small": _kind(ASSUMED, 0, _PLAIN, channels=96, r_max=4.5, num_bessel=8, atomic_numbers=_ORGANIC),
    "off-medium": _kind(SCRIPT, 1, _PLAIN, r_max=5.0, num_bessel=8, atomic_numbers=_ORGANIC),
    "off-large": _kind(ASSUMED, 2, _PLAIN, channels=224, r_max=5.0, num_bessel=8, atomic_numbers=_ORGANIC),
}
"""By the names of `lmp_uq.backbone.mace.names.NAMES`; mh-1 is not among them."""

NOTES = {
    "large": "the script of 128-L2; the file that mace-torch downloads is another one of the same name in its table",
    "medium-mpa-0": "the architecture of 0b3 has the 9,063,204 parameters that are published for it",
    "medium-omat-0": "10 radial functions, as in 0b3: the script leaves them to a file that is not published",
    "mh-0": "public uses of it show 256 descriptors; blocks of OMAT-0 and the heads of MH-1",
    "off-small": "channels and cutoff as the paper has them, from memory",
    "off-large": "224 channels, as public code that loads it has them",
}


def foundation_model(name: str, seed: int = 0) -> torch.nn.Module:
    """Float64, random weights; the first of each degree takes half a minute or more."""
    kind = {"atomic_numbers": _MATERIALS, **FOUNDATIONS[name]}
    kind.pop("known")
    arguments: dict[str, Any] = {
        "interaction_cls": INTERACTIONS[kind.pop("interaction")],
        "interaction_cls_first": INTERACTIONS[kind.pop("interaction_first")],
        "hidden_irreps": o3.Irreps(kind.pop("hidden_irreps")),
    }
    sizes = {"max_ell": 3, "correlation": 3, "radial_MLP": [64, 64, 64], "avg_num_neighbors": 60.0}
    with _shared_couplings():
        return random_model(seed, "ScaleShiftMACE", **sizes, **arguments, **kind)


@functools.cache
def _coupling(irreps_in: str, irreps_out: str, correlation: int, reduced: bool, dtype: torch.dtype) -> Any:
    return _make_coupling(o3.Irreps(irreps_in), o3.Irreps(irreps_out), correlation, use_cueq_cg=reduced, dtype=dtype)


_make_coupling = symmetric_contraction.U_matrix_real


@contextlib.contextmanager
def _shared_couplings() -> Iterator[None]:
    """Make the coupling tensors, which take most of the time, once for all models."""

    def answer(irreps_in, irreps_out, correlation, use_cueq_cg=False, dtype=None):
        return _coupling(str(irreps_in), str(irreps_out), correlation, use_cueq_cg, dtype)

    symmetric_contraction.U_matrix_real = answer
    try:
        yield
    finally:
        symmetric_contraction.U_matrix_real = _make_coupling
