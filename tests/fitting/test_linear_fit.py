# SPDX-License-Identifier: GPL-2.0-or-later
"""A linear potential from frames to file to LAMMPS' own pair style, and what the other verbs say of it."""

from __future__ import annotations

import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from lammps_processes import execute
from linear_example import ZBL, crystal, data_files, label, labelled, parameter_file

from lmp_uq import modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.novelty.fit import fit_novelty, fit_scaled_novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior import POPS, Box
from lmp_uq.recipes.export import export
from lmp_uq.recipes.fit import FitOptions, fit
from lmp_uq.recipes.validate import ValidateOptions, validate
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import RowOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data and a parameter file."""
    path = tmp_path_factory.mktemp("linear")
    data_files(path)
    parameter_file(path, twojmax=4)
    return path


def options(folder, out, **changes):
    given = {"calibration": (str(folder / "calibration.xyz"),), "reference": ZBL, "n_members": 32, "progress": False}
    parameters = next(folder.glob("*.snapparam"))
    return FitOptions(f"snap:{parameters}", (str(folder / "train.xyz"),), str(folder / out), **(given | changes))


@pytest.fixture(scope="module")
def report(folder):
    """Report of the fit that `file` comes from."""
    return fit(options(folder, "x.uq"))


@pytest.fixture(scope="module")
def file(folder, report):
    return modelfile.read(folder / "x.uq")


def frames_of(folder, name):
    from lmp_uq.frames.reading import read_frames

    return read_frames([folder / f"{name}.xyz"])


def rows_less_reference(folder, file, name="train"):
    """Rows of frames whose targets are the labels less the reference potential."""
    source = modelfile.ModelFile(file.header, dict(file.tensors))
    source.tensors["backbone/coefficients"] = np.zeros_like(file.tensors["backbone/coefficients"])
    return predict(backbone_of_file(source), frames_of(folder, name), RowOptions(n_force_rows=None, bias="element")).rows


# --- the fit --------------------------------------------------------------------------------------------------


def test_theta_is_the_fit_to_labels_less_the_reference(folder, file, report):
    rows = rows_less_reference(folder, file)
    pops = POPS("evidence", leverage_floor=report["leverage_floor"]).fit(rows.features, rows.targets, rows.weights())
    theta = file.tensors["backbone/coefficients"]
    predicted = rows.features @ theta
    assert np.abs(predicted - rows.features @ pops.coef_).max() < 1e-7 * np.abs(predicted).max()
    energies = rows.kinds == 0
    assert np.std((rows.targets - predicted)[energies]) < 0.2 * np.std(rows.targets[energies])


def test_the_posterior_is_about_departures(folder, file, report):
    box = Box.from_tensors(file.section("posterior"))
    assert not box.coefficients.any()
    rows = rows_less_reference(folder, file)
    theta = file.tensors["backbone/coefficients"]
    residual = rows.targets - rows.features @ theta
    pops = POPS("evidence", leverage_floor=report["leverage_floor"], axes="given").fit(rows.features, rows.targets, rows.weights())
    # no other definition of the axes: those of scaled columns give another width
    assert np.allclose(box.std(rows.features), pops.box_.std(rows.features), rtol=1e-4, atol=1e-12)
    assert file.header["posterior"]["axes"] == "given"
    low, high = box.exact_bounds(rows.features[pops.kept_])
    slack = 1e-3 * np.abs(residual).max()  # modes below the threshold are dropped
    assert ((low - slack <= residual[pops.kept_]) & (residual[pops.kept_] <= high + slack)).all()
    assert pops.kept_.mean() > 0.3


def test_rows_of_the_fitted_model_are_its_residuals(folder, file):
    fitted = predict(backbone_of_file(file), frames_of(folder, "test"), RowOptions(n_force_rows=None, bias="element"))
    rows = rows_less_reference(folder, file, "test")
    expected = rows.targets - rows.features @ file.tensors["backbone/coefficients"]
    assert np.allclose(fitted.rows.targets, expected, rtol=0, atol=1e-10 * np.abs(rows.targets).max())


def test_the_defaults_are_those_of_a_linear_potential(file, report):
    posterior = file.header["posterior"]
    assert posterior["ridge"] == "evidence" and posterior["bias"] == "element" and posterior["n_force_rows"] is None
    assert report["leverage_floor"] in (1e-4, 1e-3, 1e-2, 1e-1) and len(report["floors_tried"]) == 4
    assert report["rows"]["forces"]["rows"] == 60 * 4 * 3


def test_ranks_write_the_same_file(folder, file):
    parameters = next(folder.glob("*.snapparam"))
    command = ["lmp-uq", "fit", "--backbone", f"snap:{parameters}", "--reference", *ZBL, "--data", "train.xyz", "--calibration"]
    ended = execute(*command, "calibration.xyz", "--members", "32", "--out", "two.uq", "--quiet", ranks=2, folder=folder)
    assert ended.code == 0, ended.text
    two = modelfile.read(folder / "two.uq")
    for name in ("backbone/coefficients", "posterior/members", "grade/radius"):
        # sums over ranks in another order, solved with a condition number of up to 1e9
        assert np.allclose(two.tensors[name], file.tensors[name], rtol=1e-5, atol=1e-6 * np.abs(file.tensors[name]).max()), name


def test_the_grade_does_not_depend_on_the_size_of_a_descriptor():
    generator = np.random.default_rng(0)
    atoms, species = generator.normal(size=(400, 3)) @ generator.normal(size=(3, 3)), np.arange(400) % 2
    atoms[species == 0, 2] = 0.0  # a column of the other element's block
    frames, size = np.arange(400) // 8, np.array([1e-6, 1.0, 1e5])
    grades = []
    for scale in (np.ones(3), size):
        novelty = fit_scaled_novelty([(atoms * scale, species, frames)], 2, seed=0, ranks=Ranks())
        grades.append(novelty.grade(atoms * scale, species))
    assert np.allclose(grades[0], grades[1], rtol=1e-6)
    plain = fit_novelty(atoms * size, species, frames, 2).grade(atoms * size, species)
    assert not np.allclose(plain, grades[0], rtol=0.1)  # what scaling is there for


def test_every_row_in_the_box_is_warned_against(folder, caplog):
    """One atom is moved; atoms beyond the cutoff of the descriptors feel it all the same: x = 0 to rounding, y not."""
    atoms = crystal(0, size=(3, 3, 3), rattle=0.0, strain=0.0)
    atoms.positions[0] += 0.3
    ase.io.write(folder / "far.xyz", [label(atoms, "far")], format="extxyz")
    data = (str(folder / "train.xyz"), str(folder / "far.xyz"))

    def warned(**changes):
        caplog.clear()
        fit(replace(options(folder, "all.uq", calibration=(), **changes), data=data))
        return [r.message for r in caplog.records if "far wider than the errors" in r.message]

    assert "--leverage-floor auto" in warned(leverage_floor=0.0)[0]
    assert not warned(leverage_floor=0.1)


# --- export ---------------------------------------------------------------------------------------------------


def run_exported(prefix, backbone, atoms):
    """Energy and forces of the exported files under LAMMPS' own pair style."""
    import lammps

    from lmp_uq.backbone.linear.potential import lammps_cell

    cell, rotation, positions = lammps_cell(atoms, backbone.cutoff)
    tilts = " ".join(f"{value:.17g}" for value in (cell[1, 0], cell[2, 0], cell[2, 1]))
    sides = " ".join(f"0 {cell[k, k]:.17g}" for k in range(3))
    lmp = lammps.lammps(cmdargs=["-screen", "none", "-log", "none"])
    try:
        setup = ["units metal", "atom_modify map array sort 0 0", "box tilt large", f"region c prism {sides} {tilts} units box"]
        lmp.commands_string("\n".join([*setup, f"create_box {len(backbone.elements)} c", "mass * 1.0"]))
        types = [backbone.elements.index(s) + 1 for s in atoms.get_chemical_symbols()]
        lmp.create_atoms(len(atoms), None, types, positions.ravel().tolist())
        lmp.commands_string(f"include {prefix}.in\nrun 0")
        return lmp.get_thermo("pe"), lmp.numpy.extract_atom("f")[: len(atoms)] @ rotation.T
    finally:
        lmp.close()


