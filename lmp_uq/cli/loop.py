# SPDX-License-Identifier: GPL-2.0-or-later
"""The verb that goes round: learn."""

from __future__ import annotations

import contextlib
import signal
import sys

from lmp_uq.cli.parser import JSON, add_messages, add_verb, present, tell

LOOP = "YAML file: starts, choice, labels, fit, and when to stop"
OUT = "folder of the loop, made if it is missing; without it that of the file's name without `.yaml`, beside it"
ACCEPT = "go on with settings that differ from those of the steps that are done"


def add_verbs(verbs) -> None:
    """Add the verb to the parser of ``lmp-uq``."""
    p = add_verb(verbs, "learn", _learn, "active learning: run, select, label, validate, fit, and again")
    p.add_argument("loop", help=LOOP)
    p.add_argument("--out", metavar="DIR", help=OUT)
    p.add_argument("--dry-run", action="store_true", help="print the commands of what is left of a round and do nothing")
    p.add_argument("--status", action="store_true", help="print the table of a loop as it stands, which may be running, and do nothing")
    p.add_argument("--accept-changes", action="store_true", help=ACCEPT)
    p.add_argument("--json", metavar="OUT", help=JSON)
    add_messages(p)


def _learn(options, command):
    from lmp_uq.files import check_target
    from lmp_uq.recipes.learn import LearnOptions, learn, plan, status
    from lmp_uq.report.learning import describe_rounds, write_rounds

    given = LearnOptions(options.loop, options.out, options.accept_changes)
    if options.json is not None:
        check_target(options.json, "json")
    if options.dry_run:
        for name, words in plan(given):
            print(f"{name}: {words}")
        return 0
    if options.status:
        found = status(given)
        present(options, describe_rounds(found), found)
        return 0

    def after_round(found):
        write_rounds(found | {"command": command})
        if found["ended"] is None:
            tell(options, describe_rounds(found))

    with _ended_like_ctrl_c():
        try:
            found = learn(given, after_round)
        except KeyboardInterrupt:
            print("lmp-uq: interrupted; the same command goes on with what is left", file=sys.stderr)
            return 130
    present(options, describe_rounds(found), found | {"command": command})
    return 0


@contextlib.contextmanager
def _ended_like_ctrl_c():
    """SIGTERM and SIGHUP as Ctrl-C, so that the processes of a loop end with it."""

    def end(*_):
        raise KeyboardInterrupt

    old = {sign: signal.signal(sign, end) for sign in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for sign, handler in old.items():
            signal.signal(sign, handler)
