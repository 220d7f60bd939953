# SPDX-License-Identifier: GPL-2.0-or-later
"""Quantiles of the force error learned from the environment: opt-in, for atoms like the calibration atoms only.

    z  = (D_i, log(|F_i| + 0.01), log(grade_i + 0.05), log(G_i + 0.05)), each component less its mean and over its spread
    o  = W3 silu(W2 silu(W1 z + c1) + c2) + c3
    log q_1 = o_1,   log q_k = log q_(k-1) + softplus(o_k)          so that levels never cross
    bar_k = largest over j <= k of  factor_j min(max(q_j, lower_j), upper_j)

W and c by the pinball loss on log(|error| + 0.005), frames with equal weights; a quantile of the logarithm is the logarithm
of the quantile, and the errors span orders of magnitude.  lower and upper are the range of q over the training atoms: beyond
it a network extrapolates at will.  The factors are conformal ones of frames that had no part in the training
(`lmp_uq.calibration.conformal`).  G is the grade of the neighbours; files before 0.2 hold networks of D and |F| only.  Where
grade > 1 the bar is that of a `ForceError`: measured, a learned quantile is the best bar in domain and the worst in new
chemistry, where its own confidence does not drop.

Method: Ho, Ortner, Wang, arXiv:2510.00721 (environment-dependent quantiles by pinball loss); pinball loss: R. Koenker,
G. Bassett, Econometrica 46, 33 (1978); conformal step: Y. Romano, E. Patterson, E. Candes, NeurIPS 32 (2019).  Inference is
numpy; only the training uses torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lmp_uq.calibration.conformal import block_weights, conformal_quantile, enough_blocks
from lmp_uq.calibration.dense_layers import (
    HIDDEN,
    LAYER_NAMES,
    N_LAYERS,
    apply_layers,
    checked_layers,
    first_layers,
    layer_shapes,
    mean_and_scale,
)
from lmp_uq.calibration.force_error import ERROR_OFFSET, FORCE_OFFSET, GRADE_OFFSET, LEVEL, LEVELS
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError, needs_torch

SECTION = "calibration/quantile_network"
"""Of the tensors in a model file."""
N_VARIABLES = 3
"""Inputs beside the descriptor."""
MIN_FRAMES = 80
"""Measured: with fewer labelled frames a linear model ranks errors better than a network."""
PARTS = ("training", "stopping", "conformal")
SHARES = (0.60, 0.15)
"""Of the frames: for training, and for stopping it; the rest is for the conformal factors."""
MAX_EPOCHS = 200
PATIENCE = 20
BATCH = 1024
MAX_ATOMS = 100_000
"""Training atoms; of more a random choice is taken."""

TENSOR_NAMES = ("input_mean", "input_scale", *LAYER_NAMES, "lower", "upper", "factors")


def tensor_shapes(n_features: int, hidden: Sequence[int], n_levels: int, n_variables: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the stored arrays, all float64, by name; n_variables: inputs beside the descriptor."""
    ranges = {name: (n_levels,) for name in ("lower", "upper", "factors")}
    return layer_shapes(n_features + n_variables, hidden, n_levels) | ranges


