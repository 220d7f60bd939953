# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq calibrate``: a model file and labelled frames in, the same file with bars for such frames out."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

from lmp_uq import modelfile
from lmp_uq.calibration import ordinal_head, probe
from lmp_uq.calibration.adaptation import adapt
from lmp_uq.calibration.advice import advice
from lmp_uq.calibration.force_error import LEVEL, ForceError
from lmp_uq.calibration.labelled_atoms import ForceLabels, Labels
from lmp_uq.calibration.labels import calibrate_bars, calibrate_learned, force_report
from lmp_uq.calibration.ordinal_head import calibrate_ordinal
from lmp_uq.calibration.probe_training import calibrate_probe
from lmp_uq.calibration.quantile_network import SECTION
from lmp_uq.calibration.versions import force_error_of
from lmp_uq.errors import UqError, argument
from lmp_uq.files import check_target
from lmp_uq.frames.energy_zero import check_energy_zero, match_energy_zero
from lmp_uq.frames.frame import Frame, check_elements
from lmp_uq.frames.reading import hash_file, read_frames
from lmp_uq.metrics.sharpness import IN_BAND
from lmp_uq.modelfile import ModelFile
from lmp_uq.modelfile.header import (
    ABSENT,
    CalibrationEntry,
    EnergyErrorEntry,
    ForceErrorEntry,
    OrdinalEntry,
    ProbeEntry,
    QuantileNetworkEntry,
    ScaledErrorEntry,
)
from lmp_uq.modelfile.provenance import Provenance, frames_with_other_role
from lmp_uq.novelty.grade import Novelty
from lmp_uq.posterior.box import Box
from lmp_uq.quantities import ENERGY, FORCES, SCALED, STRESS
from lmp_uq.recipes.options import RecipeOptions
from lmp_uq.rows.labelled import energy_labels, labelled_descriptors, labels_of
from lmp_uq.rows.predict import predict_by_file
from lmp_uq.rows.rows import Predictions

log = logging.getLogger("lmp_uq")

ROLE = "calibration"
_SCALED: dict[str, Any] = {ENERGY.bar: EnergyErrorEntry, STRESS.bar: ScaledErrorEntry}
_CLASSIFIERS: dict[str, Any] = {"probe": ProbeEntry, "ordinal": OrdinalEntry}
FEW_FRAMES = 100
"""Below this number of frames a coverage is uncertain by more than 0.03 (one standard deviation)."""


@dataclass(frozen=True)
class CalibrateOptions(RecipeOptions):
    """What the command line of ``lmp-uq calibrate`` says; see docs/calibrate.md for each."""

    model: str
    data: tuple[str, ...]
    out: str
    in_sample: bool = False
    learned_quantile: bool = False
    classifier: tuple[str, ...] = ()
    adapt: bool = False
    licence: str = ""


class _Found(NamedTuple):
    """New bars by name, their reports, why others have none, and what else the report says."""

    bars: dict
    reports: dict
    left_out: dict
    more: dict


