# SPDX-License-Identifier: GPL-2.0-or-later
"""Members of a P-readout in LAMMPS: those of Python, of finite differences of their energies, of any number of ranks, and the hand-over."""

from __future__ import annotations

import numpy as np
import pytest
from force_members import EV_PER_CUBIC_ANGSTROM
from lammps_cases import PLAIN, VOIGT, assert_equal, crystal, with_engine
from p_readout_example import ReadoutMembers, with_readout

from lmp_uq.model import Model

FIELDS = ("force_std", "force_std_x", "force_std_y", "force_std_z")
ASK = f"""compute uq all uq/atom {" ".join(FIELDS)} grade
compute tot all uq stress_std members
thermo_style custom step temp pe press c_tot[*]"""
SNAPSHOT = (ASK, "run 0", "#snapshot end")
STRESS, ENERGIES = slice(0, 6), slice(6, None)
EDGES = {"known": 1e3, "mixed": None, "new": 1e-3}
"""Which grade has become 1: no atom is beyond it, some are, or all."""


@pytest.fixture(scope="module")
def files(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("readout")
    with_readout(models.full, folder / "plain.uq")
    grades = ReadoutMembers(folder / "plain.uq", crystal(tilt=True), "native").grades
    middle = float(np.sort(grades)[len(grades) // 2])  # an atom whose grade becomes 1 but for rounding
    return {name: with_readout(models.full, folder / f"{name}.uq", edge=edge or 1.000001 * middle) for name, edge in EDGES.items()}


def pair_of(path, words=""):
    return PLAIN.replace("mace/uq", f"mace/uq {words}", 1).replace("{model}", str(path))


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("where", EDGES)
def test_bars_and_members_are_those_of_python(where, engine, files, lammps):
    atoms = crystal(tilt=True)
    found = lammps.state(atoms, *SNAPSHOT, pair=pair_of(files[where], f"engine {engine} force_members 5"))
    python = ReadoutMembers(files[where], atoms, engine)
    beyond = python.grades > 1.0
    assert {"known": not beyond.any(), "mixed": beyond.any() and not beyond.all(), "new": beyond.all()}[where]
    assert_equal("force_std", found["uq"][:, :4], python.force_std(5), relative=1e-9)
    assert_equal("stress_std", found["tot"][STRESS], python.stress_std(5, atoms.cell.volume), relative=1e-9)
    if where == "known":
        assert_equal("members", found["tot"][ENERGIES], python.learned_energies[:64], relative=1e-11)
    else:
        assert not np.allclose(found["tot"][ENERGIES], python.learned_energies[:64], rtol=1e-9)
