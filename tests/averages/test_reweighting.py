# SPDX-License-Identifier: GPL-2.0-or-later
"""Averages under members: the harmonic crystal, whose averages are known, identities of the estimators, and lmp-uq reweight."""

from __future__ import annotations

import json
import subprocess

import ase.io
import numpy as np
import pytest
from lammps_processes import BIN, environment, execute
from linear_example import TWO, crystal, model_content

from lmp_uq import modelfile
from lmp_uq.averages.estimators import BOLTZMANN, RunSamples, averages, block_errors, block_length, direct_shifts, response, variances
from lmp_uq.averages.sampling import radial_distribution, read_run
from lmp_uq.cli.materials import _cutoff_and_bins
from lmp_uq.errors import UqError
from lmp_uq.posterior import Box
from lmp_uq.recipes.reweight import ReweightOptions, reweight

TEMPERATURE = 300.0
BETA = 1.0 / (BOLTZMANN * TEMPERATURE)


def harmonic(n: int, stiffness, seed: int = 0) -> RunSamples:
    """Samples of oscillators with E = sum_k stiffness_k x_k^2 / 2: the energy, x_0^2, and the energy taken as a function of positions."""
    x = np.random.default_rng(seed).normal(size=(n, len(stiffness))) / np.sqrt(BETA * np.asarray(stiffness))
    features = 0.5 * x**2
    energy = features @ stiffness
    return RunSamples(("energy", "square", "bare"), np.stack([energy, x[:, 0] ** 2, energy], axis=1), features, {"energy": features})


def test_response_of_oscillators():
    """<E> = d kT/2 whatever the stiffness, <x^2> = kT/k: derivatives within five standard errors, which are small."""
    stiffness, n = np.array([2.0, 5.0, 9.0]), 400_000
    g = response(harmonic(n, stiffness), BETA)
    kt = 1.0 / BETA
    expected = np.zeros((3, 3))
    expected[1, 0] = -kt / stiffness[0] ** 2
    expected[2] = -0.5 * kt / stiffness  # without its explicit part the energy falls as the spring grows
    # relative error of a covariance of squares of Gaussians: about sqrt(15 / n); of two that do not depend on one another sqrt(1 / n)
    error = np.sqrt(15.0 / n) * kt / stiffness
    assert (np.abs(g - expected)[[0, 2]] < 5.0 * error).all()
    assert (np.abs(g[1] - expected[1]) < 5.0 * error * 2.0 / stiffness[0]).all()
    assert (np.abs(expected[2]) > 40.0 * error).all()


def test_response_at_constant_pressure():
    """A cell with U = t_1 V + t_2 V^2 / 2 at pressure p, whose averages are known: Phi of each sample's cell is all that is needed.

    <V> = -(t_1 + p)/t_2, <U + pV> = kT/2 - (t_1 + p)^2/(2 t_2), and the pressure is p whatever the potential.
    """
    (t1, t2), p, n, kt = (-3.0, 0.5), 0.4, 400_000, 1.0 / BETA
    volume = -(t1 + p) / t2
    v = np.random.default_rng(6).normal(volume, np.sqrt(kt / t2), n)
    features = np.stack([v, 0.5 * v**2], axis=1)
    energy = features @ (t1, t2)
    rows = {"energy": features, "enthalpy": features, "pressure": -np.stack([np.ones(n), v], axis=1)}
    values = np.stack([v, energy, energy + p * v, -(t1 + t2 * v)], axis=1)
    g = response(RunSamples(("volume", "energy", "enthalpy", "pressure"), values, features, rows), BETA)
    of_volume, of_enthalpy = np.array([-1.0 / t2, -volume / t2]), np.array([volume, 0.5 * volume**2])
    expected = np.array([of_volume, of_enthalpy - p * of_volume, of_enthalpy, np.zeros(2)])
    # a covariance of n Gaussian samples is known to about sqrt(2 / n), of what V/t_2 and p V/t_2 are
    error = np.sqrt(2.0 / n) * np.array([[1.0], [1.0], [1.0], [t2]]) * np.abs(of_volume)
    assert (np.abs(g - expected) < 5.0 * error).all()
    assert (np.abs(expected[:3]) > 50.0 * error[:3]).all()


def test_direct_averages_of_oscillators():
    """By weights the average of another stiffness is exact, also where the first order is not."""
    stiffness, change = np.array([2.0, 5.0]), np.array([[0.8, 0.0]])
    samples = harmonic(200_000, stiffness)
    shift, share = direct_shifts(samples, change, BETA)
    kt = 1.0 / BETA
    assert shift[0, 1] == pytest.approx(kt / 2.8 - kt / 2.0, rel=0.02)
    assert abs(shift[0, 0]) < 0.01 * kt
    first = change @ response(samples, BETA).T
    assert abs(first[0, 1] / shift[0, 1] - 1.4) < 0.05  # kT change/k^2 against kT change/(k (k + change))
    # <w>^2 / <w^2> of Gaussian integrals
    assert share[0] == pytest.approx(2.0 / 2.8 * np.sqrt(3.6 / 2.0), rel=0.02)
    assert variances(samples, change, BETA)[0] == pytest.approx(0.5 * (0.8 / 2.0) ** 2, rel=0.02)


