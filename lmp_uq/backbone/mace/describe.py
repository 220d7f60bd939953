# SPDX-License-Identifier: GPL-2.0-or-later
"""Read the architecture and the arrays off a mace-torch model in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lmp_uq.backbone.mace.architecture import (
    ATOMIC_ENERGIES,
    CLASSES,
    GATE,
    GATES,
    INTERACTIONS,
    READOUTS,
    MaceModule,
    activation_slots,
    build_model,
    check_architecture,
    o3,
    pack_tensors,
)
from lmp_uq.backbone.mace.inputs import PARTS, fixed_inputs, fold_inputs
from lmp_uq.backbone.mace.parity import without_odd_scalars
from lmp_uq.backbone.mace.restriction import kept_elements, restrict
from lmp_uq.errors import UqError

_RADIAL_TYPES = {"BesselBasis": "bessel", "GaussianBasis": "gaussian", "ChebychevBasis": "chebyshev"}
_TRANSFORMS = {"AgnesiTransform": "Agnesi", "SoftTransform": "Soft"}
_KNOWN_PARTS = {
    "node_embedding",
    "radial_embedding",
    "pair_repulsion_fn",
    "spherical_harmonics",
    "atomic_energies_fn",
    "interactions",
    "products",
    "readouts",
    "scale_shift",
    *PARTS,
}
_REASONS = {
    "MACELES": ": it adds electrostatics",
    "PolarMACE": ": it adds electrostatics and electric fields",
    "MACEField": ": it adds electric fields",
    "AtomicDipolesMACE": ": it gives dipoles",
    "EnergyDipolesMACE": ": it gives dipoles",
    "AtomicDielectricMACE": ": it gives dipoles and polarisabilities",
}
_ACCELERATED = ("cuequivariance_torch", "openequivariance")


def describe_mace(
    model: MaceModule,
    *,
    head: str | None = None,
    charge: float | None = None,
    spin: float | None = None,
    elements: Sequence[str] = (),
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Architecture and packed tensors of a mace-torch model in memory.

    Parameters
    ----------
    model : torch.nn.Module
        Gets the attributes that it lacks of those that every energy model of mace-torch 0.3.16 has.
    head : str, optional
        Which head of a model with several.
    charge, spin : float, optional
        Total charge (e) and spin multiplicity of all configurations, of a model that takes them.
    elements : sequence of str
        Those that are kept; all unless given.

    Returns
    -------
    architecture : dict
    tensors : dict of str to array

    Raises
    ------
    UqError
        The model's class, or a part of it, is not one that can be rebuilt; or see `head`, `fixed_inputs` and `kept_elements`.
    """
    _refuse_class(model)
    _complete(model)
    model = _merged(model)
    _refuse_parts(model)
    heads = getattr(model, "heads", None) or ["Default"]
    heads = [heads] if isinstance(heads, str) else [str(name) for name in heads]
    if head is None and len(heads) > 1:
        raise UqError(f"the model has several heads; choose one of: {', '.join(heads)}")
    if head is not None and head not in heads:
        raise UqError(f"the model has no head {head!r}; it has: {', '.join(heads)}")
    fixed = fixed_inputs(model, {"charge": charge, "spin": spin})
    architecture = {
        "class": type(model).__name__,
        "atomic_numbers": [int(z) for z in model.atomic_numbers],
        "heads": heads,
        "head": head or heads[0],
        "r_max": _cutoff(model),
        "num_interactions": int(model.num_interactions),
        **_blocks(model, len(heads)),
        **_radial(model),
        **_flags(model),
        "activation_constants": _activation_constants(model),
        **fixed,
    }
    architecture = json.loads(json.dumps(architecture))
    check_architecture(architecture)
    state = fold_inputs(model, fixed, _state(model, len(heads)))
    architecture, state = without_odd_scalars(model, architecture, state)
    if elements:
        architecture, state = restrict(model, architecture, state, kept_elements(architecture["atomic_numbers"], elements))
    rebuilt = build_model(architecture, state, precision_of(model), strict=False)
    complete = {name: state.get(name, value.numpy()) for name, value in rebuilt.state_dict().items()}
    return architecture, pack_tensors(complete)


def _cutoff(model: MaceModule) -> float:
    """Of Gaussians: as their width has it, which is made of the cutoff before that was rounded to the precision of the model."""
    basis = model.radial_embedding.bessel_fn
    if not hasattr(basis, "coeff"):
        return float(model.r_max)
    exact = (len(basis.gaussian_weights) - 1) * (-0.5 / float(basis.coeff)) ** 0.5
    return float(f"{exact:.13g}")


