# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq propagate``: a suite of properties of a potential, each with the bounds that the posterior gives it."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lmp_uq.errors import UqError, argument
from lmp_uq.parallel.ranks import Ranks, ranks
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds.registry import class_of
from lmp_uq.properties.potential.mace import open_potential
from lmp_uq.properties.property import Curves, Property, PropertyResult
from lmp_uq.properties.suite.members import MemberFile, NotKept, drop_cut_line, key_of, run_members
from lmp_uq.properties.suite.rankings import rank
from lmp_uq.properties.suite.results import Counts, check_spots, compare_reference, expansion_counts, from_gradient, from_members
from lmp_uq.properties.suite.suite import Entry, read_suite
from lmp_uq.recipes.options import say_what_answers

MEMBERS_FILE = "members.jsonl"

log = logging.getLogger("lmp_uq")


@dataclass(frozen=True)
class PropagateOptions:
    """What `propagate` is told.

    Attributes
    ----------
    model, suite : str
    out : str
        Folder of the results; made if it is missing. Members that it holds are not computed again.
    members : int or None
        Members by brute force.
    first_order, implicit : bool
        Which other methods; with no method at all, implicit.
    spot_checks : int
        Members by brute force beside an expansion; at most those of the file.
    progress : bool
        Show progress bars.
    """

    model: str
    suite: str
    out: str
    members: int | None = None
    first_order: bool = False
    implicit: bool = False
    spot_checks: int = 5
    progress: bool = False


@dataclass(frozen=True)
class Propagated:
    """Results of a suite.

    Attributes
    ----------
    results : list of PropertyResult
        In the order of the suite.
    problems : dict
        Name of a property without any result to the reason: its mean has none, or no member has; "ranking by" a quantity likewise.
    curves : dict
        Name to curves, of those that have any.
    rankings : list of dict
    mean_seconds : dict
        Name to wall time of the mean and its grid.
    title : str
    """

    results: list[PropertyResult]
    problems: dict[str, str]
    curves: dict[str, Curves]
    rankings: list[dict]
    mean_seconds: dict[str, float]
    title: str


def propagate(options: PropagateOptions) -> Propagated:
    """Compute a suite; every rank of MPI takes its share of the members, and all return the same.

    Parameters
    ----------
    options : PropagateOptions

    Returns
    -------
    Propagated

    Raises
    ------
    UqError
        A suite or model that cannot be used, more members than the file holds, no property that could be computed, or no folder to
        write into.
    """
    everyone, suite = ranks(), read_suite(options.suite)
    potential = open_potential(options.model, everyone.alone())
    potential.members(options.members or 1)
    if everyone.rank == 0:
        say_what_answers(potential.header, "propagate")
    folder = Path(options.out)
    _make_folder(folder)
    if everyone.rank == 0:
        drop_cut_line(folder / MEMBERS_FILE)
    everyone.gather(None)
    file = MemberFile(folder / MEMBERS_FILE)
    file.share(everyone)
    run = _Run(potential, options, file, everyone)
    for entry in tqdm(suite.entries, desc="properties", unit="property", disable=not run.progress):
        try:
            run.add(entry)
        except NotKept:
            raise  # on this rank alone: the others wait for it, so this is the end of all
        except (UqError, PropertyFailure) as failure:
            run.problems[entry.name] = str(failure)
    if not run.results:
        raise UqError("; ".join(f"{name}: {text}" for name, text in run.problems.items()))
    rankings = []
    for ranking in suite.rankings:
        try:
            rankings.append(rank(ranking, run.results))
        except UqError as failure:
            run.problems[f"ranking by {ranking.quantity}"] = str(failure)
    title = f"{Path(options.model).name}: {Path(options.suite).name}"
    return Propagated(run.results, run.problems, run.curves, rankings, run.mean_seconds, title)


