# SPDX-License-Identifier: GPL-2.0-or-later
"""Which frames may be chosen: windows of grades, quotas of elements and groups, fewer than were asked for, what is refused."""

from __future__ import annotations

import warnings

import ase.io
import numpy as np
import pytest
from lammps_cases import crystal

from lmp_uq.errors import UqError
from lmp_uq.frames.frame import content_hash
from lmp_uq.frames.streaming import stream_frames
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.selection import pool as pool_module

COUNT = 5


def keys(selection) -> list[int]:
    return [content_hash(atoms) for atoms in selection.frames]


def test_largest_grades_in_a_window(model, pool):
    grades = np.array([grade.max() for grade in model.predict(pool, progress=False).grade])
    low, high = np.sort(grades)[[4, 13]]
    found = model.select(pool, COUNT, by="grade", min_grade=float(low) - 1e-9, max_grade=float(high) + 1e-9, progress=False)
    inside = [k for k in np.argsort(-grades) if low <= grades[k] <= high]
    assert keys(found) == [content_hash(pool[k]) for k in inside[:COUNT]]
    assert found.found["n_outside"] == 8
    np.testing.assert_allclose([one["grade"] for one in found.found["chosen"]], grades[inside[:COUNT]])


def test_windows_of_one_side(model, pool):
    grades = np.array([grade.max() for grade in model.predict(pool, progress=False).grade])
    middle = float(np.sort(grades)[9])
    for options, inside in (({"max_grade": middle}, grades <= middle), ({"min_grade": middle}, grades >= middle)):
        found = model.select(pool, int(inside.sum()), progress=False, **options)
        assert set(keys(found)) == {content_hash(pool[k]) for k in np.flatnonzero(inside)} and found.found["n_outside"] == (~inside).sum()


@pytest.mark.parametrize("by", ["logdet", "farthest", "grade", "random"])
def test_quotas_hold(model, pool, by):
    found = model.select(pool, 6, by=by, quota={"Si": 3}, group_quota={"hot": 2, "cold": 1}, progress=False)
    groups = [one["group"] for one in found.found["chosen"]]
    elements = [one["element"] for one in found.found["chosen"]]
    assert len(found) == 6 and groups.count("hot") <= 2 and groups.count("cold") <= 1 and elements.count("Si") <= 3


@pytest.mark.parametrize("by", ["logdet", "farthest", "grade", "random"])
def test_quotas_of_elements_bind(model, pool, by):
    """Without one all five would count for some element more often; with it no more than it says, and the rest for others."""
    free = [one["element"] for one in model.select(pool, 5, by=by, progress=False).found["chosen"]]
    often = max(set(free), key=free.count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one frame alone may count for the other element
        bound = [one["element"] for one in model.select(pool, 5, by=by, quota={often: 2}, progress=False).found["chosen"]]
    assert free.count(often) > 2 == bound.count(often) and bound[:2] == free[:2]


@pytest.mark.parametrize("by", ["farthest", "random"])
def test_frames_count_for_their_commonest_element(model, by):
    """Quotas may name an element that is the commonest of no frame."""
    frames = [crystal(rattle=0.2, seed=950 + k) for k in range(3)]
    for atoms in frames:
        atoms.symbols = ["Si"] * 3 + ["O"] * 5
    found = model.select(frames, 3, by=by, quota={"Si": 0}, progress=False)
    assert [one["element"] for one in found.found["chosen"]] == ["O"] * 3
    with pytest.warns(UserWarning, match="0 of 3 frames: the quotas of O are full"):
        assert not model.select(frames, 3, by=by, quota={"O": 0}, progress=False).frames


def test_descriptors_in_memory_are_no_more_than_is_said(source, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(pool_module, "BATCH_ATOMS", 20)
    monkeypatch.setattr(pool_module, "MEMORY", 5000)  # bytes
    made = pool_module.Pool(stream_frames(pool), source.backbone, tmp_path, source.identity, Ranks())
    sizes = [made.descriptors(k)[0].nbytes for k in range(len(made))]
    assert sum(sizes) > 5000 and sum(batch.nbytes for batch, _ in made._kept.values()) <= max(5000, max(sizes))


def test_groups_by_another_key(model, pool):
    named = [atoms.copy() for atoms in pool]
    for k, atoms in enumerate(named):
        atoms.info["kind"] = f"kind {k % 2}"
    found = model.select(named, 6, group_key="kind", group_quota={"kind 0": 1}, progress=False)
    assert [one["group"] for one in found.found["chosen"]].count("kind 0") == 1
    assert {one["group"] for one in found.found["chosen"]} == {"kind 0", "kind 1"}


def test_quotas_that_leave_too_few_are_said(model, pool):
    with pytest.warns(UserWarning, match="3 of 9 frames: the quotas of cold, hot, warm are full"):
        found = model.select(pool, 9, group_quota={"cold": 1, "hot": 1, "warm": 1}, progress=False)
    assert len(found) == 3 and found.found["next_gain"] is None


REFUSED = {
    "count of nothing": ({"count": 0}, "count=0; accepted: a whole number of 1 or more"),
    "count that is no number": ({"count": 2.5}, r"count=2\.5; accepted: a whole number"),
    "count above the pool": ({"count": 19}, r"count=19: of 18 frames 18 can be chosen"),
    "a way that there is not": ({"by": "best"}, "by='best'; accepted: logdet, farthest, grade, random"),
    "an option that there is not": ({"quotas": {}}, "there is no option 'quotas'; accepted: count, by"),
    "quota of another element": ({"quota": {"W": 2}}, "quota W: there is no such element in the pool; accepted: O, Si"),
    "quota of another group": ({"group_quota": {"ice": 2}}, "group_quota ice: there is no such group in the pool; accepted: cold, hot"),
    "negative quota": ({"quota": {"Si": -1}}, "quota Si=-1; accepted: a whole number of 0 or more"),
    "window upside down": ({"min_grade": 2.0, "max_grade": 1.0}, "min_grade=2.0, max_grade=1.0; accepted: the first below the second"),
    "window of nothing": ({"min_grade": float("nan")}, "min_grade=nan, max_grade=inf; accepted: the first below the second"),
    "window that none is in": ({"min_grade": 1e6}, "of 18 frames 0 can be chosen .* 18 outside the window"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused(model, pool, what):
    options, reason = REFUSED[what]
    with pytest.raises(UqError, match=reason):
        model.select(pool, **{"count": 2, "progress": False} | options)


def test_fewer_frames_where_that_will_do(model, models, pool):
    found = model.select(pool[:3], 5, up_to=True, progress=False)
    assert len(found) == 3 and found.found["next_gain"] is None and found.found["count"] == 5
    assert len(model.select(pool, 2, up_to=True, progress=False)) == 2
    trained = ase.io.read(models.full.parent / "train.xyz", ":3")
    for by in ("logdet", "farthest", "grade", "random"):
        nothing = model.select(trained, 2, by=by, up_to=True, quota={"Si": 1}, progress=False)
        assert len(nothing) == 0 and nothing.n_worth == 0 and nothing.found["n_labelled"] == 3
