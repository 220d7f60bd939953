# SPDX-License-Identifier: GPL-2.0-or-later
"""Force bars of files before 0.2 go on as they were."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmp_uq.calibration import ForceVariables, force_error_of
from lmp_uq.calibration.force_error_1 import ForceError1
from lmp_uq.errors import UqError

VALUES = {
    "intercept": -1.5, "force_exponent": 0.4, "grade_exponent": 1.25, "n_groups": 2, "n_blocks": 20, "levels": [0.5, 0.9, 0.95],
    "factors": [0.6, 1.1, 1.4], "conservative_factors": [0.8, 1.75, 2.0], "floors": [0.01, 0.03, 0.05], "floor_exponent": 0.7,
    "least_bar": 0.015,
}  # fmt: skip
ONE_LEVEL = {
    "intercept": -1.5, "force_exponent": 0.4, "grade_exponent": 1.25, "factor": 1.1, "conservative_factor": 1.75, "n_groups": 2,
    "floor": 0.01, "level": 0.9,
}  # fmt: skip


def variables(force, grade):
    """The grade of the neighbours is no variable of these bars."""
    return ForceVariables.of(force, grade, np.full(len(force), np.nan))


def test_bar_is_the_formula_of_its_file():
    bar = force_error_of(VALUES)
    scale = np.exp(-1.5 + 0.4 * np.log(0.3 + 0.01) + 1.25 * np.log(0.7 + 0.05))
    assert bar.predict(variables([0.3], [0.7]))[0] == pytest.approx(1.1 * scale, rel=1e-14)
    assert bar.predict(variables([0.3], [0.7]), conservative=True, level=0.5)[0] == pytest.approx(0.8 * scale, rel=1e-14)
    assert bar.predict(variables([0.0], [2.0]))[0] >= 0.03 * 2.05**0.7 * (1 - 1e-14)
    assert bar.predict(variables([0.0], [0.0]))[0] == 0.015
    np.testing.assert_array_equal(np.isinf(bar.predict(variables([1.0, 1.0, 0.0], [np.inf, 0.3, np.inf]))), [True, False, True])
    assert np.isnan(bar.predict(variables([1.0], [np.nan]))[0])


def test_files_with_one_level_are_read():
    bar = force_error_of(ONE_LEVEL)
    assert isinstance(bar, ForceError1) and bar.levels == (0.9,) and bar.n_groups == 2 and force_error_of(bar.to_dict()) == bar
    expected = 1.1 * np.exp(-1.5 + 0.4 * np.log(0.3 + 0.01) + 1.25 * np.log(0.7 + 0.05))
    assert bar.predict(variables([0.3], [0.7]))[0] == pytest.approx(expected, rel=1e-14)
    assert bar.predict(variables([0.0], [0.0]))[0] == 0.01
    with pytest.raises(UqError, match=r"accepted: 0\.9"):
        bar.predict(variables([0.3], [0.7]), level=0.5)


def test_there_is_no_probability_in_them():
    with pytest.raises(UqError, match="lmp-uq calibrate makes a new one"):
        force_error_of(VALUES).probability(variables([0.3], [0.7]), 0.3)


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1.0}, {"factors": [1.0, float("nan"), 2.0]}, {"factors": [1.0, 10**400, 2.0]}, {"factors": [1.0, 2.0]}, {"factors": 1.0},
        {"conservative_factors": [0.3, 0.5, 0.7]}, {"floors": [0.3, 0.2, 0.1]}, {"levels": ["low", 0.9, 0.95]}, {"floor_exponent": -0.5},
        {"least_bar": -0.01}, {"levels": [0.5, 0.95, 0.9]}, {"levels": [0.5, 0.9, 1.0]}, {"n_blocks": None},
    ],
)  # fmt: skip
def test_bad_numbers_are_refused(change):
    assert json.loads(json.dumps(force_error_of(VALUES).to_dict())) == VALUES
    with pytest.raises(UqError, match="orce"):
        force_error_of(VALUES | change)
