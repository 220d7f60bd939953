# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq fit``: frames and a backbone in, a model file with posterior, grade and force_error out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from lmp_uq import modelfile
from lmp_uq.calibration.advice import advice
from lmp_uq.calibration.conformal import least_blocks
from lmp_uq.calibration.force_error import LEVEL, ForceError
from lmp_uq.calibration.labelled_atoms import ForceLabels
from lmp_uq.calibration.labels import calibrate_bars
from lmp_uq.calibration.versions import force_error_of
from lmp_uq.errors import UqError, argument
from lmp_uq.files import check_folder, check_target
from lmp_uq.fitting.counts import ROWS_PER_FEATURE, count_rows, enough_force_rows
from lmp_uq.fitting.p_readout import P_READOUT, POSTERIORS, Trained, fit_p_readout, require_left_out
from lmp_uq.fitting.posterior import Judged, fit_posterior
from lmp_uq.fitting.sources import is_linear, open_fit_source, options_of_family
from lmp_uq.fitting.streams import FitStreams
from lmp_uq.fitting.weighting import Weighting, mean_weights, weighting
from lmp_uq.fitting.wide_bars import say_if_wide
from lmp_uq.frames.energy_zero import energy_offsets
from lmp_uq.frames.frame import Frame, check_frames, split_hold_out
from lmp_uq.frames.memory import FrameSource
from lmp_uq.frames.reading import read_frames
from lmp_uq.frames.units import unit_warnings
from lmp_uq.modelfile.header import ABSENT, CalibrationEntry, GradeEntry, Header, PosteriorEntry
from lmp_uq.modelfile.provenance import Provenance
from lmp_uq.modelfile.source import BackboneSource
from lmp_uq.novelty.fit import fit_novelty_blocks, fit_scaled_novelty
from lmp_uq.novelty.grade import Novelty
from lmp_uq.parallel.ranks import Ranks, ranks
from lmp_uq.posterior.box import Box
from lmp_uq.posterior.features import n_bias_columns
from lmp_uq.posterior.pops.estimator import POPS
from lmp_uq.posterior.weights import REPLACED_SCALE
from lmp_uq.quantities import FORCE_ROWS, FORCES, LABELS, SCALED
from lmp_uq.recipes.options import RecipeOptions
from lmp_uq.rows.labelled import labels_of
from lmp_uq.rows.stream import Stream
from lmp_uq.validation.suspicious import suspicious_labels

log = logging.getLogger("lmp_uq")


@dataclass(frozen=True)
class FitOptions(RecipeOptions):
    """What the command line of ``lmp-uq fit`` says; see docs/fit.md for each."""

    backbone: str
    data: tuple[str, ...]
    out: str
    calibration: tuple[str, ...] = ()
    backbone_training: tuple[str, ...] = ()
    hold_out: str | None = None
    rows: tuple[str, ...] = LABELS
    n_force_rows: int | None = None
    ridge: float | str = "auto"
    leverage_floor: float | str = "auto"
    n_components: int | None = None
    axes: str = "auto"
    energy_scale: float | None = None
    force_scale: float | None = None
    replaced_scale: float = REPLACED_SCALE
    cache: str | None = None
    bias: str = "constant"
    n_members: int = 512
    n_force_members: int = 32
    posterior: str = "pops"
    head: str | None = None
    licence: str = "unstated"
    elements: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    reference_coeff: tuple[str, ...] = ()


