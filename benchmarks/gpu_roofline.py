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
MOVED = 1.2 * 24 + 16 + 1.2 * 24 + 8 + 4  # bytes of an atom, with a fifth as many ghosts: positions, weights; forces, energies, counts
SKIN = 2.0  # Angstrom
TILE = 64  # of matrix products
TOGETHER = 4  # atoms of a thread block of the products, which read the same coefficients
WARP, FLOAT, COEFFICIENTS, SUMS = 32, 4, 6, 16
COMMON = 24  # functions that the columns of a pair of elements have in common, of the first layer: 22 to 26 in float32


class Model(NamedTuple):
    """Channels, neighbours, their elements, cutoff, and the terms of each layer's products: coefficients, multiplications
    forward and reverse."""

    channels: int
    neighbours: int
    species: int
    cutoff: float
    terms: tuple[tuple[int, int, int], tuple[int, int, int]]

    def listed(self) -> float:
        """Edges of LAMMPS' neighbour list, with its skin."""
        return self.neighbours * (1.0 + SKIN / self.cutoff) ** 3


# linear, pairs, thirds of all outputs: forward linear + thirds + 2 pairs, reverse linear + 2 thirds + 5 pairs
TERMS = tuple((a + b + c, a + c + 2 * b, a + 2 * c + 5 * b) for a, b, c in ((4, 221, 355), (1, 49, 77)))
MODELS = {
    "medium, 128x0e+128x1o, 62 neighbours of one element": Model(128, 62, 1, 6.0, TERMS),
    "medium, 62 neighbours of five elements": Model(128, 62, 5, 6.0, TERMS),
    "nbmotaw, 32x0e+32x1o, 18 neighbours of four elements": Model(32, 18, 4, 4.5, TERMS),
}
# of an edge and warp: multiplications of a lane, instructions, loads and stores
LOOPS = {
    "first_forward": (36, 103, 43),
    "first_reverse": (70, 205, 75),
    "message_forward": (160, 277, 83),
    "message_reverse": (334, 537, 121),
    "shared by sets": (90, 227, 93),
    "each set": (244, 371, 65),
    "gather_sources": (4, 33, 5),
}
EDGE_OF_COMMON = COEFFICIENTS * WARP * FLOAT + 84  # bytes: a row of the table of common functions, harmonics and the rest of an edge
# instructions, loads and stores of a multiplication; a load of 16 bytes a lane counts as four
GEMM = (625 / (512 * WARP), 160 / (512 * WARP))
TENSOR_CORES = (454 / (512 * WARP), 64 / (512 * WARP))
TENSOR_RATE = 175e12  # multiplications in TF32 a second: assumed, 0.7 of the data sheet's
HEAD = (58 / 32, 12 / 32)  # instructions, loads of a multiplication of the posterior head, which are float64: half as many a second
HEAD_ATOMS, HEAD_STRIDE = 8, 64  # atoms of a thread block; columns come in multiples of this


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


def loop(m: Model, name: str, n_functions: int, l2: float = 0.0, hbm: float = 0.0, shared: bool = False) -> Cost:
    """A loop over the edges: its tables, harmonics and the rest of an edge from L2, unless they lie in shared memory."""
    warps = m.neighbours * m.channels / WARP
    fma, issue, loads = LOOPS[name]
    tables = m.neighbours * m.channels * n_functions * COEFFICIENTS * FLOAT
    return Cost(warps * WARP * fma, warps * issue, warps * loads, 0.0 if shared else tables + warps * 76 + l2, hbm)


def gemm(m: Model, rows: float, read: float, written: float, of_multiplication: tuple[float, float] = GEMM) -> Cost:
    """`rows` products of a vector of channels with a matrix; how many such vectors are read and written."""
    fma = rows * m.channels**2
    done = fma * max(1.0, TILE / m.channels)  # a tile is worked out whole
    vector = m.channels * FLOAT
    matrices, again = rows * m.channels * vector / TILE, read * vector * max(1.0, m.channels / TILE)
    issue, loads = of_multiplication
    return Cost(done, issue * done, loads * done, matrices + again, (read + written) * vector)


