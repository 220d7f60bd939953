# SPDX-License-Identifier: GPL-2.0-or-later
"""POPS in blocks and on ranks: the same posterior as in memory, whatever the blocks and however many ranks."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from lammps_processes import execute
from pops_rows import BlocksOfSizes, misspecified_rows, summary

import lmp_uq
from lmp_uq.errors import UqError
from lmp_uq.posterior import POPS

GROUPS = [f"group {i % 7}" for i in range(480)]
OPTIONS = {
    "default": {},
    "evidence": {"ridge": "evidence", "block_rows": 50},
    "qr": {"ridge": 0.0, "solver": "qr"},
    "filters": {"leverage_percentile": 30.0, "minimum_relative_error": 0.05, "percentile_clipping": 3.0},
    "components": {"n_components": 6, "scale_columns": False},
    "axes": {"axes": "given"},
    "ensemble": {"posterior": "ensemble"},
    "small ensemble": {"posterior": "ensemble", "n_members": 60, "random_state": 3},
    "groups": {"ridge": "groups", "leverage_floor": "groups", "n_folds": 2, "ridge_grid": (1e-3, 1e-1), "floor_grid": (1e-2, 1e-1)},
}
"""Options of the fits that are compared."""
SIZES = {
    1: [[480]],
    2: [[100, 0, 37], [1, 342]],
    4: [[200], [], [3, 3, 3, 91], [0, 180]],
}
"""Sizes of the blocks of each rank; one rank has none."""


def in_memory(options, floor=None):
    X, y, w = misspecified_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = POPS(**options).fit(X, y, w, groups=GROUPS)
    return fit if floor is None else fit.with_leverage_floor(floor)


def assert_same(found, expected, tolerance=1e-10):
    for name, values in expected.items():
        size = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, rtol=tolerance, atol=tolerance * size, err_msg=name)


def as_float32(X, y, w):
    return X.astype(np.float32), y, w


@pytest.mark.parametrize("sizes", [[480], [1] * 480, [7, 0, 13, 460], [100] * 4 + [80]], ids=["one", "rows", "uneven", "even"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_blocks_give_the_posterior_of_the_rows_in_memory(options, sizes):
    if len(sizes) == 480 and options.get("ridge") == "groups":
        sizes = [10] * 48
    X, y, w = misspecified_rows()
    fit = POPS(**options).fit_blocks(BlocksOfSizes((X, y, w, GROUPS), [sizes], 0))
    whole = in_memory(options)
    assert_same(summary(fit, X), summary(whole, X))
    np.testing.assert_array_equal(fit.kept_, whole.kept_)
    np.testing.assert_allclose(fit.leverage_, whole.leverage_, rtol=1e-9)
    if options.get("ridge") == "groups":
        for path in ("ridge_path_", "floor_path_"):
            found, expected = getattr(fit, path), getattr(whole, path)
            assert len(found) == 2 and all(a == pytest.approx(b, rel=1e-9) for a, b in zip(found, expected, strict=True))


def test_the_comparison_sees_a_lost_row():
    X, y, w = misspecified_rows()
    fit = POPS().fit_blocks([(X[:-1], y[:-1], w[:-1])])
    with pytest.raises(AssertionError):
        assert_same(summary(fit, X), summary(in_memory({}), X))


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_ranks_give_the_posterior_of_the_rows_in_memory(n_ranks, tmp_path):
    X, _, _ = misspecified_rows()
    cases = [{"options": options, "sizes": SIZES[n_ranks]} for options in OPTIONS.values()]
    cases.append({"options": {}, "sizes": SIZES[n_ranks], "floor": 0.3})
    cases.append({"options": {}, "sizes": SIZES[n_ranks], "spoil": n_ranks - 1})
    out = tmp_path / "out.pkl"
    program = Path(__file__).parents[1] / "pops_ranks.py"
    package = str(Path(lmp_uq.__file__).parents[1])  # the ranks test the package that this process tests
    command = ("python", program, json.dumps(cases), out)
    ended = execute(*command, ranks=n_ranks, folder=tmp_path, PYTHONPATH=package)
    assert ended.code == 0, ended.text
    size, results = pickle.loads(out.read_bytes())
    assert size == n_ranks
    refused = results.pop()
    for case, of_ranks in zip(cases, results, strict=False):
        whole = in_memory(case["options"], case.get("floor"))
        for found in of_ranks:
            assert not isinstance(found, str), found
            assert_same(found, summary(whole, X))
        np.testing.assert_array_equal(np.concatenate([found["kept"] for found in of_ranks]), whole.kept_)
        np.testing.assert_allclose(np.concatenate([found["leverage"] for found in of_ranks]), whole.leverage_, rtol=1e-9)
    last = f" of rank {n_ranks - 1}" if n_ranks > 1 else ""
    assert all("column 2 (block" in text and f"{last})" in text for text in refused), refused


@pytest.mark.parametrize("floor", [1e-1, 0.3, 0.0])
@pytest.mark.parametrize("options", [{}, OPTIONS["filters"], OPTIONS["small ensemble"]], ids=["box", "filters", "ensemble"])
def test_another_floor_after_blocks_equals_a_fresh_fit(options, floor):
    X, y, w = misspecified_rows()
    blocks = BlocksOfSizes((X, y, w), [[200, 280]], 0)
    first = POPS(**options).fit_blocks(blocks)
    fresh = POPS(**options, leverage_floor=floor).fit_blocks(blocks)
    assert_same(summary(first.with_leverage_floor(floor, blocks), X), summary(fresh, X))
    assert first.leverage_floor_ == 1e-3
    with pytest.raises(UqError, match="pass blocks= "):
        first.with_leverage_floor(floor)
    with pytest.raises(UqError, match="not kept"):
        first.corrections()


def test_float32_rows_are_summed_in_float64():
    X, y, w = misspecified_rows()
    rounded = as_float32(X, y, w)[0]
    single, double = POPS(0.0).fit(rounded, y, w), POPS(0.0).fit(rounded.astype(float), y, w)
    assert_same(summary(single, X), summary(double, X), 1e-13)
    assert np.abs(single.coef_ - POPS(0.0).fit(X, y, w).coef_).max() > 1e-9


def test_rows_can_be_mapped_from_a_file(tmp_path):
    X, y, w = misspecified_rows()
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    fit = POPS().fit_blocks([(mapped, y, w)])
    assert_same(summary(fit, X), summary(POPS().fit(X.astype(np.float32), y, w), X), 1e-13)


# Squared condition numbers


def ill_conditioned_rows(n=400, n_features=8, smallest=1e-7):
    """Rows whose singular values spread over 1e7, of columns of equal size, and the solution in extended precision."""
    rng = np.random.default_rng(1)
    left = np.linalg.qr(rng.normal(size=(n, n_features)))[0]
    right = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    X = (left * np.geomspace(1.0, smallest, n_features)) @ right.T
    y = X @ rng.normal(size=n_features) + 1e-3 * np.sin(50.0 * X[:, 0])
    return X, y


def exact_least_squares(X, y):
    """Minimum of |y - X t| by Newton steps whose gradient is summed in extended precision."""
    left, singular, right = np.linalg.svd(X, full_matrices=False)
    wide, labels = X.astype(np.longdouble), y.astype(np.longdouble)
    solution = (right.T @ ((left.T @ y) / singular)).astype(np.longdouble)
    for _ in range(20):
        gradient = wide.T @ (labels - wide @ solution)
        solution = solution + (right.T @ ((right @ gradient.astype(float)) / singular**2)).astype(np.longdouble)
    return solution.astype(float)


@pytest.mark.parametrize("sizes", [[400], [3, 97, 300]])
def test_qr_keeps_the_digits_that_squares_lose(sizes, caplog):
    X, y = ill_conditioned_rows()
    exact = exact_least_squares(X, y)
    blocks = BlocksOfSizes((X, y, np.ones(len(y))), [sizes], 0)
    with caplog.at_level("INFO", logger="lmp_uq"):
        by_qr = POPS(0.0, scale_columns=False).fit_blocks(blocks)
    by_normal = POPS(0.0, scale_columns=False, solver="normal").fit_blocks(blocks)
    assert (by_qr.solver_, by_normal.solver_) == ("qr", "normal") and "solved by qr" in caplog.text
    size = np.abs(exact).max()
    assert np.abs(by_qr.coef_ - exact).max() < 1e-7 * size
    assert np.abs(by_normal.coef_ - exact).max() > 1e-4 * size
    hat = np.linalg.svd(X, full_matrices=False)[0]
    np.testing.assert_allclose(by_qr.leverage_, np.sum(hat**2, axis=1), rtol=1e-6)


def test_a_ridge_that_heals_the_condition_needs_no_qr():
    X, y = ill_conditioned_rows()
    assert POPS(1e-2).fit(X, y).solver_ == "normal"
    assert POPS("evidence").fit(X, y).solver_ == "qr"
    assert POPS(0.0).fit(*misspecified_rows()[:2]).solver_ == "normal"


@pytest.mark.parametrize("options", [{}, {"ridge": "evidence"}, {"ridge": 0.0}])
def test_both_solvers_agree_where_both_may_be_used(options):
    X, y, w = misspecified_rows()
    zero = np.insert(X, 4, 0.0, axis=1)
    first, second = (POPS(**options, solver=solver).fit(zero, y, w) for solver in ("normal", "qr"))
    assert_same(summary(first, zero), summary(second, zero), 1e-9)


# Blocks that are refused


def good_blocks():
    X, y, w = misspecified_rows()
    return [(X[:200], y[:200], w[:200]), (X[200:], y[200:], w[200:])]


def with_value(position, array, index, value):
    blocks = [list(block) for block in good_blocks()]
    blocks[position][array] = blocks[position][array].copy()
    blocks[position][array][index] = value
    return blocks


def changing_rows():
    class Shrinking:
        passes = 0

        def __iter__(self):
            self.passes += 1
            return iter(good_blocks()[: 3 - self.passes])

    return Shrinking()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (lambda: with_value(1, 0, (7, 3), np.nan), r"X is nan in row 207, column 3 \(block 1\)"),
        (lambda: with_value(1, 1, 7, np.inf), r"y is inf in row 207 \(block 1\)"),
        (lambda: with_value(0, 2, 5, np.nan), r"weight is nan in row 5 \(block 0\)"),
        (lambda: with_value(0, 2, 5, -0.5), r"weight -0.5 in row 5 \(block 0\)"),
        (lambda: [(X, y, 0 * w) for X, y, w in good_blocks()], "weights of all 480 rows are zero"),
        (lambda: iter(good_blocks()), "can be read once"),
        (lambda: [], "no rows or no columns"),
        (lambda: [(np.zeros((0, 3)), [], [])], "no rows or no columns"),
        (lambda: [(np.zeros((5, 0)), np.ones(5), np.ones(5))], "no rows or no columns"),
        (lambda: [*good_blocks(), (np.ones((2, 9)), np.ones(2), np.ones(2))], r"block 2: X has shape \(2, 9\).*\(m, 10\)"),
        (lambda: [(np.ones((2, 3)), np.ones(3), np.ones(2))], r"block 0: y: found shape \(3,\), expected \(2,\)"),
        (lambda: [(np.ones((2, 3)), np.ones(2))], r"expected \(X, y, weight\)"),
        (lambda: [(np.ones((2, 3)), ["a", "b"], np.ones(2))], "y cannot be read as floats"),
        (changing_rows, "each pass must give the same rows"),
    ],
)
def test_blocks_that_cannot_be_used_are_refused(blocks, message):
    with pytest.raises(UqError, match=message):
        POPS().fit_blocks(blocks())
