# SPDX-License-Identifier: GPL-2.0-or-later
"""The recipes convert, fit and validate, end to end on a tiny model, and the engine that runs what they write."""

from __future__ import annotations

import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from lammps_cases import crystal

from lmp_uq import modelfile
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.fitting.counts import enough_force_rows
from lmp_uq.fitting.posterior import floor_by_ratios
from lmp_uq.frames.reading import read_frames
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.features import append_bias
from lmp_uq.quantities import ENERGY
from lmp_uq.recipes.fit import FitOptions, fit
from lmp_uq.recipes.validate import ValidateOptions, validate
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import RowOptions
from lmp_uq.run.engine import FIELDS, Engine


@pytest.fixture(scope="module")
def data(models):
    """The folder of frames that `models` was fitted on."""
    return models.full.parent


def options(data, models, out, **changes):
    given = {"calibration": (str(data / "cold.xyz"), str(data / "hot.xyz")), "n_members": 64, "progress": False}
    return FitOptions(str(models.bare), (str(data / "train.xyz"),), str(out), **(given | changes))


def test_the_same_seed_gives_the_same_bytes(models, data, tmp_path):
    fit(options(data, models, tmp_path / "again.uq"), "made by the tests")
    assert (tmp_path / "again.uq").read_bytes() == models.full.read_bytes()
    fit(options(data, models, tmp_path / "other.uq", seed=1), "made by the tests")
    assert (tmp_path / "other.uq").read_bytes() != models.full.read_bytes()


def test_every_row_that_shaped_the_box_lies_inside_it(models, data):
    file = modelfile.read(models.full)
    engine = Engine.load(str(models.full), file.header.elements)
    drawn = RowOptions(n_force_rows=file.header.posterior.n_force_rows)
    rows = predict(engine.backbone, read_frames([data / "train.xyz"]), drawn).rows
    box = Box.from_tensors(file.section("posterior"))
    lower, upper = box.exact_bounds(rows.features)
    outside = (rows.targets < lower - 1e-9) | (rows.targets > upper + 1e-9)
    counts = file.header.posterior.counts
    below = sum(counts[kind]["below_floor"] for kind in ("energy", "forces", "stress"))
    assert outside.sum() <= below
    energy = rows.kinds == ENERGY.row
    assert counts["energy"]["below_floor"] == 0 and not outside[energy].any()
    small = Box(box.coefficients, box.modes, box.lower / 100, box.upper / 100)
    lower, upper = small.exact_bounds(rows.features)
    assert ((rows.targets < lower) | (rows.targets > upper)).sum() > below, "a box of a hundredth must miss rows"


def test_force_rows_are_as_many_as_a_hundred_rows_per_feature_take(models, data):
    frames = read_frames([data / "train.xyz"])
    sizes, kinds = np.array([3 * len(f.atoms) for f in frames]), ("energy", "forces", "stress")

    def n_rows(n, others=7):
        return np.minimum(sizes, n).sum() + others * len(frames)

    assert enough_force_rows(frames, kinds, 1) == 24, "where 24 suffice"
    assert enough_force_rows(frames, kinds, 10**6) == sizes.max() > 24, "all"
    for others, mine in ((7, kinds), (1, ("energy", "forces")), (0, ("forces",))):
        n_features = n_rows(30, others) // 100
        n = enough_force_rows(frames, mine, n_features)
        assert 24 < n <= 30 and n_rows(n, others) >= 100 * n_features > n_rows(n - 1, others), "the fewest"
    assert enough_force_rows(frames, ("energy",), 10**6) == 24
    file = modelfile.read(models.full)
    found = enough_force_rows(frames, kinds, len(file.section("posterior")["coefficients"]))
    assert file.header.posterior.n_force_rows == found
    assert file.header.posterior.counts["forces"]["rows"] == np.minimum(sizes, found).sum()


def test_few_rows_are_said(models, data, tmp_path, caplog):
    caplog.set_level("INFO", "lmp_uq")
    fit(options(data, models, tmp_path / "few.uq", n_force_rows=30, calibration=()))
    said = [text for text in caplog.messages if "rows per feature" in text]
    file = modelfile.read(tmp_path / "few.uq")
    n_rows = sum(file.header.posterior.counts[kind]["rows"] for kind in ("energy", "forces", "stress"))
    n_features = len(file.section("posterior")["coefficients"])
    assert 500 < n_rows < 100 * n_features, "enough for five components, not for all features"
    assert len(said) == 1 and said[0].startswith(f"{n_rows / n_features:.0f} rows per feature; below 100")
    caplog.clear()
    fit(options(data, models, tmp_path / "one.uq", n_components=5, calibration=()))
    assert not [text for text in caplog.messages if "rows per feature" in text]


