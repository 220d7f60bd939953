# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of options in the pages of the verbs, made of the parsers: ``python docs/options.py`` (make docs) writes them anew."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmp_uq import cli
from lmp_uq.cli.parser import Parser, default_text

DOCS = Path(__file__).resolve().parent
BEGIN = "<!-- options: written by docs/options.py from the help of the verb -->"
END = "<!-- end of options -->"


def verbs() -> dict[str, Parser]:
    """Names to parsers of all verbs."""
    return cli._parser().verbs()


def options_of(parser: Parser) -> list[argparse.Action]:
    """The options that a user may give, in the order of the help."""
    return [action for action in parser._actions if action.option_strings and action.dest != "help"]


def table(parser: Parser) -> str:
    """The table: option, default, meaning."""
    rows = [(_usage(a), default_text(a), _meaning(a)) for a in options_of(parser)]
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def with_table(text: str, parser: Parser) -> str:
    """A page with its table made anew; ValueError for a page without the two marks."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"\n{END}")
    if not begin or not end:
        raise ValueError(f"a page without the lines {BEGIN} and {END}")
    return before + begin + table(parser) + end + after


def _usage(action):
    name = action.metavar or action.dest.upper()
    values = {None: name, "+": f"{name} [{name} ...]", 0: ""}[action.nargs] if not isinstance(name, tuple) else " ".join(name)
    return f"`{' '.join([action.option_strings[-1], values]).strip()}`"


def _meaning(action):
    also = "".join(f". Also `{short}`" for short in action.option_strings[:-1])
    return (action.markdown + also).replace("|", "\\|")


def main() -> None:
    """Write the pages of all verbs that have options."""
    for verb, parser in verbs().items():
        if options_of(parser):
            page = DOCS / f"{verb}.md"
            page.write_text(with_table(page.read_text(encoding="utf-8"), parser), encoding="utf-8")


if __name__ == "__main__":
    main()