def fit(options: FitOptions, command: str = "") -> dict:
    """Fit and write ``options.out`` (whole or not at all). Under mpiexec every rank calls it; rank 0 writes.

    The posterior is that of `lmp_uq.posterior.pops.estimator`, where the papers stand, the grade that of `lmp_uq.novelty`, the bars those
    of `lmp_uq.calibration`.

    Parameters
    ----------
    options : FitOptions
    command : str
        What the file says of its origin.

    Returns
    -------
    dict
        What was found: rows kept and dropped, floors tried, force_error by group left out.

    Raises
    ------
    UqError
        No folder for the output, unreadable data, labels with another energy zero than the backbone's, too few rows for the number
        of features, a disk that is full (what is done stays, and the same command goes on from there).
    """
    check_target(options.out, "out")
    if options.cache is not None:
        check_folder(options.cache, "cache")
    everyone = ranks()
    source = open_fit_source(options, everyone.alone())
    options = options_of_family(options, source)
    streams = FitStreams(options, source.precision, everyone)
    backbone = streams.load(source)
    frames, held = _read(options.data, options, backbone)
    calibration, _ = _read(options.calibration, options, backbone, hold_out=False)
    _refuse_overlap(frames, calibration)
    _refuse_few(calibration)
    _check_posterior(options, source, frames, calibration)
    # every file is read before the dear part, which takes minutes to hours
    roles = {"posterior": frames, "calibration": calibration, "test": held, "backbone_training": _read_for_role(options)}

    wanted = _with_force_rows(options, frames, backbone, everyone)
    training = streams.stream(source, backbone, frames, "posterior frames", wanted.n_force_rows)
    judge, options = streams.judge(source, training, calibration), wanted
    # a reference potential has neither the size nor the energy zero of the labels
    offsets = {} if is_linear(source) else _compare_labels(training, options, backbone, everyone)
    fitted = _fit_all(training, judge, backbone, options, everyone)
    if options.posterior == P_READOUT:
        given = {"offsets": training.offsets, "streams": streams, "backbone": backbone, "options": options, "everyone": everyone}
        fitted.p_readout = fit_p_readout(source, fitted.pops.box_, frames, calibration, **given)
    report = _report(fitted, len(frames), offsets)
    if everyone.rank == 0:
        _write(fitted.judged.source, options, fitted, report, _provenance(source, options, command, roles))
    everyone.gather(None)  # nobody leaves, or removes descriptors, before the file is there
    if everyone.rank == 0:
        streams.remove()
    return report


@dataclass
class _Fitted:
    """Everything that was learned."""

    pops: POPS
    judged: Judged
    floors: list
    weights: Weighting
    novelty: Novelty
    calibration: CalibrationEntry | None
    counts: dict
    counts_by_group: dict
    suspicious: dict[str, list]
    p_readout: Trained | None = None


def _fit_all(training: Stream, judge: Callable[[Any], Judged], backbone: Any, options: FitOptions, everyone: Ranks) -> _Fitted:
    weights = weighting(training, options.energy_scale, options.force_scale, options.replaced_scale)
    pops, floors, judged = fit_posterior(training, weights, judge, options, everyone)
    say_if_wide(judged, training, pops, weights, options, everyone)
    fit_novelty = fit_scaled_novelty if is_linear(judged.source) else fit_novelty_blocks
    novelty = fit_novelty(_AtomBlocks(training), len(backbone.elements), seed=options.seed, ranks=everyone)
    box = judged.posterior(pops.box_)
    calibration = _calibrate(judged.checked, box, novelty, backbone)
    # the forces of a stream of a linear potential are those of its reference
    streams = {"posterior": None if is_linear(judged.source) else training, "calibration": judged.checked}
    suspicious = _suspicious(calibration, streams, box, novelty, backbone)
    return _Fitted(pops, judged, floors, weights, novelty, calibration, *count_rows(training, pops, weights), suspicious)


def _suspicious(
    calibration: CalibrationEntry | None, streams: Mapping[str, Stream | None], box: Box, novelty: Novelty, backbone: Any
) -> dict[str, list]:
    """Frames by role whose labels may be wrong; none without calibration."""
    if calibration is None:
        return {}
    bar = force_error_of(calibration.bars()[FORCES.bar])
    return {role: suspicious_labels(one, bar, box, novelty, backbone) for role, one in streams.items() if one is not None}


