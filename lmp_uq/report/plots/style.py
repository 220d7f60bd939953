# SPDX-License-Identifier: GPL-2.0-or-later
"""How figures look: colours, sizes, panels.

Figures are objects with an Agg canvas of their own; matplotlib's global state stays untouched.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# The "muted" scheme of P. Tol, "Colour Schemes", SRON/EPS/TN/09-002 (2021): safe for colour-blind readers.
COLOURS = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933")
OTHERS = "#888888"
MARKERS = "osD^vP<>X"
POINTS = "#88AACC"
MEDIANS = "#AA3311"
LINES = "#222222"
FONT = 13
SMALL = 11
LINE_STYLES: tuple[tuple[float, Literal["-", "--"]], ...] = ((1.0, "-"), (2.0, "--"))
"""Lines |error| = factor * bar, and how they are drawn."""


def new_figure(width: float, height: float) -> Figure:
    """Empty figure with a canvas of its own; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def label(panel: Axes, title: str, x: str, y: str) -> None:
    """Title and axis labels in the sizes of all figures."""
    panel.set_title(title, fontsize=FONT)
    panel.set_xlabel(x, fontsize=FONT)
    panel.set_ylabel(y, fontsize=FONT)
    panel.tick_params(labelsize=SMALL)


def no_labels(panel: Axes) -> None:
    """Say in an empty panel that there is nothing to draw."""
    panel.text(0.5, 0.5, "no labels", ha="center", va="center", fontsize=FONT, transform=panel.transAxes)
    panel.set_xticks([])
    panel.set_yticks([])


def log_limits(values: np.ndarray, percent: float, factor: float) -> tuple[float, float]:
    """Ends of a logarithmic axis; a few values by far the smallest do not stretch it."""
    low, high = float(np.percentile(values, percent)) / factor, float(values.max()) * factor
    # errors that vanish by symmetry are rounding: four decades hold all that matters
    low = max(low, 1e-4 * high)
    # two decades hold two labelled ticks wherever they begin
    wider = np.sqrt(max(100.0 * low / high, 1.0))
    return low / wider, high * wider
