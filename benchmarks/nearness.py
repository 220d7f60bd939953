# SPDX-License-Identifier: GPL-2.0-or-later
"""How near the implicit form is to brute force: ``python nearness.py DIR/results.json`` of a run with --implicit and --members.

One line of a Markdown table for each quantity: the members that both ways give a value, the median of |difference| over |member less mean|,
the root mean square difference over the std, how many members differ by more than 2 % of the std: they are in another minimum.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

OTHER = 0.02
COLUMNS = ("quantity", "members", "one way only", "median", "rms / std", "elsewhere", "odd: members, implicit")


def line(members, implicit):
    """Text of one quantity of one property."""
    brute = np.array(members["members"], dtype=float)
    expanded = np.array(implicit["members"], dtype=float)[: len(brute)]
    both = np.isfinite(brute) & np.isfinite(expanded)
    apart, departures = np.abs(brute - expanded)[both], np.abs(brute - members["value"])[both]
    std = np.sqrt(np.mean(departures**2))
    odd = [sum(result["flags"].values()) for result in (members, implicit)]
    cells = [f"{members['property']}: {members['quantity']}", f"{both.sum()}", f"{(np.isfinite(brute) ^ np.isfinite(expanded)).sum()}"]
    cells += [f"{np.median(apart / departures):.1e}", f"{np.sqrt(np.mean(apart**2)) / std:.1e}", f"{(apart > OTHER * std).sum()}"]
    cells += [f"{odd[0]} of {len(brute)}, {odd[1]} of {len(implicit['members'])}"]
    return "| " + " | ".join(cells) + " |"


def main():
    results = json.loads(Path(sys.argv[1]).read_text())["results"]
    found = {(result["property"], result["quantity"], result["method"]): result for result in results}
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for name, quantity, method in found:
        if method == "members" and (name, quantity, "implicit") in found:
            print(line(found[name, quantity, method], found[name, quantity, "implicit"]))


if __name__ == "__main__":
    main()
