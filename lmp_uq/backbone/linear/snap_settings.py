# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of a SNAP potential: from a *.snapparam file, in the header of a model file, as arguments of LAMMPS' computes and files.

A. P. Thompson et al., J. Comput. Phys. 285, 316 (2015); quadratic form: M. A. Wood, A. P. Thompson, J. Chem. Phys. 148, 241721 (2018).
One record makes all of them, because a flag that differs between them changes every energy in silence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from lmp_uq.backbone.linear.reference import NO_REFERENCE, ReferencePotential
from lmp_uq.errors import UqError, argument

DEFAULTS = {
    "rfac0": 0.99363, "rmin0": 0.0, "switchflag": 1, "bzeroflag": 1, "quadraticflag": 0,
    "chemflag": 0, "bnormflag": 0, "wselfallflag": 0, "switchinnerflag": 0,
}  # fmt: skip
"""What pair_style snap assumes where a *.snapparam file is silent (https://docs.lammps.org/pair_snap.html)."""
PARAMETERS = ("rcutfac", "twojmax", *DEFAULTS)
_WHOLE = ("twojmax", *(name for name in PARAMETERS if name.endswith("flag")))
_SPEED_ONLY = ("chunksize", "parallelthresh")
_LISTS = ("sinner", "dinner")
MAX_TWOJMAX = 20
DEFAULT_RADIUS, DEFAULT_WEIGHT = 0.5, 1.0


@dataclass(frozen=True)
class SnapSettings:
    """Everything that decides about the descriptors and the reference of a SNAP potential.

    Attributes
    ----------
    elements : tuple of str
        In the order of LAMMPS' atom types.
    parameters : dict
        `PARAMETERS` to numbers, as a *.snapparam file has them.
    radii, weights : tuple of float
        R_el and w_el of each element.
    sinner, dinner : tuple of float
        Of each element; empty unless switchinnerflag is 1.
    reference : ReferencePotential
        Beneath it.
    """

    elements: tuple[str, ...]
    parameters: dict[str, float]
    radii: tuple[float, ...]
    weights: tuple[float, ...]
    sinner: tuple[float, ...] = ()
    dinner: tuple[float, ...] = ()
    reference: ReferencePotential = NO_REFERENCE

    @property
    def n_per_element(self) -> int:
        """Descriptors of an atom, without the constant: the columns of ``compute sna/atom``."""
        return descriptors_per_element(self.parameters, len(self.elements))

    compute_styles = ("snap",)
    """Computes of LAMMPS that give its rows."""

    @property
    def cutoff(self) -> float:
        """Largest cutoff of a pair, Angstrom."""
        return 2.0 * max(self.radii) * float(self.parameters["rcutfac"])

    def compute_arguments(self) -> str:
        """Arguments of ``compute sna/atom``, ``snad/atom`` and ``snap``, all flags stated."""
        p = self.parameters
        words = [_text(p["rcutfac"]), _text(p["rfac0"]), _text(p["twojmax"]), *map(_text, self.radii), *map(_text, self.weights)]
        for name in ("rmin0", "bzeroflag", "quadraticflag", "switchflag", "bnormflag", "wselfallflag"):
            words += [name, _text(p[name])]
        if p["chemflag"]:
            words += ["chem", str(len(self.elements)), *(str(k) for k in range(len(self.elements)))]
        if p["switchinnerflag"]:
            words += ["switchinnerflag", "1", "sinner", *map(_text, self.sinner), "dinner", *map(_text, self.dinner)]
        return " ".join(words)

    def parameter_text(self) -> str:
        """Text of a *.snapparam file, all flags stated."""
        lines = [f"{name} {_text(self.parameters[name])}" for name in PARAMETERS]
        if self.parameters["switchinnerflag"]:
            lines += [f"{name} {' '.join(map(_text, getattr(self, name)))}" for name in _LISTS]
        return "\n".join(lines) + "\n"

    def potential_files(self, theta: np.ndarray, note: str) -> dict[str, str]:
        """Texts of PREFIX.snapcoeff and PREFIX.snapparam, by suffix, of the potential with Theta (P + Z,); note: their first line."""
        return {"snapcoeff": self._coefficient_text(theta, note), "snapparam": f"{note}\n{self.parameter_text()}"}

    def _coefficient_text(self, theta, note):
        """For each element its constant, then its block, with all digits."""
        n = self.n_per_element
        lines = [note, "", f"{len(self.elements)} {n + 1}"]
        for k, element in enumerate(self.elements):
            lines.append(f"{element} {self.radii[k]!r} {self.weights[k]!r}")
            constant = theta[len(self.elements) * n + k]
            lines += [f"{value:.17g}" for value in (constant, *theta[k * n : (k + 1) * n])]
        return "\n".join(lines) + "\n"

    def pair_lines(self, prefix: str = "") -> list[str]:
        """Lines that define the pair style: the reference and, if given, ``snap`` with the files of that prefix."""
        if not prefix:
            return self.reference.pair_lines_alone(self.cutoff)
        return self.reference.pair_lines_beneath("snap", f"{prefix}.snapcoeff {prefix}.snapparam {' '.join(self.elements)}")

    def compute_lines(self, prefix: str) -> list[str]:
        """The compute whose columns compute uq/linear takes, as an input has it; it names no file."""
        return [f"compute b all sna/atom {self.compute_arguments()}"]

    def header(self) -> dict:
        """For the header key backbone.architecture."""
        lists = {"radii": self.radii, "weights": self.weights}
        if self.parameters["switchinnerflag"]:
            lists |= {"sinner": self.sinner, "dinner": self.dinner}
        made = {name: list(values) for name, values in lists.items()}
        return {"parameters": dict(self.parameters), "reference": self.reference.header()} | made

    @classmethod
    def from_header(cls, architecture: Mapping, elements: Sequence[str]) -> SnapSettings:
        """Inverse of `header`, of a file that has passed its checks; UqError for a reference that may not be run."""
        lists = {name: tuple(architecture.get(name, ())) for name in ("radii", "weights", *_LISTS)}
        reference = ReferencePotential.from_header(architecture["reference"])
        return cls(tuple(elements), dict(architecture["parameters"]), **lists, reference=reference)


