# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that make and judge model files: convert, fit, calibrate, validate, export."""

from __future__ import annotations

import logging
import warnings

from lmp_uq.cli.parser import (
    BOUNDS,
    JSON,
    add_engine,
    add_labels,
    add_messages,
    add_verb,
    check_json,
    count,
    number_or,
    positive,
    positive_or_auto,
    present,
    scale,
    shows_progress,
    tell,
)
from lmp_uq.quantities import FORCE_ROWS, LABELS

BACKBONE = (
    "`*.uq` file, embedded model, mace-torch file, a [name that mace-torch knows](convert.md#names), or a linear potential: "
    "[`snap:X.snapparam`](linear.md), [`compute:X.compute`](descriptors.md)"
)
LABELLED = "labelled frames, with files and labels as in [fit](fit.md#data)"
CALIBRATION = "labelled frames of force_error, whole groups that are not in `--data`, and of the choice of the leverage floor"
HOLD_OUT = "frames of `--data` to leave out, by an entry of their comment line; noted in the file as `test`"
CACHE = "keep descriptors in this folder; without it they are in `X.uq.cache` until X.uq is written"
ELEMENTS = "of SNAP: elements in the order of atom types, with radius and weight; one element needs none: 0.5 and 1.0"
REFERENCE = 'of a linear potential: pair styles beneath it, as `"zbl 4.0 4.8"`'
REFERENCE_COEFF = 'their `pair_coeff` lines, as `"1 1 zbl 74 74"`; those of zbl are made'
CLASSIFIERS = ("probe", "ordinal")
CLASSIFIER = "also train a [classifier](reliability.md) of frames (`probe`), of atoms (`ordinal`), or both"
FIT_FORCE_ROWS = (
    f"force components per frame, drawn at random; `auto`: {FORCE_ROWS}, or as many more as 100 rows per feature take; "
    "of a linear potential all"
)
FORCE_ROWS_CHECKED = (
    f"force components per frame, drawn at random, whose bars are checked; {FORCE_ROWS} of a foundation model, all of a linear potential"
)
LABELS_FILE = "write every label with its prediction and its bars into this file, `.csv` or `.npz`"
ROWS = f"which labels become rows: any of {', '.join(f'`{label}`' for label in LABELS)}"
ENERGY_SCALE = "weight energies by exp(-(E - E_min)/A), A in eV/atom, E_min the lowest of the same composition"
FORCE_SCALE = "weight force components by exp(-|F|/B), B in eV/Angstrom"
REPLACED_SCALE = "labels that [lmp-uq ensemble](ensemble.md) took from a model weigh 1/(1 + (U/S)^2), S in eV/Angstrom"
RIDGE = "relative ridge >= 0, `evidence`, or `groups`; `auto`: 0.01, of a linear potential `evidence`"
FLOOR = "relative leverage floor >= 0, `auto` (by the calibration frames) or `groups` (by left-out groups of `--data`)"
COMPONENTS = "fit on the first N principal components of the features only: fewer give wider bars"
POSTERIOR = "`pops`, or [`p-readout`](#p-readout): learned members beside it; needs a group in `--calibration` that `--data` lacks"
AXES = (
    "[principal axes of the box](linear.md#axes-of-the-box): `scaled` columns, `given` units; `auto`: given for SNAP without quadratic "
    "terms, else scaled"
)


def add_verbs(verbs) -> None:
    """Add the verbs to the parser of ``lmp-uq``."""
    _add_convert(verbs)
    _add_fit(verbs)
    _add_calibrate(verbs)
    _add_validate(verbs)
    _add_export(verbs)


def _add_convert(verbs):
    p = add_verb(verbs, "convert", _convert, "make a *.uq file without posterior from a mace-torch model")
    p.add_argument("model", help="mace-torch file (a pickle: it can run code, name only files you trust) or a name mace-torch knows")
    p.add_argument("--out", required=True, metavar="X.uq", help="file to write")
    p.add_argument("--head", help="which head of a model with several")
    p.add_argument("--elements", nargs="+", default=[], metavar="El", help="keep these elements only; the file becomes smaller")
    p.add_argument("--charge", type=float, help="total charge of all configurations, of a model that takes it")
    p.add_argument("--spin", type=float, help="spin multiplicity of all configurations, of a model that takes it")
    p.add_argument("--licence", default="unstated", help="licence of the model, stored in the file")
    add_messages(p)


