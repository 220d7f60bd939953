# SPDX-License-Identifier: GPL-2.0-or-later
"""Models of an ensemble: what names mean, that nothing of them is executed, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from lammps_cases import crystal

from lmp_uq import Model
from lmp_uq.ase_factory import parse_factory
from lmp_uq.ensembles.members import load_members, named
from lmp_uq.ensembles.weights import weights_of_errors, weights_of_file
from lmp_uq.errors import UqError
from lmp_uq.frames.frame import Frame

SPRINGS = "ase:ensemble_factories:Springs"


def frame(seed: int = 0) -> Frame:
    return Frame(crystal(seed=seed), np.nan, None, None, "g", f"a.xyz[{seed}]", seed)


def load(*names):
    return load_members(names, {}, {"threads": 1, "local_rank": 0, "communicator": None})


def test_literals_are_arguments():
    text = "a.b:C.make(1, -2.5, [None, True], {'W': 1}, path='x y.pt', pair=(1, 2))"
    expected = [1, -2.5, [None, True], {"W": 1}], {"path": "x y.pt", "pair": (1, 2)}
    assert parse_factory(text, "") == ("a.b", "C.make", *expected)
    assert parse_factory("a:make", "") == parse_factory("a:make()", "") == ("a", "make", [], {})


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert named("a-1.x+y=ase:a:f(k=1)") == ("a-1.x+y", "ase:a:f(k=1)")
    assert named("ase:a:f(k=1)") == ("ase:a:f(k=1)",) * 2
    assert named("a=b.uq") == ("a", "b.uq")
    (tmp_path / "a=b.uq").write_text("")
    assert named("a=b.uq") == ("a=b.uq",) * 2
    first, second = load(f"a={SPRINGS}", f"b={SPRINGS}(2)")
    assert (first.name, second.name) == ("a", "b") and first.identity == load(SPRINGS, "ase:ase.calculators.emt:EMT")[0].identity


NO_MODELS = ("ase:a", "ase:a:", "ase:a:b.c(", "ase:a:1+1", "ase:a:f()()", "ase:a b:f", "ase::f", "ase:a:f[0]", "ase:a:f(1)+g(2)")


@pytest.mark.parametrize("name", NO_MODELS)
def test_what_is_no_model(name):
    with pytest.raises(UqError, match=r"models: .* names no factory of a calculator; accepted: MODULE:FACTORY"):
        load(SPRINGS, name)


@pytest.mark.parametrize("text", ["open('x', 'w')", "x", "*[1]", "**{'a': 1}", "a=__import__('os')", "f'{1}'", "1 if 2 else 3"])
def test_nothing_is_executed(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UqError, match="argument that is no literal"):
        load(SPRINGS, f"ase:a:f({text})")
    assert not list(tmp_path.iterdir())


REFUSED = {
    "one": ([SPRINGS], "1 model; accepted: two or more"),
    "same twice": ([SPRINGS, SPRINGS], "stands there twice; accepted: each once"),
    "same name": ([f"a={SPRINGS}", f"a={SPRINGS}(2)"], "a stands there twice"),
    "same model": ([f"a={SPRINGS}", f"b={SPRINGS}"], "a and b are the same model; accepted: each once"),
    "empty name": ([f"={SPRINGS}", "nbmotaw"], "=ase:ensemble_factories:Springs"),
    "no module": ([SPRINGS, "ase:no_such_thing:make"], "makes no calculator: ModuleNotFoundError: No module named 'no_such_thing'"),
    "no factory": ([SPRINGS, "ase:ensemble_factories:Spring"], "makes no calculator: AttributeError"),
    "wrong argument": ([SPRINGS, f"{SPRINGS}(q=1)"], "makes no calculator: TypeError"),
    "leaves": ([SPRINGS, "ase:ensemble_factories:leaves"], "makes no calculator: SystemExit: weights not found"),
    "no calculator": ([SPRINGS, "ase:ensemble_factories:nothing"], "gives a int; accepted: an ASE calculator"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_any_frame(what):
    names, reason = REFUSED[what]
    with pytest.raises(UqError) as failure:
        load(*names)
    assert reason in str(failure.value)


def test_copies_of_a_file_are_one_model(models, tmp_path):
    (tmp_path / "copy.uq").write_bytes(models.bare.read_bytes())
    with pytest.raises(UqError, match="are the same model"):
        load(str(models.bare), str(tmp_path / "copy.uq"))


def test_models_without_a_common_element(models):
    with pytest.raises(UqError, match=r"no element that all models have \(nbmotaw: Nb, Mo, Ta, W; .*: O, Si\)"):
        load("nbmotaw", str(models.bare))


FAILING = {"nan=True": "energy or forces are NaN", "shape=2": r"forces have shape \(8, 2\)", "fails='O'": "ValueError: no parameters for O"}


@pytest.mark.parametrize("option", FAILING)
def test_what_fails_names_model_and_frame(option):
    member = load(SPRINGS, f"{SPRINGS}({option})")[1]
    with pytest.raises(UqError, match=FAILING[option]) as failure:
        member.evaluate([frame(4)])
    assert str(failure.value).startswith(f"{SPRINGS}({option}): a.xyz[4]: ")


def test_an_element_that_a_file_lacks(models):
    atoms = frame(2)
    atoms.atoms.symbols[0] = "W"
    with pytest.raises(UqError, match=r"a.xyz\[2\]: elements W found; accepted: O, Si"):
        load(str(models.bare), SPRINGS)[0].evaluate([frame(1), atoms])


@pytest.mark.parametrize("family", ["mace", "linear"])
def test_files_of_both_families(family, models, property_model):
    """Energies and forces are those that the file gives in Python."""
    path = models.full if family == "mace" else property_model
    frames = [frame(1), frame(2)]
    if family == "linear":
        for one in frames:
            one.atoms.symbols[:] = "W"
            one.atoms.set_cell(1.1 * one.atoms.cell.array, scale_atoms=True)
    energies, forces = load(str(path), SPRINGS)[0].evaluate(frames)
    expected = Model.load(path).predict([one.atoms for one in frames], progress=False)
    np.testing.assert_allclose(energies, expected.energy, rtol=1e-12)
    np.testing.assert_allclose(forces, np.concatenate(expected.forces), rtol=1e-10, atol=1e-10)


def test_forces_are_those_without_constraints():
    from ase.constraints import FixAtoms

    mine = frame()
    mine.atoms.set_constraint(FixAtoms([0, 1]))
    energies, forces = load(SPRINGS, f"{SPRINGS}(2.0)")[1].evaluate([mine])
    np.testing.assert_array_equal(forces, np.tile([-2.0, 0.0, 0.0], (8, 1)))
    assert energies == [0.2 * 8] and mine.atoms.calc is None and len(mine.atoms.constraints) == 1


def test_files_among_the_arguments_are_part_of_the_identity(tmp_path):
    path = tmp_path / "weights"
    names = (SPRINGS, f"ase:ensemble_factories:Springs(fails={str(path)!r})")
    identities = []
    for content in ("a", "b", "a"):
        path.write_text(content)
        identities.append(load(*names)[1].identity)
    assert identities[0] == identities[2] != identities[1]


WRONG_WEIGHTS = {
    '{"a": 1}': "weights of a; accepted: one of each model, a, b",
    '{"a": 1, "b": 0}': "the weight of b is 0; accepted: a number above 0",
    '{"a": -1, "b": 1}': "the weight of a is -1",
    '{"a": 1, "b": "x"}': "the weight of b is x",
    '{"a": 1, "b": NaN}': "the weight of b is nan",
    "[1, 2]": "weights of list",
    "{": "is no JSON file",
}


@pytest.mark.parametrize("text", WRONG_WEIGHTS)
def test_files_of_weights_that_are_refused(text, tmp_path):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(UqError) as failure:
        weights_of_file(str(tmp_path / "w.json"), ["a", "b"])
    assert WRONG_WEIGHTS[text] in str(failure.value) and "w.json" in str(failure.value)


def test_weights_have_the_sum_one(tmp_path):
    (tmp_path / "w.json").write_text('{"b": 1, "a": 3}')
    np.testing.assert_allclose(weights_of_file(str(tmp_path / "w.json"), ["a", "b"]), [0.75, 0.25])
    np.testing.assert_allclose(weights_of_errors("rmse", np.array([0.1, 0.3]), ["a", "b"]), [0.75, 0.25])
    with pytest.raises(UqError, match="no atom with a labelled force"):
        weights_of_errors("median", np.array([np.nan, np.nan]), ["a", "b"])
    with pytest.raises(UqError, match="the labels are the forces of b itself"):
        weights_of_errors("median", np.array([0.1, 1e-8]), ["a", "b"])
