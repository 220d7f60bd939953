# SPDX-License-Identifier: GPL-2.0-or-later
"""Computes and fixes whose pair style, compute or plugin is gone: one error, never a value or a crash from freed memory."""

from __future__ import annotations

import pytest
from lammps_cases import HOT, PLAIN, crystal, thermo_tables
from lammps_processes import execute

RANKS = pytest.mark.parametrize("n", [1, 2])
STYLES = """compute uq all uq/atom grade energy_std
compute sum all reduce sum c_uq[*]
compute tot all uq energy_std force_error_max
fix stop all uq/halt 1 grade > 1e9
fix keep all uq/select 1 grade 1e9 INF file frames.xyz"""
MOVE = f"{HOT}\n{STYLES}\nrun 2"
PAIRLESS = ("pair_style none", "pair_style zero 3.5\npair_coeff * *", "pair_style hybrid zero 3.5\npair_coeff * * zero")


@RANKS
@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("command", PAIRLESS)
def test_another_pair_style(command, asked_before, n, lammps):
    """LAMMPS has freed the pair style; also where a value of the step was read before."""
    before = ('print "$(c_tot[1]) $(c_sum[1])"',) if asked_before else ()
    fails = ("#fails needs pair style mace/uq", 'print "$(c_sum[1])"') * (not asked_before)
    lammps.run(crystal(), MOVE, *before, *command.splitlines(), *fails, "#fails needs pair style mace/uq", "run 1", n=n)


@RANKS
def test_the_same_pair_style_again(n, lammps):
    """Its models are loaded anew, and the values are those of a fresh run."""
    again = PLAIN.format(model=lammps.models.full).splitlines()
    found = lammps.state(crystal(), MOVE, again[0], "#fails coeffs are not set", "run 0", again[1], "run 0", "#snapshot end", n=n)
    assert (found["uq"] == lammps.state(crystal(), MOVE, "run 0", "#snapshot end", n=n)["uq"]).all()


def plugin_script(lammps, folder, *more, styles=STYLES):
    return lammps.write(folder, crystal(), HOT, styles, "run 2", *more)


@pytest.mark.parametrize(
    ("unload", "then", "error"),
    [
        ("plugin unload pair mace/uq", 'print "$(c_tot[1])"', "needs pair style mace/uq"),
        ("plugin unload pair mace/uq", "run 1", "needs pair style mace/uq"),
        ("plugin unload pair mace/uq", "write_dump all custom a.dump id c_uq[*]", "needs pair style mace/uq"),
        ("plugin unload compute uq", 'print "$(c_tot[1])"', "tot"),
        ("plugin unload compute uq/atom", "write_dump all custom a.dump id c_uq[*]", "uq"),
        ("plugin unload fix UQ/COLUMNS", "write_dump all custom a.dump id c_uq[*]", "has been deleted: define the compute again"),
        ("unfix uq_UQ_COLUMNS", "run 1", "has been deleted: define the compute again"),
    ],
)
def test_unloaded(unload, then, error, lammps):
    folder = lammps.new_folder()
    (folder / "in.run").write_text(plugin_script(lammps, folder, unload, then))
    done = execute("lmp-uq", "run", "-in", "in.run", folder=folder)
    assert done.code == 1 and error in done.text.split("ERROR", 1)[1], done.text[-2000:]


@pytest.mark.parametrize("unload", ["plugin unload fix uq/halt", "unfix stop\nunfix keep\nuncompute tot"])
def test_what_is_left_goes_on(unload, lammps):
    folder = lammps.new_folder()
    (folder / "in.run").write_text(plugin_script(lammps, folder, unload, "run 2"))
    done = execute("lmp-uq", "run", "-in", "in.run", folder=folder)
    assert done.code == 0 and len(thermo_tables(done.text)) == 2, done.text[-2000:]


def test_clear_and_again(lammps):
    """A second life in the same process."""
    folder = lammps.new_folder()
    script = plugin_script(lammps, folder)
    (folder / "in.run").write_text(f"{script}\nclear\n{script}")
    done = execute("lmp-uq", "run", "-in", "in.run", folder=folder)
    first, second = thermo_tables(done.text)
    assert done.code == 0 and all((first[name] == second[name]).all() for name in first)
