# SPDX-License-Identifier: GPL-2.0-or-later
"""The line of the pair style at the end of a run: where its time went."""

from __future__ import annotations

import re

import pytest
from lammps_cases import HOT, crystal

LINE = re.compile(r"mace/uq: (\S+) s on average of the ranks: edges (\S+) %, model (\S+) %, exchange (\S+) %, bars (\S+) %")
ASKED = ("compute tot all uq grade_max force_std_max", "thermo_style custom step c_tot[*]", "thermo 1")


def lines_and_loops(log: str) -> tuple[list[list[float]], list[float]]:
    loops = re.findall(r"Loop time of (\S+) on", log)
    return [[float(word) for word in found] for found in LINE.findall(log)], [float(word) for word in loops]


@pytest.mark.parametrize("n", [1, 2])
def test_each_run_has_its_own_time(n, lammps):
    """Also runs that skip their set-up, and minimizations; set-up and run 0 are left out."""
    runs = ("run 30", "run 0", "run 1 pre no", 'run 4 pre no every 2 "print x"', "minimize 0 0 1 1")
    found, loops = lines_and_loops(lammps.run(crystal(), HOT, *ASKED, *runs, n=n).log)
    loops.pop(1)
    assert len(found) == len(loops) == 5
    for (seconds, *shares), loop in zip(found, loops, strict=True):
        assert 0.0 < seconds < 1.1 * loop and sum(shares) == pytest.approx(100.0, abs=0.3) and min(shares) > 0.0


def test_bars_that_nobody_asked_for(lammps):
    found, _ = lines_and_loops(lammps.run(crystal(), HOT, "run 3", "timer off", "run 3").log)
    assert len(found) == 1 and found[0][-1] == 0.0
