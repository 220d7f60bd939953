# SPDX-License-Identifier: GPL-2.0-or-later
"""The header of a model file as records; what their fields mean is said in csrc/file/specification.cpp, by which the reader checks them.

A field of a record is an entry of that name. A new entry is a field here and a line there: `tests/modelfile/test_header.py` compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from lmp_uq.backbone.families import INPUTS
from lmp_uq.errors import UqError
from lmp_uq.quantities import QUANTITIES

FORMAT, FORMAT_VERSION = "lmp-uq", 1
UNITS = {"energy": "eV", "length": "Angstrom"}


class Absent:
    """An entry that is not there; false, like what its absence means (0, none)."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"  # one object, also for other ranks and in copies


ABSENT = Absent()


def given(value: Any, default: Any) -> Any:
    """The value of an entry, or the default where it is absent; null is a value."""
    return default if value is ABSENT else value


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of the records.

    Attributes
    ----------
    more : mapping
        Entries that are not specified; they are kept.
    """

    more: Mapping[str, Any] = field(default_factory=dict)
    PARTS: ClassVar[Mapping[str, type[Record]]] = {}
    """Fields that hold records, or lists of them."""

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Any:
        """The record of an object of the header that the reader has accepted."""
        known = {one.name for one in fields(cls)} - {"more"}
        values = {name: _part(cls.PARTS[name], value) if name in cls.PARTS else value for name, value in entries.items() if name in known}
        return cls(**values, more={name: value for name, value in entries.items() if name not in known})

    def to_dict(self) -> dict[str, Any]:
        """The object of the header: sorted by name, without what is absent."""
        own = {one.name: _plain(getattr(self, one.name)) for one in fields(self) if one.name != "more"}
        return dict(sorted({**self.more, **{name: value for name, value in own.items() if value is not ABSENT}}.items()))


def _part(record: type[Record], value: Any) -> Any:
    if isinstance(value, list):
        return [record.from_dict(item) for item in value]
    return None if value is None else record.from_dict(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.to_dict() if isinstance(value, Record) else value


@dataclass(frozen=True, kw_only=True)
class BackboneEntry(Record):
    """backbone: the model."""

    family: str
    architecture: dict[str, Any]
    n_features: int
    n_parameters: int

    def fixed_inputs(self) -> dict[str, float]:
        """Charge and spin that the model was converted for, by our names; of a model that takes none nothing."""
        return {word: self.architecture[name] for name, word in INPUTS.items() if name in self.architecture}


@dataclass(frozen=True, kw_only=True)
class PReadoutEntry(Record):
    """posterior.p_readout: learned members; their numbers are tensors."""

    n_features: int
    hidden: int
    n_members: int
    hand_over: float
    noise: int | Absent = ABSENT
    trainings: list[dict[str, Any]] | Absent = ABSENT
    n_frames: int | Absent = ABSENT
    groups: dict[str, dict[str, Any]] | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class PosteriorEntry(Record):
    """posterior: how the ensemble was fitted."""

    n_features: int
    n_modes: int
    n_members: int
    bias: str
    ridge: float | str
    leverage_floor: float
    rows: list[str]
    counts: dict[str, Any]
    n_force_members: int | Absent = ABSENT
    axes: str | Absent = ABSENT
    kind_weight: dict[str, float] | Absent = ABSENT
    ridge_relative: float | Absent = ABSENT
    floors_tried: list[dict] | Absent = ABSENT
    n_force_rows: int | Absent | None = ABSENT
    seed: int | Absent = ABSENT
    dof: float | Absent = ABSENT
    energy_offsets: dict[str, float] | Absent = ABSENT
    p_readout: PReadoutEntry | Absent | None = ABSENT

    PARTS: ClassVar = {"p_readout": PReadoutEntry}


@dataclass(frozen=True, kw_only=True)
class GradeEntry(Record):
    """grade: how the novelty was fitted; free."""


@dataclass(frozen=True, kw_only=True)
class ForceErrorEntry(Record):
    """calibration.force_error: of version 2, or older with lists by level or, as version 0.1.0 wrote it, one number each."""

    intercept: float
    n_blocks: float | Absent = ABSENT
    least_bar: float | Absent = ABSENT
    levels: list[float] | Absent = ABSENT
    version: int | Absent = ABSENT
    force_slope: float | Absent = ABSENT
    grade_slope: float | Absent = ABSENT
    known_slope: float | Absent = ABSENT
    new_slope: float | Absent = ABSENT
    correction_slope: float | Absent = ABSENT
    quantiles: list[float] | Absent = ABSENT
    conservative_quantiles: list[float] | Absent = ABSENT
    group_means: dict[str, float] | Absent = ABSENT
    spread: float | Absent = ABSENT
    force_offset: float | Absent = ABSENT
    grade_offset: float | Absent = ABSENT
    error_offset: float | Absent = ABSENT
    power: int | Absent = ABSENT
    hops: int | Absent = ABSENT
    force_exponent: float | Absent = ABSENT
    grade_exponent: float | Absent = ABSENT
    n_groups: float | Absent = ABSENT
    floor_exponent: float | Absent = ABSENT
    factors: list[float] | Absent = ABSENT
    conservative_factors: list[float] | Absent = ABSENT
    floors: list[float] | Absent = ABSENT
    level: float | Absent = ABSENT
    factor: float | Absent = ABSENT
    conservative_factor: float | Absent = ABSENT
    floor: float | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class EnergyErrorEntry(Record):
    """calibration.energy_error: a factor of the std, or a formula of the mean grade."""

    level: float
    n_groups: float
    n_blocks: float
    factor: float | Absent = ABSENT
    conservative_factor: float | Absent = ABSENT
    variable: str | Absent = ABSENT
    intercept: float | Absent = ABSENT
    slope: float | Absent = ABSENT
    quantile: float | Absent = ABSENT
    conservative_quantile: float | Absent = ABSENT
    spread: float | Absent = ABSENT
    grade_offset: float | Absent = ABSENT
    energy_offset: float | Absent = ABSENT
    leave_one_group_out: dict[str, dict] | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class ScaledErrorEntry(Record):
    """calibration.stress_error: a factor of the std."""

    factor: float
    conservative_factor: float
    level: float
    n_groups: float
    n_blocks: float
    leave_one_group_out: dict[str, dict] | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class QuantileNetworkEntry(Record):
    """calibration.quantile_network: the learned quantile; its numbers are tensors."""

    n_features: int
    levels: list[float]
    hidden: list[int]
    n_variables: int | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class ProbeEntry(Record):
    """calibration.probe: the classifier of frames; its numbers are tensors."""

    n_features: int
    hidden: int
    width: int
    heads: int
    boundary: float
    n_frames: dict[str, int] | Absent = ABSENT
    n_too_large: int | Absent = ABSENT
    epochs: int | Absent = ABSENT
    held_out: dict[str, Any] | Absent | None = ABSENT
    groups_left_out: dict[str, dict[str, Any] | None] | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class OrdinalEntry(Record):
    """calibration.ordinal: the classifier of atoms; its numbers are tensors."""

    n_features: int
    hidden: list[int]
    thresholds: list[float]
    n_frames: dict[str, int] | Absent = ABSENT
    epochs: int | Absent = ABSENT
    held_out: dict[str, Any] | Absent | None = ABSENT
    groups_left_out: dict[str, dict[str, Any] | None] | Absent = ABSENT


@dataclass(frozen=True, kw_only=True)
class CalibrationEntry(Record):
    """calibration: the calibrated bars, and what was found of them."""

    force_error: ForceErrorEntry | Absent | None = ABSENT
    energy_error: EnergyErrorEntry | Absent | None = ABSENT
    stress_error: ScaledErrorEntry | Absent | None = ABSENT
    quantile_network: QuantileNetworkEntry | Absent | None = ABSENT
    probe: ProbeEntry | Absent | None = ABSENT
    ordinal: OrdinalEntry | Absent | None = ABSENT
    leave_one_group_out: dict[str, dict] | Absent = ABSENT
    per_element: dict[str, float] | Absent = ABSENT
    in_sample: bool | Absent = ABSENT
    energy_offsets: dict[str, float] | Absent = ABSENT
    adaptations: list[dict[str, Any]] | Absent = ABSENT

    PARTS: ClassVar = {
        "force_error": ForceErrorEntry,
        "energy_error": EnergyErrorEntry,
        "stress_error": ScaledErrorEntry,
        "quantile_network": QuantileNetworkEntry,
        "probe": ProbeEntry,
        "ordinal": OrdinalEntry,
    }

    def bars(self) -> dict[str, dict[str, Any]]:
        """Numbers of the bars that there are, by `lmp_uq.quantities.Quantity.bar`: what the classes of `lmp_uq.calibration` are made of."""
        return {quantity.bar: getattr(self, quantity.bar).to_dict() for quantity in QUANTITIES if getattr(self, quantity.bar)}


@dataclass(frozen=True, kw_only=True)
class DataEntry(Record):
    """One of provenance.data: a file of frames."""

    path: str
    sha256: str
    n_frames: int


@dataclass(frozen=True, kw_only=True)
class ProvenanceEntry(Record):
    """provenance: where all of it comes from."""

    command: str
    versions: dict[str, str]
    licence: str
    data: list[DataEntry]
    roles: dict[str, dict[str, int]]

    PARTS: ClassVar = {"data": DataEntry}


@dataclass(frozen=True, kw_only=True)
class Header(Record):
    """The header. Records cannot be changed; `dataclasses.replace` makes others."""

    elements: list[str]
    cutoff: float
    precision: str
    backbone: BackboneEntry
    provenance: ProvenanceEntry
    posterior: PosteriorEntry | None = None
    grade: GradeEntry | None = None
    calibration: CalibrationEntry | None = None
    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    units: Mapping[str, str] = field(default_factory=lambda: dict(UNITS))

    PARTS: ClassVar = {
        "backbone": BackboneEntry,
        "posterior": PosteriorEntry,
        "grade": GradeEntry,
        "calibration": CalibrationEntry,
        "provenance": ProvenanceEntry,
    }

    @property
    def fitted(self) -> PosteriorEntry:
        """The posterior.  UqError if there is none."""
        if self.posterior is None:
            raise UqError("the model file has no posterior; lmp-uq fit writes one")
        return self.posterior

    def bars(self) -> dict[str, dict[str, Any]]:
        """`CalibrationEntry.bars`; empty without a calibration."""
        return self.calibration.bars() if self.calibration else {}
