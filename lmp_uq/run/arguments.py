# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user says of a model to run, and what its file makes of that."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from lmp_uq.calibration.quantile_network import SECTION, QuantileNetwork
from lmp_uq.errors import UqError
from lmp_uq.modelfile import ModelFile
from lmp_uq.modelfile.header import Header

FORCE_MEMBERS = 8
"""Force members of a run that does not say how many."""


def name_of_model(name: str | os.PathLike[str]) -> str:
    """A name or path as text.  UqError for something else."""
    if not isinstance(name, str | os.PathLike):
        raise UqError(f"a model cannot be loaded from a {type(name).__name__}; accepted: a *.uq file or the name of an embedded model")
    return os.fspath(name)


def check_counts(**counts: Any) -> None:
    """UqError that names the first argument which is no whole number of 0 or more."""
    for name, value in counts.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
            raise UqError(f"{name} is {value!r}; accepted: a whole number of 0 or more")


def species_of(elements: Sequence[str] | None, known: Sequence[str], name: str | os.PathLike[str]) -> list[int]:
    """For each element its number in the file, None: all of the file.  UqError for one that is not there, or none at all."""
    elements = known if elements is None else elements
    if not elements:
        raise UqError(f"no atom type is given an element; elements of {name}: {' '.join(known)}")
    for element in elements:
        if element not in known:
            raise UqError(f"element {element} is not in {name} (elements: {' '.join(known)})")
    return [known.index(element) for element in elements]


def network_of(file: ModelFile) -> QuantileNetwork:
    """The learned quantile of a file that has one."""
    calibration: Any = file.header.calibration
    return QuantileNetwork.from_tensors(calibration.quantile_network.to_dict(), file.section(SECTION))


def classifier_of(file: ModelFile, name: str, kind: Any, section: str) -> Any:
    """The classifier of that name, None where the file has none."""
    entry = getattr(file.header.calibration, name, None)
    return kind.from_tensors(entry.to_dict(), file.section(section)) if entry else None


def members_in_use(header: Header, n_members: int) -> int:
    """Members of the ensemble, all where 0 are asked for.  UqError for more than the file holds."""
    if not header.posterior:
        return 0
    available = header.posterior.n_members
    if not 0 <= n_members <= available:
        raise UqError(f"members {n_members} asked for, the file holds {available}")
    return n_members or available


def force_members_in_use(header: Header, n_force_members: int) -> int:
    """Force members, `FORCE_MEMBERS` where 0 are asked for.  UqError for more than the file holds."""
    available = (header.posterior and header.posterior.n_force_members) or 0
    if not 0 <= n_force_members <= available:
        raise UqError(f"force_members {n_force_members} asked for, the file holds {available}")
    return n_force_members or min(FORCE_MEMBERS, available)
