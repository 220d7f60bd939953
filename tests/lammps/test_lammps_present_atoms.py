# SPDX-License-Identifier: GPL-2.0-or-later
"""Values belong to the atoms of the last force computation: commands between runs that move, add, remove or change atoms."""

from __future__ import annotations

import numpy as np
import pytest
from lammps_cases import FIELDS, HOT, PLAIN, TOTALS, assert_equal, crystal, read_dump, with_engine

RANKS = pytest.mark.parametrize("n", [1, 2, 4])
DEAR = ("force_std", "force_std_x", "force_std_y", "force_std_z")
COMPUTES = f"""compute uq all uq/atom {" ".join(FIELDS + DEAR)}
compute sum all reduce sum c_uq[*]
compute tot all uq {" ".join(TOTALS)} stress_std members
"""
MOTION = (HOT, "neigh_modify delay 100 every 100 check no", "neighbor 2.0 bin", COMPUTES, "run 20")
"""Atoms leave their box and their rank without LAMMPS putting them back: the next command that wraps or migrates atoms does."""

REORDER = {
    "write_data": "write_data last.data",
    "write_restart": "write_restart last.restart",
    "balance": "balance 1.0 shift xyz 10 1.01",
    "nothing": "print done",
    "a period": "displace_atoms all move {length} 0 0",
}
CHANGE = {
    "delete_atoms": ("group some id 3:9\ndelete_atoms group some compress no", "there were 32 atoms, now 25"),
    "create_atoms": ("create_atoms 1 single 0.1 0.2 0.3", "there were 32 atoms, now 33"),
    "replicate": ("replicate 2 1 1", "there were 32 atoms, now 64"),
    "displace_atoms": ("displace_atoms all random 0.1 0.1 0.1 8", "positions"),
    "set type": ("set group all type 1", "atom types"),
    "change_box": ("change_box all x scale 1.01 remap", "the box"),
    "reset_atoms": ("group gap id 2\ndelete_atoms group gap compress no\nreset_atoms id sort yes", "there were 32 atoms"),
}


def system():
    return crystal((2, 2, 1))


@pytest.fixture(scope="module")
def expected(lammps):
    """Values of the last step, asked for before any other command; runs of more ranks differ from it by rounding only."""
    return lammps.state(system(), *MOTION, "#snapshot end")


def assert_same_values(found, expected, relative=1e-7):
    for k, name in enumerate(FIELDS + DEAR):
        assert_equal(name, found["uq"][:, k], expected["uq"][:, k], relative=relative)
    for k in range(len(expected["tot"])):
        assert_equal(f"tot {k}", found["tot"][k], expected["tot"][k], relative=relative)


@RANKS
@pytest.mark.parametrize("command", REORDER)
def test_the_right_value_on_the_right_atom(command, n, lammps, expected):
    """Nothing is asked for before the command, so every field, sum and pull is evaluated after it."""
    atoms = system()
    line = REORDER[command].format(length=repr(float(atoms.cell.lengths()[0])))
    assert_same_values(lammps.state(atoms, *MOTION, line, "#snapshot end", n=n), expected)


@pytest.mark.parametrize("engine", ["native", "torch", "device"])
def test_members_of_other_ranks_after_atoms_have_migrated(engine, lammps):
    """Stacked pulls exchange ghosts between the ranks that had the atoms then."""
    pair = with_engine(engine)
    one, two = (lammps.state(system(), *MOTION, *command, "#snapshot end", n=2, pair=pair) for command in ((), (REORDER["write_data"],)))
    assert any(a != b for a, b in zip(one["tags"], two["tags"], strict=True)), "no atom has changed its rank"
    assert_same_values(two, one, relative=1e-12)


@RANKS
def test_columns_that_were_asked_for_before(n, lammps, expected):
    """LAMMPS keeps columns of a step: they go along with their atoms, or are evaluated again."""
    dump = "write_dump all custom {}.dump id c_uq[*] modify format float %.17g"
    script = (dump.format("a"), "write_data last.data", dump.format("b"), "group some id 3:9", "delete_atoms group some compress no",
              dump.format("c"), "create_atoms 1 single 0.1 0.2 0.3", dump.format("d"), "run 0", dump.format("e"))  # fmt: skip
    folder = lammps.run(system(), *MOTION, *script, n=n).folder
    a, b, c, d, e = (next(iter(read_dump(folder / f"{name}.dump").values())) for name in "abcde")
    assert_equal("before", a[:, 1:], expected["uq"], relative=1e-7)
    assert np.array_equal(a, b), "write_data has changed values"
    left = np.concatenate([a[:2], a[9:]])
    assert np.array_equal(c, left), "survivors of delete_atoms have other values"
    assert np.array_equal(d[:-1], left) and np.isnan(d[-1, 1:]).all(), "an atom that is new has a value"
    assert np.isfinite(e).all() and len(e) == len(d)


