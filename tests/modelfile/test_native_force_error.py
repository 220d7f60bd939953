# SPDX-License-Identifier: GPL-2.0-or-later
"""Today's force_error in the native posterior head and in the reader of model files: what Python gives, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from model_example import make_header, make_tensors, raw_container, some_force_error
from posterior_example import LEVELS, THRESHOLDS, both, check_fields, close, refusal, today, with_variables, write_model

from lmp_uq import modelfile


@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.35])
def test_todays_force_error(tmp_path, conservative, learned, slope):
    """Bars and probabilities, with atoms that have no grade within two hops, of the element without training atoms among them."""
    case = both(write_model(tmp_path / "a.uq", change=today(slope)), scale=0.3, conservative=conservative, learned=learned)
    check_fields(case)
    if slope:
        close(case.native.mean_correction(), case.engine.mean_correction)
    inside = case.species >= 0
    bar = case.native.force_errors(case.descriptors, case.species, case.variables, 0.9)
    assert np.array_equal(~np.isfinite(bar[inside]), ~case.variables.graded()[inside])
    probability = [case.native.errors_above(case.species, case.variables, threshold)[inside] for threshold in THRESHOLDS]
    assert (np.diff(probability, axis=0) <= 0).all() and (np.diff(probability, axis=0) < 0).any()
    assert (np.array(probability)[:, ~case.variables.graded()[inside]] == 1.0).all()


def test_the_probability_above_the_bar_of_a_level(tmp_path):
    """1 - level; between quantiles the distribution is linear, at and beyond the last ones it is flat."""
    case = both(write_model(tmp_path / "a.uq", change=today()), 40, elements=(0, 2))
    inside = (case.species >= 0) & np.isfinite(case.variables.neighbours)
    for level in LEVELS:
        bars = case.native.force_errors(case.descriptors, case.species, case.variables, level)
        assert (bars[inside] > 0.011).all()
        found = [case.native.errors_above(case.species, case.variables, bars[i])[i] for i in np.flatnonzero(inside)]
        np.testing.assert_allclose(found, 1.0 - level, atol=1e-10)
    curve = np.array(case.engine._force_error.quantiles)
    scale = case.engine._force_error.log_scale(case.variables)
    i = np.flatnonzero(inside)[0]
    for residual in (*curve, *(0.3 * curve[1:] + 0.7 * curve[:-1]), curve[0] - 1.0, curve[-1] + 1.0):
        threshold = np.exp(scale[i] + residual) - 0.005
        if threshold >= 0:
            expected = 1.0 - np.interp(residual, curve, np.linspace(0.0, 1.0, 101))
            assert case.native.errors_above(case.species, case.variables, threshold)[i] == pytest.approx(expected, abs=1e-9)


def test_equal_quantiles(tmp_path):
    """A step of the distribution counts at the end that lies above it, as in Python."""
    flat = tuple(np.repeat(np.linspace(-1.0, 1.0, 21), 5)[:101].tolist())

    def change(header, tensors):
        header["calibration"]["force_error"] = some_force_error(quantiles=flat, conservative_quantiles=flat).to_dict()

    check_fields(both(write_model(tmp_path / "a.uq", change=change), 60))


def test_an_old_network_asks_no_neighbours(tmp_path):
    """Files before 0.2 give the bars that they gave, whatever the neighbours are."""
    case = both(write_model(tmp_path / "a.uq"), scale=0.3, learned=True)
    bar = case.native.force_errors(case.descriptors, case.species, case.variables, 0.9)
    calm = with_variables(case, case.given["force_norm"], np.zeros(len(bar)), np.zeros(len(bar)))
    assert np.array_equal(bar, case.native.force_errors(calm.descriptors, calm.species, calm.variables, 0.9))


# --- what the reader refuses --------------------------------------------------------------------------------


def put(**entries):
    return lambda force_error: force_error.update(entries)


def curve(k, value):
    def change(force_error):
        force_error["quantiles"][k] = value

    return change


REFUSED = {
    "a later version": (put(version=3), "version' is 3; accepted: 2"),
    "another formula": (put(power=2), "power' is 2; accepted: 4"),
    "other hops": (put(hops=1.5), "hops' is 1.5; accepted: 2"),
    "no version": (put(version=None), "version' is null; accepted: 2"),
    "an offset missing": (lambda f: f.pop("grade_offset"), "header keys are missing: calibration.force_error.grade_offset"),
    "less": (lambda f: f.pop("spread"), "header keys are missing: calibration.force_error.spread"),
    "text": (put(intercept="x"), "intercept' is \"x\"; accepted: a number"),
    "a truth": (put(n_blocks=True), "n_blocks' is true; accepted: a number, 0 or more"),
    "nothing": (put(spread=None), "spread' is null; accepted: a number, 0 or more"),
    "no float": (put(intercept=10**400), "; accepted: a number"),
    "negative slope": (put(new_slope=-0.5), "new_slope' is -0.5; accepted: a number, 0 or more"),
    "negative blocks": (put(n_blocks=-1), "n_blocks' is -1; accepted: a number, 0 or more"),
    "no list": (put(quantiles=0.5), "quantiles' is 0.5; accepted: a list of 101 numbers that do not fall"),
    "falling": (curve(7, -9), "accepted: a list of 101 numbers that do not fall"),
    "short": (lambda f: f["conservative_quantiles"].pop(), "accepted: a list of 101 numbers that do not fall"),
    "of text": (curve(7, "x"), "accepted: a list of 101 numbers that do not fall"),
    "conservative below": (curve(100, 9.0), "accepted: numbers of which none is below its quantile"),
    "no levels": (put(levels=[]), "levels' is []; accepted: a list of rising multiples of 0.01 between 0 and 1"),
    "level between": (put(levels=[0.905]), "accepted: a list of rising multiples of 0.01 between 0 and 1"),
    "levels fall": (put(levels=[0.9, 0.5]), "accepted: a list of rising multiples"),
    "level 1": (put(levels=[1]), "accepted: a list of rising multiples"),
    "level of text": (put(levels=["x"]), "accepted: a list of rising multiples"),
    "groups": (put(group_means=[1.0]), "group_means' is [1.0]; accepted: an object of numbers"),
    "a group": (put(group_means={"a": None}), "accepted: an object of numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_entries_that_the_reader_refuses(name, tmp_path):
    change, text = REFUSED[name]
    header = make_header()
    header["calibration"] = {"force_error": json.loads(json.dumps(some_force_error().to_dict()))}
    path = raw_container(tmp_path / "a.uq", header, make_tensors())
    assert modelfile.read(path).header.to_dict() == header
    change(header["calibration"]["force_error"])
    raw_container(path, header, make_tensors())
    found = refusal(lambda: modelfile.read(path))
    assert found.startswith(f"{path}: header key") and text in found


def test_files_that_lack_what_it_is_made_of(tmp_path):
    """The mean correction is that of the posterior; the inputs of a learned quantile are one or three."""

    def strip(header, tensors):
        today(0.3)(header, tensors)
        header["posterior"] = None
        for name in [name for name in tensors if name.startswith("posterior/")]:
            del tensors[name]

    def other(header, tensors):
        today()(header, tensors)
        header["calibration"]["quantile_network"]["n_variables"] = 2

    def lacking(header, tensors):
        today()(header, tensors)
        del header["calibration"]["quantile_network"]["n_variables"]

    cases = {
        strip: "header key 'posterior' is null; accepted: an object, because calibration.force_error needs its mean correction",
        other: "header key 'calibration.quantile_network.n_variables' is 2; accepted: 1 or 3",
        lacking: "calibration/quantile_network/input_mean' has shape (22,), float64; accepted: (20,), float64",
    }
    for change, text in cases.items():
        header, tensors = written(tmp_path / "b.uq", change)
        path = raw_container(tmp_path / "a.uq", header, tensors)
        assert text in refusal(lambda path=path: modelfile.read(path))


def written(path, change):
    """Header and tensors of `write_model` with a change that no writer would write."""
    file = modelfile.read(write_model(path))
    header, tensors = file.header.to_dict(), dict(file.tensors)
    change(header, tensors)
    return header, tensors
