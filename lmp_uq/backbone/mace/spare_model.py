# SPDX-License-Identifier: GPL-2.0-or-later
"""The torch models of the backbones that were given up last, for the next ones that are the same.

e3nn compiles parts of every model that it builds to TorchScript, and torch keeps what it compiled as long as the process lives: 10 MB and
more for each model. A process that sets up the same potential again and again, as a loop around the command `clear`, must build it once;
a committee has several of them at a time.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any

N_SPARE = 4
_spare: dict[tuple[Hashable, int], Any] = {}
_numbers = count()


def borrow(owner: Any, key: Hashable, build: Callable[[], Any]) -> Any:
    """Return a model for as long as its owner lives: a spare one of this key, else a new one. Nobody else has it meanwhile.

    Parameters
    ----------
    owner : object
        What uses the model; when it goes, the model becomes a spare one.
    key : hashable
        Equal keys say that the models are the same.
    build : callable
        Makes a model.
    """
    # single operations on the dict: a finalizer may run between any two of them
    found = (_spare.pop(place, None) for place in list(_spare) if place[0] == key)
    model = next((one for one in found if one is not None), None)
    if model is None:
        model = build()
    weakref.finalize(owner, _give_back, key, model).atexit = False
    return model


def _give_back(key, model):
    _spare[key, next(_numbers)] = model
    if len(_spare) > N_SPARE:
        _spare.pop(next(iter(_spare)), None)
        gc.collect()  # compiled models are cycles, and Python's collector hardly runs while LAMMPS owns the loop
