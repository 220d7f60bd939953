# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq reweight``: averages over the frames of a run, with their bars due to the potential."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from tqdm import tqdm

from lmp_uq import modelfile
from lmp_uq.averages.estimators import BOLTZMANN, MAX_VARIANCE, RunSamples, averages
from lmp_uq.averages.sampling import ENERGY, PRESSURE, pressure_of, radial_distribution, read_run, source_of
from lmp_uq.averages.table import read_table
from lmp_uq.backbone.graph import check_inputs
from lmp_uq.errors import UqError, argument
from lmp_uq.posterior.box import Box
from lmp_uq.recipes.options import members_in_use, say_what_answers


@dataclass(frozen=True)
class ReweightOptions:
    """What ``lmp-uq reweight`` is told; see docs/reweight.md.

    Attributes
    ----------
    model : str
        That made the run: a *.uq file or an embedded model.
    frames : sequence of path
        Of the run, in its order.
    temperature : float
        K.
    observables : path or None
        Table of further observables, a line for each frame.
    pressure : bool
        Also the pressure, bar.
    rdf : (float, int) or None
        Also g(r), up to this distance (Angstrom) in so many bins.
    elements : sequence of str
        Of the atom types of a dump that does not name them.
    skip : int
        Frames to leave out at the beginning.
    n_members : int or None
        K of the bounds; None: all of the file.
    engine : mapping
        Options of `lmp_uq.run.engine.Engine.load`.
    progress : bool
    """

    model: str
    frames: Sequence[str]
    temperature: float
    observables: str | None = None
    pressure: bool = False
    rdf: tuple[float, int] | None = None
    elements: Sequence[str] = ()
    skip: int = 0
    n_members: int | None = None
    engine: Mapping[str, Any] = field(default_factory=dict)
    progress: bool = False


def reweight(options: ReweightOptions) -> dict:
    """Averages and bars of the energy and of what else is asked for.

    Parameters
    ----------
    options : ReweightOptions

    Returns
    -------
    dict
        As `lmp_uq.averages.estimators.averages`, with model, sha256, and cell_changes.

    Raises
    ------
    UqError
        A model without posterior, frames that cannot be read or are fewer than two, a table that does not fit them, more members than the
        file holds, a pressure or g(r) of frames without a volume, frames of another charge or spin than the model was converted for.
    """
    file = modelfile.read(modelfile.resolve(options.model))
    source = source_of(file, options.model, **options.engine)
    n_members = members_in_use(file.header, options.n_members, options.model)
    say_what_answers(file.header, "reweight")
    frames = read_run(options.frames, options.elements)
    table_names, table_values = read_table(options.observables, len(frames)) if options.observables else ((), np.zeros((len(frames), 0)))
    if options.skip < 0:
        raise UqError(f"{argument('skip', options.skip)}; accepted: 0 or more")
    frames, table_values = frames[options.skip :], table_values[options.skip :]
    if len(frames) < 2:
        raise UqError(f"{len(frames)} frames behind the first {options.skip}; accepted: at least 2")
    check_volumes(frames, options)
    check_inputs(frames, source.backbone, [f"frame {options.skip + k + 1}" for k in range(len(frames))])
    samples = samples_of_frames(source, frames, options, table_names, table_values)
    members = file.tensors["posterior/members"][:n_members]
    result = averages(samples, Box.from_tensors(file.section("posterior")), members, options.temperature)
    cells = np.array([atoms.cell.array for atoms in frames])
    warn(result)
    return {"model": options.model, "sha256": file.sha256, "cell_changes": bool(np.ptp(cells, axis=0).max() > 1e-9)} | result


def check_volumes(frames: Sequence[Atoms], options: ReweightOptions) -> None:
    """UqError where a pressure or g(r) is asked for of a frame that has no volume."""
    for k, atoms in enumerate(frames):
        if (options.pressure or options.rdf) and (atoms.cell.rank < 3 or not atoms.pbc.all()):
            asked = f"{argument('pressure')} and {argument('rdf')}"
            raise UqError(f"frame {options.skip + k + 1}: no periodic cell; accepted for {asked}: three periodic axes")


def samples_of_frames(
    source: Any, frames: Sequence[Atoms], options: ReweightOptions, table_names: Sequence[str], table_values: np.ndarray
) -> RunSamples:
    """`RunSamples` of the frames; columns: energy, pressure, g(r), then the table's."""
    bar = tqdm(frames, desc="frames", unit="frame", disable=not options.progress)
    found = [source.sample(atoms, options.pressure) for atoms in bar]
    features = np.array([one[1] for one in found])
    names, columns, rows = [ENERGY], [np.array([one[0] for one in found])], {ENERGY: features}
    if options.pressure:
        both, kt = list(zip(frames, found, strict=True)), BOLTZMANN * options.temperature
        names.append(PRESSURE)
        columns.append(np.array([pressure_of(atoms, one[2], kt) for atoms, one in both]))
        rows[PRESSURE] = np.array([pressure_of(atoms, one[3]) for atoms, one in both])
    if options.rdf:
        cutoff, n_bins = options.rdf
        edges = np.linspace(0.0, cutoff, n_bins + 1)
        names += [f"g({middle:.3f})" for middle in 0.5 * (edges[1:] + edges[:-1])]
        columns += list(np.array([radial_distribution(atoms, cutoff, n_bins) for atoms in frames]).T)
    names += list(table_names)
    columns += list(table_values.T)
    if len(set(names)) < len(names):
        raise UqError(f"observables {', '.join(n for n in names if names.count(n) > 1)} have the same name; accepted: different ones")
    return RunSamples(names, np.array(columns).T, features, rows)


def warn(result: Mapping[str, Any]) -> None:
    """Warn where the weights of direct reweighting are those of a few frames."""
    if result["variance_median"] > MAX_VARIANCE:
        warnings.warn(
            f"var(h) is {result['variance_median']:.3g} (median, above {MAX_VARIANCE:g}): direct reweighting uses "
            f"{result['effective_share_median']:.2g} of the frames and cannot check the first order",
            stacklevel=2,
        )


