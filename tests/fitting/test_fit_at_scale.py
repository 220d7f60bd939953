# SPDX-License-Identifier: GPL-2.0-or-later
"""Descriptors kept on disk, and fits over ranks: the same file whatever the number of ranks, and no work done twice."""

from __future__ import annotations

import re
import resource
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from lammps_processes import execute

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior import Box
from lmp_uq.recipes.fit import FitOptions, fit
from lmp_uq.rows import stream as cache_module


@pytest.fixture(scope="module")
def data(models):
    """The folder of frames that `models` was fitted on."""
    return models.full.parent


def options(data, models, out, **changes):
    given = {"calibration": (str(data / "cold.xyz"), str(data / "hot.xyz")), "n_members": 16, "progress": False}
    return FitOptions(str(models.bare), (str(data / "train.xyz"),), str(out), **(given | changes))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return str(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def made(monkeypatch):
    """Numbers of frames of each call of the backbone's evaluation; `limit` calls, then Ctrl-C."""

    class Made(list):
        limit = 10**6

    made, plain = Made(), cache_module.predict

    def counted(backbone, frames, row_options):
        if len(made) == made.limit:
            raise KeyboardInterrupt
        made.append(len(frames))
        return plain(backbone, frames, row_options)

    monkeypatch.setattr(cache_module, "predict", counted)
    return made


def test_an_interrupted_fit_goes_on_where_it_stopped(data, models, tmp_path, made):
    out = tmp_path / "x.uq"
    made.limit = 1
    with pytest.raises(KeyboardInterrupt):
        fit(options(data, models, out))
    assert not out.exists() and len(list((tmp_path / "x.uq.cache").iterdir())) == 1
    first, made.limit = made[0], 10**6
    fit(options(data, models, out))
    assert first + sum(made[1:]) == 40 + 20, "every frame once"
    assert out.exists() and not (tmp_path / "x.uq.cache").exists()
    fit(options(data, models, tmp_path / "y.uq"))
    assert out.read_bytes() == (tmp_path / "y.uq").read_bytes()


def test_a_kept_cache_serves_other_fits(data, models, tmp_path, made):
    kept = str(tmp_path / "kept")
    fit(options(data, models, tmp_path / "x.uq", cache=kept))
    n = len(made)
    fit(options(data, models, tmp_path / "y.uq", cache=kept, ridge=0.1, leverage_floor=1e-2))
    assert len(made) == n
    fit(options(data, models, tmp_path / "z.uq", cache=kept, n_force_rows=5))
    assert len(made) == 2 * n, "other rows are other files"


def test_a_damaged_file_of_the_cache_is_made_anew(data, models, tmp_path, made):
    kept = tmp_path / "kept"
    fit(options(data, models, tmp_path / "x.uq", cache=str(kept)))
    n = len(made)
    victim = sorted(kept.iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:1000])
    fit(options(data, models, tmp_path / "y.uq", cache=str(kept)))
    assert len(made) == n + 1
    assert (tmp_path / "x.uq").read_bytes() == (tmp_path / "y.uq").read_bytes()


