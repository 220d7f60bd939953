# SPDX-License-Identifier: GPL-2.0-or-later
"""Who includes whom in csrc; lengths and licences of source files. Imports of Python are checked by import-linter and ruff."""

from __future__ import annotations

import re

import pytest
from test_docs import PACKAGE, ROOT, SPDX, STYLES_FOLDER, read, source_files

from lmp_uq.quantities import FORCE_ROWS

MAX_LINES = 400
CSRC = ROOT / "csrc"
MAY_INCLUDE = {
    "base": (),
    "formulas": ("base",),
    "file": ("base",),
    "mace": ("base", "formulas", "file"),
    "mace/cpu": ("base", "formulas", "file", "mace"),
    "mace/cuda": ("base", "formulas", "file", "mace", "mace/cuda/emulation"),
    "mace/cuda/emulation": (),
    "head": ("base", "formulas", "file"),
    "linear": ("base", "formulas", "file", "head"),
    "averages": ("base",),
}
"""Room of csrc, the other rooms it may include; the styles in lammps may include all."""
STILL_UPWARDS = {
    ("file", "linear/snap_descriptors.h"),
    ("head", "mace/cpu/kernels.h"),
}
"""Argument structs of the loops, which lie with the loops, and the record of SNAP's flags."""
SYSTEM = ("sys/stat.h", "dlfcn.h", "omp.h", "pthread.h", "stddef.h", "stdint.h", "string.h")
SYSTEM_OF_ROOM = {
    "mace/cuda": ("cuda_runtime.h",),
    "mace/cuda/emulation": (
        "sanitizer/asan_interface.h",
        "sanitizer/common_interface_defs.h",
        "sanitizer/tsan_interface.h",
        "sys/mman.h",
        "sys/syscall.h",
        "ucontext.h",
        "unistd.h",
    ),
}


def included(path):
    return re.findall(r'^#\s*include (["<])([^">]*)', read(path), re.MULTILINE)


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_rooms_include_the_standard_library_and_the_rooms_below_them(room):
    files = [path for path in (CSRC / room).iterdir() if path.suffix in (".h", ".cpp", ".cu")]
    assert files
    for path in files:
        for kind, name in included(path):
            if kind == "<":
                assert name in (*SYSTEM, *SYSTEM_OF_ROOM.get(room, ())) or re.fullmatch(r"[a-z_0-9]+", name), (path, name)
                continue
            assert (CSRC / name).exists(), (path, name)
            other = name.rpartition("/")[0]
            assert other in (room, *MAY_INCLUDE[room]) or (room, name) in STILL_UPWARDS, (path, name)


def test_every_room_of_csrc_is_known():
    assert {path.parent.relative_to(CSRC).as_posix() for path in CSRC.rglob("*.h")} == {*MAY_INCLUDE, "lammps"}


def test_only_csrc_lammps_knows_lammps_and_nothing_there_knows_python():
    for path in source_files():
        text = read(path)
        if path.suffix in (".cpp", ".h"):
            assert path.parent == STYLES_FOLDER or '#include "lammps/' not in text, path
            assert "Python.h" not in text, path
        elif path.suffix == ".pyx":
            headers = re.findall(r'cdef extern from "([^"]*)"', text)
            folder = STYLES_FOLDER if path.stem == "_bridge" else CSRC
            assert headers and all((folder / header).exists() for header in headers), path
            assert path.stem != "_bridge" or set(headers) == {"bridge.h"}
    assert re.findall(r'#include "(.*)"', read(STYLES_FOLDER / "bridge.h")) == ["mace/ghost_exchange.h"]
    assert '#include "' not in read(CSRC / "mace" / "ghost_exchange.h")


def test_source_files_are_short_and_say_their_licence():
    for path in source_files():
        lines = read(path).splitlines()
        assert SPDX in lines[0], path
        assert len(lines) <= MAX_LINES, path


MAX_UNIT, MAX_FUNCTION = 300, 50
"""Lines of a .cpp in csrc, and of a function there."""


def functions(text: str) -> list[tuple[str, int]]:
    """First line and number of lines of every function whose braces stand alone, in column 0 or indented."""
    lines, found = text.splitlines(), []
    for last, line in enumerate(lines):
        if not re.fullmatch(r" *\}", line):
            continue
        first = next((k for k in range(last, -1, -1) if lines[k] == line.replace("}", "{")), None)
        if first is None or any(lines[k] == line for k in range(first, last)):
            continue
        while first and lines[first - 1].strip() and not lines[first - 1].startswith(("//", "#")) and lines[first - 1][-1] not in ";{}":
            first -= 1
        found.append((lines[first].strip(), last - first + 1))
    return found


def test_units_and_functions_of_csrc_are_short():
    planted = "\n".join(["int f(int a,", "      int b)", "{", *["  a++;"] * 47, "}", "", "int g()", "{", "}"])
    assert functions(planted) == [("int f(int a,", 51), ("int g()", 3)]
    for path in CSRC.rglob("*"):
        if path.suffix in (".cpp", ".h", ".cu"):
            text = read(path)
            assert path.suffix == ".h" or len(text.splitlines()) <= MAX_UNIT, path
            assert not [f for f in functions(text) if f[1] > MAX_FUNCTION], path


SHARED = {"MPI_Allreduce(": "over_ranks.h", "xprd * ": "cell_volume.h", "struct FieldInfo": "fields.h"}


@pytest.mark.parametrize("words", SHARED)
def test_what_the_styles_share_is_written_once(words):
    assert [path.name for path in sorted(STYLES_FOLDER.iterdir()) if words in read(path)] == [SHARED[words]]


def test_activations_are_written_once():
    sources = [p for p in CSRC.rglob("*") if p.suffix in (".cpp", ".h")]
    for formula in (r"1\.0 \+ std::(exp\(-|tanh\()", r"1\.0 - s\b"):  # the functions; the derivative of a sigmoid s
        assert {p.name for p in sources if re.search(formula, read(p))} == {"activations.h"}


def test_names_and_numbers_of_forces_are_those_of_quantities():
    judged = [*(PACKAGE / "report").rglob("*.py"), PACKAGE / "validation" / "samples.py"]
    assert not [path for path in judged if '"force_error"' in read(path)]
    rows = re.compile(rf"(?i)force_rows\b.*= {FORCE_ROWS}\b")
    assert [path.name for path in PACKAGE.rglob("*.py") if rows.search(read(path))] == ["quantities.py"]
