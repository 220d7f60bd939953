# SPDX-License-Identifier: GPL-2.0-or-later
# The extension is compiled and has no annotations; what it offers is said in _native.pyx.
from typing import Any

def __getattr__(name: str) -> Any: ...
