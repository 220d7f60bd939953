# SPDX-License-Identifier: GPL-2.0-or-later
"""force_std of labelled atoms: of members, and in closed form, from one and the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from linear_example import TWO, backbone_of, crystal, parameter_file

from lmp_uq import modelfile
from lmp_uq.backbone.linear.snap_settings import read_settings
from lmp_uq.backbone.load import load_backbone
from lmp_uq.frames.frame import Frame
from lmp_uq.frames.reading import read_frames
from lmp_uq.posterior.box import Box
from lmp_uq.rows.predict import correction_forces, predict
from lmp_uq.rows.rows import RowOptions
from lmp_uq.validation.force_std import MEMBERS, force_std


@pytest.fixture(scope="module")
def known(models):
    file = modelfile.read(models.full)
    backbone = load_backbone(file.header.backbone.to_dict(), file.section("backbone"), "float64", "cpu", engine="torch")
    return file, backbone, read_frames([models.full.parent / "hot.xyz"])[:3]


def test_members_and_closed_form_are_those_of_the_rows(known):
    file, backbone, frames = known
    box = Box.from_tensors(file.section("posterior"))
    every, some = (predict(backbone, frames, RowOptions(n_force_rows=n)) for n in (None, 3))
    features = every.rows.features[every.rows.kinds == 1].reshape(sum(len(f.atoms) for f in frames), 3, -1)

    def spread(members):
        return np.sqrt(np.mean(np.sum((features @ members.T) ** 2, axis=1), axis=-1))

    by_members = force_std(file, some, backbone, box)
    np.testing.assert_allclose(by_members, spread(file.tensors["posterior/force_members"][:MEMBERS]), rtol=1e-8)
    exact = force_std(file, every, backbone, box)
    np.testing.assert_allclose(exact, spread(box.sample(20000, 0)), rtol=0.03)
    without = modelfile.ModelFile(file.header, {n: t for n, t in file.tensors.items() if n != "posterior/force_members"})
    assert force_std(without, some, backbone, box) is None and len(by_members) == len(exact)


def test_corrections_of_several_members_are_those_of_each(known, tmp_path):
    _, backbone, frames = known
    linear = backbone_of(read_settings(parameter_file(tmp_path), TWO, (), ()))
    alloys = [Frame(crystal(k, elements=("W", "Be")), 0.0, None, None, "a", "a", k) for k in range(2)]
    for one, mine in ((backbone, frames), (linear, alloys)):
        theta = np.random.default_rng(0).normal(size=(3, one.n_features))
        together = correction_forces(one, mine, theta)
        assert [forces.shape for forces in together] == [(3, len(frame.atoms), 3) for frame in mine]
        for k in range(3):
            for all_of_them, alone in zip(together, correction_forces(one, mine, theta[k]), strict=True):
                np.testing.assert_allclose(all_of_them[k], alone, rtol=1e-9, atol=1e-12)
