# SPDX-License-Identifier: GPL-2.0-or-later
"""A step of LAMMPS against the engine alone, and what two ranks or two threads make of it.

For each model and precision, in turn: energies and forces of a crystal by the native engine in this process (no LAMMPS, no neighbour list,
no ghosts), and runs of `lmp-uq run` on as many atoms with one rank, two ranks, two threads. "pair" is the time that LAMMPS gives for the
pair style, "loop" the whole step, "serial %" the share of the pair style on one rank that no threads share out. Medians of all repeats;
ratios are of one run of this script.

    OMP_NUM_THREADS=1 python benchmarks/whole_step.py [--models medium nbmotaw] [--cells 12] [--steps 8] [--repeats 5]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from cost_per_step import SYSTEM
from native_engine import seconds

INPUT = SYSTEM.replace("mace/uq", "mace/uq engine native precision {precision} threads {threads}", 1) + "run {steps}\n"
SETUPS = {"1 rank": (1, 1), "2 ranks": (2, 1), "2 threads": (1, 2)}


def model_file(name: str, folder: Path) -> str:
    """A *.uq file: as named, or random weights in the architecture of MACE-MPA-0 medium or small."""
    if name not in ("medium", "small"):
        return name
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from tiny_models import mpa0_like

    from lmp_uq.recipes.convert import convert

    path = folder / f"{name}.uq"
    torch.save(mpa0_like("128x0e+128x1o" if name == "medium" else "128x0e"), folder / f"{name}.model")
    convert(str(folder / f"{name}.model"), path)
    return str(path)


def engine_alone(model: str, precision: str, cells: int):
    """A call that gives one energy and gradient of the same crystal."""
    from ase.build import bulk

    from lmp_uq import modelfile
    from lmp_uq.backbone.graph import graph_of_frames
    from lmp_uq.backbone.load import load_backbone

    file = modelfile.read(modelfile.resolve(model))
    backbone = load_backbone(file.header.backbone.to_dict(), file.section("backbone"), precision, "cpu", engine="native", threads=1)
    atoms = bulk("Ta", "bcc", a=3.24, cubic=True) * ((cells,) * 3)
    atoms.symbols[np.random.default_rng(1).random(len(atoms)) < 0.5] = "W"
    atoms.rattle(0.05, seed=1)
    graph, _ = graph_of_frames([atoms], backbone.elements, backbone.cutoff)
    ones = np.ones(graph.n_local)
    return lambda: backbone.pull(backbone.evaluate(graph).state, ones)


def lammps_run(model: str, precision: str, setup: str, options, folder: Path) -> tuple[float, float, float]:
    """Pair and loop time of a run, seconds for each step; serial share in percent."""
    ranks, threads = SETUPS[setup]
    script = folder / "in.step"
    script.write_text(INPUT.format(model=model, precision=precision, threads=threads, cells=options.cells, steps=options.steps))
    scripts = Path(sys.executable).parent
    command = [str(scripts / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
    command += [str(scripts / "lmp-uq"), "run", "-in", str(script), "-log", "none"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    loop, pair = re.search(r"Loop time of (\S+)", done.stdout), re.search(r"Pair\s+\|\s*\S+\s*\|\s*(\S+)", done.stdout)
    serial = re.search(r"one thread alone (\S+) %", done.stdout)
    if done.returncode or not loop or not pair or not serial:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(pair[1]) / options.steps, float(loop[1]) / options.steps, float(serial[1])


def measure(name: str, model: str, precision: str, options, folder: Path) -> None:
    """One model in one precision: print its row."""
    alone = engine_alone(model, precision, options.cells)
    alone()
    samples = {"alone": []} | {setup: [] for setup in SETUPS}
    for _ in range(options.repeats):
        samples["alone"].append(seconds(alone)[0])
        for setup in SETUPS:
            samples[setup].append(lammps_run(model, precision, setup, options, folder))
    n_atoms = 2 * options.cells**3
    pair, loop, serial = ({setup: statistics.median(run[k] for run in samples[setup]) for setup in SETUPS} for k in range(3))
    engine = statistics.median(samples["alone"])
    columns = [engine, pair["1 rank"], loop["1 rank"]]
    print(
        f"{name:10s} {precision:8s} {n_atoms:6d} "
        + " ".join(f"{1e6 * value / n_atoms:9.1f}" for value in columns)
        + f" {pair['1 rank'] / engine:9.3f} {loop['1 rank'] / engine:9.3f}"
        + "".join(f" {loop['1 rank'] / loop[setup]:10.2f}" for setup in list(SETUPS)[1:])
        + f" {serial['1 rank']:8.2f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["medium", "nbmotaw"], help="medium or small (random weights), a *.uq with Ta and W")
    parser.add_argument("--precisions", nargs="+", default=["float64", "float32"])
    parser.add_argument("--cells", type=int, default=12, help="bcc cells along each axis")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"microseconds per atom and step, medians of {options.repeats} runs of {options.steps} steps")
    print(
        f"{'model':10s} {'':8s} {'atoms':>6s} {'engine':>9s} {'pair':>9s} {'loop':>9s} {'pair/eng.':>9s} {'loop/eng.':>9s} "
        f"{'2 ranks':>10s} {'2 threads':>10s} {'serial %':>8s}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            model = model_file(name, Path(folder))
            for precision in options.precisions:
                measure(name, model, precision, options, Path(folder))


if __name__ == "__main__":
    main()
