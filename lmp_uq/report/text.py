# SPDX-License-Identifier: GPL-2.0-or-later
"""Text tables of at most 100 columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

WIDTH = 100
INDENT = 13

NamedFigures = Sequence[tuple[str, Mapping[str, Any]]]


class Column(NamedTuple):
    """One figure of a table.

    over, head: the two lines of its heading; path: keys that lead to the figure; form: its format; meaning:
    one line that defines it.
    """

    over: str
    head: str
    path: tuple[str, ...]
    form: str
    meaning: str

    def text(self, figures: Mapping[str, Any]) -> str:
        """The figure as text; '-' where there is none."""
        value: Any = figures
        for key in self.path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return number(value, self.form)


def number(value: Any, form: str) -> str:
    """A number as text: '-' for None and NaN, an exponent where fixed decimals would be long."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.number):
        return "-"
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if form == "d":
        return str(int(value))
    return format(value, ".0e" if form.endswith("f") and abs(float(value)) >= 1000.0 else form).rstrip(".")


def printable(value: Any) -> str:
    """Text on one line that cannot steer a terminal: names come from other people's files."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(value).split()))


def table(title: str, columns: Sequence[Column], rows: NamedFigures) -> list[str]:
    """Lines of a table within `WIDTH`, names first; of long names a part is left out, one by which they do not differ if there is one."""
    cells = [[column.text(figures) for column in columns] for _, figures in rows]
    widths = [max(len(text) for text in (c.head, *(row[k] for row in cells))) for k, c in enumerate(columns)]
    gaps = [1 if k and c.over and c.over == columns[k - 1].over else 2 for k, c in enumerate(columns)]
    over = _over(columns, widths, gaps)
    names = [printable(name) for name, _ in rows]
    first = min(max(map(len, [title, *names])), max(WIDTH - sum(widths) - sum(gaps), 8))
    heads = [c.head for c in columns]
    lines = [" " * first + over] if over.strip() else []
    for name, row in zip([title, *_shortened(names, first)], [heads, *cells], strict=True):
        line = "".join(" " * g + f"{text:>{w}}" for g, text, w in zip(gaps, row, widths, strict=True))
        lines.append(f"{name:{first}}{line}")
    return [line.rstrip() for line in lines]


def wrap(text: str) -> list[str]:
    """Lines of one paragraph."""
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)


def item(text: str) -> list[str]:
    """Lines of one item of a list, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="    ", break_on_hyphens=False)


def entry(label: str, text: Any) -> list[str]:
    """Lines 'label   text', the text in a column of its own."""
    lines = textwrap.wrap(printable(text), WIDTH - INDENT, break_on_hyphens=False)
    return [f"{label if k == 0 else '':{INDENT}}{line}" for k, line in enumerate(lines)] or [label]


def _over(columns, widths, gaps):
    """Upper line of the heading; widens the last column of a group that is narrower than its text."""
    line, start = "", 0
    for k, column in enumerate(columns):
        if k + 1 < len(columns) and column.over and columns[k + 1].over == column.over:
            continue
        width = sum(widths[start : k + 1]) + sum(gaps[start + 1 : k + 1])
        widths[k] += max(len(column.over) - width, 0)
        width = max(width, len(column.over))
        line += " " * gaps[start] + f"{column.over:{'>' if k == start else '^'}{width}}"
        start = k + 1
    return line


def _shortened(names, width):
    """Names of at most that width, cut where they stay different from each other: in the middle if that will do."""
    if all(len(name) <= width for name in names):
        return names
    middle = (width - 1) // 2
    cuts = sorted(range(2, width - 1), key=lambda start: abs(start - middle))
    tried = [[_cut(name, start, width) for name in names] for start in cuts]
    return max(tried, key=lambda found: len(set(found)))  # of equals the first


def _cut(name, start, width):
    end = width - 2 - start
    return name if len(name) <= width else f"{name[:start]}..{name[len(name) - end:]}"
