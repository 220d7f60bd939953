# SPDX-License-Identifier: GPL-2.0-or-later
"""Files are written whole or not at all; what is no ordinary file is written through and never replaced."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading

import pytest

from lmp_uq.errors import UqError
from lmp_uq.files import atomic_file


def write(path, content=b"new"):
    with atomic_file(path) as stream:
        stream.write(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_links_modes_and_owners_stay(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"old")
    file.chmod(0o640)
    link.symlink_to("file")
    owner = (1234, 1234) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(file, *owner)
    write(link)
    assert link.is_symlink() and file.read_bytes() == b"new" and names(tmp_path) == ["file", "link"]
    now = file.stat()
    assert stat.S_IMODE(now.st_mode) == 0o640 and (now.st_uid, now.st_gid) == owner


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(KeyError), atomic_file(tmp_path / "file") as stream:
        stream.write(b"half")
        raise KeyError
    assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_pipes_are_written_through(tmp_path):
    seen, pipe = [], tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: seen.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe, b"x" * 200_000)
    reader.join(60)
    assert seen == [b"x" * 200_000] and stat.S_ISFIFO(pipe.stat().st_mode) and names(tmp_path) == ["pipe"]


def test_devices_are_written_through(tmp_path):
    """Copies of /dev/null and /dev/full."""
    null, full = tmp_path / "null", tmp_path / "full"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        null.write_bytes(b"")
    except OSError:
        pytest.skip("only root makes devices, and not everywhere")
    (tmp_path / "link").symlink_to("null")
    write(null)
    write(tmp_path / "link")
    with pytest.raises(UqError, match="full: cannot be written: No space left on device"):
        write(full, b"x" * 100_000)
    assert all(stat.S_ISCHR(device.lstat().st_mode) for device in (null, full)) and names(tmp_path) == ["full", "link", "null"]


def test_folders_are_refused_and_stay(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UqError, match="empty: is a folder; accepted: the name of a file"):
        write(tmp_path / "empty")
    with pytest.raises(UqError, match="its folder does not exist"):
        write(tmp_path / "gone" / "file")
    with pytest.raises(UqError, match="cannot be written: Not a directory"):
        (tmp_path / "file").touch()
        write(tmp_path / "file" / "file")
    assert names(tmp_path) == ["empty", "file"]


PROGRAM = """
import sys
from lmp_uq.files import atomic_file, summary_stream
print("before", file=summary_stream(sys.argv[1]))
with atomic_file(sys.argv[1]) as stream:
    stream.write(b"content\\n")
print("after", file=summary_stream(sys.argv[1]))
"""


def run(folder, name, stdout):
    command = [sys.executable, "-c", PROGRAM, name]
    return subprocess.run(command, cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.parametrize("name", ["-", "link", "/dev/fd/1", "here"])
def test_standard_output(name, tmp_path):
    """Into a pipe, and into a file that the shell has opened, by whatever name; what is told beside it stays out of it."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    if name != "here":
        assert run(tmp_path, name, subprocess.PIPE).stdout == "content\n"
    with open(tmp_path / "here", "w") as stream:
        done = run(tmp_path, name, stream)
    assert (done.returncode, done.stderr) == (0, "before\nafter\n")
    assert (tmp_path / "here").read_text() == "content\n" and names(tmp_path) == ["here", "link"]


def test_process_substitution(tmp_path):
    """The shell's >(...) is a pipe with the name of a descriptor."""
    reading, writing = os.pipe()
    write(f"/dev/fd/{writing}", b"through")
    os.close(writing)
    with open(reading, "rb") as stream:
        assert stream.read() == b"through"
