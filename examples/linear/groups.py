# SPDX-License-Identifier: GPL-2.0-or-later
"""Split labelled frames by group: PREFIX-train, -calibration and -test.extxyz, and with --share also -random.extxyz.

    python groups.py FILE ... --out PREFIX --calibration G ... --test G ... [--below E] [--share S] [--once]

Whole groups are set aside, because frames of one trajectory resemble each other. The share of --share is drawn from the groups that stay,
for a figure of interpolation beside that of the groups; a tenth of them more go to the calibration frames then. Runs of several
temperatures may begin with the same frame: with --once it stands in the first group alone.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
from collections import Counter

import ase.io


def frames_of(name):
    """All frames of a file; one that is packed is unpacked first, because ASE seeks in it."""
    opened = gzip.open if name.endswith(".gz") else open
    with opened(name, "rt") as file:
        return ase.io.read(io.StringIO(file.read()), ":", format="extxyz")


def number(atoms) -> float:
    """In [0, 1), from the positions alone: the same frame has the same fate whatever the order of the files."""
    digest = hashlib.sha256(atoms.positions.round(6).tobytes() + atoms.cell.array.round(6).tobytes()).digest()
    return int.from_bytes(digest[:8], "little") / 2**64


def part_of(atoms, options) -> str:
    group = atoms.info["config_type"]
    if group in options.test:
        return "test"
    if group in options.calibration:
        return "calibration"
    drawn = number(atoms)
    if drawn < options.share:
        return "random"
    return "calibration" if options.share and drawn < options.share + 0.1 else "train"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--calibration", nargs="+", default=[])
    parser.add_argument("--test", nargs="+", default=[])
    parser.add_argument("--below", type=float, default=float("inf"), help="leave out frames of a higher energy, eV/atom")
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--once", action="store_true", help="leave out frames whose positions and cell have been there")
    options = parser.parse_args()
    parts, seen, repeated = {}, set(), 0
    for atoms in (atoms for name in options.files for atoms in frames_of(name)):
        frame = number(atoms), atoms.numbers.tobytes()
        if options.once and frame in seen:
            repeated += 1
        elif atoms.info["REF_energy"] / len(atoms) < options.below:
            parts.setdefault(part_of(atoms, options), []).append(atoms)
        seen.add(frame)
    for name, frames in sorted(parts.items()):
        ase.io.write(f"{options.out}-{name}.extxyz", frames, format="extxyz")
        counts = ", ".join(f"{group} {n}" for group, n in sorted(Counter(a.info["config_type"] for a in frames).items()))
        print(f"{options.out}-{name}.extxyz: {len(frames)} frames: {counts}")
    if options.once:
        print(f"left out, because they have been there: {repeated} frames")


if __name__ == "__main__":
    main()
