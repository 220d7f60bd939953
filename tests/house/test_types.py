# SPDX-License-Identifier: GPL-2.0-or-later
"""Public functions say what they take and what they give; that it is true is mypy's to find."""

from __future__ import annotations

import ast

from test_docs import ROOT

ASIDE = ("cli", "modelfile")
"""Rooms of the words of the command line and of the reader's records."""
FILES = [path for path in (ROOT / "lmp_uq").rglob("*.py") if path.relative_to(ROOT / "lmp_uq").parts[0] not in ASIDE]


def public_functions(node, name=""):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child, f"{name}{child.name}.")
        elif isinstance(child, ast.FunctionDef) and (not child.name.startswith("_") or child.name == "__init__"):
            yield f"{name}{child.name}", child


def lacking(text):
    """Public functions without the type of an argument or of the result."""
    for name, function in public_functions(ast.parse(text)):
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        untyped = [one.arg for one in arguments if one.annotation is None and one.arg not in ("self", "cls")]
        if untyped or (function.returns is None and function.name != "__init__"):
            yield name


def test_public_functions_are_annotated():
    assert not {str(path): found for path in FILES if (found := list(lacking(path.read_text())))}


def test_a_function_without_is_found():
    text = "def f(x: int): pass\nclass A:\n    def g(self, y) -> int: pass\n    def h(self) -> int: pass\n    def _i(self): pass\n"
    assert list(lacking(text)) == ["f", "A.g"]
