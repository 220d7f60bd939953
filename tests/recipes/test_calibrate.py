# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq calibrate, end to end on a tiny model: what it writes, what it prints, what it refuses."""

from __future__ import annotations

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from conftest import labelled_frames

from lmp_uq import modelfile
from lmp_uq.calibration import conformal_quantile, force_error_of
from lmp_uq.calibration.grade_error import bar_of_energies
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.frames.reading import read_frames
from lmp_uq.novelty.neighbours import neighbour_grade
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import FORCES, SCALED
from lmp_uq.recipes import calibrate as recipe
from lmp_uq.recipes.calibrate import CalibrateOptions, calibrate
from lmp_uq.report.calibration import describe_calibration
from lmp_uq.report.model import describe_model
from lmp_uq.report.text import WIDTH
from lmp_uq.rows import predict as prediction
from lmp_uq.rows.rows import RowOptions
from lmp_uq.run.engine import Engine


@pytest.fixture(scope="module")
def data(tmp_path_factory, mace_reference):
    """Folder with warm.xyz and mild.xyz: 16 frames each of groups that `models` has never seen."""
    folder = tmp_path_factory.mktemp("calibrate")
    ase.io.write(folder / "warm.xyz", labelled_frames(mace_reference, "warm", np.full(16, 0.12), 11))
    ase.io.write(folder / "mild.xyz", labelled_frames(mace_reference, "mild", np.full(16, 0.08), 12))
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_backbone():
    """All files here hold the same backbone; building it takes longer than everything else."""
    built, build = {}, prediction.backbone_of_file

    def cached(file, precision, device, *, engine, threads):
        key = (precision, device, engine, threads, *(array.tobytes() for array in file.section("backbone").values()))
        if key not in built:
            built[key] = build(file, precision, device, engine=engine, threads=threads)
        return built[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction, "backbone_of_file", cached)
        yield


def options(models, data, out, names=("warm", "mild"), **changes):
    given = {"progress": False} | changes
    return CalibrateOptions(str(models.full), tuple(str(data / f"{name}.xyz") for name in names), str(out), **given)


@pytest.fixture(scope="module")
def done(models, data):
    """(report, file) of a calibration on both groups."""
    report = calibrate(options(models, data, data / "done.uq"), "lmp-uq calibrate")
    return report, modelfile.read(data / "done.uq")


def changed(data, name, change, source="warm"):
    """A copy of a file of frames with `change` applied to each; its name without suffix."""
    frames = ase.io.read(data / f"{source}.xyz", ":")
    for k, atoms in enumerate(frames):
        change(k, atoms)
        atoms.calc = None
    ase.io.write(data / f"{name}.xyz", frames)
    return name



def test_the_new_file_is_the_old_one_with_new_factors(models, data, done):
    report, new = done
    old = modelfile.read(models.full)
    assert replace(new.header, calibration=None, provenance=None) == replace(old.header, calibration=None, provenance=None)
    same = [name for name in old.tensors if not name.startswith("roles/")]
    assert same and all(np.array_equal(old.tensors[n], new.tensors[n], equal_nan=old.tensors[n].dtype.kind == "f") for n in same)
    calibration, provenance = new.header.calibration.to_dict(), new.header.provenance.to_dict()
    bar = force_error_of(calibration["force_error"])
    assert bar.levels == (0.5, 0.9, 0.95) and (bar.n_blocks, bar.n_groups) == (32, 2)
    assert bar != force_error_of(old.header.calibration.force_error.to_dict())
    for name in ("energy_error", "stress_error"):
        assert bar_of_energies(calibration[name]).n_blocks == 32
        assert set(calibration[name]["leave_one_group_out"]) == {"warm", "mild"}
    assert set(calibration["leave_one_group_out"]) == {"warm", "mild"} and set(calibration["per_element"]) == {"Si", "O"}
    assert provenance["command"] == "made by the tests && lmp-uq calibrate"
    assert provenance["roles"]["warm"] == {"calibration": 16} and provenance["roles"]["train"] == {"posterior": 40}
    keys = {f.key for f in read_frames([data / "warm.xyz", data / "mild.xyz"])}
    assert keys < set(new.tensors["roles/calibration"].tolist())
    assert [entry["path"] for entry in provenance["data"]][-2:] == ["warm.xyz", "mild.xyz"]
    assert report["in_sample"] is False and calibration["in_sample"] is False
    text = describe_model(new)
    assert "energy_error = " in text and "level 0.95: factor" in text and all(len(line) <= WIDTH for line in text.splitlines())


