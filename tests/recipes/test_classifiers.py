# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq calibrate --classifier, end to end on a tiny model: what it writes and prints, what a model then says, what is refused."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest
from conftest import labelled_frames

from lmp_uq import Model, UqCalculator, calibrate, modelfile
from lmp_uq.calibration import ordinal_head, probe_training
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.report.model import describe_model
from lmp_uq.report.text import WIDTH
from lmp_uq.run.engine import ERROR_ABOVE, RELIABILITY


@pytest.fixture(scope="module")
def frames(mace_reference):
    """96 labelled frames of two groups that `models` has never seen."""
    mild, warm = (labelled_frames(mace_reference, *words) for words in (("mild", np.full(48, 0.05), 21), ("warm", np.full(48, 0.1), 22)))
    for atoms in mild + warm:
        atoms.calc = None
    return mild + warm


@pytest.fixture(scope="module")
def done(models, frames, tmp_path_factory):
    """(folder, text) of a calibration with both classifiers from the command line: data.xyz, both.uq, both.json."""
    folder = tmp_path_factory.mktemp("classifiers")
    ase.io.write(folder / "data.xyz", frames)
    words = ["calibrate", str(models.full), "--data", str(folder / "data.xyz"), "--out", str(folder / "both.uq"), "--quiet"]
    with pytest.MonkeyPatch.context() as patch, pytest.MonkeyPatch.context() as caught:
        patch.setattr(probe_training, "MAX_EPOCHS", 4)
        lines = []
        caught.setattr("builtins.print", lambda *texts, **_: lines.append(" ".join(map(str, texts))))
        assert main([*words, "--classifier", "probe", "--classifier", "ordinal", "--json", str(folder / "both.json")]) == 0
    return folder, "\n".join(lines)


@pytest.fixture(scope="module")
def model(done):
    return Model.load(done[0] / "both.uq")


def test_what_is_written(models, done):
    folder, text = done
    file, old = modelfile.read(folder / "both.uq"), modelfile.read(models.full)
    calibration = file.header.calibration.to_dict()
    assert calibration["probe"]["n_frames"] == {"training": 67, "stopping": 15, "held_out": 14}
    assert set(calibration["probe"]["groups_left_out"]) == set(calibration["ordinal"]["groups_left_out"]) == {"mild", "warm"}
    assert calibration["ordinal"]["thresholds"] == [0.1, 0.3, 1.0] and calibration["force_error"]["version"] == 2
    assert all(array.dtype == np.float64 for array in (file.section("calibration/probe") | file.section("calibration/ordinal")).values())
    same = [name for name in old.tensors if not name.startswith("roles/")]
    assert all(np.array_equal(old.tensors[n], file.tensors[n], equal_nan=old.tensors[n].dtype.kind == "f") for n in same)
    found = json.loads((folder / "both.json").read_text())["classifiers"]
    assert found == {name: calibration[name] for name in ("probe", "ordinal")}
    assert "classifier probe, of frames" in text and "classifier ordinal, of atoms" in text
    assert all(len(line) <= WIDTH for line in (text + describe_model(file)).splitlines() if "written" not in line)
    row = next(line for line in text.splitlines() if line.startswith("frames left out") and len(line.split()) == 11)
    assert row.split()[3] == "14"
    shown = " ".join(describe_model(file).split())
    assert "classifier of frames (probe)" in shown and "classifier of atoms (ordinal): force error above 0.1, 0.3, 1 eV/Angstrom" in shown


def test_reliability_of_frames(model, frames, models, done):
    found = model.reliability([frames[0], frames[60], done[0] / "data.xyz"], progress=False)
    assert len(found) == 98 and found.sources[0] == "frames[0]" and found.sources[2] == "data.xyz[0]"
    assert found.probability.shape == (98,) and np.all((found.probability > 0) & (found.probability < 1))
    # the same frame alone, in a batch of others, by the classifier on the descriptors of an engine
    assert found.probability[2] == pytest.approx(found.probability[0], rel=1e-9)
    assert model.reliability(frames[60]).probability[0] == pytest.approx(found.probability[62], rel=1e-9)
    assert [len(one) for one in found.importance] == [len(atoms) for atoms in found.frames]
    assert all(one.sum() == pytest.approx(1.0) for one in found.importance)
    atoms = found.to_ase()[1]
    assert atoms.info["reliability"] == found.probability[1] and atoms.info["reliability_boundary"] == found.boundary
    np.testing.assert_array_equal(atoms.arrays["importance"], found.importance[1])
    assert found.boundary == modelfile.read(done[0] / "both.uq").header.calibration.probe.boundary
    assert "Reliability of 98 frames" in repr(found)
    with pytest.raises(UqError, match="holds no classifier of frames; lmp-uq calibrate --classifier probe adds one"):
        Model.load(models.full).reliability(frames[0])


