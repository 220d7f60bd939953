# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers of the pair style that must equal numbers found another way: mace-torch's calculator, other numbers of ranks, Python.

The comparisons themselves are tested on planted errors.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
from lammps_cases import ASK, ENGINES, FIELDS, HOT, PLAIN, TOTALS, VOIGT, assert_equal, assert_same_state, crystal, half_empty, with_engine
from model_example import random_network

from lmp_uq import modelfile
from lmp_uq.calibration.quantile_network import SECTION

SNAPSHOT = (ASK, "run 0", "#snapshot end")

CELLS = {
    "orthogonal": lambda: crystal((2, 2, 1)),
    "triclinic": lambda: crystal((2, 2, 2), tilt=True),
    "smaller than twice the cutoff": lambda: crystal((1, 1, 1)),
    "small and triclinic": lambda: crystal((1, 1, 1), tilt=True),
}

# ---- mace-torch -----------------------------------------------------------------------------------------------------------------


def assert_is_mace(found, reference, volume, bound=1e-8):
    energy, forces, stress = reference
    expected, n, unit = -np.array([stress[ab] for ab in VOIGT]), len(forces), found["nktv2p"]
    assert_equal("energy", found["energy"] / n, energy / n, absolute=1e-9)
    assert_equal("sum of atomic energies", found["pe"].sum() / n, energy / n, absolute=1e-9)
    assert_equal("forces", found["f"], forces, absolute=bound)
    assert_equal("stress", found["pressure"] / unit, expected, absolute=1e-8)
    assert_equal("sum of atomic virials", -found["va"].sum(axis=0) / volume / unit, expected, absolute=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
def test_energy_forces_and_stress_are_those_of_mace_torch(cell, engine, lammps, mace_reference):
    atoms = CELLS[cell]()
    found = lammps.state(atoms, *SNAPSHOT, pair=with_engine(engine))
    assert_is_mace(found, mace_reference(atoms), atoms.cell.volume, ENGINES[engine])


# ---- ranks ----------------------------------------------------------------------------------------------------------------------

LAYOUTS = {
    "brick": (lambda: crystal((2, 2, 1)), {}, SNAPSHOT),
    "triclinic": (lambda: crystal((2, 2, 1), tilt=True), {}, SNAPSHOT),
    "smaller than twice the cutoff": (lambda: crystal((1, 1, 1)), {}, SNAPSHOT),
    "tiled": (lambda: crystal((2, 2, 2)), {"before": "comm_style tiled"}, ("balance 1.0 rcb", *SNAPSHOT)),
    "a rank without atoms": (half_empty, {"before": "processors * 1 1"}, SNAPSHOT),
    "atoms that migrate": (lambda: crystal((2, 2, 1)), {}, (HOT, ASK, "run 40", "#snapshot end")),
}


@pytest.fixture(scope="module")
def laid_out(lammps):
    """Function of the name of a layout and a number of ranks: the final state."""
    known = {}

    def get(layout, n):
        if (layout, n) not in known:
            make, options, more = LAYOUTS[layout]
            known[layout, n] = lammps.state(make(), *more, n=n, **options)
        return known[layout, n]

    return get


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_number_of_ranks_gives_the_same(layout, n, laid_out):
    found = laid_out(layout, n)
    owned = [len(tags) for tags in found["tags"]]
    assert len(owned) == n
    assert (0 in owned) == (layout == "a rank without atoms"), owned
    assert_same_state(found, laid_out(layout, 1))
    if layout == "atoms that migrate":
        before = laid_out("brick", n)["tags"]
        moved = [set(a) - set(b) for a, b in zip(found["tags"], before, strict=True)]
        assert any(moved), "no atom changed its rank, so migration was not tested"


# ---- planted errors -------------------------------------------------------------------------------------------------------------


def opposite(values, state):
    return -np.asarray(values)


def twice(values, state):
    return 2.0 * np.asarray(values)


def slightly_off(values, state):
    return np.asarray(values) * (1.0 + 1e-6)


def without_a_rank(values, state):
    values = np.array(values)
    values[np.array(state["tags"][1]) - 1] = 0.0
    return values


def without_an_element(values, state):
    values = np.array(values)
    values[::2] = 0.0
    return values


PER_ATOM = ("f", "pe", "va", "uq")
EVERY_KIND = [(n, e) for n in ("energy", "pressure", "tot", *PER_ATOM) for e in (opposite, twice, slightly_off)]
SUMS = [(n, e) for n in PER_ATOM for e in (without_a_rank, without_an_element)]


@pytest.mark.parametrize(("name", "error"), EVERY_KIND + SUMS)
def test_the_comparisons_see_planted_errors(name, error, laid_out, mace_reference):
    right, wrong = laid_out("brick", 1), copy.deepcopy(laid_out("brick", 2))
    wrong[name] = error(wrong[name], wrong)
    with pytest.raises(AssertionError):
        assert_same_state(wrong, right)
    if name in ("energy", "pressure", "f", "pe", "va"):
        atoms = CELLS["orthogonal"]()
        with pytest.raises(AssertionError):
            assert_is_mace(wrong, mace_reference(atoms), atoms.cell.volume)


# ---- Python ---------------------------------------------------------------------------------------------------------------------


class InPython:
    """Fields of a system from the parts that a fit uses, without engine and without LAMMPS."""

    def __init__(self, path, atoms, *, n_members=None, conservative=False, network=None):
        from lmp_uq.backbone.graph import graph_of_frames
        from lmp_uq.backbone.load import load_backbone
        from lmp_uq.calibration.variables import ForceVariables
        from lmp_uq.calibration.versions import force_error_of
        from lmp_uq.frames.frame import Frame
        from lmp_uq.novelty.grade import Novelty
        from lmp_uq.novelty.neighbours import neighbour_grade
        from lmp_uq.posterior.box import Box
        from lmp_uq.posterior.features import append_bias
        from lmp_uq.rows.predict import forces_of, predict
        from lmp_uq.rows.rows import RowOptions

        file = modelfile.read(path)
        header = file.header
        backbone = load_backbone(header.backbone.to_dict(), file.section("backbone"), "float64", engine="native")
        frame = Frame(atoms, float("nan"), None, None, "", "", 0)
        found = predict(backbone, [frame], RowOptions(kinds=()))
        descriptors, species = found.descriptors[0], found.species[0]
        self.box = Box.from_tensors(file.section("posterior"))
        self.features = append_bias(descriptors, species, header.posterior.bias, len(header.elements))
        self.n_members = n_members or header.posterior.n_members
        self.energy = found.energies[0]
        self.grade = Novelty.from_tensors(file.section("grade")).grade(descriptors, species)
        norm, graph = np.linalg.norm(found.forces[0], axis=1), graph_of_frames([atoms], backbone.elements, backbone.cutoff)[0]
        gradients = backbone.pull(backbone.evaluate(graph).state, None, np.tile(self.box.centre()[: descriptors.shape[1]], (len(atoms), 1)))
        correction = np.linalg.norm(forces_of(graph, gradients), axis=1)
        variables = ForceVariables.of(norm, self.grade, neighbour_grade(self.grade, graph.centres, graph.neighbours), correction)
        bar = force_error_of(header.bars()["force_error"])
        self.force_error = bar.predict(variables, conservative)
        if network is not None:
            self.force_error = network.predict(descriptors, variables, bar, conservative=conservative)

    def fields(self, energies):
        lower, upper = self.box.bounds(self.features, self.n_members)
        columns = (self.box.rms(self.features), energies + lower, energies + upper, self.force_error, self.grade)
        return np.column_stack(columns)

    def totals(self, fields):
        total = self.features.sum(axis=0)
        lower, upper = self.box.bounds(total, self.n_members)
        out = [self.box.rms(total), self.energy + lower, self.energy + upper]
        for column in fields.T:
            out += [column.max(), column.argmax() + 1, column.mean()]
        return np.array(out)


@pytest.mark.parametrize("cell", ["triclinic", "smaller than twice the cutoff"])
@pytest.mark.parametrize(("keywords", "options"), [("", {}), ("members 16 conservative yes", {"n_members": 16, "conservative": True})])
def test_uncertainty_is_that_of_python(cell, keywords, options, lammps, models):
    atoms = CELLS[cell]()
    found = lammps.state(atoms, *SNAPSHOT, pair=PLAIN.replace("mace/uq", f"mace/uq {keywords}", 1))
    python = InPython(models.full, atoms, **options)
    expected = python.fields(found["pe"])
    for k, name in enumerate(FIELDS):
        assert_equal(name, found["uq"][:, k], expected[:, k], relative=1e-10)
        assert np.ptp(expected[:, k]) > 0.0, f"{name} is the same on every atom"
    for name, value, wanted in zip(TOTALS, found["tot"], python.totals(expected), strict=True):
        assert_equal(name, value, wanted, relative=1e-10)


@pytest.mark.parametrize("conservative", ["no", "yes"])
def test_the_learned_quantile_is_that_of_python(conservative, lammps, models, tmp_path):
    """Atoms on both sides of grade 1: the network's bars, and those that it hands over to."""
    file, atoms = modelfile.read(models.full), CELLS["triclinic"]()
    grade = InPython(models.full, atoms).grade
    file.tensors["grade/radius"] *= np.median(grade)
    network = random_network(n_features=file.header.backbone.n_features)
    header = file.header.to_dict()
    header["calibration"]["quantile_network"] = network.header()
    file.tensors |= {f"{SECTION}/{name}": array for name, array in network.tensors().items()}
    path = tmp_path / "learned.uq"
    modelfile.write(path, header, file.tensors)
    python = InPython(path, atoms, conservative=conservative == "yes", network=network)
    assert python.grade.min() < 1.0 < python.grade.max()
    plain = InPython(path, atoms, conservative=conservative == "yes").force_error
    np.testing.assert_array_equal(python.force_error == plain, python.grade > 1.0)
    pair = PLAIN.replace("mace/uq", f"mace/uq quantile learned conservative {conservative}", 1)
    found = lammps.state(atoms, *SNAPSHOT, pair=pair, model=path)["uq"][:, FIELDS.index("force_error")]
    assert_equal("force_error", found, python.force_error, relative=1e-10)


def test_bars_are_those_of_sampled_members(lammps, models):
    """20,000 members drawn from the box, without any closed form, to four standard errors of each estimate."""
    atoms = CELLS["orthogonal"]()
    found = lammps.state(atoms, *SNAPSHOT)
    python = InPython(models.full, atoms)
    box, n = python.box, 20_000
    drawn = np.random.default_rng(3).uniform(box.lower, box.upper, (n, len(box.lower)))
    rows = np.vstack([python.features, python.features.sum(axis=0)])
    corrections = rows @ (box.coefficients[:, None] + box.modes @ drawn.T)
    stds = np.append(found["uq"][:, 0], found["tot"][0])
    squares = corrections**2
    error = squares.std(axis=1) / np.sqrt(n)
    assert np.all(np.abs(squares.mean(axis=1) - stds**2) < 4.0 * error)
    batches = corrections[:, : n - n % python.n_members].reshape(len(rows), -1, python.n_members)
    energies = np.append(found["pe"], found["energy"])
    for name, extreme, bars in (
        ("lower", batches.min(axis=2), np.append(found["uq"][:, 1], found["tot"][1])),
        ("upper", batches.max(axis=2), np.append(found["uq"][:, 2], found["tot"][2])),
    ):
        # the expected extreme is a rounded figure (two cumulants), good to some per cent of the width
        allowed = 4.0 * extreme.std(axis=1) / np.sqrt(extreme.shape[1]) + 0.03 * np.ptp(corrections, axis=1)
        assert np.all(np.abs(extreme.mean(axis=1) - (bars - energies)) < allowed), name
