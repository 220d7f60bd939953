# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables of observables, one line for each frame."""

from __future__ import annotations

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.files import existing_file


def read_table(path: str, n_frames: int) -> tuple[list[str], np.ndarray]:
    """Names and (n_frames, columns) values of a text table: a line of names, which may begin with #, then a line for each frame.

    Raises
    ------
    UqError
        Names the line: words that are no numbers, columns without a name; or another number of lines than frames.
    """
    lines = [line.lstrip("# \t").split() for line in existing_file(path).read_text(errors="replace").splitlines() if line.strip()]
    if not lines:
        raise UqError(f"{path}: holds no line; accepted: a line of names, then one of numbers for each frame")
    names, rows = lines[0], lines[1:]
    if len(rows) != n_frames:
        raise UqError(f"{path}: {len(rows)} lines below the names; accepted: one for each of the {n_frames} frames")
    values = np.empty((len(rows), len(names)))
    for k, row in enumerate(rows):
        numbers = [_number(word) for word in row]
        if len(numbers) != len(names) or None in numbers:
            raise UqError(f"{path}: line {k + 2} is {' '.join(row)!r}; accepted: {len(names)} numbers, as the names in line 1")
        values[k] = numbers
    return names, values


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
