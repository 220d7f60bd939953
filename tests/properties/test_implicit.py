# SPDX-License-Identifier: GPL-2.0-or-later
"""Products and solves with the Hessian = the dense matrix; what they say of a changed potential = what re-relaxation finds."""

from __future__ import annotations

import numpy as np
import pytest
from defect_example import write_potential

from lmp_uq.errors import UqError
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds.defects import interstitial, vacancy
from lmp_uq.properties.minima.implicit import HessianProducts, adjoint_gradient, displacement_derivative, without_translation
from lmp_uq.properties.minima.quasi_newton import UNSETTLED
from lmp_uq.properties.minima.stationary import RECONSTRUCTED, StationaryState
from lmp_uq.properties.potential.linear import LinearPotential


@pytest.fixture(scope="module")
def potential(tmp_path_factory):
    return LinearPotential.read(str(write_potential(tmp_path_factory.mktemp("implicit"))))


@pytest.fixture(scope="module")
def state(potential):
    """A vacancy among 15 atoms, rattled before relaxation: a minimum."""
    return vacancy(potential, "W", size=2).states[0][1]


@pytest.fixture(scope="module")
def direction(potential):
    """A departure of the size of a member's."""
    return potential.members(1)[0] - potential.theta


def products_of(state, **options):
    """Fresh products at a state, without the memory of its own."""
    def forces(positions):
        return state.system.evaluate(state.theta, positions, state.cell)[1]

    return HessianProducts(forces, state.positions, **({"step": 1e-4} | options))


@pytest.fixture(scope="module")
def dense(state):
    return products_of(state).dense()


@pytest.fixture(scope="module")
def saddle(potential):
    """The <100> dumbbell, which is stationary by symmetry and no minimum, and its Hessian without the symmetry."""
    found = interstitial(potential, "W", "<100>", size=2).states[0][1]
    matrix = products_of(found).dense()
    assert np.linalg.eigvalsh(matrix)[0] < -0.1
    return found, matrix


def random_forces(state, seed=0):
    return np.random.default_rng(seed).normal(size=state.positions.shape)


def pseudo_solution(matrix, forces):
    """H^+ f with the three translations left out."""
    return (np.linalg.pinv(matrix, rcond=1e-6, hermitian=True) @ forces.ravel()).reshape(forces.shape)


def test_a_product_is_that_of_the_dense_matrix(state, dense):
    vector = without_translation(random_forces(state))
    assert np.allclose(products_of(state).product(vector).ravel(), dense @ vector.ravel(), atol=1e-4 * np.abs(dense).max())


def test_conjugate_gradients_are_the_dense_solve(state, dense):
    forces = random_forces(state)
    found = products_of(state).solve(forces, rtol=1e-6)
    exact = pseudo_solution(dense, forces)
    assert found.converged and np.abs(found.displacements - exact).max() < 1e-4 * np.abs(exact).max()


def test_minres_at_a_saddle_is_the_dense_solve(saddle):
    state, matrix = saddle
    forces = random_forces(state)
    found, exact = products_of(state, saddle=True).solve(forces, rtol=1e-6), pseudo_solution(matrix, forces)
    assert found.converged and np.abs(found.displacements - exact).max() < 1e-4 * np.abs(exact).max()


def test_lowest_modes_are_those_of_the_dense_matrix(saddle):
    state, matrix = saddle
    values = np.linalg.eigvalsh(matrix)
    others = values[np.abs(values) > 1e-4]  # less the translations
    assert np.allclose(products_of(state).lowest_modes(2), others[:2], rtol=1e-3)


def test_translations_are_projected_out(state):
    forces, push = random_forces(state), np.array([0.3, -0.2, 0.5])
    products = products_of(state)
    assert np.abs(products.solve(np.tile(push, (len(forces), 1))).displacements).max() == 0.0
    plain, pushed = (products_of(state).solve(one, rtol=1e-6).displacements for one in (forces, forces + push))
    assert np.allclose(plain, pushed, atol=1e-10) and np.abs(plain.sum(axis=0)).max() < 1e-10


def test_what_a_solve_has_learned_serves_the_next(state):
    products, forces = products_of(state), random_forces(state)
    first = products.solve(forces, rtol=1e-6)
    spent = products.n_products
    second = products.solve(-2.0 * forces, rtol=1e-6)
    assert products.n_products == spent > 3
    assert np.allclose(second.displacements, -2.0 * first.displacements)


def test_forces_that_are_not_finite_are_a_failure(state):
    with pytest.raises(PropertyFailure, match="not finite"):
        products_of(state).solve(np.full(state.positions.shape, np.nan))


def relaxed_positions(state, theta):
    return state._relax(theta, state.positions, state.cell, 1.0)[0]


