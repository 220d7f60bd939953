# SPDX-License-Identifier: GPL-2.0-or-later
"""From frames and a backbone to predictions, descriptors and rows.

Force and virial rows are directional derivatives along one displacement or one symmetric strain, taken for all frames of a batch at
once (D. Perez et al., npj Comput. Mater. 11, 263 (2025)). What a row is: `lmp_uq.rows.rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from lmp_uq.backbone.graph import forces_of, graph_for
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.frames.frame import Frame, check_frames
from lmp_uq.modelfile import ModelFile
from lmp_uq.posterior.features import append_bias, n_bias_columns
from lmp_uq.quantities import ENERGY, FORCES, LABELS, STRESS
from lmp_uq.rows.rows import ROW_FIELDS, VOIGT, Predictions, RowOptions, Rows

STEP = 5e-3
"""Angstrom, of central differences: as far from the noise of float32 as from the curvature."""


def predict(backbone: Any, frames: Sequence[Frame], options: RowOptions | None = None) -> Predictions:
    """Evaluate a backbone on frames, in batches, and make the rows that the labels allow.

    The draw of force rows depends on the seed and on each frame's content, not on its neighbours in the list or on the batch.

    Raises
    ------
    UqError
        A frame holds an element that the backbone lacks.
    """
    options = options or RowOptions()
    parts, kind = [], LinearBatch if getattr(backbone, "linear", False) else Batch
    bar = tqdm(total=len(frames), desc=options.progress, unit="frame", disable=not options.progress)
    for batch in batches(frames, options.batch_atoms):
        parts.append(kind(backbone, batch, options).predictions())
        bar.update(len(batch))
    bar.close()
    return _concatenate(parts, list(frames), backbone.n_features + n_bias_columns(options.bias, len(backbone.elements)))


def predict_by_file(
    file: ModelFile,
    frames: Sequence[Frame],
    options: Any,
    kinds: tuple[str, ...] = LABELS,
    n_force_rows: int | None = None,
    what: str = "frames",
) -> tuple[Any, Predictions]:
    """Predictions of a model file, with rows for its posterior where it has one.

    Parameters
    ----------
    file : ModelFile
    frames : sequence of Frame
    options : lmp_uq.recipes.options.RecipeOptions
        Of these: precision, device, engine, threads, seed, progress.
    kinds, n_force_rows
        As in `lmp_uq.rows.rows.RowOptions`.
    what : str
        Said of the frames while they are evaluated.

    Returns
    -------
    Backbone, Predictions

    Raises
    ------
    UqError
        As `lmp_uq.frames.frame.check_frames`; what `lmp_uq.backbone.load.backbone_of_file` refuses.
    """
    backbone = backbone_of_file(file, options.precision, options.device, engine=options.engine, threads=options.threads)
    check_frames(frames, backbone)
    bias = file.header.posterior.bias if file.header.posterior else "none"
    rows = RowOptions(kinds, n_force_rows, bias, options.seed, progress=what if options.progress else "")
    return backbone, predict(backbone, frames, rows)


def correction_forces(backbone: Any, frames: Sequence[Frame], theta: np.ndarray, batch_atoms: int = 256) -> list[np.ndarray]:
    """Forces of corrections on each frame, eV/Angstrom.

    Parameters
    ----------
    theta : (P',) or (K, P') array
        Of the mean correction, `lmp_uq.posterior.box.Box.centre`, or of K members, which are pulled together.

    Returns
    -------
    list of arrays (N, 3), or (K, N, 3)
    """
    theta, out = theta[..., : backbone.n_features], []
    stack = theta.shape[:-1]
    if getattr(backbone, "linear", False):
        products = [backbone.evaluate_frame(frame.atoms).force_rows @ theta.T for frame in frames]
        return [np.moveaxis(mine.reshape(-1, 3, *stack), (0, 1), (-2, -1)) for mine in products]
    for batch in batches(frames, batch_atoms):
        graph, owner = graph_for(backbone, [f.atoms for f in batch], [f.source for f in batch])
        state = backbone.evaluate(graph).state
        weights = np.broadcast_to(theta[..., None, :], (*stack, graph.n_local, theta.shape[-1]))
        gradients = backbone.pull(state, None, np.ascontiguousarray(weights))
        forces = np.array([forces_of(graph, one) for one in gradients]) if stack else forces_of(graph, gradients)
        out += np.split(forces, np.searchsorted(owner, np.arange(1, len(batch))), axis=-2)
    return out


def batches(frames: Sequence[Frame], batch_atoms: int) -> Iterator[list[Frame]]:
    """The frames in order, in lists of at most `batch_atoms` atoms (a larger frame is alone)."""
    batch: list[Frame] = []
    n_atoms = 0
    for frame in frames:
        if batch and n_atoms + len(frame.atoms) > batch_atoms:
            yield batch
            batch, n_atoms = [], 0
        batch.append(frame)
        n_atoms += len(frame.atoms)
    if batch:
        yield batch


def _concatenate(parts: Sequence[Predictions], frames: list[Frame], n_features: int) -> Predictions:
    rows, first = [], 0
    for part in parts:
        part.rows.frames += first
        first += len(part.frames)
        rows.append(part.rows)
    nothing = np.zeros(0, np.int64)
    empty = Rows(np.zeros((0, n_features)), np.zeros(0), nothing, nothing, nothing, np.zeros(0))
    joined = Rows(*(np.concatenate([getattr(r, name) for r in [empty, *rows]]) for name in ROW_FIELDS))
    return Predictions(
        frames=frames,
        energies=np.concatenate([p.energies for p in parts]),
        forces=[f for p in parts for f in p.forces],
        stresses=np.concatenate([p.stresses for p in parts]),
        descriptors=[d for p in parts for d in p.descriptors],
        species=[s for p in parts for s in p.species],
        rows=joined,
        of_atoms=None if any(p.of_atoms is None for p in parts) or not parts else [one for p in parts for one in p.of_atoms or ()],
    )


@dataclass
class Batch:
    """A few frames in one graph."""

    backbone: Any  # a Backbone; of a LinearBatch a LinearBackbone
    frames: list[Frame]
    options: RowOptions
    found: list[tuple] = field(default_factory=list)
    of_atoms: list[np.ndarray] | None = None

    def predictions(self) -> Predictions:
        """Evaluate the frames and make their rows."""
        self._evaluate()
        if ENERGY.label in self.options.kinds:
            self._energy_rows()
        self._derivative_rows()
        split = np.cumsum([len(f.atoms) for f in self.frames])[:-1]
        return Predictions(
            self.frames,
            self.energies,
            np.split(self.forces, split),
            self.stresses,
            np.split(self.descriptors, split),
            np.split(self.species, split),
            self._rows(),
            self.of_atoms,
        )

    def _evaluate(self) -> None:
        self.graph, self.owner = graph_for(self.backbone, [f.atoms for f in self.frames], [f.source for f in self.frames])
        n_frames = len(self.frames)
        self._measure()
        self.evaluation = self.backbone.evaluate(self.graph)
        self.descriptors, self.species = self.evaluation.descriptors, self.graph.species
        gradients = self.backbone.pull(self.evaluation.state, np.ones(self.graph.n_local))
        self.energies = np.bincount(self.owner, self.evaluation.energies, n_frames)
        self.forces = forces_of(self.graph, gradients)
        self.virials = self._sum_over_edges(
            -0.5 * (self.graph.vectors[:, :, None] * gradients[:, None, :] + gradients[:, :, None] * self.graph.vectors[:, None, :])
        )
        self.stresses = -self.virials / self.volumes[:, None, None]

    def _measure(self) -> None:
        self.first_atom = np.concatenate([[0], np.cumsum([len(f.atoms) for f in self.frames])]).astype(np.int64)
        self.volumes = np.array([f.atoms.cell.volume or np.nan for f in self.frames])

    def _sum_over_edges(self, values: np.ndarray) -> np.ndarray:
        total = np.zeros((len(self.frames), *values.shape[1:]))
        np.add.at(total, self.owner[self.graph.centres], values)
        return total

    def _energy_rows(self) -> None:
        features = append_bias(self.descriptors, self.species, self.options.bias, len(self.backbone.elements))
        for k, frame in enumerate(self.frames):
            if np.isfinite(frame.energy):
                n = len(frame.atoms)
                mine = features[self.first_atom[k] : self.first_atom[k + 1]]
                self.found.append((mine.sum(axis=0) / n, (frame.energy - self.energies[k]) / n, ENERGY.row, k, 0, 1.0))

    def _derivative_rows(self) -> None:
        """Force and virial rows; their tangents go through the backbone in one push, which shares the costly first half."""
        chosen, strained = self._wanted()
        if self.options.of_atoms:
            self.of_atoms = self._derivatives_of_atoms(chosen)
            return self._force_rows(chosen, [one.sum(axis=1, dtype=np.float64) for one in self.of_atoms])
        longest = max(len(c) for c in chosen)
        # a pull gives all components of one feature, a push one component (per frame) of all features
        by_pulls = longest > 2 * self.backbone.n_features
        tangents = [] if by_pulls else [self._displacement(chosen, rank) for rank in range(longest)]
        if strained:
            tangents += [self.graph.vectors @ _strain(a, b) for a, b in VOIGT]
        pushed = np.zeros((0, len(self.frames), self.backbone.n_features))
        if tangents:
            pushed = self.backbone.push(self.evaluation.state, np.array(tangents), self.owner, len(self.frames))
        derivatives = self._derivatives_by_pulls(chosen) if by_pulls else [pushed[: len(c), k] for k, c in enumerate(chosen)]
        self._force_rows(chosen, derivatives)
        self._virial_rows(strained, pushed[-len(VOIGT) :])

    def _wanted(self) -> tuple[list[np.ndarray], list[int]]:
        """Chosen force components of each frame, and the frames that get virial rows."""
        wants_forces, wants_virials = FORCES.label in self.options.kinds, STRESS.label in self.options.kinds
        chosen = [self._draw_components(f) if wants_forces else np.zeros(0, np.int64) for f in self.frames]
        return chosen, [k for k, f in enumerate(self.frames) if wants_virials and f.stress is not None and self.volumes[k] > 0.0]

    def _displacement(self, chosen: list[np.ndarray], rank: int) -> np.ndarray:
        """Tangent (n_edges, 3) that moves, in every frame that has it, the atom of its rank-th chosen component."""
        displaced = np.zeros((self.graph.n_local, 3))
        for k, components in enumerate(chosen):
            if rank < len(components):
                atom, axis = divmod(int(components[rank]), 3)
                displaced[self.first_atom[k] + atom, axis] = 1.0
        return displaced[self.graph.neighbours] - displaced[self.graph.centres]

    def _derivatives_of_atoms(self, chosen: list[np.ndarray]) -> list[np.ndarray]:
        """`Predictions.of_atoms`: two forward passes for each displacement, where a push would take a pull of each feature of each atom."""
        out = [np.zeros((len(c), len(f.atoms), self.backbone.n_features), np.float32) for c, f in zip(chosen, self.frames, strict=True)]
        for rank in range(max(len(c) for c in chosen)):
            ends = []
            for step in (STEP, -STEP):
                moved = replace(self.graph, vectors=self.graph.vectors + step * self._displacement(chosen, rank))
                ends.append(self.backbone.evaluate(moved, gradients=False).descriptors)
            slopes = np.split((ends[0] - ends[1]) / (2.0 * STEP), self.first_atom[1:-1])
            for k, components in enumerate(chosen):
                if rank < len(components):
                    out[k][rank] = slopes[k]
        return out

    def _force_rows(self, chosen: list[np.ndarray], derivatives: Any) -> None:
        for k, frame in enumerate(self.frames):
            if not len(chosen[k]):
                continue
            base = 3 * len(frame.atoms) / len(chosen[k])
            residual = (frame.forces - self.forces[self.first_atom[k] : self.first_atom[k + 1]]).ravel()
            self.found += [
                (self._pad(-x), residual[c], FORCES.row, k, c, base) for c, x in zip(chosen[k], derivatives[k], strict=True)
            ]

    def _virial_rows(self, strained: list[int], derivatives: Any) -> None:
        for k in strained:
            n, stress = len(self.frames[k].atoms), np.asarray(self.frames[k].stress)
            for component, (a, b) in enumerate(VOIGT):
                residual = -(stress[a, b] - self.stresses[k, a, b]) * self.volumes[k] / n
                self.found.append((self._pad(-derivatives[component, k] / n), residual, STRESS.row, k, component, 1.0))

    def _draw_components(self, frame: Frame) -> np.ndarray:
        """Flat indices 3 i + a of the force components that become rows."""
        if frame.forces is None:
            return np.zeros(0, np.int64)
        total, wanted = 3 * len(frame.atoms), self.options.n_force_rows
        if wanted is None or wanted >= total:
            return np.arange(total)
        generator = np.random.default_rng([self.options.seed, frame.key])
        return np.sort(generator.choice(total, wanted, replace=False))

    def _derivatives_by_pulls(self, chosen: list[np.ndarray]) -> list[np.ndarray]:
        n_features = self.backbone.n_features
        out = [np.zeros((len(c), n_features)) for c in chosen]
        for feature in range(n_features):
            weights = np.zeros((self.graph.n_local, n_features))
            weights[:, feature] = 1.0
            derivative = -forces_of(self.graph, self.backbone.pull(self.evaluation.state, None, weights))
            for k, components in enumerate(chosen):
                mine = derivative[self.first_atom[k] : self.first_atom[k + 1]].ravel()
                out[k][:, feature] = mine[components]
        return out

    def _pad(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.zeros(n_bias_columns(self.options.bias, len(self.backbone.elements)))])

    def _rows(self) -> Rows:
        width = self.backbone.n_features + n_bias_columns(self.options.bias, len(self.backbone.elements))
        self.found.sort(key=lambda row: row[3])  # by frame, so that the batch leaves no trace in the order
        features = np.array([row[0] for row in self.found]).reshape(len(self.found), width)
        columns = [np.array([row[k] for row in self.found]) for k in range(1, 6)]
        targets, base = columns[0].astype(float), columns[4].astype(float)
        kinds, frames, components = (c.astype(np.int64) for c in columns[1:4])
        return Rows(features, targets, kinds, frames, components, base)


class LinearBatch(Batch):
    """A few frames of a linear potential, which gives its rows with its energies."""

    def _evaluate(self) -> None:
        self._measure()
        self.evaluations = [self.backbone.evaluate_frame(f.atoms) for f in self.frames]
        self.energies = np.array([one.energy for one in self.evaluations])
        self.forces = np.concatenate([one.forces for one in self.evaluations])
        self.descriptors = np.concatenate([one.descriptors for one in self.evaluations])
        self.species = np.concatenate([one.species for one in self.evaluations])
        self.stresses = -np.array([one.virial for one in self.evaluations]) / self.volumes[:, None, None]

    def _derivative_rows(self) -> None:
        chosen, strained = self._wanted()
        self._force_rows(chosen, [-one.force_rows[c] for one, c in zip(self.evaluations, chosen, strict=True)])
        virials = [[-one.virial_rows[a, b] for one in self.evaluations] for a, b in VOIGT]
        self._virial_rows(strained, np.array(virials))


def _strain(a: int, b: int) -> np.ndarray:
    """Symmetric unit strain of one Voigt component."""
    strain = np.zeros((3, 3))
    strain[a, b] += 0.5
    strain[b, a] += 0.5
    return strain


