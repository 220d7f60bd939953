# SPDX-License-Identifier: GPL-2.0-or-later
"""One valid model file of the smallest size, for the tests of the format; a learned quantile of random weights."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import numpy as np
import safetensors.numpy

from lmp_uq.calibration import ordinal_head, probe
from lmp_uq.calibration.force_error import PROBABILITIES, ForceError
from lmp_uq.calibration.quantile_network import HIDDEN, N_VARIABLES, QuantileNetwork, tensor_shapes

HEADER = {
    "format": "lmp-uq",
    "format_version": 1,
    "elements": ["W", "Ta"],
    "cutoff": 4.5,
    "units": {"energy": "eV", "length": "Angstrom"},
    "precision": "float64",
    "backbone": {"family": "mace", "architecture": {"num_layers": 2}, "n_features": 3, "n_parameters": 12},
    "posterior": {
        "n_features": 3,
        "n_modes": 2,
        "n_members": 4,
        "bias": "element",
        "ridge": 0.01,
        "leverage_floor": 0.001,
        "rows": ["energy", "force"],
        "counts": {"frames": 3},
    },
    "grade": {"percentile": 99.9},
    "calibration": {
        "force_error": {
            "intercept": -1.5,
            "force_exponent": 0.4,
            "grade_exponent": 1.25,
            "factor": 1.1,
            "conservative_factor": 1.75,
            "n_groups": 2,
            "floor": 0.01,
            "level": 0.9,
        }
    },
    "provenance": {
        "command": "lmp-uq fit",
        "versions": {"lmp-uq": "0.1.0"},
        "licence": "CC-BY-4.0",
        "data": [{"path": "tungsten.extxyz", "sha256": "0" * 64, "n_frames": 3}],
        "roles": {"bulk": {"fit": 2}, "liquid": {"fit": 1, "calibration": 1}},
    },
}


def make_header() -> dict:
    return copy.deepcopy(HEADER)


def make_tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "backbone/embedding.weight": rng.normal(size=(2, 4)).astype(np.float32),
        "backbone/atomic_energies": rng.normal(size=4),
        "backbone/num_interactions": np.array(2),
        "backbone/a_mask": np.array([True, False, True]),
        "posterior/coefficients": rng.normal(size=5),
        "posterior/modes": rng.normal(size=(5, 2)),
        "posterior/lower": np.array([-1.0, -0.5]),
        "posterior/upper": np.array([2.0, -0.5]),
        "posterior/members": rng.normal(size=(4, 5)),
        "grade/mean": rng.normal(size=(2, 3)),
        "grade/whitening": rng.normal(size=(2, 3, 3)),
        "grade/radius": np.array([4.0, 2.5]),
        "roles/fit": np.array([2**64 - 1, 5, 5], dtype=np.uint64),
        "roles/calibration": np.array([9], dtype=np.uint64),
    }


def nothing_else_in(folder: Path, *names: str) -> bool:
    return sorted(os.listdir(folder)) == sorted(names)


def raw_container(path: Path, header: dict, tensors: dict[str, np.ndarray]) -> Path:
    """Write a header that `modelfile.write` would refuse, through the safetensors library."""
    safetensors.numpy.save_file(tensors, path, metadata={"lmp_uq": json.dumps(header)})
    return path


def random_network(seed=0, n_features=3, levels=(0.5, 0.9, 0.95), n_variables=N_VARIABLES, **changes):
    """A learned quantile of random weights."""
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape) for name, shape in tensor_shapes(n_features, HIDDEN, len(levels), n_variables).items()}
    arrays["input_scale"] = np.exp(arrays["input_scale"])
    arrays |= {"lower": np.full(len(levels), -3.0), "upper": np.full(len(levels), 2.0), "factors": np.array([1.0, 0.7, 1.4])[: len(levels)]}
    return QuantileNetwork(levels, arrays | changes, n_variables)


def random_arrays(shapes, seed=0):
    """Arrays of a small network by these shapes; scales of inputs above 0."""
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=shape) / np.sqrt(shape[-1]) for name, shape in shapes.items()}
    return arrays | {"input_scale": np.exp(arrays["input_scale"])}


def some_force_error(correction_slope=0.0, seed=0, **changes) -> ForceError:
    """A force_error of today's version, of made-up numbers; no two quantiles are equal."""
    rng = np.random.default_rng(seed)
    quantiles = np.cumsum(rng.uniform(0.01, 0.09, len(PROBABILITIES))) - 2.6
    curves = tuple(quantiles.tolist()), tuple((quantiles + 0.3 + 0.2 * PROBABILITIES).tolist())
    numbers = {"intercept": -0.51, "force_slope": 0.5, "grade_slope": 0.17, "known_slope": 1.0, "new_slope": 0.16}
    numbers |= {"quantiles": curves[0], "conservative_quantiles": curves[1], "levels": (0.5, 0.9, 0.95), "n_blocks": 20}
    numbers |= {"group_means": {"cold": -0.2, "hot": 0.2}, "spread": 0.3, "correction_slope": correction_slope}
    return ForceError(**numbers | changes)


THRESHOLDS = (0.1, 0.3, 1.0, 2.5)
"""Of the ordinal head of `classifier_content`, eV/Angstrom."""


def classifier_content() -> tuple[dict, dict[str, np.ndarray]]:
    """Header and tensors of the same file with a classifier of frames and one of atoms, of random weights."""
    header, tensors = make_header(), make_tensors()
    n = header["backbone"]["n_features"]
    parts = {probe.SECTION: probe.tensor_shapes(n, 5, 8), ordinal_head.SECTION: ordinal_head.tensor_shapes(n, (9, 5), len(THRESHOLDS))}
    header["calibration"]["force_error"] = some_force_error().to_dict()
    header["calibration"]["probe"] = {"n_features": n, "hidden": 5, "width": 8, "heads": 2, "boundary": 0.02, "epochs": 7}
    header["calibration"]["ordinal"] = {"thresholds": list(THRESHOLDS), "n_features": n, "hidden": [9, 5]}
    for section, shapes in parts.items():
        tensors |= {f"{section}/{name}": array for name, array in random_arrays(shapes, 5).items()}
    return header, tensors
