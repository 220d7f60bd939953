# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the backbone of a fit comes from, and what a linear potential adds: its source, and the options that it has no use for.

A foundation model runs as it is, and the posterior is about corrections of it. A linear potential is itself fitted: it runs with Theta*,
which goes into the section backbone of the file, and the posterior is about departures from it. Rows of labels less a potential with
Theta* are then, as those of a foundation model, what the bars are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lmp_uq.backbone.families import COMPUTE, LINEAR, SNAP
from lmp_uq.backbone.linear.compute import with_columns
from lmp_uq.backbone.linear.compute_settings import ComputeSettings, read_compute_settings
from lmp_uq.backbone.linear.snap_settings import SnapSettings, read_settings
from lmp_uq.backbone.load import linear_class
from lmp_uq.errors import UqError, argument
from lmp_uq.frames.reading import read_frames
from lmp_uq.modelfile.header import BackboneEntry
from lmp_uq.modelfile.source import BackboneSource, open_backbone

PREFIXES = {"snap:": SNAP, "compute:": COMPUTE}
"""How ``--backbone`` names a *.snapparam file and a *.compute file."""
RIDGE = "evidence"
"""Ridge of a linear potential unless the user asks for another: one that narrows a correction would spoil a potential."""


def is_linear(source: BackboneSource) -> bool:
    """Whether a backbone is a linear potential, which a fit determines itself."""
    return source.entry.family in LINEAR


def linear_source(
    name: str, elements: Sequence[str], reference: Sequence[str], coefficients: Sequence[str], communicator: Any = None
) -> BackboneSource:
    """A linear potential that knows only its reference, Theta = 0: what a fit starts from.

    Parameters
    ----------
    name : str
        ``snap:FILE.snapparam`` or ``compute:FILE.compute``.
    elements : sequence of str
        Of SNAP, as in `lmp_uq.backbone.linear.snap_settings.read_settings`; the other file has them.
    reference, coefficients
        As in `lmp_uq.backbone.linear.reference.ReferencePotential.of`.
    communicator : MPI communicator or None
        Of this process alone where several share a fit: LAMMPS counts the columns of a compute.
    """
    prefix, _, path = name.partition(":")
    family = PREFIXES[prefix + ":"]
    settings: SnapSettings | ComputeSettings
    if family == SNAP:
        settings = read_settings(path, elements, reference, coefficients)
    else:
        settings = with_columns(read_compute_settings(path, reference, coefficients), communicator)
    tensors = {"coefficients": np.zeros(len(settings.elements) * (settings.n_per_element + 1))}
    architecture = settings.header()
    backbone = linear_class(family)(architecture, tensors, settings.elements)
    entry = BackboneEntry(
        family=family, architecture=architecture, n_features=backbone.n_features, n_parameters=backbone.n_parameters
    )  # fmt: skip
    return BackboneSource(entry, tensors, list(settings.elements), settings.cutoff, "float64")


def open_fit_source(options: Any, communicator: Any = None) -> BackboneSource:
    """The backbone that a fit's options name; of a linear potential also what the options say beside its file. See `linear_source`.

    Raises
    ------
    UqError
        As `open_backbone` and `read_settings`; options of a linear potential with a backbone that is none.
    """
    said = (options.elements, options.reference, options.reference_coeff)
    if not options.backbone.startswith(tuple(PREFIXES)):
        if any(said):
            names = [argument(name) for name in ("elements", "reference", "reference_coeff")]
            raise UqError(
                f"{names[0]}, {names[1]} and {names[2]} describe a potential named snap:X.snapparam or compute:X.compute, no other backbone"
            )
        source = open_backbone(options.backbone, options.head)
        # a potential that was fitted before is fitted anew, its settings stay
        return with_coefficients(source, np.zeros(source.entry.n_parameters)) if is_linear(source) else source
    elements = options.elements
    if options.backbone.startswith("compute:"):
        if elements:
            raise UqError(f"{argument('elements', *elements)}: {options.backbone} names the elements itself; leave it out")
    elif not elements:
        elements = _only_element(options)
    return linear_source(options.backbone, elements, options.reference, options.reference_coeff, communicator)


def options_of_family(options: Any, source: BackboneSource) -> Any:
    """The options with the defaults of a foundation model, whose rows are dear, or of a linear potential.

    Raises
    ------
    UqError
        What a linear potential has no use for.
    """
    linear = is_linear(source)
    if linear and options.fit_offsets:
        asked = argument("fit_offsets", True)
        raise UqError(f"{asked}: a linear potential has a constant for each element, which takes up the energy zero; leave it out")
    if linear and options.head is not None:
        raise UqError(f"{argument('head', options.head)}: is for mace-torch models; a linear potential has none")
    if linear and (options.device not in ("auto", "cpu") or options.engine == "native" or options.precision == "float32"):
        found = " ".join(argument(name, getattr(options, name)) for name in ("device", "engine", "precision"))
        raise UqError(f"{found}: LAMMPS makes the rows of a linear potential; accepted: cpu, float64, and no engine")
    ridge = (RIDGE if linear else 1e-2) if options.ridge == "auto" else options.ridge
    axes = axes_of(source) if options.axes == "auto" else options.axes
    return replace(options, ridge=ridge, axes=axes, bias="element" if linear else options.bias)


def axes_of(source: BackboneSource) -> str:
    """Axes of the box unless the user says otherwise: in the given units, as in the papers, where the columns are of one kind.

    Products of descriptors and their coefficients differ from the descriptors and theirs by powers of ten; in given units a third of
    the directions of a quadratic potential is then below the threshold of modes, and its bars are too narrow (docs/linear.md). Of the
    columns of another compute nothing is known.
    """
    of_one_kind = source.entry.family == SNAP and not source.entry.architecture["parameters"]["quadraticflag"]
    return "given" if of_one_kind else "scaled"


def _only_element(options: Any) -> list[str]:
    """The element of the frames; UqError if there are several, whose radii and weights nobody has said."""
    frames = read_frames(options.data, options.keys, options.group_key)
    found = sorted({symbol for frame in frames for symbol in frame.atoms.get_chemical_symbols()})
    if len(found) != 1:
        wanted = f"{argument('elements')} must say radius and weight of each, as {found[0]}:0.5:1.0"
        raise UqError(f"the frames hold {' '.join(found)}: {wanted}")
    return found


def with_coefficients(source: BackboneSource, coefficients: np.ndarray) -> BackboneSource:
    """The same potential with another Theta."""
    return replace(source, tensors={"coefficients": np.asarray(coefficients, dtype=np.float64)})


