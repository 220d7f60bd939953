# SPDX-License-Identifier: GPL-2.0-or-later
"""Figure of the knock-on run: both keys against time, and the last snapshot coloured by grade."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

THRESHOLDS = {"grade": 2.0, "force_error": 8.0}
COLOURS = {"grade": "#0072B2", "force_error": "#D55E00"}
MARKS = {"Ta": "o", "W": "s"}


def draw(folder: Path) -> Path:
    """Read trace.dat and last.lammpstrj in the folder, write knock-on.png there (whole or not at all)."""
    step, force_error, grade = np.loadtxt(folder / "trace.dat", usecols=(0, 1, 2), unpack=True)
    atoms = read_dump(folder / "last.lammpstrj")
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    equilibrated = re.search(r"^equilibrated: .* at step (\d+)", (folder / "log.knock-on").read_text(), re.MULTILINE)
    draw_trace(left, step, {"grade": grade, "force_error": force_error}, int(equilibrated[1]))
    draw_snapshot(figure, right, atoms)
    out = folder / "knock-on.png"
    temporary = out.with_suffix(".part.png")
    figure.savefig(temporary, dpi=160)
    os.replace(temporary, out)
    return out


def draw_trace(axes, step, values, knock):
    """Both keys on one logarithmic axis with their thresholds; the lines carry their names."""
    units = {"grade": "grade (1 = edge of training)", "force_error": "force_error, eV/Å"}
    for name, value in values.items():
        axes.semilogy(step, value, color=COLOURS[name], lw=1.8)
        axes.axhline(THRESHOLDS[name], color=COLOURS[name], lw=1, ls="--")
        # above the highest point that the words stand over, or below the lowest of the lower curve
        near = value[step <= step[0] + 0.4 * (step[-1] - step[0])]
        lower = near.max() < max(other[: len(near)].max() for other in values.values())
        place = (near.min(), -16) if lower else (near.max(), 7)
        for text, (height, lift) in ((units[name], place), (f"stop: {name} > {THRESHOLDS[name]:g}", (THRESHOLDS[name], 7))):
            axes.annotate(text, (step[0], height), xytext=(4, lift), textcoords="offset points", color=COLOURS[name], fontsize=9)
    axes.axvline(knock, color="0.4", lw=1, ls=":")
    low = min(v.min() for v in values.values())
    axes.annotate("knock: 100 eV ", (knock, 0.5 * low), ha="right", va="bottom", fontsize=9, color="0.3")
    axes.set(xlabel="step", ylabel="largest value of any atom", ylim=(0.45 * low, 2.2 * max(THRESHOLDS.values())))
    axes.set_title("Known ground, the knock, and the stop")
    axes.margins(x=0.02)
    axes.spines[["top", "right"]].set_visible(False)


def draw_snapshot(figure, axes, atoms):
    """Atoms of the last step in an oblique view, the nearer ones larger and drawn last."""
    depth = atoms["z"]
    across, up = atoms["x"] + 0.42 * depth, atoms["y"] + 0.24 * depth
    order = np.argsort(-depth)
    size = 130 - 70 * depth / depth.max()
    norm = LogNorm(vmin=max(atoms["grade"].min(), 1e-2), vmax=max(atoms["grade"].max(), 2.0))
    for element, mark in MARKS.items():
        mine = order[atoms["element"][order] == element]
        points = axes.scatter(
            across[mine], up[mine], c=atoms["grade"][mine], s=size[mine], marker=mark, norm=norm, cmap="plasma",
            edgecolors="white", linewidths=0.6,
        )
        axes.scatter([], [], marker=mark, color="0.5", s=70, label=element)
    worst = int(np.argmax(atoms["grade"]))
    axes.scatter(across[worst], up[worst], s=420, facecolors="none", edgecolors="black", linewidths=1.5)
    axes.annotate(
        f"atom {atoms['id'][worst]} ({atoms['element'][worst]}), grade {atoms['grade'][worst]:.1f}",
        (across[worst], up[worst]), xytext=(0.5, 1.0), textcoords="axes fraction", ha="center", fontsize=10,
        arrowprops={"arrowstyle": "-", "lw": 0.9, "shrinkB": 10},
    )
    axes.set_title("The atoms at the stop, coloured by grade", pad=18)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.legend(loc="lower right", frameon=False, fontsize=10)
    figure.colorbar(points, ax=axes, label="grade", shrink=0.85, ticks=[0.2, 0.5, 1, 2, 5], format="%g").minorticks_off()


def read_dump(path: Path) -> dict[str, np.ndarray]:
    """First frame of a LAMMPS dump with the columns id type element x y z force_error grade."""
    lines = path.read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("ITEM: ATOMS")) + 1
    n_atoms = int(lines[lines.index("ITEM: NUMBER OF ATOMS") + 1])
    rows = [line.split() for line in lines[first : first + n_atoms]]
    names = ("id", "type", "element", "x", "y", "z", "force_error", "grade")
    kinds = (int, int, str, float, float, float, float, float)
    return {name: np.array([kind(row[k]) for row in rows]) for k, (name, kind) in enumerate(zip(names, kinds, strict=True))}


if __name__ == "__main__":
    draw(Path("."))
