# SPDX-License-Identifier: GPL-2.0-or-later
"""How a stationary point answers a change of the potential: products with the Hessian, solves without the matrix, expansions.

At a stationary point X of E(X; Theta) the forces vanish. Another Theta leaves forces f there, and the point moves by z = H^+ f to first
order, with the Hessian H of the first potential: implicit differentiation, as I. Maliyov, P. Grigorev, T. D. Swinburne use it for linear
potentials (arXiv:2407.02414). H appears in products only, central differences of forces along one direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.properties.failure import PropertyFailure

STEP = 1e-3
"""Angstrom: the largest displacement of an atom in a central difference. Its error is of second order, 1e-6 of the product."""
RTOL = 1e-3
"""Residual of a solve over the force it answers; the energy errs by its square."""
ROUNDING = 1e-12
"""Part of a force below which what the projection leaves of it is nothing."""
MAX_PRODUCTS = 300

Forces = Callable[[np.ndarray], np.ndarray]


def without_translation(vectors: np.ndarray) -> np.ndarray:
    """(n, 3) displacements or forces without their mean: the crystal may not drift as a whole."""
    return vectors - vectors.mean(axis=0)


@dataclass(frozen=True)
class Solution:
    """What came of one solve.

    Attributes
    ----------
    displacements : (n, 3) Angstrom
        z = H^+ f.
    residual : float
        |f - H z| / |f|; 0 for f = 0.
    converged : bool
    """

    displacements: np.ndarray
    residual: float
    converged: bool


class HessianProducts:
    """The Hessian of a potential at a stationary point, as products and solves.

    Products of earlier solves are kept: the next right-hand side is first met in their span, so that the second member of an ensemble
    costs little and the tenth mostly nothing.

    Parameters
    ----------
    forces : function of (n, 3) positions, (n, 3) eV/Angstrom
    positions : (n, 3) Angstrom
        The stationary point.
    project : function of (n, 3), (n, 3)
        Orthogonal projection on the displacements that are allowed: without translations, or those of a symmetry.
    saddle : bool
        Solve with MINRES, which needs no definite matrix; otherwise with conjugate gradients.
    step : float
        Angstrom.
    max_products : int
        That one solve may cost.

    Attributes
    ----------
    n_products : int
        Products so far; each costs two evaluations of forces.
    """

    def __init__(self, forces: Forces, positions: np.ndarray, project=without_translation, *, saddle: bool = False, step: float = STEP,
                 max_products: int = MAX_PRODUCTS):  # fmt: skip
        self._forces, self._positions, self._project = forces, np.array(positions), project
        self.saddle, self._step, self._max_products = saddle, step, max_products
        self.n_products, self._along, self._products = 0, [], []

    def product(self, vector: np.ndarray) -> np.ndarray:
        """(n, 3) H v, of the projected v and projected itself."""
        vector = self._project(np.asarray(vector, dtype=np.float64).reshape(self._positions.shape))
        longest = np.sqrt((vector**2).sum(axis=1).max(initial=0.0))
        if longest == 0.0:
            return np.zeros_like(vector)
        scale = self._step / longest
        ahead = self._forces(self._positions + scale * vector)
        behind = self._forces(self._positions - scale * vector)
        product = self._project(behind - ahead) / (2.0 * scale)
        self.n_products += 1
        self._keep(vector, product)
        return product

    def solve(self, forces: np.ndarray, rtol: float = RTOL) -> Solution:
        """z with H z = f, both projected.

        Raises
        ------
        PropertyFailure
            Forces that are not finite.
        """
        target = self._project(np.asarray(forces, dtype=np.float64)).ravel()
        if not np.isfinite(target).all():
            raise PropertyFailure("the forces are not finite")
        size = np.linalg.norm(target)
        if size <= ROUNDING * np.linalg.norm(forces):
            return Solution(np.zeros(self._positions.shape), 0.0, True)
        found, residual = self._in_known_span(target)
        for tightened in (1.0, 0.1, 0.01):  # MINRES measures its residual against the matrix too, and stops early
            if np.linalg.norm(residual) > rtol * size:
                self._iterate(residual, tightened * rtol * size / np.linalg.norm(residual))
                found, residual = self._in_known_span(target)  # which holds the iterate, and answers no worse
        relative = float(np.linalg.norm(residual) / size)
        return Solution(self._project(found.reshape(self._positions.shape)), relative, relative <= rtol)

    def dense(self) -> np.ndarray:
        """(3 n, 3 n) projected Hessian from 3 n products: for small cells and tests."""
        size = self._positions.size
        columns = [self.product(np.eye(1, size, k).reshape(self._positions.shape)).ravel() for k in range(size)]
        matrix = np.array(columns)
        return 0.5 * (matrix + matrix.T)

    def lowest_modes(self, count: int = 2, tol: float = 1e-3) -> np.ndarray:
        """Lowest eigenvalues of the projected Hessian, eV/Angstrom^2, ascending (Lanczos).

        The directions that the projection removes are lifted out of the way, not counted.
        """
        from scipy.sparse.linalg import LinearOperator, eigsh

        size = self._positions.size
        lift = 100.0  # eV/Angstrom^2, above the modes of a solid

        def shifted(vector):
            vector = np.asarray(vector, dtype=np.float64).ravel()
            allowed = self._project(vector.reshape(self._positions.shape)).ravel()
            return self.product(allowed).ravel() + lift * (vector - allowed)

        start = np.random.default_rng(0).normal(size=size)
        operator = LinearOperator((size, size), matvec=shifted, dtype=np.float64)
        return np.sort(eigsh(operator, k=count, which="SA", v0=start, tol=tol, return_eigenvectors=False))

    def _keep(self, vector, product):
        length = np.linalg.norm(vector)
        self._along.append(vector.ravel() / length)
        self._products.append(product.ravel() / length)

    def _in_known_span(self, target):
        """Least residual of the span of the products so far, and what answers it."""
        if not self._along:
            return np.zeros_like(target), target
        products = np.array(self._products).T
        weights = np.linalg.lstsq(products, target, rcond=1e-10)[0]
        return np.array(self._along).T @ weights, target - products @ weights

    def _iterate(self, target, rtol):
        """Widen the known span by CG or MINRES on what it leaves over."""
        from scipy.sparse.linalg import LinearOperator, cg, minres

        size = target.size
        operator = LinearOperator((size, size), matvec=lambda v: self.product(v).ravel(), dtype=np.float64)
        solver = minres if self.saddle else cg
        solver(operator, target, rtol=rtol, maxiter=self._max_products)


def displacement_derivative(hessian: HessianProducts, force_rows: np.ndarray, direction: np.ndarray) -> Solution:
    """dX*/dTheta along one direction of parameters.

    Parameters
    ----------
    hessian : HessianProducts
        Of the mean at its stationary point.
    force_rows : (3 n, P)
        -dPhi/dx there.
    direction : (P,)
        dTheta.
    """
    return hessian.solve((force_rows @ direction).reshape(-1, 3))


def adjoint_gradient(hessian: HessianProducts, slope: np.ndarray, force_rows: np.ndarray, explicit: np.ndarray | float = 0.0) -> np.ndarray:
    """(P,) dq/dTheta of q(X*(Theta), Theta) from one solve, whatever P and the number of members.

    Parameters
    ----------
    hessian : HessianProducts
    slope : (n, 3)
        dq/dX at the stationary point.
    force_rows : (3 n, P)
        -dPhi/dx there.
    explicit : (P,)
        The partial derivative of q by Theta; 0 where q knows positions only.

    Raises
    ------
    UqError
        A solve that did not converge.
    """
    solution = hessian.solve(slope)
    if not solution.converged:
        raise UqError(f"adjoint solve: a residual of {solution.residual:.1e} is left of the slope; accepted: up to {RTOL:g}")
    return explicit + solution.displacements.ravel() @ force_rows