def test_first_order_is_the_derivative_of_the_weighted_average():
    """Finite difference of the one estimator, analytic derivative in the other: to rounding, on any samples."""
    generator = np.random.default_rng(3)
    features, extra = generator.normal(size=(50, 4)), generator.normal(size=(50, 4))
    samples = RunSamples(("a", "b"), generator.normal(size=(50, 2)), features, {"b": extra})
    direction = generator.normal(size=(1, 4))
    step = 1e-5 / BETA
    more, less = (direct_shifts(samples, s * direction, BETA)[0][0] for s in (step, -step))
    assert np.allclose((more - less) / (2.0 * step), (direction @ response(samples, BETA).T)[0], rtol=1e-7)


def test_closed_form_is_that_of_draws():
    generator = np.random.default_rng(4)
    box = Box(0.01 * generator.normal(size=4), generator.normal(size=(4, 4)), -generator.random(4), generator.random(4))
    features = 1e-2 * generator.normal(size=(60, 4))
    samples = RunSamples(("a", "energy"), generator.normal(size=(60, 2)), features, {"energy": features})
    members = box.sample(200_000, 0)
    shifts = members @ response(samples, BETA).T
    found = averages(samples, box, members, TEMPERATURE)["observables"]
    for k, name in enumerate(("a", "energy")):
        assert found[name]["std"] == pytest.approx(np.sqrt((shifts[:, k] ** 2).mean()), rel=0.01)
        assert found[name]["lower"] - found[name]["mean"] == pytest.approx(shifts[:512, k].min(), rel=0.5)
    assert found["energy"]["explicit"] and not found["a"]["explicit"]


@pytest.mark.parametrize(("n", "length"), [(2, 1), (31, 1), (32, 2), (63, 2), (64, 4), (1000, 32)])
def test_blocks_are_as_long_as_the_fix_makes_them(n, length):
    assert block_length(n) == length


def test_block_errors_are_the_scatter_of_repeats():
    """Over 200 independent runs: errors of the mean and of the shift, within a quarter (blocks are 16: an error of an error of 18 %)."""
    stiffness, member = np.array([2.0, 5.0]), np.array([[0.3, -0.2]])
    runs = [harmonic(256, stiffness, seed) for seed in range(200)]
    means, shifts = (np.array([f(one) for one in runs]) for f in (lambda s: s.values.mean(axis=0), lambda s: member @ response(s, BETA).T))
    errors = np.array([block_errors(one, member, BETA) for one in runs])
    typical = np.sqrt((errors**2).mean(axis=0))
    assert np.allclose(typical[0], means.std(axis=0), rtol=0.25)
    assert np.allclose(typical[1], shifts[:, 0].std(axis=0), rtol=0.25)


# ---- the verb -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_of_frames(tmp_path_factory):
    """A made-up potential of two elements and frames, as file names."""
    folder = tmp_path_factory.mktemp("frames")
    header, tensors = model_content(folder)
    tensors["posterior/modes"] *= 1e-5
    tensors["posterior/members"] *= 1e-5
    modelfile.write(folder / "x.uq", header, tensors)
    frames = [crystal(k, elements=("W", "Be"), strain=0.0, rattle=0.05) for k in range(5)]
    ase.io.write(folder / "run.extxyz", frames, format="extxyz")
    (folder / "table.txt").write_text("# volume two\n" + "".join(f"{atoms.get_volume()} {k}\n" for k, atoms in enumerate(frames)))
    assert len(TWO) == 2
    return folder


def test_the_verb_prints_and_writes(run_of_frames, tmp_path):
    words = ["--frames", run_of_frames / "run.extxyz", "--temperature", "3000", "--pressure", "--rdf", "4", "2", "--skip", "1"]
    words += ["--observables", run_of_frames / "table.txt", "--json", "out.json", "--members", "2"]
    ended = execute("lmp-uq", "reweight", run_of_frames / "x.uq", *words, folder=tmp_path)
    assert ended.code == 0, ended.text
    assert "4 frames, 3000 K, K = 2 members" in ended.text and "effective" in ended.text
    assert "* taken as a function of the positions only" in ended.text and max(map(len, ended.text.splitlines())) <= 100
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found["observables"]) == sorted(["energy", "pressure", "g(1.000)", "g(3.000)", "volume", "two"])
    assert found["observables"]["two"]["mean"] == 2.5 and not found["cell_changes"]
    words[words.index("out.json")] = "-"
    command = [BIN / "lmp-uq", "reweight", run_of_frames / "x.uq", *words]
    alone = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True)
    assert json.loads(alone.stdout) == found and b"4 frames, 3000 K" in alone.stderr


