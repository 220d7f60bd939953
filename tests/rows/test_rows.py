# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows are derivatives of the summed descriptors; everything is checked against finite differences and against itself."""

from __future__ import annotations

import numpy as np
import pytest
from backbone_checks import make_frame, shared_backbone

from lmp_uq.frames.frame import Frame
from lmp_uq.quantities import QUANTITIES
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import VOIGT, RowOptions

ENERGY, FORCE, VIRIAL = (quantity.row for quantity in QUANTITIES)

STEP = 1e-4


@pytest.fixture(scope="module")
def backbone():
    return shared_backbone("density")


def labelled(kind, seed, key=1, shift=0.0):
    """A frame whose labels are far from the model, so that targets are not zero by accident."""
    atoms = make_frame(kind, ("O", "Si"), seed)
    rng = np.random.default_rng(seed)
    stress = rng.normal(size=(3, 3)) if kind != "cluster" else None
    return Frame(
        atoms,
        energy=1.5 + shift,
        forces=rng.normal(size=(len(atoms), 3)),
        stress=None if stress is None else (stress + stress.T) / 2,
        group=kind,
        source=f"{kind}[{seed}]",
        key=key,
    )


def phi(backbone, atoms):
    """Sum of the descriptors of a frame."""
    frame = Frame(atoms, np.nan, None, None, "g", "s[0]", 0)
    return predict(backbone, [frame], RowOptions(kinds=())).descriptors[0].sum(axis=0)


def central(function, step=STEP):
    return (function(step) - function(-step)) / (2 * step)


def force_rows_by_differences(backbone, atoms, components):
    def moved(flat, h):
        copy = atoms.copy()
        copy.positions[divmod(flat, 3)] += h
        return phi(backbone, copy)

    return np.array([-central(lambda h, c=c: moved(c, h)) for c in components])


@pytest.mark.parametrize("kind", ["triclinic", "small", "cluster"])
def test_force_rows_are_minus_the_derivative_of_phi(backbone, kind):
    frame = labelled(kind, 3)
    rows = predict(backbone, [frame], RowOptions(n_force_rows=5)).rows
    mine = rows.select(rows.kinds == FORCE)
    wanted = force_rows_by_differences(backbone, frame.atoms, mine.components)
    features = mine.features[:, :-1]
    assert np.abs(features - wanted).max() < 1e-6 * np.abs(wanted).max()
    assert np.all(mine.features[:, -1] == 0.0), "a constant per atom exerts no force"
    for planted in (-features, 2 * features):
        assert np.abs(planted - wanted).max() > 1e-2 * np.abs(wanted).max()


def test_virial_rows_are_minus_the_strain_derivative_of_phi(backbone):
    frame = labelled("triclinic", 4)
    rows = predict(backbone, [frame], RowOptions(kinds=("stress",))).rows
    assert rows.kinds.tolist() == [VIRIAL] * 6 and rows.components.tolist() == list(range(6))
    for row, (a, b) in zip(rows.features[:, :-1], VOIGT, strict=True):

        def strained(h, a=a, b=b):
            strain = np.eye(3)
            strain[a, b] += h / 2
            strain[b, a] += h / 2
            copy = frame.atoms.copy()
            copy.set_cell(copy.cell.array @ strain, scale_atoms=True)
            return phi(backbone, copy)

        wanted = -central(strained) / len(frame.atoms)
        assert np.abs(row - wanted).max() < 1e-6 * np.abs(wanted).max()


def test_targets_are_label_minus_model(backbone):
    frame = labelled("triclinic", 5)
    out = predict(backbone, [frame], RowOptions(n_force_rows=None))
    rows, n = out.rows, len(frame.atoms)
    assert rows.targets[rows.kinds == ENERGY] == pytest.approx((frame.energy - out.energies[0]) / n)
    assert np.allclose(rows.targets[rows.kinds == FORCE], (frame.forces - out.forces[0]).ravel())
    virial = -(frame.stress - out.stresses[0]) * frame.atoms.cell.volume / n
    assert np.allclose(rows.targets[rows.kinds == VIRIAL], [virial[a, b] for a, b in VOIGT])
    energy_row = rows.features[rows.kinds == ENERGY][0]
    assert np.allclose(energy_row[:-1], out.descriptors[0].mean(axis=0)) and energy_row[-1] == 1.0


