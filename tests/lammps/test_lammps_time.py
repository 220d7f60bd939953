# SPDX-License-Identifier: GPL-2.0-or-later
"""The line of the pair style at the end of a run: where its time went."""

from __future__ import annotations

import re
from statistics import median

import pytest
from lammps_cases import HOT, PLAIN, crystal

LINE = re.compile(
    r"mace/uq: (\S+) s on average of the ranks: edges (\S+) %, model (\S+) %, exchange (\S+) %, bars (\S+) %; "
    r"(\d+) exchanges of (\S+) MB in all; one thread alone (\S+) %"
)
WIDTH = 32
"""Doubles of a row of the tiny model, (1 + 3) times 8 channels; of float32 numbers 16 channels, half of which are empty."""
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
    for (seconds, edges, model, exchange, bars, _, _, serial), loop in zip(found, loops, strict=True):
        assert 0.0 < seconds < 1.1 * loop and edges + model + exchange + bars == pytest.approx(100.0, abs=0.3)
        assert edges >= 0.0 and min(model, bars) > 0.0 and (exchange > 0.0 or n == 1)
        assert 0.0 < serial <= 100.0
    assert median(line[-1] for line in found) < 50.0  # of runs of milliseconds: where the machine pauses one of them, it says nothing


def test_bars_that_nobody_asked_for(lammps):
    found, _ = lines_and_loops(lammps.run(crystal(), HOT, "run 3", "timer off", "run 3").log)
    assert len(found) == 1 and found[0][4] == 0.0


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_step_exchanges_the_rows_of_a_layer_once_each_way(precision, lammps):
    """Between the two layers of the model; what other ranks hold of one atom is one row, and one rank exchanges nothing."""
    pair, atoms = PLAIN.replace("mace/uq", f"mace/uq precision {precision}", 1), crystal((2, 2, 2))
    runs = (HOT, "neigh_modify delay 100 every 100 check no", "run 7")
    found = {n: lines_and_loops(lammps.run(atoms, *runs, n=n, pair=pair, before="processors * 1 1").log)[0][0] for n in (1, 2)}
    assert found[1][5:7] == [0.0, 0.0]
    n_exchanges, megabytes = found[2][5:7]
    assert n_exchanges == 2 * 7
    most = len(atoms) * WIDTH * 8e-6 * n_exchanges  # each rank has all atoms of the other one as ghosts
    assert 0.9 * most < megabytes <= 1.001 * most
