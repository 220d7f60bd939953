# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verbs print and write: every figure they are given, within its columns, whole or not at all."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from model_example import make_header, make_tensors
from sample_example import make

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.modelfile.file import ModelFile
from lmp_uq.report import files as report
from lmp_uq.report.fit import describe_fit
from lmp_uq.report.html import FIGURES
from lmp_uq.report.model import describe_model
from lmp_uq.report.text import WIDTH, Column, number, table
from lmp_uq.report.validation import describe_validation
from lmp_uq.report.verdict import warnings_of

FIT = {
    "rows": {
        "energy": {"rows": 101, "below_floor": 2},
        "forces": {"rows": 2403, "below_floor": 34},
        "stress": {"rows": 605, "below_floor": 0},
    },
    "n_frames": 107,
    "dof": 34.21,
    "leverage_floor": 1e-2,
    "floors_tried": [
        {"floor": 1e-3, "std_over_rmse": {"energy": 5.12, "forces": 41.5}},
        {"floor": 1e-2, "std_over_rmse": {"energy": 1.23, "forces": 1.45}},
        {"floor": 1e-1, "std_over_rmse": {"forces": 0.67}},
    ],
    "force_error_leave_one_group_out": {
        "MoW": {"n_frames": 12, "n": 301, "coverage": 0.913, "width": 0.456, "width_over_oracle": 1.23, "pinball": 0.87, "spearman": 0.5}
        | {"n_infinite": 0, "n_symmetric": 7},
        "V": {"n_frames": 1, "n": 0, "coverage": None, "n_infinite": 9, "n_symmetric": 0},
    },
    "energy_offsets": {"W": 0.1234, "Ta": -0.0567},
}


def within_columns(text):
    return max(map(len, text.splitlines())) <= WIDTH


def unwrapped(text):
    return " ".join(text.split())


