# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a validation as one HTML file: figures inside, no scripts, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lmp_uq.quantities import FORCES, by_key
from lmp_uq.report.columns import (
    AUROC_COLUMNS,
    BAR_COLUMNS,
    BESIDE,
    CALIBRATED_COLUMNS,
    CALIBRATION_COLUMNS,
    COMPARISON_COLUMNS,
    FORCE_ERROR_COLUMNS,
    SCORE_COLUMNS,
    beside_columns,
)
from lmp_uq.report.rows import SUSPICIOUS, calibrated_rows, element_rows, group_rows, method_rows, suspicious_sentences
from lmp_uq.report.text import Column, NamedFigures, number, printable
from lmp_uq.report.verdict import counts_text, headline, verdict, warnings_of

FIGURES = {
    "groups.png": (
        "Coverage and width by group",
        "One line for each group. Left: share of its force errors that are below force_error; the shaded band, 0.85 to 0.97, is what a bar "
        "of level 0.9 should reach. Right: median of force_error over the constant bar that would have covered 0.90 of the group, on a "
        "logarithmic axis; 1 is as wide as that bar. Hollow points: a bar proportional to |F_predicted|, scaled with hindsight.",
    ),
    "parity.png": (
        "Predicted against reference",
        "Each point is a label. The strip under the energies shows error and K-member bounds in meV/atom.",
    ),
    "error_uncertainty.png": (
        "Errors against bars",
        "Both axes are logarithmic. Bars that know the size of the error have medians along the solid line. A flat line of medians "
        "means bars that do not order errors.",
    ),
    "error_distribution.png": (
        "Distribution of the errors",
        "Errors found, beside what the bars predict: the mean of one Gaussian per label, centred at the prediction. A curve wider than "
        "the histogram means bars that are wider than needed. The band reaches from the median of the lower to the median of the upper "
        "bounds. The vertical axis is logarithmic.",
    ),
    "binned_errors.png": (
        "Errors in bins of the predicted error",
        "The predicted error of a label is half the distance of its K-member bounds. Bins of fewer than five labels are left out. "
        "Triangles under the line: in that bin no error is larger than predicted.",
    ),
    "bagging.png": (
        "POPS and bagging",
        "The same figure for POPS and for five ridge fits on bootstrap samples of the frames of the fit, as they are and rescaled so that "
        "on the rows of the fit the mean variance equals the mean squared error. Five exchangeable members leave a third of the labels "
        "outside even at their best.",
    ),
    "calibration.png": (
        "Calibration",
        "Share of labels inside the central Gaussian interval of each nominal level. On the diagonal: calibrated. "
        "The constant bar and |F_predicted| are scaled with hindsight.",
    ),
    "risk_coverage.png": (
        "Risk and coverage",
        "Labels are sorted by their bars and the largest dropped. The faster a curve falls to the left, the better the bars tell which "
        "labels to trust. A constant bar gives a flat line.",
    ),
}
"""Title and explanation of every figure, by file name, in the order of the report."""

INTERVAL_NAMES = {
    "rmse": "RMSE",
    "envelope_violation": "share outside bounds",
    "coverage_50": "covered by 50 % interval",
    "coverage_90": "covered by 90 % interval",
    "coverage_95": "covered by 95 % interval",
    "coverage": "coverage of force_error",
    "mean_error_over_std": "mean |err|/std",
    "spearman": "Spearman",
    "spearman_within_groups": "Spearman inside groups",
    "auroc_0.3": "AUROC, |err| > 0.3 eV/Angstrom",
    "crps": "CRPS",
    "miscalibration_area": "miscalibration area",
    "sharpness": "sharpness",
}