def _make_folder(folder: Path) -> None:
    """Make it, and see that it can be written into: before the computation, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UqError(f"{argument('out', folder)}: cannot be made a folder: {error.strerror}") from error
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UqError(f"{argument('out', folder)}: cannot be written into: {error.strerror}") from error


class _Run:
    """One pass over a suite."""

    def __init__(self, potential: Any, options: PropagateOptions, file: MemberFile, everyone: Ranks) -> None:
        self.potential, self.options, self.file, self.everyone = potential, options, file, everyone
        self.progress = options.progress and everyone.rank == 0
        self.results: list[PropertyResult] = []
        self.problems: dict[str, str] = {}
        self.curves: dict[str, Curves] = {}
        self.mean_seconds: dict[str, float] = {}

    def add(self, entry: Entry) -> None:
        """All methods for one entry; UqError or PropertyFailure if there is nothing of it."""
        prop, start = class_of(entry.kind)(self.potential, entry.name, entry.options), time.perf_counter()
        mean = prop.mean()
        if not np.isfinite(mean).any():
            raise PropertyFailure("the mean has no value of it")
        self.mean_seconds[entry.name] = time.perf_counter() - start
        foreign = [name for name in entry.reference if name not in [q.name for q in prop.quantities]]
        if foreign:
            raise UqError(f"reference {foreign[0]!r}; accepted: {', '.join(q.name for q in prop.quantities)}")
        key = key_of(self.potential, entry.kind, prop)
        found = self._first_order(prop, mean) + self._expanded(prop, mean, key) + self._brute(prop, mean, key)
        if not found:
            raise UqError(f"the methods asked for give nothing of it; accepted: {argument('members')} K, which every property has")
        without = [q.name for q in prop.quantities if q.name not in {result.quantity for result in found}]
        prop.notes += [f"no value of {', '.join(without)}"] * bool(without)
        for result in found:
            compare_reference(result, entry.reference, entry.source)
            result.flags.update(dict.fromkeys(prop.notes, 0))
        self.results += found
        curves = prop.curves(self._all_members())
        if curves is not None:
            self.curves[entry.name] = curves
        log.info("%s: mean %.1f s, methods %.1f s", entry.name, self.mean_seconds[entry.name], time.perf_counter() - start)

    def _all_members(self) -> np.ndarray:
        return self.potential.members(len(self.potential.departures))

    def _first_order(self, prop: Property, mean: np.ndarray) -> list[PropertyResult]:
        start, gradient = time.perf_counter(), prop.gradient() if self.options.first_order else None
        if gradient is None:
            return []
        n = len(self.potential.departures)
        found = from_gradient(prop, mean, gradient, self.potential, n, time.perf_counter() - start)
        if not found:
            prop.notes.append("first order gives nothing: the mean's curve has no minimum")
        return found

    def _expanded(self, prop: Property, mean: np.ndarray, key: str) -> list[PropertyResult]:
        start, thetas = time.perf_counter(), self._all_members()
        expansion = prop.expansion(thetas) if _implicit(self.options) else None
        if expansion is None:
            return []
        counted, seconds = expansion_counts(expansion.flags, expansion.values), time.perf_counter() - start
        found = from_members(prop, mean, expansion.values, counted, prop.expansion_rests_on, seconds, "implicit")
        if expansion.n_evaluations is not None:
            for result in found:
                result.evaluations = float(np.mean(expansion.n_evaluations))
        if not found:
            reasons = ", ".join(f"{reason} ({n})" for reason, n in counted[0].items())
            prop.notes.append(f"implicit gives nothing: {reasons}")
        # members that are computed anyway are compared all
        n = min(max(self.options.spot_checks, self.options.members or 0), len(thetas)) if self.options.spot_checks else 0
        if n and found:
            brute = run_members(prop, thetas[:n], key, self.file, self.everyone, self.progress)
            check_spots(found, prop, mean, expansion.values[:n], brute.values)
        return found

    def _brute(self, prop: Property, mean: np.ndarray, key: str) -> list[PropertyResult]:
        if not self.options.members:
            return []
        brute = run_members(prop, self.potential.members(self.options.members), key, self.file, self.everyone, self.progress)
        counted = Counts(brute.failures, brute.flags, brute.odd)
        found = from_members(prop, mean, brute.values, counted, "members by brute force", brute.seconds, "members")
        if not found:
            reasons = ", ".join(f"{reason} ({n})" for reason, n in brute.failures.items())
            raise UqError(f"none of {self.options.members} members has it: {reasons}")
        return found


def _implicit(options: PropagateOptions) -> bool:
    return options.implicit or not (options.members or options.first_order)


