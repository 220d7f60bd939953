# SPDX-License-Identifier: GPL-2.0-or-later
"""How a P-readout is trained: fair CRPS of force components and energies, each over its root mean square.

The derivatives of the descriptors are given, so training is dense algebra: a pass through the model for each label, once, and none later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from lmp_uq.calibration.dense_layers import mean_and_scale
from lmp_uq.errors import UqError, needs_torch
from lmp_uq.metrics.crps import fair_crps
from lmp_uq.posterior.p_readout import PReadout

HIDDEN, NOISE = 64, 16
"""Hidden units, and random numbers that a member is made of."""
STEPS, BATCH, DRAWS, RATE = 3000, 16, 10, 3e-2
"""Of the training: steps, frames and members of a step, largest rate; it rises over the first twentieth and falls to zero as a cosine."""
DECAY, LARGEST_GRADIENT = 1e-3, 1.0
LOOKS = 15
"""How often the frames for stopping are looked at."""


@dataclass(frozen=True, eq=False)
class ReadoutFrame:
    """A labelled frame of N atoms with R force rows.

    Attributes
    ----------
    descriptors : (N, P) array
    derivatives : (R, N, P) float32 array, 1/Angstrom
        As `lmp_uq.rows.rows.Predictions.of_atoms`.
    forces : (R,) array, eV/Angstrom
        Label minus model.
    energy : float, eV/atom
        Label minus model; NaN without a label.
    group : str
    telling : (R,) bool array
        Rows of atoms whose force does not vanish by symmetry: the others are no merit of any bar.
    linear : (1 + R, P') array
        Features of the energy, with its bias columns, and of the force rows: for the posterior that is linear in them.
    """

    descriptors: np.ndarray
    derivatives: np.ndarray
    forces: np.ndarray
    energy: float
    group: str
    telling: np.ndarray
    linear: np.ndarray


class Scales(NamedTuple):
    """Root mean squares of what is learned: forces, eV/Angstrom, and energies, eV/atom."""

    forces: float
    energies: float

    @classmethod
    def of(cls, frames: Sequence[ReadoutFrame]) -> Scales:
        """UqError if there are no forces, or none that differs from the model's."""
        forces = np.concatenate([one.forces for one in frames] or [np.zeros(0)])
        energies = np.array([one.energy for one in frames])
        energies = energies[np.isfinite(energies)]
        force_scale = float(np.sqrt(np.mean(forces**2))) if len(forces) else 0.0
        if not force_scale > 0.0:
            found = "the training frames have no forces that differ from the model's"
            raise UqError(f"posterior p-readout: {found}; accepted: frames with force labels")
        return cls(force_scale, float(np.sqrt(np.mean(energies**2))) or 1.0 if len(energies) else 1.0)


def score(readout: PReadout, frames: Sequence[ReadoutFrame], scales: Scales, n_members: int = 16) -> dict[str, float]:
    """Fair CRPS of the first members: of forces (eV/Angstrom), of energies (eV/atom), and the sum of both over their scales, the loss."""
    forces = [fair_crps(readout.force_rows(one.descriptors, one.derivatives, n_members), one.forces) for one in frames]
    energies = [
        float(fair_crps(readout.total_energies(one.descriptors, n_members) / len(one.descriptors), one.energy))
        for one in frames
        if np.isfinite(one.energy)
    ]
    out = {"forces": float(np.mean(np.concatenate(forces))), "energies": float(np.mean(energies)) if energies else 0.0}
    return out | {"loss": out["forces"] / scales.forces + out["energies"] / scales.energies}


def train_p_readout(
    training: Sequence[ReadoutFrame], stopping: Sequence[ReadoutFrame], n_members: int, seed: int = 0, *, steps: int | None = None,
    noise: bool = True,
) -> tuple[PReadout, dict[str, float]]:
    """Train on some frames, and keep the weights that are best on others.

    Parameters
    ----------
    training, stopping : sequence of ReadoutFrame
    n_members : int
        That are drawn for the file.
    seed : int
        Of first weights, order of the frames and members.
    steps : int or None
        None: `STEPS`.
    noise : bool
        False: one corrector instead, all members alike.

    Returns
    -------
    readout : PReadout
    found : dict
        `score` on the frames for stopping, and the step.

    Raises
    ------
    UqError
        No frames, or as `Scales.of`; no torch.
    """
    if not training or not stopping:
        found = f"{len(training)} frames for training and {len(stopping)} for stopping it"
        raise UqError(f"posterior p-readout: {found}; accepted: 1 or more of each")
    scales = Scales.of(training)
    mean, scale = mean_and_scale(np.concatenate([one.descriptors for one in training]))
    draw = np.random.default_rng([seed, 1])
    z = draw.normal(size=(max(n_members, 16), NOISE)) * noise
    best, least = None, {"loss": np.inf, "step": 0.0}
    for step, arrays in _steps(training, mean, scale, scales, seed, steps or STEPS, noise):
        bias = arrays["bias"] + z @ arrays["noise"].T
        output, linear = scales.forces * arrays["output"], scales.forces * arrays["linear"]
        readout = PReadout(mean, scale, arrays["weight"], output, linear, bias)
        now = score(readout, stopping, scales)
        if now["loss"] < least["loss"]:
            best, least = readout, now | {"step": float(step)}
    if best is None:
        raise UqError("posterior p-readout: the training gave numbers that are not finite; look at the labels")
    return PReadout(**best.tensors() | {"member_bias": best.member_bias[:n_members]}), least


def _steps(
    training: Sequence[ReadoutFrame], mean: np.ndarray, scale: np.ndarray, scales: Scales, seed: int, steps: int, noise: bool
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield (step, arrays) now and then; arrays by name, of energies in units of the force scale."""
    with needs_torch("the training of a P-readout"):
        import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # arrays are small: threads would wait for each other; and the bits are those of any machine's share
    try:
        yield from _looks(training, mean, scale, scales, seed, steps, noise)
    finally:
        torch.set_num_threads(before)


def _looks(
    training: Sequence[ReadoutFrame], mean: np.ndarray, scale: np.ndarray, scales: Scales, seed: int, steps: int, noise: bool
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    import torch

    rng, random = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    parameters = {k: torch.tensor(v, dtype=torch.float32).requires_grad_() for k, v in _first(len(mean), rng).items()}
    optimiser = torch.optim.AdamW(parameters.values(), lr=RATE, weight_decay=DECAY)
    looks = set(np.linspace(0, steps, LOOKS + 1).astype(int)[1:].tolist())
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, step / (0.05 * steps)) * 0.5 * (1.0 + np.cos(np.pi * step / steps))
        chosen = [training[k] for k in rng.integers(len(training), size=min(BATCH, len(training)))]
        optimiser.zero_grad()
        _loss(parameters, _Batch.of(chosen, mean, scale, scales), noise * torch.randn(DRAWS, NOISE, generator=random)).backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), LARGEST_GRADIENT)
        optimiser.step()
        if step in looks:
            arrays = {name: one.detach().numpy().astype(np.float64) for name, one in parameters.items()}
            if all(np.isfinite(one).all() for one in arrays.values()):
                yield step, arrays


def _first(n_features: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights of variance 1 / fan-in, and no output: the training begins at the model that runs."""
    return {
        "weight": rng.normal(size=(HIDDEN, n_features)) / np.sqrt(n_features),
        "bias": np.zeros(HIDDEN),
        "noise": rng.normal(size=(HIDDEN, NOISE)) / np.sqrt(NOISE),
        "output": np.zeros(HIDDEN),
        "linear": np.zeros(n_features),
    }


class _Batch(NamedTuple):
    """Some frames as tensors: scaled descriptors (n, P) and their frames, derivatives (m, P) with their atoms and rows, and labels."""

    x: Any
    frame: Any
    slopes: Any
    atom: Any
    row: Any
    forces: Any
    energies: Any
    n_atoms: Any

    @classmethod
    def of(cls, frames: Sequence[ReadoutFrame], mean: np.ndarray, scale: np.ndarray, scales: Scales) -> _Batch:
        """Labels over their scales."""
        import torch

        n = np.array([len(one.descriptors) for one in frames])
        rows = np.array([len(one.forces) for one in frames])
        first_atom, first_row = np.cumsum(n) - n, np.cumsum(rows) - rows
        atom = [np.tile(np.arange(a) + f, r) for a, f, r in zip(n, first_atom, rows, strict=True)]
        row = [np.repeat(np.arange(r) + f, a) for a, f, r in zip(n, first_row, rows, strict=True)]
        slopes = np.concatenate([one.derivatives.reshape(-1, len(mean)) for one in frames])
        return cls(
            torch.from_numpy(np.concatenate([(one.descriptors - mean) / scale for one in frames]).astype(np.float32)),
            torch.from_numpy(np.repeat(np.arange(len(n)), n)),
            torch.from_numpy((slopes / scale).astype(np.float32)),
            torch.from_numpy(np.concatenate(atom)),
            torch.from_numpy(np.concatenate(row)),
            torch.from_numpy((np.concatenate([one.forces for one in frames]) / scales.forces).astype(np.float32)),
            torch.tensor([one.energy / scales.energies for one in frames], dtype=torch.float32),
            torch.tensor(n * scales.energies / scales.forces, dtype=torch.float32),
        )


def _loss(p: dict[str, Any], batch: _Batch, z: Any) -> Any:
    import torch

    def sort(members: Any) -> Any:
        return torch.sort(members, dim=0).values

    hidden = (batch.x @ p["weight"].T)[None] + (p["bias"] + z @ p["noise"].T)[:, None]  # (K, n, H)
    share = torch.sigmoid(hidden)
    of_atoms = (hidden * share) @ p["output"] + batch.x @ p["linear"]
    energies = torch.zeros(len(z), len(batch.n_atoms)).index_add_(1, batch.frame, of_atoms) / batch.n_atoms
    inward = p["output"] * share * (1.0 + hidden * (1.0 - share))  # (K, n, H), by the hidden units' input
    along = (inward[:, batch.atom] * (batch.slopes @ p["weight"].T)).sum(-1) + batch.slopes @ p["linear"]
    forces = -torch.zeros(len(z), len(batch.forces)).index_add_(1, batch.row, along)
    loss = fair_crps(forces, batch.forces, sort).mean()
    known = torch.isfinite(batch.energies)
    if known.any():
        loss = loss + fair_crps(energies[:, known], batch.energies[known], sort).mean()
    return loss
