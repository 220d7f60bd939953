# SPDX-License-Identifier: GPL-2.0-or-later
"""Cost of energies, descriptors and forces: torch and the native engine in float64 and float32, in turn, in one process.

Models: random weights in the architectures of MACE-MPA-0 medium (128x0e+128x1o) and small (128x0e), 89 elements, of MACE-MH-1 (mh1) and
MACE-OMOL-0 extra large (omol); the embedded model.
Time of one step per atom, medians; ratios are to torch in float64. "gflop/s" counts what the step needs (see `useful_flops`), "/ floor" is
its time over that of as many operations in numpy's matrix product of the same precision and run. "serial %" is what one thread does
outside the parts that threads share, of what it does in the engine. Also the cost of each further stacked pull and the memory of the
tables. --memory: instead, what a step and stacked pulls take per atom (peak of a process of their own, without model, tables and
graph). --foundations: instead, one row for each published architecture with random weights, by mace-torch's names: atoms
a second and kB per atom of a step, in one thread, for silicon or, of the organic models, ethanol.

    OMP_NUM_THREADS=1 python benchmarks/native_engine.py [--repeats 5] [--models medium small nbmotaw] [--systems Si64 W54]
                                                         [--threads 1 2] [--no-torch] [--frames FILE] [--memory]
                                                         [--foundations [NAME ...]]
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import itertools
import json
import multiprocessing
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from lmp_uq import _native

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

N_STACKED = 8
ARCHITECTURE = "architecture"  # its name among the arrays of a stored model
RANDOM = ("medium", "small", "mh1", "omol")  # architectures with random weights
LARGEST_FOR_TORCH = 2000  # atoms: more take too much memory


def frame(name):
    """Bulk silicon or tungsten with atoms displaced by 0.05 Angstrom; an Nb-Mo-Ta-W alloy; ethanol at its density, in a cubic array."""
    from ase.build import bulk, molecule

    kind = name.rstrip("0123456789")
    if kind == "Ethanol":
        atoms = molecule("CH3CH2OH", cell=4.6 * np.eye(3), pbc=True) * ((round((int(name.removeprefix(kind)) / 9) ** (1 / 3)),) * 3)
        atoms.rattle(0.05, seed=1)
        return atoms
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
    from tiny_models import describe_mace, mh1_like, mpa0_like, omol_like

    from lmp_uq import modelfile

    if name.endswith(".npz"):  # a foundation model, of another process
        stored = dict(np.load(name))
        return json.loads(str(stored.pop(ARCHITECTURE))), stored
    if name in ("medium", "small"):
        return describe_mace(mpa0_like("128x0e+128x1o" if name == "medium" else "128x0e"))
    if name in ("mh1", "omol"):
        return describe_mace(mh1_like(), head="omat_pbe") if name == "mh1" else describe_mace(omol_like())
    file = modelfile.read(modelfile.resolve(name))
    return file.header.backbone.architecture, file.section("backbone")


def seconds(work, clock=time.perf_counter):
    """Time of one call and its result."""
    start = clock()
    result = work()
    return clock() - start, result


def peak_growth(work):
    """Bytes that this process grows by while it works, at most."""
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to be used again unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident

    def peak():
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

    before = peak()
    work()
    return peak() - before


def memory(model, system, precision, first="Si64"):
    """kB per atom of a step, and of a step with 1 and with 4 stacked pulls after it: to be called in a fresh process."""
    from lmp_uq.backbone.graph import graph_of_frames
    from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone

    backbone = MaceNativeBackbone(*described(model), precision=precision, threads=1)
    small, graph = (graph_of_frames([frame(name)], backbone.elements, backbone.cutoff)[0] for name in (first, system))
    Case(backbone, small).step()
    kept = []

    def step():
        kept[:] = [backbone.evaluate(graph)]
        kept.append(backbone.pull(kept[0].state, np.ones(graph.n_local)))

    grown = [peak_growth(step)]
    for n_sets in (1, 4):
        sets = np.zeros((n_sets, graph.n_local, backbone.n_features))
        grown.append(grown[-1] + peak_growth(functools.partial(backbone.pull, kept[0].state, None, sets)))
    return [bytes / graph.n_local / 1e3 for bytes in grown]


def in_fresh_process(work, *arguments):
    """What work(*arguments) returns there."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def foundations(names, repeats):
    """Print the row of each architecture: what is measured is one thread's CPU time and a process of its own for each precision."""
    from foundation_models import FOUNDATIONS, foundation_model
    from tiny_models import describe_mace

    from lmp_uq.backbone.graph import graph_of_frames
    from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone

    columns = ["model", "architecture", "system", "neighbours", "atoms/s float64, float32", "kB/atom float64, float32"]
    print(f"| {' | '.join(columns)} |\n{len(columns) * '|---'}|", flush=True)
    for name in names or FOUNDATIONS:
        kind = FOUNDATIONS[name]
        first, system = ("Ethanol72", "Ethanol243") if name.startswith("off") else ("Si64", "Si512")
        architecture, tensors = describe_mace(foundation_model(name), head=kind.get("heads", [None])[-1])
        speeds, memories = [], []
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/{name}.npz"
            np.savez(path, **{ARCHITECTURE: json.dumps(architecture)}, **tensors)
            for precision in ("float64", "float32"):
                backbone = MaceNativeBackbone(architecture, tensors, precision=precision, threads=1)
                graph = graph_of_frames([frame(system)], backbone.elements, backbone.cutoff)[0]
                case = Case(backbone, graph)
                case.step()
                speeds.append(1e6 / statistics.median(1e6 * seconds(case.step, case.clock)[0] / graph.n_local for _ in range(repeats)))
                memories.append(in_fresh_process(memory, path, system, precision, first)[0])
        neighbours = len(graph.centres) / graph.n_local
        print(
            f"| {name} | {architecture['hidden_irreps']}, {architecture['r_max']:g} Angstrom | {system} | {neighbours:.0f} | "
            f"{speeds[0]:.0f}, {speeds[1]:.0f} | {memories[0]:.0f}, {memories[1]:.0f} |",
            flush=True,
        )


