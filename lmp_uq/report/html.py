# SPDX-License-Identifier: GPL-2.0-or-later
"""The report of a validation as one HTML file: figures inside, no scripts, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lmp_uq.quantities import FORCES, by_key
from lmp_uq.report.columns import BAR_COLUMNS, CALIBRATION_COLUMNS, COMPARISON_COLUMNS, FORCE_ERROR_COLUMNS, RANKING_COLUMNS
from lmp_uq.report.text import Column, NamedFigures, number, printable
from lmp_uq.report.validation import element_rows, group_rows, headline, method_rows, verdict, warnings_of

FIGURES = {
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

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2em auto; padding: 0 1em; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 2em; border-bottom: 1px solid #ccc; }
.verdict { background: #eef3f8; padding: .5em 1.2em; border-left: 4px solid #338; }
.warning { background: #fdf3e7; padding: .5em 1.2em; border-left: 4px solid #b60; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin: 1em 0; font-size: 14px; }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd; } th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; } tbody tr:first-child { font-weight: 600; }
img { max-width: 100%; height: auto; } figure { margin: 1em 0 2em; } figcaption, details { font-size: 14px; color: #444; }
dt { font-weight: 600; float: left; clear: left; margin-right: .5em; } dd { margin: 0 0 .2em 0; }
"""


