# SPDX-License-Identifier: GPL-2.0-or-later
"""Which atoms the model sees: a bath of atoms named NULL changes nothing and sends nothing; periodic images are their owners."""

from __future__ import annotations

import functools
import re

import ase
import numpy as np
import pytest
from lammps_cases import ASK, DEVICE, ENGINES, FIELDS, HOT, PLAIN, VOIGT, assert_equal, assert_same_state, crystal, with_engine

RANKS = pytest.mark.parametrize("n", [1, 2, 4])
DEAR = (ASK.replace(f"uq/atom {' '.join(FIELDS)}", f"uq/atom {' '.join(FIELDS)} force_std neighbour_grade"), "run 0", "#snapshot end")

# ---- a bath -----------------------------------------------------------------------------------------------------------------------

HYBRID = """pair_style hybrid{overlay} mace/uq {keywords} lj/cut 3.0
pair_coeff * * mace/uq {{model}} Si O NULL
pair_coeff * 3 lj/cut 0.0 2.0"""
TILED = {"before": "comm_style tiled"}


def bathed(bath: bool):
    """A crystal of 64 atoms in a box twice as long, the rest of which is empty or a bath, some of it between its atoms; it moves too."""
    atoms, gas = crystal((2, 2, 2)), crystal((2, 2, 2), seed=3)
    length = atoms.cell.lengths()
    gas.positions[:, 0] += length[0]
    inside = crystal((2, 2, 2), seed=4)[::6]
    inside.positions += 0.31
    gas += inside
    gas.symbols[:] = "Ar"
    atoms.set_cell([2.0 * length[0], *length[1:]])
    return atoms + gas if bath else atoms


def with_bath(keywords="", overlay=""):
    return {"elements": ("Si", "O", "Ar"), "pair": HYBRID.format(keywords=keywords, overlay=overlay)}


def without(state: dict, n: int, bath: bool):
    """Of the first n atoms; where there is a bath its atoms must have nothing."""
    for name in ("x", "f", "pe", "va", "uq"):
        assert len(state[name]) > n or not bath
        assert name == "x" or not np.any(state[name][n:]), name
        state[name] = state[name][:n]
    return {name: state[name] for name in ("energy", "x", "f", "pe", "va", "uq")}


@functools.cache
def alone(lammps, engine):
    return without(lammps.state(bathed(False), *DEAR, **with_bath(f"engine {engine}")), 64, False)


@RANKS
@pytest.mark.parametrize("layout", ["brick", "tiled", "overlay", "torch", "device"])
def test_a_bath_changes_nothing(layout, n, lammps):
    engine = {"torch": "torch", "device": DEVICE}.get(layout, "native")
    more = ("balance 1.0 rcb",) if layout == "tiled" else ()
    style = with_bath(f"engine {engine}", "/overlay" if layout == "overlay" else "")
    found = lammps.state(bathed(True), *more, *DEAR, n=n, **style, **(TILED if layout == "tiled" else {}))
    assert_same_state(without(found, 64, True), alone(lammps, engine), relative=1e-11)
    found["uq"][:, 0] += 1e-9
    with pytest.raises(AssertionError):
        assert_same_state(found, alone(lammps, engine), relative=1e-11)


def exchanged(log: str) -> tuple[int, float]:
    words = re.search(r"(\d+) exchanges of (\S+) MB in all", log)
    return int(words[1]), float(words[2])


def test_a_bath_sends_nothing(lammps):
    runs = (HOT, "neigh_modify delay 100 every 100 check no", "run 3")
    few, many = (exchanged(lammps.run(bathed(bath), *runs, n=2, before="processors 1 2 1", **with_bath()).log) for bath in (False, True))
    assert few == many and few[0] == 6 and few[1] > 0.0


@RANKS
def test_motion_with_a_bath_is_motion_without(n, lammps):
    """Also across ranks, and as LAMMPS sorts its atoms anew; the bath is at rest."""
    more = ("group model type 1 2", "velocity model create 3000 7 loop geom", "fix nve model nve", "timestep 0.0005",
            "atom_modify sort 10 3.0", "neigh_modify every 5 delay 0 check no", ASK, "run 30", "#snapshot end")  # fmt: skip
    expected = without(lammps.state(bathed(False), *more, **with_bath()), 64, False)
    assert_same_state(without(lammps.state(bathed(True), *more, n=n, **with_bath()), 64, True), expected, relative=1e-9)


def test_an_atom_that_leaves_the_model_between_two_lists_is_an_error(lammps):
    more = (HOT, "neigh_modify delay 50 every 50 check no", "run 1", "set atom 5 type 3", "run 1 pre no")
    assert "atom 5 has got a type named NULL since the neighbor list was made" in lammps.fails(bathed(True), *more, **with_bath())


# ---- periodic images --------------------------------------------------------------------------------------------------------------


def tiny(tilt: bool):
    """Two atoms whose images are their neighbours, several of each: every cell vector is shorter than the cutoff of 3.5 Angstrom."""
    cell = [[2.7, 0.0, 0.0], [0.4 * tilt, 2.9, 0.0], [-0.3 * tilt, 0.5 * tilt, 3.1]]
    return ase.Atoms("SiO", positions=[[0.1, 0.2, 0.3], [1.4, 1.6, 1.8]], cell=cell, pbc=True)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tilt", [False, True])
def test_an_atom_among_its_own_images(tilt, engine, n, lammps, mace_reference):
    atoms = tiny(tilt)
    found = lammps.state(atoms, *DEAR, n=n, pair=with_engine(engine))
    energy, forces, stress = mace_reference(atoms)
    assert_equal("energy", found["energy"], energy, absolute=1e-7)
    assert_equal("forces", found["f"], forces, absolute=1e-7)
    pressure = -np.array([stress[ab] for ab in VOIGT])
    assert_equal("stress", found["pressure"] / found["nktv2p"], pressure, absolute=1e-7 * max(1.0, np.abs(pressure).max()))
    assert_equal("sum of atomic virials", -found["va"].sum(axis=0) / found["nktv2p"] / atoms.get_volume(), pressure, absolute=1e-6)


@RANKS
@pytest.mark.parametrize("layout", ["brick", "tiled"])
def test_images_as_nodes_of_their_own_give_the_same(layout, n, lammps):
    """compute uq/heat has them so."""
    heat = "compute j all uq/heat\nfix j all ave/time 1 1 1 c_j[1] mode scalar"
    options = TILED if layout == "tiled" else {}
    more = ("balance 1.0 rcb",) if layout == "tiled" else ()
    apart = lammps.state(crystal((2, 2, 2), tilt=True), *more, heat, *DEAR, n=n, **options)
    assert_same_state(lammps.state(crystal((2, 2, 2), tilt=True), *more, *DEAR, n=n, **options), apart)


def test_ghosts_of_one_rank_cost_no_exchange(lammps):
    assert exchanged(lammps.run(crystal(), HOT, *DEAR[:1], "run 3", pair=PLAIN).log) == (0, 0.0)