@pytest.fixture(scope="module", params=[0, 1], ids=["linear", "quadratic"])
def binary(request, tmp_path_factory):
    """Folder of x.uq, a potential of two elements."""
    path = tmp_path_factory.mktemp("binary")
    ase.io.write(path / "train.xyz", labelled("bulk", 40, 1, ("W", "Be")), format="extxyz")
    parameter_file(path, twojmax=2, quadraticflag=request.param)
    fit(options(path, "x.uq", elements=("W:0.5:1.0", "Be:0.42:0.96"), ridge=1e-8, calibration=(), leverage_floor=1e-2))
    axes = modelfile.read(path / "x.uq").header["posterior"]["axes"]
    assert axes == ("scaled" if request.param else "given")
    return path


@pytest.mark.parametrize("member", [None, 1, 32])
def test_pair_style_snap_runs_theta(binary, tmp_path, member):
    found = modelfile.read(binary / "x.uq")
    written = export(str(binary / "x.uq"), str(tmp_path / "pot"), member)
    assert {path.name for path in written.values()} == {"pot.snapcoeff", "pot.snapparam", "pot.in"}
    if member is not None:
        found.tensors["backbone/coefficients"] = found.tensors["backbone/coefficients"] + found.tensors["posterior/members"][member - 1]
    backbone = backbone_of_file(found)
    for atoms in labelled("a", 2, 9, ("W", "Be")):
        mine = backbone.evaluate_frame(atoms)
        energy, forces = run_exported(tmp_path / "pot", backbone, atoms)
        # a member may cancel terms far larger than their sum
        scale = np.abs(mine.descriptors @ backbone.coefficients[: backbone.n_features]).max()
        terms = np.abs(mine.force_rows) @ np.abs(backbone.coefficients[: backbone.n_features])
        assert abs(energy - mine.energy) < 1e-10 * max(1.0, scale)
        assert np.abs(forces - mine.forces).max() < 1e-12 * max(np.abs(forces).max(), terms.max())