def calibrate(options: CalibrateOptions, command: str = "") -> dict:
    """Calibrate, or adapt to a few frames, and write ``options.out`` (whole or not at all).

    The result of a calibration does not depend on the order of the frames; an adaptation takes them in the order given. Methods:
    `lmp_uq.calibration.grouped_fit`, `lmp_uq.calibration.adaptation`.

    Parameters
    ----------
    options : CalibrateOptions
    command : str
        What the file says of its origin.

    Returns
    -------
    dict
        n_frames, in_sample, warnings, energy_offsets (eV/atom); labels: {force_error, energy_error, stress_error: the report of
        `lmp_uq.calibration.labels`}; left_out: {label: why there is none}; learned_quantile: its report or None; classifiers: {probe,
        ordinal: the header entry of each that was asked for}; adaptation: the report of `lmp_uq.calibration.adaptation` or None.

    Raises
    ------
    UqError
        No posterior in the file; frames that had another role in it, unless in_sample; elements other than the
        file's; no kind of label that could be calibrated; too few frames for a learned quantile or a classifier; nothing that could be
        adapted.
    """
    check_target(options.out, "out")
    file = modelfile.read(modelfile.resolve(options.model))
    if file.header.posterior is None:
        raise UqError(f"{options.model} has no posterior to calibrate: lmp-uq fit writes one")
    before = _bar_to_adapt(file, options) if options.adapt else None
    frames = read_frames(options.data, options.keys, options.group_key, file.header.cutoff)
    check_elements(frames, file.header.elements)
    in_sample = _other_roles(file, frames, options.in_sample)
    if not options.adapt:  # sums are then the same whatever the order of the files
        frames = sorted(frames, key=lambda frame: (frame.key, frame.group, frame.source))
    backbone, predictions, offsets = _predict(file, frames, options)
    labels = _labels(file, predictions, backbone)
    found = _adapted(labels, before, options) if before is not None else _calibrated(file, labels, options)
    report: dict[str, Any] = {"n_frames": len(frames), "in_sample": in_sample, "labels": found.reports, "left_out": found.left_out}
    report |= {"energy_offsets": offsets, "adaptation": None, **found.more}
    report["learned_quantile"], tensors = _learn(labels, predictions, found.bars, options)
    report["classifiers"], more = _classify(file, labels, predictions, found.bars, options)
    report["warnings"] = _warnings(file, frames, report)
    if FORCES.bar in found.bars and not options.adapt:
        report["warnings"] += advice(cast(ForceLabels, labels.of(FORCES)), found.bars[FORCES.bar])
    for text in report["warnings"]:
        log.warning("%s", text)
    _write(file, frames, _section(file, found.bars, report), tensors | more, options, command)
    return report


def _calibrated(file: ModelFile, labels: Labels, options: CalibrateOptions) -> _Found:
    entries, reports, reasons = calibrate_bars(labels, file.header.bars(), options.seed)
    left_out = {name: str(reason).removeprefix(f"{name}: ") for name, reason in reasons.items()}
    if not entries:
        raise UqError("nothing can be calibrated: " + "; ".join(f"{name}: {why}" for name, why in left_out.items()))
    return _Found(entries, reports, left_out, {})


def _bar_to_adapt(file: ModelFile, options: CalibrateOptions) -> ForceError:
    """The force_error of the file.  UqError if it is none that can be adapted."""
    values = file.header.bars().get(FORCES.bar)
    bar = force_error_of(values) if values else None
    if not isinstance(bar, ForceError):
        found = "was calibrated before 0.2" if bar else "is not there"
        raise UqError(f"{argument('adapt')}: force_error of {options.model} {found}; accepted: one that {argument('data')} calibrates anew")
    for name in ("learned_quantile", "classifier"):
        if getattr(options, name):
            raise UqError(f"{argument('adapt')} and {argument(name)} exclude each other: a few frames cannot train a network")
    return bar


def _adapted(labels: Labels, before: ForceError, options: CalibrateOptions) -> _Found:
    try:
        mine = cast(ForceLabels, labels.of(FORCES))
    except UqError as reason:
        raise UqError(f"{argument('adapt')}: {reason}; accepted: frames with force labels") from None
    after, report = adapt(before, mine)
    judged: dict[str, Any] = {"leave_one_group_out": {}} | force_report(mine, before, after, options.seed) | {"few_frames": {}}
    return _Found({FORCES.bar: after}, {FORCES.bar: judged}, {}, {"adaptation": report})


def _other_roles(file: ModelFile, frames: Sequence[Frame], accept: bool) -> bool:
    """Whether frames had a role other than calibration in the file; UqError with counts unless accepted."""
    found = frames_with_other_role(file, frames, ROLE)
    if found and not accept:
        roles = ", ".join(f"{len(mine)} {role} (first: {mine[0].source})" for role, mine in sorted(found.items()))
        accepted = f"leave them out, or say {argument('in_sample', True)}"
        raise UqError(f"of {len(frames)} frames some had another role in this file: {roles}; {accepted}")
    return bool(found)


def _predict(file: ModelFile, frames: Sequence[Frame], options: CalibrateOptions) -> tuple[Any, Predictions, dict[str, float]]:
    # no row of a force is needed: its error is that of the atom
    backbone, predictions = predict_by_file(file, frames, options, kinds=tuple(quantity.label for quantity in SCALED))
    offsets = match_energy_zero(predictions, file.header.fitted.energy_offsets or {}, options.fit_offsets, backbone)
    if options.fit_offsets:
        return backbone, predictions, offsets
    taken = [sum(offsets.get(element, 0.0) for element in frame.atoms.get_chemical_symbols()) for frame in frames]
    residuals = predictions.energy_residuals() - np.array(taken)
    if np.isfinite(residuals).any():
        _warn_of_energy_zero(frames, residuals, backbone.elements)
    return backbone, predictions, offsets


