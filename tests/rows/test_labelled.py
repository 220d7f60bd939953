# SPDX-License-Identifier: GPL-2.0-or-later
"""Labelled predictions: the same from a stream as from memory, in the units of their quantity, and refused where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from backbone_checks import make_frame, shared_backbone

from lmp_uq.calibration.labels import calibrate_bars
from lmp_uq.errors import UqError
from lmp_uq.frames.frame import Frame
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import ENERGY, FORCES, QUANTITIES, SCALED, STRESS, by_key
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.labelled import features_of, force_norms, labels_of, predicted_values, row_species, rows_of, stress_factor
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import VOIGT, RowOptions
from lmp_uq.rows.stream import Stream

ELEMENTS = ("O", "Si")
OPTIONS = RowOptions(n_force_rows=5, batch_atoms=1)


def frame(k, kind, forces=True, key=None):
    atoms, rng = make_frame(kind, ELEMENTS, k), np.random.default_rng(k)
    stress = rng.normal(size=(3, 3))
    return Frame(
        atoms, 1.5 + k, rng.normal(size=(len(atoms), 3)) if forces else None, stress + stress.T if kind != "cluster" else None,
        group=kind, source=f"{kind}[{k}]", key=k if key is None else key,
    )  # fmt: skip


@pytest.fixture(scope="module")
def frames():
    return [frame(1, "small"), frame(2, "triclinic", forces=False), frame(3, "cluster"), frame(1, "small", key=1), frame(4, "small")]


@pytest.fixture(scope="module")
def predictions(frames):
    return predict(shared_backbone("density"), frames, OPTIONS)


@pytest.fixture(scope="module")
def box(predictions):
    n = predictions.rows.features.shape[1]
    return Box(np.zeros(n), np.random.default_rng(0).normal(size=(n, 3)), -np.ones(3), np.ones(3))


@pytest.fixture(scope="module")
def novelty():
    n = shared_backbone("density").n_features
    return Novelty(np.zeros((2, n)), np.stack([np.eye(n), 2.0 * np.eye(n)]), np.array([1.0, np.nan]))


def test_each_quantity_has_its_own_names_and_rows():
    assert [quantity.row for quantity in QUANTITIES] == [0, 1, 2]
    for name in ("label", "key", "title", "bar"):
        assert len({getattr(quantity, name) for quantity in QUANTITIES}) == 3
    assert by_key({"stress": 1, "energy_per_atom": 2, "force_error": 3}) == [ENERGY, STRESS]
    assert (FORCES.plotted_unit, STRESS.plotted_unit) == ("eV/Å", "eV/Å³")
    assert [quantity.bar_unit for quantity in QUANTITIES] == ["eV/atom", "eV/Angstrom", "virial, eV/atom"]
    assert VOIGT == ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)), "rows that are kept on disk have this order"


def test_labels_of_a_stream_are_those_of_predictions_in_memory(frames, predictions, box, novelty, tmp_path):
    stream = Stream(shared_backbone("density"), frames, OPTIONS, Cache(tmp_path, ""), Ranks())
    one, other = (labels_of(source, box, novelty, shared_backbone("density")) for source in (stream, predictions))
    pairs = [(one.kinds, other.kinds), *zip(one.rows.columns(), other.rows.columns(), strict=True)]
    pairs += [(getattr(one.forces, name), getattr(other.forces, name)) for name in ("frames", "elements")]
    pairs += [(getattr(one.forces.atoms, name), getattr(other.forces.atoms, name)) for name in ("error", "groups", "blocks")]
    variables = ("force", "grade", "neighbours", "correction")
    pairs += [(getattr(one.forces.atoms.variables, name), getattr(other.forces.atoms.variables, name)) for name in variables]
    pairs += [(one.rows.mean_grade, other.rows.mean_grade)]
    for mine, wanted in pairs:
        assert len(mine) and mine.dtype.kind == wanted.dtype.kind
        if mine.dtype.kind == "f":
            np.testing.assert_allclose(mine, wanted, rtol=1e-9)
        else:
            assert np.array_equal(mine, wanted)


def test_every_labelled_atom_has_its_error_grade_group_block_and_element(frames, predictions, box, novelty):
    labels = labels_of(predictions, box, novelty, shared_backbone("density"))
    forces, row = labels.forces, 0
    for k, one in enumerate(frames):
        for i in range(len(one.atoms) if one.forces is not None else 0):
            assert forces.frames[row] == k and forces.elements[row] == one.atoms[i].symbol and forces.atoms.groups[row] == one.group
            assert forces.atoms.error[row] == pytest.approx(np.linalg.norm(one.forces[i] - predictions.forces[k][i]))
            assert forces.atoms.variables.force[row] == pytest.approx(np.linalg.norm(predictions.forces[k][i]))
            distance = np.linalg.norm(predictions.descriptors[k][i])
            assert forces.atoms.variables.grade[row] == (pytest.approx(distance) if one.atoms[i].symbol == "O" else np.inf)
            row += 1
    assert row == len(forces.frames)
    assert set(forces.elements[np.isfinite(forces.atoms.variables.grade)]) == {"O"}
    blocks = {k: forces.atoms.blocks[forces.frames == k][0] for k in (0, 2, 3, 4)}
    assert blocks[0] == blocks[3] and len(set(blocks.values())) == 3, "equal frames are one block"


def test_rows_have_the_unit_of_their_quantity(frames, predictions):
    for quantity in QUANTITIES:
        rows = rows_of(predictions, quantity)
        factor = stress_factor(predictions, rows) if quantity is STRESS else np.ones(len(rows))
        label = predicted_values(predictions, rows, quantity) + rows.targets * factor
        for k, c, found, norm in zip(rows.frames, rows.components, label, force_norms(predictions, rows, quantity), strict=True):
            one, squares = frames[k], np.sum(predictions.forces[k] ** 2, axis=1)
            wanted = one.energy / len(one.atoms)
            if quantity is FORCES:
                wanted = one.forces.ravel()[c]
            elif quantity is STRESS:
                wanted = one.stress[tuple("xyz".index(axis) for axis in STRESS.components[c])]
            assert found == pytest.approx(wanted)
            assert norm == pytest.approx(np.sqrt(squares[c // 3] if quantity is FORCES else squares.mean()))
        assert np.allclose(features_of(predictions, rows, quantity), rows.features * factor[:, None])
    rows = rows_of(predictions, FORCES)
    symbols = [frames[k].atoms[int(c) // 3].symbol for k, c in zip(rows.frames, rows.components, strict=True)]
    assert [ELEMENTS[s] for s in row_species(predictions, rows)] == symbols


def test_what_cannot_be_calibrated_has_a_reason(predictions, box, novelty):
    found = calibrate_bars(labels_of(predictions, box, None, shared_backbone("density")))
    assert not found.bars and not found.reports and list(found.reasons) == ["force_error", "energy_error", "stress_error"]
    assert "has no grade" in str(found.reasons["force_error"]) and "too few" in str(found.reasons["energy_error"])
    labels = labels_of(predictions, box, novelty, shared_backbone("density"))
    for quantity in SCALED:
        assert labels.has(quantity)
        with pytest.raises(UqError, match="no frame has such labels"):
            replace(labels, kinds=np.full(len(labels.kinds), FORCES.row)).of(quantity)
        with pytest.raises(UqError, match="no label has a bar"):
            replace(labels, rows=replace(labels.rows, std=np.zeros(len(labels.kinds)))).of(quantity)
    with pytest.raises(UqError, match="no frame has force labels"):
        replace(labels, forces=labels.forces.take(np.zeros(len(labels.forces.frames), bool))).of(FORCES)
