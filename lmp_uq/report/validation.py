# SPDX-License-Identifier: GPL-2.0-or-later
"""What the figures of a validation say, in tables for a terminal and in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.quantities import FORCES, QUANTITIES, Quantity, by_key
from lmp_uq.report.columns import BAR_COLUMNS, CALIBRATION_COLUMNS, COMPARISON_COLUMNS, FORCE_ERROR_COLUMNS, RANKING_COLUMNS
from lmp_uq.report.text import number, printable, table, wrap
from lmp_uq.validation.samples import CONSTANT, FORCE_NORM, HINDSIGHT, POPS_NAME

COVERAGE_LIMITS = (0.85, 0.97)
"""Coverage of force_error that needs no comment; it aims at 0.90."""
MIN_COVERAGE = 0.85
"""Coverage of the 90 % interval of posterior bars below which they are called too narrow."""
MAX_EXCESS_VIOLATION = 0.10
"""Share of labels outside K-member bounds, beyond the 2 / (K + 1) of exchangeable members, that needs a comment."""
NARROW_RATIO = 0.4
"""mean |err|/std below which bars are called about twice too wide."""
MIN_LABELS = 20
"""Labels of a group below which a share is no reason for a sentence."""
ATOMS_TITLE = f"{FORCES.bar} of atoms, {FORCES.unit}"


def describe_validation(result: Mapping[str, Any]) -> str:
    """Figures of `lmp_uq.recipes.validate.validate`, overall and by group, beside the baselines.

    Parameters
    ----------
    result : dict
        The first of the two that it returns.

    Returns
    -------
    str
        Lines of at most `lmp_uq.report.text.WIDTH` characters.
    """
    blocks = [wrap(headline(result))]
    for quantity in by_key(result):
        figures, rows = result[quantity.key], group_rows(result, quantity.key)
        head = f"{heading(quantity)}, K = {figures['n_members']} members"
        if figures["n_without_bar"]:
            head += f"; {figures['n_without_bar']} labels without bar by symmetry (in n, MAE and RMSE only)"
        blocks.append([*wrap(head), *table("group", BAR_COLUMNS, rows)])
        blocks.append(table("group", CALIBRATION_COLUMNS, rows))
        blocks.append(_calibrated_lines(rows, quantity))
    blocks = [lines for lines in blocks if lines]
    if FORCES.bar in result:
        blocks.append([ATOMS_TITLE, *table("group", FORCE_ERROR_COLUMNS, group_rows(result, FORCES.bar))])
    if has_more_methods(result):
        for quantity in by_key(result):
            head = wrap(f"{heading(quantity)}: methods on the same labels (* scaled with hindsight)")
            blocks.append([*head, *table("method", COMPARISON_COLUMNS, method_rows(result, quantity.key))])
        if FORCES.bar in result:
            head = ["Atoms: scores that rank |F error|"]
            blocks.append([*head, *table("score", RANKING_COLUMNS, method_rows(result, FORCES.bar))])
    blocks += [wrap(sentence) for sentence in warnings_of(result)]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _calibrated_lines(rows, quantity):
    """Coverage of energy_error or stress_error, where the file has it, in a line."""
    found = [(name, figures["calibrated"]) for name, figures in rows if figures.get("calibrated")]
    if not found:
        return []
    level = found[0][1]["level"]
    shares = ", ".join(f"{printable(name)} {number(one['coverage'], '.3f')}" for name, one in found[:8])
    return wrap(f"{quantity.bar} (aim: {level:.2f}) covers: {shares}")


def heading(quantity: Quantity) -> str:
    """Of the tables of a quantity: what it is, and its unit."""
    return f"{quantity.title}, {quantity.unit}"


def headline(result: Mapping[str, Any]) -> str:
    """Model, hash and frames in one sentence."""
    text = f"{printable(result['model'])} (sha256 {result['sha256'][:12]}) on {result['n_frames']} frames"
    if result["in_sample"]:
        text += "; frames that shaped the file were accepted: these figures flatter it"
    return text


def group_rows(result: Mapping[str, Any], quantity: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a table: all frames, then every group."""
    groups = [(name, figures[quantity]) for name, figures in sorted(result["groups"].items()) if quantity in figures]
    return [("all", result[quantity]), *groups]


