# SPDX-License-Identifier: GPL-2.0-or-later
"""Made-up labels with bars, and their figures, for the tests of text, files and plots."""

from __future__ import annotations

import numpy as np

from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.parts import figures
from lmp_uq.validation.samples import Samples


def bars(groups, unit, seed):
    """Gaussian errors of known std, one label per group entry."""
    rng = np.random.default_rng(seed)
    n = len(groups)
    std = unit * 10.0 ** rng.uniform(-1.0, 0.0, n)
    error, reference = std * rng.normal(size=n), rng.normal(size=n)
    return Samples(reference, reference - error, std, -3.0 * std, 3.0 * std, rng.random(n), groups)


def atoms(groups):
    rng = np.random.default_rng(9)
    bar = 10.0 ** rng.uniform(-1.0, 0.0, len(groups))
    error = bar * rng.random(len(groups)) / 0.9
    return AtomSamples(error, bar, rng.random(len(groups)), rng.random(len(groups)), groups)


def make(names=("bulk", "liquid"), force_error=True, force_labels=True):
    """Result and samples as `lmp_uq.recipes.validate.validate` makes them."""
    groups = np.repeat(np.array(names, dtype=object), 12)
    labelled = np.repeat(groups[groups != names[0]] if not force_labels else groups, 5)
    samples = {"energy_per_atom": bars(groups, 0.01, 1), "forces": bars(labelled, 0.1, 2)}
    if force_error:
        samples["force_error"] = atoms(labelled)
    result = {"model": "model.uq", "sha256": "5f" * 32, "n_frames": len(groups), "in_sample": False}
    return result | figures(samples, 77), samples
