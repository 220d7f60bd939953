# SPDX-License-Identifier: GPL-2.0-or-later
"""`Model.predict`: what the calculator and the engine say, lazily, of frames in memory and in files."""

from __future__ import annotations

import ase.build
import ase.io
import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from lammps_cases import assert_equal, crystal

import lmp_uq
from lmp_uq import Model, UqCalculator, UqError, model, modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.frames.frame import Frame
from lmp_uq.rows.predict import RowOptions, predict

TOTALS = ("energy", "energy_std", "energy_lower", "energy_upper", "energy_error", "stress", "stress_std")
PER_ATOM = ("forces", "grade", "neighbour_grade", "forces_std")


@pytest.fixture(scope="module")
def loaded(models):
    return Model.load(models.full, precision="float64", n_force_members=3)


@pytest.fixture(scope="module")
def frames():
    return [crystal((1, 1, 1 + k % 2), tilt=k % 2 == 0, rattle=0.1, seed=k) for k in range(5)]


@pytest.fixture
def passes(monkeypatch):
    """Number of the frames of each pass through the model, and whether forces and members had a part in it."""
    made, real = [], model.evaluate

    def counted(engine, atoms, names, *, forces=True, dear=False):
        made.append((len(atoms), "dear" if dear else "forces" if forces else "free"))
        return real(engine, atoms, names, forces=forces, dear=dear)

    monkeypatch.setattr(model, "evaluate", counted)
    return made


def ask(prediction, *names):
    return [getattr(prediction, name) for name in names]