def test_a_wrong_digit_in_the_file_is_seen(folder, file):
    """The planted error of the test above: the eighth digit of one coefficient."""
    export(str(folder / "x.uq"), str(folder / "pot"))
    lines = (folder / "pot.snapcoeff").read_text().splitlines()
    lines[6] = f"{float(lines[6]) * (1 + 1e-8):.17g}"
    (folder / "pot.snapcoeff").write_text("\n".join(lines) + "\n")
    backbone, atoms = backbone_of_file(file), ase.io.read(folder / "test.xyz", 0)
    assert abs(run_exported(folder / "pot", backbone, atoms)[0] - backbone.evaluate_frame(atoms).energy) > 1e-9


def test_bad_exports_leave_nothing(folder, file, tmp_path):
    for member, expected in ((33, "--member 33: .* holds 32 members; accepted: 1 to 32"), (0, "accepted: 1 to 32")):
        with pytest.raises(UqError, match=expected):
            export(str(folder / "x.uq"), str(tmp_path / "p"), member)
    with pytest.raises(UqError, match="no folder of that name"):
        export(str(folder / "x.uq"), str(tmp_path / "none" / "p"))
    with pytest.raises(UqError, match="white space"):
        export(str(folder / "x.uq"), str(tmp_path / "a b"))
    with pytest.raises(UqError, match="family mace; accepted: snap"):
        export(modelfile.embedded_models()[0], str(tmp_path / "p"))
    assert not list(tmp_path.iterdir())


# --- the other verbs ------------------------------------------------------------------------------------------


