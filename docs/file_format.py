# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the tables of docs/file_format.md from the specification by which the reader of model files goes: python docs/file_format.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lmp_uq import _native

PAGE = Path(__file__).with_suffix(".md")
PLACE = re.compile(r"(<!-- specification: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Markdown of each table, by its place: key of a block, with its form where it has one, "header", or "tensors"."""
    specification = json.loads(_native.specification())
    found = {}
    for block in specification["blocks"]:
        place = ", ".join(filter(None, [block["key"] or "header", block["form"]]))
        found[place] = _table(("key", "accepted", "unit", "meaning"), block["entries"])
    return found | {"tensors": _table(("name", "shape", "dtype", "unit", "meaning"), specification["tensors"])}


def page(text: str) -> str:
    """The page with its tables as they ought to be; ValueError if one has no place, or a place no table."""
    known = tables()
    places = [name for _, name, _ in PLACE.findall(text)]
    if sorted(places) != sorted(known):
        raise ValueError(f"places: found {sorted(places)}, expected {sorted(known)}")
    return PLACE.sub(lambda match: match[1] + known[match[2]] + match[3], text)


def _table(columns, entries):
    quoted = ("key", "name", "dtype")
    used = [column for column in columns if any(entry[column] for entry in entries)]
    rows = [[f"`{entry[c]}`" if c in quoted and entry[c] != "any" else entry[c] for c in used] for entry in entries]
    lines = ["| " + " | ".join(row) + " |" for row in [used, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(used), *lines[1:]]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
