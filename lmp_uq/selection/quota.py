# SPDX-License-Identifier: GPL-2.0-or-later
"""How many frames may be chosen at most of an element and of a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from lmp_uq.errors import UqError, argument


class Quota:
    """Shares that fill up as frames are chosen.

    Parameters
    ----------
    elements, groups : mapping of name to most frames
        Those that are not named have no limit.
    """

    def __init__(self, elements: Mapping[str, int], groups: Mapping[str, int]) -> None:
        self._limits = {"quota": dict(elements), "group_quota": dict(groups)}
        self._taken = {name: Counter[str]() for name in self._limits}

    def check(self, elements: Collection[str], groups: Collection[str]) -> None:
        """Refuse a quota of what does not occur in the pool.

        Raises
        ------
        UqError
        """
        for (name, limits), there, what in zip(self._limits.items(), (elements, groups), ("element", "group"), strict=True):
            for word in limits:
                if word not in there:
                    raise UqError(f"{argument(name)} {word}: there is no such {what} in the pool; accepted: {', '.join(sorted(there))}")

    def allows(self, element: str, group: str) -> bool:
        """Whether one more frame of these may be chosen."""
        words = {"quota": element, "group_quota": group}
        return all(self._taken[name][word] < self._limits[name].get(word, self._taken[name][word] + 1) for name, word in words.items())

    def take(self, element: str, group: str) -> None:
        """Count a frame that was chosen."""
        self._taken["quota"][element] += 1
        self._taken["group_quota"][group] += 1

    @property
    def full(self) -> list[str]:
        """Names whose share is full."""
        return [word for name, limits in self._limits.items() for word, most in limits.items() if self._taken[name][word] >= most]
