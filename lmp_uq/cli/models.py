# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that make and judge model files: convert, fit, calibrate, validate, export."""

from __future__ import annotations

import logging
import warnings

from lmp_uq.cli.parser import (
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
from lmp_uq.quantities import LABELS


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
    p.add_argument("--out", required=True, metavar="X.uq")
    p.add_argument("--head", help="which head of a multi-head model")
    p.add_argument("--licence", default="unstated", help="licence of the model, stored in the file")
    add_messages(p)


def _add_fit(verbs):
    p = add_verb(verbs, "fit", _fit, "fit posterior, grade and force_error on DFT frames")
    files = p.add_argument_group("files")
    files.add_argument("--backbone", required=True, metavar="M", help="*.uq, embedded model, mace-torch model, snap:FILE or compute:FILE")
    files.add_argument("--data", required=True, nargs="+", metavar="F", help="frames of the posterior and the grade")
    files.add_argument("--out", required=True, metavar="X.uq")
    files.add_argument("--calibration", nargs="+", default=[], metavar="F", help="frames of force_error: whole groups not in --data")
    files.add_argument("--backbone-training", nargs="+", default=[], metavar="F", help="frames the backbone was trained on; only noted")
    files.add_argument("--hold-out", metavar="KEY=VALUE", help="frames of --data to leave out (role test)")
    files.add_argument("--cache", metavar="DIR", help="keep descriptors here (default: X.uq.cache, removed when X.uq is written)")
    files.add_argument("--json", metavar="OUT", help="write what was found here")
    files.add_argument("--head", help="which head of a multi-head model")
    files.add_argument("--licence", default="unstated", help="licence of model and data, stored in the file")
    add_labels(p).add_argument("--fit-offsets", action="store_true", help="take per-element energy offsets off the labels")
    _add_rows(p.add_argument_group("rows and their weights"))
    _add_posterior(p.add_argument_group("posterior"))
    linear = p.add_argument_group("linear potentials")
    linear.add_argument("--elements", nargs="+", default=[], metavar="El:R:w", help="snap: elements of types 1, 2, ...; radius, weight")
    linear.add_argument("--reference", nargs="+", default=[], metavar="STYLE", help='pair styles beneath it, as "zbl 4.0 4.8"')
    linear.add_argument("--reference-coeff", nargs="+", default=[], metavar="C", help='their pair_coeff lines, as "1 1 zbl 74 74"')
    add_engine(p)
    add_messages(p)


def _add_rows(p):
    p.add_argument("--rows", nargs="+", default=list(LABELS), choices=LABELS)
    p.add_argument("--force-rows", type=positive_or_auto, default="auto", metavar="N", help="force components per frame, or auto")
    p.add_argument("--energy-scale", type=scale, default=None, metavar="A", help="weights exp(-(E - E_min)/A) of energies, eV/atom")
    p.add_argument("--force-scale", type=scale, default=None, metavar="B", help="weights exp(-|F|/B) of forces, eV/Angstrom")


def _add_posterior(p):
    p.add_argument("--ridge", type=number_or("auto", "evidence", "groups"), default="auto", help="number, evidence or groups")
    p.add_argument("--leverage-floor", type=number_or("auto", "groups"), default="auto", help="relative, auto (default) or groups")
    p.add_argument("--components", type=positive, default=None, metavar="N", help="fit on the first N principal components")
    p.add_argument("--axes", default="auto", choices=["auto", "scaled", "given"], help="principal axes of the box (default auto)")
    p.add_argument("--element-bias", action="store_true", help="one constant per element instead of one for all")
    p.add_argument("--members", type=positive, default=512, metavar="K", help="members drawn and stored (default 512)")
    p.add_argument("--seed", type=count, default=0)


def _add_calibrate(verbs):
    p = add_verb(verbs, "calibrate", _calibrate, "new factors of force_error, energy_error and stress_error on labelled frames")
    p.add_argument("model", help="*.uq file or embedded model")
    p.add_argument("--data", required=True, nargs="+", metavar="F", help="frames like those of the runs to come")
    p.add_argument("--out", required=True, metavar="Y.uq")
    p.add_argument("--in-sample", action="store_true", help="accept frames that have another role in the file")
    p.add_argument("--learned-quantile", action="store_true", help="also train a network for force_error where grade <= 1")
    p.add_argument(
        "--classifier", nargs="+", action="extend", default=[], choices=["probe", "ordinal"], help="also train these: of frames, of atoms"
    )
    p.add_argument("--seed", type=count, default=0)
    p.add_argument("--json", metavar="OUT", help="write what was found here")
    _add_own_offsets(add_labels(p))
    add_engine(p)
    add_messages(p)


def _add_own_offsets(p):
    p.add_argument("--fit-offsets", action="store_true", help="fit per-element energy offsets to these labels, not those of the file")


def _add_validate(verbs):
    p = add_verb(verbs, "validate", _validate, "errors and coverage on labelled frames")
    p.add_argument("model", help="*.uq file or embedded model")
    p.add_argument("--data", required=True, nargs="+", metavar="F")
    p.add_argument("--in-sample", action="store_true", help="accept frames that shaped the file")
    p.add_argument("--json", metavar="OUT", help="write the figures here")
    p.add_argument("--report", metavar="DIR", help="write report.html, tables and figures into this folder")
    p.add_argument("--force-rows", type=positive, metavar="N", help="force components per frame (default 24, of a linear potential all)")
    p.add_argument("--members", type=positive, default=None, metavar="K", help="K of the bounds (default: all members of the file)")
    p.add_argument("--seed", type=count, default=0)
    p.add_argument("--blocks", default="frame", choices=["frame", "group"], help="what the bootstrap draws (default frame)")
    other = p.add_argument_group("other methods")
    other.add_argument("--baselines", action="store_true", help="compare with bagging, LLPR, MaxVol gamma and kNN; needs --fit-data")
    other.add_argument("--fit-data", nargs="+", default=[], metavar="F", help="files that hold the posterior frames of the fit")
    other.add_argument("--committee", nargs="+", default=[], metavar="X.uq", help="compare with the spread over these models and this one")
    _add_own_offsets(add_labels(p))
    add_engine(p)
    add_messages(p)


def _add_export(verbs):
    p = add_verb(verbs, "export", _export, "write a linear potential as the files of LAMMPS' own pair style")
    p.add_argument("model", help="*.uq file of a linear potential")
    p.add_argument("--out", required=True, metavar="PREFIX", help="of the files, as PREFIX.snapcoeff and PREFIX.in")
    p.add_argument("--member", type=positive, metavar="K", help="write the K-th member, counted from 1, in place of the mean")
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

    convert(options.model, options.out, head=options.head, licence=options.licence, command=command)
    tell(options, f"{options.out}: written; no posterior yet, lmp-uq fit adds one")


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
        energy_scale=options.energy_scale,
        force_scale=options.force_scale,
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
        options.data,
        options.out,
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
        check_folder(options.report, "--report")
    report = validate(
        options.model,
        options.data,
        in_sample=options.in_sample,
        n_members=options.members,
        blocks=options.blocks,
        baselines=options.baselines,
        fit_data=options.fit_data,
        committee=options.committee,
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