def on_tensor_cores(m: Model, rows: float, read: float, written: float) -> dict[str, float]:
    """ns of the same by each limit, each product as three of TF32."""
    cost = gemm(m, rows, read, written, TENSOR_CORES)
    return cost.times() | {"FMA": 3e9 * cost.fma / TENSOR_RATE}


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


def message_reverse(m: Model, n_sets: int) -> Cost:
    """Tables, features and harmonics of an edge are read once for all sets."""
    vector, edge = m.channels * FLOAT, m.neighbours
    features, sums = edge * 4 * vector, edge * m.channels / WARP * SUMS * FLOAT
    written = 44 * vector + features + sums
    if n_sets == 1:
        return loop(m, "message_reverse", 10, features, written)
    return sum((loop(m, "each set", 10, hbm=written, shared=True) for _ in range(n_sets)), loop(m, "shared by sets", 10, features))


def forward(m: Model) -> dict[str, Cost]:
    """Energies and descriptors by two layers with harmonics to degree 3, features to degree 1."""
    edge, listed, vector = m.neighbours, m.listed(), m.channels * FLOAT
    prepared = Cost(hbm=edge * (32 + 100 + 76))
    return {
        "count_edges, fill_edges": Cost(l2=2 * listed * 24, hbm=listed * (2 * 8 + 4) + edge * 32),
        "find_uncovered, twice": Cost(hbm=2 * edge * 32),
        "prepare_edges, twice": prepared + prepared,
        "common_forward": common_sums(m),
        "common_mix": common_mix(m, False),
        "product_forward, layer 0": product(m, 0, False, 20),
        "gemm: Lin, Up": gemm(m, 8, 8, 8),
        "message_forward": loop(m, "message_forward", 10, edge * 4 * vector, 44 * vector),
        "gemm: messages": gemm(m, 40, 40, 16),
        "product_forward, Lin, skip, layer 1": product(m, 1, False, 17) + gemm(m, 2, 2, 2),
        "repulsion": Cost(hbm=edge * 32),
    }


def reverse(m: Model, n_sets: int = 1) -> dict[str, Cost]:
    """Gradients of n_sets weighted sums of them."""
    edge, vector, n = m.neighbours, m.channels * FLOAT, n_sets
    sums, features = edge * m.channels / WARP * SUMS * FLOAT, edge * 4 * vector
    prepared = Cost(hbm=edge * (32 + 100 + 76))
    each = {
        "product_reverse, Lin, layer 1": product(m, 1, True, 33) + gemm(m, 1, 1, 1),
        "gemm: messages, transposed": gemm(m, 40, 16, 40),
        "gather_sources": loop(m, "gather_sources", 0, hbm=features + 4 * vector),
        "gemm: Lin, Up, skip, transposed": gemm(m, 9, 9, 9),
        "product_reverse, layer 0": product(m, 0, True, 36),
        "common_mix, back": common_mix(m, True),
        "common_reverse": common_edges(m),
        "edge_gradients, twice": Cost(hbm=sums + edge * (SUMS * FLOAT + 2 * 96)),
        "repulsion, gradients": Cost(hbm=edge * (32 + 48)),
        "node_forces": Cost(l2=edge * 24, hbm=edge * 48 + m.listed() * 8 + 72),
    }
    times = {name: Cost(*(n * value for value in cost)) for name, cost in each.items()}
    return {"prepare_edges, twice again": prepared + prepared, "message_reverse": message_reverse(m, n)} | times


def tightest(times: dict[str, float]) -> tuple[float, str]:
    worst = max(times, key=lambda k: times[k])
    return times[worst], worst


def total(kernels: dict[str, Cost]) -> float:
    """ns an atom, each kernel by its tightest limit."""
    return sum(tightest(cost.times())[0] for cost in kernels.values())


