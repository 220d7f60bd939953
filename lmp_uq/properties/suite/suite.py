# SPDX-License-Identifier: GPL-2.0-or-later
"""A suite: the small YAML file that says which properties are wanted, of which references, and what is ranked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lmp_uq.errors import UqError
from lmp_uq.files import existing_file
from lmp_uq.properties.kinds.registry import class_of
from lmp_uq.properties.property import Option
from lmp_uq.properties.suite.rankings import SMALLEST

TOP = ("properties", "rankings")
ENTRY = ("kind", "name", "reference", "source")
"""What every entry may say beside the options of its kind."""
TYPES = {str: "a text, in quotes if it looks like a number", int: "a whole number", float: "a finite number"}
"""Types of options in words."""


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
    try:
        content = yaml.safe_load(existing_file(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UqError(f"{path}: is no YAML file: {' '.join(str(error).split())}") from error
    content = _mapping(content, path, TOP)
    listed = content.get("properties")
    if not isinstance(listed, list) or not listed:
        raise UqError(f"{path}: properties is {_shown(listed)}; accepted: a list with one entry or more")
    entries = tuple(_entry(one, f"{path}: property {k + 1}", Path(path).parent) for k, one in enumerate(listed))
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UqError(f"{path}: two properties are called {twice[0]!r}; give one of them another name")
    rankings = content.get("rankings") or []
    if not isinstance(rankings, list):
        raise UqError(f"{path}: rankings is {_shown(rankings)}; accepted: a list")
    return Suite(entries, tuple(_ranking(one, f"{path}: ranking {k + 1}", names) for k, one in enumerate(rankings)))


def _entry(content, where, folder):
    content = _mapping(content, where)
    kind = content.get("kind")
    if not isinstance(kind, str):
        raise UqError(f"{where}: kind is {_shown(kind)}; accepted: the kind of a property, as phase")
    try:
        known = class_of(kind).OPTIONS
    except UqError as error:
        raise UqError(f"{where}: {error}") from error
    _mapping(content, where, (*ENTRY, *known))
    options = {name: _option(content.get(name, option.default), option, f"{where}: {name}") for name, option in known.items()}
    said = [str(content[name]) for name in known if name in content and known[name].type is str]
    name = content.get("name", " ".join([kind, *said]))
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise UqError(f"{where}: name is {_shown(name)}; accepted: a text on one line")
    reference = _mapping(content.get("reference") or {}, f"{where}: reference")
    numbers = {quantity: _reference(value, f"{where}: reference {quantity}") for quantity, value in reference.items()}
    options = {key: _seen_from(folder, key, value) for key, value in options.items()}
    return Entry(kind, name, options, numbers, str(content.get("source", "")))


def _number(value) -> float | None:
    """A finite number, also one that YAML takes for text, as 1e-3; None for all else."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _reference(value, where):
    number = _number(value)
    if number is None:
        raise UqError(f"{where} is {_shown(value)}; accepted: a number")
    return number


def _option(value, option: Option, where):
    """The value of an option, of its type."""
    if value is None:
        raise UqError(f"{where} is missing" + f"; accepted: {', '.join(option.words)}" * bool(option.words))
    if option.type is float and _number(value) is not None:
        value = _number(value)
    wrong = not isinstance(value, option.type) or (isinstance(value, bool) and option.type is not bool)
    if wrong or (option.type is float and _number(value) is None):
        raise UqError(f"{where} is {_shown(value)}; accepted: {option.type.__name__}, {TYPES[option.type]}")
    if option.words and value not in option.words:
        raise UqError(f"{where} is {_shown(value)}; accepted: {', '.join(option.words)}")
    return value


def _seen_from(folder, key, value):
    """Paths of files are seen from the suite's folder: inputs, and structures with a dot in their name."""
    is_path = key == "input" or (key in ("structure", "relative_to") and isinstance(value, str) and "." in value)
    return str(folder / value) if is_path and value else value


def _ranking(content, where, names):
    content = _mapping(content, where, ("quantity", "of"))
    quantity, of = content.get("quantity"), content.get("of") or []
    if not isinstance(quantity, str):
        raise UqError(f"{where}: quantity is {_shown(quantity)}; accepted: the name of a quantity, as formation_energy")
    if not isinstance(of, list) or any(name not in names for name in of):
        raise UqError(f"{where}: of is {_shown(of)}; accepted: names of properties of this suite: {', '.join(names)}")
    if len(set(of or names)) < SMALLEST:
        raise UqError(f"{where}: properties in it: {len(set(of or names))}; accepted: {SMALLEST} or more")
    return Ranking(quantity, tuple(of))


def _mapping(content, where, keys=None) -> Mapping[str, Any]:
    if not isinstance(content, dict) or any(not isinstance(key, str) for key in content):
        raise UqError(f"{where}: {_shown(content)}; accepted: keys and values" + f", keys {', '.join(keys)}" * bool(keys))
    foreign = [key for key in content if keys is not None and key not in keys]
    if foreign:
        raise UqError(f"{where}: key {foreign[0]!r}; accepted: {', '.join(keys)}")
    return content


def _shown(value):
    text = " ".join(repr(value).split())
    return "missing" if value is None else text if len(text) <= 60 else f"{text[:57]}..."