def _complete(model: MaceModule) -> None:
    """Three buffers of mace-torch 0.3.16, which other versions keep as numbers and lists or not at all."""
    r_max = getattr(model, "r_max", None)
    wanted = {
        "atomic_numbers": [int(z) for z in model.atomic_numbers],
        "r_max": float(model.radial_embedding.cutoff_fn.r_max if r_max is None else r_max),
        "num_interactions": len(model.interactions),
    }
    for name, value in wanted.items():
        if not isinstance(getattr(model, name, None), torch.Tensor):
            model.__dict__.pop(name, None)
            model.register_buffer(name, torch.tensor(value))


def _adapters(model: MaceModule) -> list[str]:
    return sorted({type(module).__name__ for module in model.modules() if type(module).__name__.lower().startswith("lora")})


def _merged(model: MaceModule) -> MaceModule:
    """A copy with its LoRA adapters added to its weights; a model without adapters as it is."""
    if not _adapters(model):
        return model
    from mace.modules.lora import merge_lora_weights

    merged = merge_lora_weights(model, inplace=False)
    if _adapters(merged):
        raise UqError(f"adapters of class {', '.join(_adapters(merged))} are not supported; accepted: those of mace.modules.lora")
    return merged


def _refuse_class(model: Any) -> None:
    name = type(model).__name__
    if name not in CLASSES:
        raise UqError(f"model class {name} is not supported{_REASONS.get(name, '')}; accepted: {', '.join(CLASSES)}")


def _refuse_parts(model: MaceModule) -> None:
    name = type(model).__name__
    parts = sorted({part for part, _ in model.named_children()} - _KNOWN_PARTS)
    if parts:
        raise UqError(f"this {name} has a part that is not supported: {', '.join(parts)}")
    for module in model.modules():
        package = type(module).__module__.split(".")[0]
        if package in _ACCELERATED:
            raise UqError(
                f"the model is in the accelerated form of {package}; accepted: the e3nn form, into which "
                "mace-torch's mace.cli.convert_cueq_e3nn or convert_oeq_e3nn brings it"
            )
    if not len(model.readouts):
        raise UqError(f"this {name} has no readout")


def _class_name(modules: list[MaceModule], what: str, accepted: Mapping[str, Any]) -> str:
    names = sorted({type(module).__name__ for module in modules})
    if len(names) != 1 or names[0] not in accepted:
        raise UqError(
            f"{what} of class {', '.join(names)} not supported; accepted: one of {', '.join(accepted)}"
        )
    return names[0]


def _blocks(model: MaceModule, n_heads: int) -> dict[str, Any]:
    first, *others = list(model.interactions)
    hidden = o3.Irreps(str(first.hidden_irreps if others else model.products[0].linear.irreps_out))
    _refuse_hidden(hidden, o3.Irreps(str(model.products[-1].linear.irreps_out)))
    readout = model.readouts[-1]
    scalars = readout.hidden_irreps.count("0e") if hasattr(readout, "hidden_irreps") else 16 * n_heads
    neighbours = {float(block.avg_num_neighbors) for block in model.interactions}
    if len(neighbours) != 1:
        raise UqError(
            f"interactions with different avg_num_neighbors ({sorted(neighbours)}) are not supported"
        )
    return {
        "interaction_first": _class_name([first], "first interaction", INTERACTIONS),
        "interaction": _class_name(others or [first], "interactions", INTERACTIONS),
        "readout": _class_name([readout], "readout", READOUTS),
        "hidden_irreps": str(hidden),
        "MLP_irreps": f"{scalars // n_heads}x0e",
        "gate": _gate(readout),
        "correlation": [_body_order(product) for product in model.products],
        "radial_MLP": _radial_mlp(first),
        "avg_num_neighbors": neighbours.pop(),
    }


def _refuse_hidden(hidden: o3.Irreps, last: o3.Irreps) -> None:
    if len({channels for channels, _ in hidden}) > 1:
        # its products have as many channels of each irrep as of 0e, whatever hidden_irreps says
        raise UqError(f"hidden features {hidden}: mace-torch makes such a model and cannot evaluate it; accepted: equally many of each")
    if last != hidden[:1]:
        raise UqError(f"the last layer gives {last} (keep_last_layer_irreps), which is not supported; accepted: {hidden[:1]}")


