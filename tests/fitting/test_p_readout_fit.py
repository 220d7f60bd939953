# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq fit --posterior p-readout``: what is written beside POPS, what is printed, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lammps_processes import execute
from linear_example import parameter_file

from lmp_uq import modelfile
from lmp_uq.errors import UqError
from lmp_uq.fitting import p_readout
from lmp_uq.frames.reading import read_frames
from lmp_uq.posterior import p_readout_training
from lmp_uq.recipes.calibrate import CalibrateOptions, calibrate
from lmp_uq.recipes.fit import FitOptions, fit
from lmp_uq.report.fit import describe_fit
from lmp_uq.report.model import describe_model


@pytest.fixture(scope="module")
def fitted(models, tmp_path_factory):
    """The file of `models`, fitted again with a P-readout of a short training, and the report."""
    out = tmp_path_factory.mktemp("readout") / "readout.uq"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(p_readout_training, "STEPS", 60)
        patch.setattr(p_readout, "SEEDS", 2)
        return out, fit(options(models, out), "made by the tests")


def options(models, out, **changes):
    folder = models.full.parent
    given = {"calibration": (str(folder / "cold.xyz"), str(folder / "hot.xyz")), "n_members": 64, "progress": False}
    given["posterior"] = "p-readout"
    return FitOptions(str(models.bare), (str(folder / "train.xyz"),), str(out), **given | changes)


def test_it_stands_beside_pops(models, fitted):
    plain, both = modelfile.read(models.full), modelfile.read(fitted[0])
    for name, array in plain.tensors.items():
        assert np.array_equal(array, both.tensors[name], equal_nan=array.dtype.kind == "f"), name
    entry = both.header.posterior.p_readout
    assert entry.n_members == 64 == len(both.tensors["posterior/p_readout/member_bias"]) and entry.hand_over == 1.0
    before, after = plain.header.to_dict(), both.header.to_dict()
    del after["posterior"]["p_readout"]
    assert after == before


def test_each_group_is_judged_beside_pops(fitted):
    report = fitted[1]["p_readout"]
    assert set(report["groups"]) == {"frames kept back", "cold", "hot"}
    assert [one["known"] for one in report["groups"].values()] == [True, False, False]
    best = min(report["trainings"], key=lambda one: one["loss"])
    assert [one["chosen"] for one in report["trainings"]] == [one is best for one in report["trainings"]] and len(report["trainings"]) == 2
    text = describe_fit(fitted[1])
    assert "hot, left out" in text and "P-readout" in text and "seed 1:" in text


def test_without_a_group_left_out_nothing_is_written(models, tmp_path):
    with pytest.raises(UqError, match=r"posterior='p-readout': calibration has no frames; accepted: .* that data does not hold"):
        fit(options(models, tmp_path / "no.uq", calibration=()))
    assert not list(tmp_path.glob("*.uq"))


def test_groups_that_data_holds_are_not_left_out(models):
    known = read_frames([str(models.full.parent / "train.xyz")])
    new = read_frames([str(models.full.parent / "hot.xyz")])
    with pytest.raises(UqError, match=r"has 40 frames, all of groups that data holds; accepted: .* of at least one group"):
        p_readout.require_left_out(known, known)
    p_readout.require_left_out(known, known + new)
    with pytest.raises(UqError, match="all of groups"):
        p_readout.require_left_out(known, [replace(frame, forces=None) for frame in new])
    with pytest.raises(UqError, match="data has no force labels; accepted: frames with forces"):
        p_readout.require_left_out([replace(frame, forces=None) for frame in known], new)


def test_frames_are_drawn_within_numbers_and_memory(models):
    frames = read_frames([str(models.full.parent / name) for name in ("train.xyz", "hot.xyz")])
    order = [frame.source for frame in frames]
    assert p_readout.chosen(frames, 1000, 0, np.inf) == frames
    some, others = ([frame.source for frame in p_readout.chosen(frames, 7, seed, np.inf)] for seed in (0, 1))
    assert len(some) == 7 and some == [one for one in order if one in some] != others
    few = p_readout.chosen(frames, 40, 0, 60)
    assert 44 < sum(len(frame.atoms) for frame in few) <= 60, "as many as there is room for; a frame has 8 or 16 atoms"
    assert len(p_readout.chosen(frames, 7, 0, 3)) == 1
    assert p_readout.chosen([replace(frame, forces=None) for frame in frames], 7, 0, np.inf) == []
    of_groups = p_readout.chosen_of_groups(frames, 0, 80)
    for group in ("train", "hot"):
        assert 24 < sum(len(frame.atoms) for frame in of_groups if frame.group == group) <= 40


def test_ranks_share_out_the_seeds(fitted, models, tmp_path):
    """Two ranks train what one trains, to the last bit."""
    script = tmp_path / "fit.py"
    given = {name: getattr(options(models, tmp_path / "two.uq"), name) for name in ("backbone", "data", "out", "calibration")}
    script.write_text(
        "from lmp_uq.fitting import p_readout\nfrom lmp_uq.posterior import p_readout_training\n"
        "from lmp_uq.recipes.fit import FitOptions, fit\n"
        "p_readout_training.STEPS, p_readout.SEEDS = 60, 2\n"
        f"fit(FitOptions(**{given!r}, n_members=64, progress=False, posterior='p-readout'))\n"
    )
    done = execute("python", script, ranks=2, folder=tmp_path)
    assert done.code == 0, done.text
    one, two = (modelfile.read(path).section("posterior/p_readout") for path in (fitted[0], tmp_path / "two.uq"))
    assert all(np.array_equal(array, two[name]) for name, array in one.items())


def test_other_words_and_linear_potentials_are_refused(models, tmp_path):
    with pytest.raises(UqError, match="posterior='blip': accepted: pops or p-readout"):
        fit(options(models, tmp_path / "no.uq", posterior="blip"))
    with pytest.raises(UqError, match="is a linear potential; accepted: MACE models, or posterior pops"):
        fit(replace(options(models, tmp_path / "no.uq"), backbone=f"snap:{parameter_file(tmp_path)}", elements=("Si:0.5:1.0", "O:0.5:0.9")))


def test_a_new_calibration_keeps_it_and_inspect_names_it(fitted, models, tmp_path):
    hot, out = str(models.full.parent / "hot.xyz"), str(tmp_path / "new.uq")
    made = CalibrateOptions(str(fitted[0]), (hot,), out, in_sample=True, progress=False)
    calibrate(made)
    before, after = modelfile.read(fitted[0]), modelfile.read(tmp_path / "new.uq")
    for name, array in before.section("posterior/p_readout").items():
        assert np.array_equal(array, after.tensors[f"posterior/p_readout/{name}"]), name
    assert after.header.posterior.p_readout == before.header.posterior.p_readout
    text = describe_model(after)
    assert "P-readout of 64 members, 64 hidden units" in " ".join(text.split())
