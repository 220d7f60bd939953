# SPDX-License-Identifier: GPL-2.0-or-later
"""What nvcc says of the kernels without a device: registers, spills, shared memory, and how many warps a processor holds by them.

A kernel file becomes PTX, and ptxas machine code for each chip. The table beside this file, static_evidence.txt, is what was found last:
more registers (which are given out in eights), more shared memory or spills than it says are a regression.

    python tests/static_evidence.py [--chips sm_90 sm_80] [--files message_forward ...]    # compared with the table
    python tests/static_evidence.py --write                                               # the table anew
    python tests/static_evidence.py --instructions --chips sm_90     # of the loops, needs cuobjdump and nvdisasm on PATH
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_suffix(".txt")
HOT_FILES = ("message_forward", "message_reverse", "first_layer", "first_common", "gemm", "products", "edge_geometry")
FILES = (*HOT_FILES, "atoms", "gate", "head_bars", "head_sums", "listed_edges")
CHIPS = {"sm_90": 228, "sm_80": 164}  # kB of shared memory of a processor; registers, warps and blocks are the same
REGISTERS, MOST_WARPS, MOST_BLOCKS, BLOCK_KB = 65536, 64, 32, 1
COUNTED = ("FFMA", "DFMA", "FMUL", "DMUL", "FADD", "DADD", "LDG", "LDS", "STG", "STS", "SHFL")
ARITHMETIC = ("FFMA", "DFMA", "FADD", "DADD")
HOT = re.compile(
    r"((message|first|product|common)_(forward|reverse(_stacked)?)|common_mix|gemm|gather_sources)_kernel<float|gemm_tf32_kernel"
)


class Kernel(NamedTuple):
    """What ptxas says; shared memory in bytes, spills in bytes stored and loaded, warps that a processor holds."""

    registers: int
    spills: int
    shared: int
    warps: int


def run(*command, **options) -> str:
    """Output of a command, standard error too; SystemExit with it if the command failed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def short(name: str) -> str:
    """message_forward_kernel<float, 1, 3> of a demangled signature."""
    return re.sub(r"^void |lmp_uq::cuda::|\(.*", "", name)


def demangled(names) -> dict[str, str]:
    """Symbol -> kernel."""
    names = list(names)
    return dict(zip(names, map(short, run("c++filt", *names).splitlines()), strict=True))