def useful_flops(architecture, neighbours):
    """Floating-point operations per atom of energy and forces, and of a further stacked pull.

    Counted are tabulated radial functions (which pulls share), products of features and harmonics summed over neighbours before they are
    coupled, matrix products over channels; forward and reverse.
    """
    irreps, n_layers = architecture["hidden_irreps"].split("+"), architecture["num_interactions"]
    channels, degrees, l_max = int(irreps[0].split("x")[0]), list(range(len(irreps))), architecture["max_ell"]
    n_y, step, pull = (l_max + 1) ** 2, 0.0, 0.0
    nonlinear = "NonLinear" in architecture["interaction"]
    edges = int(architecture["edge_irreps"].split("x")[0]) if architecture["edge_irreps"] else channels
    sent = [edges if architecture["use_edge_irreps_first"] else channels] + [edges] * n_layers  # channels that edges fetch
    for layer in range(n_layers):
        l_in = [0] if layer == 0 else degrees
        paths = [(a, b, c) for a in l_in for b in range(l_max + 1) for c in range(abs(a - b), min(a + b, l_max) + 1, 2)]
        products = sum((2 * a + 1) * (2 * b + 1) for a, b, _ in paths)
        messages = sum(2 * c + 1 for *_, c in paths)
        forward, reverse = (2 * products, 4 * products) if layer else (2 * n_y, 3 * n_y)
        out = degrees if layer + 1 < n_layers else [0]
        matrices = n_components(out) * (channels * (2 if layer else 1) + sent[layer + 1])
        if layer or nonlinear:
            matrices += messages * sent[layer]
        if nonlinear:  # gates, what the atoms themselves send, the map after the gate
            gates = l_max * sum(c == 0 for *_, c in paths)
            matrices += sent[layer] * (gates + (n_components(l_in) + l_max if layer else 0)) + channels * n_y
        step += sent[layer] * neighbours * (forward + reverse + 30 * len(paths)) + channels * (4 * matrices + 8 * 120 * len(out))
        pull += sent[layer] * neighbours * reverse + channels * (2 * matrices + 2 * n_y * len(out))
    return step, pull


def n_components(degrees):
    return sum(2 * degree + 1 for degree in degrees)


def matrix_rate(precision, repeats=5):
    """Operations per second of numpy's matrix product in one thread."""
    a = np.random.default_rng(0).normal(size=(1024, 1024)).astype(precision)
    return 2 * 1024**3 / min(seconds(lambda: a @ a, time.thread_time)[0] for _ in range(repeats))


class Case:
    """One engine on one graph: the time of a step and of the pieces that uncertainty adds. CPU time of one thread, wall time of more."""

    def __init__(self, backbone, graph, threads=1):
        self.backbone, self.graph, self.samples = backbone, graph, {"step": [], "stacked": [], "serial": []}
        self.clock = time.thread_time if threads == 1 else time.perf_counter
        self.native = backbone.engine == "native"
        self.ones = np.ones(graph.n_local)

    def step(self):
        evaluation = self.backbone.evaluate(self.graph)
        return evaluation, self.backbone.pull(evaluation.state, self.ones)

    def measure(self):
        before = np.array(_native.engine_seconds())
        elapsed, (evaluation, _) = seconds(self.step, self.clock)
        self.samples["step"].append(1e6 * elapsed / self.graph.n_local)
        engine, shared = np.array(_native.engine_seconds()) - before
        self.samples["serial"].append(100.0 * (1.0 - shared / max(engine, 1e-9)))
        if self.native:
            sets = np.random.default_rng(0).normal(size=(N_STACKED, self.graph.n_local, self.backbone.n_features))
            elapsed, _ = seconds(lambda: self.backbone.pull(evaluation.state, None, sets), self.clock)
            self.samples["stacked"].append(1e6 * elapsed / self.graph.n_local / N_STACKED)

    def median(self, what="step"):
        return statistics.median(self.samples[what])