def _body_order(product: MaceModule) -> int:
    buffers = product.symmetric_contractions.contractions[0].named_buffers()
    return sum(name.startswith("U_matrix_") for name, _ in buffers)


def _gate(readout: MaceModule) -> str:
    acts = list(getattr(getattr(readout, "non_linearity", None), "acts", None) or [])
    if not acts:
        return "None"
    function = getattr(acts[0], "f", acts[0])
    names = [name for name, known in GATES.items() if known is function]
    if not names:
        raise UqError(f"readout function {function!r} is not supported; accepted: {', '.join(GATES)}")
    return names[0]


def _radial_mlp(interaction: MaceModule) -> list[int]:
    sizes = [int(size) for size in interaction.conv_tp_weights.hs[1:-1]]
    # this block has its own sizes, whatever it was told
    return [64, 64, 64] if "Att" in type(interaction).__name__ else sizes


def _radial(model: MaceModule) -> dict[str, Any]:
    embedding = model.radial_embedding
    basis = type(embedding.bessel_fn).__name__
    transform = (
        type(embedding.distance_transform).__name__ if hasattr(embedding, "distance_transform") else None
    )
    power = float(embedding.cutoff_fn.p)
    if basis not in _RADIAL_TYPES:
        raise UqError(f"radial basis {basis} is not supported; accepted: {', '.join(_RADIAL_TYPES)}")
    if transform is not None and transform not in _TRANSFORMS:
        raise UqError(f"distance transform {transform} is not supported; accepted: {', '.join(_TRANSFORMS)}")
    if power != int(power):
        raise UqError(f"polynomial cutoff of order {power} is not supported; accepted: whole numbers")
    return {
        "num_bessel": int(embedding.out_dim),
        "num_polynomial_cutoff": int(power),
        "max_ell": int(model.spherical_harmonics._lmax),
        "radial_type": _RADIAL_TYPES[basis],
        "distance_transform": "None" if transform is None else _TRANSFORMS[transform],
    }


def _flags(model: MaceModule) -> dict[str, Any]:
    # models of older versions lack the attributes of later features, which are then off
    return {
        **_edges(model),
        "pair_repulsion": hasattr(model, "pair_repulsion_fn"),
        "apply_cutoff": bool(getattr(model, "apply_cutoff", True)),
        "use_reduced_cg": bool(getattr(model, "use_reduced_cg", False)),
        "use_so3": bool(getattr(model, "use_so3", False)),
        "use_agnostic_product": bool(getattr(model, "use_agnostic_product", False)),
        "use_last_readout_only": bool(getattr(model, "use_last_readout_only", False)),
    }


def _edges(model: MaceModule) -> dict[str, Any]:
    """What edges fetch, if not all features. The blocks know it, and the file of MH-1 holds no attribute that says it of the first one."""
    pairs = [(getattr(block, "edge_irreps", None), block.node_feats_irreps) for block in model.interactions]
    own = [None if edges is None or edges == features else str(edges) for edges, features in pairs]
    said = getattr(model, "edge_irreps", None)
    irreps = next((irreps for irreps in own[1:] if irreps), own[0] if said is None else str(said))
    return {
        "edge_irreps": irreps,
        "use_edge_irreps_first": bool(getattr(model, "use_edge_irreps_first", False)) or own[0] is not None,
    }


def _activation_constants(model: MaceModule) -> dict[str, float]:
    constants: dict[str, float] = {}
    # gates last: theirs have names of their own where they differ
    for module, attribute, name, special in sorted(activation_slots(model), key=lambda slot: slot[2] != slot[3]):
        value = float(getattr(module, attribute))
        if constants.get(name, value) != value:
            name = special
        if constants.setdefault(name, value) != value:
            raise UqError(
                f"the function {name} has two normalisations, {constants[name]} and {value}: not supported"
            )
    return constants


def _state(model: MaceModule, n_heads: int) -> dict[str, np.ndarray]:
    state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items() if GATE not in name}
    state[ATOMIC_ENERGIES] = np.atleast_2d(state[ATOMIC_ENERGIES])
    for name in ("scale_shift.scale", "scale_shift.shift"):
        if name in state:
            state[name] = np.broadcast_to(np.atleast_1d(state[name]), (n_heads,)).copy()
    return state


def precision_of(model: MaceModule) -> str:
    """Name of the precision of a model's weights."""
    return "float64" if next(model.parameters()).dtype == torch.float64 else "float32"
