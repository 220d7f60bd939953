# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq ensemble``: how far models of any kind disagree on frames, and labels of the best one where they agree."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import ase
import ase.io
import numpy as np

from lmp_uq.ensembles import disagreement
from lmp_uq.ensembles.distil import THRESHOLD, U_ATOM, V_ATOM, Labeller, energy_zero_of, filter_table, without_labels
from lmp_uq.ensembles.figures import by_group, of_records
from lmp_uq.ensembles.members import load_members, named
from lmp_uq.ensembles.pool import BATCH_ATOMS, Forces, Pool, frame_of
from lmp_uq.ensembles.weights import EQUAL, FROM_LABELS, MEDIAN, RMSE, weights_of_errors, weights_of_file
from lmp_uq.errors import UqError, argument
from lmp_uq.files import STANDARD_OUTPUT, atomic_file, check_folder, check_target, is_stream
from lmp_uq.frames.labels import LabelKeys
from lmp_uq.frames.notes import LABELS_OF, LABELS_U
from lmp_uq.frames.streaming import batches_of_rank, stream_frames
from lmp_uq.parallel.ranks import Ranks, ranks


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions:
    """What ``lmp-uq ensemble`` is told; see docs/ensemble.md.

    frames: files; models: names, the first drives; weights: median, rmse, equal or a file; out, to_dft: extxyz files; filter: U_c,
    None: `THRESHOLD`; labels_of: name of a model, None: the one of the smallest median error; energies, fit_offsets: whether energies are
    labels, and whether their zero is fitted; keep_labels: frames with forces of a reference keep them; cache: folder of forces that stays;
    elements: of the atom types of dumps; engine: device, precision, engine and threads; progress.
    """

    frames: Sequence[str]
    models: Sequence[str]
    weights: str = MEDIAN
    out: str | None = None
    to_dft: str | None = None
    filter: float | None = None
    labels_of: str | None = None
    energies: bool = False
    fit_offsets: bool = False
    keep_labels: bool = False
    cache: str | None = None
    keys: LabelKeys = field(default_factory=LabelKeys)
    group_key: str = "config_type"
    elements: Sequence[str] = ()
    engine: dict[str, Any] = field(default_factory=dict)
    progress: bool = False

    @property
    def names(self) -> list[str]:
        """Of the models."""
        return [named(text)[0] for text in self.models]


def ensemble(options: EnsembleOptions, say: Callable[[dict[str, Any]], None] = lambda found: None) -> dict[str, Any]:
    """Evaluate all models on all frames and write what is asked for; under mpiexec every rank calls it, and rank 0 writes.

    Parameters
    ----------
    options : EnsembleOptions
    say : callable
        Given what was found before any frame is written, on rank 0.

    Returns
    -------
    dict
        models: name, weight, median and rmse (eV/Angstrom, None without labels) of each; weights; all and groups: as
        `lmp_uq.ensembles.figures`; filter: `lmp_uq.ensembles.distil.filter_table`; labels_of; energy_offsets; threshold, and the
        n_replaced, n_kept, n_to_dft frames of it, n_labelled_to_dft with labels among these; n_silent: without a force in any model;
        frames: source, group, n_atoms, U, d, max_force, driver_force, error, errors.

    Raises
    ------
    UqError
        Options that contradict each other, a file that cannot be written; what `lmp_uq.ensembles` refuses.
    """
    _check(options)
    everyone = ranks()
    given = dict(options.engine)
    threads = given.pop("threads", 0) or (1 if everyone.size > 1 else 0)
    machine = {"threads": threads, "local_rank": everyone.local_rank, "communicator": everyone.alone()}
    asked = None if options.weights in (*FROM_LABELS, EQUAL) else weights_of_file(options.weights, options.names)
    members = load_members(options.models, given, machine)
    folder = options.cache or f"{'lmp-uq' if options.out is None or is_stream(options.out) else options.out}.cache"
    forces = Forces(members, folder)
    progress = "frames" if options.progress else ""
    pool = Pool(_located(options), forces, everyone, keys=options.keys, group_key=options.group_key, progress=progress)
    found, split = _found(options, pool, asked)
    if everyone.rank == 0:
        say(found)
        if options.out is not None:
            _write(options, options.out, forces, found, split)
    _leave_together(everyone, folder if options.cache is None else None)
    return found


