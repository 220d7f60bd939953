# SPDX-License-Identifier: GPL-2.0-or-later
"""When are two backbones the same?"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def identity_of(entry: Mapping[str, Any], tensors: Mapping[str, np.ndarray], arithmetic: str) -> str:
    """Hash of a backbone: its architecture, its numbers and what computes with them."""
    digest = hashlib.sha256(repr(sorted(entry.items(), key=lambda item: item[0])).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).tobytes())
    digest.update(arithmetic.encode())
    return digest.hexdigest()
