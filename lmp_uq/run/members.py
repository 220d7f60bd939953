# SPDX-License-Identifier: GPL-2.0-or-later
"""Force members of a file: those of POPS and, where it holds a P-readout, as many of that, which answer on known ground."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmp_uq.modelfile import ModelFile
from lmp_uq.posterior.p_readout import HAND_OVER, SECTION, PReadout


def readout_of(file: ModelFile) -> PReadout | None:
    """The P-readout of a file that has one."""
    posterior = file.header.posterior
    return PReadout.from_tensors(file.section(SECTION)) if posterior and posterior.p_readout else None


def beyond_known_ground(grades: Any) -> np.ndarray:
    """Which atoms POPS answers for: their grade is above `HAND_OVER`, or none."""
    return ~(np.asarray(grades) <= HAND_OVER)


def member_weights(thetas: np.ndarray, readout: PReadout | None, descriptors: np.ndarray, first: int, count: int) -> np.ndarray:
    """Derivatives (count, n, P) of what force members add by each atom's descriptors.

    Parameters
    ----------
    thetas : (K', P) array
        Of the members of POPS, numbers 0 ... K' - 1; those of the P-readout follow.
    descriptors : (n, P) array
    first, count : int
        Which members.
    """
    linear = thetas[first : first + count]
    weights = [np.repeat(linear[:, None, :], len(descriptors), axis=1)]
    if readout is not None and len(linear) < count:
        weights.append(readout.slopes(descriptors, first + len(linear) - len(thetas), count - len(linear)))
    return np.concatenate(weights)
