# SPDX-License-Identifier: GPL-2.0-or-later
"""All figures of a validation: of all labels, by group, by element, over the groups, and of all methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

import numpy as np

from lmp_uq.metrics.sharpness import IN_BAND, geometric_mean
from lmp_uq.quantities import FORCES, by_key
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.samples import Samples

AnySamples: TypeAlias = "Mapping[str, Samples | AtomSamples]"
_NOT_COMPARED = ("baselines", "interval", "coverage_by_level")


def figures(samples: AnySamples, n_members: int, blocks: str = "frame") -> dict:
    """All figures of a validation.

    Parameters
    ----------
    samples : dict
        Quantities by key as `lmp_uq.validation.samples.Samples`, force_error as `lmp_uq.validation.atoms.AtomSamples`; each may be
        absent.
    n_members : int
        K of the bounds.
    blocks : {"frame", "group"}
        What the bootstrap draws.

    Returns
    -------
    dict
        The quantities, groups, elements, comparison, blocks.
    """
    atoms = cast("AtomSamples | None", samples.get(FORCES.bar))
    # one factor for all parts, or the parts could not be compared
    baselines = None if atoms is None else atoms.baselines()

    def part(mine: AnySamples, axis: str | None = None, value: str | None = None) -> dict[str, Any]:
        return _part(mine, axis, value, n_members, blocks, baselines)

    out = part(samples)
    for quantity in by_key(samples):
        out[quantity.key]["risk_coverage"] = cast(Samples, samples[quantity.key]).curve()
    out["blocks"] = blocks
    groups = sorted({str(group) for mine in samples.values() for group in mine.groups})
    out["groups"] = {group: part(samples, "groups", group) for group in groups}
    per_atom = {name: mine for name, mine in samples.items() if mine.elements is not None}
    elements = sorted({str(element) for mine in per_atom.values() for element in np.asarray(mine.elements)})
    out["elements"] = {element: part(per_atom, "elements", element) for element in elements}
    _add_over_groups(out)
    out["comparison"] = {q.key: cast(Samples, samples[q.key]).comparison() for q in by_key(samples)}
    if atoms is not None:
        out["comparison"][FORCES.bar] = _compared(out[FORCES.bar])
    return out


def _part(
    samples: AnySamples, axis: str | None, value: str | None, n_members: int, blocks: str, baselines: Mapping[str, np.ndarray] | None
) -> dict[str, Any]:
    """Figures of the labels whose attribute axis has a value."""
    out = {}
    for name, mine in samples.items():
        mask = np.ones(len(mine.groups), bool) if axis is None else getattr(mine, axis) == value
        block = mine.groups.astype(str) if blocks == "group" else mine.frames
        if isinstance(mine, AtomSamples):
            out[name] = mine.metrics(mask, block, baselines)
        else:
            out[name] = mine.metrics(mask, n_members, block)
    if FORCES.bar in out and FORCES.key in out:
        out[FORCES.key]["force_error_coverage"] = out[FORCES.bar]["coverage"]
    return out


def over_groups(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The headline of bars of level 0.9: figures of `lmp_uq.metrics.sharpness.sharpness` of every group in, one line out.

    Returns
    -------
    dict
        n_groups that have a coverage; in_band, below, above: how many of them are covered by 0.85 to 0.97, less, more;
        width_over_oracle, pinball: geometric means; spearman: mean over the groups that have one.
    """
    found = [one for one in parts if one["coverage"] is not None]
    coverage = np.array([one["coverage"] for one in found])
    below, above = int(np.sum(coverage < IN_BAND[0])), int(np.sum(coverage > IN_BAND[1]))
    ranks = [one["spearman"] for one in found if one["spearman"] is not None]
    return {
        "n_groups": len(found),
        "in_band": len(found) - below - above,
        "below": below,
        "above": above,
        "width_over_oracle": geometric_mean(one["width_over_oracle"] for one in found),
        "pinball": geometric_mean(one["pinball"] for one in found),
        "spearman": float(np.mean(ranks)) if ranks else None,
    }


def _add_over_groups(out: dict[str, Any]) -> None:
    """The key by_group of every bar of a level: force_error, its baselines, energy_error and stress_error."""
    groups = out["groups"].values()
    for key in (quantity.key for quantity in by_key(out)):
        if out[key].get("calibrated"):
            parts = [one[key]["calibrated"] for one in groups if one[key].get("calibrated")]
            out[key]["calibrated"]["by_group"] = over_groups(parts)
    if FORCES.bar in out:
        mine = [one[FORCES.bar] for one in groups]
        out[FORCES.bar]["by_group"] = over_groups(mine)
        for name, found in out[FORCES.bar]["baselines"].items():
            found["by_group"] = over_groups(one["baselines"][name] for one in mine)


def _compared(figures: Mapping[str, Any]) -> dict[str, dict]:
    """force_error and the other scores of atoms by name, all with the same figures; hindsight: its scale was set on these atoms."""
    own = {name: value for name, value in figures.items() if name not in _NOT_COMPARED}
    others = {name: one | {"hindsight": True} for name, one in figures["baselines"].items()}
    return {FORCES.bar: own | {"hindsight": False}} | others