def test_bars_cover_the_frames_they_come_from_and_not_twice_their_errors(models, data, done):
    """The report's own coverage of frames whose errors are doubled, by the bars of `done`, is far below 0.9."""
    report, new = done
    for name in ("force_error", "energy_error", "stress_error"):
        assert report["labels"][name]["after"]["coverage"] >= 0.88
    frames = read_frames([data / "warm.xyz", data / "mild.xyz"])
    backbone, predicted, _ = recipe._predict(new, frames, options(models, data, "none"))
    labelled = recipe._labels(new, predicted, backbone)
    bar = force_error_of(new.header.calibration.force_error.to_dict())
    atoms = labelled.of(FORCES).atoms
    bars = bar.predict(atoms.variables)
    assert np.mean(atoms.error <= bars) == pytest.approx(report["labels"]["force_error"]["after"]["coverage"], abs=0.03)
    assert np.mean(2 * atoms.error <= bars) < 0.85
    for quantity in SCALED:
        labels = labelled.of(quantity)
        bars = bar_of_energies(new.header.calibration.to_dict()[quantity.bar]).of(labels)
        assert np.mean(np.abs(labels.error) <= bars) >= 0.88
        assert np.mean(np.abs(2 * labels.error) <= bars) < 0.85


def test_factors_are_those_of_the_rows(models, data, done):
    """Stress: frames are blocks of equal weights, and the factor is their conformal quantile, from the rows of an independent call."""
    _, new = done
    frames = read_frames([data / "warm.xyz", data / "mild.xyz"])
    predicted = prediction.predict(Engine.load(str(models.full), ["Si", "O"]).backbone, frames, RowOptions(kinds=("stress",)))
    box = Box.from_tensors(new.section("posterior"))
    ratios = np.abs(predicted.rows.targets) / box.rms(predicted.rows.features)
    factor = new.header.calibration.stress_error.factor
    assert factor == pytest.approx(conformal_quantile(ratios, 0.9, predicted.rows.frames), rel=1e-9)


def test_the_order_of_the_frames_changes_nothing(models, data, done):
    frames = ase.io.read(data / "mild.xyz", ":") + ase.io.read(data / "warm.xyz", ":")
    shuffled = [frames[k] for k in np.random.default_rng(0).permutation(len(frames))]
    ase.io.write(data / "shuffled.xyz", shuffled)
    report = calibrate(options(models, data, data / "shuffled.uq", ["shuffled"]))
    assert report["labels"] == done[0]["labels"]
    assert modelfile.read(data / "shuffled.uq").header.calibration == done[1].header.calibration


def test_the_text_holds_the_figures_within_its_columns(done):
    report, _ = done
    text = describe_calibration(report)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    for title in ("force_error (eV/Angstrom)", "energy_error (eV/atom)", "stress_error (virial, eV/atom)"):
        row = next(line for line in text.splitlines() if line.startswith(title) and line.split()[-1][0].isdigit())
        mine = report["labels"][title.split()[0]]
        assert row.split()[-3:] == [f"{mine['after'][k]:#.3g}".rstrip(".") for k in ("factor", "conservative_factor", "width")]
    few = report["labels"]["energy_error"]["few_frames"]["warm"]
    row = next(line for line in text.splitlines() if line.split()[:2] == ["warm", "16"] and len(line.split()) == 4)
    assert "energy_error" in text and {len(mine["few_frames"]) for mine in report["labels"].values()} == {2}
    assert f"{report['labels']['force_error']['few_frames']['warm']['others']:.3f}" == row.split()[2] and few["n_frames"] == 16
    assert "own" in text and "Si" in text


def test_frames_of_another_role_are_refused_unless_told_so(models, data, caplog):
    train = models.full.parent / "train.xyz"
    mixed = (str(data / "warm.xyz"), str(train))
    message = r"of 56 frames some had another role in this file: 40 posterior \(first: train.xyz\[0\]\).*in_sample=True"
    with pytest.raises(UqError, match=message):
        calibrate(replace(options(models, data, data / "no.uq"), data=mixed))
    assert not (data / "no.uq").exists()
    report = calibrate(replace(options(models, data, data / "in.uq"), data=mixed, in_sample=True))
    new = modelfile.read(data / "in.uq")
    assert report["in_sample"] and new.header.calibration.in_sample and "accepted: the new bars are" in describe_calibration(report)
    assert "in sample" in describe_model(new) and new.header.provenance.roles["train"] == {"posterior": 40, "calibration": 40}
    assert "56 independent frames, fewer than 100" in caplog.text


