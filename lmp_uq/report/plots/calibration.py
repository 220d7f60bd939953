# SPDX-License-Identifier: GPL-2.0-or-later
"""Plots of how well bars describe errors: distributions, bins, calibration and risk-coverage curves.

The distribution, the bins and the comparison with bagging follow figures 11, 12 and 13 of D. Perez et al., npj Comput. Mater. 11,
263 (2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter

from lmp_uq.metrics.bars import NOMINAL, confidence, has_bar, observed_coverage, risk_coverage
from lmp_uq.quantities import by_key
from lmp_uq.report.plots.style import COLOURS, LINES, MEDIANS, OTHERS, POINTS, SMALL, label, log_limits, new_figure, no_labels
from lmp_uq.validation.samples import CONSTANT, FORCE_NORM, POPS_NAME, Bars, Samples

ENVELOPE = "#DDCC77"
PANEL_WIDTH = 5.0
"""Inches."""
MIN_IN_BIN = 5
MAX_BINS = 12
MAX_LABELS = 4000
"""Labels whose Gaussians make the predicted distribution; of more an even part is used."""
BINS_LEGEND = {
    "error as large as predicted": Line2D([], [], color=LINES),
    "largest error in a bin": Line2D([], [], color=COLOURS[0], marker="^", linestyle=""),
    "mean error in a bin": Line2D([], [], color=MEDIANS, marker="o"),
    "labels": Line2D([], [], color=POINTS, marker=".", linestyle=""),
}
STYLES = {POPS_NAME: ("#332288", "-", 2.4), CONSTANT: (OTHERS, "--", 1.5), FORCE_NORM: ("#CC6677", "-.", 1.5)}


def draw_error_distribution(samples: Mapping[str, Any]) -> Figure:
    """Histogram of the errors, the distribution that the bars predict for them, and the middle of the K-member bounds.

    Parameters
    ----------
    samples : dict
        Quantities as `lmp_uq.validation.samples.Samples`.

    Returns
    -------
    Figure
    """
    figure, panels = _side_by_side(samples, 5.2)
    for panel, quantity in panels:
        mine, unit = samples[quantity.key], quantity.plotted_unit
        label(panel, quantity.title, f"error (label minus prediction), {unit}", f"probability density, 1/({unit})")
        if has_bar(mine.std).any():
            _distribution_panel(panel, mine)
        else:
            no_labels(panel)
    _legend(
        figure,
        {
            "errors found": Patch(color=POINTS),
            "errors that the std predict (mean of one Gaussian per label)": Line2D([], [], color=MEDIANS, linewidth=2.0),
            "from median lower to median upper bound": Patch(color=ENVELOPE, alpha=0.4),
        },
    )
    return figure


def _distribution_panel(panel, mine):
    bar = has_bar(mine.std)
    error, std = mine.error[bar], mine.std[bar]
    # the outermost per cent would leave a needle in the middle of the panel
    reach = 1.3 * max(np.percentile(np.abs(error), 99.0), 1.5 * np.median(std))
    edges = np.linspace(-reach, reach, 2 * int(np.clip(np.sqrt(len(error)), 10, 40)) + 2)
    counts, _ = np.histogram(error, edges)
    heights = counts / (len(error) * np.diff(edges))
    panel.axvspan(np.median(mine.lower[bar]), np.median(mine.upper[bar]), color=ENVELOPE, alpha=0.4, linewidth=0.0)
    panel.stairs(heights, edges, fill=True, color=POINTS)
    grid = np.linspace(-reach, reach, 401)
    predicted = mixture_density(grid, std)
    panel.plot(grid, predicted, color=MEDIANS, linewidth=2.0)
    outside = int(np.sum(np.abs(error) > reach))
    if outside:
        text = f"{outside} of {len(error)} errors\nlie beyond the axis"
        panel.text(0.98, 0.98, text, ha="right", va="top", fontsize=SMALL, transform=panel.transAxes)
    lowest = 0.5 / (len(error) * (edges[1] - edges[0]))
    panel.set(yscale="log", xlim=(-reach, reach), ylim=(lowest, 5.0 * max(heights.max(), predicted.max())))
    panel.xaxis.set_major_locator(MaxNLocator(4, symmetric=True))


def mixture_density(grid: np.ndarray, std: np.ndarray) -> np.ndarray:
    """(m,) density at grid of the mean over labels of Gaussians of width std (n,) about zero, inverse unit of std."""
    std = np.sort(std)[:: max(len(std) // MAX_LABELS, 1)]
    z = grid[:, None] / std
    return np.mean(np.exp(-0.5 * z**2) / (np.sqrt(2.0 * np.pi) * std), axis=1)


def draw_binned_errors(samples: Mapping[str, Any]) -> Figure:
    """Mean and largest |error| in bins of the error that the K-member bounds predict, half their distance.

    Parameters
    ----------
    samples : dict
        Quantities as `lmp_uq.validation.samples.Samples`.

    Returns
    -------
    Figure
    """
    figure, panels = _side_by_side(samples, 5.4)
    for panel, quantity in panels:
        mine = samples[quantity.key]
        _bins_panels([panel], [quantity.title], quantity, mine, [Bars(mine.std, mine.lower, mine.upper)])
    _legend(figure, BINS_LEGEND)
    return figure


def draw_bagging(samples: Mapping[str, Any]) -> Figure | None:
    """The figure of `draw_binned_errors` for POPS and for bagging side by side, on common axes; None without bagging."""
    names = (POPS_NAME, "bagging", "bagging, rescaled")
    quantities = [q for q in by_key(samples) if "bagging" in samples[q.key].others]
    if not quantities:
        return None
    figure = new_figure(15.0, 5.0 * len(quantities) + 0.6)
    grid = figure.subplots(len(quantities), len(names), squeeze=False)
    for panels, quantity in zip(grid, quantities, strict=True):
        mine = samples[quantity.key]
        bars = [mine.bars()[name] for name in names]
        titles = [f"{quantity.title}, {name}{_share_outside(mine, one)}" for name, one in zip(names, bars, strict=True)]
        _bins_panels(panels, titles, quantity, mine, bars)
    _legend(figure, BINS_LEGEND)
    return figure


def _share_outside(mine, bars):
    """A line of a title."""
    bar = has_bar(mine.std)
    error = mine.error[bar]
    outside = (error < bars.lower[bar]) | (error > bars.upper[bar])
    return f"\n{100.0 * np.mean(outside):.1f} % outside the bounds" if len(error) else ""


def _bins_panels(panels, titles, quantity, mine, bars):
    """Panels of one quantity with common axes."""
    unit = quantity.plotted_unit
    for panel, title in zip(panels, titles, strict=True):
        label(panel, title, f"half distance of the bounds, {unit}", f"|error|, {unit}")
    bar = has_bar(mine.std)
    error = np.abs(mine.error[bar])
    widths = [0.5 * (one.upper - one.lower)[bar] for one in bars]
    if not np.any(error > 0.0) or not all(np.any(w > 0.0) for w in widths):
        for panel in panels:
            no_labels(panel)
        return
    every = np.concatenate([w[w > 0.0] for w in widths])
    x_limits, y_limits = log_limits(every, 0.5, 1.5), log_limits(error[error > 0.0], 1.0, 2.0)
    for panel, width in zip(panels, widths, strict=True):
        shown = np.clip(width, *x_limits), np.clip(error, *y_limits)
        panel.plot(*shown, ".", color=POINTS, markersize=3.0, alpha=0.4, rasterized=True, zorder=1)
        centres, mean, largest = binned_errors(width, error)
        panel.plot(centres, largest, "^", color=COLOURS[0], markersize=7.0)
        panel.plot(centres, mean, "o-", color=MEDIANS, markersize=6.0)
        panel.plot(x_limits, x_limits, color=LINES, linewidth=1.3)
        panel.set(xscale="log", yscale="log", xlim=x_limits, ylim=y_limits)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_minor_formatter(NullFormatter())


def binned_errors(width: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Geometric mean width, mean error and largest error of bins evenly spaced in log(width); bins of fewer than 5 labels are left out."""
    known = width > 0.0
    width, error = width[known], error[known]
    n_bins = int(np.clip(len(width) // 8, 3, MAX_BINS))
    edges = np.geomspace(width.min(), width.max() * (1.0 + 1e-9), n_bins + 1)
    bins = np.clip(np.searchsorted(edges, width, side="right") - 1, 0, n_bins - 1)
    used = [k for k in range(n_bins) if np.sum(bins == k) >= MIN_IN_BIN]
    # of the labels, not of the bin: a wide bin with its labels at one end would shift against the line
    centres = np.array([np.exp(np.log(width[bins == k]).mean()) for k in used])
    return centres, np.array([error[bins == k].mean() for k in used]), np.array([error[bins == k].max() for k in used])


def draw_calibration(samples: Mapping[str, Any]) -> Figure:
    """Observed against nominal coverage of all methods; above the diagonal bars are too wide.

    Parameters
    ----------
    samples : dict
        Quantities as `lmp_uq.validation.samples.Samples`.

    Returns
    -------
    Figure
    """

    def curve(panel, error, std, style):
        observed = observed_coverage(confidence(error, std))
        panel.plot(np.r_[0.0, 100.0 * NOMINAL, 100.0], np.r_[0.0, 100.0 * observed, 100.0], **style)

    figure, panels = _curves(samples, curve)
    for panel, quantity in panels:
        panel.plot([0, 100], [0, 100], color=LINES, linewidth=1.0, zorder=1)
        panel.set(xlim=(0, 100), ylim=(0, 100))
        panel.set_box_aspect(1.0)
        label(panel, quantity.title, "nominal coverage, %", "observed coverage, %")
        for x, y, text in ((0.04, 0.96, "bars too wide"), (0.96, 0.04, "bars too narrow")):
            side, height = ("left", "top") if x < 0.5 else ("right", "bottom")
            panel.text(x, y, text, ha=side, va=height, fontsize=SMALL, color=OTHERS, transform=panel.transAxes)
    return figure


def draw_risk_coverage(samples: Mapping[str, Any]) -> Figure:
    """Root mean square error of the labels that are kept when those of large bars are dropped, for all methods.

    Parameters
    ----------
    samples : dict
        Quantities as `lmp_uq.validation.samples.Samples`.

    Returns
    -------
    Figure
    """

    def curve(panel, error, std, style):
        retained, rmse = risk_coverage(error, std)
        # the first few labels are noise that would stretch the axis
        first = min(max(MIN_IN_BIN, len(error) // 50), len(error)) - 1
        panel.plot(100.0 * retained[first:], rmse[first:], **style)

    figure, panels = _curves(samples, curve, oracle=True)
    for panel, quantity in panels:
        panel.set(xlim=(0, 100))
        panel.set_ylim(bottom=0.0)
        label(panel, quantity.title, "labels kept, those of smallest bars, %", f"RMSE of the labels kept, {quantity.plotted_unit}")
    return figure


def _curves(samples, draw, oracle=False):
    """A panel per quantity with one curve per method, and one legend for all."""
    figure, panels = _side_by_side(samples, 5.8)
    styles = {}
    for panel, quantity in panels:
        mine: Samples = samples[quantity.key]
        bar = has_bar(mine.std)
        if not bar.any():
            no_labels(panel)
            continue
        for name, bars in mine.bars().items():
            style = styles.setdefault(name, _style(name, len(styles)))
            draw(panel, mine.error[bar], bars.std[bar], style)
        if oracle:
            style = {"color": LINES, "linestyle": ":", "linewidth": 1.5}
            draw(panel, mine.error[bar], np.abs(mine.error[bar]), styles.setdefault("errors themselves (best possible)", style))
    _legend(figure, {name: Line2D([], [], **style) for name, style in styles.items()})
    return figure, panels


def _style(name, k):
    colour, dashes, width = STYLES.get(name, (COLOURS[1 + k % (len(COLOURS) - 1)], "-", 1.5))
    return {"color": colour, "linestyle": dashes, "linewidth": width}


def _legend(figure, handles):
    """One legend under all panels, from names to what stands beside them."""
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(len(handles), 4) or 1, fontsize=SMALL)


def _side_by_side(samples, height):
    """A figure of that height (inches) with one panel per quantity: [(panel, quantity)]."""
    quantities = by_key(samples)
    figure = new_figure(PANEL_WIDTH * len(quantities), height)
    panels = np.atleast_1d(figure.subplots(1, len(quantities)))
    return figure, list(zip(panels, quantities, strict=True))
