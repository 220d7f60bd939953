# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots of validation: predicted against reference, and errors against error bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from lmp_uq.metrics.bars import has_bar, share
from lmp_uq.quantities import ENERGY, FORCES, STRESS, by_key
from lmp_uq.report.plots.style import (
    COLOURS,
    LINE_STYLES,
    LINES,
    MARKERS,
    MEDIANS,
    OTHERS,
    POINTS,
    SMALL,
    label,
    log_limits,
    new_figure,
    no_labels,
)

MAX_POINTS = 20000
"""Points drawn in a panel; of more a random part is shown."""


class Group(NamedTuple):
    """Labels drawn alike: name in the legend, mask over the labels, colour, marker."""

    name: str
    mask: np.ndarray
    colour: str
    marker: str


def draw_parity(samples: Mapping[str, Any]) -> Figure:
    """Predicted against reference values, coloured by group.

    Bars of energies, which would be too small to see there, are in a strip of their own: reference minus
    predicted, and the K-member bounds that should enclose it.

    Parameters
    ----------
    samples : dict
        energy_per_atom, forces and, where there are labels, stress as `lmp_uq.validation.samples.Samples`.

    Returns
    -------
    Figure
    """
    energies, forces, stress = samples[ENERGY.key], samples[FORCES.key], samples.get(STRESS.key)
    names = _ranked_names(energies.groups, forces.groups)
    last = ["stress"] * (stress is not None)
    figure = new_figure(12.0 + 2.5 * len(last) + 2.0 * (len(names) > 1), 6.4 - 0.8 * len(last))
    panels = figure.subplot_mosaic([["energies", "forces", *last], ["bars", "forces", *last]], height_ratios=[2.4, 1.0])
    _parity_panel(panels["energies"], energies, names)
    _bars_panel(panels["bars"], energies, names)
    _parity_panel(panels["forces"], forces, names)
    if len(energies.reference):
        panels["bars"].sharex(panels["energies"])
        panels["energies"].tick_params(labelbottom=False)
    label(panels["energies"], ENERGY.title, "", f"predicted, {ENERGY.plotted_unit}")
    label(panels["bars"], "", f"reference, {ENERGY.plotted_unit}", "error and bounds,\nmeV/atom")
    _label_parity(panels["forces"], FORCES)
    if stress is not None:
        _parity_panel(panels["stress"], stress, names)
        _label_parity(panels["stress"], STRESS)
    entries = group_styles(names, np.zeros(0, dtype=object))
    if len(names) > 1:
        handles = [Line2D([], [], **_marker(group), markersize=7.0) for group in entries]
        figure.legend(handles, [g.name for g in entries], loc="outside right center", fontsize=SMALL)
    return figure


def _label_parity(panel, quantity):
    label(panel, quantity.title, f"reference, {quantity.plotted_unit}", f"predicted, {quantity.plotted_unit}")


def draw_error_uncertainty(samples: Mapping[str, Any]) -> Figure:
    """|error| against std for energies and forces, and |F error| against force_error where there is one.

    Parameters
    ----------
    samples : dict
        energy_per_atom, forces and, where there are labels, stress as `lmp_uq.validation.samples.Samples`, force_error as
        `lmp_uq.validation.atoms.AtomSamples`.

    Returns
    -------
    Figure
    """
    atoms = samples.get(FORCES.bar)
    quantities = by_key(samples)
    n_panels = len(quantities) + (atoms is not None)
    n_rows = 2 if n_panels > 3 else 1
    n_columns = n_panels // n_rows
    figure = new_figure(5.2 * n_columns, 5.2 * n_rows + 0.4)
    panels = np.atleast_1d(figure.subplots(n_rows, n_columns)).ravel()
    for panel, quantity in zip(panels, quantities, strict=False):
        mine, unit = samples[quantity.key], quantity.plotted_unit
        bar = has_bar(mine.std)
        _width_panel(panel, np.abs(mine.error[bar]), mine.std[bar], LINE_STYLES)
        hidden = f"\n({np.sum(~bar)} of {len(bar)} labels have no bar)" * bool(np.any(~bar))
        label(panel, quantity.title + hidden, f"std, {unit}", f"|error|, {unit}")
    if atoms is not None:
        judged = atoms.judged()
        error, width = atoms.error[judged], atoms.force_error[judged]
        _width_panel(panels[-1], error, width, LINE_STYLES[:1])
        under = share(error <= width)
        title = "Atoms" if under is None else f"Atoms: {100.0 * under:.1f} % of {len(error)} under the line"
        label(panels[-1], title, f"force_error, {FORCES.plotted_unit}", f"|F error|, {FORCES.plotted_unit}")
    handles = [Line2D([], [], color=LINES, linestyle=dashes) for _, dashes in LINE_STYLES]
    handles.append(Line2D([], [], color=MEDIANS, marker="o"))
    names = ["error as large as the bar", "error twice as large", "medians of bins"]
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=SMALL)
    return figure