def test_calibrating_again_notes_a_frame_once(models, data, done):
    again = replace(options(models, data, data / "again.uq"), model=str(data / "done.uq"))
    report = calibrate(again)
    new = modelfile.read(data / "again.uq")
    assert new.header.provenance.roles == done[1].header.provenance.roles
    assert new.header.calibration.force_error == done[1].header.calibration.force_error
    for mine in report["labels"].values():
        assert mine["before"] == mine["after"]


def test_labels_that_are_missing_leave_their_factors_as_they_were(models, data, done, caplog):
    def only_energy(k, atoms):
        del atoms.arrays["REF_forces"], atoms.info["REF_stress"]

    name = changed(data, "energies", only_energy)
    given = replace(options(models, data, data / "e.uq", [name]), model=str(data / "done.uq"))
    report = calibrate(given)
    assert set(report["labels"]) == {"energy_error"} and set(report["left_out"]) == {"force_error", "stress_error"}
    new, old = modelfile.read(data / "e.uq").header.calibration.to_dict(), done[1].header.calibration.to_dict()
    assert new["force_error"] == old["force_error"] and new["energy_error"]["n_blocks"] == 16 != old["energy_error"]["n_blocks"]
    text = describe_calibration(report)
    assert "force_error: not calibrated: no frame has force labels" in text and "no group could be left out" in text


def test_atoms_without_grade_are_counted_and_take_no_part(models, data, caplog):
    file = modelfile.read(models.full)
    oxygen = file.header.elements.index("O")
    tensors = dict(file.tensors) | {"grade/radius": file.tensors["grade/radius"].copy()}
    tensors["grade/radius"][oxygen] = np.nan
    modelfile.write(data / "part.uq", file.header, tensors)
    report = calibrate(replace(options(models, data, data / "part2.uq"), model=str(data / "part.uq")))
    frames = read_frames([data / "warm.xyz", data / "mild.xyz"])
    counts = {e: sum(f.atoms.get_chemical_symbols().count(e) for f in frames) for e in ("Si", "O")}
    assert f"no training atoms of O ({counts['O']} atoms)" in caplog.text
    # every silicon atom has oxygen within two hops
    assert "none of" in report["left_out"]["force_error"] and "within two hops" in report["left_out"]["force_error"]


def test_another_energy_zero_is_warned_of(models, data, caplog):
    def shifted(k, atoms):
        atoms.info["REF_energy"] += 1.0 * len(atoms)

    calibrate(options(models, data, data / "shifted.uq", [changed(data, "shifted", shifted)]))
    assert "either the model is badly wrong on these frames, or the labels and the model count energy from different zeros" in caplog.text
    report = calibrate(options(models, data, data / "offset.uq", ["shifted"], fit_offsets=True))
    assert all(abs(offset - 1.0) < 0.2 for offset in report["energy_offsets"].values())


def test_refusals(models, data):
    def foreign(k, atoms):
        atoms.numbers[0] = 6

    few = ase.io.read(data / "warm.xyz", ":8")
    for atoms in few:
        atoms.calc = None
    ase.io.write(data / "few.xyz", few)
    x = data / "x.uq"
    cases = {
        "has no posterior to calibrate": replace(options(models, data, x), model=str(models.bare)),
        r"foreign.xyz\[0\]: elements C found; accepted: O, Si": options(models, data, x, [changed(data, "foreign", foreign)]),
        "nothing can be calibrated: .*8 frames.*accepted: 9 or more; energy_error: 8 frames": options(models, data, x, ["few"]),
        "there is no folder": options(models, data, data / "none" / "x.uq"),
        "32 frames with force labels; accepted: 80 or more": options(models, data, x, learned_quantile=True),
        "no learned quantile": None,
    }
    for message, given in cases.items():
        with pytest.raises(UqError, match=message):
            calibrate(given) if given else Engine.load(str(models.full), ["Si", "O"], learned=True)
    assert not x.exists()


