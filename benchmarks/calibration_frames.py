# SPDX-License-Identifier: GPL-2.0-or-later
"""The labelled frames that calibrate the embedded model nbmotaw, from the DFT sets that LMP_UQ_DATA names.

    LMP_UQ_DATA=folder python benchmarks/calibration_frames.py OUT_FOLDER

OUT_FOLDER gets one extxyz file for each source, so that a model file's provenance names sources; ``config_type`` is the group. Left out
are frames that trained the backbone, every eighth frame of the W set of Liu et al. (what README judges by), labels above 30 eV/Angstrom,
and groups whose forces vanish by symmetry. Long trajectories are thinned. Energies of sources with another zero than the backbone's are
left out, too.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import sys
from pathlib import Path
from typing import NamedTuple

import ase.io
import numpy as np

LARGEST_FORCE = 30.0
"""eV/Angstrom: beyond it labels are those of clashing atoms."""
OTHER_ZERO = "fitsnap"
"""Beginning of the names of sets whose energies are cohesive; those of the backbone are totals of VASP."""
HELD_OUT = {"NbW_SS", "Nb_Surface"}
SPLIT_SEED = 20261121
"""Of the split that trained the backbone."""


class Taken(NamedTuple):
    """A group of a set: its name there, its name here, and that each stride-th frame is taken."""

    config_type: str
    group: str
    stride: int = 1


SETS = {
    "W_DFT_Liu2025.extxyz.gz": (
        Taken("n130+", "W defects, 130 atoms and more", 6),
        Taken("n61-129", "W defects, 61 to 129 atoms", 4),
        Taken("n31-60", "W defects, 31 to 60 atoms", 5),
        Taken("n5-30", "W defects, 5 to 30 atoms"),
    ),
    "fitsnap_W_GAP2014.extxyz.gz": (
        Taken("gamma_surface", "W gamma surface", 40),
        Taken("gamma_surface_vacancy", "W gamma surface and vacancy", 10),
        Taken("md_bulk", "W bulk MD", 2),
        Taken("vacancy", "W vacancy", 6),
    ),
    "fitsnap_W_VASP2019.extxyz": (
        Taken("Disordered_Struc", "W disordered"),
        *(Taken(f"BCC_ForceLib_{kind}", "W interstitial") for kind in ("W110", "W111", "WOct", "WTet")),
    ),
    "fitsnap_Ta_JCP2014.extxyz": (
        *(Taken(f"Displaced_{kind}", "Ta displaced A15, bcc, fcc") for kind in ("A15", "BCC", "FCC")),
        Taken("GSF_110", "Ta gamma surface"),
        Taken("Surface", "Ta surface"),
    ),
    "mlearn_Mo.extxyz.gz": (
        Taken("AIMD-NVT", "Mo AIMD, second source"),
        Taken("Elastic", "Mo elastic at finite temperature"),
        Taken("Vacancy", "Mo vacancy"),
    ),
}


def main(folder: Path, out: Path) -> None:
    """Write all sources and say what each group holds."""
    out.mkdir(parents=True, exist_ok=True)
    for name, wanted in SETS.items():
        frames = read(folder / name)
        if name.startswith("W_DFT"):
            frames = [frame for k, frame in enumerate(frames) if k % 8]
        mine = [frame for taken in wanted for frame in chosen(frames, taken)]
        if name.startswith(OTHER_ZERO):
            for frame in mine:
                del frame.info["REF_energy"]
        write(out, name, mine)
    validation, held_out = of_the_backbone(read(folder / "mvl_NbMoTaW.extxyz.gz"))
    known = (Taken(f"{alloy}_SS", f"{alloy} solid solution, known") for alloy in ("MoTa", "NbMo", "TaW"))
    hot = (Taken(f"{element}_AIMD", f"{element} AIMD, known") for element in ("Nb", "Mo", "Ta", "W"))
    write(out, "mvl_NbMoTaW_valid.extxyz", [frame for taken in (*known, *hot) for frame in chosen(validation, taken)])
    wanted = (Taken("NbW_SS", "NbW solid solution", 3), Taken("Nb_Surface", "Nb surface"))
    write(out, "mvl_NbMoTaW_held_out.extxyz", [frame for taken in wanted for frame in chosen(held_out, taken)])


def read(path: Path) -> list:
    """All frames of a file; gzipped ones through memory, since reading them by index takes quadratic time."""
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    return ase.io.read(io.StringIO(text), ":", format="extxyz")


def chosen(frames: list, taken: Taken) -> list:
    """Frames of one group under its name here."""
    mine = [f for f in frames if f.info["config_type"] == taken.config_type and np.abs(f.arrays["REF_forces"]).max() <= LARGEST_FORCE]
    mine = mine[:: taken.stride]
    for frame in mine:
        frame.info["config_type"] = taken.group
    return mine


def of_the_backbone(frames: list) -> tuple[list, list]:
    """Validation frames of the backbone's training, and those of the groups it was never shown."""
    held_out = [frame for frame in frames if frame.info["config_type"] in HELD_OUT]
    rest = [frame for frame in frames if frame.info["config_type"] not in HELD_OUT]
    random.Random(SPLIT_SEED).shuffle(rest)
    return rest[: len(rest) // 20], held_out


def write(out: Path, name: str, frames: list) -> None:
    """Write the frames of a source."""
    ase.io.write(out / name.removesuffix(".gz"), frames, format="extxyz")
    for group in dict.fromkeys(frame.info["config_type"] for frame in frames):
        mine = [len(frame) for frame in frames if frame.info["config_type"] == group]
        print(f"{name:32s} {group:40s} {len(mine):4d} frames {sum(mine):6d} atoms")


if __name__ == "__main__":
    if len(sys.argv) != 2 or "LMP_UQ_DATA" not in os.environ:
        sys.exit(__doc__)
    main(Path(os.environ["LMP_UQ_DATA"]), Path(sys.argv[1]))