def html_page(result: Mapping[str, Any], images: Mapping[str, bytes]) -> str:
    """The whole report.

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
    title = f"Validation of {escape(printable(result['model']))}"
    parts = [f"<h1>{title}</h1>", f"<p>{escape(headline(result))}.</p>", *_verdict(result), *_conditions(result)]
    parts += ["<h2>Figures</h2>"]
    parts += [_figure(name, images[name]) for name in FIGURES if name in images]
    for quantity in by_key(result):
        parts += _quantity(result, quantity)
    if "force_error" in result:
        parts += _atoms(result)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _verdict(result):
    found = [f"<p>{escape(sentence)}</p>" for sentence in verdict(result)] or ["<p>There are no labels with bars to judge.</p>"]
    warned = [f"<p>{escape(sentence)}</p>" for sentence in warnings_of(result)]
    out = ["<h2>Verdict</h2>", '<div class="verdict">', *found, "</div>"]
    return out + (["<h3>Where the bars fall short</h3>", '<div class="warning">', *warned, "</div>"] if warned else [])


def _conditions(result):
    """What a reader has to know to trust the numbers."""
    text = (
        "Error is label minus prediction of the model as it runs. std is the root mean square error that the posterior expects about that "
        "model; coverages of 50, 90 and 95 % take it for the width of a Gaussian (0.674, 1.645 and 1.960 std). The bounds are those "
        "between which K corrected models are expected. Numbers in brackets are 95 % intervals of 200 bootstrap resamples of whole "
        f"{escape(result['blocks'])}s; fewer than five of them give no interval. A star marks scores without unit, scaled on these very "
        "labels: no method can know that scale before."
    )
    out = [f"<p>{text}</p>"]
    if "n_fit_frames" in result:
        out.append(
            f"<p>Bagging, LLPR, gamma and kNN were fitted on {result['n_fit_frames']} of the {result['n_fit_frames_of_file']} "
            f"frames of the posterior ({result['n_fit_rows']} rows).</p>"
        )
    if "committee" in result:
        names = ", ".join(escape(printable(name)) for name in result["committee"])
        out.append(f"<p>Committee: this model and {names}.</p>")
    return out


def _figure(name, image):
    title, text = FIGURES[name]
    source = "data:image/png;base64," + base64.b64encode(image).decode()
    return (
        f'<figure><h3>{escape(title)}</h3><img src="{source}" alt="{escape(title)}"><figcaption>{escape(text)}</figcaption></figure>'
    )


def _quantity(result, quantity):
    key, figures = quantity.key, result[quantity.key]
    out = [f"<h2>{escape(quantity.title)} ({escape(quantity.unit)})</h2>"]
    out += [f"<p>Bounds: K = {figures['n_members']} members.{_left_out(figures)}</p>"]
    ranking = RANKING_COLUMNS[2:] if quantity is FORCES else ()
    columns = (*BAR_COLUMNS, *CALIBRATION_COLUMNS)
    out += ["<h3>Methods on the same labels</h3>", _table("method", COMPARISON_COLUMNS, method_rows(result, key))]
    out += ["<h3>Intervals</h3>", _intervals(figures)]
    groups = group_rows(result, key)
    out += ["<h3>By group</h3>", _table("group", BAR_COLUMNS, groups), _table("group", (*CALIBRATION_COLUMNS, *ranking), groups)]
    rows = element_rows(result, key)
    if rows:
        out += ["<h3>By element</h3>", _table("element", BAR_COLUMNS, rows), _table("element", CALIBRATION_COLUMNS, rows)]
    return [*out, _definitions((*COMPARISON_COLUMNS, *columns, *ranking))]


def _left_out(figures):
    """What no bar describes, and what the bars do not certify."""
    text = ""
    if figures["n_without_bar"]:
        text += f" {figures['n_without_bar']} of {figures['n']} labels have no bar, because their features vanish by symmetry; they count "
        text += "in n, MAE and RMSE only."
    if figures["n_not_certifiable"] == 0:
        text += " No row is below the leverage floor of the fit."
    elif figures["n_not_certifiable"] is not None:
        share = number(figures["envelope_violation_certifiable"], ".3f")
        text += f" {figures['n_not_certifiable']} rows are below the leverage floor of the fit and not certifiable; without them the share "
        text += f"outside the bounds is {share} in place of {number(figures['envelope_violation'], '.3f')}."
    return text


def _atoms(result):
    levels = result["force_error"]["coverage_by_level"]
    text = ", ".join(f"{number(share, '.3f')} at level {level}" for level, share in levels.items())
    return [
        "<h2>Atoms: force_error (eV/Angstrom)</h2>",
        f"<p>Coverage: {escape(text) or '-'}.</p>",
        "<h3>Scores that rank |F error|</h3>",
        _table("score", RANKING_COLUMNS, method_rows(result, "force_error")),
        "<h3>Intervals</h3>",
        _intervals(result["force_error"]),
        "<h3>By group</h3>",
        _table("group", FORCE_ERROR_COLUMNS, group_rows(result, "force_error")),
        "<h3>By element</h3>",
        _table("element", FORCE_ERROR_COLUMNS, element_rows(result, "force_error")),
        _definitions((*FORCE_ERROR_COLUMNS, *RANKING_COLUMNS)),
    ]


def _intervals(figures):
    found = figures.get("interval") or {}
    rows = [(text, figures.get(name), found.get(name)) for name, text in INTERVAL_NAMES.items() if name in found]
    lines = ["<tr><th>figure</th><th>value</th><th>95 % interval</th></tr>"]
    for text, value, pair in rows:
        between = f"[{number(pair[0], '#.3g')}, {number(pair[1], '#.3g')}]" if pair else "-"
        lines.append(f"<tr><td>{escape(text)}</td><td>{number(value, '#.3g')}</td><td>{between}</td></tr>")
    return f'<div class="scroll"><table><thead>{lines[0]}</thead><tbody>{"".join(lines[1:])}</tbody></table></div>'


def _table(first: str, columns: Sequence[Column], rows: NamedFigures) -> str:
    # what no row has, as AUROC of energies, is no column
    columns = [c for c in columns if any(c.text(figures) != "-" for _, figures in rows)]
    heads = "".join(f'<th title="{escape(c.meaning)}">{escape(_head(c))}</th>' for c in columns)
    lines = []
    for name, figures in rows:
        cells = "".join(f"<td>{escape(c.text(figures))}</td>" for c in columns)
        lines.append(f"<tr><td>{escape(printable(name))}</td>{cells}</tr>")
    body = "".join(lines)
    return f'<div class="scroll"><table><thead><tr><th>{first}</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(column):
    return f"{column.over} {column.head}".strip()


def _definitions(columns):
    """A line on every column."""
    lines: dict[str, str] = {}
    for c in columns:
        lines.setdefault(_head(c), c.meaning)
    items = "".join(f"<dt>{escape(head)}</dt><dd>{escape(meaning)}</dd>" for head, meaning in lines.items())
    return f"<details open><summary>What the columns mean</summary><dl>{items}</dl></details>"
