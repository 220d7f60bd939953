# SPDX-License-Identifier: GPL-2.0-or-later
"""Grouped fits at the edge: columns that do not vary, frames that are too few to leave any out, numbers beyond doubles."""

from __future__ import annotations

import numpy as np
import pytest

from lmp_uq.calibration import ForceVariables
from lmp_uq.calibration.force_error import ForceError
from lmp_uq.calibration.force_error_fit import needs_correction
from lmp_uq.calibration.grouped_fit import GroupedFit
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.errors import UqError


def coefficients(*columns):
    """Of y = -2 u + noise on the columns, in four groups, with u the first of them."""
    rng = np.random.default_rng(0)
    x = np.column_stack([np.ones(200), *columns])
    y = -2.0 * x[:, 1] + 0.1 * rng.random(200)
    return GroupedFit(x, y, np.full(200, 1 / 50), np.repeat(np.arange(4), 50), np.arange(200)).coefficients()


@pytest.mark.parametrize("constant", [0.0, -2.9957, 1e-9, 184.0, 1e3])
def test_a_column_that_does_not_vary_has_no_slope(constant):
    """Whatever its size: rounding of its variance is no signal, not even where all other slopes want to be negative."""
    u = np.random.default_rng(1).random(200)
    found = coefficients(u, np.full(200, constant))
    np.testing.assert_allclose(found, [coefficients(u)[0], 0.0, 0.0], rtol=1e-12)
    np.testing.assert_allclose(coefficients(-u, np.full(200, constant), -u)[2], 0.0)


def test_one_frame_is_too_few_to_say_whether_a_variable_pays():
    one = np.ones(12)
    atoms = LabelledAtoms(one, ForceVariables(one, one, one, one), np.full(12, "a"), np.zeros(12))
    with pytest.raises(UqError, match=r"1 frames .* too few for level 0\.9; accepted: 9 or more"):
        needs_correction(atoms)


def test_numbers_beyond_doubles():
    bar = ForceError(0.0, 0.0, 0.0, 0.0, 0.0, (800.0,) * 101, (900.0,) * 101, (0.9,))
    atom = ForceVariables.of([1.0], [1.0], [1.0])
    assert bar.factor() == bar.factor(conservative=True) == np.inf and bar.predict(atom)[0] == np.inf
    with pytest.raises(UqError, match=r"error_above: threshold 1000.*accepted: a number of 0 or more"):
        bar.probability(atom, 10**400)
