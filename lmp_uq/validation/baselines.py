# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars and scores of other methods on the labels that validation judges: what ``--baselines`` adds."""

from __future__ import annotations

import logging
import tempfile
from typing import Any

import numpy as np

from lmp_uq.baselines.distances import fit_d_optimality, neighbour_distance
from lmp_uq.baselines.rows import fit_row_baselines
from lmp_uq.errors import UqError, argument
from lmp_uq.fitting.weighting import Blocks, weighting
from lmp_uq.frames.frame import Frame
from lmp_uq.frames.reading import read_frames
from lmp_uq.modelfile import ModelFile
from lmp_uq.modelfile.header import PosteriorEntry, given
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.quantities import FORCE_ROWS, FORCES, by_key
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.labelled import features_of, labelled_descriptors, rows_of
from lmp_uq.rows.rows import Predictions, RowOptions
from lmp_uq.rows.stream import Stream
from lmp_uq.validation.atoms import AtomSamples
from lmp_uq.validation.samples import Bars

log = logging.getLogger("lmp_uq")

BAGGING, RESCALED, LLPR = "bagging", "bagging, rescaled", "LLPR"
GAMMA, NEIGHBOURS = "gamma", "kNN"


def read_fit_frames(file: ModelFile, options: Any) -> list[Frame]:
    """The frames of ``--fit-data`` that the posterior of a file was fitted on.

    Raises
    ------
    UqError
        No files given, or none of their frames is one of the file's; names the files that the fit had.
    """
    names = ", ".join(data.path for data in file.header.provenance.data) or "none known"
    if not options.fit_data:
        asked, with_them = argument("baselines", True), argument("fit_data")
        raise UqError(f"{asked} needs the frames of the fit: give them with {with_them} (files of the fit: {names})")
    known = set(file.section("roles").get("posterior", np.zeros(0, np.uint64)).tolist())
    frames = read_frames(options.fit_data, options.keys, options.group_key)
    mine = [f for f in frames if f.key in known]
    if not mine:
        raise UqError(
            f"{argument('fit_data')}: none of {len(frames)} frames is among the {len(known)} that the posterior of {options.model} was "
            f"fitted on; accepted: the files of the fit ({names})"
        )
    return mine


def add_baselines(
    file: ModelFile, backbone: Any, predictions: Predictions, samples: dict[str, Any], frames: list[Frame], options: Any
) -> dict:
    """Put the bars and scores of the baselines into samples; frames: of `read_fit_frames`.

    Returns
    -------
    dict
        n_fit_frames, n_fit_frames_of_file, n_fit_rows.
    """
    posterior = file.header.fitted
    rows = RowOptions(
        kinds=tuple(posterior.rows),
        n_force_rows=given(posterior.n_force_rows, FORCE_ROWS),
        bias=posterior.bias,
        seed=posterior.seed or 0,
        progress="frames of the fit" if options.progress else "",
    )
    n_known = len(file.section("roles")["posterior"])
    if len(frames) < n_known:
        found = (argument("fit_data"), len(frames), n_known)
        log.warning("%s holds %d of the %d frames of the fit: baselines are fitted on those", *found)
    with tempfile.TemporaryDirectory(prefix="lmp-uq-") as folder:
        training = Stream(backbone, frames, rows, Cache(folder, ""), Ranks())
        offsets = posterior.energy_offsets or {}
        training.offsets = np.array([offsets.get(element, 0.0) for element in backbone.elements])
        n_rows = _row_bars(posterior, training, predictions, samples, options.seed)
        if FORCES.bar in samples:
            _atom_scores(file, training, predictions, samples[FORCES.bar], options.seed)
    return {"n_fit_frames": len(frames), "n_fit_frames_of_file": n_known, "n_fit_rows": n_rows}


def _row_bars(posterior: PosteriorEntry, training: Stream, predictions: Predictions, samples: dict[str, Any], seed: int) -> int:
    """Bagging and LLPR, fitted on the rows of the fit with its ridge; the number of those rows."""
    kinds, drawn = training.collect(lambda part, first: (part.rows.kinds, part.rows.frames + first))
    ridge = float(given(posterior.ridge_relative, posterior.ridge))
    fitted = fit_row_baselines(Blocks(training, weighting(training)), drawn, kinds, ridge, posterior.leverage_floor, seed)
    for quantity in by_key(samples):
        features = features_of(predictions, rows_of(predictions, quantity), quantity)
        bagged, rescaled, llpr = fitted.bars(features, quantity.row)
        samples[quantity.key].others |= {BAGGING: Bars(*bagged), RESCALED: Bars(*rescaled), LLPR: Bars(llpr)}
    return len(kinds)


def _atom_scores(file: ModelFile, training: Stream, predictions: Predictions, atoms: AtomSamples, seed: int) -> None:
    """Scores of the descriptors: MaxVol's gamma, and the distance to the nearest training atoms."""
    known, species = training.collect(lambda part, first: (np.concatenate(part.descriptors), np.concatenate(part.species)))
    new, new_species = labelled_descriptors(predictions)
    if not len(new):
        return
    novelty = Novelty.from_tensors(file.section("grade"))
    gamma = fit_d_optimality(known, species, len(novelty.radius)).gamma(new, new_species)
    whitened = [_whiten(novelty, d, s) for d, s in ((known, species), (new, new_species))]
    atoms.scores |= {GAMMA: gamma, NEIGHBOURS: neighbour_distance(whitened[0], species, whitened[1], new_species, seed=seed)}


def _whiten(novelty: Novelty, descriptors: np.ndarray, species: np.ndarray) -> Any:
    out = np.zeros(descriptors.shape)
    for z in np.unique(species):
        out[species == z] = (descriptors[species == z] - novelty.mean[z]) @ novelty.whitening[z].T
    return out


