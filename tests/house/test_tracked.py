# SPDX-License-Identifier: GPL-2.0-or-later
"""What a commit takes along without being asked."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from test_docs import ROOT

MACHINE_PATH = re.compile(rb"(?:^|[^\w.~/])/(?:home|root|work|Users)/\w", re.MULTILINE)


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="no repository")
def test_no_tracked_file_names_a_folder_of_one_machine():
    """A log of LAMMPS that was left behind did."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    paths = [ROOT / name.decode() for name in listed if name]
    assert len(paths) > 100
    assert not {str(path.relative_to(ROOT)) for path in paths if path.is_file() and MACHINE_PATH.search(path.read_bytes())}
    assert "log.lammps" not in {path.name for path in paths}
