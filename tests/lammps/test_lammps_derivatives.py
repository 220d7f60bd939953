# SPDX-License-Identifier: GPL-2.0-or-later
"""Forces and pressure as derivatives of LAMMPS' own energy, alone and beside other pair styles; conservation of energy; atom types."""

from __future__ import annotations

import numpy as np
import pytest
from lammps_cases import ASK, PLAIN, TOTALS, VOIGT, WITH_ZBL, assert_equal, assert_same_state, crystal

STENCIL = ((-2, 1.0 / 12.0), (-1, -2.0 / 3.0), (1, 2.0 / 3.0), (2, -1.0 / 12.0))
"""Central differences of fourth order."""
PAIRS = {"alone": PLAIN, "beside zbl": WITH_ZBL}
SNAPSHOT = (ASK, "run 0", "#snapshot end")


@pytest.fixture(scope="module", params=PAIRS)
def pair(request):
    return PAIRS[request.param]


# ---- finite differences ---------------------------------------------------------------------------------------------------------


def displaced(atom, axis, step):
    """Lines that evaluate the stencil along one coordinate and end where they began."""
    lines, here = [f"group one id {atom}"], 0
    for there in [k for k, _ in STENCIL] + [0]:
        move = [0.0, 0.0, 0.0]
        move[axis] = (there - here) * step
        lines.append("displace_atoms one move {!r} {!r} {!r} units box".format(*move))
        lines += ["run 0"] if there else []
        here = there
    return [*lines, "group one delete"]


def strained(cell, a, b, step):
    """The same for a strain of component ab; b <= a, so that the cell stays one that LAMMPS accepts."""
    lines = []
    for there in [k for k, _ in STENCIL] + [0]:
        strain = np.eye(3)
        strain[a, b] += there * step
        new = cell @ strain
        sizes = " ".join(f"{axis} final 0 {float(new[k, k])!r}" for k, axis in enumerate("xyz"))
        tilts = " ".join(f"{name} final {float(new[i, j])!r}" for name, i, j in (("xy", 1, 0), ("xz", 2, 0), ("yz", 2, 1)))
        lines += [f"change_box all {sizes} {tilts} remap units box"] + (["run 0"] if there else [])
    return lines


def derivatives(result, first):
    """Derivatives of the energy from the tables of a log, four per derivative."""
    energies = np.array([table["PotEng"][0] for table in result.thermo[first:]]).reshape(-1, len(STENCIL))
    return energies @ [weight for _, weight in STENCIL]


def test_forces_are_the_derivative_of_the_energy(pair, lammps):
    coordinates = [(atom, axis) for atom in (1, 6) for axis in range(3)]
    step = 1e-3
    lines = [line for atom, axis in coordinates for line in displaced(atom, axis, step)]
    result = lammps.run(crystal(tilt=True), *SNAPSHOT, *lines, pair=pair)
    found = [result.snapshots["end"]["f"][atom - 1, axis] for atom, axis in coordinates]
    assert_equal("forces", found, -derivatives(result, 1) / step, relative=1e-7)


@pytest.mark.parametrize("tilt", [False, True])
def test_pressure_is_the_derivative_of_the_energy(tilt, pair, lammps):
    atoms, step = crystal(tilt=tilt), 1e-4
    lines = [line for b, a in VOIGT for line in strained(np.array(atoms.cell), a, b, step)]
    result = lammps.run(atoms, *SNAPSHOT, "change_box all triclinic", *lines, pair=pair)
    start = result.snapshots["end"]
    expected = -derivatives(result, 1) / step / atoms.cell.volume
    assert_equal("pressure", start["pressure"] / start["nktv2p"], expected, relative=1e-7)


# ---- beside other pair styles ---------------------------------------------------------------------------------------------------

ZBL = "pair_style zbl 1.8 2.6\n" + "\n".join(line.replace(" zbl", "") for line in WITH_ZBL.splitlines()[2:])


