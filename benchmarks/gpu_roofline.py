# SPDX-License-Identifier: GPL-2.0-or-later
"""What a step costs on an H200 at best, on paper, in float32: each kernel by what it reads, writes, multiplies and issues.

Instructions are those of the machine code for sm_90 (tests/static_evidence.py --instructions), bytes and products follow from the kernels'
loops. A kernel's time is that of its tightest limit; nothing here was measured on a device, and latencies are left out.

    python benchmarks/gpu_roofline.py
"""

from __future__ import annotations

from typing import NamedTuple

N_PROCESSORS, CLOCK = 132, 1.755e9
RATES = {  # a second; L2 and device memory are assumptions
    "FMA": N_PROCESSORS * 128 * CLOCK,
    "issue": N_PROCESSORS * 4 * CLOCK,  # instructions of warps
    "L1": N_PROCESSORS * CLOCK,  # loads and stores of warps, shared memory too
    "L2": 5.5e12,
    "HBM": 4.3e12,
}
HOST = 25e9  # bytes a second to and from the host
TILE = 64  # of matrix products
TOGETHER = 4  # atoms of a thread block of the products, which read the same coefficients
WARP, FLOAT, COEFFICIENTS, SUMS = 32, 4, 6, 16
COMMON = 24  # functions that the columns of a pair of elements have in common, of the first layer: 22 to 26 in float32


class Model(NamedTuple):
    """Channels, neighbours, their elements, and the terms of each layer's products: coefficients, multiplications forward and reverse."""

    channels: int
    neighbours: int
    species: int
    terms: tuple[tuple[int, int, int], tuple[int, int, int]]


# linear, pairs, thirds of all outputs: forward linear + thirds + 2 pairs, reverse linear + 2 thirds + 5 pairs
TERMS = tuple((a + b + c, a + c + 2 * b, a + 2 * c + 5 * b) for a, b, c in ((4, 221, 355), (1, 49, 77)))
MODELS = {
    "medium, 128x0e+128x1o, 62 neighbours of one element": Model(128, 62, 1, TERMS),
    "medium, 62 neighbours of five elements": Model(128, 62, 5, TERMS),
    "nbmotaw, 32x0e+32x1o, 18 neighbours of four elements": Model(32, 18, 4, TERMS),
}
# of an edge and warp: multiplications of a lane, instructions, loads and stores
LOOPS = {
    "first_forward": (36, 103, 43),
    "first_reverse": (70, 205, 75),
    "message_forward": (160, 277, 83),
    "message_reverse": (334, 532, 121),
    "gather_sources": (4, 33, 5),
}
EDGE_OF_COMMON = COEFFICIENTS * WARP * FLOAT + 84  # bytes: a row of the table of common functions, harmonics and the rest of an edge
GEMM = (1579 / (1024 * WARP), 268 / (1024 * WARP))  # instructions, loads and stores of a multiplication


class Cost(NamedTuple):
    """Per atom: multiplications, instructions and loads of warps, bytes from L2 and to and from device memory."""

    fma: float = 0.0
    issue: float = 0.0
    loads: float = 0.0
    l2: float = 0.0
    hbm: float = 0.0

    def __add__(self, other):
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self) -> dict[str, float]:
        """ns by each limit."""
        return {name: 1e9 * value / rate for (name, rate), value in zip(RATES.items(), self, strict=True)}


def loop(m: Model, name: str, n_functions: int, l2: float = 0.0, hbm: float = 0.0) -> Cost:
    """A loop over the edges: its tables, harmonics and the rest of an edge from L2."""
    warps = m.neighbours * m.channels / WARP
    fma, issue, loads = LOOPS[name]
    tables = m.neighbours * m.channels * n_functions * COEFFICIENTS * FLOAT
    return Cost(warps * WARP * fma, warps * issue, warps * loads, tables + warps * 76 + l2, hbm)


def gemm(m: Model, rows: float, read: float, written: float) -> Cost:
    """`rows` products of a vector of channels with a matrix; how many such vectors are read and written."""
    fma = rows * m.channels**2
    done = fma * max(1.0, TILE / m.channels)  # a tile is worked out whole
    vector = m.channels * FLOAT
    matrices, again = rows * m.channels * vector / TILE, read * vector * max(1.0, m.channels / TILE)
    return Cost(done, GEMM[0] * done, GEMM[1] * done, matrices + again, (read + written) * vector)