def test_engine_totals_are_the_bars_of_the_summed_features(models):
    file = modelfile.read(models.full)
    engine = Engine.load(str(models.full), file.header.elements)
    from lmp_uq.backbone.graph import graph_of_frames

    atoms = crystal((1, 1, 1), rattle=0.1, seed=5)
    graph, _ = graph_of_frames([atoms], engine.backbone.elements, engine.cutoff)
    energies, gradients = np.zeros(len(atoms)), np.zeros((len(graph.centres), 3))
    engine.evaluate(graph, energies, gradients)
    box = Box.from_tensors(file.section("posterior"))
    evaluation = engine.backbone.evaluate(graph)
    features = append_bias(evaluation.descriptors, graph.species, file.header.posterior.bias, 2).sum(axis=0)
    std, lower, upper = engine.totals(engine.feature_sum(), energies.sum())
    mean_squared = box.std(features) ** 2 + (features @ box.centre()) ** 2
    assert std == pytest.approx(np.sqrt(mean_squared), rel=1e-12)
    assert lower < energies.sum() + features @ box.centre() < upper
    sample = box.draw(20_000, seed=3) @ features
    assert np.sqrt(np.mean(sample**2)) == pytest.approx(std, rel=0.02)
    assert {f for f in FIELDS if engine.offers(f)} == set(FIELDS) - {"reliability"}, "a fit makes no classifier"


def test_fewer_members_make_narrower_bounds(models):
    names = modelfile.read(models.full).header.elements
    from lmp_uq.backbone.graph import graph_of_frames

    widths = []
    for n_members in (4, 64):
        engine = Engine.load(str(models.full), names, n_members=n_members)
        atoms = crystal((1, 1, 1), rattle=0.1, seed=5)
        graph, _ = graph_of_frames([atoms], engine.backbone.elements, engine.cutoff)
        engine.evaluate(graph, np.zeros(len(atoms)), np.zeros((len(graph.centres), 3)))
        _, lower, upper = engine.totals(engine.feature_sum(), 0.0)
        widths.append(upper - lower)
    assert widths[0] < widths[1]
    with pytest.raises(UqError, match="members 65 asked for, the file holds 64"):
        Engine.load(str(models.full), names, n_members=65)
    for words in ({"n_members": -1}, {"n_force_members": -1}):
        with pytest.raises(UqError, match="members is -1; accepted: a whole number"):
            Engine.load(str(models.full), names, **words)


def test_the_floor_is_the_tightest_that_covers():
    assert floor_by_ratios({1e-4: 5.0, 1e-3: 1.4, 1e-2: 1.1, 1e-1: 0.7}) == (1e-2, True)
    assert floor_by_ratios({1e-4: 0.9, 1e-3: 0.8}) == (1e-4, False)


def test_validate_refuses_what_shaped_the_file(models, data):
    for name, role in (("train", "posterior"), ("hot", "calibration")):
        with pytest.raises(UqError, match=rf"{role} \(first: {name}.xyz\[0\]\).*in_sample=True"):
            validate(ValidateOptions(str(models.full), (str(data / f"{name}.xyz"),), progress=False))
    with pytest.raises(UqError, match="has no posterior"):
        validate(ValidateOptions(str(models.bare), (str(data / "hot.xyz"),), progress=False))


def test_validate_in_sample(models, data):
    paths = (str(data / "hot.xyz"), str(data / "cold.xyz"))
    result, samples = validate(ValidateOptions(str(models.full), paths, in_sample=True, progress=False))
    assert result["n_frames"] == 20 and set(result["groups"]) == {"hot", "cold"}
    for name in ("energy_per_atom", "forces"):
        figures = result[name]
        assert figures["n"] == len(samples[name].error)
        assert figures["rmse"] == pytest.approx(np.sqrt(np.mean(samples[name].error ** 2)))
        assert set(figures["baselines"]) == {"constant", "|F_predicted|"}
    assert 0.8 < result["forces"]["force_error_coverage"] <= 1.0
    json.dumps(result, allow_nan=False)


def test_hold_out_takes_a_role_and_may_be_validated(models, data, tmp_path):
    mixed = tmp_path / "mixed.xyz"
    ase.io.write(mixed, ase.io.read(data / "train.xyz", ":") + ase.io.read(data / "hot.xyz", ":"))
    out = tmp_path / "x.uq"
    given = options(data, models, out, calibration=(), leverage_floor=1e-3, hold_out="config_type=hot", n_members=16)
    fit(replace(given, data=(str(mixed),)))
    roles = modelfile.read(out).header.provenance.roles
    assert roles == {"train": {"posterior": 40}, "hot": {"test": 12}}
    result, _ = validate(ValidateOptions(str(out), (str(data / "hot.xyz"),), progress=False))
    assert result["n_frames"] == 12


def shifted(data, tmp_path, per_atom):
    frames = ase.io.read(data / "train.xyz", ":")
    for atoms in frames:
        atoms.info["REF_energy"] += per_atom * len(atoms)
    path = tmp_path / "shifted.xyz"
    ase.io.write(path, frames)
    return path


