# SPDX-License-Identifier: GPL-2.0-or-later
"""What each atom has in a force row: its sum is the row, and it comes back from the disk as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmp_uq import modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.frames.reading import read_frames
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.quantities import FORCES
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.predict import predict
from lmp_uq.rows.rows import RowOptions
from lmp_uq.rows.stream import Stream

ROWS = RowOptions(("energy", "forces"), 5, of_atoms=True)


@pytest.fixture(scope="module")
def backbone(models):
    return backbone_of_file(modelfile.read(models.bare), "float64", "cpu", engine="native", threads=1)


@pytest.fixture(scope="module")
def frames(models):
    found = read_frames([str(models.full.parent / name) for name in ("cold.xyz", "hot.xyz")])[6:10]
    return [found[0], replace(found[1], forces=None), *found[2:]]


def test_rows_are_sums_over_the_atoms(backbone, frames):
    mine, pushed = (predict(backbone, frames, replace(ROWS, of_atoms=one)) for one in (True, False))
    assert pushed.of_atoms is None and [len(one) for one in mine.of_atoms] == [5, 0, 5, 5]
    for name in ("targets", "kinds", "frames", "components", "base"):
        assert np.array_equal(getattr(mine.rows, name), getattr(pushed.rows, name)), name
    scale = np.abs(pushed.rows.features).max()
    assert np.allclose(mine.rows.features, pushed.rows.features, atol=2e-3 * scale), "central differences"
    forces = mine.rows.select(mine.rows.kinds == FORCES.row)
    sums = np.concatenate([-one.sum(axis=1) for one in mine.of_atoms])
    assert np.allclose(forces.features[:, : backbone.n_features], sums, atol=1e-5 * scale)


def test_one_frame_is_what_it_is_among_others(backbone, frames):
    together, alone = predict(backbone, frames, ROWS), predict(backbone, frames[2:3], ROWS)
    assert np.allclose(together.of_atoms[2], alone.of_atoms[0], atol=1e-6)
    atom = alone.rows.components[alone.rows.kinds == FORCES.row][0] // 3
    largest = np.abs(alone.of_atoms[0][0]).max(axis=1)
    assert alone.of_atoms[0].shape == (5, len(frames[2].atoms), backbone.n_features) and largest[atom] > 0.0


def test_they_come_back_from_the_disk(backbone, frames, tmp_path):
    made = predict(backbone, frames, ROWS)
    for _ in range(2):  # written, then found
        stream = Stream(backbone, frames, replace(ROWS, batch_atoms=30), Cache(tmp_path, "test"), Ranks())
        found = [one for part in stream.whole() for one in part.of_atoms]
        assert len(found) == 4 and all(np.allclose(a, b, atol=1e-6) for a, b in zip(found, made.of_atoms, strict=True))
    assert len(list(tmp_path.glob("*.npz"))) > 1
    plain = Stream(backbone, frames, replace(ROWS, of_atoms=False), Cache(tmp_path, "test"), Ranks())
    assert all(part.of_atoms is None for part in plain), "another file"
