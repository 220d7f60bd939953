# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars and scores of other methods on the labels that validation judges: what ``--baselines`` and ``--committee`` add."""

from __future__ import annotations

import logging
import tempfile

import numpy as np

from lmp_uq import modelfile
from lmp_uq.backbone import backbone_of_file
from lmp_uq.baselines.rows import fit_d_optimality, fit_row_baselines, neighbour_distance
from lmp_uq.errors import UqError
from lmp_uq.fitting.posterior import Blocks, weighting
from lmp_uq.frames import reading as dataset
from lmp_uq.frames.energy_zero import element_offsets
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.rows.predict import RowOptions, predict
from lmp_uq.rows.stream import Cache, Stream
from lmp_uq.validation.collect import ROW_KINDS, features_of, labelled_frames, predicted_values, rows_of
from lmp_uq.validation.samples import QUANTITIES, Bars

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
    rows = RowOptions(
        kinds=tuple(posterior["rows"]),
        n_force_rows=posterior.get("n_force_rows", DEFAULT_FORCE_ROWS),
        bias=posterior["bias"],
        seed=posterior.get("seed", 0),
        progress="frames of the fit" if options.progress else "",
    )
    n_known = len(file.section("roles")["posterior"])
    if len(frames) < n_known:
        log.warning("--fit-data holds %d of the %d frames of the fit: baselines are fitted on those", len(frames), n_known)
    with tempfile.TemporaryDirectory(prefix="lmp-uq-") as folder:
        training = Stream(backbone, frames, rows, Cache(folder, ""), Ranks())
        offsets = posterior.get("energy_offsets") or {}
        training.offsets = np.array([offsets.get(element, 0.0) for element in backbone.elements])
        n_rows = _row_bars(posterior, training, predictions, samples, options.seed)
        if "force_error" in samples:
            _atom_scores(file, training, predictions, samples["force_error"], options.seed)
    return {"n_fit_frames": len(frames), "n_fit_frames_of_file": n_known, "n_fit_rows": n_rows}


def _row_bars(posterior, training, predictions, samples, seed):
    """Bagging and LLPR, fitted on the rows of the fit with its ridge; the number of those rows."""
    kinds, drawn = training.collect(lambda part, first: (part.rows.kinds, part.rows.frames + first))
    ridge = float(posterior.get("ridge_relative", posterior["ridge"]))
    fitted = fit_row_baselines(Blocks(training, weighting(training)), drawn, kinds, ridge, posterior["leverage_floor"], seed)
    for name in QUANTITIES:
        if name in samples:
            bagged, rescaled, llpr = fitted.bars(features_of(predictions, rows_of(predictions, name), name), ROW_KINDS[name])
            samples[name].others |= {BAGGING: Bars(*bagged), RESCALED: Bars(*rescaled), LLPR: Bars(llpr)}
    return len(kinds)


def _atom_scores(file, training, predictions, atoms, seed):
    """Scores of the descriptors: MaxVol's gamma, and the distance to the nearest training atoms."""
    known, species = training.collect(lambda part, first: (np.concatenate(part.descriptors), np.concatenate(part.species)))
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
    backbone = backbone_of_file(file, options.precision, options.device, engine=options.engine, threads=options.threads)
    dataset.check_elements(frames, backbone.elements)
    predictions = predict(backbone, frames, RowOptions(kinds=(), bias="none", progress=f"frames, {path}" if options.progress else ""))
    stored = (file.header["posterior"] or {}).get("energy_offsets") or {}
    return predictions, energy_lack(predictions, stored, backbone.elements, options.fit_offsets)


def energy_lack(predictions, stored, elements, fit_offsets: bool) -> np.ndarray:
    """(n_frames,) eV that a model's energies lack to the labels: by the offsets of its file, or fitted to these frames."""
    residuals = predictions.energy_residuals()
    if fit_offsets and np.isfinite(residuals).any():
        stored = element_offsets(predictions.frames, residuals, elements)
    per_species = np.array([stored.get(e, 0.0) for e in elements])
    return np.array([per_species[s].sum() for s in predictions.species])
