# SPDX-License-Identifier: GPL-2.0-or-later
"""fix uq/average: the closed forms of samples, on any number of ranks, across a restart, against runs of members, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from averages_example import INPUTS, TEMPERATURE, blocks, error_of, jobs
from lammps_cases import thermo_tables

from lmp_uq.averages.estimators import BOLTZMANN, RunSamples, averages, block_errors, response
from lmp_uq.averages.sampling import read_run, source_of
from lmp_uq.backbone.linear.potential import BAR
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.recipes.reweight import ReweightOptions, reweight, samples_of_frames

NKTV2P = 1.6021765e6
"""bar per eV/Angstrom^3 as LAMMPS has it in units metal."""
COLUMNS = ("mean", "std", "lower", "upper", "mean_error", "bar_error")
DUMP = "dump d all custom 2 d.lammpstrj id type x y z\ndump_modify d sort id format float %.17g"


@pytest.fixture(scope="module")
def potential(average_potential):
    return average_potential


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    yield from jobs(tmp_path_factory)


@pytest.fixture(scope="module")
def lammps(run):
    """Keeps this file in the group of those that keep ranks (conftest)."""
    return run


def samples_of(potential, folder, steps) -> RunSamples:
    """Values of the log and features of the dump of some steps."""
    (table,) = thermo_tables((folder / "log.lammps").read_text())
    at = np.flatnonzero(np.isin(table["Step"], steps))
    every = read_run([folder / "d.lammpstrj"], ["W"])
    frames = [every[k] for k in at]
    source, backbone = source_of(potential.file, "x.uq"), backbone_of_file(potential.file)
    virials = [backbone.evaluate_frame(atoms).virial_rows for atoms in frames]
    features = np.array([source.sample(atoms, False)[1] for atoms in frames])
    scale = NKTV2P / np.array([atoms.get_volume() for atoms in frames])
    names, rows = ["PotEng"], {"PotEng": features}
    for k, (a, b) in enumerate(((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))):
        names.append(f"c_thermo_press[{k + 1}]")
        rows[names[-1]] = np.pad(scale[:, None] * np.array([one[a, b] for one in virials]), ((0, 0), (0, 1)))
    names += ["c_virial", "v_gyration"]
    rows["c_virial"] = sum(rows[f"c_thermo_press[{k}]"] for k in (1, 2, 3)) / 3.0
    return RunSamples(names, np.array([table[name][at] for name in names]).T, features, rows)


@pytest.mark.parametrize("mover", ["nve", "nph tri 0 0 0.5"])
def test_the_closed_forms_are_those_of_the_samples(mover, potential, run):
    """Means, bars, block errors, variances and weights from positions, cells and values that LAMMPS wrote, by other code."""
    head = potential.head().replace("fix move all nve", f"fix move all {mover}")
    words = head + DUMP + "\nthermo 2\n" + potential.average(inputs="c_thermo_pe c_thermo_press[*] c_virial v_gyration")
    folder = run(words + "run 120").folder
    steps = [s for s in range(121) if s % 10 in (0, 6, 8) and s > 0]
    samples = samples_of(potential, folder, steps)
    volumes = [atoms.get_volume() for atoms in read_run([folder / "d.lammpstrj"], ["W"])]
    assert (np.ptp(volumes) > 0.01 * volumes[0]) == (mover != "nve")
    expected = averages(samples, potential.box, potential.members, TEMPERATURE)
    summary, rows = blocks(folder / "avg.txt")[-1]
    assert summary[2] == len(steps) == 36
    for row, name in zip(rows, samples.names, strict=True):
        for value, key in zip(row, COLUMNS, strict=True):
            assert value == pytest.approx(expected["observables"][name][key], rel=1e-9), (name, key)
    assert summary[3] == pytest.approx(expected["variance_median"], rel=1e-6)
    assert summary[4] == pytest.approx(expected["variance_90"], rel=1e-6)
    assert summary[5] == pytest.approx(expected["effective_share_median"], rel=1e-6)
    # by hand, one of each kind: what is under test is not the module that made the numbers above
    beta, theta = 1.0 / (BOLTZMANN * TEMPERATURE), samples.features
    covariance = np.cov(samples.values[:, 0], theta.T, bias=True)[0, 1:]
    assert rows[0][1] == pytest.approx(potential.box.rms(theta.mean(axis=0) - beta * covariance), rel=1e-9)
    covariance = np.cov(samples.values[:, 8], theta.T, bias=True)[0, 1:]
    assert rows[8][1] == pytest.approx(potential.box.rms(-beta * covariance), rel=1e-9)
    g = samples.rows["c_virial"].mean(axis=0) - beta * np.cov(samples.values[:, 7], theta.T, bias=True)[0, 1:]
    assert rows[7][1] == pytest.approx(potential.box.rms(g), rel=1e-9)
    assert rows[7][2] == pytest.approx(rows[7][0] + potential.box.bounds(g, 80)[0], rel=1e-9)


def test_means_are_those_of_fix_ave_time(potential, run):
    ave = "fix {} all ave/time 2 3 10 c_thermo_pe c_virial v_gyration ave {} file t{}.txt format ' %.16g'\n"
    words = potential.head() + potential.average() + ave.format("t", "running", 1) + ave.format("s", "one", 2)
    one = potential.average(inputs=INPUTS, more="file one.txt ave one").replace("fix a ", "fix o ")
    vector = "fix r all ave/time 2 3 10 c_rdf[2] mode vector ave running file t3.txt format ' %.16g'\n"
    folder = run(words + one + vector + "run 40").folder
    for mine, theirs in (("avg.txt", "t1.txt"), ("one.txt", "t2.txt")):
        found = np.array([rows[[0, 7, 8], 0] for _, rows in blocks(folder / mine)])
        assert found.shape == (4, 3) and np.allclose(found, np.loadtxt(folder / theirs)[:, 1:], rtol=1e-12)
    lines = [line.split() for line in (folder / "t3.txt").read_text().splitlines() if not line.startswith("#")]
    assert np.allclose(blocks(folder / "avg.txt")[-1][1][9:, 0], [float(line[1]) for line in lines[-6:]], rtol=1e-12)
    assert [int(summary[2]) for summary, _ in blocks(folder / "one.txt")] == [3, 3, 3, 3]


def test_one_rank_is_two_ranks(potential, run):
    # cut along x in both: the same sums of the same neighbours but for their order
    found = [blocks(run(potential.head() + potential.average() + "run 60", n).folder / "avg.txt") for n in (1, 2)]
    for (one, first), (two, second) in zip(*found, strict=True):
        scale = np.abs(first).max(axis=1, keepdims=True) + 1e-300
        assert np.abs((first - second) / scale).max() < 1e-8 and np.allclose(one, two, rtol=1e-7)


def test_a_restart_in_the_middle_changes_nothing(potential, run, tmp_path):
    average = potential.average()
    whole = run(potential.head() + average + "run 37\nwrite_restart half.restart\nrun 43", folder_of_run=tmp_path).folder
    expected = blocks(whole / "avg.txt")
    (tmp_path / "avg.txt").rename(tmp_path / "whole.txt")
    run(potential.head(start=False) + average + "run 43", folder_of_run=tmp_path)
    found = blocks(tmp_path / "avg.txt")
    assert [int(s[0]) for s, _ in found] == [40, 50, 60, 70, 80] and len(expected) == 8
    for (one, first), (two, second) in zip(expected[3:], found, strict=True):
        assert np.allclose(first, second, rtol=1e-8, atol=1e-12) and np.allclose(one[:6], two[:6], rtol=1e-8)
    text = error_of(run, potential.head(start=False) + potential.average(inputs="c_thermo_pe"), folder_of_run=tmp_path)
    assert "the restart file has averages of another model or other inputs" in text and "c_rdf[2](6)" in text
    text = error_of(run, potential.head(start=False) + average.replace(f"{TEMPERATURE}", "700") + "run 10", folder_of_run=tmp_path)
    assert "temp is 700 K now, the samples so far are of 600 K" in text


@pytest.mark.parametrize(("every", "n"), [(2, 20), (1, 150)])
def test_reweight_is_the_fix_on_the_same_samples(every, n, potential, run):
    """150 samples: blocks are merged three times, and the last one is not full."""
    average = potential.average(f"{every} {n} {every * n}", "c_thermo_pe c_virial c_rdf[2]")
    words = potential.head() + DUMP.replace("custom 2", f"custom {every}") + "\n" + average
    table = f"fix p all print {every} '$(c_rdf[5][2]:%.17g)' file table.txt title bin5 screen no\nthermo {every}\n"
    folder = run(f"{words}{table}run {every * n}").folder
    given = {"observables": str(folder / "table.txt"), "pressure": True, "elements": ("W",), "skip": 1}    # step 0 is no sample of the fix
    found = reweight(ReweightOptions(str(potential.path), [str(folder / "d.lammpstrj")], TEMPERATURE, **given))
    summary, rows = blocks(folder / "avg.txt")[-1]
    assert summary[2] == found["n_frames"] == n
    for row, name in ((rows[0], "energy"), (rows[1], "pressure"), (rows[6], "bin5")):
        mine = found["observables"][name]
        # N kT/V is no virial, and does not fluctuate
        shift = (16 * BOLTZMANN * TEMPERATURE / potential.atoms.get_volume() * BAR) if name == "pressure" else 0.0
        moved = {key: mine[key] - (shift if key in ("mean", "lower", "upper") else 0.0) for key in COLUMNS}
        for value, key in zip(row, COLUMNS, strict=True):
            assert value == pytest.approx(moved[key], rel=1e-6, abs=1e-6 * abs(row[0])), (name, key)


def test_shifts_are_those_of_runs_of_members(potential, run):
    """Members close to the mean, for the first order (at twice the share what it leaves out is seen); differences within four times their
    statistical errors.

    The atoms are tied to their sites: the crystal is stable whatever the potential.
    """
    theta, share = potential.file.tensors["backbone/coefficients"], 0.01
    more = "fix tie all spring/self 8.0\nfix bath all langevin {t} {t} 0.05 {seed} zero yes\ntimestep 0.004\nrun 500\nreset_timestep 0\n"
    average = potential.average("10 300 3000", "c_thermo_pe c_virial")
    results = []
    for k in range(3):
        own = theta + share * (potential.members[k - 1] if k else 0.0)
        (potential.folder / f"near{k}.snapcoeff").write_text(potential.settings.potential_files(own, "# near")["snapcoeff"])
        lines = (potential.folder / "pot.in").read_text().replace("pot.snapcoeff", f"near{k}.snapcoeff")
        (potential.folder / f"near{k}.in").write_text(lines)
        # its check would say that no mean runs, which is what is wanted here
        script = (potential.head(f"near{k}") + more.format(t=TEMPERATURE, seed=k + 5)).replace("energy_std", "check no energy_std")
        dump = "dump d all custom 10 d.lammpstrj id type x y z\ndump_modify d sort id delay 1 format float %.15g\n" if k == 0 else ""
        results.append(run(script + dump + average + "run 3000").folder)
    given = {"pressure": True, "elements": ("W",)}
    frames = [str(results[0] / "d.lammpstrj")]
    options = ReweightOptions(str(potential.path), frames, TEMPERATURE, **given)
    shifts, errors = first_order(potential, options, share)
    _, mean = blocks(results[0] / "avg.txt")[-1]
    for k in (1, 2):
        _, member = blocks(results[k] / "avg.txt")[-1]
        difference = member[:, 0] - mean[:, 0] - shifts[k - 1]
        error = np.sqrt(member[:, 4] ** 2 + mean[:, 4] ** 2 + errors[k - 1] ** 2)
        assert (np.abs(difference) < 4.0 * error).all(), (k, difference, error)
        # and the test could tell: without g.dTheta, or without its explicit part, it would fail
        assert (np.abs(shifts[k - 1]) > 5.0 * error).any()


def first_order(potential, options, share):
    """g.dTheta (K, 2) of energy and pressure for two members, and their block errors."""
    samples = samples_of_frames(source_of(potential.file, "x.uq"), read_run(options.frames, ["W"]), options, (), np.zeros((300, 0)))
    beta, few = 1.0 / (BOLTZMANN * TEMPERATURE), share * potential.members[:2]
    return few @ response(samples, beta).T, np.array([block_errors(samples, one[None], beta)[1] for one in few])


# ---- what is said and refused -------------------------------------------------------------------------------------------------


COMMANDS = {
    "schedule": ("2 3 5 c_virial uq u temp 300", "Nevery Nrepeat Nfreq are 2 3 5; accepted: 1 or more, Nfreq a multiple of Nevery"),
    "no input": ("2 3 10 uq u temp 300", "found no input; accepted: c_ID"),
    "no such compute": ("2 3 10 c_nix uq u temp 300", "input c_nix: there is no compute nix"),
    "per-atom": ("2 3 10 c_b uq u temp 300", "input c_b: it has no global values"),
    "no index": ("2 3 10 c_rdf uq u temp 300", "columns of its array are c_rdf[I]"),
    "no variable": ("2 3 10 v_nix uq u temp 300", "there is no variable nix"),
    "no source": ("2 3 10 c_virial temp 300", "needs: uq ID, a compute of style uq or uq/linear"),
    "wrong source": ("2 3 10 c_virial uq b temp 300", "compute b is of style sna/atom; accepted: uq, uq/linear"),
    "unknown source": ("2 3 10 c_virial uq nix temp 300", "there is no compute nix; accepted: a compute of style uq or uq/linear"),
    "no temperature": ("2 3 10 c_virial uq u", "needs: temp T, the temperature of the ensemble in K"),
    "cold": ("2 3 10 c_virial uq u temp 0\nrun 10", "temp is 0 K; accepted: above 0"),
    "no such temperature": ("2 3 10 c_virial uq u temp v_nix\nrun 10", "temp is v_nix; accepted: a number of K, or v_name"),
    "keyword": ("2 3 10 c_virial uq u temp 300 files x", "Unknown fix uq/average keyword files (accepted: uq, temp, file, ave, append)"),
    "ave": ("2 3 10 c_virial uq u temp 300 ave window", "unknown ave window (accepted: running, one)"),
    "no virial": ("2 3 10 c_virial uq plain temp 300", "needs the keyword virial in compute plain, as virial c_ID[*]"),
    "zero length": ("2 3 10 c_virial uq u temp 300\nrun 0", "a run of 0 steps has no averages; accepted: a run that reaches step 10"),
    "frequency": ("2 3 10 f_slow uq u temp 300\nrun 10", "input f_slow: its values are there every 4 steps, they are sampled every 2"),
    "not a number": ("2 3 10 v_bad uq u temp 300\nrun 10", "input v_bad is"),
    "no folder": ("2 3 10 c_virial uq u temp 300 file no/such/f\nrun 10", "cannot write no/such/f: No such"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_commands(potential, run, name):
    command, text = COMMANDS[name]
    more = f"compute plain all uq/linear {potential.path} c_b[*] energy_std\nvariable bad equal exp(1000*step)\n"
    more += "fix slow all ave/time 2 2 4 v_gyration\n"
    assert text in error_of(run, potential.head() + more + "fix a all uq/average " + command)


@pytest.mark.parametrize(
    ("command", "text"),
    [("v_bad uq u temp 300", "input v_bad is"), ("c_virial uq u temp 300 file no/such/f", "cannot write no/such/f")],
    ids=["on all", "on the first rank only"],
)
def test_bad_commands_end_both_ranks(command, text, potential, run):
    script = potential.head() + f"variable bad equal exp(1000*step)\nfix a all uq/average 2 3 10 {command}\nrun 10"
    assert text in error_of(run, script, 2)


def test_descriptors_of_another_potential_are_refused(potential, run):
    other = potential.settings.compute_arguments().replace("bzeroflag 0", "bzeroflag 1")
    script = potential.head().replace(f"sna/atom {potential.settings.compute_arguments()}", f"sna/atom {other}")
    assert "bzeroflag is 1 in the compute, 0 in the file" in error_of(run, script + potential.average() + "run 10")
    words = potential.settings.compute_arguments().split()
    words[1] = "0.98"
    script = potential.head().replace(f"snav/atom {potential.settings.compute_arguments()}", f"snav/atom {' '.join(words)}")
    text = error_of(run, script + potential.average() + "run 10")
    assert "Theta times compute v differs by" in text and "from the virial of pair style snap" in text


ENSEMBLES = {
    "nve": ("", "no thermostat is known among the fixes"),
    "npt": ("unfix move\nfix move all npt temp 600 600 0.1 iso 0 0 1.0", "(npt) moves the cell: Phi is that of the cell of each sample"),
    "deform": ("fix p all deform 1 x scale 1.001 remap x", "the response of the cell to the potential is neglected"),
    "wrong temperature": ("velocity all scale 1800", "keyword temp says 600 K"),
    "energy of a variable": ("variable u equal pe/atoms", "input v_u 0 follows the potential energy in all samples"),
    "pressure of a variable": ("variable u equal c_thermo_press*1e-4", "input v_u 0 follows the pressure in all samples"),
    "too short": ("", "no averages of this run, it ended on step 7; the next are due on step 10"),
}


@pytest.mark.parametrize("name", ENSEMBLES)
def test_what_the_formula_neglects_is_said(potential, run, name):
    more, text = ENSEMBLES[name]
    steps, inputs = 7 if name == "too short" else 20, "c_thermo_pe c_virial v_gyration" + (" v_u" if "variable" in name else "")
    folder = run(f"{potential.head()}{more}\n{potential.average('1 10 10', inputs)}run {steps}").folder
    assert ("follows the" in (folder / "log.lammps").read_text()) == ("variable" in name)
    assert text in (folder / "log.lammps").read_text()
    if name == "npt":
        assert "# note: fix move (npt) moves the cell" in (folder / "avg.txt").read_text()
        assert "no thermostat" not in (folder / "log.lammps").read_text()


def test_a_failing_variance_test_is_said(potential, run):
    """Cold: the same energies are many kT."""
    script = potential.head() + potential.average("1 10 10", "v_gyration").replace("temp 600.0", "temp 5") + "run 20"
    folder = run(script).folder
    log = (folder / "log.lammps").read_text()
    assert "the members' energies differ from that of this run by more than kT" in log and "var(h) median" in log
    header = [line for line in (folder / "avg.txt").read_text().splitlines() if line.startswith("#")]
    assert any("v_gyration: taken as a function of the positions only" in line for line in header)
