# SPDX-License-Identifier: GPL-2.0-or-later
"""The torch model of the backbone that was given up last, for the next one that is the same.

e3nn compiles parts of every model that it builds to TorchScript, and torch keeps what it compiled as long as the process lives: 10 MB and
more for each model. A process that sets up the same potential again and again, as a loop around the command `clear`, must build it once.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Hashable
from typing import Any

_spare: dict[Hashable, Any] = {}


def borrow(owner: Any, key: Hashable, build: Callable[[], Any]) -> Any:
    """Return a model for as long as its owner lives: the spare one if the keys agree, else a new one. Nobody else has it meanwhile.

    Parameters
    ----------
    owner : object
        What uses the model; when it goes, the model becomes the spare one.
    key : hashable
        Equal keys say that the models are the same.
    build : callable
        Makes a model.
    """
    model = _spare.pop(key, None)
    if model is None:
        model = build()
    weakref.finalize(owner, _give_back, key, model).atexit = False
    return model


def _give_back(key, model):
    if _spare and key not in _spare:
        _spare.clear()
        gc.collect()  # compiled models are cycles, and Python's collector hardly runs while LAMMPS owns the loop
    _spare[key] = model
