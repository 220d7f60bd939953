# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that ``lmp-uq validate`` writes: the figures as JSON, and a folder with tables and plots."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file
from lmp_uq.report.html import html_page
from lmp_uq.report.plots.calibration import draw_bagging, draw_binned_errors, draw_calibration, draw_error_distribution, draw_risk_coverage
from lmp_uq.report.plots.parity import draw_error_uncertainty, draw_parity
from lmp_uq.report.text import BAR_COLUMNS, CALIBRATION_COLUMNS, COMPARISON_COLUMNS, FORCE_ERROR_COLUMNS, RANKING_COLUMNS, printable
from lmp_uq.report.validation import group_rows, headline, method_rows, present, verdict, warnings_of

DPI = 110
FIGURES = {
    "parity": draw_parity,
    "error_uncertainty": draw_error_uncertainty,
    "error_distribution": draw_error_distribution,
    "binned_errors": draw_binned_errors,
    "bagging": draw_bagging,
    "calibration": draw_calibration,
    "risk_coverage": draw_risk_coverage,
}
"""Figures of a report, in its order."""


def draw(name: str, samples: Mapping[str, Any]):
    """One of `FIGURES`, of the samples that `lmp_uq.recipes.validate.validate` returns; None where there is nothing to draw."""
    return FIGURES[name](samples)


def write_json(path: str | Path, result: Mapping[str, Any]) -> None:
    """Write figures as JSON with sorted keys, atomically; NaN and infinity, which JSON lacks, become null.

    Parameters
    ----------
    path : str or Path
    result : dict
        Numbers (also of NumPy), text, lists and dicts of them.

    Raises
    ------
    UqError
        Something else in the result, or the file cannot be written.
    """
    text = json.dumps(plain_json(result, "the result"), indent=1, sort_keys=True, allow_nan=False)
    with atomic_file(path) as stream:
        stream.write(text.encode() + b"\n")


def write_report(folder: str | Path, result: Mapping[str, Any], samples: Mapping[str, Any]) -> None:
    """Write report.html, report.md and the figures into a folder, which is made if it is missing.

    All are made before the first one is written, and each appears complete or not at all. report.html holds the figures itself.

    Parameters
    ----------
    folder : str or Path
    result, samples : dict
        As `lmp_uq.recipes.validate.validate` returns them.

    Raises
    ------
    UqError
        The folder cannot be made, or a file in it not be written.
    """
    drawn = {f"{name}.png": draw(name, samples) for name in FIGURES}
    images = {name: _png(figure) for name, figure in drawn.items() if figure is not None}
    files = images | {"report.html": html_page(result, images).encode(), "report.md": markdown(result).encode()}
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UqError(f"{folder}: cannot be made a folder for the report: {error.strerror}") from error
    for name, content in files.items():
        with atomic_file(folder / name) as stream:
            stream.write(content)


def markdown(result: Mapping[str, Any]) -> str:
    """The verdict and the tables of all figures, with their definitions."""
    lines = ["# Validation of error bars", "", _escape(headline(result)) + "."]
    lines += [f"\n{_escape(sentence)}" for sentence in verdict(result)]
    lines += [f"\n**{_escape(sentence)}**" for sentence in warnings_of(result)]
    lines += ["", "![Predicted against reference](parity.png)", ""]
    lines += ["![Errors against error bars](error_uncertainty.png)", "", "All figures: [report.html](report.html)."]
    for quantity, (title, unit) in present(result).items():
        figures = result[quantity]
        lines += ["", f"## {title} ({unit})", "", f"Bounds: K = {figures['n_members']} members."]
        if figures["n_without_bar"]:
            lines.append(
                f"{figures['n_without_bar']} labels have no bar, because their features vanish by symmetry; "
                "they count in n, MAE and RMSE only."
            )
        rows = group_rows(result, quantity)
        lines += _section(BAR_COLUMNS, rows) + _section(CALIBRATION_COLUMNS, rows)
        lines += ["", "Methods on the same labels; a star marks bars scaled with hindsight."]
        lines += _section(COMPARISON_COLUMNS, method_rows(result, quantity), "method")
    if "force_error" in result:
        lines += ["", "## force_error of atoms (eV/Angstrom)"]
        lines += _section(FORCE_ERROR_COLUMNS, group_rows(result, "force_error"))
        lines += _section(RANKING_COLUMNS, method_rows(result, "force_error"), "score")
    return "\n".join(lines) + "\n"


def _section(columns, rows, first="group"):
    """A table and one line on each of its columns."""
    heads = [_escape(f"{c.over} {c.head}".strip()) for c in columns]
    lines = ["", f"| {first} | " + " | ".join(heads) + " |", "|:--|" + "--:|" * len(columns)]
    for name, figures in rows:
        lines.append(f"| {_escape(name)} | " + " | ".join(c.text(figures) for c in columns) + " |")
    lines.append("")
    return lines + [f"* {head}: {_escape(c.meaning)}" for head, c in zip(heads, columns, strict=True)]


def _escape(text):
    """Text that Markdown shows as it is."""
    return "".join("\\" + c if c in "\\`*_{}[]<>#|$~!&" else c for c in printable(text))


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def plain_json(value: Any, where: str) -> Any:
    """The value in the types of JSON; UqError, which says where, for what has none."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain_json(item, f"{where}, {key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item, where) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    raise UqError(f"{where} holds a {type(value).__name__}; accepted: what JSON can hold")
