# SPDX-License-Identifier: GPL-2.0-or-later
"""Pairs that LAMMPS leaves out of the neighbour list: atoms that are out as a whole, and what message passing cannot do without."""

from __future__ import annotations

import re
from pathlib import Path

import ase.data
import ase.io
import ase.units
import numpy as np
import pytest
from lammps_cases import ASK, FIELDS, HOT, PLAIN, TORCH, assert_equal, assert_same_state, column_of, crystal

RANKS = pytest.mark.parametrize("n", [1, 2])
OUT = ("group out id 15 16", "neigh_modify exclude group out all")
THERMO = ("compute g all uq energy_std grade_max force_error_mean", "thermo 1", "thermo_modify format float %.17g")


# ---- excluded from all ----------------------------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("pair", [PLAIN, TORCH], ids=["native", "torch"])
def test_an_excluded_atom_is_as_good_as_deleted(n, pair, lammps):
    """Energy, forces, stress, fields and totals: the two atoms have neighbours on both ranks, and 0 everywhere themselves."""
    atoms = crystal((2, 1, 1))
    dear = f"compute uq all uq/atom {' '.join(FIELDS)} force_std"
    ask = (ASK.replace(f"compute uq all uq/atom {' '.join(FIELDS)}", dear), "run 0", "#snapshot end")
    excluded = lammps.state(atoms, *OUT, *ask, n=n, pair=pair)
    deleted = lammps.state(atoms, OUT[0], "delete_atoms group out compress no", *ask, n=n, pair=pair)
    assert_equal("energy", excluded["energy"], deleted["energy"], absolute=1e-9)
    for name in ("x", "f", "pe", "va", "uq"):
        assert not np.any(excluded[name][14:]) or name == "x", name
        excluded[name] = excluded[name][:14]
    assert_same_state(excluded, deleted, relative=1e-9)
    whole = lammps.state(atoms, *ask, n=n, pair=pair)
    assert abs(whole["energy"] - deleted["energy"]) > 1.0


def test_select_writes_an_excluded_atom_as_one_without_element(lammps):
    atoms = crystal((2, 1, 1))
    folder = lammps.run(atoms, *OUT, HOT, "fix s all uq/select 1 grade 0 INF file s.extxyz", "run 1").folder
    (frame,) = ase.io.read(folder / "s.extxyz", ":")
    assert [str(frame.symbols[i]) for i in (14, 15)] == ["X", "X"] and "X" not in set(frame.symbols[:14])
    assert not column_of(frame, "grade")[14:].any() and column_of(frame, "grade")[:14].all()


@RANKS
def test_who_is_excluded_is_what_the_list_was_made_with(n, lammps):
    """Atoms that leave the group have no pairs before the next list: until then they stay out, and then they are in."""
    more = (HOT, "neigh_modify delay 4 every 4 check no", *OUT, "thermo_style custom step pe", *THERMO[1:])
    kept = lammps.run(crystal((2, 1, 1)), *more, "run 2", "run 4 pre no", n=n).thermo
    left = lammps.run(crystal((2, 1, 1)), *more, "run 2", "group out clear", "run 4 pre no", n=n).thermo
    before, after = (np.array([table["PotEng"] for table in tables[1:]]).ravel() for tables in (kept, left))
    assert_equal("until the next list", after[:2], before[:2], relative=1e-12)
    assert abs(after[2] - before[2]) > 1.0


# ---- Monte Carlo ----------------------------------------------------------------------------------------------------------------

GAS = {"elements": ("Si", "O", "Ar"), "pair": PLAIN.replace("Si O", "Si O O")}
"""The third type is oxygen too, and what fix gcmc exchanges."""


def with_gas(*where: int):
    atoms = crystal((2, 1, 1))
    for i in where:
        atoms.symbols[i] = "Ar"
    return atoms


