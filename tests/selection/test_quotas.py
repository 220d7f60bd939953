# SPDX-License-Identifier: GPL-2.0-or-later
"""No more frames of an element or a group than were asked for."""

from __future__ import annotations

import warnings

import pytest


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
