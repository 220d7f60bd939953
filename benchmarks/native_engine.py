# SPDX-License-Identifier: GPL-2.0-or-later
"""Cost of energies, descriptors and forces: torch and the native engine in float64 and float32, in turn, in one process.

Models: random weights in the architectures of MACE-MPA-0 medium (128x0e+128x1o) and small (128x0e), 89 elements; the embedded model.
CPU time of one thread per atom, medians; ratios are to torch in float64. Also the cost of each further stacked pull and what tables take.
OMP_NUM_THREADS=1 python benchmarks/native_engine.py [--repeats 5] [--systems Si64 W54] [--models medium small nbmotaw] [--no-torch]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

N_STACKED = 8


def frame(name):
    """Bulk silicon or tungsten with atoms displaced by 0.05 Angstrom; an Nb-Mo-Ta-W alloy."""
    from ase.build import bulk

    kind = name.rstrip("0123456789")
    n_atoms = int(name.removeprefix(kind))
    atoms = bulk("Si", "diamond", a=5.43, cubic=True) if kind == "Si" else bulk("W", "bcc", a=3.2, cubic=True)
    atoms *= (round((n_atoms / len(atoms)) ** (1 / 3)),) * 3
    if len(atoms) != n_atoms:
        raise SystemExit(f"{name}: the crystal has {len(atoms)} atoms; accepted: Si8 Si64 Si512 Si4096, W54 W432, Alloy54 Alloy432")
    if kind == "Alloy":
        atoms.symbols = np.random.default_rng(0).choice(["Nb", "Mo", "Ta", "W"], n_atoms)
    atoms.rattle(0.05, seed=1)
    return atoms


def described(name):
    """Architecture and tensors of a model."""
    from tiny_models import describe_model, mpa0_like

    from lmp_uq import modelfile

    if name in ("medium", "small"):
        return describe_model(mpa0_like("128x0e+128x1o" if name == "medium" else "128x0e"))
    file = modelfile.read(modelfile.resolve(name))
    return file.header["backbone"]["architecture"], file.section("backbone")


def cpu_seconds(work):
    """CPU time of one call and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


class Case:
    """One engine on one graph: the time of a step and of the pieces that uncertainty adds."""

    def __init__(self, backbone, graph):
        self.backbone, self.graph, self.samples = backbone, graph, {"step": [], "stacked": []}
        self.ones = np.ones(graph.n_local)
        self.sets = np.random.default_rng(0).normal(size=(N_STACKED, graph.n_local, backbone.n_features))

    def step(self):
        evaluation = self.backbone.evaluate(self.graph)
        return evaluation, self.backbone.pull(evaluation.state, self.ones)

    def measure(self, stacked):
        seconds, (evaluation, gradients) = cpu_seconds(self.step)
        self.samples["step"].append(1e6 * seconds / self.graph.n_local)
        if stacked:
            seconds, _ = cpu_seconds(lambda: self.backbone.pull(evaluation.state, None, self.sets))
            self.samples["stacked"].append(1e6 * seconds / self.graph.n_local / N_STACKED)
        return evaluation, gradients

    def median(self, what="step"):
        return statistics.median(self.samples[what])


def run(model, systems, options):
    """Measure one model on its systems and print the rows."""
    import torch

    from lmp_uq.backbone.graph import graph_of_frames
    from lmp_uq.backbone.mace_native import MaceNativeBackbone
    from lmp_uq.backbone.mace_torch import MaceTorchBackbone

    torch.set_num_threads(1)
    architecture, tensors = described(model)
    backbones = {}
    for precision in ("float64", "float32"):
        if not options.no_torch:
            backbones[f"torch {precision}"] = MaceTorchBackbone(architecture, tensors, precision=precision)
        backbones[f"native {precision}"] = MaceNativeBackbone(architecture, tensors, precision=precision)
    for system in systems:
        graph, _ = graph_of_frames([frame(system)], backbones["native float64"].elements, backbones["native float64"].cutoff)
        cases = {name: Case(backbone, graph) for name, backbone in backbones.items()}
        results = {name: case.measure(False) for name, case in cases.items()}    # warm up; tables are made
        for case in cases.values():
            case.samples["step"].clear()
        for _ in range(options.repeats):
            for name, case in cases.items():
                case.measure("native" in name)
        report(model, system, graph, cases, results)


def report(model, system, graph, cases, results):
    reference = "torch float64" if "torch float64" in cases else "native float64"
    largest = np.abs(results[reference][1]).max()
    print(f"\n{model}, {system}, {len(graph.centres) / graph.n_local:.1f} neighbours, medians of {len(cases[reference].samples['step'])}")
    print(
        f"{'':16s} {'us/atom':>9s} {'min':>9s} {'max':>9s} {'ratio':>7s} {'further pull':>13s} {'dE eV/atom':>11s} "
        f"{'dg/max|g|':>10s} {'tables MB':>10s}"
    )
    for name, case in cases.items():
        steps, native = case.samples["step"], "native" in name
        energies = np.abs(results[name][0].energies - results[reference][0].energies).max()
        gradients = np.abs(results[name][1] - results[reference][1]).max() / largest
        further = f"{case.median('stacked'):7.0f} ({case.median('stacked') / case.median():.2f})" if native else ""
        tables = f"{case.backbone.table_bytes / 1e6:.1f}" if native else ""
        print(
            f"{name:16s} {case.median():9.0f} {min(steps):9.0f} {max(steps):9.0f} {cases[reference].median() / case.median():7.1f} "
            f"{further:>13s} {energies:11.1e} {gradients:10.1e} {tables:>10s}",
            flush=True,
        )


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["medium", "small", "nbmotaw"], help="or any *.uq file")
    parser.add_argument("--systems", nargs="+", default=["Si64", "W54"], help="of medium and small; other models: W54 Alloy54")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-torch", action="store_true")
    options = parser.parse_args()
    for model in options.models:
        run(model, options.systems if model in ("medium", "small") else ["W54", "Alloy54"], options)


if __name__ == "__main__":
    main()