@RANKS
def test_gcmc_tries_a_deletion_with_the_energy_of_the_deletion(n, lammps):
    """Two chemical potentials, 0.2 eV below and above the one at which a deletion at 300 K is a toss-up, by the energies of two runs."""
    atoms, ask = with_gas(4), (ASK, "run 0", "#snapshot end")
    whole = lammps.state(atoms, *ask, n=n, **GAS)["energy"]
    rest = lammps.run(atoms, "group gas type 3", "delete_atoms group gas compress no", *ask[:2], n=n, **GAS).thermo[0]["PotEng"][0]
    wavelength = 17.458 / np.sqrt(ase.data.atomic_masses[18] * 300.0)  # h / sqrt(2 pi m k T), Angstrom
    even = whole - rest + ase.units.kB * 300.0 * np.log(wavelength**3 / atoms.get_volume())
    for mu, deleted in ((even - 0.2, 1), (even + 0.2, 0)):
        fix = f"fix mc gas gcmc 1 6 0 3 771 300 {mu:.6f} 0.1 full_energy min 0 max 1"
        style = "thermo_style custom step pe f_mc[5] f_mc[6]"
        table = lammps.run(atoms, "group gas type 3", fix, style, *THERMO[1:], "run 1", n=n, **GAS).thermo[0]
        assert table["f_mc[5]"][-1] > 0 and table["f_mc[6]"][-1] == deleted
        assert_equal("energy", table["PotEng"][-1], rest if deleted else whole, absolute=1e-9)


@RANKS
def test_after_gcmc_energy_and_fields_are_those_of_the_atoms_that_are_there(n, lammps):
    """Deletions and insertions are both accepted; the same atoms in a new run have the same values."""
    fix = "fix mc gas gcmc 1 8 2 3 29 3000 -6 0.3 full_energy"
    style = "thermo_style custom step atoms pe c_g[*] f_mc[4] f_mc[6]"
    more = ("group gas type 3", THERMO[0], fix, style, *THERMO[1:], "run 6", "run 0")
    first, again = lammps.run(with_gas(4, 9, 10), *more, n=n, **GAS).thermo
    assert first["f_mc[4]"][-1] > 0 and first["f_mc[6]"][-1] > 0
    for name in ("Atoms", "PotEng", "c_g[1]", "c_g[2]", "c_g[3]"):
        assert_equal(name, again[name][0], first[name][-1], relative=1e-10)


# ---- pairs of atoms that take part ----------------------------------------------------------------------------------------------

HYBRID = """pair_style {style} mace/uq lj/cut 3.0
pair_coeff * * mace/uq {{model}} {elements}
pair_coeff {types} lj/cut 0.01 2.0"""
SOME = "group some id 1 2 3"
FIRST = (SOME, "atom_modify first some")
REFUSED = [
    (("neigh_modify exclude type 1 2",), "neigh_modify exclude type 1 2"),
    ((SOME, "neigh_modify exclude group some some"), "neigh_modify exclude group some some"),
    ((SOME, "group other id 3 8", "neigh_modify exclude group other some"), "neigh_modify exclude group other some"),
    ((*FIRST, "neigh_modify include some"), "neigh_modify include some"),
    ((*FIRST, "comm_modify group some"), "comm_modify group some"),
]


@RANKS
@pytest.mark.parametrize("lines, words", REFUSED, ids=[words for _, words in REFUSED])
def test_missing_pairs_are_refused(n, lines, words, lammps):
    text = lammps.fails(crystal((2, 1, 1)), *lines, "run 0", n=n)
    assert f"{words} keeps pairs of atoms out of the neighbor list; message passing needs all of them" in text and "accepted: " in text


def test_missing_pairs_of_molecules_are_refused(lammps):
    lines = ("clear", "units metal", "atom_style molecular", "region b block 0 9 0 9 0 9", "create_box 1 b", "mass 1 28.085",
             "create_atoms 1 random 5 77 b overlap 2", "special_bonds lj/coul 1 1 1",
             PLAIN.format(model=lammps.models.full).replace("Si O", "Si"))  # fmt: skip
    for kind in ("intra", "inter"):
        more = f"neigh_modify exclude molecule/{kind} all"
        assert more in lammps.fails(crystal(), *lines, more, "run 0")


