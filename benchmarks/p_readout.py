# SPDX-License-Identifier: GPL-2.0-or-later
"""The P-readout beside POPS and a committee, on known ground and on groups that were left out.

    LMP_UQ_DATA=folder python benchmarks/p_readout.py [--committee]

480 frames that trained the backbone of nbmotaw, 10 force rows each, a sixth of them to stop; judged on frames of its validation set and
of six sources that no training saw, at most 60 of each, 10 force rows each. POPS is the embedded posterior; the committee five
networks of the same form without noise, each trained on a bootstrap sample of the frames. Every force component of the frames has the same
weight, but those that vanish by symmetry, which are left out.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from calibration_frames import HELD_OUT, LARGEST_FORCE, SPLIT_SEED, read

from lmp_uq import modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.fitting.p_readout import JUDGES, N_FRAMES, N_JUDGED, N_ROWS, figures, judge, kept_back, readout_frames, train_seeds
from lmp_uq.frames.reading import read_frames
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.p_readout_training import train_p_readout
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.rows import RowOptions
from lmp_uq.rows.stream import Stream

COMMITTEE = 5


def main(folder: Path, committee: bool) -> None:
    """Make the rows, train, print the tables."""
    file = modelfile.read(modelfile.resolve("nbmotaw"))
    backbone = backbone_of_file(file, "float64", "cpu", engine="native", threads=1)
    rows = RowOptions(("energy", "forces"), N_ROWS, file.header.fitted.bias, of_atoms=True)
    known, judged = frames_of_systems(folder)
    with tempfile.TemporaryDirectory() as cache:
        known, judged = (
            readout_frames(Stream(backbone, read_frames(frames), rows, Cache(cache, "benchmark"), Ranks())) for frames in (known, judged)
        )
    members = Box.from_tensors(file.section("posterior")).sample(JUDGES, np.random.default_rng(0))
    start = time.process_time()
    readout, seeds = train_seeds(known, JUDGES, 0, Ranks())
    print(f"{len(seeds)} trainings, {time.process_time() - start:.0f} s of processor time:")
    for one in seeds:
        print("   ", {name: round(value, 5) for name, value in one.items()})
    found = judge(readout, members, judged, {"valid"}, by_size=True)
    if committee:
        add_committee(found, known, judged)
    show("Forces", found, 1.0)
    show("Energies per atom, meV", {name: one["energies"] for name, one in found.items() if "energies" in one}, 1e3)


def frames_of_systems(folder: Path) -> tuple[list, list]:
    """Frames that trained the backbone, and frames of each system to judge by."""
    alloys = read(folder / "mvl_NbMoTaW.extxyz.gz")
    known = [frame for frame in alloys if frame.info["config_type"] not in HELD_OUT]
    random.Random(SPLIT_SEED).shuffle(known)
    n_valid = len(known) // 20
    systems = {"valid": known[:n_valid]}
    systems |= {name: [frame for frame in alloys if frame.info["config_type"] == name] for name in sorted(HELD_OUT)}
    systems |= {"W Liu": read(folder / "W_DFT_Liu2025.extxyz.gz")[::3], "W GAP": read(folder / "fitsnap_W_GAP2014.extxyz.gz")[::30]}
    systems["W VASP"] = read(folder / "fitsnap_W_VASP2019.extxyz")
    systems["Ta"] = [f for f in read(folder / "fitsnap_Ta_JCP2014.extxyz") if not f.info["config_type"].startswith("Volume")]
    draws, judged = np.random.default_rng(0), []
    for name, frames in systems.items():
        usable = [frame for frame in frames if np.abs(frame.arrays["REF_forces"]).max() < LARGEST_FORCE]
        for k in sorted(draws.permutation(len(usable))[:N_JUDGED]):
            usable[k].info["config_type"] = name
            if name in ("W GAP", "W VASP", "Ta"):
                usable[k].info.pop("REF_energy", None)  # cohesive energies
            judged.append(usable[k])
    training = known[n_valid:]
    return [training[k] for k in sorted(draws.permutation(len(training))[:N_FRAMES])], judged


def add_committee(found: dict, known: list, judged: list) -> None:
    """Figures of networks without noise, on bootstrap samples."""
    training, stopping = kept_back(known, 0)
    members = []
    for k in range(COMMITTEE):
        mine = np.random.default_rng(k).integers(len(training), size=len(training))
        one, _ = train_p_readout([training[i] for i in mine], stopping, 1, 100 + k, noise=False)
        members.append(one)
    for group, entry in found.items():
        mine = [one for one in judged if one.group == group]
        errors = np.concatenate([one.forces[one.telling] for one in mine])
        rows = [[m.force_rows(one.descriptors, one.derivatives[one.telling], 1)[0] for one in mine] for m in members]
        weights = np.concatenate([np.full(one.telling.sum(), len(one.descriptors)) for one in mine])
        entry["committee"] = figures(np.array([np.concatenate(row) for row in rows]), errors, weights)


def show(title: str, found: dict, unit: float) -> None:
    """A table: CRPS / spread-skill / rho."""
    print(f"\n| {title} | " + " | ".join(found) + " |\n" + "|---" * (1 + len(found)) + "|")
    print("| model, mean abs(error) | " + " | ".join(f"{unit * one['mae']:.4f}" for one in found.values()) + " |")
    for name in ("pops", "p_readout", "committee"):
        if all(name in one for one in found.values()):
            print(f"| {name} | " + " | ".join(cell(one[name], unit) for one in found.values()) + " |")


def cell(mine: dict, unit: float) -> str:
    """One group."""
    rho = "-" if mine["spearman"] is None else f"{mine['spearman']:.2f}"
    return f"{unit * mine['crps']:.4f} / {mine['spread_skill']:.2f} / {rho}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--committee", action="store_true", help="five bagged networks without noise too")
    options = parser.parse_args()
    if "LMP_UQ_DATA" not in os.environ:
        sys.exit(__doc__)
    main(Path(os.environ["LMP_UQ_DATA"]), options.committee)
