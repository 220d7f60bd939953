# SPDX-License-Identifier: GPL-2.0-or-later
"""What the classifiers of frames (PROBE) and of atoms (ordinal) are worth beside signals that need no network, with the model nbmotaw.

    LMP_UQ_DATA=folder python benchmarks/calibration_frames.py FRAMES
    python benchmarks/reliability.py FRAMES [MODEL]

Each file of FRAMES is a source with an energy zero of its own, which is taken off its labels: per element, by least squares.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from lmp_uq import modelfile
from lmp_uq.calibration.force_error_fit import fit_force_error
from lmp_uq.calibration.ordinal_head import calibrate_ordinal
from lmp_uq.calibration.probe_training import calibrate_probe
from lmp_uq.frames.energy_zero import element_offsets
from lmp_uq.frames.reading import read_frames
from lmp_uq.metrics.bars import spearman
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import FORCES
from lmp_uq.recipes.options import RecipeOptions
from lmp_uq.report.classifiers import classifier_blocks
from lmp_uq.rows.labelled import energy_labels, labelled_descriptors, labels_of
from lmp_uq.rows.predict import predict_by_file

SMALLEST = 8
"""Atoms of a frame within which anything is ranked."""


def main(folder: Path, model: str) -> None:
    """Evaluate once; print the three tables."""
    file = modelfile.read(modelfile.resolve(model))
    novelty, box = Novelty.from_tensors(file.section("grade")), Box.from_tensors(file.section("posterior"))
    frames = read_frames(sorted(folder.glob("*.extxyz")))
    backbone, predictions = predict_by_file(file, frames, RecipeOptions(), kinds=("energy",))
    sources = np.array([frame.source.rpartition("[")[0] for frame in frames])
    take_zeros_off(predictions, sources, backbone.elements)
    energies = energy_labels(predictions, box, novelty)
    probe = calibrate_probe(energies)
    show(classifier_blocks({"probe": probe.header()}))
    by_source = calibrate_probe(replace(energies, groups=sources[predictions.rows.frames])).figures["groups_left_out"]
    print("\nsources left out")
    show(classifier_blocks({"probe": probe.header() | {"groups_left_out": by_source}}))
    forces = labels_of(predictions, box, novelty, backbone).of(FORCES)
    head = calibrate_ordinal(forces.atoms, labelled_descriptors(predictions)[0], fit_force_error(forces.atoms))
    show(classifier_blocks({"ordinal": head.header()}))
    summary(head.figures["groups_left_out"])
    maps(probe, predictions, sources, forces, fit_force_error(forces.atoms))


def take_zeros_off(predictions, sources, elements) -> None:
    """Offsets of each source off its energy rows."""
    residuals, rows = predictions.energy_residuals(), predictions.rows
    for source in np.unique(sources):
        mine = np.flatnonzero(sources == source)
        offsets = element_offsets([predictions.frames[k] for k in mine], residuals[mine], elements)
        of_species = np.array([offsets.get(element, 0.0) for element in elements])
        for k in np.flatnonzero(sources[rows.frames] == source):
            rows.targets[k] -= of_species[predictions.species[rows.frames[k]]].mean()


def show(blocks) -> None:
    print("\n" + "\n\n".join("\n".join(lines) for lines in blocks), flush=True)


def summary(found) -> None:
    """Means over the groups that have both classes."""
    both = [one for one in found.values() if one and one["ordinal"] is not None]
    for name in ("ordinal", "error_above"):
        values = [one[name] for one in both]
        print(f"{name:12s} mean AUROC {np.mean(values):.3f}, worst {np.min(values):.3f} over {len(both)} groups left out")


def maps(probe, predictions, sources, forces, bar) -> None:
    """Ranks within frames: importance, |F|, error_above with the force error; and how often their first atom is among the worst tenth."""
    atoms = forces.atoms
    above = bar.probability(atoms.variables, 0.3)
    print(f"\n{'rank correlation with the force error within frames, medians':32s}; share of first atoms among the worst tenth")
    print(f"{'':32s} {'frames':>6s}  {'attention':>15s}  {'|F|':>15s}  {'error_above 0.3':>15s}")
    for source in np.unique(sources):
        found = []
        for k in np.flatnonzero(sources == source):
            mine = forces.frames == k
            if mine.sum() < SMALLEST or not atoms.telling()[mine].all():
                continue
            signals = (probe.assess(predictions.descriptors[k])[1], atoms.variables.force[mine], above[mine])
            error = atoms.error[mine]
            worst = np.quantile(error, 0.9)
            found.append([(spearman(s, error), float(error[np.argmax(s)] >= worst)) for s in signals])
        found = np.array(found, dtype=float)
        cells = [f"{np.nanmedian(found[:, k, 0]):6.2f}   {np.mean(found[:, k, 1]):6.2f}" for k in range(3)] if len(found) else []
        print(f"{source:32s} {len(found):6d}  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "nbmotaw")
