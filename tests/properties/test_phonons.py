# SPDX-License-Identifier: GPL-2.0-or-later
"""Phonons: sum rule, symmetry, the elastic limit, and members from the table against members from forces."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses
from defect_example import write_potential

from lmp_uq.properties.crystal.bcc import lattice_grid, supercell
from lmp_uq.properties.kinds.excess import NO_LATTICE
from lmp_uq.properties.kinds.phonons import POINTS, TERAHERTZ, PhononDispersion, PhononTable, frequencies
from lmp_uq.properties.potential.linear import LinearPotential

SMALL = 0.02
"""Length of the wave vectors of the elastic limit, 2 pi over the lattice constant."""
LONG = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
NEAR = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    return LinearPotential.read(str(write_potential(tmp_path_factory.mktemp("phonons"), spread=1.0)))


@pytest.fixture(scope="module")
def table(potential):
    """Wave vectors near the origin, and special points; 250 atoms, whose half is twice the cutoff less a little."""
    vectors = np.vstack([SMALL * LONG, [POINTS[name] for name in ("H", "P", "N")], [[0.2, 0.4, 0.6], [0.4, 0.6, 0.2]]])
    return PhononTable(potential, "W", lattice_grid(potential, "W"), vectors, size=5, spacing=NEAR)


@pytest.fixture(scope="module")
def found(table, potential):
    return frequencies(table.dynamical(potential.theta))


def test_nothing_vibrates_at_the_origin(found):
    assert np.abs(found[2]).max() < 1e-3 < found[0].min()


def test_degenerate_points_of_bcc(found):
    assert np.ptp(found[3]) < 1e-3 and np.ptp(found[4]) < 1e-3 and found[3].min() > 1.0
    assert np.ptp(found[5]) > 0.1  # N has three different ones


def test_waves_along_equivalent_axes_are_alike(found):
    assert np.allclose(found[6], found[7], atol=1e-3) and np.ptp(found[6]) > 0.1


def elastic(potential, a):
    """C11, C12, C44 in eV/Angstrom^3 from stresses of strained cells."""
    system = potential.system(supercell("W", "bcc", a, 2))
    h, cell, theta = 1e-4, supercell("W", "bcc", a, 2).cell.array, potential.theta

    def slope(strain):
        up, down = (system.evaluate(theta, cell=cell @ (np.eye(3) + sign * h * strain))[2] for sign in (1.0, -1.0))
        return -(up - down) / (2.0 * h * np.linalg.det(cell))

    stretched, sheared = slope(np.diag([1.0, 0.0, 0.0])), slope(np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]))
    return stretched[0, 0], stretched[1, 1], sheared[0, 1]


def test_long_waves_travel_at_the_speed_of_sound(found, table, potential):
    """rho omega^2 = C q^2: C11 and C44 along [100]; (C11+C12)/2+C44, C44 and (C11-C12)/2 along [110]."""
    c11, c12, c44 = elastic(potential, table.a)
    density = 2.0 * atomic_masses[74] / table.a**3
    for k, constants in ((0, [c44, c44, c11]), (1, [(c11 - c12) / 2.0, c44, (c11 + c12) / 2.0 + c44])):
        q = np.linalg.norm(SMALL * LONG[k]) * 2.0 * np.pi / table.a
        sound = TERAHERTZ * np.sqrt(np.array(sorted(constants)) / density) * q
        assert np.allclose(found[k], sound, rtol=0.02)


def test_members_from_the_table_are_those_from_forces(table, potential):
    mean = table.dynamical(potential.theta)
    assert np.allclose(mean, table.brute_force(potential.theta), atol=1e-6 * np.abs(mean).max())
    for theta in potential.members(2):
        by_forces, by_table = frequencies(table.brute_force(theta)), frequencies(table.dynamical(theta))
        assert np.abs(by_forces - by_table)[3:].max() < 0.02
        assert np.abs(by_forces - frequencies(mean))[3:].max() > 0.05


def test_a_member_off_the_table_is_nan(table, potential):
    assert np.isnan(frequencies(table.dynamical(-potential.theta))).all()


def test_the_property_gives_points_path_and_gradient(potential):
    class Short(PhononDispersion):
        spacing = NEAR

    prop = Short(potential, "test", {"size": 3, "element": ""})
    mean, members = prop.mean(), potential.members(2)
    assert [q.name for q in prop.quantities] == ["H", "P", "N_low", "N_middle", "N_high"] and (mean > 0.5).all()
    assert np.allclose(prop.expansion(potential.theta[None]).values[0], mean)
    step = 1e-3 * (members[0] - potential.theta)
    up, down = prop.expansion(np.array([potential.theta + step, potential.theta - step])).values
    assert np.allclose(prop.gradient() @ step, (up - down) / 2.0, rtol=1e-3, atol=1e-9)
    assert np.allclose(prop.member(potential.theta).values, mean, atol=1e-4)
    assert prop.expansion(-potential.theta[None]).flags == [(NO_LATTICE,)]
    curves = prop.curves(members)
    assert curves.members.shape == (2, len(curves.x)) and len(curves.mean) == len(curves.x)
    assert np.array_equal(np.isnan(curves.x), np.isnan(curves.mean)) and np.isnan(curves.x).sum() == 3


def test_the_figure_leaves_out_what_is_nan(potential):
    from lmp_uq.properties.property import Curves, PropertyResult
    from lmp_uq.report.plots.properties import draw_property

    x = np.array([0.0, 1.0, np.nan, 0.0, 1.0])
    curves = Curves(x, 0.0 * x + 2.0, np.array([3.0 + 0.0 * x, np.full(5, np.nan)]), "x", "y")
    result = PropertyResult("phonons", "H", "THz", ".1f", "first order", 2.0, 0.1, 1.0, 3.0, "derivatives")
    panel = draw_property([result], curves).axes[0]
    low, high = panel.get_ylim()
    assert low < 2.0 and 3.0 < high < 3.2
