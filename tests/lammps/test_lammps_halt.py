# SPDX-License-Identifier: GPL-2.0-or-later
"""A soft fix uq/halt leaves nobody waiting: several partitions, commands that run in parts, and rerun."""

from __future__ import annotations

import re

import pytest
from lammps_cases import HOT, crystal
from lammps_processes import execute

RANKS = pytest.mark.parametrize("n", [1, 2])
SOFT = "fix h all uq/halt 1 grade > {} error soft"
NEVER = "cannot stop {}, which would wait for ever for steps that a stopped run no longer makes; accepted: error hard"


def stops_of(log):
    return [int(step) for step in re.findall(r"Fix uq/halt h: run stops at step (\d+)", log)]


# ---- partitions ---------------------------------------------------------------------------------------------------------------------


def partitions(lammps, *more):
    """Two worlds of one rank each; the log of each."""
    folder = lammps.new_folder()
    (folder / "in.run").write_text(lammps.write(folder, crystal(), *more))
    done = execute("lmp-uq", "run", "-partition", "2x1", "-in", "in.run", ranks=2, folder=folder, timeout=100)
    return done, [(folder / f"log.lammps.{k}").read_text() for k in (0, 1)]


COUPLED = {
    "one of the partitions of fix r (neb)": ("fix r all neb 1.0", "min_style quickmin", "neb 0 1e-3 10 10 5 none"),
    "one of the partitions of fix r (pimd/langevin)": ("fix r all pimd/langevin thermostat PILE_L 4 temp 300", "run 10"),
    "one of the partitions of fix r (alchemy)": ("variable l equal 0.5", "fix r all alchemy v_l", "fix f all nve", "run 10"),
}


@pytest.mark.parametrize("what", COUPLED)
def test_partitions_that_exchange_something_on_every_step_are_not_stopped_softly(what, lammps):
    """Only one of them would be stopped: an error at set-up, before any step."""
    done, logs = partitions(lammps, "variable x world 0 1e9", SOFT.format("${x}"), *COUPLED[what])
    assert done.code != 0 and any(NEVER.format(what) in log for log in logs)
    assert not any(stops_of(log) for log in logs)


TEMPER = ("variable t world 300.0 600.0", "variable x world 1e9 0", "fix t all nvt temp $t $t 0.1", "timestep 0.0005", SOFT.format("${x}"))


def test_temper_is_stopped_in_all_partitions(lammps):
    done, logs = partitions(lammps, *TEMPER, "velocity all create $t 7", "temper 40 10 $t t 1 2", "run 5", "print 'AT $(step)'")
    assert done.code == 0 and [stops_of(log) for log in logs] == [[], [1]]
    assert [re.findall(r"\nAT (\d+)", log) for log in logs] == [["10"], ["1"]], "all were stopped, and the run after it is skipped by all"


@pytest.mark.parametrize("first", ["run 10", "minimize 0 0 5 9"])
def test_a_partition_that_was_stopped_goes_on_with_the_others(first, lammps):
    """Else it would skip the temper command, in which they wait for it."""
    more = ("velocity all create $t 7", first, "print 'AT $(step)'", "reset_timestep 10", "unfix h", "temper 20 10 $t t 1 2", "print END")
    done, logs = partitions(lammps, *TEMPER, *more)
    assert done.code == 0 and all("\nEND" in log for log in logs)
    assert stops_of(logs[1]) == [1] and stops_of(logs[0]) == []
    assert all(re.findall(r"\n +30 .*\n", log) for log in logs), "both have tempered"


# ---- commands of several runs -------------------------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("command", ["hyper 4 2 NULL e", "prd 4 2 1 2 2 e 7"])
def test_commands_that_look_for_events_are_not_stopped_softly(n, command, lammps):
    """They repeat their runs until steps are made, in one partition too. A hard stop ends them."""
    more = (HOT, "compute e all event/displace 9.0")
    text = lammps.fails(crystal(), *more, SOFT.format(1e9), command, n=n)
    assert NEVER.format("command " + command.split()[0]) in text
    lammps.run(crystal(), *more, SOFT.format(1e9).replace("soft", "hard"), command, n=n)
    assert "run stops at step 1: grade" in lammps.fails(crystal(), *more, SOFT.format(0).replace("soft", "hard"), command, n=n)


# ---- rerun --------------------------------------------------------------------------------------------------------------------------


DUMP = ("dump t all custom 2 t.dump id type x y z", "dump_modify t sort id format float %.17g", "run 8", "undump t")
RERUN = "rerun t.dump dump x y z"


@RANKS
def test_a_rerun_says_once_that_it_goes_on(n, lammps):
    """The run that follows is made; a second rerun says it again. Every frame is checked, the first one too."""
    more = (HOT, "compute g all uq grade_max", "thermo_style custom step c_g", "thermo 2", *DUMP, SOFT.format(0))
    result = lammps.run(crystal(), *more, RERUN, RERUN, "unfix h", "run 3", n=n)
    told = re.findall(r"Fix uq/halt h: beyond at step (\d+): grade = .*, check 1 in a row; the rerun goes on", result.log)
    assert told == ["0", "0"] and stops_of(result.log) == []
    assert [list(table["Step"]) for table in result.thermo[1:3]] == [[0, 2, 4, 6, 8]] * 2
    assert result.thermo[3]["Step"][-1] == 11


@RANKS
def test_frames_of_a_rerun_count_in_a_row(n, lammps):
    more = (HOT, *DUMP, SOFT.format(0) + " consecutive 3")
    assert "beyond at step 4: grade" in lammps.run(crystal(), *more, RERUN, n=n).log
    assert "run stops at step 4: grade" in lammps.fails(crystal(), *(line.replace("soft", "hard") for line in more), RERUN, n=n)
