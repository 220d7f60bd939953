# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of a fixed charge and spin refuses frames that say another one, wherever frames come in, and names them."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from tiny_models import charged_model

from lmp_uq import Model, UqCalculator, UqError
from lmp_uq.backbone.mace.architecture import quiet
from lmp_uq.recipes.calibrate import CalibrateOptions, calibrate
from lmp_uq.recipes.convert import convert
from lmp_uq.recipes.fit import FitOptions, fit
from lmp_uq.recipes.propagate import PropagateOptions, propagate
from lmp_uq.recipes.reweight import ReweightOptions, reweight
from lmp_uq.recipes.validate import ValidateOptions, validate

QUIET = {"progress": False}
RIGHT = {"charge": 1, "spin": 2}
SUITE = "properties:\n- {kind: phase, structure: ./crystal.xyz, relative_to: '', element: O}\n"


def labelled(n, seed, info=RIGHT):
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(n):
        atoms = Atoms("H2O2", positions=[[0, 0, 0], [2, 2, 0], [2, 0, 2], [0, 2, 2]], cell=4.0 * np.eye(3), pbc=True)
        atoms.rattle(0.15, rng=rng)
        atoms.info |= {"REF_energy": -20.0 + 0.01 * rng.normal(), "config_type": f"group {k // 4}", **info}
        atoms.arrays["REF_forces"] = rng.normal(size=(4, 3))
        frames.append(atoms)
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model fitted at charge 1 and spin 2, frames of that charge, and files whose frame 3 says another one."""
    path = tmp_path_factory.mktemp("charged")
    with quiet():
        torch.save(charged_model(), path / "omol.model")
    convert(str(path / "omol.model"), path / "bare.uq", charge=1, spin=2)
    for name, n, seed in (("fit", 24, 0), ("other", 16, 1)):
        ase.io.write(path / f"{name}.xyz", labelled(n, seed))
    fit(FitOptions(str(path / "bare.uq"), (str(path / "fit.xyz"),), str(path / "model.uq"), n_members=8, **QUIET))
    wrong = labelled(16, 1)
    wrong[3].info["charge"] = 0
    ase.io.write(path / "charge.xyz", wrong)
    wrong[3].info |= {"charge": 1, "total_spin": 1}
    ase.io.write(path / "spin.xyz", wrong)
    (path / "suite.yaml").write_text(SUITE)
    return path


VERBS = {
    "fit": lambda model, data: fit(FitOptions("bare.uq", data, "out.uq", n_members=8, **QUIET)),
    "fit, calibration": lambda model, data: fit(FitOptions("bare.uq", ("fit.xyz",), "out.uq", calibration=data, n_members=8, **QUIET)),
    "calibrate": lambda model, data: calibrate(CalibrateOptions(model, data, "out.uq", **QUIET)),
    "validate": lambda model, data: validate(ValidateOptions(model, data, **QUIET)),
    "predict": lambda model, data: Model.load(model).predict(list(data)).energy,
    "reweight": lambda model, data: reweight(ReweightOptions(model, data, 300.0)),
}


@pytest.mark.parametrize("verb", VERBS)
def test_frames_of_another_charge_are_refused(folder, monkeypatch, verb):
    monkeypatch.chdir(folder)
    where = "frame 4" if verb == "reweight" else r"\w+\.xyz\[3\]"
    for data, key, found, model in (("charge.xyz", "charge", "0", "1"), ("spin.xyz", "total_spin", "1", "2")):
        message = f"{where}: {key} is {found}, the model was converted for {model}; accepted: frames of that {key}"
        with pytest.raises(UqError, match=f"^{message}$"):
            VERBS[verb]("model.uq", (data,))
    if "fit" not in verb:  # the model is one
        VERBS[verb]("model.uq", ("other.xyz",))


def test_structures_of_another_charge_are_refused(folder, monkeypatch):
    monkeypatch.chdir(folder)
    crystal = labelled(1, 0)[0][[2, 3]]
    for info, message in ({"charge": -1}, "the structure: charge is -1, the model was converted for 1"), (RIGHT, None):
        crystal.info = info
        ase.io.write(folder / "crystal.xyz", crystal)
        with pytest.raises(UqError) as raised:  # random weights have no minimum
            propagate(PropagateOptions("model.uq", "suite.yaml", "out", implicit=True))
        assert ("charge" in str(raised.value)) == bool(message) and (message or "") in str(raised.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("charge", 0, "0"), ("total_charge", -1.0, "-1.0"), ("spin", "doublet", "doublet"), ("charge", [1, 1], "[1, 1]")],
)
def test_the_calculator_refuses_another_charge(folder, key, value, said):
    frame = Atoms("OH", positions=[[0, 0, 0], [0, 0, 1.0]], info=RIGHT)
    frame.calc = UqCalculator(folder / "model.uq")
    assert np.isfinite(frame.get_potential_energy())
    frame.info[key] = value
    frame.calc = UqCalculator(folder / "model.uq")
    message = f"frame 0: {key} is {re.escape(said)}, the model was converted for [12]; accepted: frames of that {key}"
    with pytest.raises(UqError, match=message):
        frame.get_potential_energy()


def test_frames_that_say_nothing_have_the_charge_of_the_model(folder):
    said, silent = (labelled(1, 0, info)[0] for info in (RIGHT, {}))
    one, other = Model.load(folder / "model.uq").predict([said, silent]).energy
    assert one == other