def _warn_of_energy_zero(frames: Sequence[Frame], residuals: np.ndarray, elements: Sequence[str]) -> None:
    """Not an error as in a fit: on frames of a new kind a badly wrong model looks just like another energy zero."""
    try:
        check_energy_zero(frames, residuals, elements)
    except UqError as reason:
        log.warning("either the model is badly wrong on these frames, or %s", reason)


def _labels(file: ModelFile, predictions: Predictions, backbone: Any) -> Labels:
    """Labels of the predictions, with the bars and the grade of the file."""
    novelty = Novelty.from_tensors(file.section("grade")) if file.header.grade else None
    return labels_of(predictions, Box.from_tensors(file.section("posterior")), novelty, backbone)


def _learn(
    labels: Labels, predictions: Predictions, entries: Mapping[str, Any], options: CalibrateOptions
) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
    """Report and tensors of the learned quantile; (None, {}) if it was not asked for."""
    if not options.learned_quantile:
        return None, {}
    if FORCES.bar not in entries:
        asked = argument("learned_quantile", True)
        raise UqError(f"{asked}: no force_error could be calibrated, which it hands over to where grade > 1")
    descriptors, _ = labelled_descriptors(predictions)
    network, report = calibrate_learned(cast(ForceLabels, labels.of(FORCES)), descriptors, entries[FORCES.bar], options.seed)
    return report | {"header": network.header()}, {f"{SECTION}/{name}": array for name, array in network.tensors().items()}


