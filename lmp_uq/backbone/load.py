# SPDX-License-Identifier: GPL-2.0-or-later
"""The backbone of a model file, by the engine that can run it. This module is light; torch is imported where it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmp_uq.backbone.families import FAMILIES, MACE, SNAP
from lmp_uq.backbone.protocol import Backbone
from lmp_uq.errors import UqError, needs_torch

ENGINES = ("torch", "native", "auto")

log = logging.getLogger("lmp_uq")


def backbone_of_file(file: Any, precision: str = "file", device: str = "cpu", **keywords: Any) -> Backbone:
    """`load_backbone` of what `lmp_uq.modelfile.file.read` returned; precision "file" is what the file says."""
    header = file.header
    precision = header.precision if precision == "file" else precision
    found = load_backbone(header.backbone.to_dict(), file.section("backbone"), precision, device, elements=header.elements, **keywords)
    log.debug("backbone %s: %s on %s, %s, %d features", file.sha256[:12], found.engine, found.device, found.precision, found.n_features)
    return found


def load_backbone(
    entry: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    precision: str = "float64",
    device: str = "cpu",
    *,
    engine: str = "auto",
    threads: int = 0,
    local_rank: int = 0,
    elements: Sequence[str] = (),
    communicator: Any = None,
) -> Backbone:
    """Rebuild a backbone from what a model file holds.

    Parameters
    ----------
    entry : mapping
        The header's entry "backbone" (keys family and architecture), or the architecture alone.
    tensors : mapping
        The arrays of the section backbone, names without the section.
    precision : {"float32", "float64"}
    device : str
        "cpu", "cuda", "cuda:N", or "auto": a GPU if there is one that the engine can use, else the CPU. "cuda" and "auto"
        deal the GPUs of a node out to its ranks.
    engine : {"auto", "native", "torch"}
        "native" is csrc/mace; "torch" is mace-torch; "auto" is native, and torch, said in the log, where native cannot run the model or
        has no kernels for the device.
    threads : int
        CPU threads; 0 is what torch or OpenMP choose.
    local_rank : int
        Number of this process on its node.
    elements : sequence of str
        Those of the file; of a linear potential.
    communicator : MPI communicator or None
        On which LAMMPS computes the rows of a linear potential, None: all ranks there are.

    Returns
    -------
    Backbone
        Of a linear potential a `lmp_uq.backbone.linear.potential.LinearBackbone`, which has rows in the place of `Backbone.pull` and
        `Backbone.push`.

    Raises
    ------
    UqError
        A family, architecture, engine, precision or device that is not known or not there, or tensors that do not
        fit.
    """
    family = entry.get("family", MACE)
    if family not in FAMILIES:
        raise UqError(f"backbone family {family!r} is not known; accepted: {', '.join(FAMILIES)}")
    if family != MACE:
        return linear_class(family)(entry["architecture"], tensors, elements, communicator)
    if engine not in ENGINES:
        raise UqError(f"engine is {engine!r}; accepted: {', '.join(ENGINES)}")
    architecture = entry.get("architecture", entry)
    if engine != "torch":
        try:
            return _native(architecture, tensors, precision, device, threads, local_rank)
        except UqError as reason:
            if engine == "native":
                if not str(reason).startswith("native engine: "):  # what csrc/mace/architecture.cpp says of a model that it does not run
                    raise
                raise UqError(f"{reason}; engine torch runs it") from reason
            log.warning("%s; torch is used", reason)
        if device == "auto":
            device = "cpu"  # torch on a GPU is not verified: it runs there only where somebody asks for it
    with needs_torch("engine torch"):
        from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone, pick_device

    if threads > 0:
        import torch

        torch.set_num_threads(threads)
    return MaceTorchBackbone(
        architecture, tensors, precision=precision, device=pick_device(device, local_rank)
    )


def linear_class(family: str) -> type:
    """`LinearBackbone` of a family of linear potentials."""
    if family == SNAP:
        from lmp_uq.backbone.linear.snap import SnapBackbone

        return SnapBackbone
    from lmp_uq.backbone.linear.compute import ComputeBackbone

    return ComputeBackbone


def _native(architecture, tensors, precision, device, threads, local_rank):
    from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone

    return MaceNativeBackbone(architecture, tensors, precision=precision, threads=threads, device=device, local_rank=local_rank)
