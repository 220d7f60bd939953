# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrong labels are found where the model is right, and named with all that it takes to look at them."""

from __future__ import annotations

from dataclasses import replace

import ase
import ase.io
import numpy as np
import pytest

import lmp_uq
from lmp_uq.frames.frame import Frame
from lmp_uq.metrics.bars import auroc
from lmp_uq.report.fit import describe_fit
from lmp_uq.report.html import html_page
from lmp_uq.report.markdown import markdown
from lmp_uq.report.rows import suspicious_lines
from lmp_uq.report.text import WIDTH
from lmp_uq.validation.suspicious import AtomErrors, frame_scores, suspicious_frames

N_FRAMES, N_ATOMS = 200, 16


def known_ground(seed=0):
    """Vectors of predictions and labels whose errors the bars know: (predicted, label, bar, frame of each atom)."""
    rng = np.random.default_rng(seed)
    n = N_FRAMES * N_ATOMS
    predicted = rng.normal(size=(n, 3))
    bar = 10.0 ** rng.uniform(-2.0, -1.0, n)
    label = predicted + (bar / 2.5)[:, None] * rng.normal(size=(n, 3))
    return predicted, label, bar, np.repeat(np.arange(N_FRAMES), N_ATOMS)


def spoil(label, frames, kind, seed=1):
    """A tenth of the frames gets wrong labels: which they are."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(N_FRAMES, N_FRAMES // 10, replace=False)
    if kind == "noise":
        mine = np.isin(frames, wrong)
        label[mine] += 0.5 * rng.normal(size=(mine.sum(), 3))
    else:
        label[wrong * N_ATOMS + 3, 1] += 1.0
    return np.isin(np.arange(N_FRAMES), wrong)


@pytest.mark.parametrize("kind", ["noise", "one atom"])
def test_planted_noise_is_found(kind):
    predicted, label, bar, frames = known_ground()
    wrong = spoil(label, frames, kind)
    scores = frame_scores(np.linalg.norm(label - predicted, axis=1), bar, frames, N_FRAMES)
    assert auroc(scores, wrong) > 0.99
    # the frames that were not touched score alike: shuffled, the mark of the wrong ones tells nothing
    shuffled = np.random.default_rng(2).permutation(wrong)
    assert abs(auroc(scores, shuffled) - 0.5) < 0.2
    without = frame_scores(np.linalg.norm(known_ground()[1] - predicted, axis=1), bar, frames, N_FRAMES)
    assert abs(auroc(without, wrong) - 0.5) < 0.15


def test_a_bar_tells_a_wrong_label_from_a_new_structure():
    predicted, label, bar, frames = known_ground()
    new = np.arange(N_FRAMES) % 2 == 1
    label[new[frames]] = predicted[new[frames]] + 40.0 * (label - predicted)[new[frames]]
    bar[new[frames]] *= 40.0
    wrong = np.zeros(N_FRAMES, bool)
    wrong[:20:2] = True
    label[wrong[frames]] += 0.5
    error = np.linalg.norm(label - predicted, axis=1)
    largest = np.zeros(N_FRAMES)
    np.maximum.at(largest, frames, error)
    assert auroc(frame_scores(error, bar, frames, N_FRAMES), wrong) > 0.99 > auroc(largest, wrong) + 0.2


def frames_of(n, symbols="WTa"):
    return [Frame(ase.Atoms(symbols, np.zeros((2, 3))), 0.0, None, None, f"g{k}", f"file.xyz[{k}]", k) for k in range(n)]


def test_the_worst_five_are_named_once_each_the_worst_first():
    frames = np.repeat(np.arange(8), 2)
    error = np.r_[0.1, 0.0, np.repeat([3.0, 2.0, 9.0, 5.0, 4.0, 6.0, 7.0], 2)]
    vectors = np.arange(48.0).reshape(16, 3)
    found = AtomErrors(error, np.full(16, 0.05), frames, np.tile([0, 1], 8), vectors, vectors + 1.0)
    named = suspicious_frames(found, "force_error", frames_of(8))
    assert [one["frame"] for one in named] == [3, 7, 6, 4, 5]
    assert named[0] == {
        "score": pytest.approx(90.0), "bar": "force_error", "source": "file.xyz[3]", "frame": 3, "group": "g3", "atom": 0,
        "element": "W", "error": 9.0, "width": 0.05, "reference": [18.0, 19.0, 20.0], "predicted": [19.0, 20.0, 21.0],
    }  # fmt: skip
    # a score of 5 needs no look; an infinite bar excuses all
    assert suspicious_frames(replace(found, error=np.full(16, 0.5)), "force_error", frames_of(8)) == []
    assert suspicious_frames(replace(found, bar=np.full(16, np.inf)), "force_error", frames_of(8)) == []


def test_the_lines_say_where_and_what():
    entry = {
        "score": 12.3, "bar": "force_std", "source": "a\x1b[31m.xyz[4]", "frame": 4, "group": "bulk", "atom": 7, "element": "W",
        "error": 2.0, "width": 0.1, "reference": [2.5, 0.0, 0.0], "predicted": [0.5, 0.0, 0.0],
    }  # fmt: skip
    text = "\n".join(suspicious_lines([entry]))
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= WIDTH and suspicious_lines([]) == []
    said = "12.3 by force_std: a?[31m.xyz[4] (bulk), atom 7 (W): error 2.00, bar 0.100, label (2.500, 0.000, 0.000), model (0.500, 0.000, "
    assert said in " ".join(text.split())


# --- end to end -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoilt(models, tmp_path_factory):
    """Frames of the calibration of a tiny model; one label of one frame is off by 60 eV/Angstrom, and where it is."""
    folder = tmp_path_factory.mktemp("spoilt")
    frames = [atoms for name in ("cold", "hot") for atoms in ase.io.read(models.full.parent / f"{name}.xyz", ":")]
    frames[5].arrays["REF_forces"][2, 1] += 60.0
    ase.io.write(folder / "spoilt.xyz", frames)
    return folder / "spoilt.xyz", f"{folder / 'spoilt.xyz'}[5]"


def test_validate_names_a_wrong_label(models, spoilt):
    path, _ = spoilt
    report = lmp_uq.validate(models.full, path, in_sample=True, progress=False)
    for bar in ("force_error", "force_std"):
        worst = next(one for one in report.suspicious if one["bar"] == bar)
        assert (worst["frame"], worst["atom"]) == (5, 2) and worst["source"].endswith("[5]") and worst["score"] > 5.0
        assert worst["reference"][1] - worst["predicted"][1] == pytest.approx(60.0, abs=5.0)
    page = html_page(report.to_dict(), {})
    for text in (str(report), markdown(report.to_dict()).replace("\\", ""), page):
        assert "Labels that may be wrong" in text and "atom 2" in text and "spoilt.xyz[5]" in text
    assert report.to_dict()["suspicious"] == report.suspicious
    good = lmp_uq.validate(models.full, models.full.parent / "hot.xyz", in_sample=True, progress=False)
    assert not [one for one in good.suspicious if one["bar"] == "force_error"] and "may be wrong" not in str(good).partition("force_std")[0]


def test_fit_names_wrong_labels_of_its_own_frames(models, spoilt, tmp_path):
    train = ase.io.read(models.full.parent / "train.xyz", ":")
    train[7].arrays["REF_forces"][0] += 60.0
    result = lmp_uq.fit(
        models.bare, train, tmp_path / "x.uq", calibration=spoilt[0], n_members=8, leverage_floor=1e-3, progress=False, n_force_rows=None
    )
    found = result.to_dict()["suspicious"]
    assert found["calibration"][0]["frame"] == 5 and found["calibration"][0]["bar"] == "force_error"
    worst = found["posterior"][0]
    assert (worst["frame"], worst["atom"], worst["bar"]) == (7, 0, "force_error")
    np.testing.assert_allclose(np.subtract(worst["reference"], worst["predicted"]), 60.0, atol=5.0)
    assert "data[7]" in describe_fit(result.found) and "Labels that may be wrong" in str(result)
