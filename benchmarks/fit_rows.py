# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed and memory of the POPS fit: rows per second of each pass over float32 blocks, and the peak memory of a rank.

Blocks are made anew on every pass from a seed (their cost is measured and taken off) or, with --file, mapped from a file.
OMP_NUM_THREADS=1 mpiexec -n 2 python benchmarks/fit_rows.py [--rows 1000000] [--features 256] [--file FOLDER]
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np

from lmp_uq.parallel import ranks as parallel
from lmp_uq.posterior import POPS


class Generated:
    """This rank's blocks of rows with correlated columns, from a seed: the same on every pass."""

    def __init__(self, n_rows: int, n_features: int, rank: int, block_rows: int):
        self.n_rows, self.n_features, self.rank, self.block_rows = n_rows, n_features, rank, block_rows
        self.scales = np.geomspace(1.0, 1e-2, n_features).astype(np.float32)

    def __iter__(self):
        rng = np.random.default_rng(self.rank)
        for start in range(0, self.n_rows, self.block_rows):
            m = min(self.block_rows, self.n_rows - start)
            X = rng.random((m, self.n_features), dtype=np.float32)
            X -= np.float32(0.5)
            X *= self.scales
            yield X, (np.sin(9.0 * X[:, 0]) + X[:, 1]).astype(np.float64), np.ones(m)


class Mapped(Generated):
    """The same rows from a file: what a fit with stored features reads."""

    def __init__(self, folder: Path, n_rows: int, n_features: int, rank: int, block_rows: int):
        super().__init__(n_rows, n_features, rank, block_rows)
        self.path, self.labels = folder / f"rows-{rank}.f32", []
        with open(self.path, "wb") as file:
            for X, y, _ in super().__iter__():
                X.tofile(file)
                self.labels.append(y)

    def __iter__(self):
        with open(self.path, "rb") as file:
            for y in self.labels:
                X = np.fromfile(file, dtype=np.float32, count=len(y) * self.n_features).reshape(len(y), self.n_features)
                yield X, y, np.ones(len(y))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="on all ranks")
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--block-rows", type=int, default=4096)
    parser.add_argument("--file", type=Path, help="folder for the rows; default: generate them on every pass")
    parser.add_argument("--ridge", default="0.01")
    options = parser.parse_args()
    ranks = parallel.ranks()
    shape = (options.rows // ranks.size, options.features, ranks.rank, options.block_rows)
    blocks = Mapped(options.file, *shape) if options.file else Generated(*shape)
    began = time.perf_counter()
    n_local = sum(len(y) for _, y, _ in blocks)
    reading = time.perf_counter() - began
    ridge = options.ridge if options.ridge == "evidence" else float(options.ridge)
    ranks.gather(None)
    began = time.perf_counter()
    fit = POPS(ridge).fit_blocks(blocks, ranks)
    total = time.perf_counter() - began
    peak = max(ranks.gather(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    if ranks.rank == 0:
        size = f"{n_local * ranks.size} rows x {options.features} features, {ranks.size} rank(s)"
        print(f"{size}; dof {fit.dof_:.1f}, {len(fit.box_.lower)} modes")
        print(f"{'pass':12s} {'s':>8s} {'rows/s':>12s}")
        for name, seconds in [("read only", reading), *fit.pass_seconds_.items(), ("whole fit", total)]:
            print(f"{name:12s} {seconds:8.2f} {n_local * ranks.size / seconds:12.0f}")
        print(f"peak memory of a rank: {peak:.0f} MB")


main()
