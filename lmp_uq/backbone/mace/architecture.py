# SPDX-License-Identifier: GPL-2.0-or-later
"""MACE models as a JSON architecture and named arrays, without pickle.

The architecture holds the constructor arguments of mace-torch 0.3.16's energy models, as names, numbers and
irreps strings; names are looked up in fixed tables, so a file cannot choose code. The arrays are the model's
state dict, with two differences. The coupling tensors ``U_matrix_*`` (Batatia et al., NeurIPS 2022, eq. 10;
more than 90 % zeros) are stored as flat indices and values. What follows from the irreps by integer
arithmetic alone (output masks, flags of vanishing paths) is left out. The coupling tensors themselves are
kept: recomputing them takes half a minute, and their order and sign belong to the library that made them.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch

from lmp_uq.backbone.families import INPUTS
from lmp_uq.backbone.mace.chebyshev import give_derivative
from lmp_uq.errors import UqError, piece


@contextlib.contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keep what torch, e3nn and mace-torch warn and print from the user; yields what was printed."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as printed:
        warnings.simplefilter("ignore")
        yield printed


with quiet():
    # first mace, then e3nn: mace lets e3nn read its table of constants under recent versions of torch
    import mace.modules
    import mace.modules.symmetric_contraction as symmetric_contraction
    from e3nn import o3

MaceModule: TypeAlias = Any
"""A torch.nn.Module of mace-torch; what torch declares of its parts is "tensor or module"."""
DTYPES = {"float32": torch.float32, "float64": torch.float64}
CLASSES = {name: getattr(mace.modules, name) for name in ("MACE", "ScaleShiftMACE")}
INTERACTIONS = {
    name: getattr(mace.modules, name)
    for name in (
        "RealAgnosticInteractionBlock",
        "RealAgnosticResidualInteractionBlock",
        "RealAgnosticAttResidualInteractionBlock",
        "RealAgnosticDensityInteractionBlock",
        "RealAgnosticDensityResidualInteractionBlock",
        "RealAgnosticResidualNonLinearInteractionBlock",
    )
}
READOUTS = {
    name: getattr(mace.modules, name)
    for name in ("LinearReadoutBlock", "NonLinearReadoutBlock", "NonLinearBiasReadoutBlock")
}
GATES = {"silu": torch.nn.functional.silu, "tanh": torch.tanh, "abs": torch.abs, "None": None}
ATOMIC_ENERGIES = "atomic_energies_fn.atomic_energies"
REBUILT = re.compile(r"(\.output_mask|\.weights_(\d+|max)_zeroed)$")
MOST_WHOLE, MOST_ITEMS, MOST_CHANNELS, MOST_DEGREE = 10_000, 1000, 4096, 11
"""Of a number, a list and irreps in an architecture, whose products become the size of a model."""
GATE = ".equivariant_nonlin"
"""In names of what belongs to the gate of a nonlinear interaction, which has no weights: e3nn's in old models, mace-torch's own in new."""
_COUPLING = re.compile(r"\.U_matrix_\d+$")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_WHOLE


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= sys.float_info.max


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _irreps(value: Any) -> bool:
    try:
        irreps = o3.Irreps(value) if isinstance(value, str) and len(value) <= MOST_ITEMS else o3.Irreps()
        return irreps.dim > 0 and all(n <= MOST_CHANNELS and irrep.l <= MOST_DEGREE for n, irrep in irreps)
    except ValueError:
        return False


def _one_of(*names: str) -> tuple[str, Any]:
    return " or ".join(names), lambda value: isinstance(value, str) and value in names


def _list_of(text: str, check: Any) -> tuple[str, Any]:
    is_list = lambda value: isinstance(value, list) and 0 < len(value) <= MOST_ITEMS  # noqa: E731
    return f"a list of 1 to {MOST_ITEMS} {text}", lambda value: is_list(value) and all(map(check, value))


_WHOLE = (f"a whole number from 1 to {MOST_WHOLE}", _whole)
_NUMBER = ("a number above 0", _number)
_FLAG = ("true or false", lambda value: isinstance(value, bool))
_IRREPS = (f"irreps such as 128x0e+128x1o, at most {MOST_CHANNELS} of each, degrees to {MOST_DEGREE}", _irreps)
_CONSTANTS = (
    "numbers above 0 by function name",
    lambda value: isinstance(value, dict) and all(_number(v) for v in value.values()),
)

FIELDS: dict[str, tuple[str, Any]] = {
    "class": _one_of(*CLASSES),
    "atomic_numbers": _list_of("atomic numbers", lambda z: _whole(z) and z < 119),
    "heads": _list_of("names", lambda name: isinstance(name, str)),
    "head": ("one of heads", lambda value: isinstance(value, str)),
    "r_max": _NUMBER,
    "num_bessel": _WHOLE,
    "num_polynomial_cutoff": _WHOLE,
    "max_ell": _WHOLE,
    "num_interactions": _WHOLE,
    "interaction": _one_of(*INTERACTIONS),
    "interaction_first": _one_of(*INTERACTIONS),
    "readout": _one_of(*READOUTS),
    "hidden_irreps": _IRREPS,
    "edge_irreps": ("null or irreps", lambda value: value is None or _irreps(value)),
    "MLP_irreps": _IRREPS,
    "gate": _one_of(*GATES),
    "correlation": _list_of(f"whole numbers from 1 to {MOST_WHOLE}", _whole),
    "radial_MLP": _list_of(f"whole numbers from 1 to {MOST_WHOLE}", _whole),
    "radial_type": _one_of("bessel", "gaussian", "chebyshev"),
    "distance_transform": _one_of("None", "Agnesi", "Soft"),
    "avg_num_neighbors": _NUMBER,
    "activation_constants": _CONSTANTS,
    "pair_repulsion": _FLAG,
    "apply_cutoff": _FLAG,
    "use_reduced_cg": _FLAG,
    "use_so3": _FLAG,
    "use_agnostic_product": _FLAG,
    "use_last_readout_only": _FLAG,
    "use_edge_irreps_first": _FLAG,
}
"""Every key of an architecture: what is accepted, in words and as a test."""
OPTIONAL: dict[str, tuple[str, Any]] = {name: ("a finite number", _finite) for name in INPUTS}
"""What a model's charge and spin were fixed at when it was converted; a model that never took them has no such key."""


