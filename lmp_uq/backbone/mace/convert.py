# SPDX-License-Identifier: GPL-2.0-or-later
"""From a model that mace-torch has pickled to an architecture and arrays.

This is the only place where a pickle is opened. A pickle can run any program while it loads, so only a file
that the user has named, or a foundation model that mace-torch itself would download, is opened here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols

from lmp_uq.backbone.families import INPUTS
from lmp_uq.backbone.graph import Graph, graph_of_frames
from lmp_uq.backbone.mace.architecture import MaceModule, default_dtype, quiet
from lmp_uq.backbone.mace.chebyshev import give_derivative
from lmp_uq.backbone.mace.describe import describe_mace, precision_of
from lmp_uq.backbone.mace.names import file_of
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone
from lmp_uq.errors import UqError

_LOG = logging.getLogger(__name__)
_FOREIGN = (RuntimeError, AttributeError, TypeError, ValueError, KeyError, IndexError, AssertionError, StopIteration)
"""What a model of another version raises where it is not as expected."""
_OMOL = "https://github.com/ACEsuit/mace-foundations/releases/download/mace_omol_0/MACE-omol-0-extra-large-1024.model"
"""mace-torch has this address inside `mace_omol`."""
_TOLERANCE = 1e-9  # eV per atom and eV/Angstrom, relative where energies or forces exceed 1


class ConvertedModel(NamedTuple):
    """A model without pickle.

    Attributes
    ----------
    architecture : dict
        JSON-able, see `lmp_uq.backbone.mace.architecture.FIELDS`.
    tensors : dict of str to array
        Packed state dict, in the precision of the model.
    elements : tuple of str
    cutoff : float
        Angstrom.
    precision : {"float32", "float64"}
        Of the model's weights.
    """

    architecture: dict[str, Any]
    tensors: dict[str, np.ndarray]
    elements: tuple[str, ...]
    cutoff: float
    precision: str


def known_models() -> dict[str, str]:
    """Names of foundation models that mace-torch knows, and where it downloads them from."""
    with quiet():
        from mace.calculators.foundations_models import mace_mp_urls, mace_off_urls
    return dict(mace_mp_urls) | {f"off-{name}": url for name, url in mace_off_urls.items()} | {"omol": _OMOL}


def convert_mace(
    model: str | os.PathLike[str],
    *,
    head: str | None = None,
    charge: float | None = None,
    spin: float | None = None,
    elements: Sequence[str] = (),
) -> ConvertedModel:
    """Open a model of mace-torch and return what rebuilds it.

    The file is a pickle and is trusted, because the user has named it: opening it can run any program that it
    holds. The rebuilt model is compared with the original, in float64, on a small random frame, before it is
    returned.

    Parameters
    ----------
    model : str or path
        File written by mace-torch, or a name from `known_models`, which is downloaded into mace-torch's
        cache.
    head : str, optional
        Which head of a model with several.
    charge, spin : float, optional
        Total charge (e) and spin multiplicity of all configurations, of a model that takes them.
    elements : sequence of str
        Those that are kept; all unless given.

    Returns
    -------
    ConvertedModel

    Raises
    ------
    UqError
        No such file or name, no network, not an energy model of mace-torch, a feature that cannot be rebuilt,
        or a head, charge, spin or element that is missing or not there.
    """
    path = _locate(model)
    original = _open(path)
    try:
        architecture, tensors = describe_mace(original, head=head, charge=charge, spin=spin, elements=elements)
        precision = precision_of(original)
        _verify(original, architecture, tensors)
    except UqError as error:
        raise UqError(f"{path}: {error}") from error
    except _FOREIGN as error:
        raise UqError(
            f"{path}: the model is not as mace-torch 0.3.16 makes them ({error}), perhaps of another version; accepted: models that it "
            "can evaluate"
        ) from error
    elements = tuple(chemical_symbols[z] for z in architecture["atomic_numbers"])
    return ConvertedModel(architecture, tensors, elements, architecture["r_max"], precision)


def _locate(model: str | os.PathLike[str]) -> Path:
    given = file_of(model)
    if given is not None:
        return given
    names = known_models()
    with quiet() as printed:
        from mace.calculators.foundations_models import download_mace_mp_checkpoint

        try:
            # its helper takes one of its names or an address; addresses serve both tables
            path = download_mace_mp_checkpoint(names[str(model)])
        except Exception as error:  # whatever the network or the disk raises
            raise UqError(
                f"{model} could not be downloaded ({error}). Where there is network, download\n"
                f"  {names[str(model)]}\nthen copy the file here and give its path instead of the name."
            ) from error
    for line in printed.getvalue().splitlines():
        if "icense" in line:
            _LOG.warning(line.strip())
    return Path(path)


def _open(path: Path) -> MaceModule:
    try:
        with quiet():
            model = torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise UqError(
            f"{path}: the pickled model needs code that is not installed here or has changed ({error}). "
            "Accepted: models that mace-torch 0.3.16 can open; convert accelerated models back to e3nn first"
        ) from error
    except Exception as error:  # a pickle runs code, which may raise anything
        raise UqError(f"{path}: torch cannot open it as a pickled model ({error})") from error
    if isinstance(model, Mapping):
        keys = ", ".join(map(str, list(model)[:4]))
        raise UqError(
            f"{path}: holds a table (keys {keys}, ...), perhaps a training checkpoint; accepted: the file "
            "that ends in .model, which mace_run_train writes when it has finished"
        )
    return model


def _verify(model: MaceModule, architecture: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
    """Compare the rebuilt model with the original, see `convert_mace`."""
    backbone = MaceTorchBackbone(architecture, tensors, precision="float64")
    frame = _random_frame(backbone)
    graph, _ = graph_of_frames([frame], backbone.elements, backbone.cutoff)
    head = architecture["heads"].index(architecture["head"])
    try:
        energies, forces = _original_results(model, graph, frame.positions, head, architecture)
    except _FOREIGN as error:
        raise UqError(f"mace-torch itself cannot evaluate this model: {error}") from error
    evaluation = backbone.evaluate(graph)
    found = evaluation.energies if len(energies) > 1 else evaluation.energies.mean(keepdims=True)
    edges = backbone.pull(evaluation.state, np.ones(graph.n_local))
    rebuilt = np.zeros_like(forces)
    np.add.at(rebuilt, graph.centres, edges)
    np.subtract.at(rebuilt, graph.neighbours, edges)
    energy_error, force_error = (
        float(np.abs(new - old).max()) / max(1.0, float(np.abs(old).max()))
        for new, old in ((found, energies), (rebuilt, forces))
    )
    # written so that a NaN fails
    if not (energy_error < _TOLERANCE and force_error < _TOLERANCE):
        parts = [architecture[key] for key in ("class", "interaction_first", "interaction", "readout")]
        raise UqError(
            f"the rebuilt model differs from the original by {energy_error:.1e} in energies and "
            f"{force_error:.1e} in forces, so a feature of it is not supported, in one of {', '.join(parts)}"
        )


def _random_frame(backbone: MaceTorchBackbone) -> Atoms:
    rng = np.random.default_rng(0)
    n_elements = len(backbone.elements)
    n_atoms = max(6, min(n_elements, 16))
    species = rng.permutation(max(n_atoms, n_elements))[:n_atoms] % n_elements
    spacing = min(2.6, 0.7 * backbone.cutoff)
    n_sides = int(np.ceil(n_atoms ** (1 / 3)))
    grid = spacing * np.stack(np.unravel_index(np.arange(n_atoms), (n_sides,) * 3), axis=-1)
    return Atoms(
        [backbone.elements[k] for k in species],
        positions=grid + spacing * rng.uniform(-0.15, 0.15, grid.shape),
        cell=spacing * (n_sides * np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))),
        pbc=True,
    )


def _original_results(
    model: MaceModule, graph: Graph, positions: np.ndarray, head: int, architecture: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Energies of all atoms, or their mean where the atoms' leave a part out, and forces of the model itself, which is cast to float64 for
    good."""
    give_derivative(model, warn=True)
    model.double().eval()
    edges = np.stack([graph.neighbours, graph.centres])
    known = [int(z) for z in model.atomic_numbers]
    species = np.array([known.index(z) for z in architecture["atomic_numbers"]])[graph.species]
    # from sender j to receiver i: x_i - x_j + shift = -r_ij
    shifts = -graph.vectors - (positions[graph.centres] - positions[graph.neighbours])
    with quiet(), default_dtype(torch.float64):
        data = {
            "positions": torch.tensor(positions),
            "node_attrs": torch.eye(len(known))[torch.from_numpy(species)],
            "edge_index": torch.from_numpy(edges),
            "shifts": torch.from_numpy(shifts),
            "unit_shifts": torch.zeros(len(shifts), 3),
            "cell": torch.eye(3),
            "batch": torch.zeros(graph.n_local, dtype=torch.int64),
            "ptr": torch.tensor([0, graph.n_local]),
            "head": torch.tensor([head]),
            **{name: torch.tensor([float(architecture[name])]) for name in INPUTS if name in architecture},
        }
        out = model(data, compute_force=True)
    whole = hasattr(model, "embedding_readout")  # of which mace-torch's energies of atoms have nothing
    energies = out["energy"] / graph.n_local if whole else out["node_energy"]
    return energies.detach().double().numpy(), out["forces"].detach().numpy()