def test_the_displacement_derivative_is_that_of_relaxations(state, direction):
    step = 0.01
    found = displacement_derivative(products_of(state), state.system.rows(state.positions, state.cell).force_rows, direction[:-1])
    up, down = (relaxed_positions(state, state.theta + sign * step * direction) for sign in (1.0, -1.0))
    measured = (up - down) / (2.0 * step)
    assert np.abs(measured).max() > 1e-2
    assert np.abs(found.displacements - measured).max() < 1e-2 * np.abs(measured).max()


def test_one_adjoint_solve_is_the_derivative_by_every_parameter(state, direction):
    """q is a sum of distances."""
    near = [1, 2, 3, 4]

    def quantity(positions):
        return float(np.linalg.norm(positions[near] - positions[0], axis=1).sum())

    slope = np.zeros(state.positions.shape)
    for k in near:
        unit = (state.positions[k] - state.positions[0]) / np.linalg.norm(state.positions[k] - state.positions[0])
        slope[k] += unit
        slope[0] -= unit
    rows = state.system.rows(state.positions, state.cell).force_rows
    found = adjoint_gradient(products_of(state), slope, rows) @ direction[:-1]
    step = 0.01
    up, down = (quantity(relaxed_positions(state, state.theta + sign * step * direction)) for sign in (1.0, -1.0))
    assert found == pytest.approx((up - down) / (2.0 * step), rel=1e-2)


def test_an_adjoint_solve_that_does_not_converge_is_refused(state):
    with pytest.raises(UqError, match="residual"):
        adjoint_gradient(products_of(state, max_products=1), random_forces(state), np.zeros((state.positions.size, 2)))


def slope_of(errors):
    """Order in which errors at full and at half departure shrink."""
    return np.log2(np.abs(errors[0] / errors[1]))


def test_orders_of_the_errors_of_the_forms(state, direction):
    """First order errs by the second, the quadratic form by the third, the evaluated one that is repeated by next to nothing."""
    first, quadratic, evaluated = [], [], []
    for size in (0.4, 0.2):
        theta = state.theta + size * direction
        exact, found = state.relax(theta).energy, state.expand(theta)
        first.append(state.energy + size * direction @ state.phi() - exact)
        quadratic.append(found.quadratic - exact)
        evaluated.append(found.energy - exact)
        assert not found.flags
    assert slope_of(first) == pytest.approx(2.0, abs=0.4)
    assert slope_of(quadratic) == pytest.approx(3.0, abs=0.5)
    assert (np.abs(evaluated) < 0.01 * np.abs(quadratic)).all() and np.abs(quadratic[1]) < np.abs(first[1])


@pytest.mark.parametrize(("k", "size"), [(0, 5.0), (1, 5.0), (3, 2.0), (4, -5.0)])
def test_repeating_the_step_is_brute_force_at_moderate_departures(state, potential, k, size, monkeypatch):
    """Where the quadratic form misses the energy of relaxation, the repeated step does not, in fewer evaluations than a relaxation."""
    theta, counted, evaluate = state.theta + size * potential.departures[k], [], state.system.evaluate

    def counting(*arguments):
        counted.append(arguments)
        return evaluate(*arguments)

    monkeypatch.setattr(state.system, "evaluate", counting)
    exact, gain = state.relax(theta), evaluate(theta, state.positions, state.cell)[0]
    monkeypatch.undo()
    found, gain = state.expand(theta), gain - exact.energy
    assert not found.flags and not exact.flags
    assert abs(found.energy - exact.energy) < 1e-5 < 0.02 * gain < abs(found.quadratic - exact.energy)
    assert 2 < found.n_evaluations < len(counted) and found.displacement == pytest.approx(exact.displacement, rel=0.05)


def test_an_expansion_that_does_not_settle_or_leaves_is_flagged(state, potential):
    theta = potential.members(1)[0]
    assert state.expand(theta, evaluations=2, settled=1e-9).flags == (UNSETTLED,)
    narrow = StationaryState(state.system, state.theta, state._neighbours, basin=1e-3, reach=1.0)
    assert narrow.expand(theta).flags == (RECONSTRUCTED,)
    with pytest.raises(PropertyFailure, match=RECONSTRUCTED):
        narrow.relax(theta)


def test_a_departure_of_nothing_changes_nothing(state):
    found = state.expand(state.theta)
    assert found.energy == pytest.approx(state.energy, abs=1e-9) and not found.flags and found.displacement < 1e-4


@pytest.mark.parametrize(("k", "size"), [(1, -5.0), (1, -10.0), (5, 10.0)])
def test_a_departure_too_large_is_flagged_or_fails(state, potential, k, size):
    """Many members' worth of change, after which a relaxation leaves the basin: the expansion says so."""
    theta = state.theta + size * potential.departures[k]
    with pytest.raises(PropertyFailure, match=RECONSTRUCTED):
        state.relax(theta)
    assert RECONSTRUCTED in state.expand(theta).flags
