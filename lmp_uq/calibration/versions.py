# SPDX-License-Identifier: GPL-2.0-or-later
"""The bar of the force error that a model file holds, whichever version it is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmp_uq.calibration.force_error import ForceError
from lmp_uq.calibration.force_error_1 import ForceError1

AnyForceError = ForceError | ForceError1


def force_error_of(values: Mapping[str, Any]) -> AnyForceError:
    """From the header entry calibration.force_error; without a version it is of version 1.

    Raises
    ------
    UqError
        A number that is missing, unknown or out of range; a version of a newer program.
    """
    return (ForceError if "version" in values else ForceError1).from_dict(dict(values))
