# SPDX-License-Identifier: GPL-2.0-or-later
"""Force and stress bars in LAMMPS: those of Python, of finite differences of the members' energies, of any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from force_members import EV_PER_CUBIC_ANGSTROM, Members, changed
from lammps_cases import HOT, PLAIN, VOIGT, WITH_ZBL, assert_equal, crystal, half_empty, with_engine

from lmp_uq import modelfile

FORCE_FIELDS = ("force_std", "force_std_x", "force_std_y", "force_std_z")
ENDS = tuple(f"{field}_{end}" for field in FORCE_FIELDS for end in ("max", "tag", "mean"))
ASK = f"""compute uq all uq/atom {" ".join(FORCE_FIELDS)}
compute tot all uq stress_std {" ".join(ENDS)} members
compute high all reduce max c_uq[*]
thermo_style custom step temp pe press c_tot[*] c_high[*]"""
SNAPSHOT = (ASK, "run 0", "#snapshot end")
STRESS, PEAKS, ENERGIES = slice(0, 6), slice(6, 6 + len(ENDS)), slice(6 + len(ENDS), None)

# ---- Python ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: crystal(tilt=True), lambda: crystal((2, 2, 1))], ids=["small and triclinic", "orthogonal"])
@pytest.mark.parametrize(("keywords", "n"), [("", 8), ("force_members 20 members 16", 20)])
@pytest.mark.parametrize("engine", ["torch", "native", "device"])
def test_bars_are_those_of_python(make, keywords, n, engine, lammps, models):
    """Each engine against itself, the device against the CPU; that torch agrees is for test_lammps_native."""
    atoms = make()
    found = lammps.state(atoms, *SNAPSHOT, pair=with_engine(f"{engine} {keywords}"))
    python = Members(models.full, atoms, "native" if engine == "device" else engine)
    expected = python.force_std(n)
    for k, name in enumerate(FORCE_FIELDS):
        assert_equal(name, found["uq"][:, k], expected[:, k], relative=1e-10)
        assert np.ptp(expected[:, k]) > 0.0, f"{name} is the same on every atom"
    assert found["nktv2p"] == EV_PER_CUBIC_ANGSTROM
    assert_equal("stress_std", found["tot"][STRESS], python.stress_std(n, atoms.cell.volume), relative=1e-10)
    peaks = np.concatenate([[c.max(), c.argmax() + 1, c.mean()] for c in expected.T])
    assert_equal("max, tag, mean", found["tot"][PEAKS], peaks, relative=1e-10)


def test_members_have_their_own_energies(lammps, models):
    """The model's energy and Theta_k times the summed features; all inside the exact box, and `members` says how many."""
    atoms, python = crystal((2, 2, 1)), Members(models.full, crystal((2, 2, 1)))
    thetas = modelfile.read(models.full).tensors["posterior/members"]
    found = lammps.state(atoms, *SNAPSHOT)
    energies = found["tot"][ENERGIES]
    assert_equal("members", energies, found["energy"] + thetas @ python.features, relative=1e-12)
    lower, upper = python.box.exact_bounds(python.features)
    assert found["energy"] + lower <= energies.min() < energies.max() <= found["energy"] + upper
    few = lammps.state(atoms, *SNAPSHOT, pair=PLAIN.replace("mace/uq", "mace/uq members 5", 1))
    assert_equal("5 members", few["tot"][ENERGIES], energies[:5], relative=1e-12)
    alone = ("compute tot all uq members", "thermo_style custom step pe press c_tot[*]", "run 0", "#snapshot end")
    one = lammps.state(atoms, *alone, pair=PLAIN.replace("mace/uq", "mace/uq members 1", 1))
    assert_equal("1 member is a vector too", one["tot"], energies[:1], relative=1e-12)


# ---- brute force ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def same_members(tmp_path_factory, models):
    """A file whose members are its 8 force members, so that LAMMPS itself tells the energy of each."""
    drawn = modelfile.read(models.full).tensors["posterior/force_members"][:8]
    return changed(models.full, tmp_path_factory.mktemp("same") / "same.uq", members=drawn, force_members=drawn)


ASK_ENERGIES = ("compute tot all uq members", "thermo_style custom step temp pe press c_tot[*]", "run 0", "#snapshot end")


def corrections(state):
    return state["tot"] - state["energy"]