def test_predictions_are_those_of_the_calculator(loaded, models, frames):
    found = loaded.predict(frames)
    calculator = UqCalculator(models.full, precision="float64", n_force_members=3)
    for k, atoms in enumerate(frames):
        for name in (*TOTALS, *PER_ATOM):
            expected = calculator.get_property(name, atoms)
            np.testing.assert_allclose(getattr(found, name)[k], expected, rtol=1e-10, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(found.force_error()[k], calculator.get_property("force_error", atoms), rtol=1e-10)
        above = calculator.get_error_above(0.05, atoms)
        np.testing.assert_allclose(found.error_above(0.05)[k], above, rtol=1e-10, atol=1e-12)
        assert ((above >= 0.0) & (above <= 1.0)).all()


def test_predictions_are_those_of_the_rows(loaded, models, frames):
    file = modelfile.read(models.full)
    labelled = [Frame(atoms, np.nan, None, None, "", str(k), k) for k, atoms in enumerate(frames)]
    expected = predict(backbone_of_file(file, "float64"), labelled, RowOptions(kinds=()))
    found = loaded.predict(frames)
    assert_equal("energy", found.energy, expected.energies, relative=1e-10)
    for k in range(len(frames)):
        assert_equal("forces", found.forces[k], expected.forces[k], relative=1e-10)
        a, b = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
        assert_equal("stress", found.stress[k], expected.stresses[k][a, b], relative=1e-10)
    members = file.tensors["posterior/members"]
    sums = np.array([np.append(d.sum(axis=0), len(d)) for d in expected.descriptors])
    assert_equal("members", found.members, expected.energies[:, None] + sums @ members.T, relative=1e-10)


def test_a_batch_is_its_frames_and_its_order(loaded, frames):
    together, single = loaded.predict(frames), [loaded.predict(atoms) for atoms in frames]
    assert [len(one) for one in single] == [1] * len(frames)
    for k, one in enumerate(single):
        for name in (*TOTALS, *PER_ATOM, "members"):
            np.testing.assert_allclose(getattr(together, name)[k], getattr(one, name)[0], rtol=1e-10, atol=1e-12, err_msg=name)
        for level in (0.5, 0.9):
            np.testing.assert_allclose(together.force_error(level)[k], one.force_error(level)[0], rtol=1e-10)


def test_nothing_is_computed_before_it_is_asked_for_or_twice(loaded, frames, passes):
    found = loaded.predict(frames)
    assert not passes and "nothing computed yet" in repr(found)
    steps = [
        ("free", ("energy", "grade", "members", "energy_std")),
        ("forces", ("forces", "stress", "energy")),
        ("dear", ("forces_std", "stress_std", "forces", "grade")),
    ]
    for kind, names in steps:
        passes.clear()
        ask(found, *names)
        found.force_error(0.5) if kind != "free" else None
        assert {kind} == {of for _, of in passes} and sum(n for n, _ in passes) == len(frames)
        assert "nothing computed yet" not in repr(found)
    for first in ("forces", "stress_std"):
        passes.clear()
        ask(loaded.predict(frames), first, "energy", "grade")
        assert sum(n for n, _ in passes) == len(frames)


def test_frames_come_from_memory_from_files_and_from_both(loaded, frames, tmp_path):
    path = tmp_path / "frames.traj"
    ase.io.write(path, frames[:3])
    expected = loaded.predict(frames)
    found = loaded.predict([path, frames[3], frames[4]])
    assert found.sources == [f"frames.traj[{k}]" for k in range(3)] + ["frames[0]", "frames[1]"]
    np.testing.assert_array_equal(found.energy, expected.energy)
    np.testing.assert_array_equal(loaded.predict(str(path)).energy, expected.energy[:3])
    np.testing.assert_array_equal(loaded.predict(atoms for atoms in frames).energy, expected.energy)


def test_what_becomes_of_the_atoms_later_changes_nothing(loaded, frames):
    mine = frames[0].copy()
    found = loaded.predict(mine)
    mine.positions += 1.0
    mine.rattle(0.1)
    np.testing.assert_array_equal(found.energy, loaded.predict(frames[0]).energy)


def test_atoms_come_back_with_what_was_predicted(loaded, frames, tmp_path):
    found = loaded.predict(frames)
    plain = found.to_ase()
    assert "forces_std" not in plain[0].arrays
    ask(found, "forces_std")
    ase.io.write(tmp_path / "out.extxyz", found.to_ase())
    for k, atoms in enumerate(found.to_ase()):
        assert atoms == frames[k] and not frames[k].arrays.keys() & {"grade", "force_error"}
        assert atoms.get_potential_energy() == found.energy[k] and atoms.info["energy_std"] == found.energy_std[k]
        np.testing.assert_array_equal(atoms.get_forces(), found.forces[k])
        np.testing.assert_array_equal(atoms.get_stress(), found.stress[k])
        np.testing.assert_array_equal(atoms.arrays["forces_std"], found.forces_std[k])
    again = ase.io.read(tmp_path / "out.extxyz", ":")
    for k, atoms in enumerate(again):
        np.testing.assert_allclose(atoms.calc.results["grade"], found.grade[k], atol=1e-7)
        np.testing.assert_allclose(atoms.get_forces(), found.forces[k], atol=1e-7)


def test_a_table_has_a_row_for_each_frame(loaded, frames):
    pytest.importorskip("pandas")
    found = loaded.predict(frames)
    table = found.to_frame()
    assert list(table["energy"]) == list(found.energy) and list(table["n_atoms"]) == [len(atoms) for atoms in frames]
    assert list(table["grade_max"]) == [grade.max() for grade in found.grade]


def test_what_a_model_says_of_itself(loaded, models):
    header = modelfile.read(models.full).header.to_dict()
    assert loaded.elements == tuple(header["elements"]) and loaded.cutoff == header["cutoff"] and loaded.info == header
    assert loaded.members == 64 and Model.load(models.full, n_members=5).members == 5
    assert {"energy_std", "force_error", "error_above", "grade", "neighbour_grade"} <= set(loaded.fields)
    assert {"forces_std", "stress_std", "members"} <= set(loaded.fields)
    assert Model.load(models.bare).fields == () and "no posterior" in repr(Model.load(models.bare))
    loaded.info["elements"].clear()
    assert loaded.info == header


def test_threads_change_nothing(models, frames):
    mine = Model.load(models.full, precision="float64")
    expected = mine.predict(frames[:2]).energy
    np.testing.assert_allclose(mine.predict(frames[:2], n_threads=2).energy, expected, rtol=1e-12)
    assert mine.options["threads"] == 2


def test_a_linear_potential(linear_model, tmp_path):
    """Forces and stress of members are those of LAMMPS' rows: differences of the members' energies."""
    from linear_example import crystal as tungsten

    loaded, atoms = Model.load(linear_model, n_force_members=4), tungsten(3)
    found = loaded.predict([atoms, atoms])
    step, moved = 1e-4, [atoms.copy(), atoms.copy()]
    for sign, one in zip((1, -1), moved, strict=True):
        one.positions[1, 2] += sign * step
    shifted = loaded.predict(moved)
    assert_equal("force", -np.diff(shifted.energy[::-1])[0] / (2 * step), found.forces[0][1, 2], relative=1e-5)
    theta = loaded._engine._force_members
    sums = [one["feature_sum"] for one in shifted._cheap]
    expected = np.sqrt(np.mean(((sums[0] - sums[1]) @ theta.T / (2 * step)) ** 2))
    assert_equal("forces_std", found.forces_std[1][1, 2], expected, relative=1e-5)
    assert found.stress.shape == found.stress_std.shape == (2, 6) and found.members.shape == (2, loaded.members)
    assert (found.stress_std > 0.0).all() and np.isfinite(found.force_error(0.9)[0]).all()
    bars, above = found.force_error(0.9)[0], found.error_above(0.3)[0]
    assert ((above > 0.1) == (bars > 0.3)).all() and (found.neighbour_grade[0] > 0.0).all()


@pytest.fixture(scope="module")
def linear_model(tmp_path_factory):
    from linear_example import data_files, parameter_file

    folder = tmp_path_factory.mktemp("linear")
    train, calibration, _ = data_files(folder)
    result = lmp_uq.fit(
        f"snap:{parameter_file(folder)}", train, folder / "w.uq", calibration=calibration, elements=["W:0.5:1.0"], reference="zbl 2.0 2.4",
        n_members=16, progress=False,
    )  # fmt: skip
    return result.out


# ---- bad input ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-model", "neither a file nor an embedded model"),
        (None, "cannot be loaded from a NoneType"),
        (["a.uq"], "cannot be loaded from a list"),
        (b"a.uq", "cannot be loaded from a bytes"),
        ("", "is a folder"),
        ("a\0b.uq", "neither a file nor an embedded model"),
    ],
)
def test_no_model(name, said):
    for load in (Model.load, UqCalculator):
        with pytest.raises(UqError, match=said):
            load(name)