def common_sums(m: Model) -> Cost:
    """common_forward: a warp evaluates the functions of an edge for all channels; sums for each element of the neighbours."""
    edge, tiles, sums = m.neighbours, m.species * -(-m.neighbours // WARP), m.species * SUMS * WARP * FLOAT
    issue, loads = edge * 45 + tiles * 57 + m.species * 97, edge * 12 + tiles * 4 + m.species * SUMS
    return Cost(edge * WARP * 21, issue, loads, edge * EDGE_OF_COMMON, sums)


def common_edges(m: Model) -> Cost:
    """common_reverse: functions of up to 32 edges of an element, then a lane sums over them for an edge."""
    edge, tiles, sums = m.neighbours, m.species * -(-m.neighbours // (WARP * m.species)), m.species * SUMS * WARP * FLOAT
    fours, looks = COMMON // 4, m.species * -(-m.neighbours // WARP)
    issue, loads = edge * 23 + tiles * (fours * 195 + 74) + looks * 100, edge * 9 + tiles * (fours * 20 + 20) + looks * 6
    return Cost(WARP * (edge * 9 + tiles * fours * 128), issue, loads, edge * EDGE_OF_COMMON + sums, edge * SUMS * FLOAT + sums)


def common_mix(m: Model, back: bool) -> Cost:
    """Between the sums of functions and of channels, tiles of 4 atoms and 32 numbers that are written."""
    functions, channels = m.species * COMMON, m.channels
    depth, parts, blocks = (channels, channels // WARP, m.species) if back else (functions, m.species, channels // WARP)
    tiles, read, written = blocks / 4, parts * WARP * SUMS * FLOAT, blocks * WARP * SUMS * FLOAT
    issue, loads = tiles * (parts * 428 + depth / 4 * 400 + 473), tiles * (parts * 128 + depth / 4 * 80 + 64)
    l2 = 4 * functions * channels * FLOAT / (4 * TOGETHER) + read * blocks
    return Cost(tiles * 4 * SUMS * depth * WARP, issue, loads, l2, read + written)


def product(m: Model, layer: int, reverse: bool, vectors: int) -> Cost:
    coefficients, forward, back = m.terms[layer]
    read = coefficients * m.channels * FLOAT / TOGETHER
    return Cost(m.channels * (back if reverse else forward), 0.0, 0.0, read, vectors * m.channels * FLOAT)


def kernels(m: Model) -> dict[str, Cost]:
    """Costs of a step of two layers with harmonics to degree 3, features to degree 1."""
    edge, vector = m.neighbours, m.channels * FLOAT
    sums, features = edge * m.channels / WARP * SUMS * FLOAT, edge * 4 * vector
    prepared = Cost(hbm=edge * (40 + 100 + 76))
    gradients = Cost(hbm=sums + edge * (SUMS * FLOAT + 2 * 104))
    return {
        "prepare_edges, 4 times": prepared + prepared + prepared + prepared,
        "common_forward": common_sums(m),
        "common_mix": common_mix(m, False),
        "product_forward, layer 0": product(m, 0, False, 20),
        "gemm: Lin, Up": gemm(m, 8, 8, 8),
        "message_forward": loop(m, "message_forward", 10, features, 44 * vector),
        "gemm: messages": gemm(m, 40, 40, 16),
        "product_forward, Lin, skip, layer 1": product(m, 1, False, 17) + gemm(m, 2, 2, 2),
        "product_reverse, Lin, layer 1": product(m, 1, True, 33) + gemm(m, 1, 1, 1),
        "gemm: messages, transposed": gemm(m, 40, 16, 40),
        "message_reverse": loop(m, "message_reverse", 10, features, 44 * vector + features + sums),
        "gather_sources": loop(m, "gather_sources", 0, hbm=features + 4 * vector),
        "gemm: Lin, Up, skip, transposed": gemm(m, 9, 9, 9),
        "product_reverse, layer 0": product(m, 0, True, 36),
        "common_mix, back": common_mix(m, True),
        "common_reverse": common_edges(m),
        "edge_gradients, twice": gradients,
        "repulsion": Cost(hbm=edge * (2 * 40 + 24)),
    }


def by_tables(m: Model) -> dict[str, Cost]:
    """The first layer where it goes by tables of all columns, in place of the common functions."""
    vector = m.channels * FLOAT
    sums = m.neighbours * m.channels / WARP * SUMS * FLOAT
    forward, reverse = loop(m, "first_forward", 4, hbm=16 * vector), loop(m, "first_reverse", 4, hbm=16 * vector + sums)
    return {"first_forward, where tables are": forward, "first_reverse, where tables are": reverse}


def row(kernel: str, cost: Cost) -> float:
    """Print a kernel's costs; the longest time, ns."""
    times = cost.times()
    worst = max(times, key=lambda k: times[k])
    numbers = " | ".join(f"{v:.0f}" for v in times.values())
    needs = " | ".join(f"{v / 1e3:.0f}" for v in (cost.fma, cost.l2, cost.hbm))
    print(f"| {kernel} | {needs} | {numbers} | {times[worst]:.0f} {worst} |")
    return times[worst]


def main() -> None:
    """Print a table for each model."""
    for name, model in MODELS.items():
        print(f"\n{name}: ns an atom by each limit\n\n| kernel | k FMA | L2 kB | HBM kB | {' | '.join(RATES)} | tightest |")
        print("|" + 10 * "---|")
        total = sum(row(kernel, cost) for kernel, cost in kernels(model).items())
        host = 1e9 * model.neighbours * (52 + 24) / HOST
        print(f"| sum | | | | | | | | | {total:.0f}: {1e3 / total:.2f} M atom-steps/s |")
        for kernel, cost in by_tables(model).items():
            row(kernel, cost)
        print(f"| edges from the host, their gradients to it | | | | | | | | | {host:.0f} more, at {HOST / 1e9:.0f} GB/s |")


if __name__ == "__main__":
    main()
