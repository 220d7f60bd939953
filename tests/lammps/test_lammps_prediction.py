# SPDX-License-Identifier: GPL-2.0-or-later
"""What `Model.predict` says of a frame is what LAMMPS says of it, digit by digit."""

from __future__ import annotations

import numpy as np
import pytest
from lammps_cases import PLAIN, assert_equal, crystal

from lmp_uq import Model, modelfile
from lmp_uq.calibration import ScaledError
from lmp_uq.calibration.grade_error import GradeError

PER_ATOM = ("force_std_x", "force_std_y", "force_std_z", "force_error", "force_error_50", "grade")
TOTALS = ("energy_std", "energy_lower", "energy_upper", "energy_error", "stress_std")
ASK = f"""compute uq all uq/atom {" ".join(PER_ATOM)}
compute tot all uq {" ".join(TOTALS)} members
compute high all reduce max c_uq[*]
thermo_style custom step temp pe press c_tot[*] c_high[*]"""
VOIGT = [0, 1, 2, 5, 4, 3]
"""From LAMMPS' order of components, xx yy zz xy xz yz, to that of ASE."""


def open_frame():
    """Atoms in the middle of a box without periods."""
    atoms = crystal((2, 1, 1), seed=3)
    atoms.set_cell([30.0, 20.0, 20.0])
    atoms.center()
    atoms.pbc = False
    return atoms


FRAMES = {
    "triclinic": crystal(tilt=True, seed=1),
    "orthogonal": crystal((2, 2, 1), seed=2),
    "large": crystal((3, 3, 2), rattle=0.2, seed=4),
    "open": open_frame(),
}


OF_GRADE = GradeError(-3.3, 1.4, 1.1, 1.6)
OF_STD = ScaledError(1.7, 2.4)


def with_energy_error(path, out, bar):
    """A copy of a model file with another bar of energies."""
    file = modelfile.read(path)
    header = file.header.to_dict()
    header["calibration"]["energy_error"] = bar.to_dict()
    modelfile.write(out, header, file.tensors)
    return out


@pytest.fixture(scope="module")
def prediction(models):
    model = Model.load(models.full, engine="native", precision="float64", n_force_members=5, n_members=16)
    return model.predict(FRAMES.values(), progress=False)


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("conservative", ["no", "yes"])
@pytest.mark.parametrize("bar", [OF_GRADE, OF_STD], ids=["mean grade", "std"])
def test_energy_error_of_the_mean_grade_or_of_the_std(models, lammps, tmp_path, bar, conservative, engine, n):
    path, atoms = with_energy_error(models.full, tmp_path / "e.uq", bar), FRAMES["orthogonal"]
    model = Model.load(path, engine=engine, precision="float64", conservative=conservative == "yes")
    mine = model.predict(atoms, progress=False)
    words = f"mace/uq engine {engine} precision float64 conservative {conservative}"
    pair = PLAIN.replace("mace/uq", words, 1).replace("{model}", str(path))
    ask = "compute tot all uq energy_error energy_std grade_mean\nthermo_style custom step temp pe press c_tot[*]"
    found = lammps.state(atoms, ask, "run 0", "#snapshot end", pair=pair, n=n)["tot"]
    assert_equal("energy_error", found[0], mine.energy_error[0], relative=1e-10)
    std, grade = mine.energy_std[0], mine.grade[0].mean()
    flag = conservative == "yes"
    expected = len(atoms) * bar.predict(grade, flag) if bar is OF_GRADE else bar.predict(std, flag)
    assert mine.energy_error[0] == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", FRAMES)
def test_a_prediction_is_what_lammps_says(name, n, prediction, lammps):
    atoms, k = FRAMES[name], list(FRAMES).index(name)
    pair = PLAIN.replace("mace/uq", "mace/uq engine native precision float64 force_members 5 members 16", 1)
    before = "" if atoms.pbc.all() else "boundary f f f"
    found = lammps.state(atoms, ASK, "run 0", "#snapshot end", pair=pair, before=before, n=n)

    def same(what, of_lammps, mine):
        assert_equal(what, of_lammps, mine, relative=1e-10)
        assert np.ptp(mine) > 0.0 or np.size(mine) == 1, f"{what} is the same everywhere"

    same("energy", found["energy"], prediction.energy[k])
    same("forces", found["f"], prediction.forces[k])
    same("stress", -found["pressure"][VOIGT] / found["nktv2p"], prediction.stress[k])
    same("forces_std", found["uq"][:, :3], prediction.forces_std[k])
    for column, field in enumerate((prediction.force_error(0.9)[k], prediction.force_error(0.5)[k], prediction.grade[k]), 3):
        same(PER_ATOM[column], found["uq"][:, column], field)
    totals, members = found["tot"][:10], found["tot"][10:]
    for field, of_lammps in zip(TOTALS[:4], totals[:4], strict=True):
        same(field, of_lammps, getattr(prediction, field)[k])
    same("stress_std", totals[4:][VOIGT] / found["nktv2p"], prediction.stress_std[k])
    same("members", members, prediction.members[k])