def test_pairs_that_another_style_takes_over_are_refused(lammps):
    """In pair_style hybrid the last pair_coeff has its pairs for itself; in hybrid/overlay both styles see them."""
    given = {"elements": "Si O", "types": "1 2"}
    text = lammps.fails(crystal(), "run 0", pair=HYBRID.format(style="hybrid", **given))
    assert "pair_coeff 1 2 of another style in pair_style hybrid keeps pairs" in text
    lammps.run(crystal(), "run 0", pair=HYBRID.format(style="hybrid/overlay", **given))


@RANKS
@pytest.mark.parametrize("rule", ["exclude type 2 3", "exclude type 3 3", "exclude group none some", "exclude group none none",
                                  "exclude molecule/intra none", "include model", "comm_modify group model"])  # fmt: skip
def test_pairs_that_the_model_never_sees_may_be_missing(n, rule, lammps):
    """Atoms of a NULL type in a hybrid style: rules that touch no pair of the others change nothing."""
    atoms = crystal((2, 1, 1))
    atoms.symbols[4] = atoms.symbols[11] = "Ar"
    pair = HYBRID.format(style="hybrid", elements="Si O NULL", types="* 3")
    more = ("fix m all property/atom mol", SOME, "group none type 3", "group model type 1 2", "atom_modify first model",
            "compute e all pair mace/uq", THERMO[0], "thermo_style custom step c_e c_g[*]", *THERMO[1:])  # fmt: skip
    rule = rule if rule.startswith("comm") else f"neigh_modify {rule}"
    plain, ruled = lammps.run(atoms, *more, "run 0", rule, "run 0", n=n, elements=("Si", "O", "Ar"), pair=pair).thermo
    assert plain["c_e"][0] < -1.0
    for name in ("c_e", "c_g[1]", "c_g[2]", "c_g[3]"):
        assert_equal(name, ruled[name], plain[name], relative=1e-12)


# ---- positions, masses, heat flux -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["exp(1000)", "exp(1000)-exp(1000)"], ids=["inf", "nan"])
def test_an_atom_that_is_nowhere_is_an_error(value, lammps):
    """Between two neighbour lists LAMMPS itself does not look at positions."""
    lost = (HOT, "neigh_modify delay 50 every 50 check no", f"variable v atom {value}", "set atom 3 vx v_v", "run 2")
    assert "on step 1: the position of atom 3 is not a finite number" in lammps.fails(crystal(), *lost)


@RANKS
def test_masses_of_other_elements_are_warned_of_once(n, lammps):
    swapped = ("mass 1 15.999", "mass 2 28.085", "run 0", "run 0")
    log = lammps.run(crystal(), *swapped, n=n).log
    assert log.count("WARNING: Pair style mace/uq: type 1 is Si (28.09 u) in pair_coeff and has mass 15.999, type 2 is O (16 u)") == 1
    log = lammps.run(crystal(), "mass 1 28.4", "mass 2 17.999", "run 0", "mass 2 18.5", "run 0", n=n).log
    assert "type 1" not in log and log.count("type 2 is O (16 u) in pair_coeff and has mass 1") == 2


def test_the_table_of_masses_is_that_of_ase():
    source = (Path(__file__).parents[2] / "csrc" / "base" / "elements.cpp").read_text()
    weights = [float(x) for x in re.search(r"WEIGHTS\[\] = \{(.*?)\}", source, re.DOTALL)[1].split(",")]
    assert_equal("weights", weights, ase.data.atomic_masses[1:], absolute=0.0051)


def test_a_heat_flux_from_stress_per_atom_is_warned_of(lammps):
    flux = ("compute k all ke/atom", "compute p all pe/atom", "compute s all stress/atom NULL virial", "compute j all heat/flux k p s")
    words = "WARNING: Pair style mace/uq: compute j heat/flux is not the heat flux of this potential"
    assert words not in lammps.run(crystal(), *flux[:3], "run 0").log
    assert lammps.run(crystal(), *flux, "run 0", "run 0").log.count(words) == 1
