# SPDX-License-Identifier: GPL-2.0-or-later
"""The verb ensemble: models of any kind on the same frames."""

from __future__ import annotations

import logging

from lmp_uq.cli.parser import (
    JSON,
    add_engine,
    add_labels,
    add_messages,
    add_verb,
    check_json,
    positive,
    present,
    scale,
    shows_progress,
    tell,
)

FRAMES = "files of frames, with labels or without: extxyz and LAMMPS dumps (text) of any length, also gzipped, or what else ASE reads"
MODELS = (
    "two or more models, the first drives: `*.uq`, the name of an embedded one, or `ase:MODULE:FACTORY(...)`, an ASE calculator of your "
    "environment; its arguments are literals; each also as `NAME=MODEL`, which names it in tables and files"
)
WEIGHTS = "`median` or `rmse`: one over that error of the labelled forces; `equal`; or a JSON file, `{model: weight}`"
OUT = "extxyz file of all frames with U and V; with `--to-dft` of those that get labels of a model"
TO_DFT = "extxyz file of the frames whose U is not below that of `--filter`: split the frames"
FILTER = "U_c in eV/Angstrom, 0.25 where `--to-dft` is given without it: below it frames take the labels of a model"
LABELS_OF = "whose labels, by its name in `--models`; without it those of the smallest median error"
ENERGIES = "labels of the energy too: the model counts them from the zero of the frames' labels, which is checked where there are any"
OFFSETS = "of `--energies`: an energy per atom of each element, found on the labelled frames, leads from the model's zero to theirs"
KEEP = "frames that have forces of a reference keep their labels and go to OUT, whatever their U"
CACHE = "keep forces in this folder; without it they are in `OUT.cache` until OUT is written"


def add_verbs(verbs) -> None:
    """Add the verb to the parser of ``lmp-uq``."""
    p = add_verb(verbs, "ensemble", _ensemble, "how far models of any kind disagree on frames; their labels where they agree")
    p.add_argument("frames", nargs="+", help=FRAMES)
    p.add_argument("--models", nargs="+", required=True, metavar="M", help=MODELS)
    p.add_argument("--weights", default="median", metavar="W", help=WEIGHTS)
    p.add_argument("--out", metavar="OUT", help=OUT)
    p.add_argument("--elements", nargs="+", default=[], metavar="El", help="of the atom types of a dump without a column `element`")
    p.add_argument("--cache", metavar="DIR", help=CACHE)
    p.add_argument("--json", metavar="OUT", help=JSON)
    p.add_argument("--figure", metavar="OUT", help="draw errors against U and against the force into this file, PNG")
    p.add_argument("--ranks", type=positive, default=1, metavar="N", help="processes that share the frames; `mpiexec -n N` does the same")
    add_labels(p)
    f = p.add_argument_group("labels of a model in the place of DFT")
    f.add_argument("--to-dft", metavar="OUT", help=TO_DFT)
    f.add_argument("--filter", type=scale, metavar="U_c", help=FILTER)
    f.add_argument("--labels-of", metavar="M", help=LABELS_OF)
    f.add_argument("--energies", action="store_true", help=ENERGIES)
    f.add_argument("--fit-offsets", action="store_true", help=OFFSETS)
    f.add_argument("--keep-labels", action="store_true", help=KEEP)
    add_engine(p)
    add_messages(p)


def _ensemble(options, command):
    from lmp_uq.files import check_target
    from lmp_uq.parallel.ranks import ending_together, ranks, run_on_ranks
    from lmp_uq.recipes.ensemble import ensemble

    everyone = ranks()
    if options.ranks > 1 and everyone.size == 1:
        return run_on_ranks(options.ranks, options.arguments)
    if everyone.rank != 0:
        logging.getLogger("lmp_uq").setLevel(logging.ERROR)

    def say(found):
        from lmp_uq.report.ensemble import describe_ensemble, write_figure

        if options.figure is not None:
            write_figure(options.figure, found)
        present(options, describe_ensemble(found), found | {"command": command})

    with ending_together(everyone):
        check_json(options)
        if options.figure is not None:
            check_target(options.figure, "figure")
        found = ensemble(_told(options), say)
        if everyone.rank == 0:
            for path in (options.out, options.to_dft if found.get("n_to_dft") else None):
                if path is not None:
                    tell(options, f"{path}: written")
    return 0


def _told(options):
    from lmp_uq.frames.labels import LabelKeys
    from lmp_uq.recipes.ensemble import EnsembleOptions

    names = (
        "frames", "models", "weights", "out", "to_dft", "filter", "labels_of", "energies", "fit_offsets", "keep_labels", "cache",
        "group_key", "elements",
    )  # fmt: skip
    keys = LabelKeys(options.energy_key, options.forces_key, options.stress_key, options.virials_key)
    engine = {name: getattr(options, name) for name in ("device", "precision", "engine", "threads")}
    same = {name: getattr(options, name) for name in names}
    return EnsembleOptions(**same, keys=keys, engine=engine, progress=shows_progress(options))
