# SPDX-License-Identifier: GPL-2.0-or-later
"""Command line ``lmp-uq``. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
import warnings

from lmp_uq import __version__
from lmp_uq.cli_reweight import add_reweight
from lmp_uq.errors import UqError
from lmp_uq.files import summary_stream


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``lmp-uq``: returns the exit code (0, 1 for an error, 2 for a usage error, 130 after Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(level=logging.INFO, format="lmp-uq: %(message)s", stream=sys.stderr)
    warnings.formatwarning = lambda message, *_, **__: f"lmp-uq: {message}\n"
    try:
        if arguments[:1] == ["run"]:  # not through argparse: LAMMPS' own flags are passed on unchanged
            from lmp_uq.launcher import run

            return run(arguments[1:])
        options = _parser().parse_args(arguments)
        code = options.verb(options, "lmp-uq " + shlex.join(arguments)) or 0
        sys.stdout.flush()
        return code
    except OSError as failure:
        if not isinstance(failure, BrokenPipeError):  # else what reads the output has seen enough, as head does
            print(f"lmp-uq: error: {failure}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of the output is not tried again
        return 1
    except UqError as failure:
        print(f"lmp-uq: error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lmp-uq: interrupted, the output was not written", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="lmp-uq", description="Error bars for machine-learned interatomic potentials inside stock LAMMPS."
    )
    parser.add_argument("--version", action="version", version=f"lmp-uq {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    verbs.add_parser("run", help="run LAMMPS: takes the arguments of lmp, unchanged", add_help=False)
    _add_convert(verbs)
    _add_fit(verbs)
    _add_calibrate(verbs)
    _add_validate(verbs)
    inspect = verbs.add_parser("inspect", help="say what a model file holds")
    inspect.add_argument("model", help="*.uq file or embedded model")
    inspect.add_argument("--json", action="store_true", help="print the header as it is")
    inspect.set_defaults(verb=_inspect)
    _add_export(verbs)
    _add_propagate(verbs)
    _add_engine(add_reweight(verbs))
    verbs.add_parser("models", help="list the embedded models").set_defaults(verb=_models)
    verbs.add_parser("env", help="print what a plain lmp needs in its environment").set_defaults(verb=_env)
    return parser


def _add_convert(verbs):
    p = verbs.add_parser("convert", help="make a *.uq file without posterior from a mace-torch model")
    p.add_argument("model", help="mace-torch file (a pickle: it can run code, name only files you trust) or a name mace-torch knows")
    p.add_argument("--out", required=True, metavar="X.uq")
    p.add_argument("--head", help="which head of a multi-head model")
    p.add_argument("--licence", default="unstated", help="licence of the model, stored in the file")
    p.set_defaults(verb=_convert)


def _add_fit(verbs):
    p = verbs.add_parser("fit", help="fit posterior, grade and force_error on DFT frames")
    p.add_argument("--backbone", required=True, metavar="M", help="*.uq, embedded model, mace-torch model, snap:FILE or compute:FILE")
    p.add_argument("--data", required=True, nargs="+", metavar="F", help="frames of the posterior and the grade")
    p.add_argument("--out", required=True, metavar="X.uq")
    p.add_argument("--calibration", nargs="+", default=[], metavar="F", help="frames of force_error: whole groups not in --data")
    p.add_argument("--backbone-training", nargs="+", default=[], metavar="F", help="frames the backbone was trained on; only noted")
    p.add_argument("--hold-out", metavar="KEY=VALUE", help="frames of --data to leave out (role test)")
    p.add_argument("--rows", nargs="+", default=["energy", "forces", "stress"], choices=["energy", "forces", "stress"])
    p.add_argument("--force-rows", type=_positive_or_auto, default="auto", metavar="N", help="force components per frame, or auto")
    p.add_argument("--ridge", type=_number_or("auto", "evidence", "groups"), default="auto", help="number, evidence or groups")
    p.add_argument("--leverage-floor", type=_number_or("auto", "groups"), default="auto", help="relative, auto (default) or groups")
    p.add_argument("--components", type=_positive, default=None, metavar="N", help="fit on the first N principal components")
    p.add_argument("--axes", default="auto", choices=["auto", "scaled", "given"], help="principal axes of the box (default auto)")
    p.add_argument("--energy-scale", type=_scale, default=None, metavar="A", help="weights exp(-(E - E_min)/A) of energies, eV/atom")
    p.add_argument("--force-scale", type=_scale, default=None, metavar="B", help="weights exp(-|F|/B) of forces, eV/Angstrom")
    p.add_argument("--element-bias", action="store_true", help="one constant per element instead of one for all")
    p.add_argument("--members", type=_positive, default=512, metavar="K", help="members drawn and stored (default 512)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--cache", metavar="DIR", help="keep descriptors here (default: X.uq.cache, removed when X.uq is written)")
    p.add_argument("--fit-offsets", action="store_true", help="take per-element energy offsets off the labels")
    p.add_argument("--elements", nargs="+", default=[], metavar="El:R:w", help="snap: elements in the order of types, radius and weight")
    p.add_argument("--reference", nargs="+", default=[], metavar="STYLE", help='linear: pair styles beneath it, as "zbl 4.0 4.8"')
    p.add_argument("--reference-coeff", nargs="+", default=[], metavar="C", help='linear: their pair_coeff lines, as "1 1 zbl 74 74"')
    p.add_argument("--head", help="which head of a multi-head model")
    p.add_argument("--licence", default="unstated", help="licence of model and data, stored in the file")
    _add_common(p)
    p.set_defaults(verb=_fit)


def _add_calibrate(verbs):
    p = verbs.add_parser("calibrate", help="new factors of force_error, energy_error and stress_error on labelled frames")
    p.add_argument("model", help="*.uq file or embedded model")
    p.add_argument("--data", required=True, nargs="+", metavar="F", help="frames like those of the runs to come")
    p.add_argument("--out", required=True, metavar="Y.uq")
    p.add_argument("--in-sample", action="store_true", help="accept frames that have another role in the file")
    p.add_argument("--learned-quantile", action="store_true", help="also train a network for force_error where grade <= 1")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--fit-offsets", action="store_true", help="fit per-element energy offsets to these labels, not those of the file")
    _add_common(p)
    p.set_defaults(verb=_calibrate)


def _add_validate(verbs):
    p = verbs.add_parser("validate", help="errors and coverage on labelled frames")
    p.add_argument("model", help="*.uq file or embedded model")
    p.add_argument("--data", required=True, nargs="+", metavar="F")
    p.add_argument("--in-sample", action="store_true", help="accept frames that shaped the file")
    p.add_argument("--json", metavar="OUT", help="write the figures here; - is standard output")
    p.add_argument("--report", metavar="DIR", help="write report.html, tables and figures into this folder")
    p.add_argument("--force-rows", type=_positive, metavar="N", help="force components per frame (default 24, of a linear potential all)")
    p.add_argument("--members", type=_positive, default=None, metavar="K", help="K of the bounds (default: all members of the file)")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--fit-offsets", action="store_true", help="fit per-element energy offsets to these labels, not those of the file")
    p.add_argument("--blocks", default="frame", choices=["frame", "group"], help="what the bootstrap draws (default frame)")
    p.add_argument("--baselines", action="store_true", help="compare with bagging, LLPR, MaxVol gamma and kNN; needs --fit-data")
    p.add_argument("--fit-data", nargs="+", default=[], metavar="F", help="files that hold the posterior frames of the fit")
    p.add_argument("--committee", nargs="+", default=[], metavar="X.uq", help="compare with the spread over these models and this one")
    _add_common(p)
    p.set_defaults(verb=_validate)


def _add_export(verbs):
    p = verbs.add_parser("export", help="write a linear potential as the files of LAMMPS' own pair style")
    p.add_argument("model", help="*.uq file of a linear potential")
    p.add_argument("--out", required=True, metavar="PREFIX", help="of the files, as PREFIX.snapcoeff and PREFIX.in")
    p.add_argument("--member", type=_positive, metavar="K", help="write the K-th member, counted from 1, in place of the mean")
    p.set_defaults(verb=_export)


def _add_propagate(verbs):
    p = verbs.add_parser("propagate", help="properties of materials with the bounds that the posterior gives them")
    p.add_argument("model", help="*.uq file of a linear potential or a MACE model, or an embedded model")
    p.add_argument("--suite", required=True, metavar="W.yaml", help="which properties, with references and rankings")
    p.add_argument("--out", required=True, metavar="DIR", help="results; members that it holds are not computed again")
    p.add_argument("--members", type=_positive, metavar="K", help="by brute force: K members compute each property anew")
    p.add_argument("--first-order", action="store_true", help="by derivatives at the mean, no member at all")
    p.add_argument("--implicit", action="store_true", help="all members by an expansion about the mean (default if no method is named)")
    p.add_argument("--spot-checks", type=_count, default=5, metavar="N", help="members by brute force beside an expansion (default 5)")
    p.add_argument("--ranks", type=_positive, default=1, metavar="N", help="processes that share the members (default 1)")
    p.set_defaults(verb=_propagate)


def _add_engine(p):
    p.add_argument("--device", default="auto", help="auto | cpu | cuda[:n]")
    p.add_argument("--precision", default="file", choices=["file", "float32", "float64"])
    p.add_argument("--engine", default="auto", choices=["auto", "native", "torch"], help="what evaluates the backbone (default auto)")
    p.add_argument("--threads", type=int, default=0, help="threads of the backbone (default: OMP_NUM_THREADS or all cores)")


def _add_common(p):
    _add_engine(p)
    p.add_argument("--energy-key", help="label names; default REF_energy, REF_forces, REF_stress, then energy, forces, stress")
    for label in ("forces", "stress", "virials"):
        p.add_argument(f"--{label}-key")
    p.add_argument("--group-key", default="config_type", help="what names a frame's group (default config_type)")
    p.add_argument("--quiet", action="store_true", help="no progress bars")


def _positive(text):
    return _whole(text, 1)


def _count(text):
    return _whole(text, 0)


def _whole(text, least):
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, found {text}")
    return value


def _positive_or_auto(text):
    return None if text == "auto" else _positive(text)


def _scale(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"must be above 0, found {text}")
    return value


def _number_or(*words):
    def parse(text):
        if text in words:
            return text
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not value >= 0.0:
            raise argparse.ArgumentTypeError(f"found {text}, accepted: a number >= 0 or {' or '.join(words)}")
        return value

    return parse


def _common(options):
    from lmp_uq.dataset import LabelKeys

    return {
        "device": options.device,
        "precision": options.precision,
        "engine": options.engine,
        "threads": options.threads,
        "keys": LabelKeys(options.energy_key, options.forces_key, options.stress_key, options.virials_key),
        "group_key": options.group_key,
        "fit_offsets": options.fit_offsets,
        "progress": not options.quiet and sys.stderr.isatty(),
        "seed": options.seed,
    }


def _convert(options, command):
    from lmp_uq.convert import convert

    convert(options.model, options.out, head=options.head, licence=options.licence, command=command)
    print(f"{options.out}: written; no posterior yet, lmp-uq fit adds one", file=summary_stream(options.out))


def _fit(options, command):
    from lmp_uq.parallel import ending_together, ranks

    everyone = ranks()
    if everyone.rank != 0:  # what is noticed is noticed by all
        logging.getLogger("lmp_uq").setLevel(logging.ERROR)
        warnings.simplefilter("ignore")
    with ending_together(everyone):
        report = _run_fit(options, command)
    if everyone.rank == 0:
        from lmp_uq.summary import describe_fit

        print(describe_fit(report), f"{options.out}: written", sep="\n", file=summary_stream(options.out))


def _run_fit(options, command):
    from lmp_uq.fit import FitOptions, fit

    return fit(
        FitOptions(
            backbone=options.backbone,
            data=tuple(options.data),
            out=options.out,
            calibration=tuple(options.calibration),
            backbone_training=tuple(options.backbone_training),
            hold_out=options.hold_out,
            rows=tuple(options.rows),
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
            elements=tuple(options.elements),
            reference=tuple(options.reference),
            reference_coeff=tuple(options.reference_coeff),
            **_common(options),
        ),
        command,
    )


def _calibrate(options, command):
    from lmp_uq.calibrate import CalibrateOptions, calibrate
    from lmp_uq.summary_calibration import describe_calibration

    report = calibrate(
        CalibrateOptions(
            model=options.model,
            data=tuple(options.data),
            out=options.out,
            in_sample=options.in_sample,
            learned_quantile=options.learned_quantile,
            **_common(options),
        ),
        command,
    )
    print(describe_calibration(report), f"{options.out}: written", sep="\n", file=summary_stream(options.out))


def _validate(options, command):
    from lmp_uq.report import write_json, write_report
    from lmp_uq.validate import ValidateOptions, validate
    from lmp_uq.verdict import describe_validation

    result, samples = validate(
        ValidateOptions(
            model=options.model,
            data=tuple(options.data),
            in_sample=options.in_sample,
            n_members=options.members,
            blocks=options.blocks,
            baselines=options.baselines,
            fit_data=tuple(options.fit_data),
            committee=tuple(options.committee),
            n_force_rows=options.force_rows,
            **_common(options),
        )
    )
    print(describe_validation(result), file=summary_stream(options.json))
    if options.json:
        write_json(options.json, result)
    if options.report:
        write_report(options.report, result, samples)


def _inspect(options, command):
    from lmp_uq import modelfile
    from lmp_uq.summary import describe_model

    file = modelfile.read(modelfile.resolve(options.model))
    print(json.dumps(file.header, indent=1, sort_keys=True) if options.json else describe_model(file))


def _export(options, command):
    from lmp_uq.export import export

    for path in export(options.model, options.out, options.member).values():
        print(f"{path}: written")


def _propagate(options, command):
    from lmp_uq.parallel import ending_together, ranks

    everyone = ranks()
    if options.ranks > 1 and everyone.size == 1:
        from lmp_uq.launcher import run_on_ranks

        return run_on_ranks(options.ranks, shlex.split(command)[1:])
    if everyone.rank != 0:
        logging.getLogger("lmp_uq").setLevel(logging.ERROR)
    with ending_together(everyone):
        from lmp_uq.propagate import PropagateOptions, propagate, write_results
        from lmp_uq.properties.table import describe

        names = ("model", "suite", "out", "members", "first_order", "implicit", "spot_checks")
        found = propagate(PropagateOptions(**{name: getattr(options, name) for name in names}))
        if everyone.rank == 0:
            write_results(options.out, found, command)
            print(describe(found.results, found.rankings))
            print(f"{options.out}: written")
            for name, text in found.problems.items():
                print(f"lmp-uq: error: {name}: {text}", file=sys.stderr)
    return 1 if found.problems else 0


def _models(options, command):
    from lmp_uq import modelfile

    for name in modelfile.embedded_models():
        header = modelfile.read(modelfile.resolve(name)).header
        print(f"{name:12s} {' '.join(header['elements'])}; cutoff {header['cutoff']:g} Angstrom; {header['provenance']['licence']}")


def _env(options, command):
    from lmp_uq import _HERE, host_environment

    path = os.environ.get("LAMMPS_PLUGIN_PATH", "")
    folders = [_HERE] + [p for p in path.split(":") if p and p != _HERE]
    for name, value in ({"LAMMPS_PLUGIN_PATH": ":".join(folders)} | host_environment()).items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    raise SystemExit(main())
