# SPDX-License-Identifier: GPL-2.0-or-later
"""The posterior head of the native engine gives what `lmp_uq.run.engine.Engine` gives, and refuses what it refuses."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
from model_example import make_header
from posterior_example import FIELDS, Descriptors, P, both, check_fields, close, refusal, today, with_variables, write_model
from scipy.special import ndtri

from lmp_uq import _native, modelfile
from lmp_uq.backbone.graph import Graph
from lmp_uq.calibration.variables import ForceVariables
from lmp_uq.run.engine import Engine


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("posterior") / "full.uq")


# --- the same numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 47, 48, 49, 131, 500])
def test_any_number_of_atoms(full, n):
    check_fields(both(full, n))


@pytest.mark.parametrize("n", [0, 2, 131])
@pytest.mark.parametrize("learned", [False, True])
def test_threads_change_no_bit(full, n, learned):
    case = both(full, n=n)

    def fields(threads):
        head = _native.NativePosterior(full, (0, 1, 2), learned=learned, threads=threads)
        grade = head.grades(case.descriptors, case.species)
        bars = [head.force_errors(case.descriptors, case.species, case.variables, level) for level in FIELDS.values()]
        return [*head.energy_bars(case.descriptors, case.species, case.energies), grade, *bars]

    one = fields(1)
    for threads in (2, 3, 16):
        assert all(np.array_equal(mine, expected) for mine, expected in zip(fields(threads), one, strict=True))


@pytest.mark.parametrize("bias", ["none", "constant", "element"])
@pytest.mark.parametrize("elements", [(0, 1, 2), (2, 0, 2), (1,), (2,)])
def test_bias_columns_and_elements(tmp_path, bias, elements):
    check_fields(both(write_model(tmp_path / "a.uq", bias=bias), elements=elements))


@pytest.mark.parametrize("n_modes", [0, 1, 2, 8, 33])
@pytest.mark.parametrize("n_members", [1, 2, 3, 40])
def test_members_and_modes(tmp_path, n_modes, n_members):
    path = write_model(tmp_path / "a.uq", n_modes=n_modes, n_members=40)
    check_fields(both(path, n_members=n_members))


@pytest.mark.parametrize("scale", [0.0, 1e-170, 0.1, 3.0])
def test_near_and_far_atoms(full, scale):
    """Descriptors of zero, ones whose fourth powers underflow, grades on both sides of 1."""
    check_fields(both(full, scale=scale))


def test_box_of_no_extent(tmp_path):
    path = write_model(tmp_path / "a.uq", change=lambda h, t: t.update({"posterior/upper": t["posterior/lower"]}))
    check_fields(both(path))


@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize("learned", [False, True])
def test_calibration(full, conservative, learned):
    case = both(full, scale=0.3, conservative=conservative, learned=learned)
    check_fields(case)
    assert case.native.factors == (case.engine.factor("energy_error"), case.engine.factor("stress_error"))
    grade, bar = (case.engine.per_atom(field, **case.given)[case.species >= 0] for field in ("grade", "force_error"))
    assert np.any(grade <= 1) and np.any(grade > 1) and len(np.unique(bar)) > 30


def test_one_level(tmp_path):
    old = make_header()["calibration"]
    path = write_model(tmp_path / "a.uq", change=lambda h, t: (h.update(calibration=old), drop_network(t)))
    case = both(path)
    bar = case.native.force_errors(case.descriptors, case.species, case.variables, 0.9)
    close(bar, case.engine.per_atom("force_error", **case.given), case.species >= 0)
    assert case.native.offers(0.9)[2] and not case.native.offers(0.5)[2]


def test_embedded_model():
    path = modelfile.resolve("nbmotaw")
    file = modelfile.read(path)
    rng, n = np.random.default_rng(1), 300
    elements = tuple(range(len(file.header.elements)))
    species, mean = rng.integers(0, len(elements), n), file.tensors["grade/mean"]
    descriptors = mean[species] * (1.0 + 0.05 * rng.normal(size=(n, mean.shape[1])))
    engine = Engine(file, Descriptors(descriptors, np.zeros(n)), elements)
    engine.backbone.elements = tuple(file.header.elements)
    engine.evaluate(Graph(species, n, *(np.zeros(0, np.int64),) * 2, np.zeros((0, 3)), None), np.empty(n), np.empty((0, 3)))
    native = _native.NativePosterior(path, elements)
    case = SimpleNamespace(engine=engine, native=native, species=species, descriptors=descriptors, energies=np.zeros(n))
    check_fields(with_variables(case, *(rng.exponential(size=n) for _ in range(3))))


def test_counts_and_force_members(full):
    file = modelfile.read(full)
    for asked, used in ((0, 8), (3, 3), (11, 11)):
        native = _native.NativePosterior(full, (0,), n_members=7, n_force_members=asked)
        assert native.counts == (P, P + 3, 7, used)
        close(native.force_members(), file.tensors["posterior/force_members"][:used, :P])
    assert _native.NativePosterior(full, (0, 1, 2, 1)).unknown_elements == [1]
    assert _native.NativePosterior(full, (0, 2)).unknown_elements == []


def test_numbers_of_an_element_without_radius_mean_nothing(tmp_path):
    def spoil(header, tensors):
        tensors["grade/mean"][1] = tensors["grade/whitening"][1] = np.nan

    check_fields(both(write_model(tmp_path / "a.uq", change=spoil)))


def test_file_without_posterior(tmp_path):
    def strip(header, tensors):
        header |= {"posterior": None, "grade": None, "calibration": None}
        for name in [name for name in tensors if name.startswith(("posterior/", "grade/", "calibration/"))]:
            del tensors[name]

    native = _native.NativePosterior(write_model(tmp_path / "a.uq", change=strip), (0,))
    assert native.offers() == (False, False, False) and native.counts == (P, 0, 0, 0)


@pytest.mark.parametrize("n_members", [1, 2, 3, 10, 100, 1000, 100_000, 2**31 - 1])
def test_normal_score(tmp_path, n_members):
    """Bounds of a box whose modes are many and equal are mean -/+ z'(K) std; here z' comes from scipy."""
    z = ndtri((n_members - 0.375) / (n_members + 0.25))
    assert abs(_native.normal_score(0.625 / (n_members + 0.25)) - z) < 1e-9 * (1.0 + z)


# --- the same errors ----------------------------------------------------------------------------------------


def drop_network(tensors):
    for name in [name for name in tensors if name.startswith("calibration/")]:
        del tensors[name]


def put(name, value):
    return lambda h, t: h["calibration"]["force_error"].__setitem__(name, value)


BAD = {
    "factor negative": put("factors", [-0.1, 1.1, 1.6]),
    "factor falls": put("factors", [0.6, 0.5, 1.6]),
    "conservative below": put("conservative_factors", [0.5, 1.9, 2.0]),
    "floor falls": put("floors", [0.03, 0.02, 0.02]),
    "floor negative": put("floors", [-1, 0.02, 0.02]),
    "levels fall": put("levels", [0.9, 0.5, 0.95]),
    "level 1": put("levels", [0.5, 0.9, 1]),
    "no group": put("n_groups", 0.5),
    "blocks negative": put("n_blocks", -1),
    "blocks without end": put("n_blocks", -(10**30)),
    "floor exponent negative": put("floor_exponent", -0.1),
    "least bar negative": put("least_bar", -0.1),
    "more": put("comment", "x"),
    "network levels": lambda h, t: h["calibration"]["quantile_network"].update(levels=[0.5, 0.5, 0.95]),
    "network range": lambda h, t: t["calibration/quantile_network/lower"].__setitem__(1, 3.0),
    "network factor": lambda h, t: t["calibration/quantile_network/factors"].__setitem__(1, -3.0),
    "network scale": lambda h, t: t["calibration/quantile_network/input_scale"].__setitem__(1, 0.0),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_calibrations(tmp_path, name):
    path = write_model(tmp_path / "a.uq", change=BAD[name])
    backbone = Descriptors(np.zeros((0, P)), np.zeros(0))
    expected = refusal(lambda: Engine(modelfile.read(path), backbone, [0], learned=True))
    assert refusal(lambda: _native.NativePosterior(path, [0], learned=True)) == expected


def test_bad_requests(tmp_path, full):
    backbone = Descriptors(np.zeros((0, P)), np.zeros(0))
    for options in ({"n_members": 41}, {"n_force_members": 12}):
        expected = refusal(lambda options=options: Engine(modelfile.read(full), backbone, [0], **options))
        assert refusal(lambda options=options: _native.NativePosterior(full, [0], **options)) == expected
    bare = write_model(tmp_path / "a.uq", change=lambda h, t: (h["calibration"].pop("quantile_network"), drop_network(t)))
    expected = refusal(lambda: Engine.load(bare, ["W"], learned=True))
    assert refusal(lambda: _native.NativePosterior(bare, [0], learned=True)) == expected
    atoms = np.zeros(3)
    variables = ForceVariables.of(atoms, atoms, atoms)
    for case in (both(full, 3), both(write_model(tmp_path / "b.uq", change=today()), 3)):
        expected = refusal(lambda case=case: case.engine._force_error.predict(variables, level=0.7))
        assert refusal(lambda case=case: case.native.force_errors(case.descriptors, case.species, variables, 0.7)) == expected
    expected = refusal(lambda: both(full, 3).engine.error_above(variables, 0.3))
    assert refusal(lambda: both(full, 3).native.errors_above(np.zeros(3), variables, 0.3)) == expected
    assert "accepted: lmp-uq calibrate makes a new one" in expected


def test_no_members(tmp_path):
    case = both(write_model(tmp_path / "a.uq", n_members=0), 3)
    expected = refusal(lambda: case.engine.per_atom("energy_std"))
    assert refusal(lambda: case.native.energy_bars(case.descriptors, case.species, case.energies)) == expected


# --- the comparison can fail --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["posterior/upper", "grade/whitening", "posterior/members", "posterior/coefficients"])
def test_a_change_of_one_number_is_seen(tmp_path, full, name):
    def nudge(header, tensors):
        tensors[name] = copy.deepcopy(tensors[name])
        tensors[name].flat[0] += 1e-6

    case = both(full)
    case.native = _native.NativePosterior(write_model(tmp_path / "a.uq", change=nudge), (0, 1, 2))
    with pytest.raises(AssertionError):
        check_fields(case)
