# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of a linear potential on the columns of any per-atom compute of LAMMPS: from a *.compute file, in the header of a model file.

Such a file has a keyword and its words on each line:

    elements     Ta                          in the order of LAMMPS' atom types
    cutoff       5.0                         Angstrom, the largest distance of a neighbour
    descriptors  pod/atom Ta.pod "" Ta       what follows `compute ID all`: a style that ends in /atom, with a column for each descriptor
    gradient     podd/atom Ta.pod "" Ta      their derivatives, as compute snad/atom or podd/atom gives them; may be left out
    virial       ...                         as compute snav/atom gives them; may be left out
    file         Ta.pod                      a text that these lines name, beside this file; kept in the model file
    pair         pod                         the pair style that runs the potential; may be left out
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from lmp_uq.backbone.linear import pod
from lmp_uq.backbone.linear.reference import NO_REFERENCE, ReferencePotential
from lmp_uq.errors import UqError

ROLES = ("descriptors", "gradient", "virial")
COMPUTE_WORDS = re.compile(r'[A-Za-z0-9_/]+/atom( (""|[A-Za-z0-9_.*+-]+))*')
"""How LAMMPS names computes that give numbers of atoms, and do nothing else; and words without a path, so that they read only files of the
model file's own."""
COMPUTE_ACCEPTED = 'a compute style that ends in /atom and its words, of letters, digits and _.*+-, or ""'
PAIR = re.compile(r"[A-Za-z0-9_/]*")
FILE_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,99}")
LARGEST_FILES = 2_000_000
"""Bytes of all texts that are kept in the model file, as they stand in its header, whose length is limited."""
KEYWORDS = ("elements", "cutoff", *ROLES, "file", "pair")


@dataclass(frozen=True)
class ComputeSettings:
    """Everything that decides about the descriptors of a potential and about what is beneath it.

    Attributes
    ----------
    elements : tuple of str
        In the order of LAMMPS' atom types.
    cutoff : float
        Angstrom.
    computes : dict
        `ROLES` to what follows ``compute ID all``; empty for none.
    files : dict
        Names in those words to texts.
    pair : str
        Pair style that runs the potential; empty if none is known.
    n_per_element : int
        Columns of the descriptors.
    reference : ReferencePotential
    """

    elements: tuple[str, ...]
    cutoff: float
    computes: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    pair: str = ""
    n_per_element: int = 1
    reference: ReferencePotential = NO_REFERENCE

    @property
    def compute_styles(self) -> tuple[str, ...]:
        """Computes of LAMMPS that give its rows."""
        return tuple(words.split()[0] for words in self.computes.values() if words)

    def header(self) -> dict:
        """For the header key backbone.architecture."""
        return {"cutoff": self.cutoff, "computes": dict(self.computes), "files": dict(self.files), "pair": self.pair,
                "reference": self.reference.header()}  # fmt: skip

    @classmethod
    def from_header(cls, architecture: Mapping, elements: Sequence[str], n_per_element: int) -> ComputeSettings:
        """Inverse of `header`, of a file that has passed its checks; UqError for a reference, or words of pod, that may not be run."""
        reference = ReferencePotential.from_header(architecture["reference"])
        computes = {role: architecture["computes"][role] for role in ROLES}
        made = cls(tuple(elements), architecture["cutoff"], computes, dict(architecture["files"]), architecture["pair"], n_per_element,
                   reference)  # fmt: skip
        pod.check(made, "the model file")
        return made

    def words(self, role: str, folder: str = "") -> str:
        """What follows ``compute ID all``; files that the words name are in a folder."""
        found = self.computes[role].split()
        return " ".join(f"{folder}/{word}" if folder and word in self.files else word for word in found)

    def potential_files(self, theta: np.ndarray, note: str) -> dict[str, str]:
        """Texts of the potential with Theta (P + Z,), by suffix: those of its pair style, or a table where we write none of it."""
        if pod.is_written(self):
            return pod.potential_files(self, theta, note)
        blocks = theta[: -len(self.elements)].reshape(len(self.elements), -1)
        lines = [note, "# element, descriptor (0: constant), coefficient in eV"]
        for element, constant, block in zip(self.elements, theta[-len(self.elements) :], blocks, strict=True):
            lines += [f"{element} {k} {value:.17g}" for k, value in enumerate([constant, *block])]
        return {"coefficients": "\n".join(lines) + "\n"}

    def pair_lines(self, prefix: str = "") -> list[str]:
        """Lines that define the pair style: the reference and, if given, the potential with the files of that prefix.

        Raises
        ------
        UqError
            A prefix, and a pair style of which no files can be written.
        """
        if not prefix:
            return self.reference.pair_lines_alone(self.cutoff)
        if not pod.is_written(self):
            raise UqError(f"pair style {self.pair or 'of this potential'}: its files cannot be written; accepted: pod without environments")
        return self.reference.pair_lines_beneath("pod", f"{prefix}.pod {prefix}.podcoeff {' '.join(self.elements)}")

    def compute_lines(self, prefix: str) -> list[str]:
        """The computes whose columns compute uq/linear takes, as an input has them beside the files of that prefix."""
        names = {"descriptors": "b", "gradient": "db", "virial": "sv"}
        given = {role: words for role, words in self.computes.items() if words}
        exported = {self.computes["descriptors"].split()[1]: f"{prefix}.pod"} if pod.is_written(self) else {}
        lines = [" ".join(exported.get(word, word) for word in words.split()) for words in given.values()]
        return [f"compute {names[role]} all {line}" for role, line in zip(given, lines, strict=True)]


