# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars and scores of other methods on the labels that validation judges: what ``--baselines`` and ``--committee`` add."""

from __future__ import annotations

import logging

import numpy as np

from lmp_uq import dataset, modelfile
from lmp_uq.backbone import backbone_of_file
from lmp_uq.collect import features_of, labelled_frames, predicted_values, rows_of
from lmp_uq.errors import UqError
from lmp_uq.fit import apply_offsets
from lmp_uq.posterior.baselines import (
    bagging,
    ensemble_bars,
    fit_d_optimality,
    fit_ridge,
    llpr_scale,
    neighbour_distance,
    variance_scale,
)
from lmp_uq.posterior.novelty import Novelty
from lmp_uq.rows import RowOptions, predict
from lmp_uq.samples import QUANTITIES, Bars

log = logging.getLogger("lmp_uq")

BAGGING, RESCALED, LLPR, COMMITTEE = "bagging", "bagging, rescaled", "LLPR", "committee"
GAMMA, NEIGHBOURS = "gamma", "kNN"
DEFAULT_FORCE_ROWS = 24


def read_fit_frames(file, options) -> list:
    """The frames of ``--fit-data`` that the posterior of a file was fitted on.

    Raises
    ------
    UqError
        No files given, or none of their frames is one of the file's; names the files that the fit had.
    """
    names = ", ".join(d["path"] for d in file.header["provenance"]["data"]) or "none known"
    if not options.fit_data:
        raise UqError(f"--baselines needs the frames of the fit: give them with --fit-data (files of the fit: {names})")
    known = set(file.section("roles").get("posterior", np.zeros(0, np.uint64)).tolist())
    frames = dataset.read_frames(options.fit_data, options.keys, options.group_key)
    mine = [f for f in frames if f.key in known]
    if not mine:
        raise UqError(
            f"--fit-data: none of {len(frames)} frames is among the {len(known)} that the posterior of {options.model} was fitted on; "
            f"accepted: the files of the fit ({names})"
        )
    return mine


def add_baselines(file, backbone, predictions, samples, options) -> dict:
    """Put the bars and scores of the baselines into samples.

    Returns
    -------
    dict
        n_fit_frames, n_fit_frames_of_file, n_fit_rows.
    """
    frames = read_fit_frames(file, options)
    posterior = file.header["posterior"]
    training = predict(
        backbone,
        frames,
        RowOptions(
            kinds=tuple(posterior["rows"]),
            n_force_rows=posterior.get("n_force_rows", DEFAULT_FORCE_ROWS),
            bias=posterior["bias"],
            seed=posterior.get("seed", 0),
            progress="frames of the fit" if options.progress else "",
        ),
    )
    apply_offsets(training, posterior.get("energy_offsets") or {}, backbone)
    n_known = len(file.section("roles")["posterior"])
    if len(frames) < n_known:
        log.warning("--fit-data holds %d of the %d frames of the fit: baselines are fitted on those", len(frames), n_known)
    _row_bars(posterior, training, predictions, samples, options.seed)
    if "force_error" in samples:
        _atom_scores(file, training, predictions, samples["force_error"], options.seed)
    return {"n_fit_frames": len(frames), "n_fit_frames_of_file": n_known, "n_fit_rows": len(training.rows)}


def _row_bars(posterior, training, predictions, samples, seed):
    """Bagging and LLPR: fitted on the rows of the fit with its weights and ridge."""
    rows, weight = training.rows, training.rows.weights()
    ridge = float(posterior.get("ridge_relative", posterior["ridge"]))
    members = bagging(rows.features, rows.targets, weight, rows.frames, ridge, seed=seed)
    solution = fit_ridge(rows.features, rows.targets, weight, ridge)
    kept = weight * solution.leverage(rows.features) * len(rows) / rows.features.shape[1] >= posterior["leverage_floor"]
    for name in QUANTITIES:
        if name not in samples:
            continue
        mine = rows_of(predictions, name)
        x = features_of(predictions, mine, name)
        # scales are set on the fit's rows of the same kind, or the many force rows would decide for the energies
        same = rows.select(rows.kinds == mine.kinds[0]) if len(mine) else rows.select(np.zeros(len(rows), bool))
        fitted = same if len(same) else rows
        above = kept[rows.kinds == mine.kinds[0]] if len(same) else kept
        scale = variance_scale(fitted.features, fitted.targets, members)
        alpha = llpr_scale(solution.leverage(fitted.features[above]), fitted.targets[above])
        samples[name].others |= {
            BAGGING: Bars(*ensemble_bars(x, members)),
            RESCALED: Bars(*ensemble_bars(x, members, scale)),
            LLPR: Bars(alpha * np.sqrt(solution.leverage(x))),
        }


