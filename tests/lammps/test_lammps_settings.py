# SPDX-License-Identifier: GPL-2.0-or-later
"""Keywords of pair_style mace/uq, the same command a second time, and what restart files say of it."""

from __future__ import annotations

import os
import struct

import pytest
from lammps_cases import ASK, PLAIN, assert_same_state, crystal

STATE = (ASK, "run 0", "#snapshot end")
VERSION = struct.pack("i", -2)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ('"engine, device" nonsense', "Unknown pair_style mace/uq keyword engine, device (accepted: engine, device,"),
        ('"" 1', "Unknown pair_style mace/uq keyword"),
        ("engine fast", "unknown engine fast (accepted: auto, torch, native)"),
        ("precision float16", "unknown precision float16 (accepted: float32, float64, file)"),
        ("quantile best", "unknown quantile best (accepted: loglinear, learned)"),
        ("members 0", "members must be 1 or more, found 0"),
        ("threads 1025", "threads must be 1 to 1024, found 1025"),
        ("members", "keyword members needs a value"),
    ],
)
def test_words_that_are_refused(words, error, lammps):
    assert error in lammps.fails(crystal(), "run 0", pair=PLAIN.replace("mace/uq", f"mace/uq {words}", 1))


def test_a_second_pair_style_is_heeded(lammps, models):
    """The model is loaded anew with the keywords of the second command, which LAMMPS hands to the same object."""
    coeff = f"pair_coeff * * {models.full} Si O"
    other = "pair_style mace/uq precision float32 members 16"
    found = lammps.state(crystal(), *STATE, other, "#fails pair_coeff * * file.uq elements must follow pair_style", "run 0", coeff, "run 0",
                         "#snapshot end")  # fmt: skip
    expected = lammps.state(crystal(), *STATE, pair=PLAIN.replace("mace/uq", "mace/uq precision float32 members 16", 1))
    assert_same_state(found, expected)
    assert found["energy"] != lammps.state(crystal(), *STATE)["energy"]


def test_no_restart_file_of_what_was_never_used(lammps):
    lammps.run(crystal(), "run 0", "pair_style mace/uq members 3", "#fails coeffs are not set", "write_restart r.restart")


@pytest.mark.parametrize(
    ("at", "number", "error"),
    [
        (0, 4, "was written by another version of lmp-uq (format 4, accepted: -2)"),
        (4, -1, "is damaged: a text of -1 bytes"),
        (4, 1 << 30, f"is damaged: a text of {1 << 30} bytes"),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_damaged_restart_files(at, number, error, n, lammps):
    folder = lammps.new_folder()
    lammps.run(crystal(), "run 0", "write_restart r.restart", folder=folder)
    content = (folder / "r.restart").read_bytes()
    begin = content.index(VERSION, content.index(b"mace/uq"))
    (folder / "r.restart").write_bytes(content[: begin + at] + struct.pack("i", number) + content[begin + at + 4 :])
    assert error in lammps.fails(crystal(), "clear", "read_restart r.restart", n=n, folder=folder)


@pytest.mark.parametrize("n", [1, 2])
def test_more_threads_than_cores_are_warned_of_once(n, lammps):
    cores, ranks = os.cpu_count(), {1: "1 rank", 2: "2 ranks"}[n]
    warning = f"threads is {cores + 1}, for each of {ranks} on a node of {cores} core"
    crowded, alone = (PLAIN.replace("mace/uq", f"mace/uq threads {k}", 1) for k in (cores + 1, 1))
    assert lammps.run(crystal(), "run 0", "run 0", n=n, pair=crowded).log.count(warning) == 1
    assert "on a node of" not in lammps.run(crystal(), "run 0", n=n, pair=alone).log
