# SPDX-License-Identifier: GPL-2.0-or-later
"""The rounds of a loop: a table, and a figure of what the runs met and the bars missed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmp_uq.files import atomic_file
from lmp_uq.report.files import write_json
from lmp_uq.report.plots.style import COLOURS, LINES, SMALL, label, new_figure
from lmp_uq.report.text import Column, table, wrap

DPI = 110
COLUMNS = (
    Column("frames", "seen", ("n_frames",), "d", "that the runs kept"),
    Column("frames", "grade>1", ("n_above",), "d", "with an atom whose grade is above 1"),
    Column("frames", "share", ("share_above",), ".2f", "of them"),
    Column("frames", "chosen", ("n_chosen",), "d", "for labels"),
    Column("frames", "labelled", ("n_labelled",), "d", "in this round"),
    Column("forces", "miss rate", ("miss_rate",), ".3f", "share of atoms whose error is beyond the bar of the model that ran"),
    Column("forces", "level", ("level",), ".2g", "of that bar: a miss rate of 1 - level is meant"),
    Column("forces", "RMSE", ("force_rmse",), ".3f", "of the model that ran, eV/Angstrom"),
    Column("energy", "RMSE", ("energy_rmse",), ".4f", "of the model that ran, eV/atom"),
)


def describe_rounds(report: Mapping[str, Any]) -> str:
    """Lines of at most `lmp_uq.report.text.WIDTH` characters."""
    rows = [(str(one["round"]), one) for one in report["rounds"]]
    if not rows:
        return f"{report['folder']}: no round has been begun"
    bars = sorted({one["bar"] for one in report["rounds"] if one["bar"]})
    foot = [f"bars: {', '.join(bars)}; each round judges the model that ran in it, by labels that it has not seen"] * bool(bars)
    foot.append(f"ended: {report['ended']}" if report["ended"] else "not ended: the same command goes on")
    foot.append(f"newest model: {report['model']}")
    return "\n".join([*table("round", COLUMNS, rows), *(line for text in foot for line in wrap(text))])


def draw_rounds(report: Mapping[str, Any]) -> Any:
    """Share of frames above grade 1 and miss rate over the rounds, with what is meant and where the loop may end."""
    figure = new_figure(6.4, 4.2)
    panel = figure.subplots()
    bounds = {"share_above": report["stop"]["above_grade_1"], "miss_rate": report["stop"]["miss_rate"]}
    names = {"share_above": "frames above grade 1", "miss_rate": "atoms whose force error is beyond its bar"}
    for (key, name), colour, marker in zip(names.items(), COLOURS, "os", strict=False):
        mine = [(one["round"], one[key]) for one in report["rounds"] if one[key] is not None]
        panel.plot([x for x, _ in mine], [y for _, y in mine], marker + "-", color=colour, label=name)
        if bounds[key] >= 0.0:
            panel.axhline(bounds[key], color=colour, linestyle="--", linewidth=1.0, label="the loop ends")
    levels = {one["level"] for one in report["rounds"] if one["level"] is not None}
    for level in levels:
        panel.axhline(1.0 - level, color=LINES, linestyle=":", linewidth=1.0, label=f"meant by a bar of level {level:g}")
    panel.set_ylim(-0.02, 1.02)
    panel.set_xticks([one["round"] for one in report["rounds"]])
    panel.legend(fontsize=SMALL)
    label(panel, "", "round", "share")
    return figure


def write_rounds(report: Mapping[str, Any]) -> None:
    """Write learn.json and learn.png into the folder of the loop, each whole or not at all."""
    write_json(Path(report["folder"]) / "learn.json", report)
    stream = io.BytesIO()
    draw_rounds(report).savefig(stream, format="png", dpi=DPI)
    with atomic_file(Path(report["folder"]) / "learn.png") as file:
        file.write(stream.getvalue())