def check_architecture(architecture: Mapping[str, Any]) -> None:
    """Refuse an architecture that is not exactly the known keys with values of the known kinds.

    Raises
    ------
    UqError
        Names the keys that are unknown or missing, or the value that is not accepted.
    """
    unknown = sorted(set(architecture) - set(FIELDS | OPTIONAL))
    if unknown:
        raise UqError(f"MACE architecture: unknown key {piece(', '.join(unknown))}; accepted: {', '.join(FIELDS | OPTIONAL)}")
    missing = [key for key in FIELDS if key not in architecture]
    if missing:
        raise UqError(f"MACE architecture: key {', '.join(missing)} is missing")
    for key, (accepted, check) in (FIELDS | OPTIONAL).items():
        if key in architecture and not check(architecture[key]):
            raise UqError(f"MACE architecture: {key} is {piece(repr(architecture[key]))}; accepted: {accepted}")
    if architecture["head"] not in architecture["heads"]:
        raise UqError(
            f"MACE architecture: head is {piece(repr(architecture['head']))}; "
            f"accepted: {piece(', '.join(architecture['heads']))}"
        )
    if len(architecture["correlation"]) != architecture["num_interactions"]:
        raise UqError("MACE architecture: correlation needs one number per interaction")


def pack_tensors(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Compact form of a state dict, see the module's text.

    Parameters
    ----------
    state : mapping of str to array

    Returns
    -------
    dict
        ``<name>.indices`` (int32, flat), ``<name>.values`` and ``<name>.shape`` (int64) for coupling tensors;
        other arrays as they are.
    """
    packed = {}
    for name, value in state.items():
        value = np.asarray(value)
        if value.size == 0 or REBUILT.search(name):
            continue
        if _COUPLING.search(name):
            indices = np.flatnonzero(value)
            packed[f"{name}.indices"] = indices.astype(np.int32)
            packed[f"{name}.values"] = value.reshape(-1)[indices]
            packed[f"{name}.shape"] = np.array(value.shape, dtype=np.int64)
        else:
            packed[name] = value
    return packed


def unpack_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Inverse of `pack_tensors`, without what is rebuilt.

    Raises
    ------
    UqError
        A coupling tensor with a part missing, or with indices outside its shape.
    """
    dense = {}
    for name, value in tensors.items():
        stem, _, part = name.rpartition(".")
        if not _COUPLING.search(stem):
            dense[name] = np.array(value)
        elif part == "indices":
            dense[stem] = _scatter(tensors, stem)
    return dense


def _scatter(tensors: Mapping[str, np.ndarray], stem: str) -> np.ndarray:
    try:
        indices, values, shape = (
            np.asarray(tensors[f"{stem}.{part}"]) for part in ("indices", "values", "shape")
        )
    except KeyError as error:
        raise UqError(f"MACE tensors: {piece(error.args[0])} is missing") from None
    if not all(np.issubdtype(array.dtype, np.integer) for array in (indices, shape)):
        raise UqError(f"MACE tensors: indices and shape of {piece(stem)} are {indices.dtype} and {shape.dtype}; accepted: whole numbers")
    size = math.prod(int(n) for n in shape.flat)
    inside = indices.shape == values.shape and (
        indices.size == 0 or (indices.min() >= 0 and indices.max() < size)
    )
    if not inside or not 0 < size < 2**31:
        raise UqError(
            f"MACE tensors: the indices of {piece(stem)} do not fit its values or its shape {piece(shape.tolist())}"
        )
    flat = np.zeros(size, dtype=values.dtype)
    flat[indices] = values
    return flat.reshape([int(n) for n in shape])


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Give torch's default dtype a value and put the old one back."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def build_model(
    architecture: Mapping[str, Any], state: Mapping[str, np.ndarray], precision: str, *, strict: bool = True
) -> MaceModule:
    """Rebuild a model.

    Parameters
    ----------
    architecture : mapping
        See `FIELDS`.
    state : mapping of str to array
        Dense state dict (`unpack_tensors`); cast to `precision`.
    precision : {"float32", "float64"}
    strict : bool
        False: arrays that are missing keep the value that mace-torch gives them.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, no parameter requires a gradient.

    Raises
    ------
    UqError
        The architecture is not accepted, or the arrays do not fit it.
    """
    check_architecture(architecture)
    if precision not in DTYPES:
        raise UqError(f"precision is {precision!r}; accepted: {' or '.join(DTYPES)}")
    held, needed = sum(int(np.size(value)) for value in state.values()), _fewest_numbers(architecture)
    if strict and held < needed:
        raise UqError(f"MACE tensors: {held} numbers; accepted: the {needed} or more that this architecture needs")
    try:
        # forked: construction draws random weights, which the user's own random numbers must not notice
        with quiet(), torch.random.fork_rng(devices=[]), default_dtype(DTYPES[precision]):
            with _given_couplings(state):
                model = CLASSES[architecture["class"]](**_arguments(architecture, state))
            give_derivative(model)
            _fill(model, state, strict)
            _set_activation_constants(model, architecture["activation_constants"])
    except UqError:
        raise
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError, KeyError) as error:
        raise UqError(
            f"MACE model cannot be rebuilt from this architecture and these tensors: {str(error)[:1000]}"
        ) from error
    return model.requires_grad_(False).eval()


