# SPDX-License-Identifier: GPL-2.0-or-later
"""The learned quantile, the factors of energies and stresses, and what a few frames change: on errors of known distribution."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from model_example import make_header, make_tensors, random_network
from scipy.stats import norm

from lmp_uq import modelfile
from lmp_uq.calibration import ForceError, QuantileNetwork, ScaledError, conformal_quantile, fit_scaled_error, train_quantile_network
from lmp_uq.calibration.few_frames import few_frames_of_a_group
from lmp_uq.calibration.quantile_network import HIDDEN, SECTION, tensor_shapes
from lmp_uq.calibration.scaled_error import element_factors, scaled_leave_one_group_out
from lmp_uq.errors import UqError

FALLBACK = ForceError(-1.0, 0.5, 0.5, (0.5, 1.0, 1.2), (1.0, 2.0, 2.4), (0.01, 0.02, 0.03), (0.5, 0.9, 0.95))


def toy(n_frames, size, seed):
    """error, descriptors, force, blocks, sigma: |Gaussian| errors whose sigma the descriptors and the force fix."""
    rng = np.random.default_rng(seed)
    n = n_frames * size
    descriptors, force = rng.normal(size=(n, 4)), rng.lognormal(-0.5, 1.0, n)
    sigma = 0.2 * np.exp(0.7 * np.tanh(descriptors[:, 0])) * force**0.3
    return sigma * np.abs(rng.standard_normal(n)), descriptors, force, np.repeat(np.arange(n_frames), size), sigma


@pytest.fixture(scope="module")
def trained():
    error, descriptors, force, blocks, _ = toy(240, 40, 0)
    network, report = train_quantile_network(error, descriptors, force, blocks)
    return network, report


# ---- learned quantile -------------------------------------------------------------------------------------


def test_a_known_conditional_quantile_is_learned(trained):
    network, report = trained
    assert report["n_frames"] == {"training": 144, "stopping": 36, "conformal": 60} and report["held_out"].sum() == 60 * 40
    error, descriptors, force, _, sigma = toy(100, 40, 1)
    for k, level in enumerate(network.levels):
        truth, found = sigma * norm.ppf((1 + level) / 2), network.quantiles(descriptors, force)[:, k]
        assert np.median(np.abs(found / truth - 1)) < 0.12
        assert np.mean(error <= found) == pytest.approx(level, abs=0.025)
        # planted: of errors of twice the size that is not so
        assert np.mean(2 * error <= found) < level - 0.1
    constant = np.std(np.log(np.quantile(error, 0.9) / (sigma * norm.ppf(0.95))))
    assert np.std(np.log(network.quantiles(descriptors, force)[:, 1] / sigma)) < 0.3 * constant


def test_the_same_seed_gives_the_same_network():
    data = toy(80, 5, 2)[:4]
    (one, _), (two, _), (other, _) = (train_quantile_network(*data, seed=seed, max_epochs=2) for seed in (3, 3, 4))
    for name, array in one.tensors().items():
        np.testing.assert_array_equal(array, two.tensors()[name])
    assert any(np.any(array != other.tensors()[name]) for name, array in one.tensors().items())


def test_numpy_gives_what_torch_trained():
    import torch

    network = random_network()
    rng = np.random.default_rng(1)
    descriptors, force = rng.normal(size=(50, 3)), rng.random(50)
    arrays = {name: torch.from_numpy(array) for name, array in network.tensors().items()}
    x = torch.from_numpy(np.concatenate([descriptors, np.log(force + 0.01)[:, None]], axis=1))
    x = (x - arrays["input_mean"]) / arrays["input_scale"]
    for k in range(3):
        x = torch.nn.functional.linear(x, arrays[f"weight_{k}"], arrays[f"bias_{k}"])
        x = torch.nn.functional.silu(x) if k < 2 else x
    q = torch.cumsum(torch.cat([x[:, :1], torch.nn.functional.softplus(x[:, 1:])], dim=1), dim=1).clamp(-3.0, 2.0).exp()
    expected = np.maximum.accumulate(q.numpy() * network.arrays["factors"], axis=1)
    np.testing.assert_allclose(network.quantiles(descriptors, force), expected, rtol=1e-12)


def test_bars_stay_within_the_training_range_and_never_cross(trained):
    network, _ = trained
    rng = np.random.default_rng(5)
    arrays = network.arrays
    for size in (1.0, 1e3, 1e30):
        bars = network.quantiles(size * rng.normal(size=(200, 4)), rng.lognormal(0, 3, 200))
        assert np.all(np.diff(bars, axis=1) >= 0)
        assert np.all(bars[:, 0] <= arrays["factors"][0] * np.exp(arrays["upper"][0]))
        assert np.all(bars[:, 0] >= arrays["factors"][0] * np.exp(arrays["lower"][0]))
    # a level with the smaller factor takes the bar of the level below
    crossing = random_network(factors=np.array([5.0, 0.01, 0.01]))
    bars = crossing.quantiles(rng.normal(size=(50, 3)), rng.random(50))
    assert np.all(bars[:, 0] == bars[:, 1])


def test_hand_over_is_exact():
    network, rng = random_network(), np.random.default_rng(0)
    descriptors, force = rng.normal(size=(6, 3)), rng.random(6)
    grade = np.array([0.2, 1.0, np.nextafter(1.0, 2.0), 7.0, np.inf, np.nan])
    for level in network.levels:
        for conservative in (False, True):
            bars = network.predict(descriptors, force, grade, FALLBACK, level, conservative)
            expected = FALLBACK.predict(force, grade, conservative, level)
            np.testing.assert_array_equal(bars[2:], expected[2:])
            np.testing.assert_array_equal(bars[:2], network.quantiles(descriptors, force)[:2, network.levels.index(level)])
    assert np.isinf(bars[4]) and np.isnan(bars[5])
    with pytest.raises(UqError, match=r"level 0\.8 was not trained; accepted: 0\.5, 0\.9, 0\.95"):
        network.predict(descriptors, force, grade, FALLBACK, 0.8)
    with pytest.raises(UqError, match="descriptors have length 2, accepted: 3"):
        network.predict(descriptors[:, :2], force, grade, FALLBACK)


def test_a_constant_network_is_split_conformal():
    error = toy(50, 6, 3)[0]
    flat = {name: np.zeros(shape) for name, shape in tensor_shapes(4, HIDDEN, 3).items()}
    network = QuantileNetwork((0.5, 0.9, 0.95), flat | {"input_scale": np.ones(5), "lower": np.full(3, -9.0), "upper": np.full(3, 9.0)})
    _, descriptors, force, blocks, _ = toy(50, 6, 3)
    for given in (None, blocks):
        bars = network.conformalised(error, descriptors, force, given).quantiles(descriptors, force)
        for k, level in enumerate(network.levels):
            np.testing.assert_allclose(bars[:, k], conformal_quantile(error, level, given), rtol=1e-12)
    with pytest.raises(UqError, match=r"18 frames are too few for the factor of level 0\.95"):
        network.conformalised(error[:108], descriptors[:108], force[:108], blocks[:108])


def test_few_frames_are_refused():
    with pytest.raises(UqError, match="79 frames with force labels; accepted: 80 or more"):
        train_quantile_network(*toy(79, 2, 0)[:4])


def with_network(header, network):
    bar = dataclasses.replace(FALLBACK, n_blocks=9).to_dict()
    header["calibration"] = {"force_error": bar, "quantile_network": network.header() | {"epochs": 7}}
    return header, make_tensors() | {f"{SECTION}/{name}": array for name, array in network.tensors().items()}


def test_round_trip_through_a_model_file(tmp_path):
    network = random_network()
    modelfile.write(tmp_path / "m.uq", *with_network(make_header(), network))
    file = modelfile.read(tmp_path / "m.uq")
    again = QuantileNetwork.from_tensors(file.header.calibration.quantile_network.to_dict(), file.section(SECTION))
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(20, 3)), rng.random(20)
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
        (lambda h, t: h["calibration"]["force_error"].update(floors=[0.1]), r"force_error.floors' is \[0.1\]"),
        (lambda h, t: h["calibration"]["force_error"].update(levels=0.9), "force_error.levels' is 0.9"),
        (lambda h, t: h["calibration"].update(energy_error={"factor": 1.0}), "missing: calibration.energy_error.conservative_factor, "),
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
        {"input_scale": np.zeros(4)},
        {"bias_1": np.full(32, np.inf)},
        {"lower": np.zeros(2)},
    ],
)
def test_networks_of_impossible_numbers_are_refused(changes):
    with pytest.raises(UqError, match="QuantileNetwork"):
        random_network(**changes)


# ---- energies and stresses --------------------------------------------------------------------------------


def scaled_labels(seed, n=300, per_block=6, true_ratio=1.0):
    rng = np.random.default_rng(seed)
    std = rng.lognormal(0.0, 0.8, n * per_block)
    shared = np.repeat(rng.choice([0.5, 1.5], n), per_block)
    groups = np.repeat(rng.choice(["a", "b"], n), per_block)
    return true_ratio * shared * std * rng.standard_normal(n * per_block), std, groups, np.repeat(np.arange(n), per_block)


def test_scaled_bars_cover_new_frames():
    bar = fit_scaled_error(*scaled_labels(0))
    error, std, _, _ = scaled_labels(1)
    assert np.mean(np.abs(error) <= bar.predict(std)) == pytest.approx(0.9, abs=0.02)
    assert np.mean(np.abs(2 * error) <= bar.predict(std)) < 0.75, "planted: errors of twice the size"
    assert bar.n_blocks == 300 and bar.n_groups == 2 and bar.conservative_factor >= bar.factor
    # the factor is what makes the raw std honest: it scales inversely with it
    doubled = fit_scaled_error(*scaled_labels(0, true_ratio=2.0))
    assert doubled.factor == pytest.approx(2 * bar.factor, rel=1e-12)
    assert ScaledError.from_dict(bar.to_dict() | {"leave_one_group_out": {}}) == bar


def test_scaled_leave_one_group_out_uses_the_other_groups_only():
    error, std, groups, blocks = scaled_labels(0)
    error = np.where(groups == "b", 3 * error, error)
    report = scaled_leave_one_group_out(error, std, groups, blocks)
    assert report["b"]["coverage"] < 0.6 < 0.97 < report["a"]["coverage"]
    again = scaled_leave_one_group_out(np.where(groups == "b", 2 * error, error), std, groups, blocks)
    assert again["b"]["width"] == report["b"]["width"] and again["a"]["width"] > report["a"]["width"]
    few = blocks < 12
    assert scaled_leave_one_group_out(*(column[few] for column in (error, std, groups, blocks)))["a"]["coverage"] is None


def test_scaled_labels_that_cannot_be_calibrated_are_refused():
    error, std, groups, blocks = scaled_labels(0, n=8)
    with pytest.raises(UqError, match=r"8 frames or labels are too few for level 0\.9"):
        fit_scaled_error(error, std, groups, blocks)
    with pytest.raises(UqError, match="stds above 0"):
        fit_scaled_error(error, 0 * std, groups, blocks)
    for broken in ({"factor": 1.0}, {"factor": 2.0, "conservative_factor": 1.0}, {"factor": "1", "conservative_factor": 1.0}):
        with pytest.raises(UqError, match="ScaledError"):
            ScaledError.from_dict({"level": 0.9, "n_groups": 1, "n_blocks": 9} | broken)


def test_elements_in_few_frames_get_no_factor():
    scores, elements = np.arange(1.0, 61.0), np.repeat(["Si", "O"], [20, 40])
    factors = element_factors(scores, elements, np.arange(60), min_blocks=30)
    assert factors == {"O": conformal_quantile(scores[20:], 0.9)}


# ---- a few frames of a new system -------------------------------------------------------------------------


def test_ten_frames_of_a_worse_system_restore_its_coverage():
    rng = np.random.default_rng(0)
    scores, blocks = np.abs(rng.standard_normal(600)), np.repeat(np.arange(100), 6)
    found = few_frames_of_a_group((scores[:360], blocks[:360]), (3 * scores[360:], blocks[360:]), 0.9)
    assert found["n_frames"] == 40
    assert found["others"] < 0.45 < found["added"] < 0.6 < 0.87 < found["alone"]
    same = few_frames_of_a_group((scores[:360], blocks[:360]), (scores[360:], blocks[360:]), 0.9)
    assert same["others"] == pytest.approx(0.9, abs=0.04) and same["added"] == pytest.approx(0.9, abs=0.04)
    assert few_frames_of_a_group((scores[:48], blocks[:48]), (scores[360:], blocks[360:]), 0.9)["others"] is None
    assert few_frames_of_a_group((scores, blocks), (scores[:84], blocks[:84]), 0.9) is None
