# SPDX-License-Identifier: GPL-2.0-or-later
"""How far models disagree, as tables, and whether that ranks their errors, as a figure."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from lmp_uq.ensembles.pool import NO_FORCE
from lmp_uq.files import atomic_file
from lmp_uq.report.plots.parity import legend_text
from lmp_uq.report.plots.style import COLOURS, LINES, MARKERS, OTHERS, SMALL, label, log_limits, new_figure, no_labels
from lmp_uq.report.text import Column, item, table, wrap

DPI = 110
SHOWN = 40
"""Groups of the table; the rest stands in the JSON."""
MODELS = (
    Column("", "weight", ("weight",), ".3f", "of sum 1"),
    Column("error, eV/A", "median", ("median",), "#.3g", "of the force of an atom"),
    Column("error, eV/A", "RMSE", ("rmse",), "#.3g", "of force components"),
)
GROUPS = (
    Column("", "frames", ("n",), "d", ""),
    Column("", "labelled", ("n_labelled",), "d", ""),
    Column("median", "U", ("u_median",), "#.3g", "eV/Angstrom"),
    Column("mean model", "U", ("spearman_u",), ".2f", "rank correlation of U and error"),
    Column("mean model", "|F|", ("spearman_force",), ".2f", "the same of the largest force"),
    Column("driver", "U", ("driver_u",), ".2f", ""),
    Column("driver", "|F|", ("driver_force",), ".2f", ""),
    Column("error/U", "median", ("ratio_median",), "#.2g", "of the mean model"),
    Column("error/U", "95 %", ("ratio_p95",), "#.2g", ""),
)
FILTER = (
    Column("atoms to DFT, %", "labelled", ("to_dft_percent",), ".1f", ""),
    Column("atoms to DFT, %", "all", ("all_percent",), ".1f", ""),
    Column("", "frames", ("n_frames",), "d", "labelled ones below U_c"),
    Column("labels, eV/A", "RMSE", ("rmse",), "#.3g", "of force components"),
    Column("labels, eV/A", "worst 95 %", ("worst_p95",), "#.3g", "worst atom of a frame"),
)
ENERGY = Column("energy", "meV/atom", ("energy_mev",), "#.3g", "RMSE")


def describe_ensemble(result: Mapping[str, Any]) -> str:
    """Lines of at most `lmp_uq.report.text.WIDTH` characters."""
    models = [(f"{k} {one['name']}", one) for k, one in enumerate(result["models"], 1)]
    lines = [*table(f"model, weights {result['weights']}", MODELS, models), ""]
    groups = list(result["groups"].items())
    rows = [*groups[:SHOWN], ("all", result["all"])] if len(groups) > 1 else [("all", result["all"])]
    lines += [*table("group", GROUPS, rows)]
    if len(groups) > SHOWN:
        lines += wrap(f"and {len(groups) - SHOWN} more groups")
    if result["all"]["n_labelled"]:
        lines += wrap("mean model, driver: rank correlation of the largest force error of a frame with U, and with its largest |F|")
    else:
        lines += wrap("no frame has forces of a reference: nothing says whether U ranks errors here")
    return "\n".join(lines + _filter_lines(result))


def _filter_lines(result: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    names = [one["name"] for one in result["models"]]
    if result["filter"]:
        columns = FILTER + (ENERGY,) * ("energy_rmse" in result["filter"][0])
        rows = [(f"{row['threshold']:g}", _percent(row)) for row in result["filter"]]
        lines += ["", *table(f"U_c, labels of model {names.index(result['labels_of']) + 1}", columns, rows)]
    elif result["threshold"] is not None:
        lines += ["", *wrap("what labels of a model cost is not known: no frame has forces of a reference")]
    if result["threshold"] is None:
        return lines
    text = f"U_c {result['threshold']:g}: {result['n_replaced']} frames take the labels of {result['labels_of']}"
    text += f", {result['n_to_dft']} go to DFT"
    kept, labelled = result["n_kept"], result["n_labelled_to_dft"]
    text += f" ({labelled} of them have labels, which they keep)" if labelled else ""
    text += f", {kept} keep their labels" if kept else ""
    lines += item(text)
    if result["n_silent"]:
        what = "U says nothing about them" if result["energy_offsets"] is None else "U says nothing about their energies, they go to DFT"
        lines += item(f"{result['n_silent']} frames have no force by symmetry: {what}")
    return lines + ([] if result["n_to_dft"] else item(f"{result['to_dft']}: not written, no frame goes to DFT"))


def _percent(row: Mapping[str, Any]) -> dict[str, Any]:
    energy = row.get("energy_rmse")
    shares = {"to_dft_percent": 100 * row["to_dft"], "all_percent": 100 * row["all_to_dft"]}
    return {**row, **shares, "energy_mev": None if energy is None else 1000 * energy}


def draw_ensemble(result: Mapping[str, Any]) -> Any:
    """Error of the mean model in each frame against U, and beside it against the largest force, which ranks errors for nothing."""
    figure = new_figure(11.0, 4.8)
    panels = figure.subplots(1, 2, sharey=True)
    frames = [one for one in result["frames"] if one["error"] is not None and min(one["error"], one["U"], one["max_force"]) >= NO_FORCE]
    if not frames:
        for panel in panels:
            no_labels(panel)
        return figure
    groups = sorted({one["group"] for one in frames})
    for panel, key in zip(panels, ("U", "max_force"), strict=True):
        for k, group in enumerate(groups):
            mine = [one for one in frames if one["group"] == group]
            colour = COLOURS[k] if k < len(COLOURS) else OTHERS
            points = [one[key] for one in mine], [one["error"] for one in mine]
            panel.loglog(*points, MARKERS[k % len(MARKERS)], color=colour, markersize=4, alpha=0.7, label=legend_text(group, 30))
    values = np.array([[one["U"], one["error"]] for one in frames])
    ends = np.array(log_limits(values[:, 0], 1.0, 1.5))
    for factor, style in ((1.0, "-"), (10.0, ":"), (0.1, ":")):
        panels[0].loglog(ends, factor * ends, style, color=LINES, linewidth=1.0)
    panels[0].set_ylim(*log_limits(values[:, 1], 1.0, 1.5))
    rho = [result["all"][name] for name in ("spearman_u", "spearman_force")]
    titles = ["" if value is None else f", rank correlation {value:.2f}" for value in rho]
    label(panels[0], "disagreement" + titles[0], "U (eV/Å)", "largest error of the mean model (eV/Å)")
    label(panels[1], "size of the force" + titles[1], "largest |F| (eV/Å)", "")
    if 1 < len(groups) <= len(COLOURS):
        panels[1].legend(fontsize=SMALL)
    return figure


def write_figure(path: str, result: Mapping[str, Any]) -> None:
    """Write the figure as PNG, whole or not at all."""
    stream = io.BytesIO()
    draw_ensemble(result).savefig(stream, format="png", dpi=DPI)
    with atomic_file(path) as file:
        file.write(stream.getvalue())