def line_of(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line.split()


# --- fit --------------------------------------------------------------------------------------------------


def test_describe_fit_holds_what_it_is_given():
    text = describe_fit(FIT)
    assert within_columns(text)
    assert "below the leverage floor: not certified by the box" in text
    assert line_of(text, "energy  ") == ["energy", "101", "2"]
    assert line_of(text, "forces ") == ["forces", "2403", "34"]
    assert line_of(text, "stress ") == ["stress", "605", "0"]
    assert "107 frames" in text and "34.21 effective" in text
    assert line_of(text, "0.01 ") == ["0.01", "1.23", "1.45", "chosen"]
    assert line_of(text, "0.001 ") == ["0.001", "5.12", "41.50"]
    assert line_of(text, "0.1 ") == ["0.1", "-", "0.67"]
    assert line_of(text, "MoW") == ["MoW", "12", "301", "0.913", "0.456", "1.23", "0.870", "0.50", "0", "7"]
    assert line_of(text, "V ") == ["V", "1", "0", *["-"] * 5, "9", "0"]
    assert "W +0.1234, Ta -0.0567" in text


def test_describe_fit_says_when_no_floor_was_wide_enough():
    narrow = [{"floor": 1e-2, "std_over_rmse": {"energy": 0.9, "forces": 1.5}}]
    assert "narrower than the errors" in unwrapped(describe_fit(FIT | {"floors_tried": narrow}))
    assert "narrower than the errors" not in unwrapped(describe_fit(FIT))


def test_describe_fit_without_calibration():
    bare = FIT | {"floors_tried": [], "force_error_leave_one_group_out": {}, "energy_offsets": {}}
    text = describe_fit(bare)
    assert within_columns(text) and "chosen" not in text and "offsets" not in text
    assert "leverage floor 0.01, not compared" in text and "two groups or more" in text


# --- validation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force_error", [True, False])
@pytest.mark.parametrize("force_labels", [True, False])
def test_describe_validation_holds_every_figure(force_error, force_labels):
    result, _ = make(force_error=force_error, force_labels=force_labels)
    text = describe_validation(result)
    assert within_columns(text)
    assert "K = 77 members" in text and "5f5f5f5f5f5f " not in text and "5f5f5f5f5f5f)" in text
    assert ("force_error of atoms" in text) == force_error
    energy, energy_shape, forces, forces_shape, *_ = [line.split() for line in text.splitlines() if line.startswith("liquid")]
    for found, shape, key in ((energy, energy_shape, "energy_per_atom"), (forces, forces_shape, "forces")):
        mine = result["groups"]["liquid"][key]
        norm, constant = mine["baselines"]["|F_predicted|"], mine["baselines"]["constant"]
        ratios = [mine["mean_error_over_std"], constant["mean_error_over_std"], norm["mean_error_over_std"]]
        ranks, shares = [mine["spearman"], norm["spearman"]], [mine[f"within_{k}_std"] for k in (1, 2, 3)]
        expected = [str(mine["n"]), number(mine["mae"], "#.3g"), number(mine["rmse"], "#.3g")]
        expected.append(number(mine["envelope_violation"], ".3f"))
        expected += [number(x, ".2f") for x in ratios + ranks] + [number(x, ".3f") for x in shares]
        assert found[1:] == expected
        expected = [number(mine[f"coverage_{k}"], ".3f") for k in (50, 90, 95)] + [number(mine["miscalibration_area"], ".3f")]
        expected += [number(mine[k], "#.3g") for k in ("crps", "sharpness")]
        assert shape[1:] == [*expected, *(number(mine[k], ".2f") for k in ("spearman_within_groups", "risk_coverage_gain")), "-"]
    bulk = [line.split() for line in text.splitlines() if line.startswith("bulk")][2]
    assert bulk[1] == "60" if force_labels else bulk[1:] == ["0"] + ["-"] * 11


def test_describe_validation_shows_force_error():
    result, _ = make()
    mine = result["force_error"]
    rows = [line.split() for line in describe_validation(result).splitlines() if line.startswith("all")]
    assert rows[4] == [
        "all", "-", "120", number(mine["coverage"], ".3f"), number(mine["median_width"], "#.3g"),
        number(mine["width_over_oracle"], "#.3g"), number(mine["pinball"], "#.3g"), number(mine["spearman"], ".2f"), "0.000", "0", "0",
    ]  # fmt: skip
    names = ("constant", "|F_predicted|", "grade")
    others = [mine, *(mine["baselines"][name] for name in names)]
    shares, widths = ([number(one[f], form) for one in others] for f, form in (("coverage", ".2f"), ("width_over_oracle", "#.2g")))
    assert rows[5][1:] == shares + widths
    losses, ranks = ([number(one[f], form) for one in others] for f, form in (("pinball", "#.2g"), ("spearman", ".2f")))
    assert rows[6][1:] == [*losses, ranks[0], *ranks[2:]]  # a constant ranks nothing


def test_good_bars_get_no_warning_and_in_sample_figures_get_one():
    result, _ = make()
    assert warnings_of(result) == []
    assert "flatter" not in describe_validation(result)
    assert "flatter" in describe_validation(result | {"in_sample": True})


@pytest.mark.parametrize("key", ["energy_per_atom", "forces", "force_error"])
@pytest.mark.parametrize(("mine", "warned"), [(0.31, True), (0.50, True), (0.51, False), (None, True)])
def test_bars_that_rank_no_better_than_the_force_get_a_sentence(key, mine, warned):
    result, _ = make()
    result[key]["spearman"] = mine
    result[key]["baselines"]["|F_predicted|"]["spearman"] = 0.50
    sentences = warnings_of(result)
    assert len(sentences) == int(warned)
    if warned:
        assert "0.500" in sentences[0] and number(mine, ".3f") in sentences[0]
        assert "no better than |F_predicted|" in unwrapped(describe_validation(result))


@pytest.mark.parametrize(
    ("coverage", "warned"), [(0.84, True), (0.86, False), (0.96, False), (0.98, True), (None, False)]
)
def test_coverage_outside_its_limits_gets_a_sentence(coverage, warned):
    result, _ = make()
    result["force_error"]["coverage"] = coverage
    assert len(warnings_of(result)) == int(warned)
    result["groups"]["liquid"]["force_error"]["coverage"] = coverage
    assert len(warnings_of(result)) == 2 * int(warned)
    assert any("liquid" in sentence for sentence in warnings_of(result)) == warned


# --- inspect ----------------------------------------------------------------------------------------------


def test_describe_model_holds_what_is_in_the_file():
    header, tensors = make_header(), make_tensors()
    header["posterior"]["counts"] = FIT["rows"] | {"frames": 107}
    header["posterior"] |= {"ridge": "evidence", "ridge_relative": 0.0042}
    header["calibration"]["leave_one_group_out"] = FIT["force_error_leave_one_group_out"]
    header["provenance"]["data"][0]["sha256"] = "0123456789abcdef" * 4
    tensors["grade/radius"][0] = np.nan
    text = describe_model(ModelFile(modelfile.Header.from_dict(header), tensors, "5f" * 32))
    assert within_columns(text)
    for part in (
        "W Ta", "4.5 Angstrom", "float64", "mace, 12 parameters, 3 features", "4 members", "2 modes",
        "ridge evidence (relative 0.0042)", "leverage floor 0.001", "one bias per element",
        "energy 101 (2), forces 2403 (34), stress 605 (0)", "107 frames", "not certified by the box",
        "grade 1: Ta 2.5", "inf for W: no training atoms",
        "max(0.01, 1.1 exp(-1.5 + 0.4 log(|F| + 0.01) + 1.25 log(grade + 0.05)))", "conservative factor 1.75",
        "CC-BY-4.0", "lmp-uq fit", "lmp-uq 0.1.0", "tungsten.extxyz, 3 frames, sha256 0123456789ab\n",
        "5f" * 32,
    ):  # fmt: skip
        assert part in text, part
    assert line_of(text, "bulk ") == ["bulk", "-", "2"] and line_of(text, "liquid ") == ["liquid", "1", "1"]
    assert line_of(text, "MoW") == ["MoW", "12", "301", "0.913", "0.456", "1.23", "0.870", "0.50", "0", "7"]


def test_describe_model_says_what_is_missing_and_what_follows():
    header = make_header() | {"posterior": None, "grade": None, "calibration": None}
    header["provenance"] |= {"data": [], "roles": {}, "versions": {}, "command": ""}
    tensors = {name: array for name, array in make_tensors().items() if name.startswith("backbone/")}
    text = describe_model(ModelFile(modelfile.Header.from_dict(header), tensors))
    assert within_columns(text)
    for part in ("posterior", "grade", "calibration"):
        assert line_of(text, part)[1] == "none:"
    assert "energy_std" in text and "force_error cannot be computed" in text


@pytest.mark.parametrize("counts", [{}, [], {"energy": 3}])
def test_describe_model_reads_what_the_format_leaves_free(tmp_path, counts):
    header = make_header()
    header["posterior"]["counts"] = counts
    modelfile.write(tmp_path / "m.uq", header, make_tensors())
    assert "rows: energy force" in describe_model(modelfile.read(tmp_path / "m.uq"))


def test_describe_model_of_many_elements_stays_within_its_columns():
    header, tensors = make_header(), make_tensors()
    header["elements"] = [f"X{k}" for k in range(89)]
    tensors["grade/radius"] = np.linspace(1.0, 20.0, 89)
    text = describe_model(ModelFile(modelfile.Header.from_dict(header), tensors))
    assert within_columns(text) and "X88 20" in unwrapped(text)


def test_foreign_names_do_not_reach_the_terminal_as_they_are():
    header = make_header()
    header["provenance"]["licence"] = "\x1b[31mred\x07\nline"
    header["provenance"]["command"] = "word " * 100
    text = describe_model(ModelFile(modelfile.Header.from_dict(header), make_tensors()))
    assert "\x1b" not in text and "\x07" not in text and within_columns(text)


@pytest.mark.parametrize("length", [3, 30, 300])
def test_a_table_stays_within_its_columns(length):
    names = ["a" * length, "b" * length]
    columns = [Column("upper heading", f"h{k}", (f"k{k}",), ".3f", "") for k in range(8)]
    lines = table("group", columns, [(name, {f"k{k}": 0.125 * k for k in range(8)}) for name in names])
    assert within_columns("\n".join(lines)) and len({len(line) for line in lines[1:]}) == 1
    assert [line[0] for line in lines[2:]] == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (np.nan, "-"), (-np.inf, "-inf"), (True, "-"), (1.2e6, "1e+06"), (np.float32(0.5), "0.50")],
)
def test_numbers_stay_short(value, text):
    assert number(value, ".2f") == text