def _add_fit(verbs):
    p = add_verb(verbs, "fit", _fit, "fit posterior, grade and force_error on DFT frames")
    files = p.add_argument_group("files")
    files.add_argument("--backbone", required=True, metavar="M", help=BACKBONE)
    files.add_argument("--data", required=True, nargs="+", metavar="F", help="labelled frames of the posterior and the grade")
    files.add_argument("--out", required=True, metavar="X.uq", help="file to write")
    files.add_argument("--calibration", nargs="+", default=[], metavar="F", help=CALIBRATION)
    files.add_argument("--backbone-training", nargs="+", default=[], metavar="F", help="frames the backbone was trained on; only noted")
    files.add_argument("--hold-out", metavar="KEY=VALUE", help=HOLD_OUT)
    files.add_argument("--cache", metavar="DIR", help=CACHE)
    files.add_argument("--json", metavar="OUT", help=JSON)
    files.add_argument("--head", help="which head of a mace-torch model with several")
    files.add_argument("--licence", default="unstated", help="licence of model and data, stored in the file")
    add_labels(p).add_argument("--fit-offsets", action="store_true", help="take per-element energy offsets off the labels")
    _add_rows(p.add_argument_group("rows and their weights"))
    _add_posterior(p.add_argument_group("posterior"))
    linear = p.add_argument_group("linear potentials")
    linear.add_argument("--elements", nargs="+", default=[], metavar="El:R:w", help=ELEMENTS)
    linear.add_argument("--reference", nargs="+", default=[], metavar="STYLE", help=REFERENCE)
    linear.add_argument("--reference-coeff", nargs="+", default=[], metavar="C", help=REFERENCE_COEFF)
    add_engine(p)
    add_messages(p)


def _add_rows(p):
    p.add_argument("--rows", nargs="+", default=list(LABELS), choices=LABELS, metavar="KIND", help=ROWS)
    p.add_argument("--force-rows", type=positive_or_auto, default="auto", metavar="N", help=FIT_FORCE_ROWS)
    p.add_argument("--energy-scale", type=scale, default=None, metavar="A", help=ENERGY_SCALE)
    p.add_argument("--force-scale", type=scale, default=None, metavar="B", help=FORCE_SCALE)
    p.add_argument("--replaced-scale", type=scale, default=0.25, metavar="S", help=REPLACED_SCALE)


def _add_posterior(p):
    p.add_argument("--ridge", type=number_or("auto", "evidence", "groups"), default="auto", help=RIDGE)
    p.add_argument("--leverage-floor", type=number_or("auto", "groups"), default="auto", metavar="FLOOR", help=FLOOR)
    p.add_argument("--components", type=positive, default=None, metavar="N", help=COMPONENTS)
    p.add_argument("--axes", default="auto", choices=["auto", "scaled", "given"], help=AXES)
    p.add_argument("--element-bias", action="store_true", help="one constant column per element instead of one for all")
    p.add_argument("--posterior", default="pops", choices=["pops", "p-readout"], help=POSTERIOR)
    p.add_argument("--members", type=positive, default=512, metavar="K", help="members drawn and stored")
    p.add_argument("--seed", type=count, default=0, help="of the drawn force rows, the folds of the grade and the members")


def _add_calibrate(verbs):
    p = add_verb(verbs, "calibrate", _calibrate, "new bars from labelled frames of many kinds, or force_error adapted to a few frames")
    p.add_argument("model", help="*.uq file or embedded model")
    frames = p.add_mutually_exclusive_group(required=True)
    frames.add_argument("--data", nargs="+", metavar="F", help=f"{LABELLED}, groups of unlike kinds, known ones too")
    frames.add_argument("--adapt", nargs="+", metavar="F", help="a few frames of a new system: shift `force_error` to them, keep the rest")
    p.add_argument("--out", required=True, metavar="Y.uq", help="file to write")
    p.add_argument("--in-sample", action="store_true", help="accept frames that have another role in the file")
    p.add_argument("--licence", metavar="TEXT", default="", help="licence of model and data, in the place of that in the file")
    p.add_argument("--learned-quantile", action="store_true", help="also train a network for force_error where grade <= 1")
    p.add_argument(
        "--classifier", nargs="+", action="extend", default=[], choices=CLASSIFIERS, help=CLASSIFIER
    )
    p.add_argument("--seed", type=count, default=0, help="of the random choices of a few frames, and of the networks")
    p.add_argument("--json", metavar="OUT", help=JSON)
    _add_own_offsets(add_labels(p))
    add_engine(p)
    add_messages(p)


def _add_own_offsets(p):
    p.add_argument("--fit-offsets", action="store_true", help="fit per-element energy offsets to these labels, not those of the file")


