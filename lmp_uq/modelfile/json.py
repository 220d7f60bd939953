# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON as a model file has it: strict when it is read, compact when it is written."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 100
"""Arrays and objects of JSON inside one another."""


def strict_json(text: str | bytes) -> Any:
    """Parse JSON in UTF-8 that repeats no key, holds no NaN, infinity or lone surrogate and is at most MAX_DEPTH deep.

    csrc/base/json.h reads the same texts and says the same of the others.

    Raises
    ------
    ValueError
        Whatever is wrong with the text.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key is given twice")
        return table

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is not a JSON number")

    try:
        # not left to json.loads, which would read UTF-16 too
        text = text.decode() if isinstance(text, bytes) else text
        value = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
        _check_nesting(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8 text") from None
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character (a lone surrogate)") from None
    return value


def _check_nesting(value: Any) -> None:
    """RecursionError for what is too deep, UnicodeEncodeError for a lone surrogate."""
    layer = [value]
    for depth in range(MAX_DEPTH + 1):
        for one in layer:
            if isinstance(one, str):
                one.encode()
            elif depth == MAX_DEPTH and isinstance(one, dict | list):
                raise RecursionError
        tables, arrays = ([one for one in layer if isinstance(one, kind)] for kind in (dict, list))
        layer = [part for table in tables for pair in table.items() for part in pair] + [item for array in arrays for item in array]


def compact_json(value: Any) -> str:
    """Serialise to the one text that equal values always give: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
