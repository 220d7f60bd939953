# SPDX-License-Identifier: GPL-2.0-or-later
"""The classifier of atoms: probabilities that fall with the threshold, on errors of known distribution."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from lmp_uq.calibration.force_error import ForceError
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.calibration.ordinal_head import THRESHOLDS, OrdinalHead, calibrate_ordinal, tensor_shapes, train_ordinal_head
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError
from lmp_uq.metrics.bars import auroc

P = 4
CURVE = tuple(np.linspace(-2.0, 2.0, 101).tolist())
FALLBACK = ForceError(-1.0, 0.5, 0.5, 0.2, 0.4, CURVE, CURVE, (0.5, 0.9, 0.95))


def toy(n_frames, size, seed, groups=("a", "b")):
    """Atoms, descriptors and sigma: |Gaussian| errors whose sigma the descriptors and the force fix."""
    rng = np.random.default_rng(seed)
    n = n_frames * size
    descriptors, force = rng.normal(size=(n, P)), rng.lognormal(-0.5, 1.0, n)
    sigma = 0.3 * np.exp(1.2 * np.tanh(descriptors[:, 0])) * force**0.3
    blocks = np.repeat(np.arange(n_frames), size)
    variables = ForceVariables.of(force, rng.uniform(0.2, 0.9, n), rng.uniform(0.2, 0.9, n))
    return LabelledAtoms(sigma * np.abs(rng.standard_normal(n)), variables, np.resize(groups, n_frames)[blocks], blocks), descriptors, sigma


def random_head(seed=0):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape) for name, shape in tensor_shapes(P, (9, 5), 3).items()}
    arrays["input_scale"] = np.exp(arrays["input_scale"])
    return OrdinalHead(THRESHOLDS, arrays)


@pytest.fixture(scope="module")
def trained():
    atoms, descriptors, _ = toy(240, 30, 0)
    return train_ordinal_head(atoms, descriptors)


def test_known_probabilities_are_learned_and_fall_with_the_threshold(trained):
    atoms, descriptors, sigma = toy(100, 30, 1)
    found = trained.probabilities(descriptors, atoms.variables)
    assert np.all(np.diff(found, axis=1) <= 0) and trained.middle == 0.3
    for k, threshold in enumerate(THRESHOLDS):
        truth = 2.0 * norm.sf(threshold / sigma)
        assert np.mean(np.abs(found[:, k] - truth)) < 0.05
        above = atoms.error > threshold
        assert auroc(found[:, k], above) > auroc(truth, above) - 0.03
    # planted: of thresholds that were twice as high that is not so
    assert np.mean(np.abs(found[:, 1] - 2.0 * norm.sf(0.6 / sigma))) > 0.15


def test_beyond_grade_1_the_answer_is_that_of_error_above(trained):
    atoms, descriptors, _ = toy(10, 30, 2)
    grade = atoms.variables.grade.copy()
    neighbours = atoms.variables.neighbours.copy()
    grade[:20], grade[20:25], neighbours[25:30] = 1.3, np.inf, np.inf
    variables = ForceVariables(atoms.variables.force, grade, neighbours)
    for threshold in THRESHOLDS:
        found = trained.error_above(descriptors, variables, FALLBACK, threshold)
        np.testing.assert_array_equal(found[:30], FALLBACK.probability(variables, threshold)[:30])
        mine = trained.probabilities(descriptors[30:], variables.take(slice(30, None)))
        np.testing.assert_array_equal(found[30:], mine[:, THRESHOLDS.index(threshold)])
        assert np.all(found[20:30] == 1.0)
    found, middle = (trained.error_above(descriptors, variables, FALLBACK, t) for t in (None, 0.3))
    np.testing.assert_array_equal(found, middle)


def test_a_group_weighs_one_whatever_its_size():
    """Group b is a twentieth of the frames and has errors that a has not: both say half."""
    atoms, descriptors, _ = toy(210, 10, 3)
    groups = np.where(atoms.blocks < 200, "a", "b")
    atoms = replace(atoms, error=np.where(groups == "a", 0.01, 0.5), groups=groups)
    same = np.zeros_like(descriptors)
    variables = ForceVariables.of(np.ones(2100), np.full(2100, 0.5), np.full(2100, 0.5))
    head = train_ordinal_head(replace(atoms, variables=variables), same)
    assert head.probabilities(same[:1], variables.take(slice(0, 1)))[0, 1] == pytest.approx(0.5, abs=0.08)


def test_shuffled_labels_give_no_skill():
    atoms, descriptors, _ = toy(120, 30, 4)
    order = np.random.default_rng(0).permutation(len(atoms.error))
    head = train_ordinal_head(replace(atoms, error=atoms.error[order]), descriptors, epochs=6)
    new, descriptors, _ = toy(60, 30, 5)
    shuffled = new.error[np.random.default_rng(1).permutation(len(new.error))]
    assert abs(auroc(head.probabilities(descriptors, new.variables)[:, 1], shuffled > 0.3) - 0.5) < 0.05


def test_figures_beside_error_above():
    atoms, descriptors, _ = toy(200, 10, 6)
    head = calibrate_ordinal(atoms, descriptors, FALLBACK)
    figures = head.figures
    assert figures["n_frames"] == {"training": 167, "stopping": 33} and set(figures["groups_left_out"]) == {"a", "b"}
    for found in (figures["held_out"], *figures["groups_left_out"].values()):
        # only the descriptors tell what the force does not
        assert found["ordinal"] > found["error_above"] + 0.05 and 0.2 < found["above"] < 0.8
    assert figures["groups_left_out"]["a"]["n"] == 1000
    again = calibrate_ordinal(atoms, descriptors, FALLBACK)
    assert again.header() == head.header() and all(np.array_equal(a, again.arrays[name]) for name, a in head.arrays.items())


def test_storage_and_refusals():
    head = replace(random_head(), figures={"epochs": 3})
    again = OrdinalHead.from_tensors(head.header(), head.tensors())
    atoms, descriptors, _ = toy(2, 5, 7)
    np.testing.assert_array_equal(again.probabilities(descriptors, atoms.variables), head.probabilities(descriptors, atoms.variables))
    assert again.header() == head.header()
    arrays = head.tensors()
    few, its, _ = toy(79, 5, 8)
    bad = {
        "thresholds=.0.3, 0.1.; accepted: rising": lambda: OrdinalHead((0.3, 0.1), arrays),
        "arrays bias_1 are missing": lambda: OrdinalHead(THRESHOLDS, {k: v for k, v in arrays.items() if k != "bias_1"}),
        "weight_2 has shape .3, 5.; accepted: .2, 5., finite": lambda: OrdinalHead((0.1, 0.3), arrays),
        "needs input_scale > 0": lambda: OrdinalHead(THRESHOLDS, arrays | {"input_scale": np.zeros(P + 3)}),
        "threshold 0.2 was not trained; accepted: 0.1, 0.3, 1 eV": lambda: head.error_above(descriptors, atoms.variables, FALLBACK, 0.2),
        "descriptors have length 3, accepted: 4": lambda: head.probabilities(descriptors[:, :3], atoms.variables),
        "classifier ordinal: 79 frames hold atoms of grade <= 1": lambda: calibrate_ordinal(few, its, FALLBACK),
        "has no thresholds": lambda: OrdinalHead.from_tensors({}, arrays),
    }
    for message, make in bad.items():
        with pytest.raises(UqError, match=message):
            make()


def test_without_torch_it_answers_and_training_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    atoms, descriptors, _ = toy(90, 5, 9)
    assert np.isfinite(random_head().error_above(descriptors, atoms.variables, FALLBACK)).all()
    with pytest.raises(UqError, match="the training of a classifier needs torch and mace-torch, and torch is not installed; accepted:"):
        calibrate_ordinal(atoms, descriptors, FALLBACK)