def backbones_of(architecture, tensors, options):
    """Name -> (backbone, threads)."""
    from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone
    from lmp_uq.backbone.mace.torch_engine import MaceTorchBackbone

    out = {}
    for precision in ("float64", "float32"):
        if not options.no_torch:
            out[f"torch {precision}"] = MaceTorchBackbone(architecture, tensors, precision=precision), 1
        for threads in options.threads:
            name = f"native {precision}" + (f", {threads} threads" if threads > 1 else "")
            out[name] = MaceNativeBackbone(architecture, tensors, precision=precision, threads=threads), threads
    mixed = MaceNativeBackbone(architecture, tensors, precision="float64", single_precision_bars=True, threads=1)
    out["native float64, bars float32"] = mixed, 1
    return out


def graphs(systems, options, backbone):
    """Name and graph of each system, or of the frames of a file together."""
    from lmp_uq.backbone.graph import graph_of_frames

    if options.frames:
        import ase.io

        yield options.frames, graph_of_frames(ase.io.read(options.frames, ":20"), backbone.elements, backbone.cutoff)[0]
        return
    for system in systems:
        yield system, graph_of_frames([frame(system)], backbone.elements, backbone.cutoff)[0]


def run(model, systems, options):
    """Measure one model on its systems and print the rows."""
    import torch

    torch.set_num_threads(1)
    architecture, tensors = described(model)
    backbones = backbones_of(architecture, tensors, options)
    rates = {precision: matrix_rate(precision) for precision in ("float64", "float32")}
    for system, graph in graphs(systems, options, backbones["native float64"][0]):
        cases = {name: Case(backbone, graph, threads) for name, (backbone, threads) in backbones.items()}
        if graph.n_local > LARGEST_FOR_TORCH:
            cases = {name: case for name, case in cases.items() if case.native}
        results = {name: case.step() for name, case in cases.items()}
        for _ in range(options.repeats):
            for case in cases.values():
                case.measure()
        neighbours = len(graph.centres) / graph.n_local
        flops, pull = useful_flops(architecture, neighbours)
        head = f"{model}, {system}: {graph.n_local} atoms, {neighbours:.1f} neighbours, {flops / 1e6:.1f} Mflop/atom"
        print(f"\n{head}, medians of {options.repeats}; a further pull needs {pull / flops:.2f} of a step's operations")
        print(f"matrix product: {rates['float64'] / 1e9:.0f} gflop/s in float64, {rates['float32'] / 1e9:.0f} in float32")
        report(cases, results, flops, rates)


def report(cases, results, flops, rates):
    reference = "torch float64" if "torch float64" in cases else "native float64"
    largest = np.abs(results[reference][1]).max()
    print(
        f"{'':28s} {'us/atom':>8s} {'min':>7s} {'max':>7s} {'ratio':>6s} {'gflop/s':>8s} {'/ floor':>8s} {'further pull':>13s} "
        f"{'dE eV/atom':>10s} {'dg/max|g|':>9s} {'tables MB':>9s} {'serial %':>8s}"
    )
    for name, case in cases.items():
        steps = case.samples["step"]
        energies = np.abs(results[name][0].energies - results[reference][0].energies).max()
        gradients = np.abs(results[name][1] - results[reference][1]).max() / largest
        floor = 1e6 * flops / rates["float32" if "float32" in name.split(",")[0] else "float64"]
        further = f"{case.median('stacked'):7.0f} ({case.median('stacked') / case.median():.2f})" if case.native else ""
        tables = f"{case.backbone.table_bytes / 1e6:.1f}" if case.native else ""
        serial = f"{case.median('serial'):.2f}" if case.native and case.clock is time.thread_time else ""
        print(
            f"{name:28s} {case.median():8.1f} {min(steps):7.1f} {max(steps):7.1f} {cases[reference].median() / case.median():6.1f} "
            f"{flops / case.median() / 1e3:8.2f} {case.median() / floor:8.1f} {further:>13s} {energies:10.1e} {gradients:9.1e} "
            f"{tables:>9s} {serial:>8s}",
            flush=True,
        )


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["medium", "small", "nbmotaw"], help="or any *.uq file")
    parser.add_argument("--systems", nargs="+", default=["Si64", "W54"], help="of random weights; other models: W54 Alloy54")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", nargs="+", type=int, default=[1], help="of the native engine")
    parser.add_argument("--frames", help="the first 20 frames of this file instead of the systems")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--memory", action="store_true", help="of architectures with random weights on the systems, instead of times")
    parser.add_argument("--foundations", nargs="*", metavar="NAME", help="a row for each of these, or of all that are published")
    options = parser.parse_args()
    if options.foundations is not None:
        foundations(options.foundations, options.repeats)
        return
    if options.memory:
        print("kB/atom: a step; the same and 1 further pull; and 4 stacked pulls", flush=True)
        cases = itertools.product(sorted(set(options.models) & set(RANDOM)), options.systems, ("float64", "float32"))
        for case in cases:
            print(f"{', '.join(case)}: " + " ".join(f"{number:.1f}" for number in in_fresh_process(memory, *case)), flush=True)
        return
    for model in options.models:
        run(model, options.systems if model in RANDOM else ["W54", "Alloy54"], options)


if __name__ == "__main__":
    main()
