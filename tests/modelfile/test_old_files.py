# SPDX-License-Identifier: GPL-2.0-or-later
"""Model files of earlier versions run as they did: data/VERSION.uq was made by that version, a fit of the tests' tiny Si-O model."""

from __future__ import annotations

from pathlib import Path

import pytest
from lammps_cases import crystal

from lmp_uq.calculator import UqCalculator

FILE = Path(__file__).parents[1] / "data" / "0.1.0.uq"
VALUES = {
    "energy": -100.39122539696473,
    "energy_std": 1.4998092661241234,
    "energy_error": 1.7517020291747905,
    "forces": 11.844088372788196,
    "grade": 1.1807257751623517,
    "force_error": 2.0117210308650626,
    "forces_std": 0.6209721920959894,
}
"""What 0.1.0 gave for these atoms: totals in eV, and the largest entry of arrays, eV/Angstrom."""


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_values_are_those_of_the_version_that_made_the_file(engine):
    atoms = crystal((2, 1, 1), rattle=0.2, seed=5)
    atoms.calc = UqCalculator(str(FILE), engine=engine)
    for name, expected in VALUES.items():
        found = atoms.calc.get_property(name, atoms)
        assert abs(found).max() == pytest.approx(abs(expected), rel=1e-7), name
