# SPDX-License-Identifier: GPL-2.0-or-later
"""lmp-uq validate end to end on a tiny model: baselines, committee, report, JSON; stress signs; what a file may lack."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lmp_uq import modelfile
from lmp_uq.backbone.load import load_backbone
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.frames.reading import read_frames
from lmp_uq.posterior.box import Box
from lmp_uq.recipes.validate import ValidateOptions, validate
from lmp_uq.report.html import FIGURES
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import RowOptions
from lmp_uq.validation.collect import collect

VOID = {"meta", "img", "br", "link", "hr"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and notes sources, text and heads of tables."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.tables, self.words, self.tags, self.ids = [], [], 0, [], set(), set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.tables += tag == "table"
        self.sources += [value for key, value in attributes if key in ("src", "href")]
        self.ids |= {f"#{value}" for key, value in attributes if key == "id"}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def outcome(models, tmp_path_factory):
    """Everything at once, through the command line: (folder of the report, figures, terminal)."""
    folder, out = models.full.parent, tmp_path_factory.mktemp("validation")
    arguments = ["validate", str(models.full), "--data", str(folder / "cold.xyz"), str(folder / "hot.xyz"), "--in-sample", "--quiet"]
    arguments += ["--baselines", "--fit-data", str(folder / "train.xyz"), "--committee", str(models.bare)]
    assert main([*arguments, "--report", str(out / "report"), "--json", str(out / "x.json"), "--force-rows", "6"]) == 0
    return out / "report", json.loads((out / "x.json").read_text(), parse_constant=pytest.fail)


def numbers(value):
    if isinstance(value, dict):
        return [n for item in value.values() for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, float) else []


def test_the_json_holds_every_part_and_finite_numbers(outcome):
    _, result = outcome
    for quantity in ("energy_per_atom", "forces", "stress"):
        assert set(result["comparison"][quantity]) == {
            "POPS", "constant", "|F_predicted|", "bagging", "bagging, rescaled", "LLPR", "committee",
        }  # fmt: skip
        assert result[quantity]["interval"]["coverage_90"][0] <= result[quantity]["coverage_90"]
    assert set(result["comparison"]["force_error"]) == {
        "force_error", "constant", "|F_predicted|", "force_std", "grade", "neighbour grade", "gamma", "kNN",
    }  # fmt: skip
    assert result["forces"]["n"] == 20 * 6 and result["stress"]["n"] == 20 * 6 and set(result["elements"]) == {"Si", "O"}
    assert result["n_fit_frames"] == result["n_fit_frames_of_file"] == 40 and result["blocks"] == "frame"
    found = numbers(result)
    assert len(found) > 500 and all(map(math.isfinite, found))


def test_the_committee_of_a_model_with_its_own_backbone_has_no_spread(outcome):
    _, result = outcome
    assert result["comparison"]["forces"]["committee"]["sharpness"] < 1e-6 * result["forces"]["sharpness"]
    assert result["comparison"]["forces"]["committee"]["envelope_violation"] > 0.99


def test_the_page_is_well_formed_self_contained_and_complete(outcome):
    folder, result = outcome
    text = (folder / "report.html").read_text()
    page = Page(text)
    images = [source for source in page.sources if source.startswith("data:image/png;base64,")]
    assert set(page.sources) == page.ids | set(images) and len(page.ids) == 2 + 4
    assert not re.search(r"https?://|<script|@import|url\(", text)
    assert {base64.b64decode(s.partition(",")[2]) for s in images} == {(folder / name).read_bytes() for name in FIGURES}
    for title, caption in FIGURES.values():
        assert title in page.text and caption in page.text
    # of each quantity: methods, intervals, groups (2); of forces elements (2), of the others their calibrated bar; of atoms: scores,
    # intervals, and groups and elements (1 + 2 beside other scores)
    assert page.tables == 3 * 4 + 2 + 2 + 2 + 2 * 3
    for name in (*result["groups"], *result["elements"], *result["comparison"]["forces"], "gamma", "kNN"):
        assert name in page.text
    assert "Verdict" in page.text and f"{100 * result['forces']['coverage_90']:.1f} % (" in page.text


def test_a_page_with_a_tag_left_open_is_seen():
    with pytest.raises(AssertionError):
        Page("<div><p>text</div>")


def test_names_from_files_are_no_markup(outcome):
    from lmp_uq.report.html import html_page

    _, result = outcome
    group = result["groups"]["hot"]
    page = html_page(result | {"groups": {"<script>alert(1)</script>": group, "a & b": group}, "model": "<b>x"}, {})
    assert "script" not in Page(page).tags and "<script>" not in page and "<b>x" not in page


def test_baselines_need_the_frames_of_the_fit(models):
    folder = models.full.parent
    options = {"in_sample": True, "progress": False, "baselines": True}
    hot = (str(folder / "hot.xyz"),)
    with pytest.raises(UqError, match=r"baselines=True needs .* with fit_data.*train\.xyz"):
        validate(ValidateOptions(str(models.full), hot, **options))
    with pytest.raises(UqError, match="none of 8 frames is among the 40"):
        validate(ValidateOptions(str(models.full), hot, fit_data=(str(folder / "cold.xyz"),), **options))


@pytest.fixture(scope="session")
def predicted(models):
    file = modelfile.read(models.full)
    backbone = load_backbone(file.header.backbone.to_dict(), file.section("backbone"), "float64", "cpu", engine="torch")
    frames = read_frames([models.full.parent / "hot.xyz"])
    return file, backbone, predict(backbone, frames, RowOptions(n_force_rows=3))


def test_stress_is_compared_in_its_own_unit_and_sign(predicted):
    file, backbone, predictions = predicted
    samples = collect(file, predictions, backbone, 64)["stress"]
    frames = predictions.frames
    expected = np.concatenate([[f.stress[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))] for f in frames])
    np.testing.assert_allclose(samples.reference, expected, rtol=1e-9, atol=1e-12)
    assert np.all(samples.lower <= samples.upper)
    # bounds enclose what members say: the stress of a member is the derivative of its energy
    rows = predictions.rows.select(predictions.rows.kinds == 2)
    box = Box.from_tensors(file.section("posterior"))
    volumes, counts = np.array([f.atoms.cell.volume for f in frames]), np.array([len(f.atoms) for f in frames])
    corrections = -(rows.features @ box.centre()) * (counts / volumes)[rows.frames]
    np.testing.assert_allclose(0.5 * (samples.lower + samples.upper), corrections, rtol=1e-8, atol=1e-14)


def test_rows_below_the_floor_are_counted_where_the_file_tells(predicted):
    file, backbone, predictions = predicted
    silent = modelfile.ModelFile(file.header, {n: t for n, t in file.tensors.items() if n != "posterior/leverage_factor"})
    assert collect(silent, predictions, backbone, 64)["forces"].certifiable is None
    posterior = replace(file.header.posterior, kind_weight={"energy": 1.0, "forces": 2.0, "stress": 0.0}, leverage_floor=0.5)
    told = modelfile.ModelFile(replace(file.header, posterior=posterior), dict(file.tensors))
    n = len(file.tensors["posterior/coefficients"])
    told.tensors["posterior/leverage_factor"] = np.eye(n)
    samples = collect(told, predictions, backbone, 64)
    rows = predictions.rows.select(predictions.rows.kinds == 1)
    np.testing.assert_array_equal(samples["forces"].certifiable, 2.0 * np.sum(rows.features**2, axis=1) >= 0.5)
    assert not samples["stress"].certifiable.any()
    told.tensors["posterior/leverage_factor"] = np.eye(n)[:-1]
    with pytest.raises(UqError, match="leverage_factor"):
        collect(told, predictions, backbone, 64)
