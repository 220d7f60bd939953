# SPDX-License-Identifier: GPL-2.0-or-later
"""What compute uq/ensemble refuses: one sentence that says what was found and what is accepted, the same on every rank."""

from __future__ import annotations

import pytest
from ensemble_cases import PAIR, overlay
from lammps_cases import PLAIN, crystal

TWO = overlay("morse", "lj/cut", off=("lj/cut",))
OF_TWO = "compute e all uq/ensemble 1 morse 1 lj/cut"
RANKS = pytest.mark.parametrize("n", [1, 2])
BOX = ("region b block 0 9 0 9 0 9", "create_box 1 b", "mass 1 28", "create_atoms 1 single 1 1 1", "create_atoms 1 single 3 1 1")
STYLES = ("pair_style hybrid/overlay morse 3.4 lj/cut 5.5", *TWO.splitlines()[1:])


def anew(*head, pair=STYLES):
    """A system of two atoms of one type in other units or of another style."""
    return ("clear", *head, *BOX, *pair)


WORDS = [
    ("compute e all uq/ensemble 1 mace/uq", "needs two models or more, found 1"),
    ("compute e all uq/ensemble V U", "needs two models or more, found 0"),
    ("compute e all uq/ensemble 0 mace/uq 1 morse", "the weight of mace/uq is 0 (accepted: a number above 0)"),
    ("compute e all uq/ensemble 1 mace/uq -0.5 morse", "the weight of morse is -0.5"),
    ("compute e all uq/ensemble 1 mace/uq 1", "the weight 1 has no model behind it"),
    ("compute e all uq/ensemble W 1 mace/uq 1 morse", "W is neither a field nor a weight (accepted: V, U, forces"),
    ("compute e all uq/ensemble 1 mace/uq 1 morse+", "an empty word is no sub-style"),
    ("compute e all uq/ensemble 1 mace/uq 1 morse:0", "morse:0 is no sub-style (accepted: a name, or name:n"),
    ("compute e all uq/ensemble 1 mace/uq 1 :1", ":1 is no sub-style"),
]


@RANKS
@pytest.mark.parametrize("command, text", WORDS, ids=[text for _, text in WORDS])
def test_words(n, command, text, lammps):
    assert text in lammps.fails(crystal(), command, pair=PAIR, n=n)


MODELS = [
    ("1 mace/uq 1 eam", "there is no sub-style eam in pair_style hybrid/overlay"),
    ("1 mace/uq 1 hybrid/overlay", "there is no sub-style"),
    ("1 mace/uq 1 morse:2", "there is no sub-style morse:2, the pair_style has 1 of that name"),
    ("1 mace/uq 1 morse+morse:1", "model morse+morse:1 has sub-style morse:1 twice"),
    ("1 morse 1 mace/uq", "the first model is morse, the run computes mace/uq (accepted: the model that runs first"),
    ("1 mace/uq+morse 1 lj/cut", "the first model is mace/uq+morse, the run computes mace/uq"),
]


@RANKS
@pytest.mark.parametrize("words, text", MODELS, ids=[words for words, _ in MODELS])
def test_models(n, words, text, lammps):
    assert text in lammps.fails(crystal(), f"compute e all uq/ensemble {words}", "run 0", pair=PAIR, n=n)


def test_lists_of_sub_styles(lammps):
    """Sub-styles that have no number, that the run computes, that are not those of an overlay, or lack a type."""
    atoms, ask = crystal(), ("compute e all uq/ensemble 1 mace/uq 1 morse", "run 0")
    several = overlay("mace/uq", "morse:1", "morse:2", off=("morse:1", "morse:2"))
    assert "there are 2 sub-styles morse (accepted: morse:1 to morse:2)" in lammps.fails(atoms, *ask, pair=several)
    both = overlay("mace/uq", "morse")
    assert "the first model is mace/uq, the run computes mace/uq+morse" in lammps.fails(atoms, *ask, pair=both)
    assert "found pair_style mace/uq (accepted: pair_style hybrid/overlay" in lammps.fails(atoms, *ask)
    scaled = both.replace("hybrid/overlay mace/uq", "hybrid/scaled 0.5 mace/uq 0.5", 1)
    assert "found pair_style hybrid/scaled" in lammps.fails(atoms, *ask, pair=scaled)
    lacking = PAIR.replace("pair_coeff * * morse", "pair_coeff 1 1 morse")
    assert "model morse has no pair_coeff for atom type 2, which mace/uq has" in lammps.fails(atoms, *ask, pair=lacking)


