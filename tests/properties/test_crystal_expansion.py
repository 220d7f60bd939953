# SPDX-License-Identifier: GPL-2.0-or-later
"""Crystals with internal coordinates: expanded minima = those by brute force, near and far, and members that leave are told."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from properties_example import VOLUME, prop_of

from lmp_uq.properties.crystal import expansion as crystal_expansion
from lmp_uq.properties.crystal.expansion import LOST, CrystalExpansion
from lmp_uq.properties.crystal.minimum import LEFT, OTHER_SHAPE, Crystal, crystal_at_minimum
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.minima.quasi_newton import UNSETTLED
from lmp_uq.properties.minima.stability import HELD

NEAR, FAR = 0.02, 0.2
"""Of the departures of the members of a small potential, which reach much farther than those of a good one."""


@pytest.fixture(scope="module")
def laves(potential):
    """C14: an axis and two kinds of atoms are free."""
    return crystal_at_minimum(potential, "C14", "W", VOLUME)


@pytest.fixture(scope="module")
def hexagonal(potential):
    """hcp: an axis is free."""
    return crystal_at_minimum(potential, "hcp", "W", VOLUME)


def at(potential, share, n=4):
    return potential.theta + share * potential.departures[:n]


def fresh(crystal, **options):
    """Its expansion without memory of Theta that were asked for."""
    return CrystalExpansion(crystal, **options)


def fresh_grid(crystal):
    """Coordinates of the mean at each volume of its grid."""
    made = fresh(crystal)
    assert len(made.curve.volumes) > 6
    return made._grid


def brute_force(crystal, thetas):
    """(K,) volumes, energies, bulk moduli and evaluations of members relaxed anew."""
    out = []
    for theta in thetas:
        found = crystal.member(theta)
        volume, energy = crystal.coordinates.volume(found.x), found.energy / crystal.system.n_atoms
        out.append((volume, energy, crystal.bulk_modulus(theta, found), found.n_evaluations))
    return np.array(out).T


@pytest.mark.parametrize("share", [NEAR, FAR])
@pytest.mark.parametrize("name", ["laves", "hexagonal"])
def test_expanded_minima_are_those_of_brute_force(name, share, potential, request):
    crystal, thetas = request.getfixturevalue(name), at(potential, share)
    found, (volume, energy, bulk, _) = crystal.expansion.minima(thetas), brute_force(crystal, thetas)
    assert found.reasons == [()] * len(thetas)
    # the tolerance of the last step, which is taken without being evaluated
    assert np.abs(found.energy - energy).max() < crystal_expansion.TOLERANCE
    assert np.abs(found.volume - volume).max() < 0.02 * np.abs(volume - crystal.volume).max()
    assert np.allclose(found.bulk_modulus, bulk, rtol=0.1)


def test_repeating_the_step_is_what_makes_it_so(potential, laves):
    """At moderate departures the prediction misses by far more than the bar of 2 %, near the mean it does not; both cost less."""
    errors = {}
    for share in (NEAR, FAR):
        thetas = at(potential, share)
        predicted, found = laves.expansion.predicted(thetas), laves.expansion.minima(thetas)
        _, energy, _, count = brute_force(laves, thetas)
        errors[share] = np.abs((predicted.energy - energy) / (energy - laves.energy)).max()
        assert found.n_evaluations.mean() < 0.7 * count.mean() and (predicted.n_evaluations == 0).all()
    assert errors[FAR] > 0.02 > 0.01 > errors[NEAR]


def test_predictions_err_by_the_third_order(potential, hexagonal):
    """What f.H^-1 f / 2 leaves of the energy at the mean's own volume, where the grid adds nothing."""
    errors, middle = [], hexagonal.volume
    for share in (0.02, 0.01):
        theta = potential.theta + share * potential.departures[0]
        here = int(np.argmin(np.abs(hexagonal.curve().volumes - middle)))
        exact = hexagonal.at_volume(theta, np.zeros(2), hexagonal.curve().volumes[here]).energy / 2
        errors.append(hexagonal.curve().energies(theta)[0, here] - exact)
    assert np.log2(abs(errors[0] / errors[1])) == pytest.approx(3.0, abs=0.5)


def test_the_hessian_is_that_of_the_energy(laves, potential):
    function, step, size = laves.function(potential.theta), 0.02, laves.coordinates.size
    unit = step * np.eye(size)
    middle = function(np.zeros(size))[0]
    for k in range(size):
        curvature = (function(unit[k])[0] - 2.0 * middle + function(-unit[k])[0]) / step**2
        assert laves.expansion.hessian[k, k] == pytest.approx(curvature, rel=2e-2)
    assert np.linalg.eigvalsh(laves.expansion.hessian)[0] > 0.0


def test_the_mean_is_its_own_member(laves, potential):
    found = laves.expansion.minima(potential.theta[None])
    assert found.energy[0] == pytest.approx(laves.energy, abs=1e-9) and found.volume[0] == pytest.approx(laves.volume, rel=1e-6)
    assert np.abs(found.x).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "sign", "expected"), [("hexagonal", 1.0, {LOST, OTHER_SHAPE}), ("laves", -1.0, {LOST, OTHER_SHAPE, LEFT})]
)
def test_members_that_leave_have_no_value_either_way(name, sign, expected, potential, request):
    """Whole departures of this potential, some of which take the minimum away or make another structure of it."""
    crystal, reasons = request.getfixturevalue(name), []
    thetas = at(potential, sign, 8)
    found = crystal.expansion.minima(thetas)
    for theta in thetas:
        try:
            crystal.member(theta)
            reasons.append(())
        except PropertyFailure as failure:
            reasons.append((str(failure),))
    assert found.reasons == reasons and {reason for one in reasons for reason in one} == expected
    assert all(np.isnan(energy) == bool(why) for energy, why in zip(found.energy, reasons, strict=True))


def test_a_member_that_does_not_settle_is_told(laves, potential):
    found = fresh(laves, evaluations=2).minima(at(potential, FAR, 2))
    assert found.reasons == [(UNSETTLED,)] * 2 and np.isnan(found.energy).all() and np.isnan(found.volume).all()


def test_a_mean_that_jumps_ends_its_grid(laves):
    volumes = fresh(laves).curve.volumes
    moves = [np.linalg.norm(laves.coordinates.displacements(b - a), axis=1).max() for a, b in pairwise(fresh_grid(laves))]
    assert len(fresh(laves, jump=0.999 * max(moves)).curve.volumes) < len(volumes)


def test_minima_that_symmetry_alone_holds_are_counted_alike(potential):
    prop, _ = prop_of(potential, "phase", structure="hcp", relative_to="")
    thetas = at(potential, NEAR)
    expanded = prop.expansion(thetas)
    assert list(expanded.flags) == [prop.member(theta).flags for theta in thetas]
    assert any(flags == (HELD,) for flags in expanded.flags) == any("symmetry" in note for note in prop.notes)
    assert np.isfinite(expanded.values).all() and (expanded.n_evaluations > 0).all()


def test_one_crystal_serves_all_properties(potential, laves):
    assert crystal_at_minimum(potential, "C14", "W", VOLUME) is laves and isinstance(laves, Crystal)
    thetas = at(potential, NEAR)
    assert laves.expansion.minima(thetas) is laves.expansion.minima(thetas.copy())
