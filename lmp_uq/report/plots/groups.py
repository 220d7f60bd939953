# SPDX-License-Identifier: GPL-2.0-or-later
"""Plot of how force_error fares in each group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lmp_uq.metrics.sharpness import IN_BAND
from lmp_uq.quantities import FORCES
from lmp_uq.report.plots.parity import legend_text
from lmp_uq.report.plots.style import COLOURS, FONT, LINES, OTHERS, SMALL, new_figure
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.samples import FORCE_NORM

ROW = 0.3
"""Inches for a group."""
BAND = "#44AA99"
LONGEST_NAME = 40


def draw_groups(samples: Mapping[str, Any]) -> Figure | None:
    """Coverage of force_error and its width over the best constant bar, a line for each group; None without force_error.

    Parameters
    ----------
    samples : dict
        force_error as `lmp_uq.validation.atoms.AtomSamples`.
    """
    atoms: AtomSamples | None = samples.get(FORCES.bar)
    found = {} if atoms is None else _figures(atoms)
    if not found:
        return None
    figure = new_figure(11.0, max(ROW * len(found) + 1.9, 4.6))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1.0])
    names = sorted(found, key=lambda name: found[name]["coverage"])
    heights = np.arange(len(names))[::-1]
    for panel in (left, right):
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.tick_params(labelsize=SMALL)
    left.set_yticks(heights, [f"{legend_text(name, LONGEST_NAME)}  ({found[name]['n_frames']})" for name in names])
    left.set_ylim(-0.7, len(names) - 0.3)
    _coverage_panel(left, heights, [found[name] for name in names])
    _width_panel(right, heights, [found[name] for name in names])
    handles = {
        FORCES.bar: Line2D([], [], color=COLOURS[0], marker="o", linestyle="", markersize=8.0),
        f"{FORCE_NORM}, scaled with hindsight": Line2D([], [], color=OTHERS, marker="o", linestyle="", markersize=7.0, fillstyle="none"),
        f"{IN_BAND[0]:g} to {IN_BAND[1]:g}": Patch(color=BAND, alpha=0.3),
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=SMALL)
    return figure


def _figures(atoms):
    """Figures of the groups that have a coverage, by name."""
    baselines = {name: bar for name, bar in atoms.baselines().items() if name == FORCE_NORM}
    groups = {str(name): atoms.metrics(atoms.groups == name, None, baselines) for name in sorted({str(g) for g in atoms.groups})}
    return {name: mine for name, mine in groups.items() if mine["coverage"] is not None}


def _coverage_panel(panel, heights, found):
    panel.axvspan(*IN_BAND, color=BAND, alpha=0.3, linewidth=0.0)
    panel.axvline(0.9, color=LINES, linewidth=1.0)
    _dots(panel, heights, found, "coverage")
    least = min(min(one["coverage"], one["baselines"].get(FORCE_NORM, one)["coverage"]) for one in found)
    panel.set_xlim(min(0.5, 0.1 * np.floor(10.0 * least)) - 0.02, 1.02)
    panel.set_xlabel("share of force errors below the bar (aim: 0.90)", fontsize=FONT)


def _width_panel(panel, heights, found):
    panel.axvline(1.0, color=LINES, linewidth=1.0)
    _dots(panel, heights, found, "width_over_oracle")
    panel.set_xscale("log")
    low, high = panel.get_xlim()
    panel.set_xlim(min(low, 0.4), max(high, 2.5))
    panel.xaxis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel("median bar / best constant bar", fontsize=FONT)


def _dots(panel, heights, found, figure):
    """Hollow for the baseline, filled for force_error; a thin line joins the two."""
    for height, one in zip(heights, found, strict=True):
        mine, other = one[figure], one["baselines"].get(FORCE_NORM, {}).get(figure)
        if mine is not None and other is not None:
            panel.plot([mine, other], [height, height], color="#BBBBBB", linewidth=1.2, zorder=2)
        if other is not None:
            panel.plot(other, height, "o", color=OTHERS, markersize=7.0, fillstyle="none", zorder=3)
        if mine is not None:
            panel.plot(mine, height, "o", color=COLOURS[0], markersize=8.0, zorder=4)