@dataclass(frozen=True)
class _Split:
    """What becomes of the frames: which are replaced and which go to DFT, and whose labels they get; None: none at all."""

    replaced: np.ndarray
    to_dft: np.ndarray
    labeller: Labeller | None


def _check(options: EnsembleOptions) -> None:
    for name in ("out", "to_dft"):
        path = getattr(options, name)
        if path is None:
            continue
        check_target(path, name)
        if path != STANDARD_OUTPUT and any(os.path.realpath(path) == os.path.realpath(one) for one in options.frames):
            raise UqError(f"{argument(name, path)}: is a file of frames that is read; accepted: another name")
    if options.cache is not None:
        check_folder(options.cache, "cache")
    filtering = [name for name in ("filter", "labels_of", "energies", "fit_offsets", "keep_labels") if getattr(options, name)]
    if options.to_dft is None and filtering:
        raise UqError(f"{argument(filtering[0])} says how frames are split; accepted: with {argument('to_dft')}")
    if options.to_dft is not None and options.out is None:
        raise UqError(f"{argument('to_dft', options.to_dft)}: needs {argument('out')} for the frames that get labels of a model")
    if options.to_dft is not None and os.path.realpath(options.to_dft) == os.path.realpath(str(options.out)):
        raise UqError(f"{argument('to_dft', options.to_dft)}: is where {argument('out')} goes; accepted: another file")
    if options.fit_offsets and not options.energies:
        raise UqError(f"{argument('fit_offsets', True)}: no labels of energies are asked for; accepted: with {argument('energies', True)}")
    if options.labels_of is not None and options.labels_of not in options.names:
        raise UqError(f"{argument('labels_of', options.labels_of)}: is no model of this; accepted: {', '.join(options.names)}")


def _located(options: EnsembleOptions) -> Any:
    return stream_frames(options.frames, options.elements, results=True)


def _found(options: EnsembleOptions, pool: Pool, asked: np.ndarray | None) -> tuple[dict[str, Any], _Split]:
    records, names, medians = pool.records, options.names, pool.medians
    errors = {MEDIAN: medians, RMSE: _rmse(pool, len(names))}
    if asked is None:
        kind = options.weights
        asked = np.full(len(names), 1.0 / len(names)) if kind == EQUAL else weights_of_errors(kind, errors[kind], names)
    u = disagreement.of_frame(np.array([one.d for one in records]), asked)
    best = int(np.argmin(medians)) if np.isfinite(medians).all() else None
    threshold = None if options.to_dft is None else THRESHOLD if options.filter is None else options.filter
    labeller = None if threshold is None else _labeller(options, pool, best, u < threshold)
    best = labeller.member if labeller else best
    offsets = labeller.offsets if labeller else None
    # where no model has a force U is zero by symmetry, and says nothing about energies
    judged_by = u if offsets is None else np.where([one.silent for one in records], np.inf, u)
    split = _split(options, pool, judged_by, threshold, labeller)
    judged = best is not None and any(one.labelled for one in records)
    models = zip(names, asked, errors[MEDIAN], errors[RMSE], strict=True)
    return {
        "models": [{"name": n, "weight": float(w), MEDIAN: _or_none(m), RMSE: _or_none(r)} for n, w, m, r in models],
        "weights": options.weights,
        "all": of_records(records, u, np.arange(len(records))),
        "groups": by_group(records, u),
        "filter": filter_table(records, judged_by, best, threshold, offsets) if judged and best is not None else [],
        "n_silent": sum(one.silent for one in records),
        "labels_of": names[best] if best is not None else None,
        "energy_offsets": offsets,
        "threshold": threshold,
        "frames": [_entry(one, value) for one, value in zip(records, u.tolist(), strict=True)],
        "out": options.out,
        "to_dft": options.to_dft,
        **_counts(pool, split),
    }, split


def _rmse(pool: Pool, n_models: int) -> np.ndarray:
    """(K,) of force components; NaN without labels."""
    labelled = [one for one in pool.records if one.labelled]
    if not labelled:
        return np.full(n_models, np.nan)
    return np.sqrt(sum(one.squares for one in labelled) / (3 * sum(one.n_atoms for one in labelled)))


