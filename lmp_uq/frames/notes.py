# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user should hear of the labels of a file: counted over its frames, one line for each thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lmp_uq.errors import label_keys

ZERO_STRESS, WEIGHT_ZERO, UNUSED, UNLABELLED, ISOLATED = "zero stress", "weight 0", "unused", "unlabelled", "isolated"
REPLACED = "replaced"
LABELS_OF = "ensemble_labels_of"
"""Entry of the comment line of a frame whose labels `lmp-uq ensemble` took from a model: its name."""
LABELS_U = "ensemble_U"
"""Entry of the U of a frame, eV/Angstrom: how far the models disagree about its forces."""


class Note(NamedTuple):
    """One thing about one frame; kind: energy, forces, stress or virials; name: what the file calls it."""

    what: str
    kind: str = ""
    name: str = ""


def options_for(labels: Iterable[tuple[str, str]]) -> str:
    """The arguments that ask for labels, given as (kind, name); of several names of a kind one can be asked for."""
    names: dict[str, list[str]] = {}
    for kind, name in labels:
        names.setdefault(kind, []).append(name)
    return label_keys(names) if names else ""


class Notes:
    """Notes on the frames of one file."""

    def __init__(self) -> None:
        self._counts: Counter[Note] = Counter()
        self._first: dict[str, int] = {}

    def add(self, notes: Iterable[Note], frame: int) -> None:
        """Count what there is to say of a frame."""
        for note in notes:
            self._counts[note] += 1
            self._first.setdefault(note.what, frame)

    def lines(self, n_frames: int) -> list[str]:
        """One sentence for each thing that was found in a file of so many frames."""
        found = {what: [(note, n) for note, n in self._counts.items() if note.what == what] for what in self._first}
        return [self._line(what, mine, n_frames) for what, mine in found.items()]

    def _line(self, what: str, found: Sequence[tuple[Note, int]], n_frames: int) -> str:
        n, of, first = sum(count for _, count in found), f"of {n_frames} frames", f"(the first is frame {self._first[what]})"
        if what == ZERO_STRESS:
            return f"the stress of {n} frames is exactly zero and taken for missing"
        if what == ISOLATED:
            return f"{n} {of} are left out: isolated atoms, without a neighbour within the cutoff {first}"
        if what == REPLACED:
            return f"the labels of {n} {of} are those of a model, not of a reference {first}"
        if what == UNLABELLED:
            return f"{n} {of} are left out: all their labels have weight 0 or are a stress of zeros {first}"
        if what == WEIGHT_ZERO:
            return f"labels of weight 0, which are not read, {of}: {', '.join(f'{note.kind} of {count}' for note, count in found)}"
        seen = ", ".join(f"{note.name} of {count}" for note, count in found)
        options = options_for((note.kind, note.name) for note, _ in found)
        return f"labels that were seen and are not used, {of}: {seen}; to ask for them: {options}"
