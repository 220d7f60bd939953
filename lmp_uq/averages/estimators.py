# SPDX-License-Identifier: GPL-2.0-or-later
"""Canonical averages of one run under the members of a posterior: to first order, and by weights.

With energies that differ from those of the run by Phi.dTheta, and h = Phi.dTheta / kT,

    first order (cumulant)  <a>_member = <a> + g.dTheta,  g = <da/dTheta> - Cov(a, Phi) / kT
    direct                  <a>_member = <a_member exp(-h)> / <exp(-h)>,  a_member = a + (da/dTheta).dTheta

Sources: cumulant and direct reweighting of a committee: G. Imbalzano et al., J. Chem. Phys. 154, 074102 (2021), doi:10.1063/5.0036522;
effective sample size: L. Kish, Survey Sampling (1965).  For a linear potential the first is linear in dTheta, so that the box has closed
forms for it; csrc/averages/thermal_averages is the same on the fly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.posterior.box import Box

BOLTZMANN = 8.617343e-5
"""eV/K, as LAMMPS has it in units metal."""
MAX_BLOCKS = 32
"""Blocks of the error estimates: 16 to 31 where there are samples enough, of 1, 2, 4, ... samples."""
TEST_MEMBERS = 64
"""Members whose weights, variances and block errors are looked at."""
MAX_VARIANCE = 1.0
"""Median variance of h beyond which direct reweighting rests on a few samples."""


@dataclass(frozen=True)
class RunSamples:
    """Observables and features of n frames.

    Attributes
    ----------
    names : sequence of str, A of them
    values : (n, A)
    features : (n, P) Phi, summed over the atoms, bias columns included
    rows : mapping of a name to (n, P)
        da/dTheta at fixed positions, in the unit of the observable; an observable that is not here is a function of the positions.
    """

    names: Sequence[str]
    values: np.ndarray
    features: np.ndarray
    rows: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        n = len(self.features)
        if n < 2:
            raise UqError(f"averages of {n} frames; accepted: at least 2")
        for name, array in {"values": self.values, "features": self.features, **self.rows}.items():
            if len(array) != n:
                raise UqError(f"{name}: {len(array)} frames; the features have {n}")
            if not np.isfinite(array).all():
                raise UqError(f"{name}: not finite in frame {int(np.argwhere(~np.isfinite(array))[0][0]) + 1}")


def response(samples: RunSamples, beta: float) -> np.ndarray:
    """(A, P) g of each observable, in its unit per unit of Theta; beta in 1/eV."""
    deviations = samples.values - samples.values.mean(axis=0)
    g = -beta * deviations.T @ (samples.features - samples.features.mean(axis=0)) / len(samples.values)
    for k, name in enumerate(samples.names):
        if name in samples.rows:
            g[k] += samples.rows[name].mean(axis=0)
    return g


def direct_shifts(samples: RunSamples, members: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Averages of members by weights, less those of the run.

    Parameters
    ----------
    members : (K, P) dTheta

    Returns
    -------
    shifts : (K, A)
    shares : (K,)
        Effective sample size over n, (sum w)^2 / (n sum w^2).
    """
    h = beta * samples.features @ members.T
    weights = np.exp(h.min(axis=0) - h)
    normalised = weights / weights.sum(axis=0)
    shifts = normalised.T @ samples.values - samples.values.mean(axis=0)
    for k, name in enumerate(samples.names):
        if name in samples.rows:
            shifts[:, k] += (normalised * (samples.rows[name] @ members.T)).sum(axis=0)
    return shifts, 1.0 / (len(h) * (normalised**2).sum(axis=0))


def variances(samples: RunSamples, members: np.ndarray, beta: float) -> np.ndarray:
    """(K,) variance of h of each member."""
    return np.var(beta * samples.features @ members.T, axis=0)


def block_length(n: int) -> int:
    """Samples of a block: a power of two that leaves fewer than `MAX_BLOCKS` whole blocks."""
    length = 1
    while n // length >= MAX_BLOCKS:
        length *= 2
    return length


def block_errors(samples: RunSamples, members: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors from the scatter of blocks: of the means, and of the first-order shifts (root mean square over members).

    Returns
    -------
    mean_errors, response_errors : (A,)
        Samples behind the last whole block are left out. NaN below two blocks.
    """
    length = block_length(len(samples.values))
    n_blocks = len(samples.values) // length
    if n_blocks < 2:
        return (np.full(len(samples.names), np.nan),) * 2

    def blocks(array: np.ndarray) -> np.ndarray:
        return array[: n_blocks * length].reshape(n_blocks, length, -1)

    values, energies = blocks(samples.values), blocks(samples.features @ members.T)
    # about the means of all blocks: what is slower than a block belongs to the covariance too
    deviations = values - values.mean(axis=(0, 1)), energies - energies.mean(axis=(0, 1))
    shifts = -beta * np.einsum("bta,btk->bak", *deviations) / length
    for k, name in enumerate(samples.names):
        if name in samples.rows:
            shifts[:, k] += blocks(samples.rows[name] @ members.T).mean(axis=1)
    errors = shifts.std(axis=0, ddof=1) / np.sqrt(n_blocks)
    return values.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(n_blocks), np.sqrt((errors**2).mean(axis=1))


def averages(samples: RunSamples, box: Box, members: np.ndarray, temperature: float) -> dict:
    """Averages of one run with what the potential's posterior makes of them.

    Parameters
    ----------
    box : Box
        Of departures from the potential that ran.
    members : (K, P)
        Drawn from it; K is that of the bounds, the first `TEST_MEMBERS` are reweighted.
    temperature : float, K

    Returns
    -------
    dict
        temperature, n_frames, n_members, n_test_members; variance_median, variance_90 of h, effective_share_median, _least; and for each
        observable, under observables, explicit (whether da/dTheta was added), mean, std (about the mean, closed form), lower, upper
        (K-member bounds), mean_error, bar_error (block errors), cumulant_rms, direct_rms (root mean square shifts of the test members).

    Raises
    ------
    UqError
        A temperature that is not above 0, a posterior of another number of features.
    """
    if not temperature > 0.0:
        raise UqError(f"temperature is {temperature:g} K; accepted: above 0")
    if box.coefficients.size != samples.features.shape[1]:
        raise UqError(f"features of length {samples.features.shape[1]}; the posterior accepts {box.coefficients.size}")
    beta, few = 1.0 / (BOLTZMANN * temperature), np.asarray(members)[:TEST_MEMBERS]
    g, means = response(samples, beta), samples.values.mean(axis=0)
    std, (low, high) = box.rms(g), box.bounds(g, len(members))
    mean_errors, bar_errors = block_errors(samples, few, beta)
    direct, shares = direct_shifts(samples, few, beta)
    spread, cumulant = variances(samples, few, beta), few @ g.T
    out = {"temperature": temperature, "n_frames": len(samples.values), "n_members": len(members), "n_test_members": len(few)}
    out |= {"variance_median": float(np.median(spread)), "variance_90": float(np.quantile(spread, 0.9))}
    out |= {"effective_share_median": float(np.median(shares)), "effective_share_least": float(shares.min())}
    columns = {"mean": means, "std": std, "lower": means + low, "upper": means + high, "mean_error": mean_errors, "bar_error": bar_errors}
    columns |= {"cumulant_rms": np.sqrt((cumulant**2).mean(axis=0)), "direct_rms": np.sqrt((direct**2).mean(axis=0))}
    observables = {
        name: {"explicit": name in samples.rows} | {key: float(column[k]) for key, column in columns.items()}
        for k, name in enumerate(samples.names)
    }
    return out | {"observables": observables}