@dataclass(frozen=True, eq=False)
class QuantileNetwork:
    """Learned quantiles of the norm of the force error.

    Parameters
    ----------
    levels : tuple of float
        Rising, L of them.
    arrays : dict of str to ndarray, float64
        Names and shapes as in `tensor_shapes`; lower and upper in the unit of the logarithm of eV/Angstrom, factors >= 0.
    n_variables : int
        Inputs beside the descriptor: 3, or 1 (the force) in files before 0.2.

    Raises
    ------
    UqError
        Arrays that are missing, of another shape or not finite; levels outside (0, 1) or not rising.
    """

    levels: tuple[float, ...]
    arrays: dict[str, np.ndarray]
    n_variables: int = N_VARIABLES

    def __post_init__(self) -> None:
        levels = tuple(float(level) for level in self.levels)
        if not levels or levels[0] <= 0 or levels[-1] >= 1 or np.any(np.diff(levels) <= 0):
            raise UqError(f"QuantileNetwork: levels={self.levels}, accepted are rising numbers between 0 and 1")
        if self.n_variables not in (1, N_VARIABLES):
            raise UqError(f"QuantileNetwork: n_variables is {self.n_variables!r}; accepted: 1 and {N_VARIABLES}")

        def shapes(n_inputs: int, hidden: Sequence[int]) -> dict[str, tuple[int, ...]]:
            return tensor_shapes(n_inputs - self.n_variables, hidden, len(levels), self.n_variables)

        arrays = checked_layers("QuantileNetwork", self.arrays, TENSOR_NAMES, shapes)
        if np.any(arrays["lower"] > arrays["upper"]) or np.any(arrays["factors"] < 0):
            raise UqError("QuantileNetwork: needs lower <= upper and factors >= 0")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "arrays", arrays)

    @property
    def n_features(self) -> int:
        """P, length of a descriptor."""
        return self.arrays["input_mean"].size - self.n_variables

    def quantiles(self, descriptors: ArrayLike, variables: ForceVariables) -> np.ndarray:
        """Bars of all levels, without hand-over.

        Parameters
        ----------
        descriptors : array_like, shape (n, P)
        variables : ForceVariables
            Of the n atoms, whose grades are finite.

        Returns
        -------
        ndarray, shape (n, L)
            eV/Angstrom, not falling along the levels.
        """
        arrays = self.arrays
        inside = np.clip(self._log_quantiles(descriptors, variables), arrays["lower"], arrays["upper"])
        # the factors of two levels may differ the other way round, so a bar is at least that of the level below
        return np.maximum.accumulate(arrays["factors"] * np.exp(inside), axis=1)

    def predict(
        self, descriptors: ArrayLike, variables: ForceVariables, fallback: Any, level: float = LEVEL, conservative: bool = False
    ) -> np.ndarray:
        """Bar of the force error.

        Parameters
        ----------
        descriptors : array_like, shape (n, P)
        variables : ForceVariables
        fallback : ForceError or ForceError1
            Gives the bar where grade > 1, and where that of the neighbours, if it is an input, is inf or NaN.
        level : float
            One of `levels`.
        conservative : bool
            Of the fallback; the network has no conservative factor.

        Returns
        -------
        ndarray, shape (n,)
            eV/Angstrom.

        Raises
        ------
        UqError
            A level that the network or the fallback does not have; descriptors of another length.
        """
        if level not in self.levels:
            known = ", ".join(f"{one:g}" for one in self.levels)
            raise UqError(f"learned quantile: level {level!r} was not trained; accepted: {known}")
        bars = np.array(fallback.predict(variables, conservative, level))
        mine_is = variables.grade <= 1.0
        if self.n_variables > 1:
            mine_is &= variables.graded()
        mine = self.quantiles(np.asarray(descriptors)[mine_is], variables.take(mine_is))
        bars[mine_is] = mine[:, self.levels.index(level)]
        return bars

    def conformalised(self, atoms: LabelledAtoms, descriptors: ArrayLike) -> QuantileNetwork:
        """The same network with conformal factors from labelled atoms that had no part in its training.

        Raises
        ------
        UqError
            Fewer blocks (frames) than a level needs.
        """
        if not enough_blocks(atoms.n_blocks, self.levels[-1]):
            raise UqError(f"learned quantile: {atoms.n_blocks} frames are too few for the factor of level {self.levels[-1]:g}")
        unit = replace(self, arrays=self.arrays | {"factors": np.ones(len(self.levels))})
        scores = atoms.error[:, None] / unit.quantiles(descriptors, atoms.variables)
        factors = [conformal_quantile(scores[:, k], level, atoms.blocks) for k, level in enumerate(self.levels)]
        return replace(self, arrays=self.arrays | {"factors": np.array(factors)})

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name: what a model file stores."""
        return dict(self.arrays)

    def header(self) -> dict:
        """What a model file's header says of the network."""
        hidden = [self.arrays[f"bias_{k}"].size for k in range(len(HIDDEN))]
        return {"levels": list(self.levels), "n_features": self.n_features, "n_variables": self.n_variables, "hidden": hidden}

    @classmethod
    def from_tensors(cls, header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> QuantileNetwork:
        """Inverse of `header` and `tensors`; further entries are ignored.  UqError if one is missing or does not fit."""
        if "levels" not in header:
            raise UqError("QuantileNetwork: the header entry has no levels")
        arrays = {name: tensors[name] for name in TENSOR_NAMES if name in tensors}
        return cls(tuple(header["levels"]), arrays, header.get("n_variables", 1))

    def _log_quantiles(self, descriptors: ArrayLike, variables: ForceVariables) -> np.ndarray:
        x = inputs(descriptors, variables, self.n_variables)
        if x.shape[1] != self.arrays["input_mean"].size:
            raise UqError(f"learned quantile: descriptors have length {x.shape[1] - self.n_variables}, accepted: {self.n_features}")
        return log_quantiles(self.arrays, (x - self.arrays["input_mean"]) / self.arrays["input_scale"])


def log_quantiles(arrays: Mapping[str, np.ndarray], z: np.ndarray) -> np.ndarray:
    """(n, L) log q of scaled inputs, neither clamped nor calibrated."""
    z = apply_layers(arrays, z)
    return np.cumsum(np.concatenate([z[:, :1], np.logaddexp(0.0, z[:, 1:])], axis=1), axis=1)


def inputs(descriptors: ArrayLike, variables: ForceVariables, n_variables: int = N_VARIABLES) -> np.ndarray:
    """(n, P + n_variables): descriptors, log(|F| + 0.01) and, of three, log(grade + 0.05) and log(G + 0.05)."""
    descriptors = np.asarray(descriptors, dtype=np.float64)
    if descriptors.ndim != 2 or len(variables) != len(descriptors):
        raise UqError(f"learned quantile: descriptors {descriptors.shape} and forces {variables.force.shape}; accepted: (n, P) and (n,)")
    columns = [variables.force + FORCE_OFFSET, variables.grade + GRADE_OFFSET, variables.neighbours + GRADE_OFFSET]
    return np.concatenate([descriptors, *(np.log(column)[:, None] for column in columns[:n_variables])], axis=1)


def train_quantile_network(
    atoms: LabelledAtoms, descriptors: ArrayLike, *, levels: Sequence[float] = LEVELS, seed: int = 0, max_epochs: int = MAX_EPOCHS
) -> tuple[QuantileNetwork, dict[str, Any]]:
    """Train, stop early and conformalise, each on frames of its own.

    Parameters
    ----------
    atoms : LabelledAtoms
        Of finite grades; a block (frame) is in one of the three parts only.
    descriptors : array_like, shape (n, P)
    levels : tuple of float
    seed : int
        Of the split, the first weights and the order of the batches.
    max_epochs : int

    Returns
    -------
    network : QuantileNetwork
    report : dict
        n_frames of the three parts, epochs, and held_out: (n,) bool, atoms of the conformal part.

    Raises
    ------
    UqError
        Fewer than `MIN_FRAMES` frames.
    """
    x, levels, rng = inputs(descriptors, atoms.variables), tuple(levels), np.random.default_rng(seed)
    fit, stop, check = parts = _split(atoms.blocks, rng)
    mean, spread = mean_and_scale(x[fit])
    z, target, weights = (x - mean) / spread, np.log(atoms.error + ERROR_OFFSET), block_weights(atoms.blocks, len(atoms.error))
    known, judge = ((z[part], target[part], weights[part]) for part in (fit, stop))
    layers, epochs = _train(known, judge, levels, rng, max_epochs)
    found = log_quantiles(layers, z[fit])
    arrays = layers | {"input_mean": mean, "input_scale": spread, "factors": np.ones(len(levels))}
    arrays |= {"lower": found.min(axis=0), "upper": found.max(axis=0)}
    network = QuantileNetwork(levels, arrays).conformalised(atoms.take(check), np.asarray(descriptors)[check])
    counts = [len(np.unique(atoms.blocks[part])) for part in parts]
    return network, {"n_frames": dict(zip(PARTS, counts, strict=True)), "epochs": epochs, "held_out": check}


def _split(blocks: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Masks of the atoms for training, for stopping it and for the conformal factors; whole frames."""
    frames = np.unique(blocks)
    if len(frames) < MIN_FRAMES:
        raise UqError(
            f"learned quantile: {len(frames)} frames with force labels; accepted: {MIN_FRAMES} or more, with fewer a network does worse "
            "than force_error without it"
        )
    cuts = np.round(np.cumsum(SHARES) * len(frames)).astype(int)
    return [np.isin(blocks, part) for part in np.split(rng.permutation(frames), cuts)]


def _train(
    fit: Sequence[np.ndarray], stop: Sequence[np.ndarray], levels: Sequence[float], rng: np.random.Generator, max_epochs: int
) -> tuple[dict[str, np.ndarray], int]:
    """Layers with the smallest loss on the frames for stopping, as arrays, and the number of epochs they took.

    fit, stop: (z, target, weights) of atoms.
    """
    with needs_torch("the training of a learned quantile"):
        import torch

    z, target, weights = fit
    if len(z) > MAX_ATOMS:
        chosen = rng.choice(len(z), MAX_ATOMS, replace=False)
        z, target, weights = z[chosen], target[chosen], weights[chosen]
    known, judge = ([torch.from_numpy(np.ascontiguousarray(a)) for a in part] for part in ((z, target, weights), stop))
    layers = _first_layers(z.shape[1], target, levels, rng)
    parameters = {name: torch.from_numpy(array).requires_grad_() for name, array in layers.items()}
    optimiser = torch.optim.AdamW(parameters.values(), lr=1e-3, weight_decay=1e-4)
    best, best_loss, best_epoch = {name: array.copy() for name, array in layers.items()}, np.inf, 0
    for epoch in range(1, max_epochs + 1):
        for batch in np.array_split(rng.permutation(len(z)), -(-len(z) // BATCH)):
            optimiser.zero_grad()
            _pinball(parameters, [a[torch.from_numpy(batch)] for a in known], levels).backward()
            optimiser.step()
        with torch.no_grad():
            loss = float(_pinball(parameters, judge, levels))
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best = {name: p.detach().numpy().copy() for name, p in parameters.items()}
        if epoch - best_epoch >= PATIENCE:
            break
    return best, best_epoch


def _first_layers(width: int, target: np.ndarray, levels: Sequence[float], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random layers that start at the quantiles of all atoms together."""
    layers = first_layers(width, len(levels), rng)
    quantiles = np.quantile(target, levels)
    steps = np.maximum(np.diff(quantiles), 1e-3)
    layers[f"bias_{N_LAYERS - 1}"] = np.concatenate([quantiles[:1], np.log(np.expm1(steps))])
    return layers


def _pinball(parameters: Mapping[str, Any], atoms: Sequence[Any], levels: Sequence[float]) -> Any:
    """Weighted mean of max(t u, (t - 1) u) over atoms and levels t, with u = target - log q; `log_quantiles` in torch."""
    import torch
    from torch.nn.functional import silu, softplus

    z, target, weights = atoms
    z = apply_layers(parameters, z, silu)
    found = torch.cumsum(torch.cat([z[:, :1], softplus(z[:, 1:])], dim=1), dim=1)
    excess, level = target[:, None] - found, torch.tensor(levels, dtype=z.dtype)
    return (weights[:, None] * torch.maximum(level * excess, (level - 1.0) * excess)).sum() / (weights.sum() * len(levels))
