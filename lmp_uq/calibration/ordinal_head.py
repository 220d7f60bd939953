# SPDX-License-Identifier: GPL-2.0-or-later
"""Probability that the force error of an atom exceeds thresholds, learned from its environment: opt-in, for known ground only.

    o  = dense layers (`lmp_uq.calibration.dense_layers`) of D_i, log(|F_i| + 0.01), log(grade_i + 0.05), log(G_i + 0.05)
    P(error > t_k) = sigmoid(logit_k),   logit_1 = o_1,   logit_k = logit_(k-1) - softplus(o_k)

so that P falls with the threshold.  Cross-entropy of all thresholds, every group with weight 1, its frames equal shares; atoms of
grade <= 1 whose force does not vanish by symmetry.  Where grade > 1 the answer is that of `ForceError.probability`: measured, such
a network is the best signal on known ground, and without |F| and the grade worse than a coin in an unseen alloy.

Inference is numpy; only the training uses torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from lmp_uq.calibration.conformal import split_by_group
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
from lmp_uq.calibration.force_error import ForceError
from lmp_uq.calibration.force_error_fit import fit_force_error
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.calibration.quantile_network import N_VARIABLES, inputs
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.errors import UqError, needs_torch
from lmp_uq.metrics.bars import auroc

SECTION = "calibration/ordinal"
"""Of the tensors in a model file."""
THRESHOLDS = (0.1, 0.3, 1.0)
"""eV/Angstrom, of a new head."""
TENSOR_NAMES = ("input_mean", "input_scale", *LAYER_NAMES)
MIN_FRAMES = 80
SHARE = 1.0 / 6.0
"""Of the frames, for stopping."""
EPOCHS, RATE, BATCH = 20, 2e-3, 1024
MAX_ATOMS = 100_000
"""Training atoms; of more a random choice is taken."""


def tensor_shapes(n_features: int, hidden: Sequence[int], n_thresholds: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the stored arrays, all float64, by name."""
    return layer_shapes(n_features + N_VARIABLES, hidden, n_thresholds)


