# SPDX-License-Identifier: GPL-2.0-or-later
"""fix uq/average with a foundation model: features, their derivatives by strain, and bars as Python has them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase.build import bulk
from averages_example import blocks
from lammps_cases import HOT, TORCH, crystal
from lammps_processes import execute

from lmp_uq import modelfile
from lmp_uq.averages.estimators import BOLTZMANN
from lmp_uq.averages.sampling import MaceFrames, read_run
from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.linear.potential import BAR
from lmp_uq.posterior import Box
from lmp_uq.run.engine import Engine

TEMPERATURE = 3000.0
KEYS = "c_thermo_pe c_thermo_press[*] c_virial c_gyration"
LINES = (
    "compute u all uq energy_std energy_lower", "compute gyration all gyration", "compute virial all pressure NULL virial", HOT,
    "thermo_style custom step pe c_thermo_press[*] c_virial c_gyration", "thermo_modify format float %.17g", "thermo 4",
    "dump d all custom 4 d.lammpstrj id element x y z", "dump_modify d sort id element Si O format float %.17g",
    f"fix a all uq/average 4 2 8 {KEYS} uq u temp {TEMPERATURE} file avg.txt",
)  # fmt: skip


def test_rows_by_strain_are_the_virial_of_members(models):
    """Central differences of the features, against reverse passes of the force members."""
    atoms = crystal(seed=3)
    source, engine = MaceFrames(str(models.full), engine="torch"), Engine.load(str(models.full), None, engine="torch", n_force_members=4)
    _, _, virial, row = source.sample(atoms, True)
    graph, _ = graph_of_frames([atoms], engine.backbone.elements, engine.cutoff)
    energies, gradients = np.empty(graph.n_local), np.empty(graph.vectors.shape)
    engine.evaluate(graph, energies, gradients, keep=True)
    assert virial == pytest.approx(-(graph.vectors * gradients).sum(), rel=1e-10)
    pulled = np.empty((4, *graph.vectors.shape))
    engine.member_gradients(0, pulled)
    expected = [-(graph.vectors * one).sum() for one in pulled]
    assert np.allclose(engine._force_members @ row, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("n", [1, 2])
def test_averages_are_those_of_python(n, lammps, models):
    result = lammps.run(crystal(), *LINES, "run 16", n=n)
    table, frames = result.thermo[0], read_run([result.folder / "d.lammpstrj"])[1:]
    file = modelfile.read(models.full)
    box, members = Box.from_tensors(file.section("posterior")), file.tensors["posterior/members"]
    source = MaceFrames(str(models.full), engine="torch")
    found = [source.sample(atoms, True) for atoms in frames]
    features, volume, beta = np.array([one[1] for one in found]), frames[0].get_volume(), 1.0 / (BOLTZMANN * TEMPERATURE)
    summary, rows = blocks(result.folder / "avg.txt")[-1]
    names = ("PotEng", *(f"c_thermo_press[{k}]" for k in range(1, 7)), "c_virial", "c_gyration")
    explicit = {"PotEng": features, "c_virial": np.array([one[3] for one in found]) / (3.0 * volume) * BAR}
    assert summary[2] == 4
    for row, name in zip(rows, names, strict=True):
        values = table[name][1:]
        g = -beta * np.cov(values, features.T, bias=True)[0, 1:]
        if name in explicit:
            g = g + explicit[name].mean(axis=0)
        elif name != "c_gyration":
            continue
        assert row[0] == pytest.approx(values.mean(), rel=1e-10)
        assert row[1] == pytest.approx(box.rms(g), rel=1e-5), name
        assert row[3] - row[0] == pytest.approx(box.bounds(g, len(members))[1], rel=1e-5), name
    # the trace of the components is three times the scalar: six strains and one
    assert np.isfinite(rows).all() and (rows[1:7, 1] > 0).all()


def test_components_and_trace_agree_and_the_step_is_untouched(lammps):
    """Bars of this step asked for behind the strained evaluations are those without them."""
    ask = "compute m all uq force_std_max stress_std\nthermo_style custom step pe c_u[*] c_m[*]\nthermo_modify format float %.17g\nthermo 8"
    plain = lammps.run(crystal(), *LINES[:-1], ask, "run 8").thermo[0]
    scalar = LINES[-1].replace(KEYS, "c_virial").replace("avg.txt", "one.txt").replace("fix a ", "fix o ")
    result = lammps.run(crystal(), *LINES, scalar, ask, "run 8")
    for name, column in result.thermo[0].items():
        assert np.allclose(column, plain[name], rtol=1e-13), name
    assert np.allclose(blocks(result.folder / "avg.txt")[-1][1][7], blocks(result.folder / "one.txt")[-1][1][0], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2])
def test_a_sample_with_pressures_runs_the_model_forwards_only(n, lammps):
    """Two passes for each strain, none with derivatives: one of those would cost as much as the step itself."""
    for inputs, strains in (("c_thermo_pe", 0), ("c_thermo_pe c_thermo_press", 1), ("c_thermo_press[*]", 6)):
        line = f"fix a all uq/average 4 2 8 {inputs} uq u temp {TEMPERATURE}"
        state = lammps.state(crystal(), LINES[0], HOT, line, "run 8", "#snapshot end", n=n, pair=TORCH)
        samples = 2    # steps 4 and 8
        assert state["passes"] == {"evaluate": 9} | ({"feature_sum_of": 2 * strains * samples} if strains else {}), inputs


COST = """
import sys, time
from lmp_uq.parallel.library import preload_mpi
preload_mpi()
from lammps import lammps

def seconds(run):    # of this process: others on the same cores do not count
    begun = time.process_time()
    run.command("run 20 pre no post no")
    return time.process_time() - begun

runs = []
for more in ("", "compute u all uq energy_std\\nfix a all uq/average 1 20 20 c_thermo_press[*] uq u temp 300"):
    runs.append(lammps(cmdargs=["-screen", "none", "-log", "none"]))
    runs[-1].commands_string(open("in.run").read() + more)
    runs[-1].command("run 1 post no")
print("RATIO", min(seconds(runs[1]) for _ in range(4)) / min(seconds(runs[0]) for _ in range(4)))
"""


def test_a_sample_of_six_pressures_costs_a_few_steps(lammps):
    """About five plain steps; with derivatives it would be fourteen."""
    atoms = bulk("W", "bcc", a=3.2, cubic=True).repeat(3)
    atoms.positions += np.random.default_rng(1).normal(0.0, 0.05, atoms.positions.shape)
    folder = lammps.new_folder()
    pair = "pair_style mace/uq engine native\npair_coeff * * nbmotaw W"
    (folder / "in.run").write_text(lammps.write(folder, atoms, "fix move all nve", elements=("W",), pair=pair))
    (folder / "cost.py").write_text(COST)
    done = execute("python", "cost.py", folder=folder)
    found = re.search(r"RATIO (\S+)", done.text)
    assert found and float(found[1]) < 8.0, done.text


def test_a_file_without_posterior_is_refused(lammps, models):
    lines = [line.replace("energy_std energy_lower", "energy_std") for line in LINES]
    assert "posterior" in lammps.fails(crystal(), *lines, "run 10", model=models.bare)
