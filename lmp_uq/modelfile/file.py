# SPDX-License-Identifier: GPL-2.0-or-later
"""The model file, ``*.uq``: the only thing that crosses from fitting to running.

SPEC, format version 1
----------------------
A safetensors container (`lmp_uq.modelfile.container`; any safetensors library reads it). Its table of strings holds one
entry, ``lmp_uq``: the header, JSON with sorted keys, finite numbers and at most 100 objects and lists inside one another; with the
container's own table at most 4 MB. Counts are at most 1000000, frames of a role 1000000000, levels 100.
Equal content gives equal bytes. There are two readers that say the same of every file: this one and csrc/file/model_file.
A reader rejects what it does not know: another format version, an unknown top-level key, a tensor of no known
section. Within a section further keys, and further tensors ``posterior/...`` and ``grade/...``, may stand;
they change nothing in the meaning of those listed here.

Counts: Z elements, P descriptors, R modes, K members, M force members, B bias columns (none 0, constant 1, element Z; they
follow the descriptors), P' = P + B.

Header keys; all are there, those marked ? may be null::

    format          "lmp-uq"
    format_version  1
    elements        Z distinct chemical symbols, in the order of every element axis below
    cutoff          length of the longest edge of the graph, Angstrom
    units           {"energy": "eV", "length": "Angstrom"}, those of all numbers in the file
    precision       "float32" or "float64": arithmetic of the backbone unless the user asks for another
    backbone        family         "mace", or "snap", "compute": a linear potential, see the end
                    architecture   {...} what builds the network
                    n_features     P
                    n_parameters   at most the count of numbers in backbone/*
    posterior ?     n_features     P
                    n_modes        R
                    n_members      K
                    n_force_members  M; may be absent, which means 0
                    bias           "none", "constant" or "element"
                    ridge          relative (dimensionless), or "evidence"
                    leverage_floor dimensionless
                    rows           which labels were fitted
                    counts         of frames and rows
    grade ?         how the novelty was fitted; free
    calibration ?   force_error ?  intercept, force_exponent, grade_exponent, n_groups, n_blocks, and lists of
                                   one number for each level: levels (rising), factors, conservative_factors,
                                   floors (eV/Angstrom); needs grade. Absent means 0: floor_exponent, and
                                   least_bar (eV/Angstrom). Files with one level have plain numbers
                                   level, factor, conservative_factor, floor and no n_blocks
                    energy_error ?, stress_error ?
                                   factor, conservative_factor, level, n_groups, n_blocks: the bar is factor
                                   times the root mean square of x.Theta over the box for the row x of the
                                   energy per atom, of a virial component per atom
                    quantile_network ?
                                   levels (L of them), n_features P, hidden [H1, H2]; needs force_error
                    probe ?        n_features P, hidden H, width W, heads (divides W), boundary (eV/atom)
                    ordinal ?      n_features P, hidden [H1, H2], thresholds (L of them, rising, eV/Angstrom); needs force_error
    provenance      command        text
                    versions       {package: version}
                    licence        text
                    data           [{path (the name only), sha256, n_frames}]
                    roles          {group: {role: number of frames}}

Tensors; those of posterior and grade are there exactly if the header key is not null::

    backbone/<name>         any        any      state of the network, names of its own state dict
    posterior/coefficients  (P',)      float64  Theta*, eV per unit of its descriptor or bias column
    posterior/modes         (P', R)    float64  V; a member is Theta* + V g with lower <= g <= upper
    posterior/lower         (R,)       float64  box, in the unit of g
    posterior/upper         (R,)       float64  box, nowhere below lower
    posterior/members       (K, P')    float64  the ensemble: a run with n members means the first n
    posterior/force_members (M, P')    float64  independent draws of the box, for force and stress bars: a run
                                                with n of them means the first n; not there where M is 0
    grade/mean              (Z, P)     float64  mean descriptor of an element's training atoms
    grade/whitening         (Z, P, P)  float64  W; the distance of an atom is |W (D - mean)|
    grade/radius            (Z,)       float64  distance that has grade 1, above 0; nan for an element without
                                                training atoms, whose mean and whitening mean nothing
    calibration/quantile_network/<name>: those of `lmp_uq.calibration.quantile_network`, there exactly if the
    header has calibration.quantile_network
      input_mean, input_scale  (P+1,)  float64  of descriptors and log(|F| + 0.01)
      weight_0, bias_0         (H1, P+1), (H1,)  float64
      weight_1, bias_1         (H2, H1), (H2,)   float64
      weight_2, bias_2         (L, H2), (L,)     float64
      lower, upper             (L,)    float64  range of log q over the training atoms
      factors                  (L,)    float64  conformal factors
    calibration/probe/<name>, calibration/ordinal/<name>: those of `lmp_uq.calibration.probe` and `ordinal_head`, float64,
    there exactly if the header has calibration.probe, calibration.ordinal
    roles/<role>            (frames,)  uint64   content hash (`lmp_uq.frames.frame.Frame.key`) of every frame in
                                                this role, duplicates included: the sum of provenance.roles

Optional::

    posterior/leverage_factor (P', any) float64  L, relative: |x.L|^2 is the leverage of a row x of weight 1 in units of the mean leverage
                                                 P'/n; needs the header key posterior.kind_weight, {"energy", "forces", "stress"} to the
                                                 mean weight of a row of that kind. A row with weight |x.L|^2 < leverage_floor had, or
                                                 would have had, no say in the box: the box certifies nothing about it

Of a linear potential the bias is "element", and P is Z times the columns of a compute of LAMMPS. Of family "snap" that is compute
sna/atom; the architecture has parameters, radii, weights, reference and with switchinnerflag sinner and dinner, as
`lmp_uq.backbone.linear.snap_settings.SnapSettings.header` makes them. Of family "compute" the architecture has cutoff (Angstrom), computes
({"descriptors", "gradient", "virial"} to the words behind `compute ID all`, the last two perhaps empty), files (names in these words to
texts), pair (the pair style that runs it, or an empty text) and reference. Further

    backbone/coefficients   (P + Z,)  float64  Theta* of the potential that runs: blocks of the elements, then their constants, eV per unit
                                               of the descriptor. The posterior is about departures from it: posterior/coefficients are 0

Numbers in posterior/*, grade/* and calibration/*, and of a linear potential in backbone/*, are finite but for the exceptions of
grade/radius.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq.errors import UqError
from lmp_uq.modelfile.check import check_header, check_tensors
from lmp_uq.modelfile.container import read_container, write_container
from lmp_uq.modelfile.json import compact_json, strict_json

METADATA_KEY = "lmp_uq"
SUFFIX = ".uq"
POTENTIALS = "LAMMPS_POTENTIALS"
"""Variable of the environment with folders, separated by colons, in which LAMMPS looks for potentials."""
_EMBEDDED = Path(__file__).parents[1] / "models"


@dataclass
class ModelFile:
    """Content of one ``*.uq`` file.

    Attributes
    ----------
    header : dict
        As in the SPEC above.
    tensors : dict of str to array
        As in the SPEC above, full names.
    sha256 : str
        Of the file it was read from; empty if it was not read from one.
    """

    header: dict[str, Any]
    tensors: dict[str, np.ndarray]
    sha256: str = ""

    def section(self, prefix: str) -> dict[str, np.ndarray]:
        """Return the tensors named ``prefix/...``, by the rest of their names; empty if there are none."""
        start = prefix + "/"
        return {
            name.removeprefix(start): array for name, array in self.tensors.items() if name.startswith(start)
        }


def read(path: str | Path) -> ModelFile:
    """Read and check a model file. Nothing in it is executed.

    Parameters
    ----------
    path : str or Path
        A file; for the name of an embedded model see `resolve`.

    Returns
    -------
    ModelFile

    Raises
    ------
    UqError
        The file is missing, damaged, of another format or version, or its parts contradict each other.
    """
    metadata, tensors, sha256 = read_container(path)
    if METADATA_KEY not in metadata:
        raise UqError(
            f"{path}: a safetensors file without the entry '{METADATA_KEY}'; accepted: a *.uq file as lmp-uq "
            "writes it (`lmp-uq convert` makes one from a MACE model)"
        )
    try:
        header = strict_json(metadata[METADATA_KEY])
    except ValueError as error:
        raise UqError(f"{path}: damaged, its lmp-uq header is no JSON: {error}") from error
    check_header(header, str(path))
    check_tensors(header, tensors, str(path))
    return ModelFile(header, tensors, sha256)


def write(path: str | Path, header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """Check and write a model file, atomically; equal input gives equal bytes.

    Parameters
    ----------
    path : str or Path
    header : dict
        As in the SPEC; NumPy scalars, arrays and tuples become JSON numbers and lists.
    tensors : dict of str to array
        As in the SPEC.

    Returns
    -------
    str
        SHA-256 of the file.

    Raises
    ------
    UqError
        What `read` would reject, before anything is written; or the disk refuses. No temporary file stays.
    """
    header = _plain(header, "the header", str(path))
    tensors = {name: np.asarray(array) for name, array in tensors.items()}
    check_header(header, str(path))
    check_tensors(header, tensors, str(path))
    text = compact_json(header)
    try:
        strict_json(text)
    except ValueError as error:
        raise UqError(f"{path}: the header cannot be written: {error}") from error
    return write_container(path, {METADATA_KEY: text}, tensors)


def embedded_models() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(file.stem for file in _EMBEDDED.glob("*" + SUFFIX))


def resolve(name_or_path: str | Path) -> Path:
    """Return the file that a user means: a path, the name of an embedded model, or a file in a folder of LAMMPS_POTENTIALS.

    Parameters
    ----------
    name_or_path : str or Path
        A file of that path wins over an embedded model of that name. Of another path that ends in .uq the last part is looked for in the
        folders, as LAMMPS looks for potentials.

    Returns
    -------
    Path

    Raises
    ------
    UqError
        None of them exists; lists the embedded models and the folders.
    """
    path, names = Path(name_or_path), embedded_models()
    if not path.is_file() and str(name_or_path) in names:
        return _EMBEDDED / f"{name_or_path}{SUFFIX}"
    if path.exists():
        return path
    folders = [folder for folder in os.environ.get(POTENTIALS, "").split(":") if folder]
    for found in (Path(folder, path.name) for folder in folders if path.suffix == SUFFIX):
        if found.is_file():
            return found
    known = ", ".join(names) or "none"
    searched = f"; folders of {POTENTIALS}: {', '.join(folders)}" if folders else ""
    raise UqError(f"{name_or_path}: neither a file nor an embedded model; embedded models: {known}{searched}")


def _plain(value: Any, where: str, path: str) -> Any:
    """Return `value` in the types of JSON, so that what is written equals what will be read."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise UqError(f"{path}: {where} has the key {key!r}; accepted: text")
        return {key: _plain(item, f"{where}, {key}", path) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, where, path) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise UqError(f"{path}: {where} holds {value}; accepted: finite numbers (null for an absent one)")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise UqError(f"{path}: {where} holds a {type(value).__name__}; accepted: what JSON can hold")