def test_another_energy_zero_is_refused_or_fitted(models, data, tmp_path):
    path = shifted(data, tmp_path, 0.5)
    out = tmp_path / "x.uq"
    given = {"progress": False, "n_members": 16, "leverage_floor": 1e-3}
    with pytest.raises(UqError, match="fit_offsets=True"):
        fit(FitOptions(str(models.bare), (str(path),), str(out), **given))
    assert not out.exists()
    report = fit(FitOptions(str(models.bare), (str(path),), str(out), fit_offsets=True, **given))
    assert all(0.3 < value < 0.7 for value in report["energy_offsets"].values())


def without_labels(atoms):
    atoms.info.clear()
    del atoms.arrays["REF_forces"]


def with_nan_energy(atoms):
    atoms.info["REF_energy"] = float("nan")


def with_foreign_element(atoms):
    atoms.symbols[0] = "Xe"


@pytest.mark.parametrize(("spoil", "word"), [(without_labels, "label"), (with_nan_energy, "NaN"), (with_foreign_element, "Xe")])
def test_bad_frames_give_one_error_and_no_file(models, data, tmp_path, capsys, spoil, word):
    frames = ase.io.read(data / "train.xyz", ":")[:4]
    spoil(frames[2])
    path, out = tmp_path / "bad.xyz", tmp_path / "out.uq"
    ase.io.write(path, frames)
    assert main(["fit", "--backbone", str(models.bare), "--data", str(path), "--out", str(out), "--quiet"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("lmp-uq: error: ") and word in text and "Traceback" not in text
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_fit_leaves_descriptors_only(models, data, tmp_path, monkeypatch, capsys):
    from lmp_uq.recipes import fit as module

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fit_novelty_blocks", interrupted)
    out = tmp_path / "out.uq"
    arguments = ["fit", "--backbone", str(models.bare), "--data", str(data / "train.xyz"), "--out", str(out), "--quiet"]
    assert main([*arguments, "--leverage-floor", "1e-3"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "out.uq.cache"]


def test_cli_line(models, data, tmp_path, capsys):
    out = tmp_path / "x.uq"
    assert main(["fit", "--backbone", str(models.bare), "--data", str(data / "train.xyz"), "--calibration", str(data / "cold.xyz"),
                 str(data / "hot.xyz"), "--out", str(out), "--members", "16", "--element-bias", "--quiet"]) == 0
    assert modelfile.read(out).header.posterior.bias == "element"
    report = tmp_path / "report"
    assert main(["validate", str(out), "--data", str(data / "hot.xyz"), "--in-sample", "--json", str(tmp_path / "x.json"),
                 "--report", str(report), "--quiet"]) == 0
    figures = json.loads((tmp_path / "x.json").read_text())
    assert {"energy_per_atom", "forces", "groups"} <= set(figures)
    assert (report / "parity.png").stat().st_size > 10_000
    assert main(["inspect", str(out)]) == 0
    assert main(["inspect", str(tmp_path / "missing.uq")]) == 1
    printed = capsys.readouterr()
    assert "Si" in printed.out and "missing.uq" in printed.err


def test_files_that_go_to_standard_output_have_it_for_themselves(models, data, tmp_path, capfdbinary):
    """`-`: what else a verb says is then on standard error."""
    assert main(["convert", str(models.mace), "--out", "-"]) == 0
    model, told = capfdbinary.readouterr()
    (tmp_path / "x.uq").write_bytes(model)
    assert modelfile.read(tmp_path / "x.uq").header.elements == ["O", "Si"] and b"-: written" in told
    assert main(["validate", str(models.full), "--data", str(data / "hot.xyz"), "--in-sample", "--json", "-", "--quiet"]) == 0
    figures, told = capfdbinary.readouterr()
    assert {"energy_per_atom", "forces", "groups"} <= set(json.loads(figures)) and b"Force components" in told


def test_an_output_folder_that_is_not_there_is_found_before_the_work(models, data, tmp_path, monkeypatch):
    from lmp_uq.rows import stream as module

    def too_late(*_args, **_kwargs):
        raise AssertionError("the backbone was evaluated first")

    monkeypatch.setattr(module, "predict", too_late)
    with pytest.raises(UqError, match=r"out=.*no folder"):
        fit(options(data, models, tmp_path / "nowhere" / "x.uq"))
    with pytest.raises(UqError, match=r"calibration: 8 frames with force labels; accepted: 9 or more"):
        fit(options(data, models, tmp_path / "x.uq", calibration=(str(data / "cold.xyz"),)))
    with pytest.raises(UqError, match=r"missing\.xyz"):
        fit(options(data, models, tmp_path / "x.uq", backbone_training=(str(tmp_path / "missing.xyz"),)))