@pytest.mark.parametrize("threshold", [-0.1, np.nan, np.inf, "0.3", None, True])
def test_thresholds_that_are_none(threshold, loaded, frames, models, passes):
    found, calculator = loaded.predict(frames), UqCalculator(models.full)
    with pytest.raises(UqError, match="; accepted: a number of 0 or more, eV/Angstrom"):
        found.error_above(threshold)
    assert not passes
    with pytest.raises(UqError, match="accepted: a number of 0 or more"):
        calculator.get_error_above(threshold, frames[0])


def test_files_too_old_for_probabilities(models, frames, tmp_path):
    old = {"intercept": -1.0, "force_exponent": 0.5, "grade_exponent": 0.3, "n_groups": 2, "factor": 1.0, "conservative_factor": 1.0}
    file = modelfile.read(models.full)
    header = file.header.to_dict()
    header["calibration"]["force_error"] = old | {"floor": 0.1, "level": 0.9}
    modelfile.write(tmp_path / "old.uq", header, file.tensors)
    found = Model.load(tmp_path / "old.uq").predict(frames)
    with pytest.raises(UqError, match=r"calibrated before 0\.2; accepted: lmp-uq calibrate makes a new one"):
        found.error_above(0.3)
    assert "error_above" not in found.model.fields and "neighbour_grade" in found.model.fields
    norm, grade = np.linalg.norm(found.forces[0], axis=1), found.grade[0]
    bars = np.maximum(0.1, np.exp(-1.0 + 0.5 * np.log(norm + 0.01) + 0.3 * np.log(grade + 0.05)))
    np.testing.assert_allclose(found.force_error(0.9)[0], bars, rtol=1e-12)
    with pytest.raises(PropertyNotImplementedError, match="error_above: the model file holds nothing that gives it"):
        UqCalculator(tmp_path / "old.uq").get_error_above(0.3, frames[0])


def test_files_and_options_that_are_no_model(models, tmp_path):
    good = models.full.read_bytes()
    contents = {"text": b"no model", "empty": b"", "cut": good[: len(good) // 2], "noise": bytes(range(256)) * 8}
    for name, content in contents.items():
        (tmp_path / f"{name}.uq").write_bytes(content)
    for path in (*(tmp_path / f"{name}.uq" for name in contents), models.mace, tmp_path):
        for load in (Model.load, UqCalculator):
            with pytest.raises(UqError, match=path.name):
                load(path)
    for options, said in (
        ({"engine": "jax"}, "engine is 'jax'"),
        ({"n_members": -1}, "n_members is -1"),
        ({"n_members": 10**6}, "members 1000000 asked for"),
        ({"n_threads": 1.5}, "n_threads is 1.5"),
        ({"precision": "float16"}, "float16"),
        ({"device": "tpu"}, "tpu"),
        ({"device": None}, "device is None; accepted: auto, cpu, cuda"),
        ({"precision": None}, "precision is None"),
        ({"n_force_members": "x"}, "n_force_members is 'x'"),
        ({"n_members": True}, "n_members is True"),
        ({"learned": True}, "holds no learned quantile"),
    ):
        with pytest.raises(UqError, match=said):
            Model.load(models.full, **options)


def broken(change):
    atoms = crystal((1, 1, 1))
    change(atoms)
    return atoms


def not_finite(atoms):
    atoms.positions[0, 0] = np.nan


def infinite_cell(atoms):
    atoms.cell[1, 1] = np.inf


def no_cell_along_a_period(atoms):
    atoms.cell[:] = 0.0


def flat_cell(atoms):
    atoms.cell[2] = atoms.cell[1]


def one_place_twice(atoms):
    atoms.positions[1] = atoms.positions[0]


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([], "no frames in an empty list"),
        (iter(()), "no frames in an empty list"),
        (7, "frames: a int"),
        (None, "frames: a NoneType"),
        (b"frames.xyz", "frames: a bytes"),
        ({"a": crystal((1, 1, 1))}, "frames: a dict; accepted: ase.Atoms"),
        ([[crystal((1, 1, 1))]], "frames: entry 0 is a list"),
        (np.zeros((2, 3)), "frames: entry 0 is a ndarray"),
        (ase.Atoms("X"), r"frames\[0\]: elements X found"),
        ([broken(infinite_cell)], "frames, frame 0: positions or cell are NaN or infinite"),
        ([{"a": 1}], "frames: entry 0 is a dict"),
        ([crystal((1, 1, 1)), ase.build.bulk("Au")], r"frames\[1\]: elements Au found; accepted: "),
        ([crystal((1, 1, 1)), ase.Atoms()], "frames, frame 1: it has no atoms"),
        ([crystal((1, 1, 1)), broken(not_finite)], "frames, frame 1: positions or cell are NaN or infinite"),
        ("no-such-file.xyz", "no-such-file.xyz: no such file"),
    ],
)
def test_frames_that_cannot_be_used_are_refused_at_once(frames, said, loaded):
    with pytest.raises(UqError, match=said):
        loaded.predict(frames)


