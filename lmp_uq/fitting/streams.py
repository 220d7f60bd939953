# SPDX-License-Identifier: GPL-2.0-or-later
"""The backbones and the streams of predictions of one fit: what its options say of the machine, the rows and the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lmp_uq.backbone.identity import identity_of
from lmp_uq.backbone.load import load_backbone
from lmp_uq.errors import UqError, argument
from lmp_uq.files import is_stream
from lmp_uq.fitting.posterior import Judged
from lmp_uq.fitting.sources import is_linear, with_coefficients
from lmp_uq.frames.frame import Frame
from lmp_uq.modelfile.source import BackboneSource
from lmp_uq.parallel.ranks import Ranks
from lmp_uq.posterior.box import departures
from lmp_uq.quantities import ENERGY, FORCE_ROWS, FORCES, LABELS
from lmp_uq.rows.cache import Cache
from lmp_uq.rows.rows import RowOptions
from lmp_uq.rows.stream import Stream


class FitStreams:
    """Makes backbones and streams alike.

    Parameters
    ----------
    options : FitOptions
    precision : str
        Of the source unless the user asks for another.
    everyone : Ranks
    """

    def __init__(self, options: Any, precision: str, everyone: Ranks) -> None:
        self._options, self._everyone = options, everyone
        self._precision = precision if options.precision == "file" else options.precision
        self._folder = options.cache or f"{'lmp-uq' if is_stream(options.out) else options.out}.cache"

    def load(self, source: BackboneSource) -> Any:
        """The backbone of a source, on this rank."""
        options, everyone = self._options, self._everyone
        threads = options.threads or (1 if everyone.size > 1 else 0)
        machine = {"engine": options.engine, "threads": threads, "local_rank": everyone.local_rank, "communicator": everyone.alone()}
        return load_backbone(source.entry.to_dict(), source.tensors, self._precision, options.device, elements=source.elements, **machine)

    def stream(
        self, source: BackboneSource, backbone: Any, frames: Sequence[Frame], what: str, n_force_rows: int | None, *, of_atoms: bool = False
    ) -> Stream:
        """Predictions of frames, kept on disk; `what` is said of them while they are made; n_force_rows of a frame, None: all.

        of_atoms: as in `RowOptions`, of energies and forces alone.
        """
        identity = identity_of(source.entry.to_dict(), source.tensors, f"{self._precision}, {backbone.engine}")
        rows = self._row_options(what, n_force_rows)
        if of_atoms:
            rows = replace(rows, kinds=(ENERGY.label, FORCES.label), of_atoms=True)
        return Stream(backbone, frames, rows, Cache(self._folder, identity), self._everyone)

    def judge(self, source: BackboneSource, training: Stream, calibration: Sequence[Frame]) -> Callable:
        """From a fitted POPS to the model that will run, its posterior and its calibration frames (`Judged`).

        A foundation model runs as it is. A linear potential runs with the coefficients that were just found, so its predictions of the
        calibration frames are made then.
        """

        def judge(pops: Any) -> Judged:
            mine = with_coefficients(source, pops.coef_) if is_linear(source) else source
            n_force_rows = None if is_linear(source) else self._options.n_force_rows or FORCE_ROWS
            checked = self.stream(mine, self.load(mine), calibration, "calibration frames", n_force_rows) if calibration else None
            if checked is not None:
                checked.offsets = training.offsets
            return Judged(mine, departures if is_linear(source) else lambda box: box, checked)

        return judge

    def remove(self) -> None:
        """Delete what was kept on disk, unless the user named the folder."""
        if not self._options.cache:
            Cache(self._folder, "").remove()

    def _row_options(self, what: str, n_force_rows: int | None) -> RowOptions:
        options = self._options
        unknown = set(options.rows) - set(LABELS)
        if unknown:
            raise UqError(f"{argument('rows')}: unknown kind {' '.join(sorted(unknown))} (accepted: {' '.join(LABELS)})")
        progress = what if options.progress else ""
        return RowOptions(options.rows, n_force_rows, options.bias, options.seed, progress=progress)
