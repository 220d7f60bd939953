# SPDX-License-Identifier: GPL-2.0-or-later
"""The potential beneath a linear one: pair styles of LAMMPS whose energies, forces and virials are taken off the labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ase.data import atomic_numbers

from lmp_uq import _native
from lmp_uq.errors import UqError, piece

REFERENCE_WORDS = re.compile(r"[A-Za-z0-9 _./*+-]+")
PAIR_STYLES = _native.pair_styles()
"""Those that a model file may name: formulas of LAMMPS itself that run no code of a file or of another program, need no long-range solver
and have no sub-styles."""


@dataclass(frozen=True)
class ReferencePotential:
    """Pair styles beneath a linear potential.

    Attributes
    ----------
    styles, coefficients : tuple of str
        What follows ``pair_style hybrid/overlay`` and ``pair_coeff``, one text for each line.
    """

    styles: tuple[str, ...] = ()
    coefficients: tuple[str, ...] = ()

    @classmethod
    def of(cls, styles: Sequence[str], coefficients: Sequence[str], elements: Sequence[str]) -> ReferencePotential:
        """What a user says of it; coefficients of zbl are made from the elements if none are given.

        Raises
        ------
        UqError
            What is not a pair style with plain words.
        """
        made = cls(tuple(styles), tuple(coefficients) or tuple(_zbl_coefficients(styles, elements)))
        made.check()
        return made

    def header(self) -> dict:
        """For the header key backbone.architecture.reference."""
        return {"styles": list(self.styles), "coefficients": list(self.coefficients)}

    @classmethod
    def from_header(cls, entry: Mapping) -> ReferencePotential:
        """Inverse of `header`; UqError for a potential that may not be run."""
        made = cls(tuple(entry["styles"]), tuple(entry["coefficients"]))
        made.check()
        return made

    def pair_lines_alone(self, cutoff: float) -> list[str]:
        """Lines that define it, with a pair style zero that holds the cutoff of the descriptors (Angstrom)."""
        return self.pair_lines_beneath(f"zero {1.001 * cutoff!r}", "")

    def pair_lines_beneath(self, style: str, coefficients: str) -> list[str]:
        """Lines that define a pair style with it beneath.

        Parameters
        ----------
        style : str
            What follows ``pair_style``.
        coefficients : str
            What follows ``pair_coeff * *``.
        """
        if not self.styles:
            return [f"pair_style {style}", f"pair_coeff * * {coefficients}".strip()]
        lines = [f"pair_style hybrid/overlay {style} {' '.join(self.styles)}", f"pair_coeff * * {style.split()[0]} {coefficients}".strip()]
        return lines + [f"pair_coeff {text}" for text in self.coefficients]

    def check(self) -> None:
        """UqError unless these are lines of words that a pair style of LAMMPS, and nothing else, reads."""
        for text in (*self.styles, *self.coefficients):
            if not REFERENCE_WORDS.fullmatch(text) or not text.split():
                accepted = "words of letters, digits and _./*+-, one line for each text"
                raise UqError(f"reference potential {piece(repr(text))}; accepted: {accepted}")
        names = [text.split()[0] for text in self.styles]
        for name in names:
            if name not in PAIR_STYLES:
                raise UqError(f"reference potential {piece(name)}; accepted: the pair styles {', '.join(PAIR_STYLES)}")
        for text in self.coefficients:
            words = text.split()
            if len(words) < 3 or words[2] not in names:
                accepted = f"type type style ..., with style one of {piece(' '.join(names) or 'none')}"
                raise UqError(f"reference coefficients {piece(repr(text))}; accepted: {accepted}")


NO_REFERENCE = ReferencePotential()


def _zbl_coefficients(styles, elements):
    """pair_coeff texts of a reference of zbl; none for others, which need none or say so."""
    if [text.split()[0] for text in styles if text.split()] != ["zbl"]:
        return []
    numbers = [atomic_numbers[e] for e in elements]
    pairs = [(i, j) for i in range(len(elements)) for j in range(i, len(elements))]
    return [f"{i + 1} {j + 1} zbl {numbers[i]} {numbers[j]}" for i, j in pairs]
