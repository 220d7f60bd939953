# SPDX-License-Identifier: GPL-2.0-or-later
"""POPS regression: a linear fit and the distribution of the parameter sets that each reproduce one training row.

Labels are taken as noise-free and the model as wrong (misspecified).  Row i is matched exactly by Theta* +
dTheta_i, the change of least regularised loss that does so; the posterior is the box that encloses all
dTheta_i along their principal axes, or the dTheta_i themselves.  With weights W and ridge r

    C = X^T W X + r I,  Theta* = C^-1 X^T W y,  e_i = y_i - x_i.Theta*,  h_i = x_i.C^-1 x_i,
    dTheta_i = C^-1 x_i e_i / h_i.

A fit reads the rows three times, in blocks and on any number of ranks: normal equations; leverages and second moment of the
corrections; bounds along the modes.  Between the passes only (P, P) matrices cross ranks.

Sources: T. D. Swinburne, D. Perez, Mach. Learn.: Sci. Technol. 6, 015008 (2025),
doi:10.1088/2632-2153/ad9fce; D. Perez, A. P. A. Subramanyam, I. Maliyov, T. D. Swinburne, npj Comput. Mater.
11, 263 (2025).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin

from lmp_uq.arrays import finite_array
from lmp_uq.errors import UqError
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.pops.blocks import BLOCK_ROWS, ArrayBlocks, RowBlocks
from lmp_uq.posterior.pops.core import Core
from lmp_uq.posterior.pops.parameters import NotFitted, check_parameters, checked_arrays, checked_X


class POPS(Core, RegressorMixin, BaseEstimator):
    """Pointwise-optimal-parameter-set regression of a linear model without intercept.

    Inside, weights are normalised to sum n and columns are divided by their weighted root mean square
    ("scaled space"), so units, a constant factor on the weights and a rescaling of columns do not matter.

    Parameters
    ----------
    ridge : float, "evidence", "groups" or "absolute"
        Float: relative ridge, in units of the mean eigenvalue of the normal matrix (which is n on scaled
        columns).  "evidence": maximises the marginal likelihood; gives the narrowest, least safe box.  "groups": the smallest of
        ``ridge_grid`` for which, on held-out groups, 1-5 % of the rows lie outside the 512-member bounds and mean |err| / mean std is
        0.7-1.0, else the one nearest to these targets.  "absolute": ``ridge_absolute``.
    ridge_absolute : float or None
        r, as added to the normal matrix of scaled columns and normalised weights; for ridge="absolute" only.
    ridge_grid, floor_grid : tuple of float
        What "groups" chooses from, relative.
    leverage_floor : float or "groups"
        Rows with w_i h_i < leverage_floor * P / n do not shape the posterior: for x ~ 0 with a finite residual
        dTheta_i explodes.  Relative, so it has no unit.  "groups": the one of ``floor_grid`` with, on held-out groups, the smallest
        rms std / RMSE that is at least 1, else the largest.
    scale_columns : bool
        False fits in the given units, where the ridge penalises small columns harder.
    leverage_percentile : float
        Also leave out rows whose leverage lies below this percentile, in [0, 100).  One more pass; every rank then sees one double per
        row of all ranks.
    percentile_clipping : float
        The box spans the [c, 100 - c] percentiles of the corrections along each mode; 0 is min / max.  Exact, with memory of
        c / 50 times that of all corrections.
    mode_threshold : float
        Modes whose second moment is below this fraction of the largest are dropped.
    axes : {"scaled", "given"}
        Where the corrections have their principal axes, and ``mode_threshold`` its meaning: in the scaled space, or in the given units
        as in the papers.  A direction along columns that are large and well determined, as the constant beside descriptors, has a second
        moment far below the threshold in given units; then the box has no freedom there.
    posterior : {"box", "ensemble"}
        What ``posterior_`` is; the box is there in any case.
    n_members : int
        Largest number of corrections that an ensemble keeps: the extremes along each mode (half of them at most) and a random draw.
    minimum_relative_error : float
        Also leave out rows with |e_i| below this times the weighted root mean square of e.  One more pass.
    n_components : int or None
        Fit in the k principal directions (eigenvectors of X^T W X of scaled columns, not centred) of largest eigenvalue: a second knob,
        beside the ridge, for the width of the posterior, which is still given in the original columns.  P / n becomes k / n.
    n_folds : int
        Folds of "groups"; a group is never split.
    solver : {"auto", "normal", "qr"}
        "auto": normal equations, and blocked QR (one more pass) where their condition number exceeds 1e12 without ridge and with the
        ridge, as far as that is known before.
    block_rows : int or None
        Rows that are worked on at a time; None is 4096.  Does not change the result beyond rounding.
    random_state : None, int or RandomState
        Of the random draw of an ensemble.

    Attributes
    ----------
    coef_ : ndarray, shape (P,)
        Theta*, in label unit per column unit.
    box_ : Box
        The box, in the original units.  Modes are ordered by decreasing second moment; they are
        orthonormal in the space of ``axes``.
    posterior_ : Box or Ensemble
        As ``posterior`` asks; std, rms, bounds, draw and covariance of rows.
    factor_ : ndarray, shape (P, R')
        C^-1 = factor_ factor_^T in the original units, so h = |x @ factor_|^2: what a model file stores for `leverage`.
    scale_ : ndarray, shape (P,)
        Weighted root mean square of the columns; 1 for zero columns and with ``scale_columns=False``.
    dof_ : float
        Effective number of parameters, equal to the sum of all leverages.
    ridge_relative_, ridge_ : float
        Ridge used, relative and as added to the (scaled) normal matrix.
    leverage_floor_ : float
        Leverage floor used, relative.
    ridge_path_, floor_path_ : list of dict or None
        Scores on held-out groups of each candidate; None where nothing was chosen.
    alpha_, lambda_ : float or None
        Precisions of noise and coefficients (scaled space, normalised weights); None unless ridge="evidence".
    llpr_alpha_ : float
        a for which the last-layer std a sqrt(h) has the root mean square error of the training rows that are kept, sqrt(mean e^2/h).
        h is that of `leverage` without weight.  In-sample, hence a little small.
    leverage_ : ndarray, shape (n,)
        w_i h_i, dimensionless; after `fit_blocks` of this rank's rows, as the next three.
    residual_ : ndarray, shape (n,)
        e_i, unit of the labels.
    kept_ : ndarray of bool, shape (n,)
        Rows that shape the posterior, and which the box therefore encloses.
    n_kept_, n_dropped_ : int
        Number of rows that do and do not, on all ranks.
    largest_kept_correction_, largest_dropped_correction_ : float
        Largest norm of dTheta_i in the scaled space, unit of the labels; 0 if there is no such row.
    n_rows_, n_features_, n_null_directions_ : int
        Rows of positive weight on all ranks, columns, and directions that neither data nor ridge determine.
    solver_ : {"normal", "qr"}
    condition_ : float
        Condition number of the normal matrix without ridge.
    pass_seconds_ : dict
        Wall time of each pass over the rows on this rank.

    Notes
    -----
    After `fit` the object refers to X (not a copy), for `corrections` and `with_leverage_floor`.
    Weights enter C only: the second moment counts each kept row once, whatever its weight.
    Five doubles per row are kept.
    """

    def __init__(
        self,
        ridge: float | str = 1e-2,
        *,
        ridge_absolute: float | None = None,
        ridge_grid: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1),
        leverage_floor: float | str = 1e-3,
        floor_grid: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1),
        scale_columns: bool = True,
        leverage_percentile: float = 0.0,
        percentile_clipping: float = 0.0,
        mode_threshold: float = 1e-8,
        axes: str = "scaled",
        posterior: str = "box",
        n_members: int = 1000,
        minimum_relative_error: float = 0.0,
        n_components: int | None = None,
        n_folds: int = 5,
        solver: str = "auto",
        block_rows: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.ridge = ridge
        self.ridge_absolute = ridge_absolute
        self.ridge_grid = ridge_grid
        self.leverage_floor = leverage_floor
        self.floor_grid = floor_grid
        self.scale_columns = scale_columns
        self.leverage_percentile = leverage_percentile
        self.percentile_clipping = percentile_clipping
        self.mode_threshold = mode_threshold
        self.axes = axes
        self.posterior = posterior
        self.n_members = n_members
        self.minimum_relative_error = minimum_relative_error
        self.n_components = n_components
        self.n_folds = n_folds
        self.solver = solver
        self.block_rows = block_rows
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, groups: ArrayLike | None = None) -> POPS:
        """Fit coefficients and posterior to rows in memory.

        Parameters
        ----------
        X : array_like, shape (n, P)
            Rows of features; float32 stays as it is and is summed in float64.
        y : array_like, shape (n,)
            Labels: reference minus backbone, in the unit that belongs to the row.
        sample_weight : array_like, shape (n,), optional
            Weights >= 0; only ratios matter.  A row of weight zero counts as absent.
        groups : array_like, shape (n,), optional
            Group of each row, numbers or strings, for the options "groups".

        Returns
        -------
        POPS
            self

        Raises
        ------
        UqError
            Parameters out of range, wrong shapes, NaN, weights that are negative or all zero, fewer than 3 P rows with a ridge below
            1e-2, only zero columns, fewer than two groups where "groups" asks for them, or no row left above the leverage floor.

        Warns
        -----
        UserWarning
            Fewer than 20 P rows: the box is then too narrow for unseen rows.
        """
        check_parameters(self)
        arrays = checked_arrays(self, X, y, sample_weight, groups)
        self._X = arrays[0]
        self._run(RowBlocks(ArrayBlocks(arrays, self._block_rows()), Ranks(), self._block_rows(), "POPS.fit"))
        return self

    def fit_blocks(self, blocks: Iterable[Any], ranks: Ranks | None = None) -> POPS:
        """Fit coefficients and posterior to rows that come in blocks, on one or many ranks.  Collective over the ranks.

        Parameters
        ----------
        blocks : iterable of (X, y, weight) or (X, y, weight, groups)
            This rank's rows: X (m, P) float32 or float64, y (m,), weight (m,), groups (m,) for the options "groups"; any m, also no block
            at all.  ``iter(blocks)`` must start anew, with the same rows: they are read three times, or more as the options say.
        ranks : optional
            The processes that share the fit: ``rank``, ``size``, ``sum``, ``minimum``, ``maximum``, ``gather`` as
            `lmp_uq.parallel.ranks.Ranks`. Default: this process alone.

        Returns
        -------
        POPS
            self, the same on every rank but for the attributes of rows, which are those of this rank's rows in their order.

        Raises
        ------
        UqError
            As `fit`, on every rank, or blocks that do not fit together, change between passes or can be read only once.
        """
        check_parameters(self)
        self._X = None
        self._run(RowBlocks(blocks, ranks or Ranks(), self._block_rows(), "POPS.fit_blocks"))
        self.n_features_in_ = self.n_features_
        self.__dict__.pop("feature_names_in_", None)  # of an earlier fit to a table
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """(n,) prediction x.Theta* of each row, unit of the labels; bars come from ``box_`` or ``posterior_``."""
        self._check_fitted()
        X = checked_X(self, X, "POPS.predict")
        return finite_array(X, "POPS.predict: X", (None, self.n_features_)) @ self.coef_

    def leverage(self, X: ArrayLike, weight: ArrayLike = 1.0) -> np.ndarray:
        """Relative leverage w h n / P of rows, which the leverage floor is compared with: below it no posterior can certify a bar.

        Parameters
        ----------
        X : array_like, shape (m, P)
        weight : float or array_like, shape (m,)
            In units of the mean weight of the rows of the fit, as `group_weights` gives them.

        Returns
        -------
        ndarray, shape (m,)
        """
        self._check_fitted()
        X = finite_array(X, "POPS.leverage: X", (None, self.n_features_))
        weight = np.asarray(weight, dtype=np.float64)
        if weight.shape not in ((), (len(X),)) or not np.all(weight >= 0):
            raise UqError(f"POPS.leverage: weight of shape {weight.shape}, expected numbers >= 0, one or ({len(X)},)")
        return self._relative_leverage(X, weight)

    def corrections(self, index: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Pointwise corrections of training rows, after `fit`.

        Parameters
        ----------
        index : slice or array of int or bool
            Which rows; default all of them, an array as large as X.

        Returns
        -------
        ndarray, shape (m, P)
            dTheta_i in the units of ``coef_``; zero where the leverage is zero.
        """
        self._check_fitted()
        if self._X is None:
            raise UqError("POPS.corrections: the rows of fit_blocks are not kept, fit(X, y) keeps them")
        return self._solution.corrections(self._X[index], self._scalars.ratio[index])

    def with_leverage_floor(self, floor: float, blocks: Iterable[Any] | None = None, ranks: Ranks | None = None) -> POPS:
        """The same fit with the posterior of another leverage floor, without the passes that do not depend on it.

        Parameters
        ----------
        floor : float
            Relative leverage floor, >= 0.  One of ``floor_grid`` costs one pass, another one two.
        blocks, ranks : optional
            The rows once more, as given to `fit_blocks`; not needed after `fit`.

        Returns
        -------
        POPS
            A new fitted object; this one is unchanged and the arrays of the fit are shared.
        """
        self._check_fitted()
        if blocks is None and self._X is None:
            raise UqError("POPS.with_leverage_floor: the rows of fit_blocks are not kept, pass blocks= (and ranks=) again")
        if isinstance(floor, str):
            raise UqError(f"POPS: leverage_floor={floor!r}, accepted is a float >= 0")
        other = copy.copy(self)
        other.leverage_floor = floor
        check_parameters(other)
        if blocks is None:
            n = len(self._X)
            blocks = ArrayBlocks((self._X, np.zeros(n), np.zeros(n)), self._block_rows())
        other._enclose(RowBlocks(blocks, ranks or Ranks(), self._block_rows(), "POPS.with_leverage_floor"), float(floor))
        return other

    def _block_rows(self) -> int:
        return self.block_rows or BLOCK_ROWS

    def _check_fitted(self) -> None:
        if not hasattr(self, "box_"):
            raise NotFitted("POPS: not fitted yet, call fit(X, y) first")