def read_compute_settings(path: str, reference: Sequence[str] = (), coefficients: Sequence[str] = ()) -> ComputeSettings:
    """Settings of a *.compute file (see the module), without the number of columns, which LAMMPS knows.

    Parameters
    ----------
    path : str
    reference, coefficients : sequence of str
        As in `ReferencePotential.of`.

    Raises
    ------
    UqError
        No such file, an unknown or missing keyword, words that no compute takes, a file that is not there.
    """
    given, files = {}, {}
    for line in _text_of(path).splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        keyword, value = words[0], " ".join(words[1:])
        if keyword not in KEYWORDS or not value or keyword in given:
            raise UqError(f"{path}: line '{line.strip()}'; accepted: a keyword and its words, once each: {', '.join(KEYWORDS)}")
        if keyword == "file":
            files[value] = _kept_file(path, value)
        else:
            given[keyword] = value
    size = len(json.dumps(json.dumps(files)))
    if size > LARGEST_FILES:
        raise UqError(f"{path}: its files take {size} bytes of a model file's header; accepted: at most {LARGEST_FILES}")
    made = _settings(path, given, files)
    return replace(made, reference=ReferencePotential.of(reference, coefficients, made.elements))


def _settings(path, given, files):
    for keyword in ("elements", "cutoff", "descriptors"):
        if keyword not in given:
            raise UqError(f"{path}: {keyword} is missing; a *.compute file must hold elements, cutoff and descriptors")
    elements = tuple(given["elements"].split())
    if len(set(elements)) != len(elements) or not all(atomic_numbers.get(e) for e in elements):
        raise UqError(f"{path}: elements {given['elements']}; accepted: distinct chemical symbols, in the order of LAMMPS' atom types")
    try:
        cutoff = float(given["cutoff"])
    except ValueError:
        cutoff = math.nan
    if not 0.0 < cutoff < math.inf:
        raise UqError(f"{path}: cutoff is {given['cutoff']}; accepted: a number above 0, in Angstrom")
    computes = {role: given.get(role, "") for role in ROLES}
    for role, words in computes.items():
        if words and not COMPUTE_WORDS.fullmatch(words):
            raise UqError(f"{path}: {role} is {words!r}; accepted: {COMPUTE_ACCEPTED}")
        for word in words.split()[1:]:
            if word not in (*elements, *files) and any((folder / word).is_file() for folder in (Path(path).parent, Path())):
                raise UqError(f"{path}: {role} names the file {word}; accepted: with a line 'file {word}', so that the model file keeps it")
    pair = given.get("pair", "")
    if not PAIR.fullmatch(pair):
        raise UqError(f"{path}: pair is {pair!r}; accepted: the name of one pair style")
    made = ComputeSettings(elements, cutoff, computes, files, pair)
    pod.check(made, path)
    return made


def _kept_file(path, name):
    if not FILE_NAME.fullmatch(name):
        raise UqError(f"{path}: file {name!r}; accepted: the name of a file beside it, of letters, digits and _.+-")
    return _text_of(Path(path).parent / name)


def _text_of(path):
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # some editors begin a text with a mark of its encoding
    except (OSError, UnicodeDecodeError) as error:
        raise UqError(f"{path}: cannot be read as text: {error}") from error
