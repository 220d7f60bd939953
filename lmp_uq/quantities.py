# SPDX-License-Identifier: GPL-2.0-or-later
"""Energy, forces and stress: what each is called, what its rows are, in which units it stands, and which bar is calibrated for it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantity:
    """A kind of label.

    Attributes
    ----------
    row : int
        Kind of its rows in `lmp_uq.rows.rows.Rows`; also the column of its weight in `lmp_uq.frames.frame.Frame`.
    label : str
        Name of the label: of options, of counts and weights in a model file.
    key : str
        Name of what is judged: of results and of their figures.
    title : str
        Heading of tables and plots.
    unit : str
        Of what is judged.
    row_unit : str
        Of its rows and of the bar that is calibrated on them.
    bar : str
        Name of its calibrated bar in a model file.
    components : tuple of str
        Components of one label, in the order of the rows.
    """

    row: int
    label: str
    key: str
    title: str
    unit: str
    row_unit: str
    bar: str
    components: tuple[str, ...]

    @property
    def plotted_unit(self) -> str:
        """The unit with the letters of a figure."""
        return self.unit.replace("Angstrom", "Å").replace("^3", "³")

    @property
    def bar_unit(self) -> str:
        """What the calibrated bar is of, and in which unit."""
        return self.row_unit if self.row_unit == self.unit else f"virial, {self.row_unit}"


ENERGY = Quantity(0, "energy", "energy_per_atom", "Energy per atom", "eV/atom", "eV/atom", "energy_error", ("",))
FORCES = Quantity(1, "forces", "forces", "Force components", "eV/Angstrom", "eV/Angstrom", "force_error", ("x", "y", "z"))
STRESS = Quantity(
    2, "stress", "stress", "Stress components", "eV/Angstrom^3", "eV/atom", "stress_error", ("xx", "yy", "zz", "xy", "xz", "yz")
)
QUANTITIES = (ENERGY, FORCES, STRESS)
"""By kind of row."""
SCALED = (ENERGY, STRESS)
"""Whose calibrated bar is the std of the posterior times a factor or, of energies, a function of the mean grade; that of forces is a model
of its own, per atom."""
FORCE_ROWS = 24
"""Force components of a frame that become rows, drawn at random, where each costs a pass through the model and rows are enough."""
LABELS = tuple(quantity.label for quantity in QUANTITIES)


def by_key(found: Container[str]) -> list[Quantity]:
    """The quantities whose key is in found, a mapping or other container."""
    return [quantity for quantity in QUANTITIES if quantity.key in found]
