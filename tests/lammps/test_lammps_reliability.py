# SPDX-License-Identifier: GPL-2.0-or-later
"""reliability in LAMMPS is that of Python, on any ranks and with either engine; who asks for it, and what is refused."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from emulated_device import noted
from lammps_cases import HOT, assert_equal, columns_of, crystal, half_empty, read_dump, with_engine
from model_example import random_arrays, some_force_error

from lmp_uq import Model, modelfile
from lmp_uq.calibration import ordinal_head
from lmp_uq.calibration.ordinal_head import OrdinalHead
from lmp_uq.calibration.variables import ForceVariables

TRAINED = (0.1, 0.5, 2.0)
MIDDLE = 0.5
WORDS = "grade neighbour_grade reliability " + " ".join(f"reliability {t} error_above {t}" for t in TRAINED)
TOTALS = "reliability_max 0.1 reliability_mean 0.1 reliability_tag 0.1 reliability_mean"
COMPUTES = f"""compute uq all uq/atom {WORDS}
compute tot all uq {TOTALS}
compute sums all reduce sum c_uq[*]
thermo_style custom step temp pe press c_sums[*] c_tot[*]"""
SNAPSHOT = (COMPUTES, "run 0", "#snapshot end")


def with_head(source, target, correction_slope=0.0):
    """Copy of a model file with an ordinal head of random weights, of answers that differ from atom to atom, and grades about 1."""
    file = modelfile.read(source)
    header = file.header.to_dict()
    n_features = header["backbone"]["n_features"]
    arrays = random_arrays(ordinal_head.tensor_shapes(n_features, (9, 5), len(TRAINED)), 3)
    head = OrdinalHead(TRAINED, arrays)
    header["calibration"] |= {"force_error": some_force_error(correction_slope).to_dict(), "ordinal": head.header()}
    file.tensors |= {f"{ordinal_head.SECTION}/{name}": array for name, array in head.tensors().items()}
    modelfile.write(target, header, file.tensors)
    return target


@pytest.fixture(scope="module")
def files(tmp_path_factory, models):
    """With an ordinal head, made of the mean correction or not; without a head."""
    folder = tmp_path_factory.mktemp("files")
    return {
        "plain": with_head(models.full, folder / "plain.uq"),
        "corrected": with_head(models.full, folder / "corrected.uq", 0.4),
        "without": models.full,
    }


def assert_is_python(state, file, atoms, engine, **options):
    """The state's columns on its own positions, and the hand-over to error_above; returns the columns."""
    atoms = atoms.copy()
    atoms.positions = state["x"]
    model = Model.load(file, engine=engine, **options)
    found = model.predict(atoms, progress=False)
    forces, uq = found.forces[0], state["uq"]
    norm, grade, near = np.linalg.norm(forces, axis=1), found.grade[0], found.neighbour_grade[0]
    correction = found._results("force_error")[0].get("correction_norm")
    given = ForceVariables.of(norm, grade, near, correction).columns()
    ask = {"force_norm": given["force"], "neighbours": given["neighbours"], "correction": given["correction"]}
    assert_equal("reliability", uq[:, 2], found.reliability[0], relative=1e-10)
    for k, threshold in enumerate(TRAINED):
        mine, above = uq[:, 3 + 2 * k], uq[:, 4 + 2 * k]
        assert_equal(f"reliability {threshold}", mine, model._engine.per_atom("reliability", threshold=threshold, **ask), relative=1e-10)
        beyond = grade > 1.0
        assert np.array_equal(mine[beyond], 1.0 - above[beyond]) and (mine[~beyond] != 1.0 - above[~beyond]).all()
    assert np.array_equal(uq[:, 2], uq[:, 3 + 2 * TRAINED.index(MIDDLE)])
    totals = (uq[:, 3].max(), uq[:, 3].mean(), np.argmax(uq[:, 3]) + 1, uq[:, 2].mean())
    assert_equal("totals", state["tot"], totals, relative=1e-10)
    return uq


