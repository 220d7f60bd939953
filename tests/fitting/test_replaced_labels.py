# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels that lmp-uq ensemble took from a model count less in a fit, by their U; others count as they did."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from linear_example import labelled, parameter_file

from lmp_uq import fit, modelfile
from lmp_uq.errors import UqError
from lmp_uq.fitting.weighting import weighting
from lmp_uq.frames.reading import read_frames
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.weights import replaced_weights
from lmp_uq.quantities import ENERGY, FORCES
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.rows import RowOptions
from lmp_uq.rows.stream import Stream

pytestmark = pytest.mark.filterwarnings("ignore:.*those of a model")


def frames(marks=()):
    """Four frames of two or four atoms; marks: {frame: U}."""
    out = labelled("bulk", 4, 1, size=(1, 1, 1)) + labelled("hot", 2, 2)
    for k, u in dict(marks).items():
        out[k].info |= {"ensemble_labels_of": "other", "ensemble_U": u}
    return out


def rows_and_weights(folder, made, **scales):
    """Kinds, frames and weights of all rows."""
    from lmp_uq.backbone.linear.snap import SnapBackbone
    from lmp_uq.backbone.linear.snap_settings import read_settings

    settings = read_settings(str(parameter_file(folder)), ["W"], ["zbl 2.0 2.4"])
    backbone = SnapBackbone(settings.header(), {"coefficients": np.zeros(settings.n_per_element + 1)}, settings.elements)
    stream = Stream(backbone, read_frames(made), RowOptions(n_force_rows=None), Cache(folder / "cache", "x"), Ranks())
    weights = weighting(stream, **scales)
    return stream.collect(lambda part, first: (part.rows.kinds, part.rows.frames + first, weights.of(part, first)))


def test_the_formula():
    np.testing.assert_array_equal(replaced_weights([0.0, 0.5, 2.0], 0.5), [1.0, 0.5, 1.0 / 17.0])
    assert np.all(np.diff(replaced_weights(np.linspace(0.0, 5.0, 50))) < 0.0)


def test_weights_inside_a_kind_go_as_the_formula(tmp_path):
    """For energies and for forces; each kind keeps the sum that it has."""
    u = np.array([0.0, 0.3, 0.0, 2.0, 0.0, 0.0])
    plain = rows_and_weights(tmp_path, frames(), replaced_scale=0.4)
    marked = rows_and_weights(tmp_path, frames({1: 0.3, 3: 2.0}), replaced_scale=0.4)
    for kind in (ENERGY.row, FORCES.row):
        mine = plain[0] == kind
        ratio = marked[2][mine] / plain[2][mine]
        expected = 1.0 / (1.0 + (u[plain[1][mine]] / 0.4) ** 2)
        np.testing.assert_allclose(ratio / ratio[0], expected / expected[0], rtol=1e-13)
        assert marked[2][mine].sum() == pytest.approx(plain[2][mine].sum(), rel=1e-13)


def test_zero_is_as_no_mark_and_labels_of_a_reference_have_none(tmp_path):
    """U alone stands in frames that go to DFT, and in those that keep their labels."""
    judged = frames()
    for atoms in judged:
        atoms.info["ensemble_U"] = 3.0
    for one, other in zip(rows_and_weights(tmp_path, frames()), rows_and_weights(tmp_path, judged), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(rows_and_weights(tmp_path, frames()), rows_and_weights(tmp_path, frames({0: 0.0, 2: 0})), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mark", ["missing", None, "wide", -0.1, float("nan"), True])
def test_a_mark_without_its_error(tmp_path, mark):
    made = frames({2: mark})
    if mark == "missing":
        del made[2].info["ensemble_U"]
    with pytest.raises(UqError, match=r"memory\[2\]: ensemble_labels_of=other with ensemble_U=.*; accepted: a number of 0 or more"):
        rows_and_weights(tmp_path, made)


def test_a_fit_follows_the_trusted_labels(tmp_path):
    """Wrong labels of a large U hardly move Theta*; frames without a mark give the same file to the bit, whatever the scale."""
    good = labelled("bulk", 30, 1)
    wrong = [one.copy() for one in labelled("hot", 10, 2)]
    for atoms in wrong:
        atoms.arrays["REF_forces"] = 1.5 * atoms.arrays["REF_forces"]
        atoms.info |= {"ensemble_labels_of": "other", "ensemble_U": 30.0}
    theta = {}
    for name, data, scale in (("good", good, 1.0), ("same", good, 0.1), ("trusted", good + wrong, 1e9), ("weighed", good + wrong, 0.1)):
        ase.io.write(tmp_path / f"{name}.xyz", data)
        out = tmp_path / f"{name}.uq"
        options = {"reference": ["zbl 2.0 2.4"], "rows": ["energy", "forces"], "replaced_scale": scale, "leverage_floor": 0.01}
        fit(f"snap:{parameter_file(tmp_path)}", str(tmp_path / f"{name}.xyz"), str(out), **options, n_members=8, progress=False)
        theta[name] = modelfile.read(out).tensors["backbone/coefficients"]
    np.testing.assert_array_equal(theta["good"], theta["same"])
    far, near = (np.linalg.norm(theta[name] - theta["good"]) for name in ("trusted", "weighed"))
    assert near < 0.05 * far


def test_whose_labels_they_are_is_said(tmp_path):
    ase.io.write(tmp_path / "a.xyz", frames({1: 0.3, 3: 2.0}))
    with pytest.warns(UserWarning, match=r"the labels of 2 of 6 frames are those of a model, not of a reference \(the first is frame 1\)"):
        read_frames(tmp_path / "a.xyz")
