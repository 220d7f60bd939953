# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames one after another: the same as ASE reads of the whole file, in the same batches for any number of ranks, and what is refused."""

from __future__ import annotations

import gzip
import re
import shutil

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from lmp_uq.errors import UqError, named_by_options
from lmp_uq.frames.streaming import batches_of_rank, stream_frames


def crystals(n: int) -> list:
    out = []
    for k in range(n):
        atoms = bulk("W", cubic=True).repeat((1, 1, 1 + k % 3))
        atoms.rattle(0.1, seed=k)
        atoms.info["config_type"] = f"kind {k}"
        out.append(atoms)
    return out


DUMP = """ITEM: UNITS
metal
ITEM: TIME
0.1
ITEM: TIMESTEP
{step}
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 3.2
0.0 3.2
0.0 3.2
ITEM: ATOMS id {column} x y z fx fy fz
2 {second} 1.6 1.6 {z} 1 0 0
1 {first} 0.0 0.0 0.0 -1 0 0
"""


def dump_text(n: int, column="element", first="W", second="Ta") -> str:
    return "".join(DUMP.format(step=10 * k, column=column, first=first, second=second, z=1.6 + 0.01 * k) for k in range(n))


def same_atoms(found, expected) -> bool:
    same = len(found) == len(expected) and found.get_chemical_symbols() == expected.get_chemical_symbols()
    return same and np.array_equal(found.positions, expected.positions) and np.array_equal(found.cell, expected.cell)


@pytest.fixture
def files(tmp_path):
    """xyz, its gzipped copy, a dump, and one that only ASE knows."""
    frames = crystals(7)
    ase.io.write(tmp_path / "run.xyz", frames)
    (tmp_path / "run.xyz.gz").write_bytes(gzip.compress((tmp_path / "run.xyz").read_bytes()))
    (tmp_path / "run.lammpstrj").write_text(dump_text(5))
    ase.io.write(tmp_path / "run.traj", frames[:2])
    return tmp_path


@pytest.mark.parametrize("name", ["run.xyz", "run.xyz.gz", "run.lammpstrj", "run.traj"])
def test_frames_are_those_that_ase_reads(files, name):
    expected = ase.io.read(files / name, ":", format="lammps-dump-text" if name.endswith("trj") else None)
    found = list(stream_frames(files / name))
    assert [one.number for one in found] == list(range(len(expected)))
    assert [one.source for one in found] == [f"{name}[{k}]" for k in range(len(expected))]
    assert all(one.n_atoms == len(other) and same_atoms(one.read(), other) for one, other in zip(found, expected, strict=True))
    assert all(one.read().calc is None for one in found), "forces of a run are no labels"


def test_several_files_and_atoms_are_numbered_on(files):
    found = list(stream_frames([files / "run.xyz", *crystals(2), files / "run.lammpstrj"], name="pool"))
    assert [one.number for one in found] == list(range(14))
    assert found[7].source == "pool[0]" and found[9].source == "run.lammpstrj[0]"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_batches_are_the_same_for_any_number_of_ranks(files, size):

    def batches(rank, size):
        return [[one.number for one in batch] for batch in batches_of_rank(stream_frames(files / "run.xyz"), 6, rank, size)]

    whole = batches(0, 1)
    assert [n for batch in whole for n in batch] == list(range(7)) and max(map(len, whole)) > 1
    assert sorted(batch for rank in range(size) for batch in batches(rank, size)) == sorted(whole)


def test_types_of_a_dump_need_elements(files):
    path = files / "types.lammpstrj"
    path.write_text(dump_text(2, "type", 1, 2))
    (one, _) = stream_frames(path, ("W", "Ta"))
    assert one.read().get_chemical_symbols() == ["W", "Ta"]
    for elements, reason in (((), "columns id type x y z fx fy fz; accepted: one named element, or --elements"),
                             (("W",), "atom type 2 and 1 elements")):  # fmt: skip
        with named_by_options(), pytest.raises(UqError, match=f"types.lammpstrj, frame 0: cannot be read: {re.escape(reason)}"):
            next(stream_frames(path, elements)).read()


BROKEN = {
    "half of the atoms": ("run.xyz", lambda text: text[: text.rindex("\n", 0, len(text) - 1) + 1], "frame 6: cannot be read: 1 of 2 atoms"),
    "a word for the number": ("run.xyz", lambda text: "two" + text[1:], "frame 0: cannot be read: invalid literal"),
    "an empty line": ("run.xyz", lambda text: "\n" + text, "frame 0: cannot be read: an empty line is followed by more text"),
    "NaN": ("run.xyz", lambda text: re.sub(r"(W +)\S+", r"\1nan", text, count=1), "frame 0: cannot be read: positions or cell are NaN"),
    "half a dump": ("run.lammpstrj", lambda text: text[: text.rindex("1 W")], "frame 4: cannot be read: 1 of 2 atoms"),
    "only the head of a dump": ("run.lammpstrj", lambda text: text[: text.rindex("ITEM: BOX")], "frame 4: cannot be read: half a frame"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_files_are_refused_by_file_and_frame(files, what):
    name, damage, reason = BROKEN[what]
    path = files / name
    path.write_text(damage(path.read_text()))
    with pytest.raises(UqError, match=f"{name}, {reason}"):
        for one in stream_frames(path):
            one.read()


def test_files_that_are_none_are_refused(files, tmp_path):
    (tmp_path / "empty.xyz").write_text("")
    (tmp_path / "blank.xyz").write_text("\n \n")
    (tmp_path / "words.dat").write_text("these are no frames")
    shutil.copy(files / "run.xyz", tmp_path / "no.xyz.gz")
    cut = (files / "run.xyz.gz").read_bytes()
    (tmp_path / "cut.xyz.gz").write_bytes(cut[: len(cut) // 2])
    for name, reason in {"empty.xyz": "is empty", "blank.xyz": "is empty", "words.dat": "cannot be read", "no.xyz.gz": "cannot be read",
                         "cut.xyz.gz": "cannot be read", "none.xyz": "no such file"}.items():  # fmt: skip
        with pytest.raises(UqError, match=f"{name}.*{reason}"):
            list(stream_frames(tmp_path / name))
