# SPDX-License-Identifier: GPL-2.0-or-later
"""Calculators that a factory of the user's environment makes, ``MODULE:FACTORY`` or ``MODULE:FACTORY(...)``; arguments are not executed."""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
from typing import Any, NamedTuple

from lmp_uq.errors import UqError, piece

ACCEPTED = "MODULE:FACTORY, or MODULE:FACTORY(...) with literal arguments"


class Factory(NamedTuple):
    """Of ``module:name(*positional, **keywords)``."""

    module: str
    name: str
    positional: list[Any]
    keywords: dict[str, Any]


def parse_factory(text: str, called: str) -> Factory:
    """The parts of a text.

    Parameters
    ----------
    text : str
    called : str
        What messages call it.

    Raises
    ------
    UqError
        Another form; an argument that is no literal.
    """
    module, _, call = text.partition(":")
    try:
        tree = ast.parse(call.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        tree = None
    arguments: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    if isinstance(tree, ast.Call):
        arguments, keywords = tree.args, tree.keywords
        tree = tree.func
    if tree is None or not _is_dotted(tree) or not all(part.isidentifier() for part in module.split(".")):
        raise UqError(f"{called} names no factory of a calculator; accepted: {ACCEPTED}")
    try:
        values = [ast.literal_eval(one) for one in arguments]
        options = {_keyword(one): ast.literal_eval(one.value) for one in keywords}
    except (ValueError, TypeError, SyntaxError):
        accepted = "numbers, texts, True, None, and lists or dicts of them"
        raise UqError(f"{called} has an argument that is no literal; accepted: {accepted}") from None
    return Factory(module, ast.unparse(tree), values, options)


def make_calculator(factory: Factory, called: str) -> Any:
    """The calculator; what the code of somebody else prints goes to standard error.

    Raises
    ------
    UqError
        No such module or factory, a factory that fails, or gives no calculator of ASE.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found: Any = importlib.import_module(factory.module)
            for part in factory.name.split("."):
                found = getattr(found, part)
            made = found(*factory.positional, **factory.keywords)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:  # also SystemExit, which some packages raise for a model that is not there
        raise UqError(f"{called}: makes no calculator: {said(failure)}") from failure
    if not callable(getattr(made, "get_forces", None)):
        raise UqError(f"{called}: gives a {type(made).__name__}; accepted: an ASE calculator")
    return made


def said(failure: BaseException) -> str:
    """Kind and text of an exception, in one line."""
    return f"{type(failure).__name__}: {piece(' '.join(str(failure).split()))}"


def _keyword(one: ast.keyword) -> str:
    if one.arg is None:  # **something
        raise ValueError
    return one.arg


def _is_dotted(tree: ast.expr) -> bool:
    """Whether an expression is a name, or an attribute of one."""
    return isinstance(tree, ast.Name) or (isinstance(tree, ast.Attribute) and _is_dotted(tree.value))