def test_a_full_disk_is_one_error_and_nothing_is_lost(data, models, tmp_path, made):
    fit(options(data, models, tmp_path / "x.uq", cache=str(tmp_path / "kept")))
    largest = max(path.stat().st_size for path in (tmp_path / "kept").iterdir())
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    made.clear()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, old[1]))
        with pytest.raises(UqError, match=r"descriptors could not be kept: .*the same command goes on from there"):
            fit(options(data, models, tmp_path / "y.uq"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    done = list((tmp_path / "y.uq.cache").iterdir())
    assert not (tmp_path / "y.uq").exists() and all(path.suffix == ".npz" for path in done)
    fit(options(data, models, tmp_path / "y.uq"))
    assert (tmp_path / "x.uq").read_bytes() == (tmp_path / "y.uq").read_bytes()


def command(data, models, out):
    files = ["--data", data / "train.xyz", "--calibration", data / "cold.xyz", data / "hot.xyz"]
    return ["lmp-uq", "fit", "--backbone", models.bare, *files, "--members", 16, "--out", out]


@pytest.mark.parametrize(("n", "engine"), [(2, "torch"), (4, "torch"), (4, "native")])
def test_the_number_of_ranks_changes_nothing(data, models, tmp_path, n, engine):
    fit(options(data, models, tmp_path / "1.uq", engine=engine))
    alone = modelfile.read(tmp_path / "1.uq")
    box = Box.from_tensors(alone.section("posterior"))
    rows = np.random.default_rng(0).normal(size=(20, len(box.coefficients))) / np.abs(box.modes).max(axis=1)
    done = execute(*command(data, models, tmp_path / "n.uq"), "--engine", engine, ranks=n, folder=tmp_path)
    assert done.code == 0, done.text
    assert done.text.count("written") == 1, "one rank speaks"
    file = modelfile.read(tmp_path / "n.uq")
    other = Box.from_tensors(file.section("posterior"))
    np.testing.assert_allclose(other.coefficients, box.coefficients, rtol=1e-8, atol=1e-10 * np.abs(box.coefficients).max())
    for figure in ("std", "mean"):
        np.testing.assert_allclose(getattr(other, figure)(rows), getattr(box, figure)(rows), rtol=1e-9)
    mine, theirs = (Novelty.from_tensors(f.section("grade")).radius for f in (alone, file))
    np.testing.assert_allclose(theirs, mine, rtol=1e-10)
    assert file.header["posterior"]["counts"] == alone.header["posterior"]["counts"]
    found, wanted = (f.header["calibration"]["force_error"] for f in (file, alone))
    assert set(found) == set(wanted)
    means = [list(bar["group_means"].values()) for bar in (found, wanted)]
    np.testing.assert_allclose(*means, rtol=0, atol=1e-9)
    for name, numbers in wanted.items():
        if name != "group_means":
            np.testing.assert_allclose(found[name], numbers, rtol=1e-9, atol=1e-9, err_msg=name)


def test_bad_input_under_mpi_is_one_error_on_all_ranks(data, models, tmp_path):
    arguments = command(data, models, tmp_path / "nowhere" / "x.uq")
    done = execute(*arguments, ranks=2, folder=tmp_path)
    assert done.code != 0
    assert done.text.count("there is no folder of that name") == 1


def test_a_row_that_is_not_finite_is_named(data, models, tmp_path, monkeypatch):
    plain = cache_module.predict

    def spoiled(backbone, frames, row_options):
        part = plain(backbone, frames, row_options)
        part.rows.features[3, 0] = np.nan
        return part

    monkeypatch.setattr(cache_module, "predict", spoiled)
    with pytest.raises(UqError, match=r"train\.xyz\[0\]: the model gives NaN or infinity for the force component row \d+ \(1 such"):
        fit(options(data, models, tmp_path / "x.uq"))


def scaled_labels(data, tmp_path, name, factor):
    frames = ase.io.read(data / "train.xyz", ":")
    for atoms in frames:
        store = atoms.arrays if name == "REF_forces" else atoms.info
        store[name] = np.asarray(store[name]) * factor
    ase.io.write(tmp_path / "scaled.xyz", frames)
    return str(tmp_path / "scaled.xyz")


@pytest.mark.parametrize(
    ("name", "factor", "sentence"),
    [
        ("REF_forces", 23.06, "force labels are .* they look like kcal/mol/Angstrom; accepted is eV/Angstrom"),
        ("REF_stress", 160.2, "stress labels are .* they look like GPa; accepted is eV/Angstrom"),
        ("REF_stress", -1.0, "stress labels are .* their sign looks reversed"),
        ("REF_forces", 1.0, None),
    ],
)
def test_labels_of_other_units_are_noticed(data, models, tmp_path, caplog, kept, name, factor, sentence):
    given = {"data": (scaled_labels(data, tmp_path, name, factor),), "calibration": (), "cache": kept, "n_force_rows": 3}
    fit(replace(options(data, models, tmp_path / "x.uq"), **given))
    found = [text for text in caplog.messages if " labels are " in text]
    assert len(found) == (sentence is not None)
    assert sentence is None or re.search(sentence, found[0])
