# SPDX-License-Identifier: GPL-2.0-or-later
"""The learned quantile: on errors of known distribution."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from model_example import make_header, make_tensors, random_network
from scipy.stats import norm

from lmp_uq import modelfile
from lmp_uq.calibration import ForceError, ForceVariables, QuantileNetwork, conformal_quantile, train_quantile_network
from lmp_uq.calibration.force_error import PROBABILITIES
from lmp_uq.calibration.labelled_atoms import ForceLabels, LabelledAtoms
from lmp_uq.calibration.labels import calibrate_learned
from lmp_uq.calibration.quantile_network import HIDDEN, N_VARIABLES, SECTION, tensor_shapes
from lmp_uq.errors import UqError

CURVE = 2.0 * PROBABILITIES - 1.0
FALLBACK = ForceError(-1.0, 0.5, 0.3, 0.8, 0.1, tuple(CURVE), tuple(CURVE + 0.5), (0.5, 0.9, 0.95), {"a": 0.0}, n_blocks=9)


def at(force, grade=None):
    """Variables of atoms of a grade, which is that of their neighbours too."""
    grade = np.full(len(force), 0.4) if grade is None else grade
    return ForceVariables.of(force, grade, grade)


def toy(n_frames, size, seed):
    """atoms, descriptors, sigma: |Gaussian| errors whose sigma the descriptors and the force fix."""
    rng = np.random.default_rng(seed)
    n = n_frames * size
    descriptors, force = rng.normal(size=(n, 4)), rng.lognormal(-0.5, 1.0, n)
    sigma = 0.2 * np.exp(0.7 * np.tanh(descriptors[:, 0])) * force**0.3
    error, blocks = sigma * np.abs(rng.standard_normal(n)), np.repeat(np.arange(n_frames), size)
    return LabelledAtoms(error, at(force), np.full(n, "a"), blocks), descriptors, sigma


@pytest.fixture(scope="module")
def trained():
    network, report = train_quantile_network(*toy(240, 40, 0)[:2])
    return network, report


def test_a_known_conditional_quantile_is_learned(trained):
    network, report = trained
    assert report["n_frames"] == {"training": 144, "stopping": 36, "conformal": 60} and report["held_out"].sum() == 60 * 40
    atoms, descriptors, sigma = toy(100, 40, 1)
    error = atoms.error
    for k, level in enumerate(network.levels):
        truth, found = sigma * norm.ppf((1 + level) / 2), network.quantiles(descriptors, atoms.variables)[:, k]
        assert np.median(np.abs(found / truth - 1)) < 0.12
        assert np.mean(error <= found) == pytest.approx(level, abs=0.025)
        # planted: of errors of twice the size that is not so
        assert np.mean(2 * error <= found) < level - 0.1
    constant = np.std(np.log(np.quantile(error, 0.9) / (sigma * norm.ppf(0.95))))
    assert np.std(np.log(network.quantiles(descriptors, atoms.variables)[:, 1] / sigma)) < 0.3 * constant


def test_the_same_seed_gives_the_same_network():
    data = toy(80, 5, 2)[:2]
    (one, _), (two, _), (other, _) = (train_quantile_network(*data, seed=seed, max_epochs=2) for seed in (3, 3, 4))
    for name, array in one.tensors().items():
        np.testing.assert_array_equal(array, two.tensors()[name])
    assert any(np.any(array != other.tensors()[name]) for name, array in one.tensors().items())


def test_atoms_that_no_bar_is_judged_by_have_no_part():
    """Those whose force vanishes by symmetry, which any bar covers, and those beside an atom without grade."""
    (atoms, descriptors, _), n = toy(80, 5, 2), 400
    forces, grades = np.full(n, 1e-5), np.full(n, 0.4)
    symmetric = LabelledAtoms(np.full(n, 1e-5), ForceVariables.of(forces, grades, grades), atoms.groups, atoms.blocks)
    beside = LabelledAtoms(atoms.error, ForceVariables.of(atoms.variables.force, grades, np.full(n, np.inf)), atoms.groups, atoms.blocks)
    error, groups, blocks = (
        np.concatenate([getattr(a, name) for a in (atoms, symmetric, beside)]) for name in ("error", "groups", "blocks")
    )
    columns = [
        np.concatenate([getattr(a.variables, name) for a in (atoms, symmetric, beside)]) for name in ("force", "grade", "neighbours")
    ]
    more = LabelledAtoms(error, ForceVariables.of(*columns), groups, blocks)
    found = [
        calibrate_learned(ForceLabels(a, a.blocks, np.full(len(a.error), "W", dtype=object)), d, FALLBACK, 0)
        for a, d in ((atoms, descriptors), (more, np.tile(descriptors, (3, 1))))
    ]
    assert found[0][1] == found[1][1]
    for name, array in found[0][0].tensors().items():
        np.testing.assert_array_equal(array, found[1][0].tensors()[name])


@pytest.mark.parametrize("n_variables", [1, N_VARIABLES])
def test_numpy_gives_what_torch_trained(n_variables):
    import torch

    network = random_network(n_variables=n_variables)
    rng = np.random.default_rng(1)
    descriptors, variables = rng.normal(size=(50, 3)), ForceVariables.of(*rng.random((3, 50)))
    arrays = {name: torch.from_numpy(array) for name, array in network.tensors().items()}
    columns = [variables.force + 0.01, variables.grade + 0.05, variables.neighbours + 0.05][:n_variables]
    x = torch.from_numpy(np.concatenate([descriptors, np.log(columns).T], axis=1))
    x = (x - arrays["input_mean"]) / arrays["input_scale"]
    for k in range(3):
        x = torch.nn.functional.linear(x, arrays[f"weight_{k}"], arrays[f"bias_{k}"])
        x = torch.nn.functional.silu(x) if k < 2 else x
    q = torch.cumsum(torch.cat([x[:, :1], torch.nn.functional.softplus(x[:, 1:])], dim=1), dim=1).clamp(-3.0, 2.0).exp()
    expected = np.maximum.accumulate(q.numpy() * network.arrays["factors"], axis=1)
    np.testing.assert_allclose(network.quantiles(descriptors, variables), expected, rtol=1e-12)


def test_bars_stay_within_the_training_range_and_never_cross(trained):
    network, _ = trained
    rng = np.random.default_rng(5)
    arrays = network.arrays
    for size in (1.0, 1e3, 1e30):
        bars = network.quantiles(size * rng.normal(size=(200, 4)), at(rng.lognormal(0, 3, 200)))
        assert np.all(np.diff(bars, axis=1) >= 0)
        assert np.all(bars[:, 0] <= arrays["factors"][0] * np.exp(arrays["upper"][0]))
        assert np.all(bars[:, 0] >= arrays["factors"][0] * np.exp(arrays["lower"][0]))
    # a level with the smaller factor takes the bar of the level below
    crossing = random_network(factors=np.array([5.0, 0.01, 0.01]))
    bars = crossing.quantiles(rng.normal(size=(50, 3)), at(rng.random(50)))
    assert np.all(bars[:, 0] == bars[:, 1])


def test_hand_over_is_exact():
    network, rng = random_network(), np.random.default_rng(0)
    descriptors = rng.normal(size=(7, 3))
    grade = np.array([0.2, 1.0, np.nextafter(1.0, 2.0), 7.0, np.inf, np.nan, 0.2])
    variables = ForceVariables.of(rng.random(7), grade, np.append(grade[:6], np.inf))
    for level in network.levels:
        for conservative in (False, True):
            bars = network.predict(descriptors, variables, FALLBACK, level, conservative)
            expected = FALLBACK.predict(variables, conservative, level)
            np.testing.assert_array_equal(bars[2:], expected[2:])
            known = variables.take(slice(2))
            np.testing.assert_array_equal(bars[:2], network.quantiles(descriptors[:2], known)[:, network.levels.index(level)])
    assert np.isinf(bars[[4, 6]]).all() and np.isnan(bars[5])
    with pytest.raises(UqError, match=r"level 0\.8 was not trained; accepted: 0\.5, 0\.9, 0\.95"):
        network.predict(descriptors, variables, FALLBACK, 0.8)
    with pytest.raises(UqError, match="descriptors have length 2, accepted: 3"):
        network.predict(descriptors[:, :2], variables, FALLBACK)


def test_a_constant_network_is_split_conformal():
    atoms, descriptors, _ = toy(50, 6, 3)
    flat = {name: np.zeros(shape) for name, shape in tensor_shapes(4, HIDDEN, 3, N_VARIABLES).items()}
    arrays = flat | {"input_scale": np.ones(4 + N_VARIABLES), "lower": np.full(3, -9.0), "upper": np.full(3, 9.0)}
    network = QuantileNetwork((0.5, 0.9, 0.95), arrays)
    for blocks in (np.arange(300), atoms.blocks):
        mine = dataclasses.replace(atoms, blocks=blocks)
        bars = network.conformalised(mine, descriptors).quantiles(descriptors, atoms.variables)
        for k, level in enumerate(network.levels):
            np.testing.assert_allclose(bars[:, k], conformal_quantile(atoms.error, level, blocks), rtol=1e-12)
    with pytest.raises(UqError, match=r"18 frames are too few for the factor of level 0\.95"):
        network.conformalised(atoms.take(slice(108)), descriptors[:108])


def test_few_frames_are_refused():
    with pytest.raises(UqError, match="79 frames with force labels; accepted: 80 or more"):
        train_quantile_network(*toy(79, 2, 0)[:2])


def with_network(header, network):
    header["calibration"] = {"force_error": FALLBACK.to_dict(), "quantile_network": network.header() | {"epochs": 7}}
    return header, make_tensors() | {f"{SECTION}/{name}": array for name, array in network.tensors().items()}


@pytest.mark.parametrize("n_variables", [1, N_VARIABLES])
def test_round_trip_through_a_model_file(tmp_path, n_variables):
    network = random_network(n_variables=n_variables)
    modelfile.write(tmp_path / "m.uq", *with_network(make_header(), network))
    file = modelfile.read(tmp_path / "m.uq")
    again = QuantileNetwork.from_tensors(file.header.calibration.quantile_network.to_dict(), file.section(SECTION))
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(20, 3)), at(rng.random(20))
    np.testing.assert_array_equal(again.quantiles(*sample), network.quantiles(*sample))
    assert again.levels == network.levels and again.header() == network.header()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, t: t.pop(f"{SECTION}/lower"), "'calibration/quantile_network/lower' is missing"),
        (lambda h, t: t.update({f"{SECTION}/bias_0": np.zeros(3)}), r"bias_0' has shape \(3,\)"),
        (lambda h, t: t.update({f"{SECTION}/upper": np.full(3, np.nan)}), "upper' has 3 NaN"),
        (lambda h, t: t.update({f"{SECTION}/more": np.zeros(3)}), "unknown tensor calibration/quantile_network/more"),
        (lambda h, t: h["calibration"].update(quantile_network=None), "unknown tensor calibration/quantile_network/bias_0"),
        (lambda h, t: h["calibration"].update(force_error=None), "'calibration.force_error' is null"),
        (lambda h, t: h["calibration"]["quantile_network"].update(n_features=4), "quantile_network.n_features' is 4"),
        (lambda h, t: h["calibration"]["quantile_network"].update(hidden=[64]), r"hidden' is \[64\]"),
        (lambda h, t: h["calibration"]["quantile_network"].update(levels=0.9), "levels' is 0.9"),
        (lambda h, t: h["calibration"]["quantile_network"].update(n_variables=2), "n_variables|input_mean"),
        (lambda h, t: h["calibration"].update(energy_error={"factor": 1.0}), "calibration.energy_error.conservative_factor"),
        (lambda h, t: h["calibration"].update(stress_error=[1]), r"'calibration.stress_error' is \[1\]"),
    ],
)
def test_files_that_contradict_themselves_are_refused(tmp_path, change, message):
    header, tensors = with_network(make_header(), random_network())
    change(header, tensors)
    with pytest.raises(UqError, match=message):
        modelfile.write(tmp_path / "m.uq", header, tensors)


@pytest.mark.parametrize(
    "changes",
    [
        {"lower": np.full(3, 3.0)},
        {"factors": -np.ones(3)},
        {"input_scale": np.zeros(6)},
        {"bias_1": np.full(32, np.inf)},
        {"lower": np.zeros(2)},
    ],
)
def test_networks_of_impossible_numbers_are_refused(changes):
    with pytest.raises(UqError, match="QuantileNetwork"):
        random_network(**changes)
