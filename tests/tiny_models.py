# SPDX-License-Identifier: GPL-2.0-or-later
"""MACE models with random weights, small enough for tests, and one of the size of MACE-MPA-0."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

import numpy as np
import torch

from lmp_uq.backbone.mace.architecture import CLASSES, INTERACTIONS, READOUTS, default_dtype, o3, quiet
from lmp_uq.backbone.mace.describe import describe_mace
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone

MPA0_PARAMETERS, MH1_PARAMETERS, OMOL_PARAMETERS = 9_063_204, 6_449_196, 52_727_513


def density_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Blocks of MPA-0 (density, Agnesi, ZBL), Si and O, 2 layers, 8x0e+8x1o, cutoff 3.5 Angstrom, float64."""
    defaults = {
        "r_max": 3.5,
        "max_ell": 2,
        "correlation": 2,
        "interaction_cls": INTERACTIONS["RealAgnosticDensityResidualInteractionBlock"],
        "interaction_cls_first": INTERACTIONS["RealAgnosticDensityInteractionBlock"],
        "hidden_irreps": o3.Irreps("8x0e+8x1o"),
        "atomic_numbers": [8, 14],
        "pair_repulsion": True,
        "distance_transform": "Agnesi",
    }
    return random_model(seed, "ScaleShiftMACE", **(defaults | changes))


def residual_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Older blocks, no ZBL and no transform, Ge and Te, 3 layers, 8x0e+8x1o, cutoff 3 Angstrom, float64."""
    defaults = {
        "r_max": 3.0,
        "max_ell": 1,
        "correlation": 3,
        "num_interactions": 3,
        "interaction_cls": INTERACTIONS["RealAgnosticResidualInteractionBlock"],
        "interaction_cls_first": INTERACTIONS["RealAgnosticResidualInteractionBlock"],
        "hidden_irreps": o3.Irreps("8x0e+8x1o"),
        "atomic_numbers": [32, 52],
    }
    return random_model(seed, "ScaleShiftMACE", **(defaults | changes))


def plain_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Class MACE (no scale and shift), one layer of each older block, H and O, 16x0e."""
    defaults = {
        "r_max": 3.0,
        "max_ell": 2,
        "correlation": 2,
        "interaction_cls": INTERACTIONS["RealAgnosticResidualInteractionBlock"],
        "interaction_cls_first": INTERACTIONS["RealAgnosticInteractionBlock"],
        "hidden_irreps": o3.Irreps("16x0e"),
        "atomic_numbers": [1, 8],
    }
    return random_model(seed, "MACE", **(defaults | changes))


def odd_scalars_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Si and O with hidden features 0o beside 0e, float64. Not to be changed: mace-torch's empty parameters of it cannot be copied."""
    arguments = {
        "r_max": 3.5,
        "max_ell": 2,
        "correlation": 3,
        "interaction_cls": INTERACTIONS["RealAgnosticDensityResidualInteractionBlock"],
        "interaction_cls_first": INTERACTIONS["RealAgnosticResidualInteractionBlock"],
        "hidden_irreps": o3.Irreps("4x0e+4x0o"),
        "atomic_numbers": [8, 14],
    } | changes
    return _built(seed, "ScaleShiftMACE", _key(arguments))


_NONLINEAR = INTERACTIONS["RealAgnosticResidualNonLinearInteractionBlock"]
MH1 = {
    "interaction_cls": _NONLINEAR,
    "interaction_cls_first": _NONLINEAR,
    "readout_cls": READOUTS["NonLinearBiasReadoutBlock"],
    "max_ell": 3,
    "correlation": 3,
    "use_edge_irreps_first": True,
    "apply_cutoff": False,
    "use_agnostic_product": True,
    "use_reduced_cg": True,
    "pair_repulsion": True,
    "distance_transform": "Agnesi",
}
"""What makes a model one of the MH-1 family."""
OMOL = {
    "interaction_cls": _NONLINEAR,
    "interaction_cls_first": _NONLINEAR,
    "max_ell": 3,
    "correlation": 2,
    "num_interactions": 3,
    "apply_cutoff": False,
    "use_reduced_cg": True,
}
"""The same of the OMOL family, without its charge and spin."""