QEQ = ("shell echo 1 6.0 10.0 1.0 0.0 0.0 > param.qeq", "fix q all qeq/point 1 10.0 1.0e-6 200 param.qeq")
LONG = ("pair_style hybrid/overlay morse 3.4 coul/long 3.4 lj/cut 5.5", "pair_coeff * * morse 0.1 1.5 2.1", "pair_coeff * * coul/long",
        "pair_coeff * * lj/cut 0.02 2.0", "pair_modify pair lj/cut compute no", "kspace_style ewald 1e-4", "set atom 1 charge 1",
        "set atom 2 charge -1")  # fmt: skip
CHARGED = ("units metal", "atom_style charge")
OMP = tuple(line.replace("lj/cut", "lj/cut/omp") for line in STYLES)
RUNS = [
    (anew("units real"), OF_TWO, "needs units metal (eV, Angstrom, ps), found units real"),
    (anew("units metal", "newton off"), OF_TWO, "needs newton pair on, found newton pair off"),
    (anew("units metal"), OF_TWO + "\nrun_style respa 2 1 pair 2", "found run_style respa"),
    (anew("units metal", "package omp 1", pair=OMP), OF_TWO + "/omp", "a style of model lj/cut/omp is of package GPU, INTEL or OPENMP"),
    (anew("units metal", "atom_style dipole"), OF_TWO, "found atom_style dipole, whose pair styles may add to more than forces"),
    (anew(*CHARGED, pair=LONG), "compute e all uq/ensemble 1 morse+coul/long 1 lj/cut", "found kspace_style ewald"),
    (anew(*CHARGED), "\n".join((*QEQ, OF_TWO)), "found fix q (qeq/point): charges are made for the model that runs"),
    (anew("units metal"), "compute t all force/tally all\n" + OF_TWO, "found compute t (force/tally), which would count the pairs"),
    (anew("units metal"), OF_TWO + "\nunfix e_UQ_FORCES", "its fix e_UQ_FORCES has been deleted: define the compute again"),
]


@pytest.mark.parametrize("system, lines, text", RUNS, ids=[text for *_, text in RUNS])
def test_runs(system, lines, text, lammps):
    assert text in lammps.fails(crystal(), *system, *lines.splitlines(), "run 0")


def test_bonds(lammps):
    bonds = [line.replace("create_box 1 b", "create_box 1 b bond/types 1 extra/bond/per/atom 1 extra/special/per/atom 1")
             for line in anew("units metal", "atom_style bond")]  # fmt: skip
    bonded = ("bond_style harmonic", "bond_coeff 1 1.0 2.0", "create_bonds single/bond 1 1 2", "special_bonds lj/coul 1 1 1")
    assert "found 1 bonds: the special_bonds of a sub-style" in lammps.fails(crystal(), *bonds, *bonded, OF_TWO, "run 0")
    lammps.run(crystal(), *bonds, OF_TWO, "thermo_style custom step c_e", "run 0")


def test_the_fixes_behind_it_are_not_for_users(lammps):
    assert "Fix UQ/FORCES belongs to the computes of lmp-uq" in lammps.fails(crystal(), "fix f all UQ/FORCES 1")


def test_a_partner_whose_force_is_no_number(lammps):
    """Two atoms so close that the twelfth power of their distance is not."""
    atoms = crystal()
    atoms.positions[:2] = [[0.0, 0.0, 0.0], [1e-40, 0.0, 0.0]]
    ask = (OF_TWO, "thermo_style custom step c_e", "run 0")
    assert "the force of lj/cut on atom 1 is not a finite number" in lammps.fails(atoms, *ask, pair=TWO)


def test_the_words_of_other_commands_still_stand(lammps):
    assert "needs pair style mace/uq, defined before it" in lammps.fails(crystal(), "compute a all uq/atom grade", pair=TWO)
    lammps.run(crystal(), "compute a all uq/atom grade pair 1", pair=PLAIN)
