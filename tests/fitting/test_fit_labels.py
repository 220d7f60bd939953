# SPDX-License-Identifier: GPL-2.0-or-later
"""What isolated atoms, weights and wrong labels do to fit, calibrate and validate: nothing, what they say, and what is said of them."""

from __future__ import annotations

import re

import ase
import ase.io
import numpy as np
import pytest

from lmp_uq import modelfile
from lmp_uq.cli import main
from lmp_uq.fitting.wide_bars import Shaping, other_floor, wide_bars
from lmp_uq.recipes.calibrate import CalibrateOptions, calibrate
from lmp_uq.recipes.fit import FitOptions, fit
from lmp_uq.recipes.validate import ValidateOptions, validate


@pytest.fixture(scope="module")
def data(models):
    """The folder of frames that `models` was fitted on."""
    return models.full.parent


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Descriptors that the fits of this file share."""
    return str(tmp_path_factory.mktemp("descriptors"))


def isolated(symbol, energy, **info):
    """One atom in a large cell, as a training set of a MACE model has them."""
    atoms = ase.Atoms(symbol, cell=[12.0] * 3, pbc=True, info={"REF_energy": energy} | info)
    atoms.arrays["REF_forces"] = np.zeros((1, 3))
    return atoms


def with_isolated(path, tmp_path):
    """A copy of a file with isolated atoms, far from the model's energy, in between."""
    frames = ase.io.read(path, ":")
    frames[3:3] = [isolated("Si", -300.0, config_type="IsolatedAtom"), isolated("O", 500.0, config_type="gas")]
    ase.io.write(tmp_path / path.name, frames)
    return str(tmp_path / path.name)


def options(models, folder, out, cache, **changes):
    data, calibration = (tuple(str(folder / f"{name}.xyz") for name in names) for names in (("train",), ("cold", "hot")))
    given = {"data": data, "calibration": calibration, "n_members": 64, "progress": False, "cache": cache}
    return FitOptions(str(models.bare), out=str(out), **(given | changes))


def assert_same_but_provenance(one, other):
    first, second = modelfile.read(one), modelfile.read(other)
    for name, array in first.tensors.items():
        if not name.startswith("roles/"):
            np.testing.assert_array_equal(array, second.tensors[name], err_msg=name)
    assert first.header.posterior == second.header.posterior and first.header.calibration == second.header.calibration
    assert first.header.provenance.roles == second.header.provenance.roles


def test_bars_with_isolated_atoms_are_those_without(models, data, tmp_path, cache):
    train, cold, hot = (with_isolated(data / f"{name}.xyz", tmp_path) for name in ("train", "cold", "hot"))
    plain, out = tmp_path / "plain.uq", tmp_path / "out.uq"
    fit(options(models, data, plain, cache))
    with pytest.warns(UserWarning, match=r"train.xyz: 2 of 42 frames are left out: isolated atoms"):
        fit(options(models, data, out, cache, data=(train,), calibration=(cold, hot)))
    assert_same_but_provenance(plain, out)
    with pytest.warns(UserWarning, match=r"hot.xyz: 2 of 14 frames are left out: isolated atoms"):
        calibrate(CalibrateOptions(str(plain), (cold, hot), str(out), progress=False))
    calibrate(CalibrateOptions(str(plain), (str(data / "cold.xyz"), str(data / "hot.xyz")), str(tmp_path / "again.uq"), progress=False))
    assert_same_but_provenance(tmp_path / "again.uq", out)
    with pytest.warns(UserWarning, match="isolated atoms"):
        with_them, _ = validate(ValidateOptions(str(models.full), (hot,), in_sample=True, progress=False))
    without, _ = validate(ValidateOptions(str(models.full), (str(data / "hot.xyz"),), in_sample=True, progress=False))
    named = [[one.pop("source") for one in found["suspicious"]] for found in (with_them, without)]
    assert with_them == without and without["n_frames"] == 12
    assert len(named[0]) == len(named[1])  # the index in the file counts isolated atoms too


def weighted(data, tmp_path, name, change):
    frames = ase.io.read(data / "train.xyz", ":")
    ase.io.write(tmp_path / name, change(frames))
    return str(tmp_path / name)


def coefficients(models, data, tmp_path, cache, path):
    out = tmp_path / "weighted.uq"
    fit(options(models, data, out, cache, data=(path,), calibration=(), leverage_floor=1e-3, n_force_rows=24))
    return modelfile.read(out).tensors["posterior/coefficients"]