def _fewest_numbers(architecture: Mapping[str, Any]) -> int:
    """Some of the weights of the first layer: those between its scalars and those of its radial network."""
    n_scalars = sum(n for n, irrep in o3.Irreps(architecture["hidden_irreps"]) if irrep.l == 0)
    widths = [architecture["num_bessel"], *architecture["radial_MLP"]]
    return n_scalars**2 + sum(a * b for a, b in itertools.pairwise(widths))


def _arguments(architecture: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> dict[str, Any]:
    same = (
        "r_max", "num_bessel", "num_polynomial_cutoff", "max_ell", "num_interactions", "avg_num_neighbors",
        "atomic_numbers", "heads", "correlation", "radial_MLP", "radial_type", "distance_transform",
        "pair_repulsion", "apply_cutoff", "use_reduced_cg", "use_so3", "use_agnostic_product",
        "use_last_readout_only", "use_edge_irreps_first",
    )  # fmt: skip
    arguments = {key: architecture[key] for key in same}
    for key in ("hidden_irreps", "MLP_irreps", "edge_irreps"):
        arguments[key] = None if architecture[key] is None else o3.Irreps(architecture[key])
    arguments["interaction_cls"] = INTERACTIONS[architecture["interaction"]]
    arguments["interaction_cls_first"] = INTERACTIONS[architecture["interaction_first"]]
    arguments["readout_cls"] = READOUTS[architecture["readout"]]
    arguments["gate"] = GATES[architecture["gate"]]
    arguments["num_elements"] = len(architecture["atomic_numbers"])
    n_heads = len(architecture["heads"])
    arguments["atomic_energies"] = np.zeros((n_heads, arguments["num_elements"]))
    if architecture["class"] == "ScaleShiftMACE":
        arguments["atomic_inter_scale"] = np.ones(n_heads)
        arguments["atomic_inter_shift"] = np.zeros(n_heads)
    return arguments


@contextlib.contextmanager
def _given_couplings(state: Mapping[str, np.ndarray]) -> Iterator[None]:
    """While a model is constructed, answer its requests for coupling tensors from `state`.

    The requests come layer by layer, output irrep by output irrep, order by order.
    """
    names = iter(
        sorted(
            (name for name in state if _COUPLING.search(name)),
            key=lambda name: [int(number) for number in re.findall(r"\d+", name)],
        )
    )

    def answer(*_args: Any, dtype: torch.dtype | None = None, **_keywords: Any) -> list[torch.Tensor]:
        try:
            return [torch.tensor(state[next(names)], dtype=dtype)]
        except StopIteration:
            raise UqError("MACE tensors: a coupling tensor U_matrix is missing") from None

    original = symmetric_contraction.U_matrix_real
    symmetric_contraction.U_matrix_real = answer
    try:
        yield
    finally:
        symmetric_contraction.U_matrix_real = original
    left = next(names, None)
    if left is not None:
        raise UqError(f"MACE tensors: {piece(left)} has no place in this architecture")


def _fill(model: MaceModule, state: Mapping[str, np.ndarray], strict: bool) -> None:
    own = model.state_dict()
    for name, value in state.items():
        if name not in own:
            raise UqError(f"MACE tensors: {piece(name)} has no place in this architecture")
        found, needed = list(np.shape(value)), list(own[name].shape)
        if found != needed:
            raise UqError(f"MACE tensors: {piece(name)} has shape {found}, this architecture needs {needed}")
        own[name].copy_(torch.tensor(np.asarray(value)))
    absent = [name for name in own if name not in state and own[name].numel() and not REBUILT.search(name)]
    if strict and absent:
        raise UqError(f"MACE tensors: {', '.join(absent)} missing")


def activation_slots(model: MaceModule) -> Iterator[tuple[MaceModule, str, str, str]]:
    """Where a model keeps the factors that normalise its activation functions: (module, attribute, function
    name, name inside the gates of nonlinear interactions).

    e3nn estimates the factor by a sum over pseudo-random numbers, so it is stored and not computed again. A gate's may have another
    precision than the others: then it has an entry of its own.
    """
    for path, module in model.named_modules():
        for function, constant in (("f", "cst"), ("_act_scalar", "_scalar_cst"), ("_act_gate", "_gate_cst")):
            if hasattr(module, constant) and getattr(module, function, None) is not None:
                name = getattr(module, function).__name__
                yield module, constant, name, f"gate {name}" if GATE in path else name


def _set_activation_constants(model: MaceModule, constants: Mapping[str, float]) -> None:
    for module, attribute, name, special in activation_slots(model):
        if name not in constants:
            raise UqError(f"MACE architecture: activation_constants lacks {name}")
        setattr(module, attribute, float(constants.get(special, constants[name])))
