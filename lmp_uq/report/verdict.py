# SPDX-License-Identifier: GPL-2.0-or-later
"""What the figures of a validation say, in sentences: the headline, the verdict, and where the bars fall short."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.metrics.sharpness import IN_BAND
from lmp_uq.quantities import FORCES, QUANTITIES, by_key
from lmp_uq.report.rows import element_rows, group_rows
from lmp_uq.report.text import number, printable
from lmp_uq.validation.atoms import FORCE_STD
from lmp_uq.validation.samples import CONSTANT, FORCE_NORM

MIN_COVERAGE = IN_BAND[0]
"""Coverage of the 90 % interval of posterior bars below which they are called too narrow."""
MAX_EXCESS_VIOLATION = 0.10
"""Share of labels outside K-member bounds, beyond the 2 / (K + 1) of exchangeable members, that needs a comment."""
NARROW_RATIO = 0.4
"""mean |err|/std below which bars are called about twice too wide."""
MIN_LABELS = 20
"""Labels of a group below which a share is no reason for a sentence."""
MUCH_BETTER = 0.1
"""Rank correlation inside groups by which another score must lead before the model's error is called systematic."""


def headline(result: Mapping[str, Any]) -> str:
    """Model, hash and frames in one sentence."""
    text = f"{printable(result['model'])} (sha256 {result['sha256'][:12]}) on {result['n_frames']} frames"
    if result["in_sample"]:
        text += "; frames that shaped the file were accepted: these figures flatter it"
    return text


def groups_sentence(result: Mapping[str, Any]) -> str:
    """The headline of force_error: how many groups it covers, and how wide it is; empty without such a bar or group."""
    found = result.get(FORCES.bar, {}).get("by_group")
    if not found or not found["n_groups"]:
        return ""
    width, loss = number(found["width_over_oracle"], "#.3g"), number(found["pinball"], "#.3g")
    return (
        f"{FORCES.bar} covers {counts_text(found)}; over the groups its median is {width} times the best constant bar there, and its "
        f"pinball loss {loss} times (geometric means)."
    )


def counts_text(found: Mapping[str, Any]) -> str:
    """How many groups a bar covers as it should, as the rest of a sentence."""
    n, low, high = found["n_groups"], *IN_BAND
    return (
        f"{low:g} to {high:g} of the errors in {found['in_band']} of {n} group{'s' * (n != 1)} (aim: 0.90), less in {found['below']}, "
        f"more in {found['above']}"
    )


def warnings_of(result: Mapping[str, Any]) -> list[str]:
    """One sentence for each way in which the bars fall short."""
    starts = {quantity.key: f"{quantity.title}: the bars rank" for quantity in QUANTITIES}
    starts[FORCES.bar] = f"{FORCES.bar} ranks"
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
    return out + _systematic_warnings(result) + _coverage_warnings(result)


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
        bad = [(name, f[figure]) for name, f in groups if is_bad(f[figure], _n_bars(f))] if len(groups) > 1 else []
        where = f" (groups: {_named(bad)})" if bad else ""
        if value is not None and is_bad(value, _n_bars(result[key])):
            out.append(f"{title}: {text.format(f'{value:.3f}')}{where}.")
        elif bad:
            out.append(f"{title}: overall {text.format(f'{value:.3f}').split(':')[0]}, but some groups are worse{where}.")
    return out


def _named(pairs):
    """All of the names with their figures, from small to large: none is left to be guessed."""
    return "; ".join(f"{printable(name)} {value:.3f}" for name, value in sorted(pairs, key=lambda pair: pair[1]))


def _n_bars(figures):
    return figures["n"] - figures["n_without_bar"]


def _noise(share, n):
    """Three standard errors of a share of n labels: no sentence for what chance alone does."""
    return 3.0 * (share * (1.0 - share) / max(n, 1)) ** 0.5


