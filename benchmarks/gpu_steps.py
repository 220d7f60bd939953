# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine on a device: is it right, how long does a step take, and what do others take. Each subcommand prints a verdict or a table.

    check    every family of models and the embedded one: energies, descriptors and stacked pulls against the CPU's, and the same bits twice
    steps    energies and forces by evaluate and pull; further sets; memory
    lammps   steps of `lmp-uq run`, with no field, with all free ones, with force members
    model    build/gpu/medium.uq: random weights in the architecture of MACE-MPA-0 medium, four elements
    peers    symmetrix and mace-torch with cuEquivariance on the same device, where they are installed

    python benchmarks/gpu_steps.py steps --device cuda --models nbmotaw medium --atoms 64 2000 100000

--device cpu is the CPU engine. Times are wall times, medians.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

import numpy as np
from native_engine import described

from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.mace.native_engine import MaceNativeBackbone

BOUNDS = {"float64": 1e-10, "float32": 2e-5}  # of the largest number of each kind
N_SETS = 4  # stacked, of a pass
ALLOY = ("Nb", "Mo", "Ta", "W")


def crystal(elements, n_atoms: int):
    """Shaken bcc Nb, Mo, Ta, W, or whatever the model has, of about so many atoms."""
    from ase.build import bulk

    alloy = [name for name in ALLOY if name in elements] or elements[:2]
    atoms = bulk("W", "bcc", a=3.2, cubic=True)
    atoms *= (max(1, round((n_atoms / 2) ** (1 / 3))),) * 3
    atoms.symbols = np.random.default_rng(0).choice(alloy, len(atoms))
    atoms.rattle(0.05, seed=1)
    return atoms


def results(backbone, graph, seed: int = 0) -> dict[str, np.ndarray]:
    """Energies, descriptors, gradients of the energy and of stacked weights."""
    evaluation = backbone.evaluate(graph)
    weights = np.random.default_rng(seed).normal(size=(N_SETS + 1, graph.n_local, backbone.n_features))
    return {
        "energies": evaluation.energies,
        "descriptors": evaluation.descriptors,
        "gradients": backbone.pull(evaluation.state, np.ones(graph.n_local)),
        "stacked gradients": backbone.pull(evaluation.state, None, weights),
    }


def check(options) -> bool:
    """Print a line for each model and precision; whether all are right."""
    import native_families

    sources = {name: native_families.described for name in list(native_families.FAMILIES)[: options.families]}
    right = True
    for name, source in (sources | dict.fromkeys(options.models, described)).items():
        architecture, tensors = source(name)
        for precision, bound in BOUNDS.items():
            device = MaceNativeBackbone(architecture, tensors, precision=precision, threads=1, device=options.device)
            cpu = MaceNativeBackbone(architecture, tensors, precision=precision, threads=1)
            graph = graph_of_frames([crystal(cpu.elements, options.atoms[0])], cpu.elements, cpu.cutoff)[0]
            found, again, expected = results(device, graph), results(device, graph), results(cpu, graph)
            worst = {key: np.abs(found[key] - expected[key]).max() / np.abs(expected[key]).max() for key in expected}
            same = all(np.array_equal(found[key], again[key]) for key in found)
            good = same and all(value <= bound for value in worst.values())
            right &= good
            numbers = ", ".join(f"{key} {value:.1e}" for key, value in worst.items())
            verdict, bits = "ok" if good else "FAILED", "" if same else "; other bits the second time"
            print(f"{verdict} {name}, {precision}: {numbers}{bits}", flush=True)
    return right


def median_seconds(work, repeats: int) -> float:
    """After two other calls, or none where one is asked for."""
    times = []
    for k in range(-2 if repeats > 1 else 0, repeats):
        start = time.perf_counter()
        work()
        if k >= 0:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def device_memory() -> str:
    """MB in use by all that run on the device, by nvidia-smi."""
    try:
        command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError):
        return "-"


