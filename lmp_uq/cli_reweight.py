# SPDX-License-Identifier: GPL-2.0-or-later
"""The words of ``lmp-uq reweight``. What is heavy is imported when the verb runs."""

from __future__ import annotations

import math

from lmp_uq.errors import UqError
from lmp_uq.files import summary_stream


def add_reweight(verbs):
    """Add the verb to the subparsers of ``lmp-uq``; returns its parser."""
    p = verbs.add_parser("reweight", help="thermal averages over frames of a run, with error bars due to the potential")
    p.add_argument("model", help="*.uq file or embedded model that made the run")
    p.add_argument("--frames", required=True, nargs="+", metavar="F", help="dumps, extxyz or what ASE reads, in the order of the run")
    p.add_argument("--temperature", required=True, type=float, metavar="T", help="of the canonical ensemble, K")
    p.add_argument("--observables", metavar="TABLE", help="text table of further observables, one line for each frame")
    p.add_argument("--pressure", action="store_true", help="also the pressure")
    p.add_argument("--rdf", nargs=2, metavar=("CUTOFF", "BINS"), help="also g(r) of all pairs")
    p.add_argument("--elements", nargs="+", default=[], metavar="El", help="of the atom types of a dump without column element")
    p.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N frames")
    p.add_argument("--members", type=int, default=None, metavar="K", help="K of the bounds (default: all members of the file)")
    p.add_argument("--json", metavar="OUT", help="write the figures here; - is standard output")
    p.set_defaults(verb=run_reweight)
    return p


def run_reweight(options, command):
    """Run the verb: print the table, write the figures."""
    from lmp_uq.report import write_json
    from lmp_uq.reweight import ReweightOptions, describe_averages, reweight

    engine = {name: getattr(options, name) for name in ("device", "precision", "engine", "threads")}
    given = {name: getattr(options, name) for name in ("model", "frames", "temperature", "observables", "pressure", "elements", "skip")}
    rdf = _cutoff_and_bins(options.rdf) if options.rdf else None
    result = reweight(ReweightOptions(**given, rdf=rdf, n_members=options.members, engine=engine))
    print(describe_averages(result), file=summary_stream(options.json))
    if options.json:
        write_json(options.json, result)


def _cutoff_and_bins(words):
    try:
        cutoff, bins = float(words[0]), int(words[1])
    except ValueError:
        cutoff, bins = 0.0, 0
    if not 0.0 < cutoff < math.inf or bins < 1:
        raise UqError(f"--rdf {' '.join(words)}; accepted: a cutoff above 0 Angstrom and a number of bins")
    return cutoff, bins