def test_copies_of_a_cell_say_the_same(model, frames):
    cell = frames[0]
    found = model.reliability([cell, cell.repeat((2, 1, 1))])
    assert found.probability[1] == pytest.approx(found.probability[0], rel=1e-6)


def test_energies_and_forces_do_not_change(model, models, frames):
    one, two = (Model.load(name).predict(frames[:3], progress=False) for name in (models.full, model.name))
    np.testing.assert_array_equal(one.energy, two.energy)
    for mine, theirs in zip(one.forces, two.forces, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(one.grade[0], two.grade[0])


def test_reliability_of_atoms(model, frames):
    prediction = model.predict(frames[50:52], progress=False)
    found, engine = prediction.reliability, model._engine
    assert "reliability" in model.fields and np.all((found[0] >= 0) & (found[0] <= 1))
    np.testing.assert_array_equal(prediction.to_ase()[0].arrays["reliability"], found[0])
    calculator = UqCalculator(model.name)
    np.testing.assert_array_equal(calculator.get_property("reliability", frames[50]), found[0])
    model.predict(frames[50], progress=False).energy  # noqa: B018  the engine holds its atoms now
    norm, grade = np.linalg.norm(prediction.forces[0], axis=1), engine.per_atom("grade")
    others = np.maximum(grade, 0.3), np.full(len(grade), 0.1)
    above = [engine.per_atom(RELIABILITY, norm, *others, threshold=t) for t in (0.1, 0.3, 1.0)]
    assert np.all(np.diff(above, axis=0) >= 0)
    np.testing.assert_array_equal(engine.per_atom(RELIABILITY, norm, *others), above[1])
    beyond = grade > 1
    fallback = 1.0 - engine.per_atom(ERROR_ABOVE, norm, *others, threshold=0.3)
    np.testing.assert_array_equal(above[1][beyond], fallback[beyond])
    assert np.any(above[1][~beyond] != fallback[~beyond])
    with pytest.raises(UqError, match=r"threshold 0.2 was not trained; accepted: 0.1, 0.3, 1 eV/Angstrom"):
        engine.per_atom(RELIABILITY, norm, *others, threshold=0.2)


def test_a_new_calibration_keeps_what_it_does_not_train(done, frames, tmp_path):
    folder, _ = done
    result = calibrate(folder / "both.uq", frames[::3], tmp_path / "again.uq", progress=False)
    old, new = modelfile.read(folder / "both.uq"), modelfile.read(tmp_path / "again.uq")
    assert result.found["classifiers"] == {} and new.header.calibration.force_error != old.header.calibration.force_error
    for name in ("probe", "ordinal"):
        assert getattr(new.header.calibration, name) == getattr(old.header.calibration, name)
        mine, before = (file.section(f"calibration/{name}") for file in (new, old))
        assert mine.keys() == before.keys() and all(np.array_equal(mine[k], before[k]) for k in before)
    kept = Model.load(tmp_path / "again.uq").reliability(frames[0]).probability
    assert kept == Model.load(folder / "both.uq").reliability(frames[0]).probability


def test_adapted_bars_keep_the_classifiers(done, frames, tmp_path):
    """And it is said that the ordinal head is not adapted."""
    old = modelfile.read(done[0] / "both.uq")
    result = calibrate(done[0] / "both.uq", frames[:9], tmp_path / "adapted.uq", adapt=True, progress=False)
    new = modelfile.read(tmp_path / "adapted.uq")
    assert new.header.calibration.force_error != old.header.calibration.force_error
    assert new.header.calibration.ordinal == old.header.calibration.ordinal and new.header.calibration.probe == old.header.calibration.probe
    assert new.section("calibration").keys() == old.section("calibration").keys()
    assert any("ordinal head of the file is not adapted" in text for text in result.found["warnings"])


def test_without_the_option_nothing_is_there(models, frames, tmp_path):
    calibrate(models.full, frames[::3], tmp_path / "plain.uq", progress=False)
    file = modelfile.read(tmp_path / "plain.uq")
    assert not file.section("calibration") and not {"probe", "ordinal"} & set(file.header.calibration.to_dict())
    assert "reliability" not in Model.load(tmp_path / "plain.uq").fields


def test_one_of_them(models, frames, tmp_path, monkeypatch):
    monkeypatch.setattr(probe_training, "MAX_EPOCHS", 2)
    result = calibrate(models.full, frames, tmp_path / "one.uq", classifier="probe", progress=False)
    assert set(result.found["classifiers"]) == {"probe"} and "classifier ordinal" not in str(result)
    assert not modelfile.read(tmp_path / "one.uq").section("calibration/ordinal")


def stripped(frames, *names):
    out = [atoms.copy() for atoms in frames]
    for atoms in out:
        for name in names:
            (atoms.arrays if name in atoms.arrays else atoms.info).pop(name)
    return out


def test_refusals(models, done, frames, tmp_path, capsys):
    target = tmp_path / "no.uq"
    cases = {
        "classifier is .'tree',.; accepted: probe, ordinal": (frames, "tree"),
        "classifier probe: 32 independent frames with energies": (frames[::3], "probe"),
        "classifier probe: 0 independent frames with energies": (stripped(frames, "REF_energy"), "probe"),
        "classifier ordinal: 32 frames hold atoms of grade <= 1": (frames[::3], "ordinal"),
        "classifier=.ordinal.: no force_error could be calibrated": (stripped(frames, "REF_forces"), "ordinal"),
    }
    for message, (given, classifier) in cases.items():
        with pytest.raises(UqError, match=message):
            calibrate(models.full, given, target, classifier=classifier, progress=False)
    for keyword in ("classifier", "learned_quantile"):
        with pytest.raises(UqError, match=f"adapt and {keyword} exclude each other: a few frames cannot train a network"):
            calibrate(done[0] / "both.uq", frames[:5], target, adapt=True, **{keyword: "probe" if keyword == "classifier" else True})
    words = ["calibrate", str(done[0] / "both.uq"), "--adapt", str(done[0] / "data.xyz"), "--out", str(target), "--classifier", "ordinal"]
    assert main(words) != 0
    assert "--adapt and --classifier exclude each other" in capsys.readouterr().err
    assert not target.exists()
    with pytest.raises(SystemExit, match="2"):
        main(["calibrate", str(models.full), "--data", "x.xyz", "--out", str(target), "--classifier", "tree"])
    assert "invalid choice: 'tree' (choose from" in capsys.readouterr().err


def test_files_that_contradict_themselves(done, tmp_path):
    file = modelfile.read(done[0] / "both.uq")
    whole = file.header.to_dict()
    calibration = whole["calibration"]

    def header(name, **changes):
        return whole | {"calibration": calibration | {name: calibration[name] | changes}}

    without = {k: v for k, v in file.tensors.items() if k != "calibration/probe/query_bias"}
    no_probe = whole | {"calibration": calibration | {"probe": None}}
    bad = {
        "calibration.probe.heads' is 7; accepted: a whole number that divides width": (header("probe", heads=7), file.tensors),
        "calibration.probe.boundary' is 0; accepted: a positive number .eV/atom.": (header("probe", boundary=0), file.tensors),
        "calibration.probe.n_features' is 3; accepted": (header("probe", n_features=3), file.tensors),
        "calibration.probe.width' is true; accepted: a whole number from 1": (header("probe", width=True), file.tensors),
        "calibration.ordinal.thresholds' is .1, 0.5.; accepted: a list": (header("ordinal", thresholds=[1, 0.5]), file.tensors),
        "calibration.ordinal.hidden' is .64.; accepted: a list of two": (header("ordinal", hidden=[64]), file.tensors),
        "tensor 'calibration/ordinal/weight_2' has shape .3, 32.*accepted: .2, 32": (header("ordinal", thresholds=[0.1, 1]), file.tensors),
        "tensor 'calibration/probe/query_bias' is missing": (whole, without),
        "unknown tensor calibration/probe/": (no_probe, file.tensors),
    }
    for message, (changed, tensors) in bad.items():
        with pytest.raises(UqError, match=message):
            modelfile.write(tmp_path / "bad.uq", changed, tensors)
    assert ordinal_head.THRESHOLDS == (0.1, 0.3, 1.0)