def descriptors_per_element(parameters: Mapping[str, float], n_elements: int) -> int:
    """Columns of ``compute sna/atom``: bispectrum components, and with quadraticflag half their products."""
    n = bispectrum_components(int(parameters["twojmax"])) * (n_elements**3 if parameters["chemflag"] else 1)
    return n + n * (n + 1) // 2 * int(parameters["quadraticflag"])


def bispectrum_components(twojmax: int) -> int:
    """Triples j1 >= j2, j >= j1 with |j1 - j2| <= j <= j1 + j2 up to twojmax, j in steps of two."""
    pairs = [(j1, j2) for j1 in range(twojmax + 1) for j2 in range(j1 + 1)]
    return sum(j >= j1 for j1, j2 in pairs for j in range(j1 - j2, min(twojmax, j1 + j2) + 1, 2))


def read_settings(path: str, elements: Sequence[str], reference: Sequence[str] = (), coefficients: Sequence[str] = ()) -> SnapSettings:
    """Settings from a *.snapparam file and what such a file does not hold.

    Parameters
    ----------
    path : str
    elements : sequence of str
        ``El`` or ``El:R:w``; a single element without numbers has R = 0.5 and w = 1.
    reference : sequence of str
        What follows ``pair_style hybrid/overlay``, as ``"zbl 4.0 4.8"``.
    coefficients : sequence of str
        What follows ``pair_coeff``, as ``"1 1 zbl 74 74"``. Those of zbl are made from the elements if none are given.

    Raises
    ------
    UqError
        No such file, an unknown keyword, a number out of range, an element without radius and weight among several, or a reference
        that is not a pair style with plain numbers.
    """
    parameters, lists = _read_parameters(path)
    names, radii, weights = _elements(elements)
    beneath = ReferencePotential.of(reference, coefficients, names)
    for name in _LISTS:
        found = lists.get(name, ())
        if parameters["switchinnerflag"] and len(found) != len(names):
            raise UqError(f"{path}: {name} has {len(found)} numbers; accepted with switchinnerflag 1: one for each of {' '.join(names)}")
    inner = {name: lists.get(name, ()) if parameters["switchinnerflag"] else () for name in _LISTS}
    return SnapSettings(names, parameters, radii, weights, **inner, reference=beneath)


def _read_parameters(path):
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UqError(f"{path}: cannot be read as a *.snapparam file: {error}") from error
    parameters, lists = dict(DEFAULTS), {}
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] in _SPEED_ONLY:
            continue
        if words[0] not in PARAMETERS + _LISTS or len(words) < 2 or (len(words) > 2 and words[0] not in _LISTS):
            accepted = ", ".join((*PARAMETERS, *_LISTS, *_SPEED_ONLY))
            raise UqError(f"{path}: line '{line.strip()}'; accepted: a keyword and its value, keywords {accepted}")
        numbers = tuple(_number(path, words[0], word) for word in words[1:])
        if words[0] in _LISTS:
            lists[words[0]] = numbers
        else:
            parameters[words[0]] = int(numbers[0]) if words[0] in _WHOLE else numbers[0]
    _check_parameters(path, parameters)
    return parameters, lists


def _number(path, name, text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    whole = name not in _WHOLE or value == int(value or 0) if math.isfinite(value) else False
    if not whole or (name.endswith("flag") and value not in (0.0, 1.0)):
        accepted = "0 or 1" if name.endswith("flag") else "a whole number" if name in _WHOLE else "a number"
        raise UqError(f"{path}: {name} is {text}; accepted: {accepted}")
    return value


def _check_parameters(path, parameters):
    for name in ("rcutfac", "twojmax"):
        if name not in parameters:
            raise UqError(f"{path}: {name} is missing; a *.snapparam file must hold rcutfac and twojmax")
    if not 0 <= parameters["twojmax"] <= MAX_TWOJMAX:
        raise UqError(f"{path}: twojmax is {parameters['twojmax']}; accepted: a whole number from 0 to {MAX_TWOJMAX}")
    if not parameters["rcutfac"] > 0:
        raise UqError(f"{path}: rcutfac is {parameters['rcutfac']:g}; accepted: above 0")


def _elements(texts):
    names, radii, weights = [], [], []
    for text in texts:
        name, *numbers = text.split(":")
        if not numbers and len(texts) == 1:
            numbers = [DEFAULT_RADIUS, DEFAULT_WEIGHT]
        try:
            radius, weight = map(float, numbers)
        except ValueError:
            radius, weight = math.nan, math.nan
        if not (atomic_numbers.get(name) and radius > 0 and math.isfinite(radius) and math.isfinite(weight)):
            accepted = "El:R:w, a chemical symbol, its radius above 0 and its weight, as W:0.5:1.0"
            raise UqError(f"{argument('elements', text)}; accepted: {accepted}")
        names.append(name)
        radii.append(radius)
        weights.append(weight)
    if not names or len(set(names)) != len(names):
        found = argument("elements", *texts) + ("" if texts else " without any")
        raise UqError(f"{found}; accepted: distinct chemical symbols")
    return tuple(names), tuple(radii), tuple(weights)


def _text(value):
    """The fewest digits that give a number back."""
    return repr(value)
