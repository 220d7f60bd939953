# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of properties, as lines of text and as Markdown."""

from __future__ import annotations

import io
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq.files import atomic_file
from lmp_uq.properties.property import PropertyResult
from lmp_uq.properties.suite.results import as_dict
from lmp_uq.recipes.propagate import Propagated
from lmp_uq.report.text import Column, printable, table, wrap

DPI = 110

LONGEST_NAME = 100
"""Characters of a figure's file name, before its ending."""

COLUMNS = (
    Column("", "value", ("value",), "", "of the mean, Theta*"),
    Column("", "std", ("std",), "", "root mean square distance of the members from the value"),
    Column("", "lower", ("lower",), "", "smallest of the members; by first order the one expected of as many"),
    Column("", "upper", ("upper",), "", "largest of the members"),
    Column("members", "with", ("n",), "d", "members that have a value"),
    Column("members", "without", ("failed",), "d", "members that have none: the reasons stand below"),
    Column("members", "odd", ("odd",), "d", "members of another minimum as far as can be told, or that only symmetry holds: see below"),
    Column("", "reference", ("reference",), "", "what the suite gives"),
    Column("error", "/ std", ("error_over_std",), ".2f", "(value - reference) / std"),
    Column("in", "bounds", ("inside",), "d", "1: the reference lies within the bounds, 0: it does not"),
    Column("", "s", ("seconds",), ".1f", "wall time of the method for the whole property, the mean and its grid not counted"),
)


def figures_of(result: PropertyResult) -> dict:
    """The figures of a result, by the paths of `COLUMNS`; those of the property's own format as text."""
    out: dict[str, Any] = {"seconds": result.seconds}
    for name in ("value", "std", "lower", "upper", "reference"):
        value = getattr(result, name)
        out[name] = None if value is None else _Text(value, result.form)
    if result.members is not None:
        there = int(np.isfinite(result.members).sum())
        out |= {"n": there, "failed": len(result.members) - there, "odd": result.odd}
    if result.reference is not None:
        out["inside"] = int(bool(result.inside))
        out["error_over_std"] = (result.value - result.reference) / result.std if result.std else float("nan")
    return out


class _Text(float):
    """A number with a format of its own."""

    form: str

    def __new__(cls, value, form):
        """The number, which `format` with an empty form writes in its own."""
        made = super().__new__(cls, value)
        made.form = form
        return made

    def __format__(self, form):
        return format(float(self), form or self.form)


def row_name(result: PropertyResult) -> str:
    """Property, quantity with unit, method."""
    unit = f" ({result.unit})" if result.unit else ""
    return f"{result.property}: {result.quantity}{unit}, {result.method}"


def describe(results: list[PropertyResult], rankings: list[dict]) -> str:
    """All results as text: a table, then what is odd, then the rankings."""
    lines, shown = [], [c for c in COLUMNS if c.head not in ("s", "odd")]
    for name, method in dict.fromkeys((r.property, r.method) for r in results):
        mine = [r for r in results if (r.property, r.method) == (name, method)]
        title = f"{printable(name)}: {method}, {mine[0].seconds:.1f} s"
        title += f", {mine[0].evaluations:.1f} evaluations of each member" * bool(mine[0].evaluations)
        rows = [(f"{r.quantity}, {r.unit}" if r.unit else r.quantity, figures_of(r)) for r in mine]
        known = any(r.reference is not None for r in mine)
        columns = [c for c in shown if known or c.path[0] not in ("reference", "error_over_std", "inside")]
        lines += [title, *table("", columns, rows), ""]
    for text, names in _by_text(results).items():
        lines += wrap(f"{text}: {', '.join(names)}")
    lines += [line for ranking in rankings for line in ["", *wrap("ranking by " + describe_ranking(ranking))]]
    return "\n".join(lines)