@dataclass(frozen=True, eq=False)
class OrdinalHead:
    """Learned probabilities that the force error exceeds thresholds.

    Parameters
    ----------
    thresholds : tuple of float
        Rising, above 0, eV/Angstrom; K of them.
    arrays : dict of str to ndarray, float64
        Names and shapes as in `tensor_shapes`.
    figures : dict
        How it was trained and what it is worth, ready for JSON.

    Raises
    ------
    UqError
        Arrays that are missing, of another shape or not finite; thresholds that do not rise.
    """

    thresholds: tuple[float, ...]
    arrays: dict[str, np.ndarray]
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        thresholds = tuple(float(t) for t in self.thresholds)
        if not thresholds or thresholds[0] <= 0 or np.any(np.diff(thresholds) <= 0) or not np.isfinite(thresholds).all():
            raise UqError(f"OrdinalHead: thresholds={self.thresholds}; accepted: rising numbers above 0, eV/Angstrom")

        def shapes(n_inputs: int, hidden: Sequence[int]) -> dict[str, tuple[int, ...]]:
            return tensor_shapes(n_inputs - N_VARIABLES, hidden, len(thresholds))

        arrays = checked_layers("OrdinalHead", self.arrays, TENSOR_NAMES, shapes)
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "arrays", arrays)

    @property
    def n_features(self) -> int:
        """P, length of a descriptor."""
        return self.arrays["input_mean"].size - N_VARIABLES

    @property
    def middle(self) -> float:
        """The threshold in the middle, eV/Angstrom."""
        return self.thresholds[len(self.thresholds) // 2]

    def probabilities(self, descriptors: ArrayLike, variables: ForceVariables) -> np.ndarray:
        """(n, K) P(error > t), falling along the thresholds, of atoms whose grades are finite; without hand-over."""
        x = inputs(descriptors, variables)
        if x.shape[1] != self.arrays["input_mean"].size:
            raise UqError(f"ordinal head: descriptors have length {x.shape[1] - N_VARIABLES}, accepted: {self.n_features}")
        outputs = apply_layers(self.arrays, (x - self.arrays["input_mean"]) / self.arrays["input_scale"])
        return expit(np.cumsum(np.concatenate([outputs[:, :1], -np.logaddexp(0.0, outputs[:, 1:])], axis=1), axis=1))

    def error_above(
        self,
        descriptors: ArrayLike,
        variables: ForceVariables,
        fallback: ForceError,
        threshold: float | None = None,
        conservative: bool = False,
    ) -> np.ndarray:
        """Probability that the force error exceeds a threshold.

        Parameters
        ----------
        descriptors : array_like, shape (n, P)
        variables : ForceVariables
        fallback : ForceError
            Answers where grade > 1, and where it or that of the neighbours is inf or NaN.
        threshold : float or None
            One of `thresholds`; None: the one in the middle.
        conservative : bool
            Of the fallback.

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        UqError
            A threshold that was not trained; descriptors of another length.
        """
        threshold = self.middle if threshold is None else threshold
        if threshold not in self.thresholds:
            known = ", ".join(f"{one:g}" for one in self.thresholds)
            raise UqError(f"reliability: threshold {threshold!r} was not trained; accepted: {known} eV/Angstrom")
        out = np.array(fallback.probability(variables, threshold, conservative))
        known = (variables.grade <= 1.0) & variables.graded()
        mine = self.probabilities(np.asarray(descriptors)[known], variables.take(known))
        out[known] = mine[:, self.thresholds.index(threshold)]
        return out

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name: what a model file stores."""
        return dict(self.arrays)

    def header(self) -> dict:
        """What a model file's header says of the head."""
        hidden = [self.arrays[f"bias_{k}"].size for k in range(len(HIDDEN))]
        return {"thresholds": list(self.thresholds), "n_features": self.n_features, "hidden": hidden, **self.figures}

    @classmethod
    def from_tensors(cls, header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> OrdinalHead:
        """Inverse of `header` and `tensors`.  UqError if one is missing or does not fit."""
        if "thresholds" not in header:
            raise UqError("OrdinalHead: the header entry has no thresholds")
        figures = {k: v for k, v in header.items() if k not in ("thresholds", "n_features", "hidden")}
        return cls(tuple(header["thresholds"]), dict(tensors), figures)


def calibrate_ordinal(atoms: LabelledAtoms, descriptors: ArrayLike, force_error: ForceError, seed: int = 0) -> OrdinalHead:
    """Train the head, and judge it in groups that had no part in it.

    Parameters
    ----------
    atoms : LabelledAtoms
    descriptors : array_like, shape (n, P)
    force_error : ForceError
        Of these atoms: what it is a function of is what it is compared with.
    seed : int
        Of the splits, the first weights and the order of the batches.

    Returns
    -------
    OrdinalHead
        Its figures: n_frames for training and stopping, epochs; held_out, of a sixth of the frames: n atoms, above: share of errors
        above the middle threshold, ordinal and error_above: AUROC of both for it, of the graded atoms whose force does not vanish by
        symmetry, from a head and a force_error of the other frames, None where these are too few; groups_left_out: {group: the same}.

    Raises
    ------
    UqError
        Fewer than 80 frames hold atoms of grade <= 1.
    """
    descriptors = np.asarray(descriptors, dtype=np.float64)
    head = train_ordinal_head(atoms, descriptors, seed=seed)
    frames = np.unique(atoms.blocks)
    held = np.isin(atoms.blocks, np.random.default_rng([seed, 1]).permutation(frames)[: round(SHARE * len(frames))])
    members = split_by_group(atoms.groups, len(atoms.error))
    with_correction = force_error.correction_slope > 0.0
    figures = {"held_out": _worth(atoms, descriptors, held, with_correction, seed)}
    left_out = members if len(members) > 1 else []
    figures["groups_left_out"] = {str(group): _worth(atoms, descriptors, mine, with_correction, seed) for group, mine in left_out}
    return replace(head, figures=head.figures | figures)


def _worth(atoms: LabelledAtoms, descriptors: np.ndarray, away: np.ndarray, with_correction: bool, seed: int) -> dict[str, Any] | None:
    """Figures of atoms that have no part in what answers; away: (n,) their mask."""
    # a frame that stands in several groups is not new to the others
    others = ~np.isin(atoms.blocks, np.unique(atoms.blocks[away]))
    mine = away & atoms.judged()
    try:
        fallback = fit_force_error(atoms.take(others), with_correction=with_correction)
        head = train_ordinal_head(atoms.take(others), descriptors[others], seed=seed)
    except UqError:
        return None
    variables, above = atoms.variables.take(mine), atoms.error[mine] > head.middle
    answers = {"ordinal": head.error_above(descriptors[mine], variables, fallback)}
    answers["error_above"] = fallback.probability(variables, head.middle)
    worth = {name: auroc(found, above) for name, found in answers.items()}
    return {"n": int(mine.sum()), "above": float(above.mean()) if len(above) else None} | worth


def train_ordinal_head(
    atoms: LabelledAtoms, descriptors: ArrayLike, *, thresholds: Sequence[float] = THRESHOLDS, seed: int = 0, epochs: int = EPOCHS
) -> OrdinalHead:
    """Train on some frames, and keep the weights that are best on the others.  Arguments and errors as of `calibrate_ordinal`."""
    known = (atoms.variables.grade <= 1.0) & atoms.judged()
    atoms, descriptors = atoms.take(known), np.asarray(descriptors)[known]
    frames, rng = np.unique(atoms.blocks), np.random.default_rng(seed)
    if len(frames) < MIN_FRAMES:
        raise UqError(
            f"classifier ordinal: {len(frames)} frames hold atoms of grade <= 1 with forces that do not vanish by symmetry; accepted: "
            f"{MIN_FRAMES} or more"
        )
    stop = np.isin(atoms.blocks, rng.permutation(frames)[: round(SHARE * len(frames))])
    x = inputs(descriptors, atoms.variables)
    mean, scale = mean_and_scale(x[~stop])
    z, above = (x - mean) / scale, (atoms.error[:, None] > np.array(thresholds)).astype(np.float64)
    learned_from, judge = ((z[part], above[part], atoms.take(part).weights()) for part in (~stop, stop))
    layers, best = _train(learned_from, judge, rng, epochs)
    n_frames = {"training": len(frames) - len(np.unique(atoms.blocks[stop])), "stopping": len(np.unique(atoms.blocks[stop]))}
    return OrdinalHead(tuple(thresholds), layers | {"input_mean": mean, "input_scale": scale}, {"n_frames": n_frames, "epochs": best})


def _train(
    fit: Sequence[np.ndarray], stop: Sequence[np.ndarray], rng: np.random.Generator, epochs: int
) -> tuple[dict[str, np.ndarray], int]:
    """Layers with the smallest loss on the frames for stopping, as arrays, and the number of epochs they took.

    fit, stop: (z, above, weights) of atoms.
    """
    with needs_torch("the training of a classifier"):
        import torch

    if len(fit[0]) > MAX_ATOMS:
        chosen = rng.choice(len(fit[0]), MAX_ATOMS, replace=False)
        fit = [a[chosen] for a in fit]
    layers = first_layers(fit[0].shape[1], fit[1].shape[1], rng)
    layers[f"bias_{N_LAYERS - 1}"] = _first_outputs(fit[1], fit[2])
    known, judge = ([torch.from_numpy(np.ascontiguousarray(a)) for a in part] for part in (fit, stop))
    parameters = {name: torch.from_numpy(array).requires_grad_() for name, array in layers.items()}
    optimiser = torch.optim.AdamW(parameters.values(), lr=RATE)
    best, best_loss, best_epoch = {name: array.copy() for name, array in layers.items()}, np.inf, 0
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(rng.permutation(len(fit[0])), -(-len(fit[0]) // BATCH)):
            optimiser.zero_grad()
            _entropy(parameters, *(a[torch.from_numpy(batch)] for a in known)).backward()
            optimiser.step()
        with torch.no_grad():
            loss = float(_entropy(parameters, *judge))
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best = {name: p.detach().numpy().copy() for name, p in parameters.items()}
    return best, best_epoch


def _first_outputs(above: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Outputs of the last layer that give the shares of all atoms together."""
    shares = np.clip(np.average(above, axis=0, weights=weights), 1e-3, 1.0 - 1e-3)
    logits = np.log(shares / (1.0 - shares))
    steps = np.maximum(-np.diff(logits), 1e-3)
    return np.concatenate([logits[:1], np.log(np.expm1(steps))])


def _entropy(parameters: Mapping[str, Any], z: Any, above: Any, weights: Any) -> Any:
    """Weighted mean over atoms and thresholds of the cross-entropy; `OrdinalHead.probabilities` in torch."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, silu, softplus

    outputs = apply_layers(parameters, z, silu)
    logits = torch.cumsum(torch.cat([outputs[:, :1], -softplus(outputs[:, 1:])], dim=1), dim=1)
    return (weights[:, None] * binary_cross_entropy_with_logits(logits, above, reduction="none")).sum() / (weights.sum() * above.shape[1])
