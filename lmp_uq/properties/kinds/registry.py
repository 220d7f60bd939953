# SPDX-License-Identifier: GPL-2.0-or-later
"""Kinds of properties that a suite may name, and where their classes are."""

from __future__ import annotations

from importlib import import_module

from lmp_uq.errors import UqError
from lmp_uq.properties.property import Property

KINDS = {
    "phase": "lmp_uq.properties.kinds.phases:Phase",
    "eos": "lmp_uq.properties.kinds.eos:EquationOfState",
    "elastic": "lmp_uq.properties.kinds.elastic:ElasticConstants",
    "path": "lmp_uq.properties.kinds.paths:TransformationPath",
    "vacancy": "lmp_uq.properties.kinds.defects:Vacancy",
    "interstitial": "lmp_uq.properties.kinds.defects:Interstitial",
    "surface": "lmp_uq.properties.kinds.surfaces:Surface",
    "hop": "lmp_uq.properties.kinds.hop:VacancyHop",
    "phonons": "lmp_uq.properties.kinds.phonons:PhononDispersion",
    "lammps": "lmp_uq.properties.kinds.lammps_input:LammpsInput",
}
"""Kind to module:class, imported when it is asked for."""


def class_of(kind: str) -> type[Property]:
    """The class of a kind; UqError for one that is not known."""
    if kind not in KINDS:
        raise UqError(f"property of kind {kind!r}; accepted: {', '.join(KINDS)}")
    module, name = KINDS[kind].split(":")
    return getattr(import_module(module), name)