# --- files ------------------------------------------------------------------------------------------------


def test_json_has_sorted_keys_and_null_for_what_is_no_number(tmp_path):
    inner = {"nan": np.nan, "inf": -np.inf, "n": np.int64(3), "list": (1, np.nan)}
    report.write_json(tmp_path / "x.json", {"z": np.float64(0.1), "a": inner})

    def refuse(name):
        raise AssertionError(name)

    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=refuse) == {
        "a": {"inf": None, "list": [1, None], "n": 3, "nan": None},
        "z": 0.1,
    }
    assert text.index('"a"') < text.index('"inf"') < text.index('"nan"') < text.index('"z"')


def test_json_of_a_validation_is_the_validation(tmp_path):
    result, _ = make()
    report.write_json(tmp_path / "x.json", result)
    assert json.loads((tmp_path / "x.json").read_text()) == result


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(UqError, match="the result, a holds a set"):
        report.write_json(path, {"a": {1, 2}})
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["x.json"]


@pytest.mark.parametrize("force_error", [True, False])
def test_report_writes_its_files_and_nothing_else(tmp_path, force_error):
    result, samples = make(("a|b", "_c $x$"), force_error=force_error, force_labels=force_error)
    folder = tmp_path / "new" / "report"
    report.write_report(folder, result, samples)
    images = set(FIGURES) - {"bagging.png"} - ({"groups.png"} if not force_error else set())
    assert set(os.listdir(folder)) == images | {"report.html", "report.md"}
    for name in images:
        data = (folder / name).read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        assert data.startswith(b"\x89PNG") and width > 1000 and height > 400
    text = (folder / "report.md").read_text()
    assert "](parity.png)" in text and "](error_uncertainty.png)" in text
    assert number(result["forces"]["rmse"], "#.3g") in text
    assert ("force_error of atoms" in text) == force_error