def _add_validate(verbs):
    p = add_verb(verbs, "validate", _validate, "errors and coverage on labelled frames")
    p.add_argument("model", help="*.uq file or embedded model")
    p.add_argument("--data", required=True, nargs="+", metavar="F", help=LABELLED)
    p.add_argument("--in-sample", action="store_true", help="accept frames that shaped the file")
    p.add_argument("--json", metavar="OUT", help=JSON)
    p.add_argument("--report", metavar="DIR", help="write `report.html`, tables and figures into this folder")
    p.add_argument("--labels", metavar="OUT", help=LABELS_FILE)
    p.add_argument("--force-rows", type=positive, metavar="N", help=FORCE_ROWS_CHECKED)
    p.add_argument("--members", type=positive, default=None, metavar="K", help=BOUNDS)
    p.add_argument("--seed", type=count, default=0, help="of the drawn force components")
    p.add_argument("--blocks", default="frame", choices=["frame", "group"], help="what the bootstrap draws: `frame` or `group`")
    other = p.add_argument_group("other methods")
    other.add_argument("--baselines", action="store_true", help="compare with bagging, LLPR, MaxVol gamma and kNN; needs `--fit-data`")
    other.add_argument("--fit-data", nargs="+", default=[], metavar="F", help="files that hold the frames that the posterior was fitted on")
    other.add_argument("--committee", nargs="+", default=[], metavar="X.uq", help="compare with the spread over these models and this one")
    _add_own_offsets(add_labels(p))
    add_engine(p)
    add_messages(p)


def _add_export(verbs):
    p = add_verb(verbs, "export", _export, "write a linear potential as the files of LAMMPS' own pair style")
    p.add_argument("model", help="*.uq file of a linear potential")
    p.add_argument("--out", required=True, metavar="PREFIX", help="of the files, as `PREFIX.in`; its folder must be there")
    p.add_argument("--member", type=positive, metavar="K", help="the K-th member of the posterior, counted from 1, in place of the mean")
    add_messages(p)


def _common(options):
    from lmp_uq.frames.reading import LabelKeys

    return {
        "device": options.device,
        "precision": options.precision,
        "engine": options.engine,
        "threads": options.threads,
        "keys": LabelKeys(options.energy_key, options.forces_key, options.stress_key, options.virials_key),
        "group_key": options.group_key,
        "fit_offsets": options.fit_offsets,
        "progress": shows_progress(options),
        "seed": options.seed,
    }


def _convert(options, command):
    from lmp_uq.recipes.convert import convert

    words = {"head": options.head, "charge": options.charge, "spin": options.spin, "elements": options.elements, "licence": options.licence}
    fixed = convert(options.model, options.out, **words, command=command)
    for_all = f" for {' and '.join(f'{name} {value:g}' for name, value in fixed.items())}" if fixed else ""
    tell(options, f"{options.out}: written{for_all}; no posterior yet, lmp-uq fit adds one")


def _fit(options, command):
    from lmp_uq.parallel.ranks import ending_together, ranks

    everyone = ranks()
    if everyone.rank != 0:  # what is noticed is noticed by all
        logging.getLogger("lmp_uq").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
    with ending_together(everyone):
        check_json(options)
        result = _run_fit(options, command)
    if everyone.rank == 0:
        present(options, str(result), result.to_dict())


def _run_fit(options, command):
    from lmp_uq.api.verbs import fit

    return fit(
        backbone=options.backbone,
        data=options.data,
        out=options.out,
        calibration=options.calibration,
        backbone_training=options.backbone_training,
        hold_out=options.hold_out,
        rows=options.rows,
        ridge=options.ridge,
        leverage_floor=options.leverage_floor,
        n_components=options.components,
        axes=options.axes,
        posterior=options.posterior,
        energy_scale=options.energy_scale,
        force_scale=options.force_scale,
        replaced_scale=options.replaced_scale,
        bias="element" if options.element_bias else "constant",
        n_members=options.members,
        cache=options.cache,
        head=options.head,
        licence=options.licence,
        n_force_rows=options.force_rows,
        elements=options.elements,
        reference=options.reference,
        reference_coeff=options.reference_coeff,
        **_common(options),
        command=command,
    )


def _calibrate(options, command):
    from lmp_uq.api.verbs import calibrate

    check_json(options)
    result = calibrate(
        options.model,
        options.adapt or options.data,
        options.out,
        adapt=options.adapt is not None,
        licence=options.licence,
        in_sample=options.in_sample,
        learned_quantile=options.learned_quantile,
        classifier=options.classifier,
        **_common(options),
        command=command,
    )
    present(options, str(result), result.to_dict())


def _validate(options, command):
    from lmp_uq.api.verbs import validate
    from lmp_uq.files import check_folder

    check_json(options)
    if options.report is not None:
        check_folder(options.report, "report")
    report = validate(
        options.model,
        options.data,
        in_sample=options.in_sample,
        n_members=options.members,
        blocks=options.blocks,
        baselines=options.baselines,
        fit_data=options.fit_data,
        committee=options.committee,
        labels=options.labels,
        n_force_rows=options.force_rows,
        **_common(options),
    )
    present(options, str(report), report.to_dict())
    if options.report is not None:
        report.write(options.report)


def _export(options, command):
    from lmp_uq.recipes.export import export

    for path in export(options.model, options.out, options.member).values():
        print(f"{path}: written")