class _AtomBlocks:
    """Descriptors of a stream for the grade: (descriptors, species, frame of each atom)."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[Any]:
        for part, first in self._stream.numbered():
            frames = np.repeat(np.arange(len(part.frames)) + first, [len(s) for s in part.species])
            yield np.concatenate(part.descriptors), np.concatenate(part.species), frames


def _write(source: BackboneSource, options: FitOptions, fitted: _Fitted, report: dict[str, Any], provenance: Provenance) -> None:
    box, pops = fitted.judged.posterior(fitted.pops.box_), fitted.pops
    # |x @ factor|^2 is then the leverage of a row of unit weight in units of P / n, as the leverage floor is
    unit = (options.n_components or pops.n_features_) / pops.n_rows_
    members = box.draw(options.n_members, options.seed)
    header = _header(source, options, fitted, len(members), report, provenance)
    tensors = {
        "backbone": source.tensors,
        "posterior": box.tensors()
        | {"members": members, "leverage_factor": pops.factor_ / np.sqrt(unit)}
        | _force_members(box, options)
        | ({} if fitted.p_readout is None else {f"p_readout/{k}": v for k, v in fitted.p_readout.readout.tensors().items()}),
        "grade": fitted.novelty.tensors(),
    }
    named = {f"{section}/{name}": value for section, mine in tensors.items() for name, value in mine.items()}
    modelfile.write(options.out, header, named | provenance.tensors())


def _force_members(box: Box, options: FitOptions) -> dict[str, np.ndarray]:
    """Draws for the force bars of a run, independent of each other and of the members."""
    if not options.n_force_members:
        return {}
    return {"force_members": box.sample(options.n_force_members, np.random.default_rng([options.seed, 1]))}


def _provenance(source: BackboneSource, options: FitOptions, command: str, roles: Mapping[str, Sequence[Frame]]) -> Provenance:
    provenance = Provenance.inherit(source, command, options.licence)
    frames = [frame for mine in roles.values() for frame in mine]
    provenance.add_files(options.data + options.calibration + options.backbone_training, frames)
    for role, mine in roles.items():
        provenance.add_role(role, mine)
    return provenance


def _compare_labels(stream: Stream, options: FitOptions, backbone: Any, everyone: Ranks) -> dict[str, float]:
    """Warn of labels in other units; the energy offsets that were taken off."""
    for text in unit_warnings(stream):
        if everyone.rank == 0:
            log.warning("%s", text)
    return _energy_zero(stream, options.fit_offsets, backbone)


def _with_force_rows(options: FitOptions, frames: Sequence[Frame], backbone: Any, everyone: Ranks) -> FitOptions:
    """The options with a number of force rows per frame, where it is left to the frames."""
    if options.n_force_rows is not None or getattr(backbone, "linear", False):
        return options
    n_features = options.n_components or backbone.n_features + n_bias_columns(options.bias, len(backbone.elements))
    found = enough_force_rows(frames, options.rows, n_features)
    if found > FORCE_ROWS and everyone.rank == 0:
        log.info("%d force rows per frame: %d would make fewer than %d rows per feature", found, FORCE_ROWS, ROWS_PER_FEATURE)
    return replace(options, n_force_rows=found)


def _energy_zero(stream: Stream, fit_offsets: bool, backbone: Any) -> dict[str, float]:
    """`energy_zero` of a stream; its energy rows lose the offsets from here on."""
    residuals = np.concatenate(stream.collect(lambda part, first: (part.energy_residuals(),)))
    if not np.isfinite(residuals).any():
        return {}
    offsets = energy_offsets(stream.frames, residuals, fit_offsets, backbone.elements)
    stream.offsets = np.array([offsets.get(e, 0.0) for e in backbone.elements])
    return offsets


def _read(
    paths: Sequence[FrameSource], options: FitOptions, backbone: Any, hold_out: bool = True
) -> tuple[Sequence[Frame], Sequence[Frame]]:
    if not paths:
        return [], []
    frames = read_frames(paths, options.keys, options.group_key, backbone.cutoff)
    check_frames(frames, backbone)
    if hold_out and options.hold_out:
        return split_hold_out(frames, options.hold_out)
    return frames, []


def _refuse_overlap(frames: Sequence[Frame], calibration: Sequence[Frame]) -> None:
    known = {f.key for f in frames}
    both = [f for f in calibration if f.key in known]
    if both:
        raise UqError(
            f"{len(both)} calibration frames are among the posterior frames too (first: {both[0].source}): their coverage would flatter; "
            f"give {argument('calibration')} whole groups that {argument('data')} does not hold"
        )


def _check_posterior(options: FitOptions, source: BackboneSource, frames: Sequence[Frame], calibration: Sequence[Frame]) -> None:
    if options.posterior not in POSTERIORS:
        raise UqError(f"{argument('posterior', options.posterior)}: accepted: {' or '.join(POSTERIORS)}")
    if options.posterior != P_READOUT:
        return
    if is_linear(source):
        asked = argument("posterior", P_READOUT)
        raise UqError(f"{asked}: {options.backbone} is a linear potential; accepted: MACE models, or posterior pops")
    require_left_out(frames, calibration)


def _refuse_few(calibration: Sequence[Frame]) -> None:
    n, needed = sum(f.forces is not None for f in calibration), least_blocks(LEVEL)
    if calibration and n < needed:
        raise UqError(
            f"{argument('calibration')}: {n} frames with force labels; accepted: {needed} or more (fewer cannot guarantee a coverage of "
            f"{LEVEL:g})"
        )


def _read_for_role(options: FitOptions) -> Sequence[Frame]:
    paths = options.backbone_training
    return read_frames(paths, options.keys, options.group_key) if paths else []


def _calibrate(checked: Stream | None, box: Box, novelty: Novelty, backbone: Any) -> CalibrationEntry | None:
    """The header's entry calibration: force_error, and factors of the bars of energies and stress where there are such labels."""
    if checked is None:
        return None
    labels = labels_of(checked, box, novelty, backbone)
    forces = cast(ForceLabels, labels.of(FORCES)).graded()
    labels = replace(labels, forces=forces)
    if not len(forces.frames):
        raise UqError("calibration frames: no force labels on atoms that have a grade with all atoms within two hops, as force_error needs")
    found = calibrate_bars(labels)
    if FORCES.bar in found.reasons:
        raise found.reasons[FORCES.bar]
    for quantity in SCALED:
        if quantity.bar in found.reasons and labels.has(quantity):
            log.warning("no %s: %s", quantity.bar, found.reasons[quantity.bar])
    for text in advice(forces, cast(ForceError, found.bars[FORCES.bar])):
        log.warning("%s", text)
    bars = {name: bar.to_dict() for name, bar in found.bars.items()}
    left_out = found.reports[FORCES.bar]["leave_one_group_out"]
    return CalibrationEntry.from_dict(bars | {"leave_one_group_out": left_out})


