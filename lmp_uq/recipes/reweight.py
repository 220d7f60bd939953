# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq reweight``: averages over the frames of a run, with their bars due to the potential."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from lmp_uq import modelfile
from lmp_uq.averages.estimators import BOLTZMANN, MAX_VARIANCE, Samples, averages
from lmp_uq.averages.sampling import ENERGY, PRESSURE, pressure_of, radial_distribution, read_run, source_of
from lmp_uq.errors import UqError
from lmp_uq.files import existing_file
from lmp_uq.posterior.box import Box
from lmp_uq.recipes.options import members_in_use
from lmp_uq.report.text import Column, table, wrap

COLUMNS = (
    Column("", "mean", ("mean",), "#.7g", "average over the frames"),
    Column("", "std", ("std",), "#.3g", "root mean square departure over the posterior, first order, closed form"),
    Column("bounds of members", "lower", ("lower",), "#.5g", "expected least of K members"),
    Column("bounds of members", "upper", ("upper",), "#.5g", "expected largest"),
    Column("block error of", "mean", ("mean_error",), "#.2g", "statistical error of the average"),
    Column("block error of", "bar", ("bar_error",), "#.2g", "statistical error of the members' shifts, in the std beside what it is about"),
    Column("rms of members", "cumulant", ("cumulant_rms",), "#.3g", "first order, over the members that were reweighted"),
    Column("rms of members", "direct", ("direct_rms",), "#.3g", "by weights, over the same members"),
)


@dataclass(frozen=True)
class ReweightOptions:
    """What ``lmp-uq reweight`` is told; see docs/reweight.md."""

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

    Returns
    -------
    dict
        As `lmp_uq.averages.estimators.averages`, with model, sha256, and cell_changes.

    Raises
    ------
    UqError
        A model without posterior, frames that cannot be read or are fewer than two, a table that does not fit them, more members than the
        file holds, a pressure or g(r) of frames without a volume.
    """
    file = modelfile.read(modelfile.resolve(options.model))
    source = source_of(file, options.model, **options.engine)
    n_members = members_in_use(file.header, options.n_members, options.model)
    frames = read_run(options.frames, options.elements)
    table_names, table_values = read_table(options.observables, len(frames)) if options.observables else ((), np.zeros((len(frames), 0)))
    if options.skip < 0:
        raise UqError(f"--skip {options.skip}; accepted: 0 or more")
    frames, table_values = frames[options.skip :], table_values[options.skip :]
    if len(frames) < 2:
        raise UqError(f"{len(frames)} frames behind the first {options.skip}; accepted: at least 2")
    check_volumes(frames, options)
    samples = collect(source, frames, options, table_names, table_values)
    members = file.tensors["posterior/members"][:n_members]
    result = averages(samples, Box.from_tensors(file.section("posterior")), members, options.temperature)
    cells = np.array([atoms.cell.array for atoms in frames])
    warn(result)
    return {"model": options.model, "sha256": file.sha256, "cell_changes": bool(np.ptp(cells, axis=0).max() > 1e-9)} | result


def check_volumes(frames, options: ReweightOptions) -> None:
    """UqError where a pressure or g(r) is asked for of a frame that has no volume."""
    for k, atoms in enumerate(frames):
        if (options.pressure or options.rdf) and (atoms.cell.rank < 3 or not atoms.pbc.all()):
            raise UqError(f"frame {options.skip + k + 1}: no periodic cell; accepted for --pressure and --rdf: three periodic axes")


def collect(source, frames, options: ReweightOptions, table_names, table_values) -> Samples:
    """`Samples` of the frames; columns: energy, pressure, g(r), then the table's."""
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
    return Samples(names, np.array(columns).T, features, rows)


def read_table(path: str, n_frames: int) -> tuple[list[str], np.ndarray]:
    """Names and (n_frames, columns) values of a text table: a line of names, which may begin with #, then a line for each frame.

    Raises
    ------
    UqError
        Names the line: words that are no numbers, columns without a name; or another number of lines than frames.
    """
    lines = [line.lstrip("# \t").split() for line in existing_file(path).read_text(errors="replace").splitlines() if line.strip()]
    if not lines:
        raise UqError(f"{path}: holds no line; accepted: a line of names, then one of numbers for each frame")
    names, rows = lines[0], lines[1:]
    if len(rows) != n_frames:
        raise UqError(f"{path}: {len(rows)} lines below the names; accepted: one for each of the {n_frames} frames")
    values = np.empty((len(rows), len(names)))
    for k, row in enumerate(rows):
        numbers = [_number(word) for word in row]
        if len(numbers) != len(names) or None in numbers:
            raise UqError(f"{path}: line {k + 2} is {' '.join(row)!r}; accepted: {len(names)} numbers, as the names in line 1")
        values[k] = numbers
    return names, values


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def warn(result: Mapping[str, Any]) -> None:
    """Warn where the weights of direct reweighting are those of a few frames."""
    if result["variance_median"] > MAX_VARIANCE:
        warnings.warn(
            f"var(h) is {result['variance_median']:.3g} (median, above {MAX_VARIANCE:g}): direct reweighting uses "
            f"{result['effective_share_median']:.2g} of the frames and cannot check the first order",
            stacklevel=2,
        )


def describe_averages(result: Mapping[str, Any]) -> str:
    """Lines of at most `lmp_uq.report.text.WIDTH` characters."""
    observables = result["observables"]
    rows = [(f"{name}{'' if figures['explicit'] else ' *'}", figures) for name, figures in observables.items()]
    head = (
        f"{result['n_frames']} frames, {result['temperature']:g} K, K = {result['n_members']} members; of the first "
        f"{result['n_test_members']}: var(h) median {result['variance_median']:.3g}, 90 % {result['variance_90']:.3g}; effective sample "
        f"size over frames: median {result['effective_share_median']:.3g}, least {result['effective_share_least']:.3g}"
    )
    foot = [f"{ENERGY} in eV" + (f", {PRESSURE} in bar" if PRESSURE in observables else "")]
    if any(not figures["explicit"] for figures in observables.values()):
        foot.append("* taken as a function of the positions only: <da/dTheta> = 0")
    if result["cell_changes"]:
        foot.append("the cell changes: Phi is that of the cell of each frame, so what the volume does is in the covariance")
    return "\n".join([*wrap(head), *table("observable", COLUMNS, rows), *(line for text in foot for line in wrap(text))])