def test_command_line_with_a_learned_quantile(models, data, mace_reference, capsys):
    ase.io.write(data / "many.xyz", labelled_frames(mace_reference, "many", np.full(84, 0.05), 13))
    out = data / "learned.uq"
    words = ["calibrate", str(models.full), "--data", str(data / "many.xyz"), "--out", str(out), "--learned-quantile", "--quiet"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert f"{out}: written" in text and "learned quantile (50 training, 13 stopping, 21 conformal frames" in " ".join(text.split())
    file = modelfile.read(out)
    assert "learned quantile of force_error, levels 0.5, 0.9, 0.95" in describe_model(file)
    check_engine(out, data)
    # a calibration without it drops it, and says so
    report = calibrate(replace(options(models, data, data / "dropped.uq"), model=str(out)))
    new = modelfile.read(data / "dropped.uq")
    assert "quantile_network" not in new.header.calibration.to_dict() and not new.section("calibration")
    assert any("learned quantile of the file is dropped" in text for text in report["warnings"])


def check_engine(path, data):
    """Engine.load(learned=True) gives the network's bars where grade <= 1 and force_error's elsewhere."""
    from lmp_uq.backbone.graph import graph_of_frames

    plain, learned = (Engine.load(str(path), ["O", "Si"], learned=flag) for flag in (False, True))
    atoms = ase.io.read(data / "warm.xyz", 0)
    atoms.positions[0] += 0.9
    graph, _ = graph_of_frames([atoms], plain.backbone.elements, plain.cutoff)
    for engine in (plain, learned):
        engine.evaluate(graph, np.zeros(len(atoms)), np.zeros((len(graph.centres), 3)))
    norm = np.linspace(0.1, 2.0, len(atoms))
    grade = plain.per_atom("grade")
    near = neighbour_grade(grade, graph.centres, graph.neighbours)
    assert (grade > 1).any() and (grade <= 1).any()
    bars = [engine.per_atom("force_error", norm, near, norm) for engine in (plain, learned)]
    np.testing.assert_array_equal(bars[0][grade > 1], bars[1][grade > 1])
    assert np.all(bars[0][grade <= 1] != bars[1][grade <= 1])


def test_what_is_not_calibrated_anew_keeps_what_is_said_of_it(models, data, done, caplog):
    """An adapted force_error stays adapted, and in sample, in a calibration of energies alone."""
    def only_energy(k, atoms):
        del atoms.arrays["REF_forces"], atoms.info["REF_stress"]

    given = options(models, data, data / "adapted.uq", ["warm"], adapt=True, in_sample=True)
    train = str(models.full.parent / "train.xyz")
    found = calibrate(replace(given, model=str(data / "done.uq"), data=(train, train)))["adaptation"]
    assert found["n_frames"] == 40, "a frame that is given twice tells once"
    with pytest.raises(UqError, match=r"adapt: no frame has force labels; accepted: frames with force labels"):
        calibrate(options(models, data, data / "none.uq", [changed(data, "energies_only", only_energy)], adapt=True))
    adapted = modelfile.read(data / "adapted.uq").header.calibration
    assert adapted.in_sample and len(adapted.adaptations) == 1
    calibrate(replace(options(models, data, data / "then.uq", ["energies_only"]), model=str(data / "adapted.uq")))
    then = modelfile.read(data / "then.uq").header.calibration
    assert then.force_error == adapted.force_error and then.adaptations == adapted.adaptations and then.in_sample
    calibrate(replace(options(models, data, data / "anew.uq"), model=str(data / "then.uq")))
    anew = modelfile.read(data / "anew.uq").header.calibration
    assert not anew.adaptations and not anew.in_sample


def test_an_adaptation_that_covers_no_better_is_said():
    said = recipe._no_better({"coverage_before": 0.98, "coverage_after": 1.0})
    assert said == ["adapted, the bars cover 1.00 of these frames, before 0.98 (aim: 0.90): label more frames, and calibrate with data"]
    assert recipe._no_better({"coverage_before": 0.92, "coverage_after": 1.0})[0].endswith("keep the old bars")
    assert not recipe._no_better({"coverage_before": 0.6, "coverage_after": 0.87})
    assert not recipe._no_better({"coverage_before": 0.875, "coverage_after": 0.875})
    assert not recipe._no_better({"coverage_before": 0.89, "coverage_after": 0.93})