def steps(options) -> bool:
    """Print a row for each model, precision and number of atoms."""
    times = "ms a step | M atom-steps/s | evaluate, ms | a further set, ms"
    print(f"| model | precision | atoms | neighbours | {times} | tables, MB | engine, MB | device, MB |\n|{11 * '---|'}", flush=True)
    right = True
    for name in options.models:
        architecture, tensors = described(name)
        for precision in options.precisions:
            backbone = MaceNativeBackbone(architecture, tensors, precision=precision, threads=options.threads, device=options.device)
            for n_atoms in options.atoms:
                try:
                    row = step_row(backbone, n_atoms, options.repeats)
                except Exception as error:  # the next size may be right
                    row, right = f"FAILED {error}", False
                print(f"| {name} | {precision} | {row} |", flush=True)
    return right


def step_row(backbone, n_atoms: int, repeats: int) -> str:
    """Columns from the number of atoms on."""
    graph = graph_of_frames([crystal(backbone.elements, n_atoms)], backbone.elements, backbone.cutoff)[0]
    ones, n = np.ones(graph.n_local), graph.n_local
    kept = [backbone.evaluate(graph)]
    step = median_seconds(lambda: backbone.pull(backbone.evaluate(graph).state, ones), repeats)
    forward = median_seconds(lambda: backbone.evaluate(graph), repeats)
    further = "-"
    if n * backbone.n_features * N_SETS < 2e8:
        weights = np.random.default_rng(0).normal(size=(N_SETS, n, backbone.n_features))
        further = f"{1e3 * median_seconds(lambda: backbone.pull(kept[0].state, None, weights), repeats) / N_SETS:.2f}"
    memory = f"{backbone.table_bytes / 1e6:.0f} | {backbone.n_bytes / 1e6:.0f} | {device_memory()}"
    return f"{n} | {len(graph.centres) / n:.0f} | {1e3 * step:.2f} | {1e-6 * n / step:.3f} | {1e3 * forward:.2f} | {further} | {memory}"


FIELDS = {
    "no field": "",
    "free fields": """
compute a all uq/atom energy_std energy_lower energy_upper force_error grade
compute g all uq energy_std energy_lower energy_upper force_error_max grade_max
compute worst all reduce max c_a[*]
thermo_style custom step pe c_g[*] c_worst[*]
thermo 1
""",
    "force_std": """
compute a all uq/atom force_std
compute worst all reduce max c_a
thermo_style custom step pe c_worst
thermo 1
""",
}


def lammps(options) -> bool:
    """Print pair and loop time of a step for each model, number of atoms and choice of fields."""
    from cost_per_step import SYSTEM
    from whole_step import model_file

    print("| model | precision | atoms | fields | pair, ms a step | loop, ms a step | M atom-steps/s |\n|" + 7 * "---|", flush=True)
    right = True
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.models:
            model = model_file(name, Path(temporary))
            for n_atoms in options.atoms:
                cells = max(2, round((n_atoms / 2) ** (1 / 3)))
                for what, fields in FIELDS.items():
                    if fields and "medium" in name:  # no posterior
                        continue
                    style = f"mace/uq engine native device {options.device} precision {options.precisions[0]}"
                    script = SYSTEM.replace("mace/uq", style, 1).format(model=model, cells=cells) + fields + f"run {options.steps}\n"
                    row = lammps_row(script, options, Path(temporary))
                    speed = f"{1e-6 * 2 * cells**3 / row[1]:.3f}" if row else "-"
                    times = f"{1e3 * row[0]:.2f} | {1e3 * row[1]:.2f}" if row else "FAILED | -"
                    right &= row is not None
                    print(f"| {name} | {options.precisions[0]} | {2 * cells**3} | {what} | {times} | {speed} |", flush=True)
    return right