def test_validate_with_baselines(folder, file):
    result, samples = validate(
        ValidateOptions(
            model=str(folder / "x.uq"),
            data=(str(folder / "test.xyz"),),
            baselines=True,
            fit_data=(str(folder / "train.xyz"),),
            progress=False,
        )
    )
    assert result["forces"]["n"] == 8 * 4 * 3
    fitted = predict(backbone_of_file(file), frames_of(folder, "test"), RowOptions(n_force_rows=None, bias="element"))
    energies = np.array([f.energy for f in fitted.frames]) - fitted.energies
    assert np.allclose(samples["energy_per_atom"].reference - samples["energy_per_atom"].predicted, energies / 4, atol=1e-12)
    assert {"bagging", "bagging, rescaled", "LLPR"} <= set(result["comparison"]["forces"])
    pops, bagging = (result["comparison"]["energy_per_atom"][name] for name in ("POPS", "bagging"))
    # refits are sure of a wrong model: that is what the posterior is for
    assert bagging["envelope_violation"] > pops["envelope_violation"]


def test_calibrate_and_inspect(folder, file, capsys):
    ase.io.write(folder / "more.xyz", labelled("more", 25, 6), format="extxyz")
    assert main(["calibrate", str(folder / "x.uq"), "--data", str(folder / "more.xyz"), "--out", str(folder / "y.uq"), "--quiet"]) == 0
    new, old = (modelfile.read(folder / name).header["calibration"] for name in ("y.uq", "x.uq"))
    assert new["energy_error"]["n_blocks"] == 25 and new["force_error"]["quantiles"] != old["force_error"]["quantiles"]
    capsys.readouterr()
    assert main(["inspect", str(folder / "x.uq")]) == 0
    text = capsys.readouterr().out
    assert "snap, 15 parameters, 14 features per atom" in text and "reference    zbl 2.0 2.4" in text
    assert main(["inspect", str(folder / "x.uq"), "--json"]) == 0
    architecture = json.loads(capsys.readouterr().out)["backbone"]["architecture"]
    assert architecture["parameters"]["bzeroflag"] == 0 and architecture["reference"]["styles"] == list(ZBL)


def test_a_fitted_potential_can_be_fitted_anew(folder, file):
    given = {"n_members": 8, "progress": False, "leverage_floor": 0.01}
    fit(FitOptions(str(folder / "x.uq"), (str(folder / "train.xyz"),), str(folder / "again.uq"), **given))
    again = modelfile.read(folder / "again.uq").tensors["backbone/coefficients"]
    assert np.allclose(again, file.tensors["backbone/coefficients"], rtol=1e-6, atol=1e-9)


def test_the_ase_calculator_refuses_the_file(folder, file):
    from lmp_uq.run.calculator import UqCalculator

    with pytest.raises(UqError, match=r"holds a linear potential, which a pair style of LAMMPS runs.*accepted here: family mace"):
        UqCalculator(folder / "x.uq")


def test_options_of_a_linear_potential_go_with_one(folder, models_free, capsys):
    assert main(["fit", "--backbone", models_free, "--data", str(folder / "train.xyz"), "--out", str(folder / "z.uq"), *ELEMENT]) == 1
    assert "describe a potential named snap:X.snapparam" in capsys.readouterr().err
    two = folder / "two.xyz"
    ase.io.write(two, labelled("a", 3, 8, ("W", "Be")), format="extxyz")
    parameters = f"snap:{next(folder.glob('*.snapparam'))}"
    assert main(["fit", "--backbone", parameters, "--data", str(two), "--out", str(folder / "z.uq")]) == 1
    assert "the frames hold Be W: --elements must say radius and weight of each" in capsys.readouterr().err
    assert main(["fit", "--backbone", parameters, "--data", str(two), "--out", str(folder / "z.uq"), *ELEMENT]) == 1
    assert "Be" in capsys.readouterr().err and not (folder / "z.uq").exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fit_offsets": True}, "--fit-offsets: a linear potential has a constant"),
        ({"head": "x"}, "--head x"),
        ({"device": "cuda"}, "--device cuda .* accepted: cpu, float64"),
        ({"precision": "float32"}, "--precision float32: LAMMPS makes the rows"),
    ],
)
def test_options_that_mean_nothing_are_refused(folder, changes, expected):
    with pytest.raises(UqError, match=expected):
        fit(options(folder, "n.uq", **changes))
    assert not (folder / "n.uq").exists()


ELEMENT = ("--elements", "W:0.5:1.0")


@pytest.fixture
def models_free():
    """Name of an embedded foundation model."""
    return modelfile.embedded_models()[0]