def given_out(registers: int) -> int:
    """Registers that a thread takes of a processor's: eights."""
    return -(-registers // 8) * 8


def warps_per_processor(chip: str, threads: int, registers: int, shared: int) -> int:
    """As many blocks as registers, shared memory, warps and blocks allow."""
    by_registers = REGISTERS // (threads * given_out(registers))
    by_shared = CHIPS[chip] * 1024 // (shared + BLOCK_KB * 1024)
    return min(by_registers, by_shared, MOST_WARPS * 32 // threads, MOST_BLOCKS) * threads // 32


def dynamic_shared(folder: Path) -> dict[str, int]:
    """Bytes that launches of message kernels ask for, by kernel: the numbers are those of csrc/mace/cuda/message_paths.h."""
    source = """
    #include "mace/cuda/message_paths.h"
    #include <cstdio>
    using namespace lmp_uq::cuda;
    template <class T, int L, int M> void show(const char *type)
    {
      const auto line = [&](const char *name, int numbers) {
        std::printf("message_%s_kernel<%s, %d, %d>:%d\\n", name, type, L, M, static_cast<int>(WARPS * sizeof(T) * numbers));
      };
      line("forward", largest_group<L, M, most_sums<T>()>() * LANES);
      line("reverse", reverse_shared<T, L, M>()), line("reverse_stacked", stacked_shared<T, L, M>());
    }
    template <int L, int M> void both() { show<float, L, M>("float"), show<double, L, M>("double"); }
    template <int L> void degrees() { both<L, 1>(), both<L, 2>(), both<L, 3>(); }
    int main() { degrees<0>(), degrees<1>(), degrees<2>(); }
    """
    program = folder / "dynamic_shared"
    run("g++", "-std=c++17", "-O1", f"-I{ROOT / 'csrc'}", "-x", "c++", "-", "-o", program, input=source)
    return {name: int(bytes) for name, bytes in (line.split(":") for line in run(program).splitlines())}


def ptx_of(file: str, chip: str, folder: Path) -> Path:
    """PTX of a kernel file, compiled as cmake/CudaLibrary.cmake does."""
    out = folder / f"{file}.{chip}.ptx"
    source = ROOT / "csrc" / "mace" / "cuda" / f"{file}.cu"
    run("nvcc", "-std=c++17", "-O3", "-ptx", f"-arch={chip.replace('sm', 'compute')}", f"-I{ROOT / 'csrc'}", source, "-o", out)
    return out


def threads_of(ptx: str) -> dict[str, int]:
    """Threads of a block, by symbol: what launch bounds say, else 128."""
    out = {}
    for name, head in re.findall(r"\.entry (\w+)\((.*?)^\{", ptx, re.DOTALL | re.MULTILINE):
        bounds = re.search(r"\.maxntid (\d+)", head)
        out[name] = int(bounds[1]) if bounds else 128
    return out


def assemble(file: str, chip: str, folder: Path, wanted=lambda kernel: True) -> tuple[dict[str, Kernel], Path]:
    """Kernels of a file that are wanted, and their machine code."""
    ptx, code = ptx_of(file, chip, folder), folder / f"{file}.{chip}.cubin"
    threads = threads_of(ptx.read_text())
    kernels = {symbol: kernel for symbol, kernel in demangled(threads).items() if wanted(kernel)}
    dynamic = dynamic_shared(folder) if file.startswith("message") else {}
    entries = [argument for symbol in kernels for argument in ("-e", symbol)]
    report = run("ptxas", "-v", "-O3", f"-arch={chip}", *entries, ptx, "-o", code) if kernels else ""
    found = {}
    for symbol, text in re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling entry|\Z)", report, re.DOTALL):
        spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", text))
        registers = int(re.search(r"Used (\d+) registers", text)[1])
        static = re.search(r"(\d+) bytes smem", text)
        shared = (int(static[1]) if static else 0) + dynamic.get(kernels[symbol], 0)
        found[kernels[symbol]] = Kernel(registers, spills, shared, warps_per_processor(chip, threads[symbol], registers, shared))
    return found, code


def instructions(code: Path) -> dict[str, Counter]:
    """Of the loop with the most multiplications and additions, less loops inside it, by kernel; "all" counts its instructions."""
    out = {}
    parts = re.split(r"Function : (\w+)", run("cuobjdump", "-sass", code))[1:]
    names = demangled(parts[::2])
    for symbol, body in zip(parts[::2], parts[1::2], strict=True):
        lines = [(int(at, 16), line) for at, line in re.findall(r"^\s+/\*([0-9a-f]{4,5})\*/\s+(.*?);", body, re.MULTILINE)]
        jumps = [(int(to[1], 16), at) for at, line in lines if (to := re.search(r"\bBRA\b.* (?:`\(.*\) )?0x([0-9a-f]+)", line))]
        loops = [(first, last) for first, last in jumps if first < last]
        counts = [_own(lines, loop, loops) for loop in loops]
        best = max(counts, key=lambda c: (sum(c[name] for name in ARITHMETIC), c["all"]), default=None)
        if best:
            out[names[symbol]] = best
    return out


def _own(lines, loop, loops) -> Counter:
    inside = [other for other in loops if other != loop and loop[0] <= other[0] and other[1] <= loop[1]]
    own = [line for at, line in lines if loop[0] <= at <= loop[1] and not any(a <= at <= b for a, b in inside)]
    counts = Counter(re.sub(r"^@!?U?P\w+ +", "", line).split(".")[0].split()[0] for line in own)
    return counts | Counter(all=sum(counts.values()))


def read_table() -> dict[tuple[str, str], Kernel]:
    """(chip, kernel) -> what was found last."""
    rows = (line.split("|") for line in TABLE.read_text().splitlines() if line and not line.startswith("#"))
    return {(chip.strip(), kernel.strip()): Kernel(*map(int, numbers)) for chip, kernel, *numbers in rows}


def regressions(found: dict[tuple[str, str], Kernel], table: dict[tuple[str, str], Kernel]) -> list[str]:
    """A line for each kernel that is worse than in the table, or is not there; hot kernels have no spills whatever the table says."""
    out = []
    for (chip, name), now in found.items():
        before = table.get((chip, name))
        if HOT.match(name) and now.spills:
            out.append(f"{name}, {chip}: {now.spills} bytes spilled")
        if before is None:
            out.append(f"{name}, {chip}: not in {TABLE.name}")
            continue
        if given_out(now.registers) > given_out(before.registers):
            out.append(f"{name}, {chip}: {now.registers} registers, were {before.registers}")
        if now.spills > before.spills or now.shared > before.shared:
            out.append(f"{name}, {chip}: {now.spills} bytes spilled, {now.shared} shared, were {before.spills} and {before.shared}")
    return out


def write_table(found: dict[tuple[str, str], Kernel]) -> None:
    """Replace the table."""
    version = re.search(r"release \S+ (\S+)", run("nvcc", "--version"))
    columns = "chip | kernel | registers | spilled bytes | shared bytes of a block | warps of a processor, of 64"
    head = f"# static_evidence.py --write, nvcc {version[1] if version else '?'}\n# {columns}\n"
    rows = [f"{chip} | {name} | {' | '.join(map(str, kernel))}\n" for (chip, name), kernel in found.items()]
    TABLE.write_text(head + "".join(rows))


def main() -> int:
    """Compile, print, and compare or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", nargs="+", choices=list(CHIPS), default=list(CHIPS))
    parser.add_argument("--files", nargs="+", choices=FILES, default=FILES)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--instructions", action="store_true")
    options = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for chip, file in itertools.product(options.chips, options.files):
            kernels, code = assemble(file, chip, Path(folder))
            found |= {(chip, name): kernel for name, kernel in kernels.items()}
            for name, k in kernels.items():
                print(f"{chip} {name}: {k.registers} registers, {k.spills} bytes spilled, {k.shared} shared, {k.warps} warps", flush=True)
            for name, counts in (instructions(code) if options.instructions else {}).items():
                print(f"{chip} {name}, loop of {counts['all']}: " + ", ".join(f"{counts[k]} {k}" for k in COUNTED if counts[k]), flush=True)
    if options.write:
        write_table(found)
        return 0
    worse = regressions(found, read_table())
    print("\n".join(worse) or "nothing is worse than in the table")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