def group_styles(names: list[str], groups: np.ndarray) -> list[Group]:
    """Look of the groups: one each for the first, one together for the rest if there are more than ten."""
    single = names if len(names) <= len(COLOURS) else names[: len(COLOURS)]
    out = [
        Group(legend_text(name), groups == name, colour, marker)
        for name, colour, marker in zip(single, COLOURS, MARKERS, strict=False)
    ]
    rest = names[len(single) :]
    if rest:
        others = np.array([name not in single for name in groups], dtype=bool)
        out.append(Group(f"{len(rest)} other groups", others, OTHERS, "."))
    return out


def _ranked_names(*groups):
    """Names of the groups, those with most labels first."""
    counts = Counter(str(name) for mine in groups for name in mine)
    return [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def legend_text(name: str, longest: int = 28) -> str:
    """A name as matplotlib shall show it: no formula between dollars, no name that it takes for hidden."""
    text = "".join(c if c.isprintable() else "?" for c in name).replace("$", r"\$")
    text = text if len(text) <= longest else f"{text[: longest // 2]}..{text[2 - longest // 2 :]}"
    return f" {text}" if text.startswith("_") else text


def _subset(n):
    """Indices of the points to draw."""
    if n <= MAX_POINTS:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, MAX_POINTS, replace=False))


def _undermost_first(names, groups):
    """Groups in the order in which they are drawn: the rest, then from large to small."""
    styles = group_styles(names, groups)
    return styles[len(COLOURS) :] + styles[: len(COLOURS)]


def _marker(group):
    """Style of plot() for the points of a group."""
    return {"color": group.colour, "marker": group.marker, "linestyle": "", "markeredgewidth": 0.0}


def _parity_panel(panel, mine, names):
    if not len(mine.reference):
        no_labels(panel)
        return
    shown = _subset(len(mine.reference))
    reference, predicted = mine.reference[shown], mine.predicted[shown]
    both = np.concatenate([reference, predicted])
    margin = 0.04 * (np.ptp(both) or 1.0)
    limits = both.min() - margin, both.max() + margin
    panel.axline((limits[0], limits[0]), slope=1.0, color=LINES, linewidth=1.0, zorder=1)
    size = 4.5 if len(shown) < 2000 else 3.0
    for group in _undermost_first(names, mine.groups[shown]):
        at = group.mask
        panel.plot(reference[at], predicted[at], markersize=size, alpha=0.8, **_marker(group))
    panel.set(xlim=limits, ylim=limits)
    panel.xaxis.set_major_locator(MaxNLocator(5))


def _bars_panel(panel, mine, names):
    """Reference minus predicted, and the K-member bounds that should enclose it."""
    if not len(mine.reference):
        no_labels(panel)
        return
    shown = _subset(len(mine.reference))
    reference, error = mine.reference[shown], 1000.0 * mine.error[shown]
    low, high = 1000.0 * mine.lower[shown], 1000.0 * mine.upper[shown]
    panel.axhline(0.0, color=LINES, linewidth=1.0, zorder=1)
    for group in _undermost_first(names, mine.groups[shown]):
        at = group.mask
        panel.vlines(reference[at], low[at], high[at], color=group.colour, linewidth=1.0, alpha=0.5)
        panel.plot(reference[at], error[at], markersize=4.0, **_marker(group))
    # a few huge bars shall not flatten the rest
    wide = np.percentile(np.maximum(np.abs(low), np.abs(high)), 95.0)
    reach = 1.1 * max(wide, np.abs(error).max()) or 1.0
    panel.set(ylim=(-reach, reach))


def _width_panel(panel, error, width, lines):
    """Points on logarithmic axes, lines error = factor * width, medians in bins of width."""
    positive = width > 0.0
    error, width = error[positive], width[positive]
    if not np.any(error > 0.0):
        no_labels(panel)
        return
    x_limits, y_limits = log_limits(width, 0.0, 1.5), log_limits(error[error > 0.0], 0.5, 2.0)
    shown = _subset(len(error))
    x, y = np.clip(width[shown], *x_limits), np.clip(error[shown], *y_limits)
    panel.plot(x, y, ".", color=POINTS, markersize=4.0, alpha=0.6, rasterized=True)
    for factor, dashes in lines:
        ends = np.array(x_limits)
        panel.plot(ends, factor * ends, color=LINES, linestyle=dashes, linewidth=1.3)
    centres, medians = binned_medians(width, error)
    panel.plot(centres, medians, "o-", color=MEDIANS, markersize=6.0, linewidth=1.5)
    panel.set(xscale="log", yscale="log", xlim=x_limits, ylim=y_limits)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_minor_formatter(NullFormatter())


def binned_medians(width: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median width and median error in at most 10 bins of equally many labels, 5 or more in each."""
    n_bins = int(np.clip(len(width) // 5, 1, 10))
    bins = np.array_split(np.argsort(width, kind="stable"), n_bins)
    return np.array([np.median(width[b]) for b in bins]), np.array([np.median(error[b]) for b in bins])
