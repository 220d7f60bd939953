# SPDX-License-Identifier: GPL-2.0-or-later
"""Small YAML files that users write: keys that are known, values of the type that a key has, messages that name both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import yaml

from lmp_uq.errors import UqError, did_you_mean
from lmp_uq.files import existing_file

TYPES = {
    str: "a text, in quotes if it looks like a number",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    list: "a list of texts",
}
"""Types of options in words."""


class Option(NamedTuple):
    """A key: its default (None: must be given), its type, the words it is one of (empty: any), a line of help."""

    default: Any
    type: type
    words: tuple[str, ...] = ()
    help: str = ""


def read_yaml(path: str) -> Any:
    """What a file holds.

    Raises
    ------
    UqError
        No such file, no YAML.
    """
    try:
        return yaml.safe_load(existing_file(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UqError(f"{path}: is no YAML file: {' '.join(str(error).split())}") from error


def mapping(content: Any, where: str, keys: Iterable[str] | None = None) -> dict[str, Any]:
    """The content, if it is keys and values; with keys, of these alone.  UqError for all else."""
    keys = None if keys is None else list(keys)
    if not isinstance(content, dict) or any(not isinstance(key, str) for key in content):
        raise UqError(f"{where}: {shown(content)}; accepted: keys and values" + f", keys {', '.join(keys or ())}" * bool(keys))
    foreign = [key for key in content if keys is not None and key not in keys]
    if foreign:
        raise UqError(f"{where}: key {foreign[0]!r}{did_you_mean(foreign[0], keys or ())}; accepted: {', '.join(keys or ())}")
    return content


def checked(value: Any, option: Option, where: str) -> Any:
    """The value of a key, of its type.  UqError for another, or for none where there must be one."""
    if value is None:
        raise UqError(f"{where} is missing" + f"; accepted: {', '.join(option.words)}" * bool(option.words))
    if option.type is float and number_of(value) is not None:
        value = number_of(value)
    wrong = not isinstance(value, option.type) or (isinstance(value, bool) and option.type is not bool)
    wrong = wrong or (option.type is list and any(not isinstance(one, str) for one in value))
    if wrong or (option.type is float and number_of(value) is None):
        raise UqError(f"{where} is {shown(value)}; accepted: {option.type.__name__}, {TYPES[option.type]}")
    if option.words and value not in option.words:
        raise UqError(f"{where} is {shown(value)}; accepted: {', '.join(option.words)}")
    return value


def number_of(value: Any) -> float | None:
    """A finite number, also one that YAML takes for text, as 1e-3; None for all else."""
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def shown(value: Any) -> str:
    """A value as messages quote it."""
    text = " ".join(repr(value).split())
    return "missing" if value is None else text if len(text) <= 60 else f"{text[:57]}..."
