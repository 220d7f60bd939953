# SPDX-License-Identifier: GPL-2.0-or-later
"""From labelled frames to a P-readout, and what it is worth beside POPS in groups that it saw and in groups that it did not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from lmp_uq.errors import UqError, argument
from lmp_uq.frames.frame import Frame
from lmp_uq.metrics.crps import fair_crps, spread_skill
from lmp_uq.modelfile.header import PReadoutEntry
from lmp_uq.modelfile.source import BackboneSource
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.p_readout import HAND_OVER, PReadout
from lmp_uq.posterior.p_readout_training import NOISE, ReadoutFrame, train_p_readout
from lmp_uq.quantities import ENERGY, FORCES
from lmp_uq.rows.rows import Predictions

P_READOUT = "p-readout"
POSTERIORS = ("pops", P_READOUT)
"""Words of ``--posterior``."""
N_FRAMES, N_JUDGED, N_ROWS = 480, 60, 10
"""Frames to train on, a sixth of which stops the training; frames of a group that are judged; force rows of each."""
MOST_NUMBERS = 1 << 28
"""Derivatives in memory at once, 1 GB in float32: of large frames or many descriptors fewer frames are taken."""
SEEDS = 3
JUDGES = 16
"""Members by which a readout is judged."""
KEPT_BACK = "frames kept back"
"""Group of those frames of the training groups that stopped the training, in reports."""
VANISHING = 1e-3
"""eV/Angstrom: force and error below it vanish by symmetry."""


@dataclass
class Trained:
    """A P-readout with its story: `seeds` has a row for each training, `groups` the figures of each group."""

    readout: PReadout
    seeds: list[dict[str, float]]
    groups: dict[str, dict[str, Any]]
    n_frames: int

    def to_dict(self) -> dict[str, Any]:
        """What is reported."""
        return {"trainings": self.seeds, "groups": self.groups, "n_frames": self.n_frames}

    def entry(self) -> PReadoutEntry:
        """What the header says of it."""
        length, width = self.readout.weight.shape
        sizes = {"n_features": width, "hidden": length, "n_members": self.readout.n_members, "hand_over": HAND_OVER, "noise": NOISE}
        return PReadoutEntry(**sizes, **self.to_dict())


def fit_p_readout(
    source: BackboneSource, box: Box, data: Sequence[Frame], calibration: Sequence[Frame], *, offsets: np.ndarray, streams: Any,
    backbone: Any, options: Any, everyone: Ranks,
) -> Trained:
    """Train on frames of the posterior, and judge on them and on those of the calibration.

    Parameters
    ----------
    source, box : BackboneSource, Box
        The model, and the posterior of POPS beside which it stands.
    data, calibration : list of Frame
    offsets : (Z,) array
        As `Stream.offsets`.
    streams : lmp_uq.fitting.streams.FitStreams
    backbone : Backbone
    options : FitOptions
    everyone : Ranks

    Raises
    ------
    UqError
        As `train_p_readout`; frames whose model or labels are not finite.
    """
    most_atoms = MOST_NUMBERS / (N_ROWS * backbone.n_features)
    learned, judges = chosen(data, N_FRAMES, options.seed, most_atoms), chosen_of_groups(calibration, options.seed, most_atoms)
    found = []
    for what, mine in (("frames of the P-readout", learned), ("frames that judge it", judges)):
        stream = streams.stream(source, backbone, mine, what, N_ROWS, of_atoms=True)
        stream.offsets = offsets
        found.append(readout_frames(stream.whole()))
    n_members = max(options.n_members, options.n_force_members)
    readout, seeds = train_seeds(found[0], n_members, options.seed, everyone)
    thetas = box.sample(JUDGES, np.random.default_rng([options.seed, 1]))
    _, back = kept_back(found[0], options.seed)
    kept = judge(readout, thetas, [replace(one, group=KEPT_BACK) for one in back], {KEPT_BACK})
    groups = kept | judge(readout, thetas, found[1], {frame.group for frame in data})
    return Trained(readout, seeds, groups, len(found[0]))


def chosen(frames: Sequence[Frame], count: int, seed: int, most_atoms: float) -> list[Frame]:
    """At most so many frames with force labels and atoms in all, drawn at random, in their order; one at least, where there is any."""
    usable = [frame for frame in frames if frame.forces is not None]
    draws = np.random.default_rng([seed, 2]).permutation(len(usable))[:count]
    n = max(int(np.searchsorted(np.cumsum([len(usable[k].atoms) for k in draws]), most_atoms, side="right")), 1)
    return [usable[k] for k in sorted(draws[:n])]


def chosen_of_groups(frames: Sequence[Frame], seed: int, most_atoms: float) -> list[Frame]:
    """`chosen` of each group."""
    groups = dict.fromkeys(frame.group for frame in frames)
    parts = [[frame for frame in frames if frame.group == group] for group in groups]
    return [one for part in parts for one in chosen(part, N_JUDGED, seed, most_atoms / len(groups))]


def require_left_out(data: Sequence[Frame], calibration: Sequence[Frame]) -> None:
    """Refuse labels of which no group is left out.

    Raises
    ------
    UqError
        No posterior frame has forces; no calibration frame with forces is of a group that the posterior frames lack.
    """
    known = {frame.group for frame in data}
    if all(frame.forces is None for frame in data):
        raise UqError(f"{argument('posterior', P_READOUT)}: {argument('data')} has no force labels; accepted: frames with forces")
    if any(frame.group not in known and frame.forces is not None for frame in calibration):
        return
    found = f"{len(calibration)} frames, all of groups that {argument('data')} holds" if calibration else "no frames"
    raise UqError(
        f"{argument('posterior', P_READOUT)}: {argument('calibration')} has {found}; accepted: frames with force labels of at least one "
        f"group that {argument('data')} does not hold, for such a posterior is far too narrow beyond known ground and has to be seen there"
    )


def readout_frames(parts: Iterable[Predictions]) -> list[ReadoutFrame]:
    """Frames with force labels of predictions with `of_atoms`."""
    return [one for part in parts for one in _frames_of(part)]


def _frames_of(part: Predictions) -> list[ReadoutFrame]:
    rows, out = part.rows, []
    for k, frame in enumerate(part.frames):
        mine = rows.select(rows.frames == k)
        force, energy = mine.kinds == FORCES.row, mine.kinds == ENERGY.row
        if not force.any():
            continue
        atoms = mine.components[force] // 3
        labels, model = np.asarray(frame.forces)[atoms], part.forces[k][atoms]
        quiet = (np.linalg.norm(model, axis=1) < VANISHING) & (np.linalg.norm(labels - model, axis=1) < VANISHING)
        target = float(mine.targets[energy][0]) if energy.any() else np.nan
        of_energy = mine.features[energy] if energy.any() else np.full((1, mine.features.shape[1]), np.nan)
        features = np.concatenate([of_energy, mine.features[force]])
        slopes = (part.of_atoms or [])[k]
        out.append(ReadoutFrame(part.descriptors[k], slopes, mine.targets[force], target, frame.group, ~quiet, features))
    return out


def train_seeds(frames: Sequence[ReadoutFrame], n_members: int, seed: int, everyone: Ranks) -> tuple[PReadout, list[dict[str, float]]]:
    """Train with several seeds, which ranks share out; the readout that scores best on frames kept back, and all scores.

    Raises
    ------
    UqError
        As `train_p_readout`.
    """
    training, stopping = kept_back(frames, seed)
    mine = [(k, *train_p_readout(training, stopping, n_members, seed + k)) for k in range(SEEDS) if k % everyone.size == everyone.rank]
    found = sorted((one for rank in everyone.gather(mine) for one in rank), key=lambda one: one[0])
    best = min(found, key=lambda one: one[2]["loss"])
    return best[1], [{"seed": seed + k, "chosen": k == best[0]} | score for k, _, score in found]


def kept_back(frames: Sequence[ReadoutFrame], seed: int) -> tuple[list[ReadoutFrame], list[ReadoutFrame]]:
    """Frames for training, and a sixth that stops it."""
    order = np.random.default_rng([seed, 3]).permutation(len(frames))
    n = -(-len(frames) // 6)
    return [frames[k] for k in sorted(order[n:])], [frames[k] for k in sorted(order[:n])]


def judge(
    readout: PReadout, thetas: np.ndarray, frames: Sequence[ReadoutFrame], known: set[str], by_size: bool = False
) -> dict[str, dict[str, Any]]:
    """`figures` of the force components of each group, of a P-readout and of members (K, P') of POPS.

    by_size: a component stands for as many as its frame has; False: frames count alike.

    Returns
    -------
    dict
        By group: known, n_frames, n, mae (eV/Angstrom) and p_readout and pops, with crps (eV/Angstrom), spread_skill and spearman;
        energies: the same of the energies per atom (eV/atom), where there are.
    """
    out: dict[str, dict[str, Any]] = {}
    for group in dict.fromkeys(one.group for one in frames):
        mine = [one for one in frames if one.group == group]
        errors = np.concatenate([one.forces[one.telling] for one in mine])
        entry: dict[str, Any] = {"known": group in known, "n_frames": len(mine), "n": len(errors)}
        if not len(errors):
            continue
        learned = [readout.force_rows(one.descriptors, one.derivatives[one.telling], min(JUDGES, readout.n_members)) for one in mine]
        linear = [thetas @ one.linear[1:][one.telling].T for one in mine]
        weights = np.concatenate([np.full(one.telling.sum(), len(one.descriptors) / len(one.forces) if by_size else 1.0) for one in mine])
        out[group] = entry | _beside(errors, np.concatenate(learned, axis=1), np.concatenate(linear, axis=1), weights)
        labelled = [one for one in mine if np.isfinite(one.energy)]
        if labelled:
            means = [readout.total_energies(one.descriptors, min(JUDGES, readout.n_members)) / len(one.descriptors) for one in labelled]
            energies = np.array([one.energy for one in labelled])
            out[group]["energies"] = _beside(energies, np.transpose(means), thetas @ np.array([one.linear[0] for one in labelled]).T, None)
    return out


def _beside(errors: np.ndarray, learned: np.ndarray, linear: np.ndarray, weights: np.ndarray | None) -> dict[str, Any]:
    found = {name: figures(members, errors, weights) for name, members in (("p_readout", learned), ("pops", linear))}
    return {"mae": float(np.average(np.abs(errors), weights=weights)), **found}


def figures(members: np.ndarray, errors: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float | None]:
    """What members (K, n) of corrections are worth for errors (n,) of the model, in their unit.

    Returns
    -------
    dict
        crps: mean fair CRPS; spread_skill; spearman: of the root mean square about the model and the absolute error, None where undefined.
    """
    std, size = np.sqrt(np.mean(members**2, axis=0)), np.abs(errors)
    ranked = len(errors) > 2 and np.ptp(std) > 0 and np.ptp(size) > 0
    rho = float(spearmanr(std, size).statistic) if ranked else None
    score = float(np.average(fair_crps(members, errors), weights=weights))
    return {"crps": score, "spread_skill": spread_skill(members, errors, weights), "spearman": rho}
