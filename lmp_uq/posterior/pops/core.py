# SPDX-License-Identifier: GPL-2.0-or-later
"""The passes of a POPS fit in their order: one core for rows in memory, in blocks and on many ranks."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.ensemble import Ensemble
from lmp_uq.posterior.pops.blocks import RowBlocks, from_first
from lmp_uq.posterior.pops.choice import DEFAULT_FLOOR, choose_floor, choose_ridge
from lmp_uq.posterior.pops.corrections import Solution, kept_rows, leverage_pass, moment_pass, principal_modes
from lmp_uq.posterior.pops.evidence import evidence_precisions, with_least_sse
from lmp_uq.posterior.pops.members import build_ensemble
from lmp_uq.posterior.pops.normal import NormalEquations, by_qr, needs_qr, normal_equations
from lmp_uq.posterior.pops.parameters import MIN_RIDGE_FEW_ROWS
from lmp_uq.posterior.pops.tails import tail_pass

log = logging.getLogger("lmp_uq")


class Core:
    """What `POPS` does with `RowBlocks`; it reads the options of the estimator and sets its learned attributes."""

    ridge: float | str
    ridge_absolute: Any  # a number where ridge is "absolute"
    ridge_grid: Sequence[float]
    leverage_floor: float | str
    floor_grid: Sequence[float]
    scale_columns: bool
    leverage_percentile: float
    percentile_clipping: float
    mode_threshold: float
    axes: str
    posterior: str
    n_members: int
    minimum_relative_error: float
    n_components: int | None
    solver: str
    random_state: int
    posterior_: Box | Ensemble
    pass_seconds_: dict[str, float]
    alpha_: float | None
    lambda_: float | None

    def _run(self, rows: RowBlocks) -> None:
        self.ridge_path_ = self.floor_path_ = None
        self.pass_seconds_ = {}
        self._prepare(rows)
        self._refuse_few_rows()
        self._warn_few_rows()
        floor = DEFAULT_FLOOR if self.leverage_floor == "groups" else float(self.leverage_floor)
        ridge: dict[str, float | str] = {"ridge": self.ridge}
        if self.ridge == "groups":
            chosen, self.ridge_path_ = choose_ridge(self, rows, floor)
            ridge = {"ridge": chosen}
            log.info("POPS: ridge %g chosen on held-out groups", chosen)
        if self.leverage_floor == "groups":
            floor, self.floor_path_ = choose_floor(self, rows, ridge)
            log.info("POPS: leverage floor %g chosen on held-out groups", floor)
        self.leverage_floor_ = floor
        self._solve(rows, self._chosen_ridge(rows, ridge["ridge"]))

    def _prepare(self, rows: RowBlocks) -> None:
        """Pass 1, and the counts that follow from it."""
        self.pass_seconds_ = {}
        self.alpha_ = self.lambda_ = None
        with self._timed("normal"):
            normal = normal_equations(rows, self.scale_columns)
        self.condition_ = normal.condition()
        if self.solver == "qr" or (self.solver == "auto" and needs_qr(normal, self._smallest_ridge(normal))):
            with self._timed("qr"):
                normal = by_qr(normal, rows)
        log.info("POPS: condition number %.1e without ridge, solved by %s", self.condition_, normal.solver)
        self._normal, self.solver_ = normal, normal.solver
        self.n_rows_, self.n_features_, self.scale_ = normal.n_rows, len(normal.scale), normal.scale
        if not isinstance(self.leverage_floor, str):
            self.leverage_floor_ = float(self.leverage_floor)

    def _solve(self, rows: RowBlocks, ridge: float) -> None:
        """Pass 2, then everything that depends on the leverage floor."""
        normal = self._normal
        self.ridge_, self.ridge_relative_ = ridge, ridge / normal.mean_eigenvalue
        damped = normal.eigenvalues + ridge
        self.n_null_directions_ = int(np.count_nonzero(damped <= normal.null * damped[-1]))
        self._solution = solution = Solution.of(normal, ridge, self.n_components)
        self.coef_, self.dof_ = solution.coefficients, solution.dof
        self.factor_ = solution.to_basis / np.sqrt(solution.damped)
        floors = {self.leverage_floor_, *map(float, self.floor_grid)}
        with self._timed("leverage"):
            self._scalars, self._moments = leverage_pass(rows, normal.n_local, solution, floors)
        self.leverage_, self.residual_ = self._scalars.leverage, self._scalars.residual
        self._allowed = self._allowed_rows(rows)
        if self._filtered:
            with self._timed("moment"):
                self._moments = moment_pass(rows, solution, self._scalars, self._allowed, floors)
        self._enclose(rows, self.leverage_floor_)

    @property
    def _filtered(self) -> bool:
        return self.leverage_percentile > 0 or self.minimum_relative_error > 0

    def _allowed_rows(self, rows: RowBlocks) -> np.ndarray:
        """(n,) rows of this rank that the filters other than the leverage floor let through."""
        scalars, ranks = self._scalars, rows.ranks
        allowed = np.ones(len(scalars.leverage), dtype=bool)
        if self.leverage_percentile > 0:
            present = np.concatenate(ranks.gather(scalars.leverage[scalars.weight > 0]))
            allowed &= scalars.leverage >= np.percentile(present, self.leverage_percentile)
        if self.minimum_relative_error > 0:
            sums = ranks.sum(np.array([scalars.weight @ scalars.residual**2, scalars.weight.sum()]))
            allowed &= np.abs(scalars.residual) >= self.minimum_relative_error * np.sqrt(sums[0] / sums[1])
        return allowed

    def _enclose(self, rows: RowBlocks, floor: float) -> None:
        """Choose the rows that shape the posterior, and build it (pass 3)."""
        self.leverage_floor_ = floor
        if floor not in self._moments.edges:
            with self._timed("moment"):
                self._moments = moment_pass(rows, self._solution, self._scalars, self._allowed, {floor})
        kept = self._choose_rows(rows, floor)
        solution = self._solution
        moments = self._moments.above(floor)
        modes, vectors = principal_modes(rows.ranks, solution, moments[1], self.mode_threshold, self.axes)
        wants_members = self.posterior == "ensemble"
        with self._timed("bounds"):
            lower, upper, extreme = tail_pass(
                rows, solution, self._scalars, kept, modes, self.percentile_clipping, wants_members
            )
        self.box_ = self.posterior_ = Box(self.coef_, vectors, lower, upper)
        if wants_members:
            with self._timed("members"):
                self.posterior_ = build_ensemble(
                    rows, solution, self._scalars, kept, moments, extreme, self.n_members, self.random_state
                )

    def _choose_rows(self, rows: RowBlocks, floor: float) -> np.ndarray:
        scalars, ranks, unit = self._scalars, rows.ranks, self._solution.unit
        kept = kept_rows(scalars, self._allowed, floor, unit)
        squares = scalars.residual * scalars.ratio  # e^2 / h
        sums = ranks.sum(np.array([np.count_nonzero(kept), len(kept), squares[kept].sum()], dtype=np.float64))
        columns = [scalars.leverage, scalars.norm[kept], scalars.norm[~kept]]
        largest = ranks.maximum(np.array([values.max(initial=0.0) for values in columns]))
        if not sums[0]:
            others = " and passes leverage_percentile and minimum_relative_error" if self._filtered else ""
            raise UqError(
                f"{rows.owner}: none of {self.n_rows_} rows reaches leverage_floor={floor:g} times "
                f"P/n = {unit:.3g}{others}; the largest leverage is {largest[0]:.3g}"
            )
        self.kept_, self.n_kept_, self.n_dropped_ = kept, int(sums[0]), int(sums[1] - sums[0])
        self.llpr_alpha_ = float(np.sqrt(sums[2] / sums[0]))
        self.largest_kept_correction_, self.largest_dropped_correction_ = float(largest[1]), float(largest[2])
        return kept

    def _chosen_ridge(self, rows: RowBlocks, ridge: float | str | None = None) -> float:
        """r, from the option or what was chosen for it."""
        ridge = self.ridge if ridge is None else ridge
        if ridge == "absolute":
            return float(self.ridge_absolute)
        if ridge == "evidence":
            with self._timed("residual"):
                self._normal = with_least_sse(self._normal, rows)
            alpha, precision = map(float, from_first(rows.ranks, np.array(evidence_precisions(self._normal)))[0])
            self.alpha_, self.lambda_ = alpha, precision
            return precision / alpha
        return float(ridge) * self._normal.mean_eigenvalue

    def _smallest_ridge(self, normal: NormalEquations) -> float | None:
        """The smallest r that may be used, where that is known before the fit; None for evidence."""
        if self.ridge == "absolute":
            return float(self.ridge_absolute)
        if self.ridge == "evidence":
            return None
        return float(min(self.ridge_grid) if self.ridge == "groups" else self.ridge) * normal.mean_eigenvalue

    def _n_parameters(self) -> int:
        return self.n_features_ if self.n_components is None else min(self.n_components, self.n_features_)

    def _enough_rows(self, ridge: float) -> bool:
        """Whether a relative ridge may be used with this number of rows."""
        return ridge >= MIN_RIDGE_FEW_ROWS or self.n_rows_ >= 3 * self._n_parameters()

    def _refuse_few_rows(self) -> None:
        if self.ridge in ("evidence", "groups"):
            return
        ridge = cast(float, self._smallest_ridge(self._normal)) / self._normal.mean_eigenvalue
        # rounding of an absolute ridge that is meant to be the smallest one allowed
        if not self._enough_rows(ridge * (1.0 + 1e-12)):
            raise UqError(
                f"POPS.fit: {self.n_rows_} rows for {self._n_parameters()} features with ridge {ridge:g}: fewer than 3 rows "
                "per feature need a ridge >= 1e-2 (or 'evidence')"
            )

    def _warn_few_rows(self) -> None:
        if self.n_rows_ < 20 * self._n_parameters():
            warnings.warn(
                f"POPS.fit: {self.n_rows_} rows for {self._n_parameters()} features; below 20 rows per feature the box is too "
                "narrow for unseen rows",
                UserWarning,
                stacklevel=4,
            )

    def _relative_leverage(self, X: np.ndarray, weight: np.ndarray) -> np.ndarray:
        reduced = X @ self.factor_
        return weight * np.einsum("ij,ij->i", reduced, reduced) / self._solution.unit

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.pass_seconds_ = {**self.pass_seconds_, name: self.pass_seconds_.get(name, 0.0) + time.perf_counter() - began}
