# SPDX-License-Identifier: GPL-2.0-or-later
"""Weights of the rows of a stream, and the weighted rows in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmp_uq.errors import UqError, argument, piece
from lmp_uq.frames.frame import Frame
from lmp_uq.frames.notes import LABELS_OF, LABELS_U
from lmp_uq.posterior.weights import REPLACED_SCALE, exponential_weights, group_weights, replaced_weights
from lmp_uq.quantities import ENERGY, FORCES, QUANTITIES
from lmp_uq.rows.rows import Predictions
from lmp_uq.rows.stream import Stream

BLOCK_ROWS = 8192


@dataclass(frozen=True)
class Weighting:
    """Weight of a row: kind_weight x weight of the label in its frame x importance x (1 / probability of having been drawn).

    Labels that `lmp-uq ensemble` took from a model count less, by `lmp_uq.posterior.weights.replaced_weights`.

    Attributes
    ----------
    kind_weight : dict
        {kind of row: factor} that gives each kind the same sum, the number of rows in all.
    of_frames : (n_frames,) array
        Importance of the energy row of each frame of the stream.
    force_scale : float or None
        Importance exp(-|F| / force_scale) of force rows, F the label on the atom in eV/Angstrom; None: 1.
    replaced_scale : float
        U in eV/Angstrom of labels of a model that count half.
    """

    kind_weight: dict[int, float]
    of_frames: np.ndarray
    force_scale: float | None
    replaced_scale: float = REPLACED_SCALE

    def of(self, part: Predictions, first: int) -> np.ndarray:
        """(n,) weights of the rows of a batch whose first frame is frame `first` of the stream."""
        factor = np.array([self.kind_weight.get(quantity.row, 0.0) for quantity in QUANTITIES])
        return factor[part.rows.kinds] * self.base(part, first)

    def base(self, part: Predictions, first: int) -> np.ndarray:
        """(n,) weights inside a kind."""
        rows, importance = part.rows, np.ones(len(part.rows))
        mine = rows.kinds == ENERGY.row
        importance[mine] = self.of_frames[rows.frames[mine] + first]
        mine = np.flatnonzero(rows.kinds == FORCES.row)
        if self.force_scale is not None and len(mine):
            labels = [part.frames[k].forces[c // 3] for k, c in zip(rows.frames[mine], rows.components[mine], strict=True)]
            importance[mine] = exponential_weights(np.array(labels), self.force_scale)
        of_labels = np.array([f.weights for f in part.frames]).reshape(-1, len(QUANTITIES))
        of_labels = of_labels * replaced_weights([error_of_labels(f) for f in part.frames], self.replaced_scale)[:, None]
        return rows.base * importance * of_labels[rows.frames, rows.kinds]


def error_of_labels(frame: Frame) -> float:
    """U of labels that are a model's, eV/Angstrom, 0 for those of a reference.

    Raises
    ------
    UqError
        A frame that says whose its labels are, and not how far off they may be.
    """
    if LABELS_OF not in frame.atoms.info:
        return 0.0
    found = frame.atoms.info.get(LABELS_U)
    if isinstance(found, bool) or not isinstance(found, int | float | np.number) or not 0.0 <= found < np.inf:
        what = f"{LABELS_OF}={piece(frame.atoms.info[LABELS_OF])} with {LABELS_U}={piece(found)}"
        raise UqError(f"{frame.source}: {what}; accepted: a number of 0 or more, in eV/Angstrom, as lmp-uq ensemble writes it")
    return float(found)


def weighting(
    stream: Stream, energy_scale: float | None = None, force_scale: float | None = None, replaced_scale: float = REPLACED_SCALE
) -> Weighting:
    """Weights that give each kind of row of a stream the same sum.

    energy_scale : float or None
        Importance exp(-(E - E_min) / energy_scale) of energy rows, eV/atom above the lowest frame of the same composition; None: 1.
    force_scale, replaced_scale
        As in `Weighting`.

    Raises
    ------
    UqError
        No rows at all, or weights that sum to zero.
    """
    plain = Weighting({}, _importance_of_frames(stream.frames, energy_scale), force_scale, replaced_scale)
    collected = stream.collect(lambda part, first: (part.rows.kinds, plain.base(part, first)))
    if not collected or not len(collected[0]):
        raise UqError(f"the frames have none of the labels that {argument('rows')} asks for: no rows to fit")
    kinds, base = collected
    weights = group_weights(kinds, base)
    found = {kind: float(np.max(weights[kinds == kind] / base[kinds == kind])) for kind in np.unique(kinds).tolist()}
    return replace(plain, kind_weight=found)


def mean_weights(counts: Mapping[str, Any]) -> dict[str, float]:
    """Mean weight of a row of each kind, from {kind: {"rows": n}}: every kind has the same sum, the number of rows in all."""
    rows = {kind: mine["rows"] for kind, mine in counts.items() if mine["rows"]}
    return {kind: sum(rows.values()) / len(rows) / n for kind, n in rows.items()}


def _importance_of_frames(frames: Sequence[Frame], energy_scale: float | None) -> np.ndarray:
    out = np.ones(len(frames))
    if energy_scale is not None:
        energies = np.array([f.energy / len(f.atoms) for f in frames])
        # frames that differ in size only have the same element fractions
        compositions = np.array([f.atoms.symbols.formula.reduce()[0].format("hill") for f in frames])
        for one in np.unique(compositions[np.isfinite(energies)]):
            mine = (compositions == one) & np.isfinite(energies)
            out[mine] = exponential_weights(energies[mine], energy_scale)
    return out


class Blocks:
    """Rows of a stream as (features, targets, weights, groups) of a few thousand rows each; may be iterated again."""

    def __init__(self, stream: Stream, weights: Weighting) -> None:
        self._stream, self._weights = stream, weights

    def __iter__(self) -> Iterator[Any]:
        found, n = [], 0
        for part, first in self._stream.numbered():
            if len(part.rows):
                groups = np.array([part.frames[k].group for k in part.rows.frames])
                found.append((part.rows.features, part.rows.targets, self._weights.of(part, first), groups))
                n += len(part.rows)
            if n >= BLOCK_ROWS:
                yield tuple(np.concatenate(column) for column in zip(*found, strict=True))
                found, n = [], 0
        if found:
            yield tuple(np.concatenate(column) for column in zip(*found, strict=True))
