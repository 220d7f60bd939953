# SPDX-License-Identifier: GPL-2.0-or-later
"""Engines for MACE side by side: CPU time of energies and forces, ours against whichever of the others this interpreter can import.

Random weights in the architecture of MACE-MPA-0 medium. Engines take turns in one process, in one thread; medians. Each is asked as its
users ask it: ours with its own edges, symmetrix-xl and symmetrix through their ASE calculators with an exact neighbour list (no skin),
torch on ready edges. "ours" is the engine on ready edges, "ours, edges" the same with making them, which is what compares with a
calculator. symmetrix-xl and symmetrix share a module name, so an environment holds one of them:

    python -m venv peers && peers/bin/pip install . symmetrix-xl-cpu-avx512
    OMP_NUM_THREADS=1 peers/bin/python benchmarks/peers.py [--repeats 7] [--systems Si64 Si512 W54 W432] [--folder FOLDER] [--torch]

The first call of symmetrix-xl compiles for minutes (it gives up after 10; --profile speed compiles much less). With --folder the converted
model and the compiled code (SYMMETRIX_JIT_CACHE) are kept there.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from native_engine import LARGEST_FOR_TORCH, described, frame, seconds

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone


def installed(name: str) -> bool:
    """Is a distribution of this name there?"""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def converted(folder: Path) -> Path:
    """The model in symmetrix' format."""
    import torch
    from tiny_models import mpa0_like

    out = folder / "medium.json"
    if not out.exists():
        torch.save(mpa0_like("128x0e+128x1o"), folder / "medium.model")
        command = [Path(sys.executable).parent / "symmetrix_extract_mace", "--model", folder / "medium.model", "--output", out]
        subprocess.run(command, check=True)
    return out


def calculators(precision: str, profile: str, folder: Path) -> dict:
    """Name -> ASE calculator of the others that are installed."""
    os.environ.setdefault("SYMMETRIX_JIT_CACHE", str(folder / "compiled"))
    Path(os.environ["SYMMETRIX_JIT_CACHE"]).mkdir(mode=0o700, exist_ok=True)
    if installed("symmetrix-xl"):
        from symmetrix import Symmetrix

        return {"symmetrix-xl": Symmetrix(str(converted(folder)), dtype=precision, execution_profile=profile, neighbor_skin=0.0)}
    if installed("symmetrix") and precision == "float64":
        from symmetrix import Symmetrix

        return {"symmetrix": Symmetrix(str(converted(folder)), use_kokkos=False)}
    return {}


def on_edges(backbone, graph, atoms):
    """A call that gives energy and forces by an engine of ours; graph None: with making the edges."""

    def call():
        edges = graph if graph is not None else graph_of_frames([atoms], backbone.elements, backbone.cutoff)[0]
        evaluation = backbone.evaluate(edges)
        gradients = backbone.pull(evaluation.state, np.ones(edges.n_local))
        forces = np.zeros((edges.n_local, 3))
        np.add.at(forces, edges.centres, gradients)
        np.subtract.at(forces, edges.neighbours, gradients)
        return float(evaluation.energies.sum()), forces

    return call


def by_calculator(calculator, atoms):
    """The same by an ASE calculator, which thinks that the atoms have moved."""

    def call():
        calculator.calculate(atoms, ["energy", "forces"], ["positions"])
        return calculator.results["energy"], calculator.results["forces"]

    return call


def measure(calls: dict, n_atoms: int, repeats: int) -> dict:
    """Median microseconds per atom of each call, taken in turn."""
    samples: dict = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            samples[name].append(1e6 * seconds(call, time.process_time)[0] / n_atoms)
    return {name: statistics.median(values) for name, values in samples.items()}


def run(precision: str, options, folder: Path) -> None:
    """Measure one precision on all systems and print its rows."""
    model = described("medium")
    ours = MaceNativeBackbone(*model, precision=precision, threads=1)
    torch_engine = MaceTorchBackbone(*model, precision=precision) if options.torch else None
    others = calculators(precision, options.profile, folder)
    for system in options.systems:
        atoms = frame(system)
        graph = graph_of_frames([atoms], ours.elements, ours.cutoff)[0]
        calls = {"ours": on_edges(ours, graph, atoms), "ours, edges": on_edges(ours, None, atoms)}
        calls |= {name: by_calculator(calculator, atoms) for name, calculator in others.items()}
        if torch_engine is not None and len(atoms) < LARGEST_FOR_TORCH:
            calls["torch"] = on_edges(torch_engine, graph, atoms)
        results = {name: call() for name, call in calls.items()}
        times = measure(calls, len(atoms), options.repeats)
        energy, forces = results["ours"]
        print(f"\n{system}, {precision}: {len(graph.centres) / len(atoms):.1f} neighbours, medians of {options.repeats}")
        print(f"{'':14s} {'us/atom':>9s} {'/ ours':>7s} {'dE eV/atom':>11s} {'dF eV/A':>9s}")
        for name, value in times.items():
            difference = abs(results[name][0] - energy) / len(atoms), np.abs(results[name][1] - forces).max()
            print(f"{name:14s} {value:9.1f} {value / times['ours']:7.2f} {difference[0]:11.1e} {difference[1]:9.1e}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=["Si64", "Si512", "W54", "W432"])
    parser.add_argument("--precisions", nargs="+", default=["float64", "float32"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--profile", choices=["capacity", "speed"], default="capacity", help="of symmetrix-xl; speed compiles much less")
    parser.add_argument("--folder", type=Path, help="keeps the converted model and what symmetrix-xl compiled")
    parser.add_argument("--torch", action="store_true", help="mace-torch too: slow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for precision in options.precisions:
            run(precision, options, folder)


if __name__ == "__main__":
    main()
