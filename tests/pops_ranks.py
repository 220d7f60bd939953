# SPDX-License-Identifier: GPL-2.0-or-later
"""Program of the POPS tests: fits blocks on the ranks of mpiexec and writes what each rank found.

Arguments: the cases as JSON, [{"options": {...}, "sizes": [[block sizes of rank 0], ...], "floor": float}, ...], and a file to write.
"""

from __future__ import annotations

import json
import pickle
import sys
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from pops_rows import BlocksOfSizes, misspecified_rows, summary

from lmp_uq.errors import UqError
from lmp_uq.parallel import ranks as parallel
from lmp_uq.posterior import POPS


def fit_case(case, ranks):
    X, y, w = misspecified_rows()
    groups = [f"group {i % 7}" for i in range(len(X))]
    blocks = BlocksOfSizes((X, y, w, groups), case["sizes"], ranks.rank, spoil=case.get("spoil"))
    try:
        fit = POPS(**case["options"]).fit_blocks(blocks, ranks)
        if case.get("floor") is not None:
            fit = fit.with_leverage_floor(case["floor"], blocks, ranks)
    except UqError as error:
        return str(error)
    return summary(fit, X) | {"leverage": fit.leverage_, "kept": fit.kept_}


def main():
    warnings.simplefilter("ignore")
    ranks = parallel.ranks()
    out = [ranks.gather(fit_case(case, ranks)) for case in json.loads(sys.argv[1])]
    if ranks.rank == 0:
        Path(sys.argv[2]).write_bytes(pickle.dumps((ranks.size, out)))


try:
    main()
except Exception:  # the other ranks would wait for this one
    traceback.print_exc()
    parallel.ranks().abort()
    raise