LAYOUTS = {
    "brick": (lambda: crystal((2, 2, 1), rattle=0.3), {}, SNAPSHOT),
    "images": (lambda: crystal((1, 1, 1), tilt=True, rattle=0.3), {}, SNAPSHOT),
    "a rank without atoms": (half_empty, {"before": "processors * 1 1"}, SNAPSHOT),
    "atoms that migrate": (lambda: crystal((2, 2, 1)), {}, (HOT, COMPUTES, "run 20", "#snapshot end")),
}


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reliability_is_that_of_python(layout, engine, n, lammps, files):
    make, options, more = LAYOUTS[layout]
    file = files["plain" if layout == "images" else "corrected"]
    state = lammps.state(make(), *more, n=n, pair=with_engine(engine), model=file, **options)
    uq = assert_is_python(state, file, make(), engine)
    assert np.ptp(uq[:, 2]) > 1e-3 and ((uq[:, 2:] >= 0.0) & (uq[:, 2:] <= 1.0)).all()
    if layout == "brick":
        assert 0.0 < (uq[:, 0] > 1.0).mean() < 1.0, "both sides of the hand-over"


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_conservative(engine, lammps, files):
    atoms, pair = crystal((2, 1, 1), rattle=0.3), with_engine(f"{engine} conservative yes")
    state = lammps.state(atoms, *SNAPSHOT, n=2, pair=pair, model=files["plain"])
    assert_is_python(state, files["plain"], atoms, engine, conservative=True)


@pytest.mark.parametrize("n", [1, 2])
def test_select_and_fix_pair(n, lammps, files):
    """Each with the threshold as its syntax has it, and without where it may be left out."""
    more = (
        "thermo_style custom step temp pe press", "compute r all uq/atom reliability 2.0 reliability",
        "fix s all uq/select 1 reliability 2.0 0 INF file s.extxyz",
        "fix t all uq/select 1 grade 0 INF file t.extxyz", "fix p all pair 1 mace/uq reliability:2.0 0 reliability 1",
        "dump d all custom 1 d.dump id f_p[1] f_p[2] c_r[1] c_r[2]", "dump_modify d sort id format float %.17g", "run 3",
    )  # fmt: skip
    result = lammps.run(crystal((2, 1, 1), rattle=0.02), HOT, *more, n=n, model=files["plain"])
    dumped = read_dump(result.folder / "d.dump")
    for name, column, threshold in (("s", 1, 2.0), ("t", 2, None)):
        frames = ase.io.read(result.folder / f"{name}.extxyz", ":")
        assert [frame.info["step"] for frame in frames] == [1, 2, 3]
        for frame in frames:
            assert frame.info.get("selected_threshold") == threshold
            assert_equal(name, columns_of(frame)["reliability"], dumped[frame.info["step"]][:, column], relative=1e-6)
    for rows in dumped.values():
        assert np.array_equal(rows[:, 1:3], rows[:, 3:5]) and (rows[:, 1] > rows[:, 2]).any()


@pytest.mark.parametrize(("n", "words"), [(1, "reliability 0.1"), (2, "reliability")])
def test_halt(n, words, lammps, files):
    """Its limit is the number behind the operator, whether there is a threshold or not."""
    tables = "compute r all uq reliability_max 0.1 reliability_max"
    more = (HOT, tables, "thermo_style custom step temp pe press c_r[*]", "thermo 1", f"fix h all uq/halt 1 {words} > -1.0", "run 3")
    result = lammps.run(crystal((2, 1, 1)), *more, n=n, model=files["plain"])
    found = re.search(rf"run stops at step 1: {words} = (\S+) > -1 \(probability\) on atom", result.log)
    assert found and float(found[1]) == pytest.approx(result.thermo[0][f"c_r[{n}]"][1], rel=1e-4)


# ---- errors ---------------------------------------------------------------------------------------------------------------------

