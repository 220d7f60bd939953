# SPDX-License-Identifier: GPL-2.0-or-later
"""What the styles say of their memory to LAMMPS, which prints it before a run."""

from __future__ import annotations

import re

import pytest
from lammps_cases import HOT, crystal, with_engine

from lmp_uq import modelfile
from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.load import backbone_of_file

MEGABYTE = 2.0**20
NOTHING = "pair_style zero 3.5\npair_coeff * *"


def allocated(lammps, atoms, *lines, **options) -> float:
    """Bytes of the fullest rank."""
    log = lammps.run(atoms, HOT, *lines, "run 1", **options).log
    return max(float(word) for word in re.search(r"\(min/avg/max\) = (\S+) \| (\S+) \| (\S+) Mbytes", log).groups()) * MEGABYTE


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("engine", ["torch", "native"])
def test_weights_tables_posterior_and_what_is_kept(engine, n, lammps, models):
    atoms, file = crystal((3, 3, 1)), modelfile.read(models.full)
    backbone = backbone_of_file(file, device="cpu", engine=engine, threads=1)
    backbone.evaluate(graph_of_frames([atoms], backbone.elements, backbone.cutoff)[0])
    members = sum(array.nbytes for name, array in file.section("posterior").items() if "members" in name)
    weights = sum(array.nbytes for name, array in file.section("backbone").items() if "U_matrix" not in name)
    least = members + (backbone.table_bytes if engine == "native" else weights)
    pair = with_engine(engine)
    plain = allocated(lammps, atoms, pair=pair, n=n)
    assert least < plain - allocated(lammps, atoms, pair=NOTHING, n=n) < 20.0 * (least + MEGABYTE)
    if engine == "native":  # a field that nobody reads: the state of a step is kept for it, and nothing else
        kept = allocated(lammps, atoms, "compute a all uq/atom force_std", pair=pair, n=n)
        assert kept - plain > len(atoms) / n * backbone.n_features * 8
