# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol of a property, and its result with bounds."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lmp_uq.yaml_file import Option as Option

EXACT, EXPANSION = "members, fixed geometry", "expansion"
"""What the values of `Property.expansion` rest on: every member exactly, or an expansion about the mean's stationary point."""


class Quantity(NamedTuple):
    """One number of a property: its name, unit (empty: dimensionless) and format."""

    name: str
    unit: str
    form: str = ".3f"


class Outcome(NamedTuple):
    """What one Theta gives: values (Q,), and short texts about what is odd in it (the same text for the same thing: they are counted)."""

    values: np.ndarray
    flags: tuple[str, ...] = ()


class Expansion(NamedTuple):
    """What K Theta give: values (K, Q) with NaN where there is none, the flags of each, and evaluations of energy and forces (K,)."""

    values: np.ndarray
    flags: list[tuple[str, ...]]
    n_evaluations: np.ndarray | None = None


class Curves(NamedTuple):
    """A property as a function, for its figure: x (n,), of the mean (n,), of members (K, n); names of x that stand for numbers."""

    x: np.ndarray
    mean: np.ndarray
    members: np.ndarray
    x_label: str
    y_label: str
    x_names: tuple[tuple[float, str], ...] = ()


class Property(ABC):
    """What a suite can ask for. A kind of property is a subclass.

    The constructor does nothing dear: all that is computed once, of the mean, is computed in `mean`, which is called first and raises
    `lmp_uq.errors.UqError` for what the user has to change and
    `lmp_uq.properties.failure.PropertyFailure` for a mean without a value.

    Attributes
    ----------
    OPTIONS : dict of str to `Option`
        What an entry of a suite may say beside ``kind``, ``name`` and ``reference``.
    name : str
        Of the entry, unique in its suite.
    quantities : list of Quantity
    expansion_rests_on : str
        `EXACT` or `EXPANSION`.
    notes : list of str
        What has to be said about the mean's property.

    Parameters
    ----------
    potential : lmp_uq.properties.potential.linear.LinearPotential
    name : str
    options : mapping
        All of OPTIONS, checked.
    """

    OPTIONS: ClassVar[dict[str, Option]] = {}
    expansion_rests_on = EXPANSION

    def __init__(self, potential: Any, name: str, options: Mapping[str, Any]) -> None:
        self.potential, self.name, self.options = potential, name, dict(options)
        self.quantities: list[Quantity] = []
        self.notes: list[str] = []

    @abstractmethod
    def mean(self) -> np.ndarray:
        """(Q,) of Theta*; keeps what the other methods start from."""

    @abstractmethod
    def member(self, theta: np.ndarray) -> Outcome:
        """The property of one Theta by brute force, starting from the mean's minimum; PropertyFailure if it has none."""

    def gradient(self) -> np.ndarray | None:
        """(Q, P) dq/dTheta at Theta*; None where there is no first-order form."""
        return None

    def expansion(self, thetas: np.ndarray) -> Expansion | None:
        """Values of all Theta (K, P) without a run for each; None where there is no such form."""
        return None

    def curves(self, thetas: np.ndarray) -> Curves | None:
        """The property as a function, if it is one, of the mean and of these Theta (K, P)."""
        return None


@dataclass
class PropertyResult:
    """One quantity of one property by one method.

    Attributes
    ----------
    property, quantity, unit, form : str
    method : {"members", "first order", "implicit"}
    value : float
        Of Theta*.
    std : float
        Root mean square distance of the members from value.
    lower, upper : float
        Smallest and largest of the members, or the expected ones where members are not drawn ("first order").
    rests_on : str
        How many members and how they were computed.
    members : ndarray (K,) or None
        NaN where a member failed.
    failures : Counter
        Reason to number of members without a value.
    flags : Counter
        Text to number of members that are odd; texts about the result itself have the count 0.
    odd : int
        Members with a value and one flag or more.
    seconds : float
        Wall time of the method, all quantities of the property together.
    evaluations : float
        Of energy and forces for one member, on average, to find its minimum and curvature; 0 where they are not counted, or there are none.
    reference : float or None
    source : str
        Of the reference.
    """

    property: str
    quantity: str
    unit: str
    form: str
    method: str
    value: float
    std: float
    lower: float
    upper: float
    rests_on: str
    members: np.ndarray | None = None
    failures: Counter = field(default_factory=Counter)
    flags: Counter = field(default_factory=Counter)
    odd: int = 0
    seconds: float = 0.0
    evaluations: float = 0.0
    reference: float | None = None
    source: str = ""

    @builtins.property  # the field of that name hides it from type checkers
    def inside(self) -> bool | None:
        """Whether the reference lies inside the bounds; None without a reference."""
        return None if self.reference is None else bool(self.lower <= self.reference <= self.upper)
