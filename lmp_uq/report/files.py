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
from lmp_uq.report.markdown import markdown
from lmp_uq.report.plots.calibration import draw_bagging, draw_binned_errors, draw_calibration, draw_error_distribution, draw_risk_coverage
from lmp_uq.report.plots.groups import draw_groups
from lmp_uq.report.plots.parity import draw_error_uncertainty, draw_parity

DPI = 110
FIGURES = {
    "groups": draw_groups,
    "parity": draw_parity,
    "error_uncertainty": draw_error_uncertainty,
    "error_distribution": draw_error_distribution,
    "binned_errors": draw_binned_errors,
    "bagging": draw_bagging,
    "calibration": draw_calibration,
    "risk_coverage": draw_risk_coverage,
}
"""Figures of a report, in its order."""


def draw(name: str, samples: Mapping[str, Any]) -> Any:
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


def write_report(folder: str | Path, result: Mapping[str, Any], samples: Mapping[str, Any], figures: Mapping = FIGURES) -> None:
    """Write report.html, report.md and the figures into a folder, which is made if it is missing.

    All are made before the first one is written, and each appears complete or not at all. report.html holds the figures itself.

    Parameters
    ----------
    folder : str or Path
    result, samples : dict
        As `lmp_uq.recipes.validate.validate` returns them.
    figures : dict
        Names to the functions that draw them.

    Raises
    ------
    UqError
        The folder cannot be made, or a file in it not be written.
    """
    drawn = {f"{name}.png": figure_of(samples) for name, figure_of in figures.items()}
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
