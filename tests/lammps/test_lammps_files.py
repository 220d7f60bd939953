# SPDX-License-Identifier: GPL-2.0-or-later
"""Where fixes write: only a regular file is emptied or made; devices, pipes, standard output are written through, links are followed."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import threading

import pytest
from lammps_cases import HOT, crystal
from lammps_processes import BIN, environment

RANKS = pytest.mark.parametrize("n", [1, 2])
FIXES = {
    "select": ("fix s all uq/select 1 grade 0 INF file {}",),
    "average": ("compute g all uq energy_std", "fix s all uq/average 1 2 2 c_thermo_pe uq g temp 300 file {}"),
}
BOTH = pytest.mark.parametrize("style", FIXES)
STEPS = {"select": (r" step=(\d+) ", ["1", "2", "3", "4"]), "average": (r"(?m)^(\d+) 1 ", ["2", "4"])}


def commands(style, target, *more, append="no"):
    *before, fix = FIXES[style]
    return (HOT, *before, f"{fix.format(target)} append {append}", "run 4", *more)


def steps_of(style, text):
    return re.findall(STEPS[style][0], text)


def assert_whole(style, text):
    assert steps_of(style, text) == STEPS[style][1]


@RANKS
@BOTH
def test_pipes(n, style, lammps):
    """A reader sees all blocks, also those of a second run, before the end: the pipe is opened once."""
    folder, seen = lammps.new_folder(), []
    os.mkfifo(folder / "pipe")
    reader = threading.Thread(target=lambda: seen.append((folder / "pipe").read_text()), daemon=True)
    reader.start()
    lammps.run(crystal(), *commands(style, "pipe", "run 4"), n=n, folder=folder)
    reader.join(60)
    assert [int(step) for step in steps_of(style, seen[0])] == ([*range(1, 9)] if style == "select" else [2, 4, 6, 8])
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


@BOTH
@pytest.mark.parametrize("append", ["yes", "no"])
def test_devices(style, append, lammps):
    """Copies of /dev/null and /dev/full."""
    folder = lammps.new_folder()
    try:
        os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(folder / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
        (folder / "null").write_text("")
    except OSError:
        pytest.skip("only root makes devices, and not everywhere")
    lammps.run(crystal(), *commands(style, "null", append=append), folder=folder)
    text = lammps.fails(crystal(), *commands(style, "full", append=append), folder=folder, n=2)
    assert f"Fix uq/{style}: cannot write full: No space left on device" in text
    assert all(stat.S_ISCHR((folder / name).lstat().st_mode) for name in ("null", "full"))


@BOTH
@pytest.mark.parametrize("name", ["-", "link", "/dev/fd/1"])
def test_standard_output(style, name, lammps):
    """Into a pipe, and into a file that the shell has opened: nothing that LAMMPS wrote there is lost."""
    folder = lammps.new_folder()
    (folder / "link").symlink_to("/dev/stdout")
    (folder / "in.run").write_text(lammps.write(folder, crystal(), "print BEFORE", *commands(style, name, "print AFTER")))
    command = [BIN / "lmp-uq", "run", "-in", "in.run", "-log", "none"]
    options = {"cwd": folder, "env": environment(), "check": True}
    piped = subprocess.run(command, **options, capture_output=True, text=True).stdout
    with open(folder / "screen", "w") as screen:
        subprocess.run(command, **options, stdout=screen)
    for text in (piped, (folder / "screen").read_text()):
        assert_whole(style, text)
        assert "\0" not in text and text.index("\nBEFORE") < text.index("\nAFTER") and "Total wall time" in text
    assert {path.name for path in folder.iterdir()} == {"in.run", "system.data", "screen", "link"}


@RANKS
@BOTH
def test_links_modes_and_other_names_stay(n, style, lammps):
    folder = lammps.new_folder()
    (folder / "scratch").mkdir()
    file = folder / "scratch" / "file"
    file.write_text("of before")
    file.chmod(0o664)
    os.link(file, folder / "other")
    (folder / "link").symlink_to("scratch/file")
    lammps.run(crystal(), *commands(style, "link"), n=n, folder=folder)
    assert (folder / "link").is_symlink() and file.stat().st_mode & 0o777 == 0o664 and file.samefile(folder / "other")
    assert_whole(style, file.read_text())


@BOTH
def test_a_link_to_nothing_makes_the_file_that_it_names(style, lammps):
    folder = lammps.new_folder()
    (folder / "link").symlink_to("new")
    lammps.run(crystal(), *commands(style, "link"), folder=folder)
    assert (folder / "link").is_symlink()
    assert_whole(style, (folder / "new").read_text())


@RANKS
@BOTH
def test_what_cannot_be_written_is_said_when_the_fix_is_defined(n, style, lammps):
    folder = lammps.new_folder()
    (folder / "empty").mkdir()
    for name, text in (("empty", "empty is a folder; accepted: the name of a file"), ("gone/f", "cannot write gone/f: No such file")):
        *before, fix = FIXES[style]
        assert f"Fix uq/{style}: {text}" in lammps.fails(crystal(), *before, fix.format(name), folder=folder, n=n)
    assert (folder / "empty").is_dir() and not (folder / "gone").exists()


@BOTH
def test_nothing_is_made_before_there_is_something_to_write(style, lammps):
    *before, fix = FIXES[style]
    result = lammps.run(crystal(), *before, fix.format("file"))
    assert not (result.folder / "file").exists()