@pytest.mark.parametrize("ask", ['print "$(c_tot[1])"', 'print "$(c_sum[1])"'])
@pytest.mark.parametrize(("command", "n"), [*((name, n) for name in CHANGE for n in (1, 2)), ("delete_atoms", 4), ("displace_atoms", 4)])
def test_atoms_changed(command, n, ask, lammps):
    """One error on all ranks; run 0 makes it good."""
    line, what = CHANGE[command]
    lammps.run(system(), *MOTION, line, f"#fails atoms changed since the last force computation ({what}", ask, "run 0", ask, n=n)


@RANKS
@pytest.mark.parametrize("command", ["write_data", "a period"])
def test_columns_that_the_last_step_has_evaluated(command, n, lammps, expected):
    """A dump has asked for them in the run; the library interface looks at the step of a column, not at LAMMPS' flag of it."""
    atoms = system()
    line = REORDER[command].format(length=repr(float(atoms.cell.lengths()[0])))
    dump = "dump d all custom 20 last.dump id c_uq[*]"
    assert_same_values(lammps.state(atoms, *MOTION[:-1], dump, MOTION[-1], line, "#snapshot end", n=n), expected)


@pytest.mark.parametrize("n", [1, 2])
def test_shrink_wrapped_bounds_are_no_change(n, lammps):
    """write_data shrinks the box around the present atoms."""
    motion = ("change_box all boundary p p s", "thermo_style custom step pe press lz", *MOTION)
    asked = lammps.state(system(), *motion, "#snapshot end", n=n)
    result = lammps.run(system(), *motion, "write_data last.data", "#snapshot end", "run 0", n=n)
    assert result.thermo[0]["Lz"][-1] != result.thermo[1]["Lz"][0]
    assert_same_values(result.snapshots["end"], asked)


@pytest.mark.parametrize("n", [1, 2])
def test_asked_for_before_the_forces_of_a_run(n, lammps):
    """fix adapt reads its variable at the set-up: the values of the last run, unless atoms have been moved since."""
    model = lammps.models.full
    pair = f"pair_style hybrid/overlay mace/uq lj/cut 3.0\npair_coeff * * mace/uq {model} Si O\npair_coeff * * lj/cut 0.0 2.0"
    adapt = ("variable q equal c_tot[1]", "fix a all adapt 1 pair lj/cut epsilon * * v_q", "run 0")
    moved = ("displace_atoms all random 0.1 0.1 0.1 8", "#fails atoms changed since the last force computation (positions", "run 0")
    lammps.run(system(), COMPUTES, "run 0", *adapt, *moved, pair=pair, n=n)


def test_replicate_after_columns_were_asked_for(lammps):
    """LAMMPS refuses it while columns go along with their atoms, which ends with the next run."""
    dump = "write_dump all custom a.dump id c_uq[*]"
    lammps.run(system(), *MOTION, dump, "#fails Cannot replicate", "replicate 2 1 1", "run 0", "replicate 2 1 1", "run 0")


def test_a_global_value_of_the_last_step_is_not_read_again(lammps):
    """thermo has asked for it on the last step; LAMMPS would keep it after the atoms are gone."""
    line, what = CHANGE["delete_atoms"]
    thermo = ("thermo_style custom step c_tot[1]", "run 1", line)
    lammps.run(system(), HOT, COMPUTES, *thermo, f"#fails atoms changed since the last force computation ({what}", 'print "$(c_tot[1])"')


def test_before_the_first_forces(lammps):
    """A pair style that has replaced another has computed nothing yet."""
    again = PLAIN.format(model=lammps.models.full).splitlines()
    lammps.run(system(), *MOTION, *again, "#fails it has computed no forces yet: run 0 first", 'print "$(c_tot[1])"')


def test_a_deforming_box_keeps_the_values_of_its_forces(lammps):
    """fix deform moves box and atoms after the forces, also at the end of the run: no change that anybody has made."""
    deform = "fix d all deform 1 x erate 5.0 remap x"
    asked, later = (lammps.state(system(), deform, *MOTION, *more, "#snapshot end") for more in (("run 0 pre no",), ("write_data a.data",)))
    assert_same_values(later, asked, relative=1e-12)


def test_fix_pair_can_be_defined_after_atoms_have_changed(lammps):
    line, _ = CHANGE["delete_atoms"]
    grade = f"c_tot[{TOTALS.index('grade_max') + 1}]"
    pair = ("fix p all pair 1 mace/uq grade 1", "compute top all reduce max f_p", f"thermo_style custom step c_top {grade}", "run 1")
    table = lammps.run(system(), *MOTION, line, *pair).thermo[-1]
    assert (table["c_top"][1:] == table[grade][1:]).all() and table[grade][1] > 0.0
