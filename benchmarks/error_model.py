# SPDX-License-Identifier: GPL-2.0-or-later
"""What force_error is worth in groups, or whole sources, that took no part in its calibration, beside simpler bars.

    LMP_UQ_DATA=folder python benchmarks/calibration_frames.py frames
    python benchmarks/error_model.py frames [--model nbmotaw] [--network] [--figure OUT.svg]

Every bar is calibrated on the groups that are not left out, with equal weights, and judged on the one that is: without atoms whose
force vanishes by symmetry, frames with equal weights. Groups of fewer than 10 frames calibrate and are not counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from lmp_uq import modelfile
from lmp_uq.calibration.adaptation import few_frames_adapted
from lmp_uq.calibration.force_error_1 import ForceError1
from lmp_uq.calibration.force_error_fit import fit_force_error
from lmp_uq.calibration.labelled_atoms import LabelledAtoms
from lmp_uq.calibration.quantile_network import train_quantile_network
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.frames.reading import read_frames
from lmp_uq.metrics.sharpness import IN_BAND, geometric_mean, sharpness, weighted_quantiles
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.recipes.options import RecipeOptions
from lmp_uq.rows.labelled import force_labels, labelled_descriptors
from lmp_uq.rows.predict import predict_by_file

LEVEL, LEAST_FRAMES, KNOWN = 0.9, 10, ", known"


def main() -> None:
    """Print the tables, and draw the figure."""
    options = _arguments()
    file = modelfile.read(modelfile.resolve(options.model))
    atoms, descriptors, sources = _labels(file, sorted(Path(options.frames).glob("*.extxyz")))
    bars = {
        "constant": constant,
        "proportional to abs(F) + 0.01": proportional,
        "abs(F) and grade": own_grade,
        "**force_error**": lambda known: fit_force_error(known).predict,
        "the same, conservative": conservative,
        "with the mean correction": lambda known: fit_force_error(known, with_correction=True).predict,
    }
    found = {name: left_out(atoms, atoms.groups, make) for name, make in bars.items()}
    if options.before:
        old = modelfile.read(options.before).header.bars()["force_error"]
        bar = ForceError1.from_dict(old)
        found = {"force_error before 0.2, on two groups": left_out(atoms, atoms.groups, lambda known: bar.predict)} | found
    if options.network:
        found["learned quantile where grade <= 1"] = left_out_network(atoms, descriptors)
    found["**force_error**, five labelled frames later"] = adapted(atoms)
    by_source = {f"{name}, source left out": left_out(atoms, sources, make) for name, make in bars.items() if name == "**force_error**"}
    _print_summary(found | by_source)
    _print_groups(found)
    if options.figure:
        _draw(found, options.figure)


def left_out(atoms: LabelledAtoms, parts: np.ndarray, make) -> dict[str, dict]:
    """Figures of each group under bars of the atoms of other parts; make(atoms) gives a function of variables."""
    report = {}
    for part in np.unique(parts):
        bar = make(atoms.take(parts != part))
        for group in np.unique(atoms.groups[parts == part]):
            mine = atoms.take(atoms.groups == group)
            report[str(group)] = _figures(mine, bar(mine.variables))
    return report


def _figures(mine, bar):
    return sharpness(mine.error, bar, LEVEL, mine.weights()) | {"frames": mine.n_blocks}


def constant(known: LabelledAtoms):
    """The quantile of all errors."""
    width = weighted_quantiles(known.error, [LEVEL], known.weights())[0]
    return lambda at: np.full(len(at), width)


def proportional(known: LabelledAtoms):
    """A factor of the force."""
    factor = weighted_quantiles(known.error / (known.variables.force + 0.01), [LEVEL], known.weights())[0]
    return lambda at: factor * (at.force + 0.01)


def conservative(known: LabelledAtoms):
    """force_error with its conservative quantile."""
    bar = fit_force_error(known)
    return lambda at: bar.predict(at, conservative=True)


def own_grade(known: LabelledAtoms):
    """force_error that knows nothing of the neighbours."""

    def alone(at):
        return ForceVariables(at.force, at.grade, np.ones(len(at)))

    bar = fit_force_error(LabelledAtoms(known.error, alone(known.variables), known.groups, known.blocks))
    return lambda at: bar.predict(alone(at))


def left_out_network(atoms: LabelledAtoms, descriptors: np.ndarray) -> dict[str, dict]:
    """The learned quantile, which hands over to force_error where grade > 1."""
    report = {}
    for group in np.unique(atoms.groups):
        out = atoms.groups == group
        usable = ~out & (atoms.variables.grade <= 1.0)
        network, _ = train_quantile_network(atoms.take(usable), descriptors[usable])
        mine = atoms.take(out)
        report[str(group)] = _figures(mine, network.predict(descriptors[out], mine.variables, fit_force_error(atoms.take(~out))))
    return report


def adapted(atoms: LabelledAtoms) -> dict[str, dict]:
    """Coverage of the rest of a group after five of its frames; nothing else is known of it."""
    report = {}
    for group in np.unique(atoms.groups):
        out = atoms.groups == group
        found = few_frames_adapted(fit_force_error(atoms.take(~out)), atoms.take(out))
        report[str(group)] = {"frames": atoms.take(out).n_blocks, "coverage": found["adapted"] if found else None}
    return report


def _labels(file, paths):
    frames = read_frames([str(path) for path in paths], cutoff=file.header.cutoff)
    backbone, predictions = predict_by_file(file, frames, RecipeOptions(), kinds=())
    centre = Box.from_tensors(file.section("posterior")).centre()
    labels = force_labels(predictions, Novelty.from_tensors(file.section("grade")), backbone, centre)
    telling = labels.atoms.judged()
    sources = np.array([frame.source.partition("[")[0].replace("_held_out", "").replace("_valid", "") for frame in frames])
    return labels.atoms.take(telling), labelled_descriptors(predictions)[0][telling], sources[labels.frames][telling]


def _counted(report):
    return {group: mine for group, mine in report.items() if mine["frames"] >= LEAST_FRAMES and mine["coverage"] is not None}


def _print_summary(found):
    low, high = IN_BAND
    print(f"| bar | in {low}-{high} | below | above | least | mean | width / oracle known, new | pinball known, new | Spearman |")
    print("|" + "---|" * 9)
    for name, report in found.items():
        mine = _counted(report)
        coverage = np.array([one["coverage"] for one in mine.values()])
        counts = [int(np.sum((coverage >= low) & (coverage <= high))), int(np.sum(coverage < low)), int(np.sum(coverage > high))]
        cells = [f"{counts[0]} of {len(coverage)}", *map(str, counts[1:]), f"{coverage.min():.2f}", f"{coverage.mean():.3f}"]
        for figure in ("width_over_oracle", "pinball"):
            parts = [geometric_mean([one.get(figure) for g, one in mine.items() if g.endswith(KNOWN) == known]) for known in (True, False)]
            cells.append(", ".join("-" if part is None else f"{part:.2f}" for part in parts))
        ranks = [one["spearman"] for one in mine.values() if one.get("spearman") is not None]
        print(f"| {name} | " + " | ".join([*cells, f"{np.mean(ranks):.2f}" if ranks else "-"]) + " |")


def _print_groups(found):
    names = [name for name in found if "before" in name or name == "**force_error**" or "later" in name]
    print("\n| group | frames | oracle | " + " | ".join(names) + " |\n|" + "---|" * (3 + len(names)))
    for group, mine in found["**force_error**"].items():
        cells = []
        for name in names:
            one = found[name][group]
            width = one.get("width_over_oracle")
            cells.append("-" if one["coverage"] is None else f"{one['coverage']:.2f}" + (f", {width:.2g}" if width else ""))
        star = " *" if mine["frames"] < LEAST_FRAMES else ""
        print(f"| {group}{star} | {mine['frames']} | {mine['oracle']:.3g} | " + " | ".join(cells) + " |")


def _draw(found, path):
    import matplotlib.pyplot as plt

    before = next(report for name, report in found.items() if "before" in name)
    after = found["**force_error**"]
    groups = sorted(_counted(after), key=lambda group: (group.endswith(KNOWN), after[group]["coverage"]))
    figure, panels = plt.subplots(1, 2, figsize=(9, 6), sharey=True, layout="constrained")
    rows = np.arange(len(groups))
    for report, colour, marker, label in ((before, "#b0b0b0", "o", "before"), (after, "#1f77b4", "D", "now, group left out")):
        panels[0].plot([report[g]["coverage"] for g in groups], rows, marker, color=colour, label=label)
        panels[1].plot([report[g]["width_over_oracle"] for g in groups], rows, marker, color=colour)
    panels[0].axvspan(*IN_BAND, color="#1f77b4", alpha=0.12, lw=0)
    panels[0].axvline(LEVEL, color="#808080", lw=0.8)
    panels[0].set(xlabel="share of atoms inside the bar", xlim=(0.55, 1.02), yticks=rows, yticklabels=groups)
    panels[1].axvline(1.0, color="#808080", lw=0.8)
    panels[1].set(xlabel="median bar over the best constant bar", xscale="log")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    for panel in panels:
        panel.grid(axis="y", color="#d0d0d0", lw=0.5)
    figure.savefig(path)


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", help="folder of *.extxyz")
    parser.add_argument("--model", default="nbmotaw")
    parser.add_argument("--before", help="a model file of before 0.2, judged as it is")
    parser.add_argument("--network", action="store_true", help="the learned quantile too: it is trained once for each group")
    parser.add_argument("--figure", help="draw coverage and width by group")
    return parser.parse_args()


if __name__ == "__main__":
    main()