def test_markdown_tables_are_rectangular_and_every_column_is_defined():
    result, _ = make(("a|b", "c"))
    lines = report.markdown(result).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    # tables of bars, calibration, comparison; force_error by group and element, scores, and twice four scores beside each other
    assert {row.count("|") for row in rows} == {14, 11, 12, 10, 9}
    definitions = [line for line in lines if line.startswith("* ")]
    assert len(definitions) == 2 * (12 + 9 + 9) + 2 * 10 + 9 + 8 + 7
    assert all(": " in line for line in definitions)


@pytest.mark.parametrize("name", ["parity", "risk_coverage"])
def test_a_drawing_that_fails_leaves_nothing_half_written(tmp_path, name):
    result, samples = make()
    old = tmp_path / "old"
    old.mkdir()
    (old / "report.md").write_text("old")

    def fail(samples):
        raise RuntimeError("drawing")

    for folder in (old, tmp_path / "new"):
        with pytest.raises(RuntimeError, match="drawing"):
            report.write_report(folder, result, samples, {"calibration": report.FIGURES["calibration"], name: fail})
    assert os.listdir(tmp_path) == ["old"] and os.listdir(old) == ["report.md"]
    assert (old / "report.md").read_text() == "old"


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    result, samples = make()
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(UqError, match="taken"):
        report.write_report(tmp_path / "taken", result, samples, {})
    assert (tmp_path / "taken").read_text() == "mine"
