# SPDX-License-Identifier: GPL-2.0-or-later
"""A suite: the small YAML file that says which properties are wanted, of which references, and what is ranked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmp_uq.errors import UqError
from lmp_uq.properties.kinds.registry import class_of
from lmp_uq.properties.suite.rankings import SMALLEST
from lmp_uq.yaml_file import checked, mapping, number_of, read_yaml, shown

TOP = ("properties", "rankings")
ENTRY = ("kind", "name", "reference", "source")
"""What every entry may say beside the options of its kind."""


@dataclass(frozen=True)
class Entry:
    """One property of a suite: kind, name, checked options, references by quantity, and where these come from."""

    kind: str
    name: str
    options: dict[str, Any]
    reference: dict[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Ranking:
    """Entries that are ordered by one of their quantities."""

    quantity: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """Entries in their order, and rankings."""

    entries: tuple[Entry, ...]
    rankings: tuple[Ranking, ...]


def read_suite(path: str) -> Suite:
    """Read a suite.

    Paths of inputs and structures in it are those seen from the suite's folder.

    Raises
    ------
    UqError
        No such file, no YAML, an unknown key or kind, an option of the wrong type, two entries of one name, a ranking of nothing.
    """
    content = mapping(read_yaml(path), path, TOP)
    listed = content.get("properties")
    if not isinstance(listed, list) or not listed:
        raise UqError(f"{path}: properties is {shown(listed)}; accepted: a list with one entry or more")
    entries = tuple(_entry(one, f"{path}: property {k + 1}", Path(path).parent) for k, one in enumerate(listed))
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UqError(f"{path}: two properties are called {twice[0]!r}; give one of them another name")
    rankings = content.get("rankings") or []
    if not isinstance(rankings, list):
        raise UqError(f"{path}: rankings is {shown(rankings)}; accepted: a list")
    return Suite(entries, tuple(_ranking(one, f"{path}: ranking {k + 1}", names) for k, one in enumerate(rankings)))


def _entry(content, where, folder):
    content = mapping(content, where)
    kind = content.get("kind")
    if not isinstance(kind, str):
        raise UqError(f"{where}: kind is {shown(kind)}; accepted: the kind of a property, as phase")
    try:
        known = class_of(kind).OPTIONS
    except UqError as error:
        raise UqError(f"{where}: {error}") from error
    mapping(content, where, (*ENTRY, *known))
    options = {name: checked(content.get(name, option.default), option, f"{where}: {name}") for name, option in known.items()}
    said = [str(content[name]) for name in known if name in content and known[name].type is str]
    name = content.get("name", " ".join([kind, *said]))
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise UqError(f"{where}: name is {shown(name)}; accepted: a text on one line")
    reference = mapping(content.get("reference") or {}, f"{where}: reference")
    numbers = {quantity: _reference(value, f"{where}: reference {quantity}") for quantity, value in reference.items()}
    options = {key: _seen_from(folder, key, value) for key, value in options.items()}
    return Entry(kind, name, options, numbers, str(content.get("source", "")))


def _reference(value, where):
    number = number_of(value)
    if number is None:
        raise UqError(f"{where} is {shown(value)}; accepted: a number")
    return number


def _seen_from(folder, key, value):
    """Paths of files are seen from the suite's folder: inputs, and structures with a dot in their name."""
    is_path = key == "input" or (key in ("structure", "relative_to") and isinstance(value, str) and "." in value)
    return str(folder / value) if is_path and value else value


def _ranking(content, where, names):
    content = mapping(content, where, ("quantity", "of"))
    quantity, of = content.get("quantity"), content.get("of") or []
    if not isinstance(quantity, str):
        raise UqError(f"{where}: quantity is {shown(quantity)}; accepted: the name of a quantity, as formation_energy")
    if not isinstance(of, list) or any(name not in names for name in of):
        raise UqError(f"{where}: of is {shown(of)}; accepted: names of properties of this suite: {', '.join(names)}")
    if len(set(of or names)) < SMALLEST:
        raise UqError(f"{where}: properties in it: {len(set(of or names))}; accepted: {SMALLEST} or more")
    return Ranking(quantity, tuple(of))
