# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that ask a potential for what it predicts: propagate, reweight."""

from __future__ import annotations

import logging
import math
import sys

from lmp_uq.cli.parser import BOUNDS, JSON, add_engine, add_messages, add_verb, check_json, count, positive, present, shows_progress
from lmp_uq.errors import UqError

RESULTS = "folder of the results, made if it is missing; members that it holds are not computed again"
SPOT_CHECKS = (
    "members by brute force beside an expansion, at most those of the file; with `--members` all of those are compared; 0: none"
)
FRAMES = "files of frames, in the order of the run: LAMMPS dumps (text), extxyz, or what else ASE reads"


def add_verbs(verbs) -> None:
    """Add the verbs to the parser of ``lmp-uq``."""
    _add_propagate(verbs)
    _add_reweight(verbs)


def _add_propagate(verbs):
    p = add_verb(verbs, "propagate", _propagate, "properties of materials with the bounds that the posterior gives them")
    p.add_argument("model", help="*.uq file of a linear potential or a MACE model, or an embedded model")
    p.add_argument("--suite", required=True, metavar="W.yaml", help="which properties, with references and rankings")
    p.add_argument("--out", required=True, metavar="DIR", help=RESULTS)
    p.add_argument("--members", type=positive, metavar="K", help="by brute force: the first K of the file compute each property anew")
    p.add_argument("--first-order", action="store_true", help="by derivatives at the mean, no member at all")
    p.add_argument("--implicit", action="store_true", help="all members by an expansion about the mean; done if no method is named")
    p.add_argument("--spot-checks", type=count, default=5, metavar="N", help=SPOT_CHECKS)
    p.add_argument("--ranks", type=positive, default=1, metavar="N", help="processes that share the members; `mpiexec -n N` does the same")
    add_messages(p)


def _add_reweight(verbs):
    p = add_verb(verbs, "reweight", _reweight, "thermal averages over frames of a run, with error bars due to the potential")
    p.add_argument("model", help="*.uq file or embedded model that made the run")
    p.add_argument("--frames", required=True, nargs="+", metavar="F", help=FRAMES)
    p.add_argument("--temperature", required=True, type=float, metavar="T", help="of the canonical ensemble, K")
    p.add_argument("--observables", metavar="TABLE", help="text table of further observables, one line for each frame")
    p.add_argument("--pressure", action="store_true", help="also the pressure")
    p.add_argument("--rdf", nargs=2, metavar=("CUTOFF", "BINS"), help="also g(r) of all pairs; the cutoff in Angstrom, bins of equal width")
    p.add_argument("--elements", nargs="+", default=[], metavar="El", help="of the atom types of a dump without a column `element`")
    p.add_argument("--skip", type=int, default=0, metavar="N", help="leave out the first N frames, and lines of the table")
    p.add_argument("--members", type=int, default=None, metavar="K", help=BOUNDS)
    p.add_argument("--json", metavar="OUT", help=JSON)
    add_engine(p)
    add_messages(p)


def _propagate(options, command):
    from lmp_uq.files import check_folder
    from lmp_uq.parallel.ranks import ending_together, ranks

    everyone = ranks()
    if options.ranks > 1 and everyone.size == 1:
        from lmp_uq.parallel.ranks import run_on_ranks

        return run_on_ranks(options.ranks, options.arguments)
    if everyone.rank != 0:
        logging.getLogger("lmp_uq").setLevel(logging.ERROR)
    with ending_together(everyone):
        check_folder(options.out, "--out")
        from lmp_uq.recipes.propagate import PropagateOptions, propagate
        from lmp_uq.report.properties import describe, write_results

        names = ("model", "suite", "out", "members", "first_order", "implicit", "spot_checks")
        found = propagate(PropagateOptions(**{name: getattr(options, name) for name in names}, progress=shows_progress(options)))
        if everyone.rank == 0:
            write_results(options.out, found, command)
            print(describe(found.results, found.rankings))
            print(f"{options.out}: written")
            for name, text in found.problems.items():
                print(f"lmp-uq: error: {name}: {text}", file=sys.stderr)
    return 1 if found.problems else 0


def _reweight(options, command):
    from lmp_uq.recipes.reweight import ReweightOptions, reweight
    from lmp_uq.report.averages import describe_averages

    check_json(options)
    engine = {name: getattr(options, name) for name in ("device", "precision", "engine", "threads")}
    given = {name: getattr(options, name) for name in ("model", "frames", "temperature", "observables", "pressure", "elements", "skip")}
    rdf = _cutoff_and_bins(options.rdf) if options.rdf else None
    result = reweight(ReweightOptions(**given, rdf=rdf, n_members=options.members, engine=engine, progress=shows_progress(options)))
    present(options, describe_averages(result), result)


def _cutoff_and_bins(words):
    try:
        cutoff, bins = float(words[0]), int(words[1])
    except ValueError:
        cutoff, bins = 0.0, 0
    if not 0.0 < cutoff < math.inf or bins < 1:
        raise UqError(f"--rdf {' '.join(words)}; accepted: a cutoff above 0 Angstrom and a number of bins")
    return cutoff, bins
