# SPDX-License-Identifier: GPL-2.0-or-later
"""From values of members or derivatives to results with bounds, and what is said about them: references, spot checks."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from lmp_uq.properties.property import Property, PropertyResult

SPOT_LIMIT = 0.2
"""Root mean square difference of an expansion from brute force, in its std, beyond which it is not trusted."""
MEDIAN_LIMIT = 0.02
"""Median over the members of the difference, as a share of their distance from the mean, beyond which it is not trusted."""
SPOT_NOISE = 0.01
"""Distances from the mean below this share of the std count as that."""
WIDE = 10.0
"""Bounds wider than this many times the reference are said to be wide."""


class Counts(NamedTuple):
    """Reasons of members without a value, flags of the others, and how many of these have any."""

    failures: Counter
    flags: Counter
    odd: int = 0


def from_members(prop: Property, mean: np.ndarray, values: np.ndarray, counts: Counts, rests_on: str, seconds: float, method: str) -> list:
    """Results of all quantities from values (K, Q); quantities without any value are left out."""
    failures, flags, odd = Counts(*counts)
    out = []
    for k, quantity in enumerate(prop.quantities):
        column = np.asarray(values)[:, k]
        there = column[np.isfinite(column)]
        if not len(there) or not np.isfinite(mean[k]):
            continue
        std = float(np.sqrt(np.mean((there - mean[k]) ** 2)))
        bounds = float(there.min()), float(there.max())
        text = f"{len(there)} of {len(column)} {rests_on}"
        counted: dict[str, Any] = {"members": column, "failures": Counter(failures), "flags": Counter(flags), "odd": odd}
        out.append(PropertyResult(prop.name, *quantity, method, float(mean[k]), std, *bounds, text, seconds=seconds, **counted))
    return out


def from_gradient(prop: Property, mean: np.ndarray, gradient: np.ndarray, potential: Any, n_members: int, seconds: float) -> list:
    """First-order results: closed forms of the posterior along dq/dTheta (Q, P)."""
    out = []
    for k, quantity in enumerate(prop.quantities):
        if not np.isfinite(gradient[k]).all():
            continue
        std = float(potential.posterior.rms(gradient[k]))
        lower, upper = (float(mean[k] + bound) for bound in potential.posterior.bounds(gradient[k], n_members))
        text = f"derivatives, bounds of {n_members} members"
        out.append(PropertyResult(prop.name, *quantity, "first order", float(mean[k]), std, lower, upper, text, seconds=seconds))
    return out


def expansion_counts(flags: list[tuple[str, ...]], values: np.ndarray) -> Counts:
    """Of an expansion: flags of K members, values (K, Q)."""
    failures: Counter[str] = Counter()
    odd: Counter[str] = Counter()
    there = np.isfinite(values).any(axis=1)
    for texts, known in zip(flags, there, strict=True):
        (odd if known else failures).update(set(texts))
    return Counts(failures, odd, sum(bool(texts) for texts, known in zip(flags, there, strict=True) if known))


def check_spots(results: list, prop: Property, mean: np.ndarray, expansion: np.ndarray, brute: np.ndarray) -> None:
    """Compare an expansion with the same members by brute force, (n, Q) each; the flags say what was found."""
    names, shares, medians, n = [quantity.name for quantity in prop.quantities], {}, {}, len(expansion)
    lone = np.isfinite(expansion).any(axis=1) != np.isfinite(brute).any(axis=1)
    for result in results:
        k = names.index(result.quantity)
        difference = np.abs(np.asarray(expansion)[:, k] - np.asarray(brute)[:, k])
        there = np.isfinite(difference)
        departures = np.abs(np.asarray(brute)[there, k] - mean[k])
        shares[result.quantity] = float(np.sqrt(np.mean(difference[there] ** 2))) / (result.std or 1.0) if there.any() else np.nan
        medians[result.quantity] = _median_share(difference[there], departures, SPOT_NOISE * result.std)
        good = shares[result.quantity] <= SPOT_LIMIT and medians[result.quantity] <= MEDIAN_LIMIT
        if not good or lone.sum() > n // 2:
            result.flags["the expansion is not trusted: use members"] = 0
    text = f"no spot check of {n} members"
    if shares:
        worst, next_worst = (max(found, key=lambda name: np.nan_to_num(found[name], nan=np.inf)) for found in (shares, medians))
        text = (
            f"spot checks of {n} members: rms difference up to {shares[worst]:.2g} std, of {worst}; "
            f"median up to {100 * medians[next_worst]:.2g} % of the distance from the mean, of {next_worst}"
        )
    for result in results:
        result.flags[text + f"; {lone.sum()} with a value one way only" * bool(lone.any())] = 0


def _median_share(differences, departures, noise):
    """Median of difference over departure from the mean; departures are not taken to be smaller than the noise."""
    return float(np.median(differences / np.maximum(departures, noise or 1.0))) if len(differences) else np.nan


def compare_reference(result: PropertyResult, references: dict, source: str) -> None:
    """Set the reference of a result and say where it lies."""
    if result.quantity not in references:
        return
    result.reference, result.source = references[result.quantity], source
    if not result.inside:
        result.flags["the reference is outside the bounds"] = 0
    if result.reference and result.upper - result.lower > WIDE * abs(result.reference):
        result.flags[f"the bounds are wider than {WIDE:g} times the reference"] = 0


def as_dict(result: PropertyResult) -> dict:
    """For JSON."""
    out = {name: getattr(result, name) for name in ("property", "quantity", "unit", "method", "value", "std", "lower", "upper")}
    out |= {"rests_on": result.rests_on, "seconds": result.seconds, "evaluations": result.evaluations}
    out |= {"failures": dict(result.failures), "flags": dict(result.flags)}
    if result.reference is not None:
        error, width = result.value - result.reference, result.upper - result.lower
        out |= {"reference": result.reference, "source": result.source, "inside": result.inside, "error": error}
        out |= {"error_over_std": error / result.std if result.std else None, "error_over_range": error / width if width else None}
    return out | ({} if result.members is None else {"members": np.asarray(result.members)})