def test_labels_made_by_a_corrector_are_fitted_exactly(backbone):
    """If the error of the model is Theta.Phi, then x.Theta = y in every row: energies, forces and virials agree in sign and unit."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=backbone.n_features + 1)
    frame = labelled("triclinic", 6)
    plain = predict(backbone, [frame], RowOptions(n_force_rows=None))
    n = len(frame.atoms)
    frame.energy = plain.energies[0] + theta[:-1] @ phi(backbone, frame.atoms) + n * theta[-1]
    frame.forces = plain.forces[0] + (
        force_rows_by_differences(backbone, frame.atoms, range(3 * n)) @ theta[:-1]
    ).reshape(n, 3)
    rows = predict(backbone, [frame], RowOptions(kinds=("energy", "forces"), n_force_rows=None)).rows
    assert np.abs(rows.features @ theta - rows.targets).max() < 1e-5 * np.abs(rows.targets).max()


def test_batches_do_not_matter(backbone):
    frames = [labelled("triclinic", 7, key=1), labelled("small", 8, key=2), labelled("cluster", 9, key=3)]
    together = predict(backbone, frames, RowOptions(n_force_rows=4))
    alone = [predict(backbone, [f], RowOptions(n_force_rows=4, batch_atoms=1)) for f in frames]
    for name in ("features", "targets", "kinds", "components", "base"):
        joined = np.concatenate([getattr(a.rows, name) for a in alone])
        assert np.allclose(getattr(together.rows, name), joined, atol=1e-11), name
    reversed_order = predict(backbone, frames[::-1], RowOptions(n_force_rows=4)).rows
    first = together.rows.select(together.rows.frames == 0).components
    assert np.array_equal(first, reversed_order.select(reversed_order.frames == 2).components)


def test_pulls_and_pushes_make_the_same_rows(backbone):
    """More components than twice the features are made by pulls (one feature at a time), fewer by pushes."""
    frames = [labelled("triclinic", s, key=s) for s in (10, 11)]
    big = Frame(frames[0].atoms * (2, 1, 1), 0.0, np.zeros((2 * len(frames[0].atoms), 3)), None, "g", "s[0]", 5)
    pulled = predict(backbone, [big, *frames], RowOptions(kinds=("forces",), n_force_rows=None)).rows
    assert 3 * len(big.atoms) > 2 * backbone.n_features
    pushed = predict(backbone, frames, RowOptions(kinds=("forces",), n_force_rows=None)).rows
    assert np.allclose(pulled.features[-len(pushed) :], pushed.features, atol=1e-11)


def test_inverse_probability_weights_and_equal_groups(backbone):
    rows = predict(backbone, [labelled("triclinic", 12), labelled("small", 13)], RowOptions(n_force_rows=6)).rows
    n_atoms = 7
    assert np.allclose(rows.base[(rows.kinds == FORCE) & (rows.frames == 0)], 3 * n_atoms / 6)
    weights = rows.weights()
    assert weights.sum() == pytest.approx(len(rows))
    assert np.allclose([weights[rows.kinds == k].sum() for k in (ENERGY, FORCE, VIRIAL)], len(rows) / 3)


def test_frames_without_labels_make_no_rows(backbone):
    bare = Frame(make_frame("triclinic", ("O", "Si"), 1), np.nan, None, None, "g", "s[0]", 0)
    out = predict(backbone, [bare, labelled("cluster", 2)], RowOptions())
    assert not np.any(out.rows.frames == 0)
    assert not np.any(out.rows.kinds == VIRIAL), "a cluster has no stress"
