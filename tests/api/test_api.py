# SPDX-License-Identifier: GPL-2.0-or-later
"""fit, calibrate and validate from Python: the files, figures and texts of the verbs, on frames in memory or in files."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from conftest import labelled_frames
from lammps_cases import crystal

import lmp_uq
from lmp_uq import Model, UqError, cli, modelfile
from lmp_uq.api.results import NAMES_OF_FIGURES, ForceErrors
from lmp_uq.report.files import FIGURES


@pytest.fixture(scope="module")
def data(tmp_path_factory, mace_reference):
    """Files of frames by role."""
    folder = tmp_path_factory.mktemp("api")
    parts = {"train": (np.linspace(0.02, 0.15, 24), 1), "cold": (np.full(6, 0.06), 2)}
    parts |= {"hot": (np.full(9, 0.2), 3), "new": (np.full(6, 0.1), 5)}
    for name, (rattles, seed) in parts.items():
        ase.io.write(folder / f"{name}.xyz", labelled_frames(mace_reference, name, rattles, seed))
    return {name: str(folder / f"{name}.xyz") for name in parts}


def sections(path):
    """A model file without the text of the command that made it, and without names and hashes of data files."""
    file = modelfile.read(path)
    header = replace(file.header, provenance=replace(file.header.provenance, command=""))
    return header.to_dict(), {name: (a.dtype, a.shape, a.tobytes()) for name, a in file.tensors.items()}


def options_of(models, data, **changes):
    return {"backbone": str(models.bare), "calibration": [data["cold"], data["hot"]], "n_members": 16, "progress": False} | changes


@pytest.fixture(scope="module")
def fitted(models, data, tmp_path_factory):
    return lmp_uq.fit(data=data["train"], out=tmp_path_factory.mktemp("fit") / "api.uq", **options_of(models, data))


def test_a_fit_is_that_of_the_command_line(fitted, models, data, tmp_path, capsys):
    out, found = tmp_path / "cli.uq", tmp_path / "cli.json"
    words = ["fit", "--backbone", models.bare, "--data", data["train"], "--calibration", data["cold"], data["hot"], "--members", 16]
    assert cli.main([str(word) for word in [*words, "--out", out, "--json", found, "-q"]]) == 0
    assert sections(fitted.out) == sections(out)
    assert fitted.to_dict() == json.loads(found.read_text())
    assert str(fitted).replace(fitted.out, str(out)) == capsys.readouterr().out.rstrip()
    assert repr(fitted) == str(fitted) and fitted.rows["energy"].rows == fitted.n_frames == 24
    command = modelfile.read(fitted.out).header.provenance.command
    assert command.startswith(f"lmp_uq.fit(backbone={str(models.bare)!r}, data=['{data['train']}']")
    assert fitted.model().members == 16


def test_the_same_bytes_under_the_same_command(fitted, models, data, tmp_path):
    out = tmp_path / "again.uq"
    command = modelfile.read(fitted.out).header.provenance.command
    lmp_uq.fit(data=Path(data["train"]), out=out, command=command, **options_of(models, data))
    assert out.read_bytes() == Path(fitted.out).read_bytes()


def test_frames_in_memory_give_the_fit_of_their_files(fitted, models, data, tmp_path):
    read = {name: ase.io.read(path, ":") for name, path in data.items()}
    before = [atoms.copy() for atoms in read["train"]]
    options = options_of(models, data, calibration=[*read["cold"], *read["hot"]])
    found = lmp_uq.fit(data=read["train"], out=tmp_path / "memory.uq", **options)
    (header, tensors), (expected, expected_tensors) = sections(found.out), sections(fitted.out)
    named = header["provenance"].pop("data")
    assert [(one["path"], one["n_frames"]) for one in named] == [("data", 24), ("calibration", 15)]
    assert len({one["sha256"] for one in named}) == 2
    expected["provenance"].pop("data")
    assert (header, tensors) == (expected, expected_tensors)
    assert all(a == b and a.info.keys() == b.info.keys() for a, b in zip(before, read["train"], strict=True))


def test_a_calibration_is_that_of_the_command_line(models, data, tmp_path, capsys):
    found, out = tmp_path / "cli.json", tmp_path / "cli.uq"
    result = lmp_uq.calibrate(models.full, [data["hot"], data["new"]], tmp_path / "api.uq", in_sample=True, progress=False)
    words = ["calibrate", models.full, "--data", data["hot"], data["new"], "--out", out, "--json", found, "--in-sample", "-q"]
    assert cli.main([str(word) for word in words]) == 0
    assert sections(result.out) == sections(out) and result.to_dict() == json.loads(found.read_text())
    assert str(result).replace(result.out, str(out)) == capsys.readouterr().out.rstrip()
    after = result.labels["force_error"].after
    assert after.factor == math.exp(modelfile.read(out).header.calibration.force_error.quantiles[90])
    assert Model.load(result.out).fields == result.model().fields


@pytest.fixture(scope="module")
def report(models, data):
    return lmp_uq.validate(Model.load(models.full, n_members=32), ase.io.read(data["new"], ":"), progress=False)


def test_a_validation_is_that_of_the_command_line(report, models, data, tmp_path, capsys):
    found = tmp_path / "cli.json"
    words = ["validate", models.full, "--data", data["new"], "--members", 32, "--json", found, "-q"]
    assert cli.main([str(word) for word in words]) == 0
    expected = json.loads(found.read_text())
    assert report.to_dict() == expected and str(report) == capsys.readouterr().out.rstrip()
    assert report.forces.coverage == {level: expected["forces"][f"coverage_{100 * level:.0f}"] for level in (0.5, 0.9, 0.95)}
    assert report.forces.rmse == expected["forces"]["rmse"] and report.forces.figures["within_1_std"] == expected["forces"]["within_1_std"]
    assert report.force_error.coverage[0.9] == expected["force_error"]["coverage_by_level"]["0.9"]
    assert isinstance(report.groups["new"].force_error, ForceErrors) and set(report.elements) == set(expected["elements"])
    assert report.elements["Si"].energy_per_atom is None and report.stress.n == expected["stress"]["n"]


def test_a_model_stands_for_its_file(models, data):
    mine, named = (lmp_uq.validate(one, data["new"], progress=False) for one in (Model.load(models.full), models.full))
    assert mine.to_dict() == named.to_dict() and mine.forces.n_members == 64
    assert lmp_uq.validate(Model.load(models.full), data["new"], n_members=5, progress=False).forces.n_members == 5


def test_figures_of_a_report(report, tmp_path):
    for name in (set(FIGURES) | set(NAMES_OF_FIGURES)) - {"bagging"}:
        assert report.figure(name).axes
    with pytest.raises(UqError, match=r"nothing to draw in figure 'bagging': bagging needs baselines=True"):
        report.figure("bagging")
    with pytest.raises(UqError, match=r"no figure 'pie'; accepted: groups, parity.*reliability"):
        report.figure("pie")
    report.write(tmp_path / "report")
    assert (tmp_path / "report" / "report.html").exists() and (tmp_path / "report" / "calibration.png").exists()


def test_a_model_file_that_changed_is_not_validated_under_its_old_name(models, data, tmp_path):
    path = tmp_path / "mine.uq"
    path.write_bytes(models.full.read_bytes())
    loaded = Model.load(path)
    path.write_bytes(models.bare.read_bytes())
    with pytest.raises(UqError, match="the file has changed since it was loaded"):
        lmp_uq.validate(loaded, data["new"])


# ---- bad input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_member": 3}, r"there is no option 'n_member' \(did you mean 'n_members'\?\)"),
        ({"n_members": 0}, "n_members is 0; accepted: a whole number of 1 or more"),
        ({"n_members": True}, "n_members is True"),
        ({"rows": ["energy", "charges"]}, "rows is .*; accepted: energy, forces, stress"),
        ({"ridge": "much"}, "ridge is 'much'; accepted: a number >= 0 or auto or evidence or groups"),
        ({"leverage_floor": -1.0}, "leverage_floor is -1.0"),
        ({"axes": "x"}, "axes is 'x'; accepted: auto, scaled, given"),
        ({"energy_scale": 0}, "energy_scale is 0; accepted: a number above 0"),
        ({"keys": {"charge": "q"}}, "accepted: a dict of energy, forces, stress, virials"),
        ({"data": []}, "no frames in an empty list"),
        ({"data": 3}, "data: a int"),
        ({"data": ["no-such.xyz"]}, "no-such.xyz: no such file"),
        ({"out": 5}, "out is a int"),
        ({"backbone": None}, "backbone is a NoneType"),
        ({"data": None}, "data: a NoneType; accepted: ase.Atoms, paths"),
        ({"device": 5}, "device is 5; accepted: text"),
        ({"reference": 4.0}, r"reference is \(4.0,\); accepted: text"),
        ({"fit_offsets": "no"}, "fit_offsets is 'no'; accepted: True or False"),
        ({"engine": "jax"}, "engine is 'jax'; accepted: auto, native, torch"),
    ],
)
def test_what_a_fit_does_not_take(options, said, models, data, tmp_path):
    given = {"data": data["train"], "out": tmp_path / "x.uq", **options_of(models, data)} | options
    with pytest.raises(UqError, match=said):
        lmp_uq.fit(**given)
    assert not list(tmp_path.iterdir())


def test_frames_that_a_validation_does_not_take(models, data):
    bad = ase.io.read(data["new"], ":")
    bad[1].positions[0, 0] = np.nan
    with pytest.raises(UqError, match="data, frame 1: positions or cell are NaN or infinite"):
        lmp_uq.validate(models.full, bad)
    with pytest.raises(UqError, match="data, frame 0: no labels found"):
        lmp_uq.validate(models.full, crystal((1, 1, 1)))
    with pytest.raises(UqError, match="of 24 frames some had another role"):
        lmp_uq.calibrate(models.full, [*ase.io.read(data["hot"], ":"), *ase.io.read(data["train"], ":")][-24:], "x.uq")
    with pytest.raises(UqError, match=r"data\[0\]: elements Au found"):
        lmp_uq.validate(models.full, gold())
    for verb in (lmp_uq.validate, lambda *given: lmp_uq.calibrate(*given, "x.uq")):
        for nothing in ([], iter(())):
            with pytest.raises(UqError, match="data: there are no frames in an empty list"):
                verb(models.full, nothing)
        for no_model in (None, ["a.uq"], 3):
            with pytest.raises(UqError, match=f"model is a {type(no_model).__name__}; accepted: a name or a path"):
                verb(no_model, bad[0])


def gold():
    from ase.build import bulk

    atoms = bulk("Au")
    atoms.info["REF_energy"] = 1.0
    return atoms


def test_help_shows_the_options():
    import inspect

    shown = inspect.signature(lmp_uq.fit).parameters
    assert shown["n_members"].default == 512 and shown["data"].default is inspect.Parameter.empty and "options" not in shown
    assert inspect.signature(lmp_uq.validate).parameters["baselines"].default is False