@pytest.mark.parametrize("words", [("inf", "2"), ("nan", "2"), ("0", "2"), ("4", "0"), ("4", "x")])
def test_a_cutoff_is_a_length(words):
    with pytest.raises(UqError, match="accepted: a cutoff above 0 Angstrom and a number of bins"):
        _cutoff_and_bins(words)
    assert _cutoff_and_bins(("4", "2")) == (4.0, 2)


def test_radial_distribution_of_a_crystal():
    """Every neighbour of a bcc crystal in its bin: 8 and 6 of each atom."""
    atoms = crystal(0, size=(3, 3, 3), strain=0.0, rattle=0.0)
    g = radial_distribution(atoms, 3.4, 34)
    shells = 4.0 / 3.0 * np.pi * np.diff(np.linspace(0.0, 3.4, 35) ** 3)
    counts = g * shells * len(atoms) / atoms.get_volume()
    assert counts[27] == pytest.approx(8.0) and counts.sum() == pytest.approx(14.0)


@pytest.mark.parametrize("before", ["", "ITEM: UNITS\nmetal\n", "ITEM: TIME\n0.5\n"])
def test_dumps_are_known_by_their_first_line(before, tmp_path):
    """Also those of dump_modify units and time, whatever they are called; sorted by id."""
    box = "ITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 5\n0 6\nITEM: ATOMS id element x y z\n"
    frame = f"{before}ITEM: TIMESTEP\n0\n{box}2 Be 1 2 3\n1 W 0 0 0\n"
    (tmp_path / "frames").write_text(2 * frame)
    found = read_run([tmp_path / "frames"])
    assert [str(atoms.symbols) for atoms in found] == ["WBe", "WBe"]
    assert np.allclose(found[1].positions, [[0, 0, 0], [1, 2, 3]]) and np.allclose(found[1].cell.lengths(), [4, 5, 6])


BAD = {
    "no posterior": ({"model": "bare.uq"}, "bare.uq has no posterior"),
    "one frame": ({"skip": 4}, "1 frames behind the first 4; accepted: at least 2"),
    "skip": ({"skip": -1}, "skip=-1; accepted: 0 or more"),
    "no frames": ({"frames": ["none.extxyz"]}, "none.extxyz: no such file"),
    "no frames in it": ({"frames": ["table.txt"]}, "table.txt: cannot be read as frames"),
    "temperature": ({"temperature": 0.0}, "temperature is 0 K; accepted: above 0"),
    "members": ({"n_members": 9}, "members 9 asked for"),
    "table": ({"observables": "short.txt"}, "short.txt: 1 lines below the names; accepted: one for each of the 5 frames"),
    "words": ({"observables": "words.txt"}, "words.txt: line 2 is 'x'; accepted: 1 numbers"),
    "few words": ({"observables": "few.txt"}, "few.txt: line 3 is '1'; accepted: 2 numbers, as the names in line 1"),
    "no words": ({"observables": "blank.txt"}, "blank.txt: holds no line; accepted: a line of names"),
    "no cell": ({"frames": ["open.extxyz"], "pressure": True}, "frame 1: no periodic cell"),
    "element": ({"frames": ["other.extxyz"]}, "element Fe is not in this potential"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name, run_of_frames, monkeypatch):
    monkeypatch.chdir(run_of_frames)
    header, tensors = model_content(run_of_frames)
    bare = {name: array for name, array in tensors.items() if not name.startswith("posterior")}
    modelfile.write("bare.uq", header | {"posterior": None, "calibration": None}, bare)
    (run_of_frames / "short.txt").write_text("a\n1\n")
    (run_of_frames / "words.txt").write_text("a\nx\n1\n1\n1\n1\n")
    (run_of_frames / "few.txt").write_text("a b\n1 2\n1\n1 2\n1 2\n1 2\n")
    (run_of_frames / "blank.txt").write_text("\n \n")
    open_frame, other = crystal(0), crystal(0)
    open_frame.pbc, other.symbols[0] = False, "Fe"
    for file, atoms in (("open", open_frame), ("other", other)):
        ase.io.write(f"{file}.extxyz", [atoms, atoms], format="extxyz")
    changes, text = BAD[name]
    given = {"model": "x.uq", "frames": ["run.extxyz"], "temperature": 300.0} | changes
    with pytest.raises(UqError) as failure:
        reweight(ReweightOptions(**given))
    assert text in str(failure.value)


def test_samples_that_are_no_numbers():
    with pytest.raises(UqError, match="values: not finite in frame 2"):
        RunSamples(("a",), np.array([[0.0], [np.nan]]), np.zeros((2, 3)), {})
    with pytest.raises(UqError, match="features of length 3; the posterior accepts 2"):
        box = Box(np.zeros(2), np.eye(2), -np.ones(2), np.ones(2))
        averages(RunSamples(("a",), np.zeros((2, 1)), np.zeros((2, 3)), {}), box, np.eye(2), 300.0)