def _systematic_warnings(result):
    """Other scores that know the order of the errors much better inside groups."""
    figures = result.get(FORCES.bar, {})
    mine = figures.get("by_group", {}).get("spearman")
    if mine is None:
        return []
    others = {name: figures["baselines"].get(name, {}).get("by_group", {}).get("spearman") for name in (FORCE_STD, FORCE_NORM)}
    better = [f"{name} ({value:.2f})" for name, value in others.items() if value is not None and value > mine + MUCH_BETTER]
    if not better:
        return []
    return [
        f"Inside groups {' and '.join(better)} rank{'s' * (len(better) == 1)} the force errors much better than {FORCES.bar} does "
        f"(Spearman {mine:.2f}): the model's error is systematic, as under another level of theory, or the calibration groups are of other "
        "kinds; the optional variable is the force of the mean correction: lmp-uq calibrate on frames like these takes it where it pays."
    ]


def _coverage_warnings(result):
    if FORCES.bar not in result:
        return []
    low, high = IN_BAND
    overall = result[FORCES.bar]["coverage"]
    out = []
    if overall is not None and not low <= overall <= high:
        out.append(f"{FORCES.bar} covers {overall:.3f} of the errors, outside {low} to {high} (aim: 0.90).")
    parts = {"group": group_rows(result, FORCES.bar)[1:], "element": element_rows(result, FORCES.bar)}
    for what, rows in parts.items():
        known = [(name, f["coverage"]) for name, f in rows if f["coverage"] is not None]
        if len(rows) < 2:
            continue
        for words, wrong in (
            (f"less than {low}", [pair for pair in known if pair[1] < low]),
            (f"more than {high}", [pair for pair in known if pair[1] > high]),
        ):
            if wrong:
                out.append(f"By {what}, {FORCES.bar} covers {words} of the errors in {_named(wrong)}.")
    return out


def verdict(result: Mapping[str, Any]) -> list[str]:
    """The headline, and a sentence per quantity in plain words: does it cover, how wide is it, does it rank better than |F_predicted|."""
    out = [s for s in (groups_sentence(result), *(_bar_sentence(result[q.key], q.title) for q in by_key(result))) if s]
    figures = result.get(FORCES.bar)
    if figures and figures["coverage"] is not None:
        low, high = IN_BAND
        c = figures["coverage"]
        width = "as it should" if low <= c <= high else "less than it should" if c < low else "more than it should: wider than needed"
        text = f"{FORCES.bar} of atoms: covers {_share(c)}{_between(figures, 'coverage')} of the errors (aim 90 %), {width}; "
        out.append(text + _rank_words(figures) + ".")
    return out


def _bar_sentence(figures, title):
    coverage, ratio = figures["coverage_90"], figures["mean_error_over_std"]
    if coverage is None:
        return ""
    low, high = MIN_COVERAGE, IN_BAND[1]
    width = "too narrow" if coverage < low else "about right" if coverage <= high else "wider than needed"
    if coverage >= low and ratio is not None and ratio < NARROW_RATIO:
        width = "safe, but at least twice as wide as the errors need"
    text = f"{title}: the 90 % interval of the POPS bars covers {_share(coverage)}{_between(figures, 'coverage_90')} of the labels: "
    outside = figures["envelope_violation"]
    text += f"{width}; {_share(outside)} lie outside the {figures['n_members']}-member bounds; "
    if figures.get("calibrated") and figures["calibrated"]["coverage"] is not None:
        mine = figures["calibrated"]
        text += f"the calibrated bar covers {_share(mine['coverage'])} (aim {100 * mine['level']:.0f} %); "
    if figures.get("n_not_certifiable"):
        text += f"{figures['n_not_certifiable']} of {figures['n']} rows are below the leverage floor and not certifiable; "
    return text + _rank_words(figures) + "."


def _rank_words(figures):
    mine, other = figures["spearman"], figures["baselines"].get(FORCE_NORM, {}).get("spearman")
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