def mh1_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Blocks of MH-1, Si and O, 9x0e+9x1o, edges 5x0e+5x1o, two heads, cutoff 3.5 Angstrom, float64."""
    defaults = MH1 | {
        "r_max": 3.5,
        "hidden_irreps": o3.Irreps("9x0e+9x1o"),
        "edge_irreps": o3.Irreps("5x0e+5x1o"),
        "atomic_numbers": [8, 14],
        "heads": ["low", "high"],
    }
    return random_model(seed, "ScaleShiftMACE", **(defaults | changes))


def omol_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """Blocks of OMOL, H and O, 3 layers of 10x0e+10x1o+10x2e, edges 4x0e+4x1o+4x2e, cutoff 3 Angstrom, float64."""
    defaults = OMOL | {
        "r_max": 3.0,
        "hidden_irreps": o3.Irreps("10x0e+10x1o+10x2e"),
        "edge_irreps": o3.Irreps("4x0e+4x1o+4x2e"),
        "atomic_numbers": [1, 8],
    }
    return random_model(seed, "ScaleShiftMACE", **(defaults | changes))


CHARGE_AND_SPIN = {
    "total_spin": {"type": "categorical", "per": "graph", "in_dim": 1, "emb_dim": 6, "num_classes": 11, "offset": 0},
    "total_charge": {"type": "categorical", "per": "graph", "in_dim": 1, "emb_dim": 6, "num_classes": 21, "offset": 10},
}


def charged_model(seed: int = 0, **changes: Any) -> torch.nn.Module:
    """The same with charge and spin; two layers of 4x0e+4x1o, edges 3x0e+3x1o."""
    small = {"num_interactions": 2, "max_ell": 1, "hidden_irreps": o3.Irreps("4x0e+4x1o"), "edge_irreps": o3.Irreps("3x0e+3x1o")}
    return omol_model(seed, **(small | {"embedding_specs": CHARGE_AND_SPIN} | changes))


def random_mpa0(seed: int = 0) -> torch.nn.Module:
    """Random weights in exactly the architecture of MACE-MPA-0 medium, float64; takes half a minute."""
    return mpa0_like("128x0e+128x1o", seed)


def mpa0_like(hidden_irreps: str, seed: int = 0) -> torch.nn.Module:
    """The same with other hidden features."""
    return random_model(
        seed,
        "ScaleShiftMACE",
        r_max=6.0,
        num_bessel=10,
        max_ell=3,
        correlation=3,
        interaction_cls=INTERACTIONS["RealAgnosticDensityResidualInteractionBlock"],
        interaction_cls_first=INTERACTIONS["RealAgnosticDensityInteractionBlock"],
        hidden_irreps=o3.Irreps(hidden_irreps),
        radial_MLP=[64, 64, 64],
        atomic_numbers=list(range(1, 90)),
        pair_repulsion=True,
        distance_transform="Agnesi",
    )


def mh1_like(seed: int = 0) -> torch.nn.Module:
    """Random weights in the architecture of MACE-MH-1, float64; takes half a minute.

    Public statements give the blocks, 512x0e+512x1o, edges 128x0e+128x1o in the first layer too, order 3, harmonics to 3, 10 radial
    functions to 6 Angstrom, Agnesi, ZBL, 89 elements, six heads and 6.44 million parameters; this one has 6.45. Assumed are the radial
    network (64, 64, 64) and the readout (16x0e with biases).
    """
    return random_model(
        seed,
        "ScaleShiftMACE",
        **MH1,
        r_max=6.0,
        num_bessel=10,
        hidden_irreps=o3.Irreps("512x0e+512x1o"),
        edge_irreps=o3.Irreps("128x0e+128x1o"),
        radial_MLP=[64, 64, 64],
        atomic_numbers=list(range(1, 90)),
        heads=["matpes_r2scan", "mp_pbe_refit_add", "spice_wB97M", "oc20_usemppbe", "omol", "omat_pbe"],
    )


def omol_like(seed: int = 0) -> torch.nn.Module:
    """Random weights in the architecture of MACE-OMOL-0 extra large, without its charge and spin, float64.

    As its published training script says (ACEsuit/mace-foundations, mace_omol/mace-omol.sh); assumed are the 83 elements, those of OMol25.
    """
    return random_model(
        seed,
        "ScaleShiftMACE",
        **OMOL,
        r_max=6.0,
        num_bessel=8,
        hidden_irreps=o3.Irreps("1024x0e+1024x1o+1024x2e"),
        edge_irreps=o3.Irreps("128x0e+128x1o+128x2e"),
        radial_MLP=[64, 64, 64],
        atomic_numbers=list(range(1, 84)),
    )


def as_backbone(model: torch.nn.Module, precision: str = "float64") -> MaceTorchBackbone:
    """Backbone of a model, through its architecture and tensors."""
    architecture, tensors = describe_mace(model)
    return MaceTorchBackbone(architecture, tensors, precision=precision)


def random_model(seed: int, name: str, **arguments: Any) -> torch.nn.Module:
    with quiet():
        return copy.deepcopy(_built(seed, name, _key(arguments)))


def _key(arguments: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    plain = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in arguments.items()}
    return tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in plain.items())


def _wake(name: str, parameter: torch.nn.Parameter) -> None:
    """Parameters of nonlinear blocks and of biases that mace-torch draws as ones, zeros or thousandths."""
    if name.endswith((".alpha", ".beta")):
        parameter.data.fill_(3.0 if name.endswith(".alpha") else 0.7)
    if "source_embedding" in name or "target_embedding" in name:
        parameter.data.mul_(500.0)
    if parameter.ndim == 1 and (".net." in name or name.endswith(".bias")):
        parameter.data.add_(0.3 * torch.randn_like(parameter))


@functools.cache
def _built(seed: int, name: str, key: tuple[tuple[str, Any], ...]) -> torch.nn.Module:
    arguments = {k: list(v) if type(v) is tuple else v for k, v in key}
    if "embedding_specs" in arguments:
        arguments["embedding_specs"] = json.loads(arguments["embedding_specs"])
    rng = np.random.default_rng(seed)
    heads = arguments.get("heads", ["Default"])
    n_elements = len(arguments["atomic_numbers"])
    defaults = {
        "num_bessel": 6,
        "num_polynomial_cutoff": 5,
        "num_interactions": 2,
        "num_elements": n_elements,
        "MLP_irreps": o3.Irreps("16x0e"),
        "gate": torch.nn.functional.silu,
        "avg_num_neighbors": 7.3,
        "radial_MLP": [16, 16],
        "use_reduced_cg": False,
        "atomic_energies": rng.uniform(-9.0, -1.0, (len(heads), n_elements)),
    }
    if name == "ScaleShiftMACE":
        defaults["atomic_inter_scale"] = rng.uniform(0.5, 1.5, len(heads))
        defaults["atomic_inter_shift"] = rng.uniform(-0.5, 0.5, len(heads))
    with quiet(), torch.random.fork_rng(devices=[]), default_dtype(torch.float64):
        torch.manual_seed(seed)
        model = CLASSES[name](**(defaults | arguments))
        for parameter_name, parameter in model.named_parameters():
            # as mace-torch draws them, many-body terms are nearly silent and errors in them would not be seen
            if "contractions" in parameter_name:
                parameter.data *= 4.0
            _wake(parameter_name, parameter)
    return model.eval()