def _classify(
    file: ModelFile, labels: Labels, predictions: Predictions, entries: Mapping[str, Any], options: CalibrateOptions
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header entries and tensors of the classifiers that were asked for."""
    found: dict[str, Any] = {}
    if "probe" in options.classifier:
        novelty = Novelty.from_tensors(file.section("grade")) if file.header.grade else None
        frames = energy_labels(predictions, Box.from_tensors(file.section("posterior")), novelty)
        found["probe"] = probe.SECTION, calibrate_probe(frames, options.seed)
    if "ordinal" in options.classifier:
        if FORCES.bar not in entries:
            asked = argument("classifier", "ordinal")
            raise UqError(f"{asked}: no force_error could be calibrated, which it hands over to where grade > 1")
        descriptors, _ = labelled_descriptors(predictions)
        atoms = cast(ForceLabels, labels.of(FORCES)).atoms
        found["ordinal"] = ordinal_head.SECTION, calibrate_ordinal(atoms, descriptors, entries[FORCES.bar], options.seed)
    tensors = {f"{section}/{name}": array for section, one in found.values() for name, array in one.tensors().items()}
    return {name: one.header() for name, (_, one) in found.items()}, tensors


def _warnings(file: ModelFile, frames: Sequence[Frame], report: dict[str, Any]) -> list[str]:
    out = []
    n_blocks = len({frame.key for frame in frames})
    if n_blocks < FEW_FRAMES:
        sd = 0.3 / np.sqrt(n_blocks)
        out.append(f"{n_blocks} independent frames, fewer than {FEW_FRAMES}: a coverage of 0.90 is uncertain by {sd:.2f}")
    ungraded = _ungraded(file, frames)
    if ungraded:
        out.append(f"no training atoms of {', '.join(f'{e} ({n} atoms)' for e, n in ungraded.items())}: they took no part in force_error")
    had_network = file.header.calibration and file.header.calibration.quantile_network
    if report["adaptation"]:
        out += _no_better(report["adaptation"])
        networks = {"quantile_network": "learned quantile", "ordinal": "ordinal head"}
        for name in [name for name in networks if getattr(file.header.calibration, name)]:
            out.append(f"the {networks[name]} of the file is not adapted: it answers as before where grade <= 1")
        return out
    if had_network and report["learned_quantile"] is None and FORCES.bar in report["labels"]:
        again = argument("learned_quantile", True)
        out.append(f"the learned quantile of the file is dropped: it belongs to the old force_error; {again} makes a new one")
    return out


def _no_better(found: dict[str, Any]) -> list[str]:
    """A sentence if the adapted bars miss the aim, and more than the old ones, on the very frames."""
    before, after = (found[f"coverage_{name}"] for name in ("before", "after"))
    if abs(after - LEVEL) <= abs(before - LEVEL) or IN_BAND[0] <= after <= IN_BAND[1]:
        return []
    better = f"label more frames, and calibrate with {argument('data')}"
    if IN_BAND[0] <= before <= IN_BAND[1]:
        better = "keep the old bars"
    return [f"adapted, the bars cover {after:.2f} of these frames, before {before:.2f} (aim: {LEVEL:.2f}): {better}"]


def _ungraded(file: ModelFile, frames: Sequence[Frame]) -> dict[str, int]:
    """{element: atoms with force labels} of the elements that have no grade."""
    radius = file.tensors.get("grade/radius")
    names = [] if radius is None else [e for e, r in zip(file.header.elements, radius, strict=True) if not np.isfinite(r)]
    counts = {e: sum(f.atoms.get_chemical_symbols().count(e) for f in frames if f.forces is not None) for e in names}
    return {element: count for element, count in counts.items() if count}


def _section(file: ModelFile, entries: Mapping[str, Any], report: dict[str, Any]) -> CalibrationEntry:
    """The new header entry: what could not be calibrated stays as it was."""
    calibration = file.header.calibration or CalibrationEntry()
    if report["adaptation"]:
        shifted = ForceErrorEntry.from_dict(entries[FORCES.bar].to_dict())
        adaptations = [*(calibration.adaptations or []), report["adaptation"]]
        in_sample = bool(calibration.in_sample) or report["in_sample"]
        return replace(calibration, force_error=shifted, adaptations=adaptations, in_sample=in_sample)
    stays = any(getattr(calibration, quantity.bar) for quantity in (FORCES, *SCALED) if quantity.bar not in entries)
    in_sample = report["in_sample"] or bool(stays and calibration.in_sample)
    new: dict[str, Any] = {"in_sample": in_sample, "energy_offsets": report["energy_offsets"]}
    for name, bar in entries.items():
        mine = report["labels"][name]
        if name == FORCES.bar:
            own = {e: found["factor"] for e, found in mine["per_element"].items() if found["factor"] is not None}
            new |= {name: ForceErrorEntry.from_dict(bar.to_dict()), "leave_one_group_out": mine["leave_one_group_out"]}
            new |= {"per_element": own, "quantile_network": ABSENT, "adaptations": ABSENT}
        else:
            new[name] = _SCALED[name].from_dict(bar.to_dict() | {"leave_one_group_out": mine["leave_one_group_out"]})
    # a classifier that is not trained anew stays: it knows the model and its own labels, and no bar
    new |= {name: _CLASSIFIERS[name].from_dict(entry) for name, entry in report["classifiers"].items()}
    if report["learned_quantile"] is not None:
        new["quantile_network"] = QuantileNetworkEntry.from_dict(report["learned_quantile"].pop("header") | report["learned_quantile"])
    return replace(file.header.calibration or CalibrationEntry(), **new)


def _write(
    file: ModelFile,
    frames: Sequence[Frame],
    calibration: CalibrationEntry,
    tensors: dict[str, np.ndarray],
    options: CalibrateOptions,
    command: str,
) -> None:
    old = file.header.provenance
    earlier = [old.command] if old.command else []
    provenance = Provenance(
        " && ".join([*earlier, command]), options.licence or old.licence, list(old.data), copy.deepcopy(old.roles), file.section("roles")
    )  # fmt: skip
    known = {entry.sha256 for entry in old.data}
    provenance.add_files([path for path in options.data if hash_file(path) not in known], frames)
    noted = set(provenance.hashes.get(ROLE, np.zeros(0, np.uint64)).tolist())
    provenance.add_role(ROLE, [frame for frame in frames if frame.key not in noted])
    header = replace(file.header, calibration=calibration, provenance=provenance.entry())
    dropped = ("roles/",) if calibration.quantile_network else ("roles/", f"{SECTION}/")
    kept = {name: array for name, array in file.tensors.items() if not name.startswith(dropped)}
    modelfile.write(options.out, header, kept | tensors | provenance.tensors())