def test_a_frame_is_named_by_its_place_in_the_list_and_not_in_a_batch(loaded):
    frames = [crystal((2, 2, 2)) for _ in range(6)] + [broken(no_cell_along_a_period)]
    assert sum(map(len, frames)) > RowOptions().batch_atoms
    with pytest.raises(UqError, match=r"frames\[6\]: periodic along a cell vector that is zero"):
        ask(loaded.predict(frames), "energy")


@pytest.mark.parametrize(
    ("change", "said"), [(flat_cell, "cell vectors lie in a plane"), (one_place_twice, "atoms 0 and 1 are at the same")]
)
def test_frames_that_the_model_cannot_evaluate(change, said, loaded):
    found = loaded.predict([crystal((1, 1, 1)), broken(change)])
    for _ in range(2):  # nothing half-computed is kept
        with pytest.raises(UqError, match=rf"frames\[1\]: .*{said}"):
            ask(found, "energy")


def test_files_that_are_no_frames(loaded, tmp_path):
    (tmp_path / "empty.xyz").write_text("")
    (tmp_path / "text.xyz").write_text("hello\n")
    for path in (tmp_path / "empty.xyz", tmp_path / "text.xyz", tmp_path):
        with pytest.raises(UqError, match=path.name):
            loaded.predict(path)


def test_a_stress_needs_a_cell(loaded, frames):
    found = loaded.predict([frames[0], ase.build.molecule("SiO")])
    for name in ("stress", "stress_std"):
        with pytest.raises(UqError, match=rf"{name}: frames\[1\] has no volume"):
            getattr(found, name)
    assert np.isfinite(found.energy).all() and "stress" not in found.to_ase()[1].calc.results
    assert found.forces_std[1].shape == (2, 3)


def test_bars_that_the_file_does_not_give(models, loaded, frames):
    bare = Model.load(models.bare).predict(frames[0])
    assert np.isfinite(bare.energy).all() and bare.to_ase()[0].calc.results.keys() == {"energy", "forces", "stress"}
    for name in ("energy_std", "energy_error", "grade", "forces_std", "stress_std", "members"):
        with pytest.raises(UqError, match=f"{name}: .* holds nothing that gives it; it gives no bars"):
            getattr(bare, name)
    with pytest.raises(UqError, match=r"error_above: .* holds nothing"):
        bare.error_above(0.3)
    with pytest.raises(UqError, match=r"force_error: .* holds nothing"):
        bare.force_error(0.9)
    for level in (0.8, "x", np.nan, [0.9], None):
        with pytest.raises(UqError, match=r"level .* is not in .*; accepted: 0.5, 0.9"):
            loaded.predict(frames[0]).force_error(level)


def test_labels_of_a_live_calculator_are_none(models, frames):
    atoms = frames[0].copy()
    atoms.calc = UqCalculator(models.full)
    atoms.get_potential_energy()
    with pytest.raises(UqError, match="data, frame 0: no labels found"):
        lmp_uq.validate(models.full, atoms)
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    atoms.positions[0] += 0.1
    with pytest.raises(UqError, match="data, frame 0: its results are those of other positions"):
        lmp_uq.validate(models.full, atoms)


# ---- import -------------------------------------------------------------------------------------------------------------------
