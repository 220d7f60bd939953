# SPDX-License-Identifier: GPL-2.0-or-later
"""What force_error is worth by group: closed forms, planted bars, and the sentences that come of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmp_uq.api.results import ValidationReport
from lmp_uq.metrics.sharpness import pinball_loss, sharpness, weighted_quantiles
from lmp_uq.report.html import html_page
from lmp_uq.report.markdown import markdown
from lmp_uq.report.plots.groups import draw_groups
from lmp_uq.report.text import WIDTH
from lmp_uq.report.validation import describe_validation
from lmp_uq.report.verdict import groups_sentence, warnings_of
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.parts import figures
from lmp_uq.validation.samples import CalibratedBars, Samples

RIGHT = np.sqrt(np.log(10.0))
"""Bar of a Rayleigh error of unit scale that covers 0.9."""


def make_atoms(factors, n_frames=12, n_atoms=40, seed=0, **changes):
    """Errors whose scale varies from atom to atom, and bars of level 0.9 times a factor for each group."""
    rng = np.random.default_rng(seed)
    names = np.repeat(list(factors), n_frames * n_atoms).astype(object)
    frames = np.repeat(np.arange(len(factors) * n_frames), n_atoms)
    scale = 10.0 ** rng.uniform(-1.0, 0.0, len(names))
    error = scale * np.sqrt(rng.exponential(size=len(names)))
    bar = RIGHT * scale * np.array([factors[name] for name in names])
    elements = np.where(rng.random(len(names)) < 0.5, "W", "Ta").astype(object)
    given = {"frames": frames, "elements": elements, "levels": {0.9: bar}, "force_std": rng.random(len(names)), "neighbours": 0.1 + scale}
    return AtomSamples(error, bar, 1.0 + rng.random(len(names)), rng.random(len(names)), names, **(given | changes))


def result_of(atoms, **others):
    found = {"model": "m", "sha256": "0" * 64, "n_frames": 60, "in_sample": False, "suspicious": []}
    return found | figures({"force_error": atoms} | others, 512)


FACTORS = {"right": 1.0, "also right": 1.0, "narrow": 0.5, "wide": 4.0, "far too wide": 40.0}


@pytest.fixture(scope="module")
def atoms():
    return make_atoms(FACTORS)


@pytest.fixture(scope="module")
def result(atoms):
    return result_of(atoms)


# --- figures ----------------------------------------------------------------------------------------------


def test_figures_of_a_group_are_those_of_sharpness(atoms, result):
    for name in FACTORS:
        mine, found = atoms.groups == name, result["groups"][name]["force_error"]
        expected = sharpness(atoms.error[mine], atoms.force_error[mine], 0.9)
        for figure in ("n", "coverage", "oracle", "width_over_oracle", "pinball", "spearman"):
            assert found[figure] == pytest.approx(expected[figure]), figure
        assert found["median_width"] == expected["width"] and found["n_frames"] == 12
        assert found["coverage_by_level"]["0.9"] == found["coverage"]


def test_the_headline_counts_groups_and_takes_geometric_means(result):
    found = result["force_error"]["by_group"]
    assert [found[name] for name in ("n_groups", "in_band", "below", "above")] == [5, 2, 1, 2]
    for figure in ("width_over_oracle", "pinball"):
        each = [part["force_error"][figure] for part in result["groups"].values()]
        assert found[figure] == pytest.approx(np.exp(np.mean(np.log(each))))
    # bars that follow the atoms beat the constant; twice as narrow or four times as wide ones lose
    assert result["groups"]["right"]["force_error"]["pinball"] < 0.8 < 1.2 < result["groups"]["wide"]["force_error"]["pinball"]


def test_frames_of_a_group_and_groups_count_alike():
    groups = np.array(["a"] * 101 + ["b"] * 10, dtype=object)
    frames = np.r_[np.zeros(100, int), 1, np.full(10, 2)]
    error = np.r_[np.full(100, 0.5), 2.0, np.full(10, 0.5)]
    mine = AtomSamples(error, np.ones(111), np.ones(111), np.zeros(111), groups, frames=frames)
    a, every = mine.metrics(groups == "a"), mine.metrics(np.ones(111, bool), frames)
    assert a["coverage"] == pytest.approx(0.5) and every["coverage"] == pytest.approx(0.75)
    assert a["n_frames"] == 2 and every["n_atoms"] == 111


def test_atoms_that_vanish_by_symmetry_flatter_nothing(atoms, result):
    n = 5000
    flat = AtomSamples(
        np.r_[atoms.error, np.full(n, 1e-4)], np.r_[atoms.force_error, np.full(n, 0.01)], np.r_[atoms.force_norm, np.zeros(n)],
        np.r_[atoms.grade, np.zeros(n)], np.r_[atoms.groups, np.full(n, "narrow", dtype=object)],
        frames=np.r_[atoms.frames, np.full(n, 24)], force_std=np.r_[atoms.force_std, np.zeros(n)],
    )  # fmt: skip
    every = np.ones(len(flat.error), bool)
    with_them, without = flat.metrics(every), result["force_error"]
    assert with_them["n_symmetric"] == n and with_them["n"] == without["n"] and with_them["n_atoms"] == without["n_atoms"] + n
    for figure in ("coverage", "pinball", "spearman", "spearman_within_groups", "auroc_0.3"):
        assert with_them[figure] == without[figure]
        assert with_them["baselines"]["|F_predicted|"][figure] == without["baselines"]["|F_predicted|"][figure]
    # a force that only one of the two has is none of symmetry
    flat.force_norm[-n:] = 0.01
    assert flat.metrics(every)["n_symmetric"] == 0 and flat.metrics(every)["coverage"] > without["coverage"]


def test_a_group_without_a_judged_atom_is_counted_nowhere():
    mine = make_atoms({"a": 1.0, "b": 1.0, "c": 1.0})
    mine.error[mine.groups == "b"] = mine.force_norm[mine.groups == "b"] = 0.0
    mine.force_error[mine.groups == "c"] = np.inf
    found = result_of(mine)
    assert found["force_error"]["by_group"]["n_groups"] == 1
    assert found["groups"]["b"]["force_error"]["n_symmetric"] == found["groups"]["c"]["force_error"]["n_infinite"] == 480
    assert found["groups"]["b"]["force_error"]["coverage"] is None and found["groups"]["c"]["force_error"]["pinball"] is None
    assert groups_sentence(found) and not any("b 0" in sentence for sentence in warnings_of(found))
    nothing = result_of(AtomSamples(*(np.zeros(3) for _ in range(4)), np.full(3, "a", dtype=object), frames=np.arange(3)))
    assert nothing["force_error"]["by_group"]["n_groups"] == 0 and groups_sentence(nothing) == ""
    assert describe_validation(nothing) and draw_groups({"force_error": make_atoms({"a": 1.0}, levels={})}) is not None


def test_baselines_are_bars_of_one_factor_for_all_groups(atoms, result):
    bars = atoms.baselines()
    assert list(bars) == ["constant", "|F_predicted|", "force_std", "grade", "neighbour grade"]
    weights = np.ones(len(atoms.error))
    for name, score in (("constant", np.ones(len(weights))), ("|F_predicted|", atoms.force_norm + 0.01), ("grade", atoms.grade + 0.05)):
        np.testing.assert_allclose(bars[name], score * weighted_quantiles(atoms.error / score, [0.9], weights))
        assert result["force_error"]["baselines"][name]["coverage"] == pytest.approx(0.9, abs=1e-3)
        assert result["comparison"]["force_error"][name]["hindsight"]
        assert [part["force_error"]["baselines"][name]["n"] for part in result["groups"].values()] == [480] * 5
    # what knows the scale is sharper than what does not, in every group
    for part in result["groups"].values():
        mine = part["force_error"]["baselines"]
        assert mine["neighbour grade"]["pinball"] < 0.9 < mine["grade"]["pinball"]
        assert mine["neighbour grade"]["spearman"] > 0.5 > abs(mine["grade"]["spearman"]) + 0.3
    wrong = make_atoms(FACTORS, neighbours=np.full(len(atoms.error), np.inf))
    assert "neighbour grade" not in wrong.baselines()


def test_pinball_is_that_of_the_best_constant():
    rng = np.random.default_rng(3)
    error = rng.exponential(size=4001)
    best = min(pinball_loss(error, constant, 0.9) for constant in error)
    mine = AtomSamples(error, np.full(4001, 3.0), np.ones(4001), np.zeros(4001), np.full(4001, "a", dtype=object))
    found = mine.metrics(np.ones(4001, bool))
    assert found["pinball"] == pytest.approx(pinball_loss(error, np.full(4001, 3.0), 0.9) / best)
    assert found["baselines"]["constant"]["pinball"] == pytest.approx(1.0)


# --- what is said -----------------------------------------------------------------------------------------


def test_the_headline_stands_in_every_output(result):
    sentence = groups_sentence(result)
    assert "in 2 of 5 groups" in sentence and "less in 1, more in 2" in sentence
    text = describe_validation(result)
    assert sentence in " ".join(text.split()) and max(map(len, text.splitlines())) <= WIDTH
    assert text.index("in 2 of 5 groups") < text.index("force_error of atoms")
    assert "in 2 of 5 groups" in markdown(result) and "in 2 of 5 groups" in html_page(result, {})
    report = ValidationReport.of(result, {})
    assert (report.force_error.by_group.in_band, report.force_error.by_group.n_groups) == (2, 5)
    assert report.groups["narrow"].force_error.by_group is None and report.groups["narrow"].force_error.coverage[0.9] < 0.7
    assert report.force_error.n_symmetric == 0 and report.groups["wide"].force_error.width_over_oracle > 2.0
    assert json.loads(json.dumps(report.to_dict()))["force_error"]["by_group"]["below"] == 1


def test_all_groups_and_elements_that_miss_are_named():
    mine = make_atoms({f"group {k:02}": 0.4 if k % 2 else 5.0 for k in range(24)}, n_frames=3)
    wide = (mine.elements == "W") & (mine.force_error < 0.1)
    found = result_of(mine)
    sentences = [s for s in warnings_of(found) if s.startswith("By group")]
    assert len(sentences) == 2 and not any("more" in s and "and " in s.partition("errors in")[2] for s in sentences)
    for k in range(24):
        coverage = found["groups"][f"group {k:02}"]["force_error"]["coverage"]
        assert f"group {k:02} {coverage:.3f}" in sentences[0 if k % 2 else 1]
    mine = make_atoms({"a": 1.0})
    mine.force_error[mine.elements == "W"] *= 0.4
    (sentence,) = [s for s in warnings_of(result_of(mine)) if s.startswith("By element")]
    assert "less than 0.85" in sentence and " W 0." in sentence and "Ta" not in sentence
    assert wide.any()


@pytest.mark.parametrize(("better", "named"), [("force_std", "force_std ("), ("force_norm", "|F_predicted| (")])
def test_a_score_that_ranks_much_better_means_a_systematic_error(atoms, better, named):
    rng = np.random.default_rng(5)
    known = make_atoms(FACTORS, **({better: atoms.error + 0.02} if better == "force_std" else {}))
    if better == "force_norm":
        known.force_norm = known.error + 0.02
    assert not any("systematic" in s for s in warnings_of(result_of(atoms)))
    known.force_error = rng.permutation(known.force_error)
    (sentence,) = [s for s in warnings_of(result_of(known)) if "systematic" in s]
    assert named in sentence and "force of the mean correction" in sentence and "lmp-uq calibrate" in sentence


def test_calibrated_bars_have_a_table_by_group():
    rng = np.random.default_rng(1)
    groups = np.repeat(np.array(["calm", "hot", "none"], dtype=object), 100)
    error = rng.normal(size=300) * np.repeat([0.01, 0.1, 0.1], 100)
    bar = np.r_[np.full(100, 0.5), np.full(100, 0.1645), np.full(100, np.inf)]
    std, frames = np.full(300, 0.1), np.arange(300)
    energies = Samples(
        error, np.zeros(300), std, -std, std, std, groups, frames=frames, calibrated=CalibratedBars(bar, 0.9)
    )
    found = result_of(make_atoms({"calm": 1.0, "hot": 1.0}), energy_per_atom=energies)
    by_group = found["energy_per_atom"]["calibrated"]["by_group"]
    assert [by_group[name] for name in ("n_groups", "in_band", "above")] == [2, 1, 1]
    mine = found["groups"]["calm"]["energy_per_atom"]["calibrated"]
    assert mine["width_over_oracle"] > 10.0 and mine["coverage"] == 1.0
    text = describe_validation(found)
    assert "energy_error, eV/atom, covers 0.85 to 0.97 of the errors in 1 of 2 groups" in " ".join(text.split())
    (block,) = [part for part in text.split("\n\n") if part.startswith("energy_error")]
    rows = {line.split()[0]: line.split()[1:] for line in block.splitlines()}
    assert rows["calm"][:2] == ["100", "1.000"] and rows["hot"][0] == "100" and "none" not in rows
    assert "energy_error covers" in html_page(found, {}) and "calm" in html_page(found, {})


# --- the figure -------------------------------------------------------------------------------------------


def test_the_figure_shows_coverage_and_width_of_every_group(atoms, result):
    figure = draw_groups({"force_error": atoms})
    left, right = figure.axes
    names = [text.get_text().partition("  (")[0] for text in left.get_yticklabels()]
    coverage = [result["groups"][name]["force_error"]["coverage"] for name in names]
    assert set(names) == set(FACTORS) and coverage == sorted(coverage)
    for panel, key in ((left, "coverage"), (right, "width_over_oracle")):
        filled = [line for line in panel.lines if line.get_marker() == "o" and line.get_fillstyle() == "full"]
        points = sorted((line.get_ydata()[0], line.get_xdata()[0]) for line in filled)
        expected = [result["groups"][name]["force_error"][key] for name in names]
        np.testing.assert_allclose([x for _, x in points][::-1], expected)
    assert right.get_xscale() == "log" and draw_groups({}) is None


def test_long_names_fit_into_the_figure():
    mine = make_atoms({"a name that goes on and on and on, longer than any column " * 2: 1.0, "$b_1$": 1.0})
    figure = draw_groups({"force_error": mine})
    figure.canvas.draw()
    width = figure.bbox.width
    for text in figure.axes[0].get_yticklabels():
        box = text.get_window_extent()
        assert 0.0 <= box.x0 < box.x1 < 0.6 * width
    assert figure.axes[1].get_window_extent().width > 0.2 * width
