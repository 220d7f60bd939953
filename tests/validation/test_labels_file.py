# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of all labels gives back what the figures were made of."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

import lmp_uq
from lmp_uq import cli
from lmp_uq.errors import UqError
from lmp_uq.validation.labels_file import INDICES, TEXTS


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    kind = {name: str for name in TEXTS} | {name: lambda cell: int(cell or -1) for name in INDICES}
    return {name: np.array([kind.get(name, lambda cell: float(cell or "nan"))(row[name]) for row in rows]) for name in rows[0]}


def read_npz(path):
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope="module")
def written(models, tmp_path_factory):
    """(report, path) of CSV by Python and npz by the command line."""
    folder = tmp_path_factory.mktemp("labels")
    data = [str(models.full.parent / name) for name in ("cold.xyz", "hot.xyz")]
    report = lmp_uq.validate(models.full, data, in_sample=True, progress=False, n_force_rows=6, labels=folder / "all.csv")
    words = ["validate", models.full, "--data", *data, "--in-sample", "-q", "--force-rows", 6, "--labels", folder / "all.npz"]
    assert cli.main([str(word) for word in words]) == 0
    assert set(os.listdir(folder)) == {"all.csv", "all.npz"}
    return report, folder


def test_csv_and_npz_hold_the_same(written):
    _, folder = written
    one, other = read_csv(folder / "all.csv"), read_npz(folder / "all.npz")
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
        assert other[name].dtype != object


def test_every_label_is_there_with_its_bars(written):
    report, folder = written
    table = read_csv(folder / "all.csv")
    components = {"energy_per_atom": {""}, "forces": set("xyz"), "stress": {"xx", "yy", "zz", "xy", "xz", "yz"}}
    for key in components:
        mine, samples = table["quantity"] == key, report.samples[key]
        assert mine.sum() == len(samples.reference)
        for name in ("reference", "predicted", "error", "std", "lower", "upper", "force_norm"):
            np.testing.assert_array_equal(table[name][mine], getattr(samples, name), err_msg=name)
        np.testing.assert_array_equal(table["frame"][mine], samples.frames)
        assert set(table["component"][mine]) == components[key]
    atoms, mine = report.samples["force_error"], table["quantity"] == "atoms"
    assert mine.sum() == len(atoms.error) == report.force_error.n_atoms
    for name, values in (
        ("error", atoms.error), ("force_norm", atoms.force_norm), ("grade", atoms.grade), ("neighbour_grade", atoms.neighbours),
        ("std", atoms.force_std), ("force_error_90", atoms.force_error), ("force_error_50", atoms.levels[0.5]),
        ("error_above_0.3", atoms.above[0.3]), ("error_above_1", atoms.above[1.0]), ("error_above_0.1", atoms.above[0.1]),
    ):  # fmt: skip
        np.testing.assert_array_equal(table[name][mine], values, err_msg=name)
    assert list(table["element"][mine]) == list(atoms.elements) and set(table["group"]) == {"cold", "hot"}
    # others' figures are those of the report
    covered = {g: np.mean((table["error"] <= table["force_error_90"])[mine & (table["group"] == g)]) for g in ("cold", "hot")}
    assert all(abs(covered[g] - report.groups[g].force_error.coverage[0.9]) < 0.05 for g in covered)
    energies = table["quantity"] == "energy_per_atom"
    assert report.energy_per_atom.rmse == pytest.approx(np.sqrt(np.mean(table["error"][energies] ** 2)))


def test_components_are_those_of_the_vectors(written):
    report, folder = written
    table = read_npz(folder / "all.npz")
    atoms = report.samples["force_error"]
    vectors = {(f, a): (r, p) for f, a, r, p in zip(atoms.frames, atoms.atoms, atoms.reference, atoms.predicted, strict=True)}
    rows = np.flatnonzero(table["quantity"] == "forces")
    assert len(rows) > 50
    for k in rows:
        reference, predicted = vectors[table["frame"][k], table["atom"][k]]
        axis = "xyz".index(table["component"][k])
        assert (table["reference"][k], table["predicted"][k]) == pytest.approx((reference[axis], predicted[axis]))
        assert table["source"][k].endswith(".xyz[" + table["source"][k].rpartition("[")[2])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("all.txt", r"all\.txt.*accepted: a name that ends in \.csv or \.npz"),
        ("all", r"accepted: a name that ends in \.csv or \.npz"),
        ("no/such/all.csv", "there is no folder of that name"),
        (5, "labels is a int; accepted: a name or a path"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(name, said, tmp_path):
    with pytest.raises(UqError, match=said):
        lmp_uq.validate("no-such-model.uq", "no-such.xyz", labels=tmp_path / name if isinstance(name, str) else name)
    assert not list(tmp_path.iterdir())


def test_the_command_line_names_its_option(tmp_path, capsys):
    assert cli.main(["validate", "nbmotaw", "--data", "no.xyz", "--labels", str(tmp_path / "a.parquet")]) == 1
    assert "--labels" in capsys.readouterr().err
