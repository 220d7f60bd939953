# SPDX-License-Identifier: GPL-2.0-or-later
"""Command line ``lmp-uq``. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import io
import logging
import os
import platform
import shlex
import sys
import time
import traceback
import warnings

from lmp_uq import __version__
from lmp_uq.cli import about, ensemble, labels, loop, materials, models
from lmp_uq.cli.parser import Parser
from lmp_uq.errors import UqError, did_you_mean, named_by_options
from lmp_uq.files import name_as_text

log = logging.getLogger("lmp_uq")


def main(argv: list[str] | None = None) -> int:
    """Entry point of ``lmp-uq``: returns the exit code (0, 1 for an error, 2 for a usage error, 130 after Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: a file name may hold bytes that are no text
    with named_by_options():
        return _run(arguments)


def _run(arguments):
    options = None
    try:
        if arguments[:1] == ["run"] and arguments[1:] != ["--help"]:  # not through argparse: LAMMPS' own flags are passed on unchanged
            from lmp_uq.run.launcher import run

            return run(arguments[1:])
        options = _parse(arguments)
        options.arguments = arguments
        _set_up_messages(options)
        began = time.perf_counter()
        code = options.verb(options, name_as_text("lmp-uq " + shlex.join(arguments))) or 0
        sys.stdout.flush()
        log.debug("%.1f s", time.perf_counter() - began)
        return code
    except OSError as failure:
        if not isinstance(failure, BrokenPipeError):  # else what reads the output has seen enough, as head does
            _say_error(failure, options)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of the output is not tried again
        return 1
    except UqError as failure:
        _say_error(failure, options)
        return 1
    except KeyboardInterrupt:
        print("lmp-uq: interrupted, the output was not written", file=sys.stderr)
        return 130


def _parser():
    parser = Parser(prog="lmp-uq", description="Error bars for machine-learned interatomic potentials inside stock LAMMPS.")
    parser.add_argument("--version", action="version", version=f"lmp-uq {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    about.add_run(verbs)
    models.add_verbs(verbs)
    labels.add_verbs(verbs)
    ensemble.add_verbs(verbs)
    loop.add_verbs(verbs)
    materials.add_verbs(verbs)
    about.add_verbs(verbs, _parser)
    for verb in parser.verbs().values():
        verb.show_plain_help()
    return parser


def _parse(arguments):
    parser = _parser()
    verbs = parser.verbs()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in verbs:
        parser.error(f"there is no verb {arguments[0]!r}{did_you_mean(arguments[0], verbs)}; verbs: {', '.join(verbs)}")
    return parser.parse_args(arguments)


def _set_up_messages(options):
    verbose, quiet = getattr(options, "verbose", False), getattr(options, "quiet", False)
    seconds = "%(relativeCreated)d ms: " if verbose else ""
    logging.basicConfig(level=logging.INFO, format=f"lmp-uq: {seconds}%(message)s", stream=sys.stderr)
    log.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    warnings.formatwarning = lambda message, *_, **__: f"lmp-uq: {message}\n"
    log.debug("lmp-uq %s, Python %s, %s", __version__, platform.python_version(), platform.platform())


def _say_error(failure, options):
    if getattr(options, "verbose", False):
        traceback.print_exception(failure)
    text = str(failure)
    print(text if text.startswith("lmp-uq: ") else f"lmp-uq: error: {text}", file=sys.stderr)