@pytest.mark.parametrize("planted", [1.0, 2.0])
def test_a_weight_of_two_is_a_frame_twice(models, data, tmp_path, cache, planted):
    def once(frames):
        for atoms in frames[:5]:
            atoms.info["config_weight"] = 2.0 * planted
        return frames

    def once_by_kind(frames):
        for atoms in frames[:5]:
            atoms.info |= {f"config_{kind}_weight": 2.0 * planted for kind in ("energy", "forces", "stress")}
        return frames

    twice = coefficients(models, data, tmp_path, cache, weighted(data, tmp_path, "twice.xyz", lambda frames: [*frames, *frames[:5]]))
    plain = coefficients(models, data, tmp_path, cache, str(data / "train.xyz"))
    assert not np.allclose(twice, plain, rtol=1e-3)
    for change in (once, once_by_kind):
        found = coefficients(models, data, tmp_path, cache, weighted(data, tmp_path, "once.xyz", change))
        assert np.allclose(found, twice, rtol=1e-7, atol=1e-9 * np.abs(twice).max()) is (planted == 1.0)


def test_a_label_of_weight_zero_is_one_that_is_missing(models, data, tmp_path, cache):
    def weightless(frames):
        for atoms in frames[::7]:
            atoms.info |= {"REF_energy": 0.0, "config_energy_weight": 0.0}
        return frames

    def missing(frames):
        for atoms in frames[::7]:
            del atoms.info["REF_energy"]
        return frames

    with pytest.warns(UserWarning, match="labels of weight 0, which are not read, of 40 frames: energy of 6$"):
        found = coefficients(models, data, tmp_path, cache, weighted(data, tmp_path, "zero.xyz", weightless))
    np.testing.assert_array_equal(found, coefficients(models, data, tmp_path, cache, weighted(data, tmp_path, "none.xyz", missing)))


@pytest.mark.parametrize(("index", "label"), [(7, "energy"), (11, "force [xyz] of atom [0-9]+")])
def test_labels_that_widen_the_bars_are_named(models, data, tmp_path, cache, caplog, index, label):
    def spoilt(frames):
        if label == "energy":
            frames[index].info["REF_energy"] += 90.0
        else:
            frames[index].arrays["REF_forces"] *= 100.0
        return frames

    path = weighted(data, tmp_path, "spoilt.xyz", spoilt)

    def said(**changes):
        caplog.clear()
        fit(options(models, data, tmp_path / "wide.uq", cache, data=(path,), **changes))
        (text,) = (text for text in caplog.messages if "far wider than the errors" in text)
        assert re.search(rf"the box is shaped by spoilt.xyz\[{index}\] {label} ", text), text
        return text

    text = said()
    assert "leverage_floor" not in text and " calibration," not in text, "what was done is not advised"
    said(leverage_floor=1e-3)


def test_advice_on_the_floor_is_what_was_not_done():
    """Rows of low leverage are what a higher floor leaves out."""
    low, high = (Shaping("a.xyz[3]", "energy", leverage, 1.0) for leverage in (1e-3, 3.0))
    given = {"energy": 50.0, "forces": 2.0}
    for floor, calibrated, advice in (
        ("auto", False, "leverage_floor='auto' with calibration, or 0.01"),
        (1e-4, True, "leverage_floor='auto', or 0.01"),
        ("auto", True, ""),
        ("groups", True, ""),
    ):
        assert other_floor(floor, calibrated) == advice
        text = wide_bars(given, 1e-4, [low, high], advice)
        assert text.startswith("the bars are far wider than the errors (energy 50 times the mean error). With leverage floor 0.0001 ")
        assert "the box is shaped by a.xyz[3] energy (leverage 0.001); a.xyz[3] energy (leverage 3). " in text
        assert (advice in text) and ("leverage_floor" in text) is bool(advice)
        assert "leverage_floor" not in wide_bars(given, 1e-4, [high, low], advice)


def test_names_of_labels_on_the_command_line(models, data, tmp_path, cache):
    frames = ase.io.read(data / "train.xyz", ":")
    for atoms in frames:
        atoms.info["v"] = -atoms.info.pop("REF_stress") * atoms.get_volume()
        atoms.arrays["f"] = atoms.arrays.pop("REF_forces")
    ase.io.write(tmp_path / "own.xyz", frames)
    given = ["fit", "--backbone", str(models.bare), "--cache", cache, "--leverage-floor", "1e-3", "--members", "16", "--quiet"]
    names = ["--energy-key", "REF_energy", "--forces-key", "f", "--virials-key", "v"]
    assert main([*given, "--data", str(tmp_path / "own.xyz"), *names, "--out", str(tmp_path / "own.uq")]) == 0
    assert main([*given, "--data", str(data / "train.xyz"), "--out", str(tmp_path / "plain.uq")]) == 0
    own, plain = (modelfile.read(tmp_path / f"{name}.uq").header.posterior.counts for name in ("own", "plain"))
    assert own == plain and own["stress"]["rows"] == 240
