# SPDX-License-Identifier: GPL-2.0-or-later
"""The one error type that users see."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import PurePath

LONGEST_PIECE = 120
"""Characters of a file's content that a message quotes; csrc/base/text.h has the same number."""


class UqError(ValueError):
    """Input that cannot be used: the message says what was found, what is accepted, and where."""


def piece(found: object) -> str:
    """What a message quotes of something that a file holds: a text, or the repr of another value; its beginning where it is long."""
    text = found if isinstance(found, str) else repr(found)
    return text if len(text) <= LONGEST_PIECE else text[:LONGEST_PIECE] + "..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)``, or nothing where no name is like the word."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


_BY_OPTIONS: ContextVar[bool] = ContextVar("lmp_uq_by_options", default=False)


@contextlib.contextmanager
def named_by_options() -> Iterator[None]:
    """Let messages name arguments as the options of the command line, which calls the same functions as Python does."""
    token = _BY_OPTIONS.set(True)
    try:
        yield
    finally:
        _BY_OPTIONS.reset(token)


def argument(name: str, *values: object) -> str:
    """What a message calls an argument of a public function, and what it was or could be given.

    Parameters
    ----------
    name : str
        Of the parameter.
    *values
        One value or none; of a list of texts all of them.

    Returns
    -------
    str
        From Python ``n_members=8``, ``in_sample=True``; within `named_by_options` the words for a shell: ``--members 8``, ``--in-sample``.
    """
    if _BY_OPTIONS.get():
        words = [str(value) for value in values if value is not True]
        return " ".join(["--" + name.removeprefix("n_").replace("_", "-"), *words])
    if not values:
        return name
    plain = [str(value) if isinstance(value, PurePath) else value for value in values]
    return f"{name}={(plain[0] if len(plain) == 1 else plain)!r}"


def label_keys(names: Mapping[str, Sequence[str]]) -> str:
    """`argument` keys, which asks for labels by their names in the files: one or more names for each kind of label."""
    if _BY_OPTIONS.get():
        return " ".join(" or ".join(f"--{kind}-key {name}" for name in found) for kind, found in names.items())
    return f"keys=dict({', '.join(f'{kind}=' + ' or '.join(map(repr, found)) for kind, found in names.items())})"


@contextlib.contextmanager
def needs_torch(what: str) -> Iterator[None]:
    """Say in one sentence that something needs packages which an installation for runs alone may lack.

    Raises
    ------
    UqError
        In the place of the error of an import of torch, mace or e3nn.
    """
    try:
        yield
    except ModuleNotFoundError as failure:
        package = (failure.name or "").partition(".")[0]
        if package not in ("torch", "mace", "e3nn"):
            raise
        raise UqError(
            f"{what} needs torch and mace-torch, and {package} is not installed; accepted: pip install torch mace-torch, or a *.uq "
            "file that the native engine runs"
        ) from failure
