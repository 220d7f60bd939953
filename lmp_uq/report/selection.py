# SPDX-License-Identifier: GPL-2.0-or-later
"""The frames that were chosen, as a table, and what they are worth, as a figure."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

from lmp_uq.errors import piece
from lmp_uq.files import atomic_file
from lmp_uq.report.plots.style import COLOURS, LINES, SMALL, label, new_figure
from lmp_uq.report.text import Column, table, wrap

SHOWN = 40
"""Rows of the table; the rest stands in the JSON."""
DPI = 110
COLUMNS = (
    Column("", "atoms", ("n_atoms",), "d", "of the frame"),
    Column("largest", "grade", ("grade",), "#.3g", "of its atoms"),
    Column("", "gain", ("gain",), "#.3g", "log det, beside all that was known before it"),
    Column("gain,", "units", ("units",), "#.3g", "over that of a lone atom like those of the training"),
)
DISTANCE = Column("", "distance", ("score",), "#.3g", "from the nearest frame that is known or chosen")


def describe_selection(result: Mapping[str, Any]) -> str:
    """Lines of at most `lmp_uq.report.text.WIDTH` characters."""
    unit, chosen = result["unit_gain"], result["chosen"]
    columns = COLUMNS + (DISTANCE,) * (result["by"] == "farthest")
    units = [one["gain"] / unit if unit and one["gain"] is not None else None for one in chosen]
    names = [f"{k} {one['element']} {piece(one['source'])}" for k, one in enumerate(chosen, 1)]
    rows = [(name, one | {"units": value}) for name, one, value in zip(names, chosen, units, strict=True)]
    left = ", ".join(f"{result[name]} {text}" for name, text in LEFT.items() if result[name])
    head = f"{len(chosen)} of {result['n_candidates']} candidates by {result['by']}; {result['n_frames']} frames in the pool" + (
        f", of these {left}" if left else ""
    )
    groups = Counter(one["group"] for one in chosen)
    foot = [f"groups: {', '.join(f'{name} {n}' for name, n in sorted(groups.items()))}"] if len(groups) > 1 else []
    if len(chosen) > SHOWN:
        foot.insert(0, f"and {len(chosen) - SHOWN} more")
    told = [line for text in foot + _when_to_stop(result) for line in wrap(text)]
    return "\n".join([*wrap(head), *table("frame, the element that it counts for", columns, rows[:SHOWN]), *told])


LEFT = {"n_duplicates": "duplicates", "n_labelled": "with labels", "n_outside": "outside the window"}


def _when_to_stop(result: Mapping[str, Any]) -> list[str]:
    unit, n_chosen, n_worth = result["unit_gain"], len(result["chosen"]), result["n_worth"]
    if unit is None:
        return ["no gains: nothing says what is known"]
    text = [f"1 unit is a gain of {unit:.3g}: an atom like those of the training, alone in a frame"]
    following = result["next_gain"]
    if n_worth < n_chosen:
        return [*text, f"{n_worth} of {n_chosen} gain a unit or more: the others are hardly worth a label"]
    if following is not None and following < unit:
        return [*text, f"the next frame would gain {following / unit:.3g} units: label these and stop"]
    return [*text, "all gain a unit or more" + (f", and so would the next ({following / unit:.3g})" if following is not None else "")]


def draw_selection(result: Mapping[str, Any]) -> Any:
    """Gain of each frame in the order of the choice, and the unit below which labels are hardly worth their price."""
    figure = new_figure(6.4, 4.2)
    panel = figure.subplots()
    gains = [one["gain"] for one in result["chosen"]]
    if result["unit_gain"] is not None:
        panel.semilogy(range(1, len(gains) + 1), gains, "o-", color=COLOURS[0], markersize=4)
        panel.axhline(result["unit_gain"], color=LINES, linestyle="--", linewidth=1.0, label="one unit")
        panel.legend(fontsize=SMALL)
    label(panel, f"chosen by {result['by']}", "frame", "gain (log det)")
    return figure


def write_figure(path: str, result: Mapping[str, Any]) -> None:
    """Write the figure as PNG, whole or not at all."""
    stream = io.BytesIO()
    draw_selection(result).savefig(stream, format="png", dpi=DPI)
    with atomic_file(path) as file:
        file.write(stream.getvalue())