def _atom_scores(file, training, predictions, atoms, seed):
    """Scores of the descriptors: MaxVol's gamma, and the distance to the nearest training atoms."""
    known, species = np.concatenate(training.descriptors), np.concatenate(training.species)
    chosen = labelled_frames(predictions)
    if not chosen:
        return
    new = np.concatenate([predictions.descriptors[k] for k in chosen])
    new_species = np.concatenate([predictions.species[k] for k in chosen])
    novelty = Novelty.from_tensors(file.section("grade"))
    gamma = fit_d_optimality(known, species, len(novelty.radius)).gamma(new, new_species)
    whitened = [_whiten(novelty, d, s) for d, s in ((known, species), (new, new_species))]
    atoms.scores |= {GAMMA: gamma, NEIGHBOURS: neighbour_distance(whitened[0], species, whitened[1], new_species, seed=seed)}


def _whiten(novelty, descriptors, species):
    out = np.zeros(descriptors.shape)
    for z in np.unique(species):
        out[species == z] = (descriptors[species == z] - novelty.mean[z]) @ novelty.whitening[z].T
    return out


def add_committee(predictions, zero, samples, options) -> dict:
    """Put the spread over several models into samples: the model that is validated and those of ``--committee``.

    Parameters
    ----------
    predictions : Predictions
        Of the model that is validated.
    zero : (n_frames,) eV
        What its energies lack to those of the labels.
    samples, options

    Returns
    -------
    dict
        committee: names of the other models.

    Raises
    ------
    UqError
        A file that cannot be read, or that lacks an element of the frames.
    """
    models = [(predictions, zero), *(_evaluate(path, predictions.frames, options) for path in options.committee)]
    n_atoms = np.array([len(s) for s in predictions.species])
    for name in QUANTITIES:
        if name not in samples:
            continue
        rows = rows_of(predictions, name)
        values = np.stack([predicted_values(one, rows, name) for one, _ in models], axis=1)
        if name == "energy_per_atom":
            values = values + np.stack([(z / n_atoms)[rows.frames] for _, z in models], axis=1)
        away = values - values[:, :1]
        samples[name].others[COMMITTEE] = Bars(np.std(values, axis=1, ddof=1), away.min(axis=1), away.max(axis=1))
    return {"committee": [str(path) for path in options.committee]}


def _evaluate(path, frames, options):
    """Predictions of one more model, without rows, and what its energies lack to the labels."""
    file = modelfile.read(modelfile.resolve(path))
    backbone = backbone_of_file(file, options.precision, options.device, threads=options.threads)
    dataset.check_elements(frames, backbone.elements)
    predictions = predict(backbone, frames, RowOptions(kinds=(), bias="none", progress=f"frames, {path}" if options.progress else ""))
    stored = (file.header["posterior"] or {}).get("energy_offsets") or {}
    return predictions, energy_lack(predictions, stored, backbone.elements, options.fit_offsets)


def energy_lack(predictions, stored, elements, fit_offsets: bool) -> np.ndarray:
    """(n_frames,) eV that a model's energies lack to the labels: by the offsets of its file, or fitted to these frames."""
    residuals = predictions.energy_residuals()
    if fit_offsets and np.isfinite(residuals).any():
        stored = dataset.element_offsets(predictions.frames, residuals, elements)
    per_species = np.array([stored.get(e, 0.0) for e in elements])
    return np.array([per_species[s].sum() for s in predictions.species])