def _report(fitted: _Fitted, n_frames: int, offsets: dict[str, float]) -> dict[str, Any]:
    return {
        "rows": fitted.counts,
        "groups": fitted.counts_by_group,
        "n_frames": n_frames,
        "dof": float(fitted.pops.dof_),
        "leverage_floor": float(fitted.pops.leverage_floor_),
        "ridge_path": fitted.pops.ridge_path_ or [],
        "floor_path": fitted.pops.floor_path_ or [],
        "ridge": float(fitted.pops.ridge_relative_),
        "floors_tried": [{"floor": f, "std_over_rmse": r} for f, r in fitted.floors],
        "force_error_leave_one_group_out": fitted.calibration.leave_one_group_out if fitted.calibration else {},
        "energy_offsets": offsets,
        "suspicious": fitted.suspicious,
        "p_readout": fitted.p_readout and fitted.p_readout.to_dict(),
    }


def _header(
    source: BackboneSource, options: FitOptions, fitted: _Fitted, n_members: int, report: dict[str, Any], provenance: Provenance
) -> Header:
    pops, novelty = fitted.pops, fitted.novelty
    posterior = PosteriorEntry(
        n_features=source.entry.n_features,
        n_modes=len(pops.box_.lower),
        n_members=n_members,
        n_force_members=options.n_force_members,
        bias=options.bias,
        ridge=options.ridge if isinstance(options.ridge, str) else float(options.ridge),
        ridge_relative=float(pops.ridge_relative_),
        leverage_floor=report["leverage_floor"],
        axes=options.axes,
        floors_tried=report["floors_tried"],
        rows=list(options.rows),
        n_force_rows=options.n_force_rows,
        kind_weight=mean_weights(report["rows"]),
        counts=report["rows"] | {"frames": report["n_frames"], "groups": report["groups"]},
        seed=options.seed,
        dof=report["dof"],
        energy_offsets=report["energy_offsets"],
        p_readout=ABSENT if fitted.p_readout is None else fitted.p_readout.entry(),
    )
    known = [e for e, r in zip(source.elements, novelty.radius, strict=True) if np.isfinite(r)]
    grade = GradeEntry(more={"percentile": 99.9, "folds": 5, "elements": known})
    return source.header(provenance.entry(), posterior=posterior, grade=grade, calibration=fitted.calibration)
