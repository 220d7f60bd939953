# SPDX-License-Identifier: GPL-2.0-or-later
"""A figure of each property: its curve with those of members, and where the members' values lie."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lmp_uq.properties.property import Curves, PropertyResult
from lmp_uq.report.plots.style import COLOURS, LINES, MEDIANS, POINTS, SMALL, label, new_figure

CURVES = 100
"""Curves of members that are drawn."""
BINS = 24
TICKS = 4
"""Intervals of an axis of values, whose numbers are long."""
METHODS = {"members": COLOURS[0], "implicit": COLOURS[2], "first order": COLOURS[1]}


def draw_property(results: list[PropertyResult], curves: Curves | None) -> Figure:
    """Curves, if any, and one panel for each quantity: members, value, bounds, reference."""
    names = list(dict.fromkeys(result.quantity for result in results))
    n_panels = len(names) + (curves is not None)
    n_columns = min(n_panels, 4)
    n_rows = -(-n_panels // n_columns)
    figure = new_figure(4.4 * n_columns + 0.6, 3.9 * n_rows + 0.6)
    panels = np.atleast_1d(figure.subplots(n_rows, n_columns, squeeze=False)).ravel()
    for panel in panels[n_panels:]:
        panel.set_axis_off()
    if curves is not None:
        _curve_panel(panels[0], curves)
    for panel, name in zip(panels[curves is not None :], names, strict=False):
        _quantity_panel(panel, [result for result in results if result.quantity == name])
    figure.suptitle(_plain(results[0].property))
    return figure


def draw_ranking(ranking: dict) -> Figure:
    """Distribution of the Spearman correlations of members with the mean; a line where the references are."""
    figure = new_figure(6.0, 4.2)
    panel = figure.subplots()
    panel.hist(ranking["spearman"], bins=np.linspace(-1.0, 1.0, 41).tolist(), color=POINTS)
    if "spearman_reference" in ranking:
        panel.axvline(ranking["spearman_reference"], color=MEDIANS, label="references")
        panel.legend(fontsize=SMALL)
    label(panel, _plain(f"ranking by {ranking['quantity']}"), "Spearman correlation with the mean", "members")
    return figure


def _curve_panel(panel, curves):
    for row in curves.members[:CURVES]:
        panel.plot(curves.x, row, color=POINTS, linewidth=0.5, alpha=0.5)
    panel.plot(curves.x, curves.mean, color=LINES, linewidth=2.0)
    there = np.isfinite(curves.mean)  # branches are apart by NaN, and a member may have none
    members = curves.members[np.isfinite(curves.members[:, there]).all(axis=1)][:, there]
    edges = [np.percentile(members, p, axis=0) for p in (2, 98)] if len(members) else []
    spread = np.concatenate([curves.mean[there], *edges])
    margin = 0.05 * (np.ptp(spread) or 1.0)
    panel.set(ylim=(spread.min() - margin, spread.max() + margin))
    for place, _ in curves.x_names:
        panel.axvline(place, color=LINES, linewidth=0.5)
    if curves.x_names:
        panel.set_xticks(*zip(*curves.x_names, strict=True))
    label(panel, "mean and members", curves.x_label, curves.y_label)


def _quantity_panel(panel, results):
    values = [r.members[np.isfinite(r.members)] for r in results if r.members is not None]
    edges = np.histogram_bin_edges(np.concatenate(values), BINS) if values and sum(map(len, values)) else None
    for result in results:
        colour = METHODS[result.method]
        if result.members is not None and edges is not None:
            there = result.members[np.isfinite(result.members)]
            shares = np.full(len(there), 1.0 / len(there))
            panel.hist(there, bins=edges, weights=shares, histtype="step", color=colour, label=result.method)
        else:
            panel.axvspan(result.lower, result.upper, color=colour, alpha=0.15, label=f"{result.method}, bounds")
    panel.axvline(results[0].value, color=LINES, linewidth=2.0, label="mean")
    if results[0].reference is not None:
        panel.axvline(results[0].reference, color=MEDIANS, linestyle="--", label="reference")
    panel.legend(fontsize=SMALL - 3)
    panel.locator_params(axis="x", nbins=TICKS)
    unit = f", {results[0].unit}" if results[0].unit else ""
    label(panel, "", _plain(f"{results[0].quantity}{unit}"), "share of members")


def _plain(text):
    """Names are the user's: a dollar sign in them begins no formula."""
    return text.replace("$", r"\$")