@pytest.mark.parametrize("n", [1, 2])
def test_hybrid_adds_styles_and_leaves_uncertainty_alone(n, lammps):
    atoms = crystal((2, 2, 1))
    more = ("compute mace all pair mace/uq", ASK, "thermo_style custom step pe pxx c_mace c_sums[*] c_tot[*]")
    result = lammps.run(atoms, *more, "thermo_modify format float %.17g", "run 0", "#snapshot end", pair=WITH_ZBL, n=n)
    both, alone = result.snapshots["end"], lammps.state(atoms, *SNAPSHOT)
    ask_zbl = ASK.replace("compute uq", "#").replace("compute tot", "#").replace("c_tot[*]", "")
    zbl = lammps.state(atoms, ask_zbl, "run 0", "#snapshot end", pair=ZBL)
    assert abs(zbl["energy"]) > 0.1 and np.abs(zbl["f"]).max() > 0.1
    for name in ("energy", "f", "pe", "va", "pressure"):
        assert_equal(name, both[name], alone[name] + zbl[name], relative=1e-10)
    assert_equal("compute pair", result.thermo[0]["c_mace"][0], alone["energy"], relative=1e-10)
    assert_equal("fields", both["uq"][:, [0, 3, 4]], alone["uq"][:, [0, 3, 4]], relative=1e-10)
    for column in (1, 2):  # c_pe holds both styles, lower and upper are about this model's energy
        assert_equal("bounds", both["uq"][:, column], alone["uq"][:, column], relative=1e-10)
    for k, value in enumerate(alone["tot"]):
        assert_equal(f"tot {k}", both["tot"][k], value, relative=1e-10)


# ---- types ----------------------------------------------------------------------------------------------------------------------


def test_the_order_of_types_does_not_matter(lammps):
    atoms = crystal((2, 2, 1))
    swapped = lammps.state(atoms, *SNAPSHOT, elements=("O", "Si"), pair=PLAIN.replace("Si O", "O Si"))
    assert_same_state(swapped, lammps.state(atoms, *SNAPSHOT))


def test_two_types_of_one_element_are_the_same_element(lammps):
    atoms = crystal((2, 2, 1))
    pair = PLAIN.replace("Si O", "Si O Si")
    more = ("group silicon type 1", "set group silicon type/subset 3 8 1", *SNAPSHOT)
    assert_same_state(lammps.state(atoms, *more, elements=("Si", "O", "Ar"), pair=pair), lammps.state(atoms, *SNAPSHOT))


NULL = """pair_style hybrid/overlay mace/uq lj/cut 5.0
pair_coeff * * mace/uq {model} Si O NULL
pair_coeff *2 3 lj/cut 0.02 2.5
pair_coeff 3 3 lj/cut 0.01 3.0"""


@pytest.mark.parametrize("n", [1, 2])
def test_a_type_named_null_takes_no_part(n, lammps):
    """Without the argon the model sees the same, and so must energy and force of the model, atom by atom and in total."""
    atoms = crystal((2, 2, 1))
    argon = np.array([2, 9, 17, 30])
    mixed = atoms.copy()
    mixed.symbols[argon] = "Ar"
    kept = np.delete(np.arange(len(atoms)), argon)
    ask = (ASK, "compute mace all pair mace/uq", "thermo_style custom step pe pxx c_mace c_sums[*] c_tot[*]")
    result = lammps.run(
        mixed, *ask, "thermo_modify format float %.17g", "run 0", "#snapshot end", elements=("Si", "O", "Ar"), pair=NULL, n=n
    )
    found, alone = result.snapshots["end"], lammps.state(atoms[kept], *SNAPSHOT)
    assert np.array_equal(found["uq"][argon], np.zeros((len(argon), 5)))
    assert_equal("fields", found["uq"][kept], alone["uq"], relative=1e-10)
    assert_equal("energy", result.thermo[0]["c_mace"][0], alone["energy"], relative=1e-10)
    for k, name in enumerate(TOTALS):
        value = list(kept + 1).index(found["tot"][k]) + 1 if name.endswith("_tag") else found["tot"][k]
        assert_equal(name, value, alone["tot"][k], relative=1e-10)


# ---- dynamics -------------------------------------------------------------------------------------------------------------------


def test_energy_is_conserved(lammps):
    """Half the time step must leave a quarter of the fluctuation: velocity Verlet with forces that belong to the energy."""
    spread = []
    for step, n_steps in ((0.0004, 25), (0.0002, 50)):
        more = ("velocity all create 600 3", "fix nve all nve", f"timestep {step}", "thermo_style custom step pe etotal", "thermo 1")
        table = lammps.run(crystal(), *more, "thermo_modify format float %.17g", f"run {n_steps}").thermo[0]
        spread.append(np.ptp(table["TotEng"]))
        exchanged = np.ptp(table["PotEng"])
    assert spread[1] < 0.3 * spread[0]
    assert spread[1] < 0.01 * exchanged
