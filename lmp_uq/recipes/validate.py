# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq validate``: errors and coverage of a model file on labelled frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmp_uq import modelfile
from lmp_uq.errors import UqError, argument
from lmp_uq.frames.energy_zero import match_energy_zero
from lmp_uq.frames.frame import Frame
from lmp_uq.frames.reading import read_frames
from lmp_uq.modelfile import ModelFile
from lmp_uq.modelfile.provenance import frames_with_other_role
from lmp_uq.quantities import FORCES
from lmp_uq.recipes.options import RecipeOptions, default_force_rows, members_in_use
from lmp_uq.rows.predict import predict_by_file
from lmp_uq.validation.baselines import add_baselines, read_fit_frames
from lmp_uq.validation.collect import collect
from lmp_uq.validation.committee import add_committee, energy_lack
from lmp_uq.validation.labels_file import check_labels_file, write_labels
from lmp_uq.validation.parts import figures
from lmp_uq.validation.suspicious import suspicious_atoms


@dataclass(frozen=True)
class ValidateOptions(RecipeOptions):
    """What the command line of ``lmp-uq validate`` says; see docs/validate.md for each."""

    model: str
    data: tuple[str, ...]
    in_sample: bool = False
    n_members: int | None = None
    n_force_rows: int | None = None
    blocks: str = "frame"
    baselines: bool = False
    fit_data: tuple[str, ...] = ()
    committee: tuple[str, ...] = ()
    labels: str | None = None


def validate(options: ValidateOptions) -> tuple[dict, dict]:
    """Compare a model file with labelled frames.

    Parameters
    ----------
    options : ValidateOptions

    Returns
    -------
    result : dict
        JSON-able; keys model, sha256, n_frames, in_sample, energy_per_atom (eV), forces (components, eV/Angstrom), stress
        (eV/Angstrom^3; absent without labels), force_error, groups, elements, comparison, blocks, suspicious, and what the baselines
        say of themselves. Every figure is defined in `lmp_uq.metrics`.
    samples : dict
        The quantities as `lmp_uq.validation.samples.Samples`, force_error as `lmp_uq.validation.atoms.AtomSamples` (absent if the file
        has none).

    Raises
    ------
    UqError
        No posterior in the file, or fewer members than are asked for; frames that had another role in it, unless in_sample;
        baselines without frames of the fit; a file for the labels that cannot be written.
    """
    if options.labels is not None:
        check_labels_file(options.labels)
    file = modelfile.read(modelfile.resolve(options.model))
    if file.header.posterior is None:
        raise UqError(f"{options.model} has no posterior to validate: lmp-uq fit writes one")
    n_members = members_in_use(file.header, options.n_members, options.model)
    frames = read_frames(options.data, options.keys, options.group_key, file.header.cutoff)
    if not options.in_sample:
        _refuse_other_roles(file, frames)
    # a wrong file is better refused before the evaluation than after it
    fit_frames = read_fit_frames(file, options) if options.baselines else []
    n_force_rows = options.n_force_rows or default_force_rows(file.header)
    backbone, predictions = predict_by_file(file, frames, options, n_force_rows=n_force_rows)
    stored = file.header.posterior.energy_offsets or {}
    match_energy_zero(predictions, stored, options.fit_offsets, backbone)
    samples = collect(file, predictions, backbone, n_members)
    result = {"model": options.model, "sha256": file.sha256, "n_frames": len(frames), "in_sample": options.in_sample}
    if options.baselines:
        result |= add_baselines(file, backbone, predictions, samples, fit_frames, options)
    if options.committee:
        zero = energy_lack(predictions, stored, backbone.elements, options.fit_offsets)
        result |= add_committee(predictions, zero, samples, options)
    if options.labels is not None:
        write_labels(options.labels, samples, frames)
    result |= figures(samples, n_members, options.blocks)
    return result | {"suspicious": suspicious_atoms(samples.get(FORCES.bar), frames)}, samples


def _refuse_other_roles(file: ModelFile, frames: Sequence[Frame]) -> None:
    found = frames_with_other_role(file, frames)
    if found:
        roles = ", ".join(f"{len(mine)} {role} (first: {mine[0].source})" for role, mine in sorted(found.items()))
        raise UqError(f"of {len(frames)} frames some shaped this file: {roles}; leave them out, or say {argument('in_sample', True)}")
