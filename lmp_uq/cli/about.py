# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that say something: run (its help), inspect, models, env, completion."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from typing import Any

from lmp_uq.cli.parser import add_verb
from lmp_uq.errors import UqError

FILES = (
    "model", "backbone", "data", "calibration", "backbone_training", "fit_data", "committee", "suite", "frames", "observables", "out",
    "json", "pool", "like", "seen", "figure",
)  # fmt: skip
"""Arguments that are names of files, for completion."""
FOLDERS = ("report", "cache")
SHELLS = ("bash", "zsh", "tcsh")
RUN = """\
Run LAMMPS with the plugin loaded. All arguments are those of lmp, unchanged:

  -in FILE          input script (default: standard input)
  -var NAME VALUE   set a variable
  -log FILE         log file (default log.lammps; none: no log)
  -screen FILE      where to print (none: nowhere)
  -help             all others, as LAMMPS lists them

On several ranks: mpiexec -n 4 lmp-uq run -in in.file"""


def add_run(verbs) -> None:
    """Add run: the words behind it are LAMMPS' own and do not come here, except --help."""
    p = add_verb(verbs, "run", None, "run LAMMPS: takes the arguments of lmp, unchanged", add_help=False)
    p.add_argument("--help", action="help", help="this text")
    p.usage, p.description, p.formatter_class = "lmp-uq run -in FILE [arguments of lmp]", RUN, argparse.RawDescriptionHelpFormatter


def add_verbs(verbs, make_parser) -> None:
    """Add the other verbs; make_parser gives the whole parser, which completion is made from."""
    inspect = add_verb(verbs, "inspect", _inspect, "say what a model file holds")
    inspect.add_argument("model", help="*.uq file or embedded model")
    inspect.add_argument("--json", action="store_true", help="print the header of the file as it is, as JSON")
    models = add_verb(verbs, "models", _models, "list the embedded models")
    models.add_argument("--json", action="store_true", help="print them as JSON")
    env = add_verb(verbs, "env", _env, "print what a plain lmp needs in its environment")
    env.add_argument("--json", action="store_true", help="print the variables as JSON")
    completion = add_verb(verbs, "completion", _completion, "print what makes a shell complete the words of lmp-uq")
    completion.add_argument("shell", choices=SHELLS)
    completion.set_defaults(make_parser=make_parser)


def _inspect(options, command):
    from lmp_uq import modelfile
    from lmp_uq.report.model import describe_model

    file = modelfile.read(modelfile.resolve(options.model))
    print(_json(file.header.to_dict()) if options.json else describe_model(file))


def _models(options, command):
    from lmp_uq import modelfile

    headers = {name: modelfile.read(modelfile.resolve(name)).header for name in modelfile.embedded_models()}
    found: dict[str, dict[str, Any]] = {
        name: {"elements": header.elements, "cutoff": header.cutoff, "licence": header.provenance.licence}
        for name, header in headers.items()
    }
    if options.json:
        print(_json(found))
        return
    for name, model in found.items():
        print(f"{name:12s} {' '.join(model['elements'])}; cutoff {model['cutoff']:g} Angstrom; {model['licence']}")


def _env(options, command):
    from lmp_uq import _HERE, host_environment
    from lmp_uq._native import device_report

    path = os.environ.get("LAMMPS_PLUGIN_PATH", "")
    folders = [_HERE] + [p for p in path.split(":") if p and p != _HERE]
    variables = {"LAMMPS_PLUGIN_PATH": ":".join(folders)} | host_environment()
    if options.json:
        print(_json(variables))
        return
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    print(*(f"# {line}" for line in device_report()), sep="\n")


def _completion(options, command):
    try:
        import shtab
    except ImportError as failure:
        raise UqError('completion needs shtab, which is not installed here; accepted: pip install "lmp-uq[completion]"') from failure
    parser = options.make_parser()
    for verb in parser.verbs().values():
        for action in verb._actions:
            if action.dest in FILES + FOLDERS:
                action.complete = shtab.FILE if action.dest in FILES else shtab.DIRECTORY
    print(shtab.complete(parser, shell=options.shell))


def _json(value):
    return json.dumps(value, indent=1, sort_keys=True)
