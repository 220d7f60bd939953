# SPDX-License-Identifier: GPL-2.0-or-later
"""Conductivity by Green and Kubo of the parts of in.conductivity's runs: running integrals, their mean and its standard error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

COLOUR = "#0072B2"


def read_parts(path: Path) -> np.ndarray:
    """(parts, samples) correlation of the flux over temperature squared, mean of x, y and z, from a file of fix ave/correlate."""
    parts, rows = [], []
    for line in path.read_text().splitlines()[3:]:
        words = line.split()
        if len(words) == 2:  # a new part: step and number of samples
            rows = []
            parts.append(rows)
        else:
            rows.append([float(word) for word in words])
    found = np.array(parts)[1:]  # the first one is the single sample of step 0
    temperature = np.loadtxt(path.with_name(path.name.replace("JJ", "mean")), ndmin=2)[:, 1].mean()
    return found[:, :, 3:].mean(axis=2) / temperature**2


def draw(folder: Path) -> Path:
    """Write conductivity.png there (whole or not at all), and print the conductivity."""
    scale, time = np.loadtxt(folder / "scale.dat")
    correlation = np.concatenate([read_parts(path) for path in sorted(folder.glob("JJ.*.dat"))])
    sums = np.cumsum(correlation, axis=1) - 0.5 * (correlation[:, :1] + correlation)
    times, mean = time * np.arange(sums.shape[1]), scale * sums.mean(axis=0)
    error = scale * sums.std(axis=0, ddof=1) / np.sqrt(len(sums))
    for end in (len(times) // 2, len(times) - 1):
        print(f"up to {times[end]:.2g} ps: {mean[end]:.1f} +- {error[end]:.1f} W/(m K), standard error of {len(sums)} parts")
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    shape = correlation.mean(axis=0) / correlation[:, 0].mean()
    left.plot(times, shape, color=COLOUR)
    left.axhline(0.0, color="0.6", lw=1)
    left.set(xlabel="t (ps)", ylabel="<J(0) J(t)> / <J(0) J(0)>", title="Correlation of the heat flux")
    right.plot(times, scale * sums.T, color="0.75", lw=0.8)
    right.fill_between(times, mean - error, mean + error, color=COLOUR, alpha=0.25, lw=0)
    right.plot(times, mean, color=COLOUR, lw=2)
    right.set(xlabel="upper limit of the integral (ps)", ylabel="conductivity (W/(m K))")
    right.set_title(f"Running integral: {len(sums)} parts, mean, standard error")
    for axes in (left, right):
        axes.set_xlim(0.0, times[-1])
        axes.spines[["top", "right"]].set_visible(False)
    out = folder / "conductivity.png"
    part = out.with_suffix(".part.png")
    figure.savefig(part, dpi=110)
    os.replace(part, out)
    return out


if __name__ == "__main__":
    draw(Path("."))
