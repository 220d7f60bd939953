# SPDX-License-Identifier: GPL-2.0-or-later
"""How the classifier of frames is trained, and what it is worth on frames and in groups that it did not see."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmp_uq.calibration.dense_layers import mean_and_scale
from lmp_uq.calibration.probe import SIZES, Functions, Probe, logits_and_importance, tensor_shapes
from lmp_uq.errors import UqError, needs_torch
from lmp_uq.metrics.bars import auroc

MIN_FRAMES = 80
"""Independent ones with energies: with fewer there is nothing to judge the classifier on."""
SHARES = {"training": 0.70, "stopping": 0.15, "held_out": 0.15}
"""Of the frames."""
MAX_ATOMS = 500
"""Of a frame of the training, whose cost goes with the square."""
MAX_FOLDS = 8
"""Trainings for groups left out; of more groups several are left out together."""
MAX_EPOCHS = 100
PATIENCE = 12
BATCH = 32
RATE, DECAY, DROPOUT, LARGEST_GRADIENT = 1e-3, 1e-4, 0.1, 1.0


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """Frames with an energy label; all lists and arrays have length n.

    descriptors : (N, P) of each; error : |E_model - E_reference| / N, eV/atom; groups : label of each; blocks : independent block of
    each, equal frames are one; signals : what else may tell a good frame from a bad one, (n,) by name.
    """

    descriptors: Sequence[np.ndarray]
    error: np.ndarray
    groups: np.ndarray
    blocks: np.ndarray
    signals: Mapping[str, np.ndarray]

    def take(self, mask: np.ndarray) -> LabelledFrames:
        """The frames where mask is true."""
        chosen = np.flatnonzero(mask).tolist()
        signals = {name: values[chosen] for name, values in self.signals.items()}
        return LabelledFrames([self.descriptors[k] for k in chosen], self.error[chosen], self.groups[chosen], self.blocks[chosen], signals)


def calibrate_probe(frames: LabelledFrames, seed: int = 0, max_epochs: int = MAX_EPOCHS) -> Probe:
    """Train the classifier, and judge it on frames and in groups that had no part in it.

    Parameters
    ----------
    frames : LabelledFrames
    seed : int
        Of the splits, the first weights, the order of the batches and the dropout.
    max_epochs : int

    Returns
    -------
    Probe
        Its figures: n_frames of the three parts, n_too_large, epochs; held_out: as `worth`; groups_left_out: {group: the same}, each by
        a classifier with a boundary of its own that no frame of the group shaped, empty with one group.

    Raises
    ------
    UqError
        Fewer than 80 independent frames with energies; errors of the training frames that are all on one side of their median.
    """
    small = np.array([len(one) <= MAX_ATOMS for one in frames.descriptors], bool)
    taken = frames.take(small)
    n_blocks = len(np.unique(taken.blocks))
    if n_blocks < MIN_FRAMES:
        raise UqError(
            f"classifier probe: {n_blocks} independent frames with energies and at most {MAX_ATOMS} atoms; accepted: {MIN_FRAMES} or more"
        )
    rng = np.random.default_rng(seed)
    parts = dict(zip(SHARES, split(taken.blocks, tuple(SHARES.values()), rng), strict=True))
    probe, epochs = train_probe(taken.take(parts["training"]), taken.take(parts["stopping"]), seed, max_epochs)
    figures = {"n_frames": {name: int(mask.sum()) for name, mask in parts.items()}, "n_too_large": int((~small).sum()), "epochs": epochs}
    figures["held_out"] = worth(probe, taken.take(parts["held_out"]))
    figures["groups_left_out"] = _groups_left_out(taken, seed, max_epochs)
    return replace(probe, figures=figures)


def worth(probe: Probe, frames: LabelledFrames) -> dict:
    """What a classifier is worth on frames.

    Returns
    -------
    dict
        n; unreliable: share of frames above its boundary; majority: share of the larger class, the accuracy of a constant answer;
        accuracy at probability 0.5; auroc of the classifier, and signals: {name: auroc}; None where all frames are of one class.
    """
    bad = frames.error > probe.boundary
    doubt = np.array([1.0 - probe.assess(one)[0] for one in frames.descriptors])
    share = float(bad.mean()) if len(bad) else None
    figures = {"n": len(bad), "unreliable": share, "majority": None if share is None else max(share, 1.0 - share)}
    figures["accuracy"] = float(np.mean((doubt > 0.5) == bad)) if len(bad) else None
    return figures | {"auroc": auroc(doubt, bad), "signals": {name: auroc(values, bad) for name, values in frames.signals.items()}}


def split(blocks: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Masks of the frames of each part; a block is in one part only."""
    labels = rng.permutation(np.unique(blocks))
    cuts = np.round(np.cumsum(shares)[:-1] * len(labels)).astype(int)
    return [np.isin(blocks, part) for part in np.split(labels, cuts)]


def _groups_left_out(frames: LabelledFrames, seed: int, max_epochs: int) -> dict[str, dict[str, Any] | None]:
    labels = np.unique(frames.groups)
    if len(labels) < 2:
        return {}
    out: dict[str, dict[str, Any] | None] = {}
    for fold in range(min(MAX_FOLDS, len(labels))):
        mine = labels[fold :: min(MAX_FOLDS, len(labels))]
        # a frame that stands in several groups is not new to the others
        away = np.isin(frames.blocks, np.unique(frames.blocks[np.isin(frames.groups, mine)]))
        others, rng = frames.take(~away), np.random.default_rng([seed, fold + 1])
        try:
            training, stopping = split(others.blocks, (0.85, 0.15), rng)
            probe, _ = train_probe(others.take(training), others.take(stopping), seed, max_epochs)
        except UqError:
            out |= {str(group): None for group in mine}
            continue
        out |= {str(group): worth(probe, frames.take(frames.groups == group)) | {"boundary": probe.boundary} for group in mine}
    return dict(sorted(out.items()))


