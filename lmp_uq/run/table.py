# SPDX-License-Identifier: GPL-2.0-or-later
"""Predictions as a table of pandas, which need not be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmp_uq.errors import UqError

if TYPE_CHECKING:
    from pandas import DataFrame


def data_frame(prediction: Any, per_frame: tuple[str, ...]) -> DataFrame:
    """A row for each frame of an `lmp_uq.model.Prediction`, with those of `per_frame` that its model gives; see its `to_frame`."""
    try:
        from pandas import DataFrame
    except ImportError as failure:
        raise UqError("to_frame needs pandas, which is not installed here; accepted: pip install pandas") from failure
    force_max = [np.linalg.norm(forces, axis=1).max() for forces in prediction.forces]  # first: energies come along
    columns: dict[str, Any] = {"source": prediction.sources, "formula": [str(atoms.symbols) for atoms in prediction.frames]}
    columns |= {"n_atoms": [len(atoms) for atoms in prediction.frames], "energy": prediction.energy}
    columns |= {name: prediction._column(name) for name in per_frame if name in prediction.model.fields} | {"force_max": force_max}
    for name in ("force_error", "grade"):
        if name in prediction.model.fields:
            columns[f"{name}_max"] = [values.max() for values in prediction._arrays(name)]
    return DataFrame(columns)
