# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs about labels that are not there yet: select."""

from __future__ import annotations

import argparse
import logging
import math

from lmp_uq.cli.parser import JSON, add_engine, add_messages, add_verb, check_json, count, positive, present, shows_progress, tell

WAYS = ("logdet", "farthest", "grade", "random")
POOL = "files of frames: extxyz and LAMMPS dumps (text) of any length, also gzipped, or what else ASE reads"
LIKE = "`*.uq` file or embedded model: its descriptors, what it knows by its [grade](uncertainty.md#grade), and which frames shaped it"
SEEN = (
    "frames that have labels already; of a file without grade, and without `--like`, all that is known: the descriptors are then those of "
    "the embedded model"
)
BY = "`logdet`: greedy log-determinant; `farthest` points; largest `grade`; `random`"
QUOTA = "most frames of an element; a frame counts for the element that it was chosen for"
CACHE = "keep descriptors in this folder; without it they are in `OUT.cache` until OUT is written"


def add_verbs(verbs) -> None:
    """Add the verb to the parser of ``lmp-uq``."""
    p = add_verb(verbs, "select", _select, "which frames of a pool to label")
    p.add_argument("pool", nargs="+", help=POOL)
    p.add_argument("--like", metavar="X.uq", help=LIKE)
    p.add_argument("--seen", nargs="+", default=[], metavar="F", help=SEEN)
    p.add_argument("--count", required=True, type=positive, metavar="N", help="how many frames to choose")
    p.add_argument("--up-to", action="store_true", help="fewer frames than N, or none, where fewer can be chosen")
    p.add_argument("--out", required=True, metavar="OUT", help="extxyz file of the chosen frames, in the order of their choice")
    p.add_argument("--by", default="logdet", choices=WAYS, help=BY)
    p.add_argument("--min-grade", type=_grade, metavar="G", help="only frames whose largest grade is at least G")
    p.add_argument("--max-grade", type=_grade, metavar="G", help="only frames whose largest grade is at most G")
    p.add_argument("--quota", nargs="+", type=_share, default=[], metavar="El=N", help=QUOTA)
    p.add_argument("--group-quota", nargs="+", type=_share, default=[], metavar="GROUP=N", help="most frames of a group")
    p.add_argument("--group-key", metavar="KEY", default="config_type", help="entry of the comment line that names a frame's group")
    p.add_argument("--elements", nargs="+", default=[], metavar="El", help="of the atom types of a dump without a column `element`")
    p.add_argument("--seed", type=count, default=0, help="of `random`, and of the folds of a grade that `--seen` gives")
    p.add_argument("--cache", metavar="DIR", help=CACHE)
    p.add_argument("--json", metavar="OUT", help=JSON)
    p.add_argument("--figure", metavar="OUT", help="draw the gains into this file, PNG")
    p.add_argument("--ranks", type=positive, default=1, metavar="N", help="processes that share the frames; `mpiexec -n N` does the same")
    add_engine(p)
    add_messages(p)


def _grade(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value >= 0.0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, found {text}")
    return value


def _share(text):
    name, equals, most = text.rpartition("=")
    if not equals or not name or not most.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text}, accepted: a name, = and a whole number of 0 or more, as Ta=4")
    return name, int(most)


def _select(options, command):
    from lmp_uq.files import check_target
    from lmp_uq.parallel.ranks import ending_together, ranks, run_on_ranks

    everyone = ranks()
    if options.ranks > 1 and everyone.size == 1:
        return run_on_ranks(options.ranks, options.arguments)
    if everyone.rank != 0:
        logging.getLogger("lmp_uq").setLevel(logging.ERROR)
    with ending_together(everyone):
        check_json(options)
        if options.figure is not None:
            check_target(options.figure, "figure")
        found = _chosen(options)
        if everyone.rank == 0:
            from lmp_uq.report.selection import describe_selection, write_figure

            if options.figure is not None:
                write_figure(options.figure, found)
            present(options, describe_selection(found), found | {"command": command})
            tell(options, f"{options.out}: written")
    return 0


def _chosen(options):
    from lmp_uq.recipes.select import SelectOptions, select
    from lmp_uq.selection.choice import Request

    names = ("count", "by", "min_grade", "max_grade", "elements", "seed", "group_key", "up_to")
    given = {name: getattr(options, name) for name in names}
    request = Request(**given, quota=dict(options.quota), group_quota=dict(options.group_quota))
    engine = {name: getattr(options, name) for name in ("device", "precision", "engine", "threads")}
    same = {name: getattr(options, name) for name in ("pool", "like", "seen", "out", "cache")}
    return select(SelectOptions(**same, request=request, engine=engine, progress=shows_progress(options)))