def element_rows(result: Mapping[str, Any], quantity: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a table by element of the atom; none for labels of whole frames."""
    return [(name, figures[quantity]) for name, figures in result["elements"].items() if quantity in figures]


def method_rows(result: Mapping[str, Any], quantity: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a comparison table; a star marks bars scaled with hindsight."""
    rows = result["comparison"][quantity].items()
    return [(name + " *" * bool(figures.get("hindsight")), figures) for name, figures in rows]


def has_more_methods(result: Mapping[str, Any]) -> bool:
    """Whether baselines or a committee were asked for."""
    return any(set(result["comparison"][q.key]) - {POPS_NAME, *HINDSIGHT} for q in by_key(result["comparison"]))


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """One sentence for each way in which the bars fall short."""
    starts = {quantity.key: f"{quantity.title}: the bars rank" for quantity in QUANTITIES}
    starts[FORCES.bar] = "force_error ranks"
    out = []
    for key, start in starts.items():
        figures = result.get(key, {})
        mine = figures.get("spearman")
        other = figures.get("baselines", {}).get(FORCE_NORM, {}).get("spearman")
        if other is not None and (mine is None or mine <= other):
            found = f"Spearman {number(mine, '.3f')} against {other:.3f}"
            out.append(f"{start} the errors no better than |F_predicted| alone does ({found}).")
    for quantity in by_key(result):
        out += _narrow_warnings(result, quantity)
    return out + _coverage_warnings(result)


def _narrow_warnings(result, quantity):
    """Bars that are too narrow, and bounds that hold too few labels: overall, and in which groups."""
    key, title = quantity.key, quantity.title
    expected = 2.0 / (result[key]["n_members"] + 1)
    out = []
    for figure, is_bad, text in (
        ("coverage_90", lambda v, n: v < min(MIN_COVERAGE, 0.9 - _noise(0.9, n)), "the 90 % interval of the bars covers {}: too narrow"),
        (
            "envelope_violation",
            lambda v, n: v > expected + max(MAX_EXCESS_VIOLATION, _noise(expected, n)),
            "{} of the labels lie outside the K-member bounds",
        ),
    ):
        value = result[key].get(figure)
        groups = [(n, f) for n, f in group_rows(result, key)[1:] if f[figure] is not None and _n_bars(f) >= MIN_LABELS]
        bad = [f"{printable(name)} {f[figure]:.3f}" for name, f in groups if is_bad(f[figure], _n_bars(f))] if len(groups) > 1 else []
        where = f" (groups: {', '.join(bad[:5])}{f' and {len(bad) - 5} more' * (len(bad) > 5)})" if bad else ""
        if value is not None and is_bad(value, _n_bars(result[key])):
            out.append(f"{title}: {text.format(f'{value:.3f}')}{where}.")
        elif bad:
            out.append(f"{title}: overall {text.format(f'{value:.3f}').split(':')[0]}, but some groups are worse{where}.")
    return out


def _n_bars(figures):
    return figures["n"] - figures["n_without_bar"]


def _noise(share, n):
    """Three standard errors of a share of n labels: no sentence for what chance alone does."""
    return 3.0 * (share * (1.0 - share) / max(n, 1)) ** 0.5


def _coverage_warnings(result):
    if FORCES.bar not in result:
        return []
    low, high = COVERAGE_LIMITS
    (_, overall), *groups = [(name, f["coverage"]) for name, f in group_rows(result, FORCES.bar)]
    out = []
    if overall is not None and not low <= overall <= high:
        out.append(f"force_error covers {overall:.3f} of the errors, outside {low} to {high} (aim: 0.90).")
    wrong = [(printable(name), c) for name, c in groups if c is not None and not low <= c <= high]
    if wrong and len(groups) > 1:
        names = ", ".join(f"{name} {coverage:.3f}" for name, coverage in wrong[:5])
        more = f" and {len(wrong) - 5} more" * (len(wrong) > 5)
        out.append(f"By group, the coverage of force_error is outside {low} to {high} in {names}{more}.")
    return out


def verdict(result: Mapping[str, Any]) -> list[str]:
    """One sentence per quantity in plain words: does it cover, how wide is it, does it rank better than |F_predicted|."""
    out = [s for quantity in by_key(result) if (s := _bar_sentence(result[quantity.key], quantity.title))]
    figures = result.get(FORCES.bar)
    if figures and figures["coverage"] is not None:
        low, high = COVERAGE_LIMITS
        c = figures["coverage"]
        width = "as it should" if low <= c <= high else "less than it should" if c < low else "more than it should: wider than needed"
        text = f"force_error of atoms: covers {_share(c)}{_between(figures, 'coverage')} of the errors (aim 90 %), {width}; "
        out.append(text + _rank_words(figures) + ".")
    return out


def _bar_sentence(figures, title):
    coverage, ratio = figures["coverage_90"], figures["mean_error_over_std"]
    if coverage is None:
        return ""
    low, high = MIN_COVERAGE, COVERAGE_LIMITS[1]
    width = "too narrow" if coverage < low else "about right" if coverage <= high else "wider than needed"
    if coverage >= low and ratio is not None and ratio < NARROW_RATIO:
        width = "safe, but at least twice as wide as the errors need"
    text = f"{title}: the 90 % interval of the POPS bars covers {_share(coverage)}{_between(figures, 'coverage_90')} of the labels: "
    outside = figures["envelope_violation"]
    text += f"{width}; {_share(outside)} lie outside the {figures['n_members']}-member bounds; "
    if figures.get("calibrated"):
        mine = figures["calibrated"]
        text += f"the calibrated bar covers {_share(mine['coverage'])} (aim {100 * mine['level']:.0f} %); "
    if figures.get("n_not_certifiable"):
        text += f"{figures['n_not_certifiable']} of {figures['n']} rows are below the leverage floor and not certifiable; "
    return text + _rank_words(figures) + "."


def _rank_words(figures):
    mine, other = figures["spearman"], figures["baselines"][FORCE_NORM]["spearman"]
    if mine is None or other is None:
        return f"no comparison of the order of errors with {FORCE_NORM} is possible"
    low, high = (figures.get("interval") or {}).get("spearman") or (mine, mine)
    if low <= 0.0 <= high and mine <= other + 0.02:
        return f"it does not rank the errors (Spearman {mine:.2f}; |F_predicted| alone {other:.2f})"
    words = "better than" if mine > other + 0.02 else "worse than" if mine < other - 0.02 else "as well as"
    return f"it ranks errors {words} |F_predicted| alone (Spearman {mine:.2f} against {other:.2f}; the {CONSTANT} bar ranks nothing)"


def _between(figures, name):
    found = (figures.get("interval") or {}).get(name)
    return f" ({_share(found[0])} to {_share(found[1])})" if found else ""


def _share(value):
    return f"{100.0 * value:.1f} %"