A_NUMBER = "a number above 0, eV/Angstrom, for which the classifier was trained)"
NUMBER = f"(accepted: {A_NUMBER}"
KNOWN = "(accepted: 0.1, 0.5, 2 eV/Angstrom, for which the classifier of"
REFUSED = {
    "compute a all uq/atom reliability 0.2": f"Compute uq/atom: the threshold of reliability is 0.2 {KNOWN}",
    "compute a all uq/atom reliability 0": f"Compute uq/atom: the threshold of reliability is 0 {NUMBER}",
    "compute a all uq/atom reliability -0.1": f"Compute uq/atom: the threshold of reliability is -0.1 {NUMBER}",
    "compute a all uq/atom reliability 1e400": f"Compute uq/atom: the threshold of reliability is 1e400 {NUMBER}",
    "compute a all uq/atom reliability x": "Unknown compute uq/atom field x (accepted: ",
    "compute a all uq/atom grade 0.3": "Unknown compute uq/atom field 0.3 (accepted: ",
    "compute a all uq reliability_max 0.2": f"Compute uq: the threshold of reliability is 0.2 {KNOWN}",
    "compute a all uq reliability_tag 0": f"Compute uq: the threshold of reliability_tag is 0 {NUMBER}",
    "fix a all uq/halt 1 reliability 0.3 > 0.5": f"Fix uq/halt: the threshold of reliability is 0.3 {KNOWN}",
    "fix a all uq/halt 1 reliability 0.5 >": "Illegal fix uq/halt (N field > x",
    "fix a all uq/select 1 reliability 0.2 0 INF file x": f"Fix uq/select: the threshold of reliability is 0.2 {KNOWN}",
    "fix a all uq/select 1 reliability 0.5 0.9 file x": "Fix uq/select: hi of reliability 0.5 is file (accepted: a number or INF; the",
    "fix a all uq/select 1 grade 0.5 file x max 5": "Fix uq/select: hi of grade is file (accepted: a number or INF)",
    "fix a all uq/select 1 reliability 0 INF file x": f"Fix uq/select: the threshold of reliability is 0 {NUMBER}",
    "fix a all pair 1 mace/uq reliability:0.2 1": f"fix pair: the threshold of reliability is 0.2 {KNOWN}",
    "fix a all pair 1 mace/uq reliability:x 1": f"fix pair: the threshold of reliability is x (accepted: reliability:T with T {A_NUMBER}",
}


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_bad_thresholds_are_refused(engine, lammps, files):
    wrong = [line for command, text in REFUSED.items() for line in (f"#fails {text}", command)]
    lammps.run(crystal(), *wrong, "run 0", n=2, model=files["plain"], pair=with_engine(engine))


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_file_without_a_head_refuses_the_field(engine, lammps, files):
    needs = "field reliability needs an ordinal classifier (lmp-uq calibrate --classifier ordinal), which"
    asking = {"compute a all uq/atom reliability": "Compute uq/atom", "compute a all uq reliability_mean 0.3": "Compute uq",
              "fix a all uq/halt 1 reliability > 1": "Fix uq/halt", "fix a all uq/select 1 reliability 0.3 0 1 file f": "Fix uq/select",
              "fix a all pair 1 mace/uq reliability 0": "fix pair"}  # fmt: skip
    wrong = [line for command, who in asking.items() for line in (f"#fails {who}: {needs}", command)]
    lammps.run(crystal(), *wrong, "run 0", n=2, model=files["without"], pair=with_engine(engine))
    file = files["without"]
    later = ("compute a all uq/atom reliability 0.1 grade", f"pair_coeff * * {file} Si O", "run 0")
    text = lammps.fails(crystal(), *later, model=files["plain"])
    assert needs in text


def test_descriptors_leave_a_device_only_for_a_network(lammps, files, tmp_path):
    """Once on a step, whatever else is asked for there. Sizes of copies to the host are counted by the emulated device."""
    atoms = crystal((3, 1, 1), rattle=0.3)
    size, found = len(atoms) * modelfile.read(files["plain"]).header.backbone.n_features * 8, []
    totals = "energy_std members energy_error stress_std grade_max"
    for words in ("energy_std force_error grade error_above 0.1 force_std", "reliability 0.1 reliability force_error"):
        notes = tmp_path / words
        ask = (f"compute uq all uq/atom {words}", f"compute tot all uq {totals}", "compute sums all reduce sum c_uq[*]")
        more = (*ask, "thermo_style custom step pe c_sums[*] c_tot[*]", "thermo 1", HOT, "run 3")
        lammps.run(atoms, *more, pair=with_engine("device"), model=files["plain"], machine={"NOTES": notes})
        sizes = noted(notes, "from")
        assert sizes.count(8 * len(atoms)) >= 4  # energies of four steps, and fields
        found.append(sizes.count(size))
    assert found == [0, 4]