def lammps_row(script: str, options, folder: Path) -> tuple[float, float] | None:
    """Seconds a step of the pair style and of the loop; what LAMMPS said is printed if it failed."""
    (folder / "in.gpu").write_text(script)
    scripts = Path(sys.executable).parent
    command = [str(scripts / "mpiexec"), "-n", str(options.ranks)] if options.ranks > 1 else []
    command += [str(scripts / "lmp-uq"), "run", "-in", "in.gpu", "-log", "none"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    loop, pair = re.search(r"Loop time of (\S+)", done.stdout), re.search(r"Pair\s+\|\s*\S+\s*\|\s*(\S+)", done.stdout)
    if done.returncode or not loop or not pair:
        print(f"{done.stdout[-600:]}{done.stderr[-600:]}", flush=True)
        return None
    return float(pair[1]) / options.steps, float(loop[1]) / options.steps


def model(_options) -> bool:
    """Write the medium model; 89 elements would not be of use here."""
    import torch
    from tiny_models import mpa0_like

    from lmp_uq.recipes.convert import convert

    folder = Path(__file__).resolve().parent.parent / "build" / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        torch.save(mpa0_like("128x0e+128x1o"), Path(temporary) / "medium.model")
        convert(f"{temporary}/medium.model", folder / "medium.uq", elements=ALLOY)
    return True


def installed(*names: str) -> list[str]:
    """Those of these distributions that are there."""
    out = []
    for name in names:
        try:
            out.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return out


def peers(options) -> bool:
    """Print ms a step of the others, on random weights in the architecture of MACE-MPA-0 medium."""
    print(f"of symmetrix: {installed('symmetrix', 'symmetrix-xl', 'symmetrix-xl-cuda-sm90') or 'not installed: skipped'}")
    print(f"of cuEquivariance: {installed('cuequivariance', 'cuequivariance-torch') or 'not installed: skipped'}", flush=True)
    import torch

    calculators = {}
    with tempfile.TemporaryDirectory() as temporary:
        if installed("symmetrix", "symmetrix-xl", "symmetrix-xl-cuda-sm90"):
            from peers import converted
            from symmetrix import Symmetrix

            calculators["symmetrix"] = lambda: Symmetrix(str(converted(Path(temporary))), dtype=options.precisions[0])
        if installed("cuequivariance-torch") and torch.cuda.is_available():
            calculators["mace-torch, cuEquivariance"] = lambda: torch_calculator(Path(temporary), options.precisions[0])
        for name, make in calculators.items():
            try:
                calculator = make()
                for n_atoms in options.atoms:
                    print(f"{name}, {peer_row(calculator, n_atoms, options.repeats)}", flush=True)
            except Exception as error:  # the others may work
                print(f"{name}: FAILED {error}", flush=True)
    return True


def peer_row(calculator, n_atoms: int, repeats: int) -> str:
    """Time of a step of an ASE calculator, which thinks that the atoms have moved."""
    atoms = crystal(ALLOY, n_atoms)
    seconds = median_seconds(lambda: calculator.calculate(atoms, ["energy", "forces"], ["positions"]), repeats)
    return f"{len(atoms)} atoms: {1e3 * seconds:.2f} ms, {1e-6 * len(atoms) / seconds:.3f} M atom-steps/s"


def torch_calculator(folder: Path, precision: str):
    """mace-torch's calculator of the medium architecture, with cuEquivariance."""
    import torch
    from mace.calculators import MACECalculator
    from tiny_models import mpa0_like

    torch.save(mpa0_like("128x0e+128x1o"), folder / "peer.model")
    return MACECalculator(model_paths=str(folder / "peer.model"), device="cuda", default_dtype=precision, enable_cueq=True)


def main() -> int:
    """Run one subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["check", "steps", "lammps", "model", "peers"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=["nbmotaw"])
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--atoms", nargs="+", type=int, default=[64])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="of LAMMPS")
    parser.add_argument("--ranks", type=int, default=1, help="of LAMMPS")
    parser.add_argument("--threads", type=int, default=0, help="of the host")
    parser.add_argument("--families", type=int, help="of check: only so many of the families")
    options = parser.parse_args()
    right = {"check": check, "steps": steps, "lammps": lammps, "model": model, "peers": peers}[options.what](options)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
