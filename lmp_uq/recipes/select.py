# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq select``: which frames of a pool to label."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lmp_uq import modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.errors import UqError, argument
from lmp_uq.files import atomic_file, check_folder, check_target, is_stream
from lmp_uq.frames.reading import write_extxyz
from lmp_uq.modelfile.file import embedded_models
from lmp_uq.parallel.ranks import ranks
from lmp_uq.selection.choice import Chooser, Request, Source, atoms_of


@dataclass(frozen=True, kw_only=True)
class SelectOptions:
    """What ``lmp-uq select`` is told; see docs/select.md.

    pool, seen: files of frames; like: model file, None: the embedded one, of which only the descriptors are used; out: extxyz file;
    request; cache: folder of descriptors that stays; engine: device, precision, engine and threads; progress.
    """

    pool: Sequence[str]
    request: Request
    out: str
    like: str | None = None
    seen: Sequence[str] = ()
    cache: str | None = None
    engine: dict[str, Any] = field(default_factory=dict)
    progress: bool = False


def select(options: SelectOptions) -> dict[str, Any]:
    """Choose frames and write them; under mpiexec every rank calls it, and rank 0 writes.

    Returns
    -------
    dict
        As `lmp_uq.selection.choice.Chooser.choose`, with model, sha256 and out.

    Raises
    ------
    UqError
        Neither a model nor frames seen, a file that cannot be written; what `Chooser` and `lmp_uq.modelfile.read` refuse.
    """
    check_target(options.out, "out")
    if options.cache is not None:
        check_folder(options.cache, "cache")
    if options.like is None and not options.seen:
        accepted = f"{argument('like')} with a model file, {argument('seen')} with frames, or both"
        raise UqError(f"nothing says what is known; accepted: {accepted}")
    options.request.check()
    everyone = ranks()
    name = options.like or embedded_models()[0]
    file = modelfile.read(modelfile.resolve(name))
    given = dict(options.engine)
    threads = given.pop("threads", 0) or (1 if everyone.size > 1 else 0)
    machine = {"threads": threads, "local_rank": everyone.local_rank, "communicator": everyone.alone()}
    backbone = backbone_of_file(file, given.pop("precision", "file"), given.pop("device", "auto"), **machine, **given)
    source = Source.of(file, backbone, name, like=options.like is not None)
    folder = options.cache or f"{'lmp-uq' if is_stream(options.out) else options.out}.cache"
    found = Chooser(source, options.request, folder, everyone, options.progress).choose(options.pool, options.seen)
    if everyone.rank == 0:
        if found["chosen"]:
            write_extxyz(options.out, atoms_of(found, options.pool, options.request.elements))
        else:
            with atomic_file(options.out) as stream:  # by `up_to`: there is nothing to write, which is no error
                stream.write(b"")
        if options.cache is None:
            shutil.rmtree(folder, ignore_errors=True)
    return {"model": name, "sha256": file.sha256, "out": options.out} | found
