# SPDX-License-Identifier: GPL-2.0-or-later
"""Models that take charge and spin: fixed at conversion they are models without, in both engines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from backbone_checks import make_frame
from tiny_models import CHARGE_AND_SPIN, charged_model, mh1_model

from lmp_uq import UqCalculator, modelfile
from lmp_uq.backbone.mace.architecture import default_dtype, quiet
from lmp_uq.cli import main

CONTINUOUS = {name: {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 5} for name in CHARGE_AND_SPIN}


def saved(path, **changes):
    with quiet():
        torch.save(charged_model(**changes), path)
    return str(path)


def reference(path, frame, charge, spin):
    """Energy and forces of mace-torch's own calculator."""
    with quiet(), default_dtype(torch.float64):
        from mace.calculators import MACECalculator

        frame = frame.copy()
        frame.info |= {"charge": charge, "spin": spin}
        frame.calc = MACECalculator(model_paths=[path], device="cpu", default_dtype="float64")
        return frame.get_potential_energy(), frame.get_forces()


def evaluated(file, frame, engine):
    frame = frame.copy()
    frame.calc = UqCalculator(file, engine=engine, precision="float64")
    return frame.get_potential_energy(), frame.get_forces()


@pytest.mark.parametrize(
    "changes", [{}, {"embedding_specs": CONTINUOUS, "use_embedding_readout": True}], ids=["classes", "numbers, readout"]
)
def test_fixed_charge_and_spin_are_those_of_mace_torch(tmp_path, changes, capsys):
    path = saved(tmp_path / "omol.model", **changes)
    frame = make_frame("triclinic", ("H", "O"))
    energies = []
    for charge, spin in ((0, 1), (-2, 3)):
        file = tmp_path / f"{spin}.uq"
        assert main(["convert", path, "--out", str(file), "--charge", str(charge), "--spin", str(spin)]) == 0
        assert f"written for charge {charge} and spin {spin};" in capsys.readouterr().out
        assert main(["inspect", str(file)]) == 0
        assert f"charge {charge}, spin {spin}, fixed for all configurations" in capsys.readouterr().out
        assert modelfile.read(file).header.backbone.architecture["total_charge"] == charge
        energy, forces = reference(path, frame, charge, spin)
        for engine in ("native", "torch"):
            found = evaluated(file, frame, engine)
            assert found[0] == pytest.approx(energy, rel=1e-10)
            np.testing.assert_allclose(found[1], forces, atol=1e-8 * np.abs(forces).max())
        energies.append(energy)
    assert abs(energies[0] - energies[1]) > 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "takes total_spin and total_charge, which lmp-uq convert fixes for all configurations; say --spin --charge"),
        (["--charge", "0"], "say --spin --charge"),
        (["--charge", "11", "--spin", "1"], "--charge 11.0; accepted: whole numbers from -10 to 10"),
        (["--charge", "0.5", "--spin", "1"], "--charge 0.5; accepted: whole numbers from -10 to 10"),
        (["--charge", "0", "--spin", "11"], "--spin 11.0; accepted: whole numbers from 0 to 10"),
    ],
)
def test_charge_and_spin_that_cannot_be_fixed(tmp_path, capsys, words, message):
    path = saved(tmp_path / "omol.model")
    assert main(["convert", path, "--out", str(tmp_path / "out.uq"), *words]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out.uq").exists()


def test_other_inputs_and_inputs_of_models_without(tmp_path, capsys):
    other = {"temperature": CHARGE_AND_SPIN["total_spin"]}
    path = saved(tmp_path / "warm.model", embedding_specs=other)
    assert main(["convert", path, "--out", str(tmp_path / "out.uq")]) == 1
    assert "the model takes temperature; accepted: total_charge and total_spin of whole configurations" in capsys.readouterr().err
    with quiet():
        torch.save(mh1_model(), tmp_path / "mh1.model")
    assert main(["convert", str(tmp_path / "mh1.model"), "--head", "low", "--charge", "1", "--out", str(tmp_path / "out.uq")]) == 1
    assert "--charge 1.0: the model takes no total_charge; leave it out" in capsys.readouterr().err