def test_force_std_is_that_of_every_members_own_conservative_force(lammps, same_members):
    """Each member's energy in LAMMPS, every atom moved forth and back along every axis; second order in the step."""
    atoms, step = crystal(), 1e-3
    more = [*ASK_ENERGIES]
    for i in range(len(atoms)):
        more.append(f"group one id {i + 1}")
        for axis in range(3):
            direction = np.eye(3)[axis] * step
            there, back = (f"displace_atoms one move {' '.join(map(str, move))} units box" for move in (direction, -2.0 * direction))
            more += [there, "run 0", f"#snapshot {i}-{axis}-plus", back, "run 0", f"#snapshot {i}-{axis}-minus", there]
        more.append("group one delete")
    states = lammps.run(atoms, *more, model=same_members).snapshots
    places = [(i, axis) for i in range(len(atoms)) for axis in range(3)]
    plus, minus = (np.array([corrections(states[f"{i}-{axis}-{side}"]) for i, axis in places]) for side in ("plus", "minus"))
    components = np.sqrt(np.mean(((plus - minus) / (2 * step)) ** 2, axis=1)).reshape(-1, 3)
    found = lammps.state(atoms, *SNAPSHOT, model=same_members)["uq"]
    assert_equal("components", found[:, 1:], components, relative=2e-6)
    assert_equal("trace", found[:, 0], np.linalg.norm(components, axis=1), relative=2e-6)


def test_stress_std_is_the_strain_derivative_of_the_members_energies(lammps, same_members):
    atoms, step = crystal(tilt=True), 1e-4
    found = lammps.state(atoms, *SNAPSHOT, model=same_members)["tot"][STRESS]
    for k, (a, b) in enumerate(VOIGT):
        sides = []
        for sign in (1.0, -1.0):
            strain = np.eye(3)
            strain[a, b] += sign * step
            strained = atoms.copy()
            # x += strain * y keeps the cell lower triangular, as LAMMPS needs it
            strained.set_cell(atoms.cell @ strain.T, scale_atoms=True)
            sides.append(corrections(lammps.state(strained, *ASK_ENERGIES, model=same_members)))
        slopes = (sides[0] - sides[1]) / (2 * step) / atoms.cell.volume * EV_PER_CUBIC_ANGSTROM
        assert_equal(f"stress_std {k}", found[k], np.sqrt(np.mean(slopes**2)), relative=1e-6)


# ---- ranks ----------------------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "triclinic": (lambda: crystal((2, 2, 1), tilt=True), {}, SNAPSHOT),
    "a rank without atoms": (half_empty, {"before": "processors * 1 1"}, SNAPSHOT),
    "atoms that migrate": (lambda: crystal((2, 2, 1)), {}, (HOT, ASK, "thermo 40", "run 40", "#snapshot end")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_number_of_ranks_gives_the_same(layout, lammps):
    make, options, more = LAYOUTS[layout]
    alone = lammps.state(make(), *more, **options)
    for n in (2, 4):
        found = lammps.state(make(), *more, n=n, **options)
        owned = [len(tags) for tags in found["tags"]]
        assert (0 in owned) == (layout == "a rank without atoms"), owned
        for k, name in enumerate(FORCE_FIELDS):
            assert_equal(name, found["uq"][:, k], alone["uq"][:, k], relative=1e-10)
        for part in (STRESS, PEAKS, ENERGIES):
            assert_equal(str(part), found["tot"][part], alone["tot"][part], relative=1e-10)


# ---- other styles ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_other_styles_of_a_hybrid_stay_out(n, lammps):
    plain, hybrid = (lammps.state(crystal((2, 1, 1)), *SNAPSHOT, n=n, pair=pair) for pair in (PLAIN, WITH_ZBL))
    assert np.abs(plain["f"] - hybrid["f"]).max() > 0.1
    assert_equal("fields", hybrid["uq"], plain["uq"], relative=1e-12)
    assert_equal("stress_std", hybrid["tot"][STRESS], plain["tot"][STRESS], relative=1e-12)


@pytest.mark.parametrize("n", [1, 2])
def test_atoms_that_take_no_part_have_none_and_change_none(n, lammps):
    atoms = crystal((2, 1, 1))
    silicon = np.flatnonzero(atoms.symbols == "Si")
    pair = "pair_style hybrid/overlay mace/uq zbl 1.8 2.6\npair_coeff * * mace/uq {model} Si NULL\npair_coeff * * zbl 8 8"
    with_oxygen = lammps.state(atoms, *SNAPSHOT, n=n, pair=pair)
    alone = lammps.state(atoms[silicon], *SNAPSHOT, n=n)
    assert not with_oxygen["uq"][atoms.symbols == "O"].any()
    assert_equal("fields", with_oxygen["uq"][silicon], alone["uq"], relative=1e-10)
    assert_equal("stress_std", with_oxygen["tot"][STRESS], alone["tot"][STRESS], relative=1e-10)
    assert with_oxygen["uq"][silicon].min() > 0.0
