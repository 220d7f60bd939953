# SPDX-License-Identifier: GPL-2.0-or-later
"""What a step sends, as benchmarks/scaling.py counts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks/scaling.py"


def test_a_plain_step_has_no_collectives():
    command = [sys.executable, str(BENCHMARK), "--ranks", "2", "--cells", "3", "--steps", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [[word.strip() for word in line.strip("|").split("|")] for line in done.stdout.splitlines() if line.startswith("| 2 |")]
    of = {row[1]: [float(value) for value in row[2:]] for row in rows}
    alone, plain, free, members = (of[name] for name in ("LAMMPS alone", "plain step", "free fields", "8 force members"))
    messages, kilobytes, collectives = 2, 3, 4
    assert alone[collectives] == plain[collectives] == 0.0
    assert free[collectives] > 0.0 and members[collectives] > 0.0, "what is there is seen"
    assert alone[messages] > 0.0 and plain[messages] >= alone[messages] + 4 and members[kilobytes] > 3.0 * plain[kilobytes]