def row(name: str, cost: Cost, times: dict[str, float]) -> str:
    needs = " | ".join(f"{v / 1e3:.0f}" for v in (cost.fma, cost.l2, cost.hbm))
    worst, limit = tightest(times)
    return f"| {name} | {needs} | {' | '.join(f'{v:.0f}' for v in times.values())} | {worst:.0f} {limit} |"


def head_product(m: Model, columns: int, written: int) -> Cost:
    """Descriptors of an atom, in the engine's precision, times a matrix in float64."""
    n = len(m.terms) * m.channels
    done = n * -(-columns // HEAD_STRIDE) * HEAD_STRIDE
    return Cost(2 * done, HEAD[0] * done / WARP, HEAD[1] * done / WARP, done * 8 / HEAD_ATOMS, n * FLOAT + written)


def head(m: Model) -> dict[str, tuple[Cost, int]]:
    """The posterior head, when a field is asked for, with as many modes as descriptors: cost, and bytes to and from the host."""
    n = len(m.terms) * m.channels
    hops = Cost(l2=2 * m.neighbours * 16, hbm=2 * (m.neighbours * 4 + 24))
    return {
        "energy_bars": (head_product(m, n + 1, 40), 24),
        "grades": (head_product(m, n, 12), 8),
        "sum_rows": (Cost(fma=2 * n, hbm=n * FLOAT), 0),
        "neighbour_means, two hops": (hops, 32),
        "force_values": (Cost(fma=400, hbm=40), 40),
        "member_std, 8 members": (Cost(fma=100, hbm=224), 224),
        "descriptors, for a network on the host": (Cost(hbm=n * FLOAT), n * FLOAT),
    }


def by_tables(m: Model) -> dict[str, Cost]:
    """The first layer where it goes by tables of all columns, in place of the common functions."""
    vector = m.channels * FLOAT
    sums = m.neighbours * m.channels / WARP * SUMS * FLOAT
    forward, reverse = loop(m, "first_forward", 4, hbm=16 * vector), loop(m, "first_reverse", 4, hbm=16 * vector + sums)
    return {"first_forward, where tables are": forward, "first_reverse, where tables are": reverse}


def main() -> None:
    """Print a table for each model."""
    titles = f"| kernel | k FMA | L2 kB | HBM kB | {' | '.join(RATES)} | tightest |\n|{10 * '---|'}"
    for name, m in MODELS.items():
        step = forward(m) | reverse(m)
        print(f"\n{name}: ns an atom by each limit\n\n{titles}")
        for kernel, cost in step.items():
            print(row(kernel, cost, cost.times()))
        ns = total(step)
        host = 1e9 * MOVED / HOST
        print(f"| sum | | | | | | | | | {ns:.0f}: {1e3 / ns:.2f} M atom-steps/s |")
        print(f"| positions from the host, forces to it | | | | | | | | | {host:.0f} more, at {HOST / 1e9:.0f} GB/s |")
        for kernel, cost in by_tables(m).items():
            print(row(kernel, cost, cost.times()))
        print(f"\nmatrices on tensor cores, stacked pulls\n\n{titles}")
        print(row("gemm: messages, on tensor cores", gemm(m, 40, 40, 16), on_tensor_cores(m, 40, 40, 16)))
        for n in (2, 4):
            cost = message_reverse(m, n)
            print(row(f"message_reverse of {n} sets", cost, cost.times()))
        pull, four = total(reverse(m)), total(reverse(m, 4))
        further = (four - pull) / 3
        print(f"\na further set of a stack of 4: {further:.0f} ns, {further / pull:.2f} of a pull, {further / ns:.2f} of a step")
        print(f"\nonly when asked\n\n{titles[: titles.index(chr(10))]} host |\n|{11 * '---|'}")
        for kernel, (cost, bytes_moved) in head(m).items():
            print(f"{row(kernel, cost, cost.times())} {1e9 * bytes_moved / HOST:.0f} |")


if __name__ == "__main__":
    main()
