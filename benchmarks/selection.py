# SPDX-License-Identifier: GPL-2.0-or-later
"""What a few chosen frames are worth as labels: bars calibrated on them alone, judged in six systems that the model has never seen.

    LMP_UQ_DATA=folder python benchmarks/selection.py

Pool: up to 46 frames of each system, half of them candidates, half for the judgement, in six splits. Of k chosen frames the forces are
taken for known, and q(|F|, grade) is fitted to them: log(|error| + 0.005) = b0 + bF log(|F| + 0.01) + bG log(grade + 0.05), slopes of
at least 0, and the 0.9 quantile of what is left. Coverage is the share of atoms inside that bar in each system, frames with equal weights;
atoms whose force vanishes by symmetry are left out. The second table judges each system by frames of the five others alone. Random
choices are drawn five times in each split; those in which all forces vanish calibrate nothing and are left out, to their favour.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from calibration_frames import HELD_OUT, LARGEST_FORCE, SPLIT_SEED, read

from lmp_uq import modelfile
from lmp_uq.calibration.grouped_fit import GroupedFit
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.frames.reading import read_frames
from lmp_uq.metrics.sharpness import weighted_quantiles
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.recipes.options import RecipeOptions
from lmp_uq.rows.labelled import force_labels
from lmp_uq.rows.predict import predict_by_file
from lmp_uq.selection.choice import Chooser, Request, Source

LEVEL, SIZES, N_SPLITS, N_DRAWS, PER_SYSTEM, N_SEEN = 0.9, (4, 8, 16, 32), 6, 5, 46, 400
WAYS = ("random", "farthest", "farthest, from training frames", "grade", "logdet")


class Pool(NamedTuple):
    """Frames, what is known of their atoms, and the frame of each atom."""

    frames: list
    atoms: LabelledAtoms
    owner: np.ndarray


def main(folder: Path) -> None:
    """Evaluate once, choose in every split, print the table."""
    file = modelfile.read(modelfile.resolve("nbmotaw"))
    frames, seen = frames_of_systems(folder)
    labelled = read_frames(frames, cutoff=None)
    backbone, predictions = predict_by_file(file, labelled, RecipeOptions(progress=False), kinds=())
    labels = force_labels(predictions, Novelty.from_tensors(file.section("grade")), backbone)
    telling = labels.atoms.judged()
    pool = Pool(frames, labels.atoms.take(telling), labels.frames[telling])
    # frames that calibrated the embedded file are candidates here
    source = replace(Source.of(file, backbone, "nbmotaw"), labelled=frozenset())
    of_frame = np.array([frame.info["config_type"] for frame in frames])
    found: dict = {way: {k: [] for k in SIZES} for way in WAYS}
    unseen: dict = {way: {k: [] for k in SIZES} for way in ("random", "logdet")}
    for split in range(N_SPLITS):
        order = np.random.default_rng(100 + split).permutation(len(frames))
        candidates, test = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
        for way in WAYS:
            add(found[way], pool, choices(source, pool, candidates, seen, way, split), test)
        for way, mine in unseen.items():
            parts: dict = {k: [] for k in SIZES}
            for name in np.unique(of_frame):
                others = candidates[of_frame[candidates] != name]
                add(parts, pool, choices(source, pool, others, seen, way, split), test[of_frame[test] == name])
            for k in SIZES:  # draw by draw, a column for each system
                mine[k] += np.array(parts[k]).reshape(len(np.unique(of_frame)), -1).T.tolist()
    show(found, "all systems in the pool")
    show(unseen, "each system judged by choices from the five others")


def frames_of_systems(folder: Path) -> tuple[list, list]:
    """The pool, and some of the frames that trained the backbone."""
    alloys = read(folder / "mvl_NbMoTaW.extxyz.gz")
    known = [frame for frame in alloys if frame.info["config_type"] not in HELD_OUT]
    random.Random(SPLIT_SEED).shuffle(known)
    systems = {name: [frame for frame in alloys if frame.info["config_type"] == name] for name in sorted(HELD_OUT)}
    systems |= {"W Liu": read(folder / "W_DFT_Liu2025.extxyz.gz")[::3], "W GAP": read(folder / "fitsnap_W_GAP2014.extxyz.gz")[::30]}
    systems["W VASP"] = read(folder / "fitsnap_W_VASP2019.extxyz")
    systems["Ta"] = [f for f in read(folder / "fitsnap_Ta_JCP2014.extxyz") if not f.info["config_type"].startswith("Volume")]
    pool, draws = [], np.random.default_rng(0)
    for name, frames in systems.items():
        usable = [frame for frame in frames if np.abs(frame.arrays["REF_forces"]).max() < LARGEST_FORCE]
        for k in sorted(draws.permutation(len(usable))[:PER_SYSTEM]):
            usable[k].info = {"config_type": name}
            pool.append(usable[k])
    training = known[len(known) // 20 :]
    return pool, [training[k] for k in sorted(draws.permutation(len(training))[:N_SEEN])]


def choices(source: Source, pool: Pool, candidates: np.ndarray, seen: list, way: str, split: int) -> list[np.ndarray]:
    """Numbers of chosen frames, one array for each draw."""
    mine = [pool.frames[k] for k in candidates]
    by, _, start = way.partition(", ")
    out = []
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for draw in range(N_DRAWS if by == "random" else 1):
            request = Request(count=max(SIZES), by=by, seed=N_DRAWS * split + draw)
            found = Chooser(source, request, folder, Ranks(), False).choose(mine, seen if start else ())
            out.append(candidates[[one["number"] for one in found["chosen"]]])
    return out


def add(found: dict, pool: Pool, draws: list[np.ndarray], test: np.ndarray) -> None:
    """Coverage of the systems of the test frames for each draw and size."""
    for chosen in draws:
        for k, mine in found.items():
            mine.append(coverage(pool, chosen[:k], test))


def coverage(pool: Pool, chosen: np.ndarray, test: np.ndarray) -> list[float]:
    """Share of atoms of each system inside the bar of the chosen frames; NaN where these calibrate nothing."""
    known, judged = pool.atoms.take(np.isin(pool.owner, chosen)), pool.atoms.take(np.isin(pool.owner, test))
    names = np.unique(judged.groups)
    if not len(known.error):
        return [np.nan] * len(names)
    one = LabelledAtoms(known.error, known.variables, np.full(len(known.error), "chosen"), known.blocks)
    fit = GroupedFit(design(one), np.log(one.error + 0.005), one.weights(), one.groups, one.blocks)
    coefficients = fit.coefficients()
    quantile = weighted_quantiles(fit.y - fit.x @ coefficients, [LEVEL], one.weights())[0]
    inside = np.log(judged.error + 0.005) <= design(judged) @ coefficients + quantile
    weights = judged.weights()
    return [float(np.average(inside[judged.groups == name], weights=weights[judged.groups == name])) for name in names]


def design(atoms: LabelledAtoms) -> np.ndarray:
    """Columns of the fit."""
    return np.column_stack([np.ones(len(atoms.error)), np.log(atoms.variables.force + 0.01), np.log(atoms.variables.grade + 0.05)])


def show(found: dict, title: str) -> None:
    """Mean over the systems, worst system; means over splits and draws."""
    print(f"\n{title}\n\n| chosen by | " + " | ".join(f"k = {k}: mean, worst" for k in SIZES) + " |\n" + "|---" * (1 + len(SIZES)) + "|")
    for way, mine in found.items():
        cells = []
        for values in mine.values():
            shares = np.array(values)
            shares = shares[np.isfinite(shares).all(axis=1)]
            cells.append(f"{shares.mean():.2f} {shares.min(axis=1).mean():.2f}")
        print(f"| {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    if len(sys.argv) != 1 or "LMP_UQ_DATA" not in os.environ:
        sys.exit(__doc__)
    main(Path(os.environ["LMP_UQ_DATA"]))