def train_probe(training: LabelledFrames, stopping: LabelledFrames, seed: int = 0, max_epochs: int = MAX_EPOCHS) -> tuple[Probe, int]:
    """Train on some frames, and keep the weights that are best on others.

    Returns
    -------
    probe : Probe
    epochs : int
        That it took.

    Raises
    ------
    UqError
        No frames, or training errors none of which is above their median: there is one class only.
    """
    if not len(training.error) or not len(stopping.error):
        raise UqError(f"classifier probe: {len(training.error)} frames for training and {len(stopping.error)} for stopping it")
    boundary = float(np.median(training.error))
    n_bad = int(np.sum(training.error > boundary))
    if not 0 < n_bad < len(training.error) or not boundary > 0:
        raise UqError(
            f"classifier probe: {n_bad} of {len(training.error)} training frames have an energy error above the median of "
            f"{boundary:.3g} eV/atom, so that there is one class only; accepted: frames with errors that differ"
        )
    mean, scale = mean_and_scale(np.concatenate(training.descriptors))
    fit, stop = ([((one - mean) / scale).astype(np.float32) for one in part.descriptors] for part in (training, stopping))
    targets = [(part.error > boundary).astype(np.float32) for part in (training, stopping)]
    layers, epochs = _train(fit, stop, targets, seed, max_epochs)
    return Probe(boundary, SIZES["heads"], layers | {"input_mean": mean, "input_scale": scale}), epochs


def _train(
    fit: Sequence[np.ndarray], stop: Sequence[np.ndarray], targets: Sequence[np.ndarray], seed: int, max_epochs: int
) -> tuple[dict[str, np.ndarray], int]:
    """Arrays with the smallest loss on the frames for stopping, and the number of epochs they took."""
    with needs_torch("the training of a classifier"):
        import torch

    parameters = {name: torch.tensor(array, dtype=torch.float32).requires_grad_() for name, array in _first(fit[0].shape[1], seed).items()}
    optimiser = torch.optim.AdamW(parameters.values(), lr=RATE, weight_decay=DECAY)
    rng, draw = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    training, answering = functions(draw), functions(None)
    best, best_loss, best_epoch = _copied(parameters), np.inf, 0
    for epoch in range(1, max_epochs + 1):
        for batch in batches([len(one) for one in fit], rng):
            optimiser.zero_grad()
            _loss(parameters, [fit[k] for k in batch], targets[0][batch], training).backward()
            torch.nn.utils.clip_grad_norm_(parameters.values(), LARGEST_GRADIENT)
            optimiser.step()
        with torch.no_grad():
            parts = batches([len(one) for one in stop], None)
            loss = sum(float(_loss(parameters, [stop[k] for k in part], targets[1][part], answering)) * len(part) for part in parts)
        if loss < best_loss:
            best, best_loss, best_epoch = _copied(parameters), loss, epoch
        if epoch - best_epoch >= PATIENCE:
            break
    return best, best_epoch


def _copied(parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: parameter.detach().numpy().astype(np.float64) for name, parameter in parameters.items()}


def _first(n_features: int, seed: int) -> dict[str, np.ndarray]:
    """Random weights of variance 1 / fan-in, gains 1, the rest 0; of each array by its name, so that one more changes no other."""
    arrays = {}
    for name, shape in tensor_shapes(n_features, SIZES["hidden"], SIZES["width"]).items():
        if name.startswith("input_"):
            continue
        arrays[name] = np.full(shape, 1.0 if name.endswith("_gain") else 0.0)
        if name.endswith("_weight"):
            arrays[name] = np.random.default_rng([seed, zlib.crc32(name.encode())]).normal(size=shape) / np.sqrt(shape[1])
    return arrays


def functions(draw: Any) -> Functions:
    """torch's names of what `lmp_uq.calibration.probe` needs; draw: generator of the dropout, None: without."""
    import torch

    def drop(x: Any) -> Any:
        kept = torch.rand(x.shape, generator=draw) >= DROPOUT if draw is not None else 1.0
        return x * kept / (1.0 - DROPOUT) if draw is not None else x

    return Functions(torch.nn.functional.gelu, lambda x: torch.softmax(x, -1), torch.where, torch.amax, torch.cat, drop)


def batches(sizes: Sequence[int], rng: np.random.Generator | None) -> list[np.ndarray]:
    """Numbers of the frames of each batch, frames of like size together; shuffled, unless rng is None."""
    noise = 0.0 if rng is None else rng.uniform(-0.3, 0.3, len(sizes))
    order = np.argsort(np.log(sizes) + noise, kind="stable")
    found = np.array_split(order, -(-len(order) // BATCH))
    return found if rng is None else [found[k] for k in rng.permutation(len(found))]


def padded(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(B, N, P) frames with zeros where there is no atom, and (B, N) where there is one."""
    longest = max(map(len, frames))
    z = np.zeros((len(frames), longest, frames[0].shape[1]), frames[0].dtype)
    present = np.arange(longest) < np.array([len(one) for one in frames])[:, None]
    z[present] = np.concatenate(frames)
    return z, present


def _loss(parameters: Mapping[str, Any], frames: Sequence[np.ndarray], targets: np.ndarray, f: Functions) -> Any:
    """Mean over the frames of cross-entropy / sqrt(N)."""
    import torch

    z, present = map(torch.from_numpy, padded(frames))
    logits, _ = logits_and_importance(parameters, z, present, SIZES["heads"], f)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(targets), reduction="none")
    return (entropy / present.sum(1) ** 0.5).mean()
