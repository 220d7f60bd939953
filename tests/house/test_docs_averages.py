# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of fix uq/average says what the fix accepts, and its commands are accepted; in test_docs style commands have no inputs."""

from __future__ import annotations

import re

import pytest
from test_docs import DOCS, accepted_words, lammps_commands, read, sources_of, words_missing

SOURCE = sources_of("fix_uq_average")
KEYWORDS = set(re.findall(r'"(\w+)"', re.search(r"KEYWORDS = \{([^}]+)\}", SOURCE).group(1)))
CHOICES = set(re.search(r"unknown ave \{\} \(accepted: ([^)]+)\)", SOURCE).group(1).split(", "))
NEEDED = set(re.findall(r"needs: (\w+) \w", SOURCE))


def faults(words: list[str]) -> set[str]:
    """Of the words behind Nfreq: what the fix would refuse, and what it would miss."""
    n_inputs = next((k for k, word in enumerate(words) if not re.match(r"[cfv]_.", word)), len(words))
    given = dict(zip(words[n_inputs::2], words[n_inputs + 1 :: 2], strict=True))
    missing = (NEEDED - given.keys()) | (set() if n_inputs else {"input"})
    return missing | (given.keys() - KEYWORDS) | ({given.get("ave", "running")} - CHOICES)


def keyword_rows(text: str) -> set[str]:
    """Keywords that have a row in the table of the page."""
    return set(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", text, re.M))


def defaults(text: str) -> dict[str, str]:
    return dict(re.findall(r"`(\w+)` = `(\w+)`", text.split("## Default")[1]))


def test_words_are_found():
    assert {"uq", "temp", "file", "ave", "append"} == KEYWORDS and {"running", "one"} == CHOICES and {"uq", "temp"} == NEEDED
    assert accepted_words(SOURCE) >= KEYWORDS | CHOICES


def test_every_keyword_has_a_row():
    text = read(DOCS / "fix_uq_average.md")
    assert keyword_rows(text) == KEYWORDS and not words_missing(text, KEYWORDS | CHOICES)
    assert keyword_rows(text.replace("| `append` |", "| `add` |")) == KEYWORDS - {"append"} | {"add"}


def test_defaults_are_those_of_the_code():
    header = re.search(r"bool running = (\w+), append = (\w+);", read(DOCS.parent / "csrc" / "lammps" / "fix_uq_average.h"))
    assert header.groups() == ("true", "false")
    assert defaults(read(DOCS / "fix_uq_average.md")) == {"ave": "running", "append": "no"}


COMMANDS = [words for _, words in lammps_commands() if words[0] == "fix" and words[3] == "uq/average"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_in_the_pages_are_accepted(words):
    assert not faults(words[7:])


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("c_a v_b[2] uq u temp 300 files f ave window", {"files", "window"}),
        ("c_a f_b[*] uq u append no", {"temp"}),
        ("uq u temp 300", {"input"}),
    ],
)
def test_planted_errors_are_seen(command, expected):
    assert COMMANDS and faults(command.split()) == expected
