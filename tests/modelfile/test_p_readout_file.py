# SPDX-License-Identifier: GPL-2.0-or-later
"""A file with a P-readout: damage is refused with one message, by Python and by LAMMPS; numbers are those of the native engine."""

from __future__ import annotations

import numpy as np
import pytest
from lammps_cases import crystal
from model_example import make_header, make_tensors, raw_container
from p_readout_example import entry_of, random_readout

from lmp_uq import _native, modelfile
from lmp_uq.errors import UqError
from lmp_uq.modelfile.header import Header
from lmp_uq.posterior.p_readout import PReadout

SECTION = "posterior/p_readout/"


def content(**changes):
    """Header and tensors of the smallest file, with a P-readout of 6 members of 7 hidden units."""
    header, readout = make_header(), random_readout(3, 6, **changes)
    header["posterior"]["p_readout"] = entry_of(readout)
    return header, make_tensors() | {SECTION + name: array for name, array in readout.tensors().items()}


def entry(**changes):
    return lambda header, tensors: header["posterior"]["p_readout"].update(changes)


def tensor(name, array):
    return lambda header, tensors: tensors.update({SECTION + name: array})


def less(name):
    return lambda header, tensors: tensors.pop(SECTION + name)


def without_entry(header, tensors):
    del header["posterior"]["p_readout"]


def without_key(header, tensors):
    del header["posterior"]["p_readout"]["hidden"]


def no_object(header, tensors):
    header["posterior"]["p_readout"] = 3


def without_grade(header, tensors):
    header["grade"] = header["calibration"] = None
    for name in [name for name in tensors if name.startswith("grade/")]:
        del tensors[name]


DAMAGE = {
    "hidden": (entry(hidden=0), "'posterior.p_readout.hidden' is 0; accepted: a whole number from 1"),
    "features": (entry(n_features=4), "'posterior.p_readout.n_features' is 4; accepted: 3, as backbone.n_features"),
    "hand over": (entry(hand_over=2.0), "'posterior.p_readout.hand_over' is 2.0; accepted: 1"),
    "few members": (entry(n_members=3), "'posterior.p_readout.n_members' is 3; accepted: 4 or more, as posterior.n_members"),
    "other count": (entry(n_members=5), "'posterior/p_readout/member_bias' has shape (6, 7), float64; accepted: (5, 7), float64"),
    "missing key": (without_key, "header keys are missing: posterior.p_readout.hidden"),
    "no object": (no_object, "'posterior.p_readout' is 3; accepted: an object or null"),
    "not announced": (without_entry, "unknown tensor posterior/p_readout/input_mean; accepted"),
    "missing tensor": (less("linear"), "'posterior/p_readout/linear' is missing; accepted: shape (3,), float64"),
    "unknown tensor": (tensor("more", np.zeros(2)), "unknown tensor posterior/p_readout/more; accepted"),
    "shape": (tensor("weight", np.zeros((7, 4))), "'posterior/p_readout/weight' has shape (7, 4), float64; accepted: (7, 3), float64"),
    "type": (tensor("output", np.zeros(7, np.float32)), "'posterior/p_readout/output' has shape (7,), float32; accepted: (7,), float64"),
    "nan": (tensor("output", np.full(7, np.nan)), "'posterior/p_readout/output' has 7 NaN or infinite numbers; accepted: finite ones"),
    "scale": (tensor("input_scale", np.array([1.0, 0.0, 1.0])), "'posterior/p_readout/input_scale' holds 0.0; accepted: above 0"),
    "no grade": (without_grade, "'grade' is null; accepted: an object, because posterior.p_readout hands over to POPS by the grade"),
}  # fmt: skip


def test_what_was_written_is_read(tmp_path):
    header, tensors = content()
    modelfile.write(tmp_path / "x.uq", Header.from_dict(header), tensors)
    file = modelfile.read(tmp_path / "x.uq")
    assert file.header.posterior.p_readout.hidden == 7 and file.header.to_dict() == header
    assert all(np.array_equal(array, tensors[SECTION + name]) for name, array in file.section("posterior/p_readout").items())


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused(name, tmp_path):
    header, tensors = content()
    damage, text = DAMAGE[name]
    damage(header, tensors)
    with pytest.raises(UqError) as refusal:
        modelfile.read(raw_container(tmp_path / "x.uq", header, tensors))
    assert text in str(refusal.value)


def test_lammps_says_the_same(tmp_path, lammps):
    pair = "pair_style mace/uq\npair_coeff * * {model} W Ta"
    for name in ("scale", "few members", "no grade"):
        header, tensors = content()
        DAMAGE[name][0](header, tensors)
        said = lammps.fails(crystal(), "run 0", pair=pair, model=raw_container(tmp_path / "x.uq", header, tensors), n=2)
        assert DAMAGE[name][1] in said


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("n", [0, 1, 100])
def test_native_numbers_are_those_of_python(threads, n, tmp_path):
    header, tensors = content()
    modelfile.write(tmp_path / "x.uq", Header.from_dict(header), tensors)
    native = _native.NativeReadout(tmp_path / "x.uq", threads=threads)
    python = PReadout.from_tensors(modelfile.read(tmp_path / "x.uq").section("posterior/p_readout"))
    descriptors = np.random.default_rng(0).normal(size=(n, 3))
    assert np.allclose(native.slopes(descriptors, 1, 4), python.slopes(descriptors, 1, 4), rtol=1e-12, atol=1e-14)
    assert np.allclose(native.energies(descriptors, 5), python.total_energies(descriptors, 5), rtol=1e-12, atol=1e-12)
    assert np.array_equal(native.energies(descriptors, 5), _native.NativeReadout(tmp_path / "x.uq").energies(descriptors, 5))