def _counts(pool: Pool, split: _Split) -> dict[str, int]:
    if split.labeller is None:
        return {}
    n_replaced, n_to_dft = int(split.replaced.sum()), int(split.to_dft.sum())
    labelled = sum(pool.records[k].labelled for k in np.flatnonzero(split.to_dft))
    kept = len(pool.records) - n_replaced - n_to_dft
    return {"n_replaced": n_replaced, "n_kept": kept, "n_to_dft": n_to_dft, "n_labelled_to_dft": labelled}


def _labeller(options: EnsembleOptions, pool: Pool, best: int | None, agreed: np.ndarray) -> Labeller:
    if options.labels_of is not None:
        best = options.names.index(options.labels_of)
    if best is None:
        raise UqError(
            f"no frame has labels to say which model is the best; accepted: {argument('labels_of')} with one of {', '.join(options.names)}"
        )
    offsets = energy_zero_of(pool.records, best, options.fit_offsets, agreed) if options.energies else None
    return Labeller(best, options.names[best], options.keys, offsets)


def _split(options: EnsembleOptions, pool: Pool, u: np.ndarray, threshold: float | None, labeller: Labeller | None) -> _Split:
    nothing = np.zeros(len(u), bool)
    if threshold is None:
        return _Split(nothing, nothing, None)
    kept = np.array([one.labelled for one in pool.records]) if options.keep_labels else nothing
    replaced, to_dft = (u < threshold) & ~kept, (u >= threshold) & ~kept
    if not replaced.any():
        least = "all frames have labels" if kept.all() else f"the smallest U is {u[~kept].min():.3g} eV/Angstrom"
        raise UqError(f"{argument('filter', f'{threshold:g}')}: no frame would get labels of a model: {least}")
    return _Split(replaced, to_dft, labeller)


def _entry(record: Any, u: float) -> dict[str, Any]:
    names = ("source", "group", "n_atoms", "max_force", "driver_force")
    labels = {"error": record.error, "errors": record.errors.tolist()} if record.labelled else {"error": None, "errors": None}
    return {name: getattr(record, name) for name in names} | {"U": u, "d": record.d.tolist()} | labels


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _write(options: EnsembleOptions, out_path: str, forces: Forces, result: dict[str, Any], split: _Split) -> None:
    """Both files appear together, when all frames are written. Where no frame goes to DFT there is no such file."""
    weights = np.array([one["weight"] for one in result["models"]])
    with contextlib.ExitStack() as files:
        out = _opened(out_path, files)
        to_dft = _opened(options.to_dft, files) if options.to_dft is not None and split.to_dft.any() else None
        for batch in batches_of_rank(_located(options), BATCH_ATOMS, 0, 1):
            frames = [frame_of(one, options.group_key) for one in batch]
            energies, found = forces.of(frames)
            for located, frame, energy, force in zip(batch, frames, energies.T, found, strict=True):
                frame.atoms.info[LABELS_U] = result["frames"][located.number]["U"]
                frame.atoms.arrays[V_ATOM] = disagreement.from_driver(force, weights)
                frame.atoms.arrays[U_ATOM] = disagreement.of_atoms(force, weights)
                if split.labeller is not None and split.replaced[located.number]:
                    split.labeller.replace(frame.atoms, energy, force)
                elif LABELS_OF in frame.atoms.info and split.to_dft[located.number]:
                    without_labels(frame.atoms, options.keys)
                text = io.StringIO()
                ase.io.write(text, frame.atoms, format="extxyz", parallel=False)
                target = to_dft if to_dft is not None and split.to_dft[located.number] else out
                target.write(text.getvalue().encode())
    if options.to_dft is not None and to_dft is None and not is_stream(options.to_dft):
        Path(options.to_dft).unlink(missing_ok=True)  # of an older job


def _opened(path: str, files: contextlib.ExitStack) -> Any:
    stream: BinaryIO = files.enter_context(atomic_file(path))
    return files.enter_context(gzip.GzipFile("", "wb", fileobj=stream, mtime=0)) if Path(path).suffix == ".gz" else stream


def _leave_together(everyone: Ranks, folder: str | None) -> None:
    everyone.gather(None)  # nobody ends before the files are there
    if everyone.rank == 0 and folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