def html_page(result: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The whole report, as report.html.jinja lays it out; names out of files are escaped there.

    Parameters
    ----------
    result : dict
        As `lmp_uq.recipes.validate.validate` returns it.
    images : dict
        PNG files by name, of `FIGURES`.

    Returns
    -------
    str
        HTML with all images inside.
    """
    return _template().render(
        result=result,
        headline=headline(result),
        verdict=verdict(result),
        warnings=warnings_of(result),
        figures=[(*FIGURES[name], base64.b64encode(images[name]).decode()) for name in FIGURES if name in images],
        quantities=[_quantity(result, quantity) for quantity in by_key(result)],
        atoms=_atoms(result) if FORCES.bar in result else None,
        suspicious=suspicious_sentences(result.get("suspicious", [])),
        suspicious_meaning=SUSPICIOUS,
    )


def _template():
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "printable": printable}
    return environment.get_template("report.html.jinja")


def _quantity(result, quantity):
    """What the section of a quantity shows: tables as (heading or "", name of the rows, columns, rows)."""
    key, figures = quantity.key, result[quantity.key]
    ranking = AUROC_COLUMNS if quantity is FORCES else ()
    groups, elements = group_rows(result, key), element_rows(result, key)
    tables = [("By group", "group", BAR_COLUMNS, groups), ("", "group", (*CALIBRATION_COLUMNS, *ranking), groups)]
    tables += [("By element", "element", BAR_COLUMNS, elements), ("", "element", CALIBRATION_COLUMNS, elements)]
    if calibrated := calibrated_rows(groups):
        title = f"{quantity.bar} covers {counts_text(figures['calibrated']['by_group'])}"
        tables.append((title, "group", CALIBRATED_COLUMNS, calibrated))
    return {
        "key": key,
        "title": f"{quantity.title} ({quantity.unit})",
        "figures": figures,
        "methods": _table("Methods on the same labels", "method", COMPARISON_COLUMNS, method_rows(result, key)),
        "intervals": _intervals(figures),
        "tables": [_table(*one) for one in tables],
        "definitions": _definitions((*COMPARISON_COLUMNS, *BAR_COLUMNS, *CALIBRATION_COLUMNS, *ranking, *CALIBRATED_COLUMNS)),
    }


def _atoms(result):
    """What the section of the calibrated bar of atoms shows."""
    key = FORCES.bar
    groups, elements, methods = group_rows(result, key), element_rows(result, key), result[key]["baselines"]
    beside = [beside_columns(figures, methods) for figures in BESIDE]
    own: list[Column] = list(FORCE_ERROR_COLUMNS)
    tables = [("By group", "group", own, groups), ("By element", "element", own, elements)]
    for what, rows in (("group", groups), ("element", elements)):
        heads = [f"Beside other scores, by {what}", ""]
        tables += [(head, what, columns, rows) for head, columns in zip(heads, beside, strict=True)]
    return {
        "key": key,
        "title": f"Atoms: {key} ({FORCES.unit})",
        "levels": result[key]["coverage_by_level"],
        "n_symmetric": result[key]["n_symmetric"],
        "n_infinite": result[key]["n_infinite"],
        "methods": _table("Beside other scores, each times one factor that covers 0.90 of these labels", "score", SCORE_COLUMNS,
                          method_rows(result, key)),
        "intervals": _intervals(result[key]),
        "tables": [_table(*one) for one in tables],
        "definitions": _definitions((*FORCE_ERROR_COLUMNS, *SCORE_COLUMNS, *beside[0], *beside[1])),
    }  # fmt: skip


def _intervals(figures):
    """(name, value, its interval or None) of the figures that have one."""
    found = figures.get("interval") or {}
    return [(text, figures.get(name), found[name]) for name, text in INTERVAL_NAMES.items() if name in found]


def _table(heading: str, first: str, columns: Sequence[Column], rows: NamedFigures) -> dict:
    # what no row has, as AUROC of energies, is no column
    columns = [c for c in columns if any(c.text(figures) != "-" for _, figures in rows)]
    cells = [(name, [c.text(figures) for c in columns]) for name, figures in rows]
    return {"heading": heading, "first": first, "heads": [(_head(c), c.meaning) for c in columns], "rows": cells}


def _head(column):
    return f"{column.over} {column.head}".strip()


def _definitions(columns):
    """A line on every heading."""
    lines: dict[str, str] = {}
    for c in columns:
        lines.setdefault(_head(c), c.meaning)
    return lines