def describe_ranking(ranking: dict) -> str:
    """One sentence on a ranking."""
    values = ranking["spearman"]
    text = f"{ranking['quantity']} of {len(ranking['of'])} properties: Spearman correlation of mean and member "
    if len(values):
        text += f"{np.mean(values):.2f}, std {np.std(values):.2f}, {np.min(values):.2f} to {np.max(values):.2f} over {len(values)} members"
    else:
        text += "has no member with all values"
    text += f" ({ranking['n_incomplete']} lack a value)" if ranking["n_incomplete"] else ""
    return text + (f"; of mean and references {ranking['spearman_reference']:.2f}" if "spearman_reference" in ranking else "")


def markdown(results: list[PropertyResult], rankings: list[dict], images: list[str], title: str, problems: dict[str, str]) -> str:
    """The same as a page, with the figures; problems: name to reason of what has no result."""
    heads = [f"{c.over} {c.head}".strip() for c in COLUMNS]
    lines = [f"# {printable(title)}", "", "| property | " + " | ".join(heads) + " |", "|:--|" + "--:|" * len(heads)]
    for result in results:
        cells = " | ".join(column.text(figures_of(result)) for column in COLUMNS)
        lines.append(f"| {printable(row_name(result)).replace('|', '/')} | {cells} |")
    lines += ["", *(f"* {head}: {column.meaning}" for head, column in zip(heads, COLUMNS, strict=True)), ""]
    lines += [f"* {text}: {', '.join(names)}" for text, names in _by_text(results).items()]
    lines += [f"* no result: {printable(name)}: {printable(text)}" for name, text in problems.items()]
    lines += ["", *(f"* {describe_ranking(ranking)}" for ranking in rankings), ""]
    return "\n".join([*lines, *(f"![{name}]({name})" for name in images)]) + "\n"


def _by_text(results):
    """Reasons and flags, each with the properties and methods it is about: with how many members, or with which quantities."""
    out: dict[str, dict] = {}
    for result in results:
        for text, n_members in [*result.failures.items(), *result.flags.items()]:
            where = out.setdefault(printable(text), {})
            where.setdefault((result.property, result.method), (n_members, []))[1].append(result.quantity)
    every = Counter((r.property, r.method) for r in results)
    return {text: [_place(key, said, every[key]) for key, said in where.items()] for text, where in out.items()}


def _place(key, said, n_quantities):
    count, quantities = said
    name = f"{printable(key[0])} {key[1]}"
    if count:
        return f"{name} ({count})"
    return name if len(quantities) == n_quantities else f"{name} ({', '.join(quantities)})"


def write_results(folder: str | Path, found: Propagated, command: str) -> None:
    """Write results.json, report.md and the figures, each whole or not at all."""
    from lmp_uq.report.files import write_json
    from lmp_uq.report.plots.properties import draw_property, draw_ranking
    from lmp_uq.report.properties import markdown

    folder = Path(folder)
    images: dict[str, Any] = {}
    for name in dict.fromkeys(result.property for result in found.results):
        figure = draw_property([r for r in found.results if r.property == name], found.curves.get(name))
        images[_file_name(name, images)] = figure
    for ranking in found.rankings:
        images[_file_name(f"ranking {ranking['quantity']}", images)] = draw_ranking(ranking)
    for name, content in {name: _png(figure) for name, figure in images.items()}.items():
        with atomic_file(folder / name) as target:
            target.write(content)
    listed = [as_dict(result) for result in found.results]
    write_json(
        folder / "results.json",
        {
            "command": command,
            "results": listed,
            "problems": found.problems,
            "rankings": found.rankings,
            "mean_seconds": found.mean_seconds,
        },
    )
    with atomic_file(folder / "report.md") as target:
        target.write(markdown(found.results, found.rankings, list(images), found.title, found.problems).encode())


def _png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _file_name(name, taken):
    """Of a figure; other than those of names that differ in signs only."""
    plain = "".join(c if c.isalnum() else "_" for c in name)[:LONGEST_NAME]
    names = (f"{plain}{'_' * bool(k)}{k or ''}.png" for k in count())
    return next(one for one in names if one not in taken)
