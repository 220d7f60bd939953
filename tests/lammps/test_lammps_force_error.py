# SPDX-License-Identifier: GPL-2.0-or-later
"""force_error, neighbour_grade and error_above in LAMMPS are those of Python, on any ranks and with either engine."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from lammps_cases import HOT, TORCH, assert_equal, columns_of, crystal, half_empty, read_dump, with_engine
from model_example import random_network, some_force_error

from lmp_uq import Model, modelfile
from lmp_uq.calibration.quantile_network import SECTION

THRESHOLDS = (0.5, 3.0)
LEVELS = {"force_error": 0.9, "force_error_50": 0.5, "force_error_95": 0.95}
NAMES = (*LEVELS, "grade", "neighbour_grade", *(f"error_above {t}" for t in THRESHOLDS))
TOTALS = [f"error_above_{kind} {t}" for t in THRESHOLDS for kind in ("max", "mean", "tag")]
COMPUTES = f"""compute uq all uq/atom {" ".join(NAMES)}
compute tot all uq {" ".join(TOTALS)}
compute sums all reduce sum c_uq[*]
thermo_style custom step temp pe press c_sums[*] c_tot[*]"""
SNAPSHOT = (COMPUTES, "run 0", "#snapshot end")
MOTION = (HOT, COMPUTES, "run 20", "#snapshot end")


def changed(source, target, force_error=None, network=None, without=()):
    """Copy of a model file with another force_error, a learned quantile, without training atoms of some elements."""
    file = modelfile.read(source)
    header = file.header.to_dict()
    if force_error is not None:
        header["calibration"]["force_error"] = force_error
    if network is not None:
        header["calibration"]["quantile_network"] = network.header()
        file.tensors |= {f"{SECTION}/{name}": array for name, array in network.tensors().items()}
    radius = file.tensors["grade/radius"].copy()
    radius[[header["elements"].index(element) for element in without]] = np.nan
    file.tensors["grade/radius"] = radius
    modelfile.write(target, header, file.tensors)
    return target


@pytest.fixture(scope="module")
def files(tmp_path_factory, models):
    """With and without the mean correction among what the bar is made of; of one element only; with a learned quantile."""
    folder, plain = tmp_path_factory.mktemp("files"), some_force_error().to_dict()
    network = random_network(n_features=modelfile.read(models.full).header.backbone.n_features)
    return {
        "plain": changed(models.full, folder / "plain.uq", plain),
        "corrected": changed(models.full, folder / "corrected.uq", some_force_error(0.4).to_dict()),
        "silicon": changed(models.full, folder / "silicon.uq", plain, without=("O",)),
        "learned": changed(models.full, folder / "learned.uq", plain, network),
    }


def in_python(file, atoms, engine, **options):
    """Columns of the fields in `NAMES`, from Python."""
    found = Model.load(file, engine="native" if engine == "device" else engine, **options).predict(atoms, progress=False)
    (errors,) = zip(*(found.force_error(level) for level in LEVELS.values()), strict=True)
    (above,) = zip(*(found.error_above(t) for t in THRESHOLDS), strict=True)
    return np.column_stack([*errors, found.grade[0], found.neighbour_grade[0], *above])


def assert_is_python(state, file, atoms, engine, **options):
    """The state's fields on its own positions; returns them."""
    atoms = atoms.copy()
    atoms.positions = state["x"]
    expected = in_python(file, atoms, engine, **options)
    for k, name in enumerate(NAMES):
        assert_equal(name, state["uq"][:, k], expected[:, k], relative=1e-10)
    columns = [expected[:, NAMES.index(f"error_above {t}")] for t in THRESHOLDS]
    totals = [value for column in columns for value in (column.max(), column.mean(), np.argmax(column) + 1)]
    for name, found, value in zip(TOTALS, state["tot"], totals, strict=True):
        assert_equal(name, found, value, relative=1e-10)
    return expected


LAYOUTS = {
    "brick": (lambda: crystal((2, 2, 1)), {}, SNAPSHOT),
    "images": (lambda: crystal((1, 1, 1), tilt=True), {}, SNAPSHOT),
    "a rank without atoms": (half_empty, {"before": "processors * 1 1"}, SNAPSHOT),
    "atoms that migrate": (lambda: crystal((2, 2, 1)), {}, MOTION),
}


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("engine", ["native", "torch", "device"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_fields_are_those_of_python(layout, engine, n, lammps, files):
    make, options, more = LAYOUTS[layout]
    file = files["plain" if layout == "images" else "corrected"]
    state = lammps.state(make(), *more, n=n, pair=with_engine(engine), model=file, **options)
    assert (0 in map(len, state["tags"])) == (layout == "a rank without atoms" and n > 1)
    expected = assert_is_python(state, file, make(), engine)
    assert (np.ptp(expected, axis=0) > 0).all() and (expected[:, :3] > 0.011).all(), "fields that say nothing"
    assert state["asked"].get("correction", 0) == (engine == "torch") * (0 if layout == "images" else 2 if more is MOTION else 1)


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_conservative(engine, lammps, files):
    atoms, pair = crystal((2, 1, 1)), with_engine(f"{engine} conservative yes")
    state = lammps.state(atoms, *SNAPSHOT, n=2, pair=pair, model=files["corrected"])
    wide = assert_is_python(state, files["corrected"], atoms, engine, conservative=True)
    assert (wide[:, :3] > in_python(files["corrected"], atoms, engine)[:, :3]).all()


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_learned_quantile(engine, lammps, files):
    atoms, pair = crystal((2, 1, 1), rattle=0.3), with_engine(f"{engine} quantile learned")
    state = lammps.state(atoms, *SNAPSHOT, n=2, pair=pair, model=files["learned"])
    learned, plain = (in_python(files["learned"], atoms, engine, learned=yes) for yes in (True, False))
    assert_is_python(state, files["learned"], atoms, engine, learned=True)
    assert np.array_equal(learned[:, 0] == plain[:, 0], learned[:, NAMES.index("grade")] > 1.0)
    assert 0.0 < (learned[:, 0] == plain[:, 0]).mean() < 1.0


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("engine", ["native", "torch"])
def test_an_element_without_grade(engine, n, lammps, files):
    """No bar within two hops of it, where an error is certainly above; beyond, nothing is known of it."""
    atoms = crystal((6, 1, 1))
    atoms.symbols[:] = "Si"
    atoms.symbols[20] = "O"
    state = lammps.state(atoms, *SNAPSHOT, n=n, pair=with_engine(engine), model=files["silicon"])
    expected = assert_is_python(state, files["silicon"], atoms, engine)
    lost = np.isinf(expected[:, NAMES.index("neighbour_grade")])
    distance = atoms.get_distances(20, range(len(atoms)), mic=True)
    assert lost[distance < 3.5].all() and not lost[distance > 7.0].any() and 1 < lost.sum() < len(atoms)
    assert np.isinf(expected[lost, :3]).all() and (expected[lost, -2:] == 1.0).all()
    assert np.isinf(expected[:, NAMES.index("grade")]).sum() == 1


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("engine", ["native", "torch"])
def test_excluded_atoms_are_as_good_as_deleted(engine, n, lammps, files):
    atoms = crystal((2, 2, 1))
    out = ("group out id 15 16", "neigh_modify exclude group out all")
    state = lammps.state(atoms, *out, *SNAPSHOT, n=n, pair=with_engine(engine), model=files["corrected"])
    assert not state["uq"][14:16].any()
    kept = np.delete(np.arange(len(atoms)), (14, 15))
    expected = in_python(files["corrected"], atoms[kept], engine)
    for k, name in enumerate(NAMES):
        assert_equal(name, state["uq"][kept, k], expected[:, k], relative=1e-10)
    assert_equal("mean", state["tot"][1], expected[:, NAMES.index("error_above 0.5")].mean(), relative=1e-10)


@pytest.mark.parametrize("n", [2, 4])
def test_after_atoms_have_changed_their_ranks(n, lammps, files):
    """Ghosts are reached by their IDs then."""
    motion = (HOT, "neigh_modify delay 100 every 100 check no", "neighbor 2.0 bin", *COMPUTES.splitlines()[:3], "run 20")
    for name in ("plain", "corrected"):
        one = lammps.state(crystal((2, 2, 1)), *motion, "#snapshot end", model=files[name])
        other = lammps.state(crystal((2, 2, 1)), *motion, "write_data last.data", "#snapshot end", n=n, model=files[name])
        for k, field in enumerate(NAMES):
            assert_equal(field, other["uq"][:, k], one["uq"][:, k], relative=1e-7)


def test_a_file_before_0_2_gives_what_it_gave(lammps, models, tmp_path):
    """The formula by hand; and there is no probability."""
    numbers = {"intercept": -1.2, "force_exponent": 0.6, "grade_exponent": 0.4, "n_groups": 2, "n_blocks": 20, "floor_exponent": 0.7}
    numbers |= {"levels": [0.5, 0.9], "factors": [0.6, 1.1], "conservative_factors": [0.8, 1.9], "floors": [0.1, 0.2], "least_bar": 0.01}
    file = changed(models.full, tmp_path / "old.uq", numbers)
    refused = "#fails field error_above needs a calibration of force_error with residual quantiles, which"
    ask = (
        "compute uq all uq/atom force_error force_error_50 grade neighbour_grade", "compute top all reduce max c_uq[*]",
        "thermo_style custom step temp pe press c_top[*]", refused, "compute b all uq/atom error_above 0.5", "run 0", "#snapshot end",
    )  # fmt: skip
    for engine in ("native", "torch"):
        state = lammps.state(crystal((2, 1, 1)), *ask, n=2, model=file, pair=with_engine(engine))
        norm, grade = np.linalg.norm(state["f"], axis=1), state["uq"][:, 2]
        for k, column in ((1, 0), (0, 1)):
            power = np.exp(-1.2 + 0.6 * np.log(norm + 0.01) + 0.4 * np.log(grade + 0.05))
            bars = np.maximum(numbers["floors"][k] * (grade + 0.05) ** 0.7, numbers["factors"][k] * power)
            assert_equal("bar", state["uq"][:, column], bars, relative=1e-12)


def fields(lammps, file, words, **options):
    """Columns of compute uq/atom with these words, of a small crystal."""
    ask = (f"compute uq all uq/atom {words}", "compute top all reduce max c_uq[*]", "thermo_style custom step temp pe press c_top[*]")
    return lammps.state(crystal(), *ask, "run 0", "#snapshot end", model=file, **options)["uq"]


@pytest.mark.parametrize("conservative", ["no", "yes"])
def test_probabilities_fall_with_the_threshold_and_fit_the_bars(conservative, lammps, files):
    """1 - level at the bar of a level; 1 at no threshold that an error does not reach, 0 beyond all."""
    pair = with_engine(f"native conservative {conservative}")
    thresholds = [0, *np.geomspace(1e-2, 5.0, 9).tolist(), 1e30]
    falling = fields(lammps, files["plain"], " ".join(f"error_above {t!r}" for t in thresholds), pair=pair)
    assert (np.diff(falling, axis=1) <= 0).all() and (np.ptp(falling, axis=1) > 0.9).all() and (falling[:, -1] == 0).all()
    bars = fields(lammps, files["plain"], " ".join(LEVELS), pair=pair)
    for atom in (0, 5):
        found = fields(lammps, files["plain"], " ".join(f"error_above {bar:.17g}" for bar in bars[atom]), pair=pair)
        assert_equal("1 - level", found[atom], 1.0 - np.array([*LEVELS.values()]), absolute=1e-10)


# ---- who asks -------------------------------------------------------------------------------------------------------------------


def every_step(lammps, file, **options):
    """force_error_max and error_above_max of a short hot run."""
    ask = ("compute g all uq force_error_max error_above_max 0.5", "thermo_style custom step temp pe press c_g[*]", "thermo 1",
           "thermo_modify format float %.17g")  # fmt: skip
    table = lammps.run(crystal((2, 1, 1), rattle=0.02), HOT, *ask, "run 8", model=file, **options).thermo[0]
    return table["c_g[1]"], table["c_g[2]"]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", ["plain", "corrected"])
def test_halt_select_and_fix_pair(name, n, lammps, files):
    """Each with the threshold as its syntax has it; where the mean correction is pulled, the derivatives are kept for it."""
    _, above = every_step(lammps, files[name])
    step = next(k for k in range(2, 9) if above[k] > above[:k].max())
    limit = float(above[:step].max() + above[step]) / 2
    more = (
        "thermo_style custom step temp pe press", f"fix h all uq/halt 1 error_above 0.5 > {limit!r}",
        "fix s all uq/select 1 error_above 0.5 0 INF file s.extxyz", "fix p all pair 1 mace/uq error_above:0.5 1 force_error 0",
        "fix q all pair 1 mace/uq error_above:3.0 0", "dump d all custom 1 d.dump id f_p[1] f_p[2] f_q",
        "dump_modify d sort id format float %.17g", "run 8",
    )  # fmt: skip
    result = lammps.run(crystal((2, 1, 1), rattle=0.02), HOT, *more, n=n, model=files[name])
    found = re.search(r"run stops at step (\d+): error_above 0.5 = (\S+) > \S+ \(probability\) on atom", result.log)
    assert found and int(found[1]) == step and float(found[2]) == pytest.approx(above[step], rel=1e-5)
    frames, dumped = ase.io.read(result.folder / "s.extxyz", ":"), read_dump(result.folder / "d.dump")
    assert [frame.info["step"] for frame in frames] == list(range(1, step + 1))
    for frame in frames:
        rows, columns = dumped[frame.info["step"]], columns_of(frame)
        assert frame.info["selected_by"] == "error_above" and frame.info["selected_threshold"] == 0.5
        assert_equal("select", columns["error_above"], rows[:, 1], relative=1e-6)
        assert_equal("force_error", columns["force_error"], rows[:, 2], relative=1e-6)
        assert_equal("largest", rows[:, 1].max(), above[frame.info["step"]], relative=1e-9)
        assert (rows[:, 3] < rows[:, 1]).any() and "neighbour_grade" in columns and "force_std" not in columns


SELECTED = [("plain", "grade", True), ("corrected", "grade", False), ("corrected", "force_error_50", True)]


@pytest.mark.parametrize(("name", "field", "has"), SELECTED)
def test_select_writes_no_field_that_is_dearer_than_its_own(name, field, has, lammps, files):
    select = f"fix s all uq/select 1 {field} 0 INF file s.extxyz"
    result = lammps.run(crystal(), HOT, "thermo_style custom step temp pe press", select, "run 1", model=files[name])
    columns = columns_of(ase.io.read(result.folder / "s.extxyz"))
    assert ("force_error" in columns) == ("force_error_95" in columns) == has
    assert "neighbour_grade" in columns and "error_above" not in columns and "force_std" not in columns


def test_a_mean_correction_is_pulled_once_and_only_where_asked(lammps, files):
    more = (
        "compute a all uq/atom force_error error_above 0.1", "compute top all reduce max c_a[*]", "compute g all uq error_above_max 0.2",
        "compute c all uq/atom neighbour_grade", "compute high all reduce max c_c",
        "thermo_style custom step temp pe press c_g c_top[*] c_high", "thermo 5", "run 10", "#snapshot dear",
        "thermo_style custom step temp pe press c_high", "run 10", "#snapshot cheap",
    )  # fmt: skip
    states = lammps.run(crystal(), "fix move all nve", *more, pair=TORCH, model=files["corrected"]).snapshots
    assert states["dear"]["asked"]["correction"] == states["cheap"]["asked"]["correction"] == 3
    assert states["dear"]["asked"]["error_above"] == 6 and states["dear"]["asked"]["force_error"] == 3
    late = ("thermo_style custom step temp pe press", "run 0", "compute uq all uq/atom force_error", "#snapshot late")
    text = lammps.fails(crystal(), *late, model=files["corrected"])
    assert "bars made of the mean correction were asked for on step 0, but nothing had asked for them" in text


# ---- errors ---------------------------------------------------------------------------------------------------------------------

NUMBER = "(accepted: a number of 0 or more, eV/Angstrom)"
WORD = "(accepted: error_above:T with T a number of 0 or more, eV/Angstrom)"
LIMIT = "(accepted: a probability, at most 1)"
REFUSED = {
    "compute a all uq/atom error_above": f"Compute uq/atom: error_above needs a threshold behind it {NUMBER}",
    "compute a all uq/atom error_above -0.1": f"Compute uq/atom: the threshold of error_above is -0.1 {NUMBER}",
    "compute a all uq/atom error_above force_error": f"Compute uq/atom: the threshold of error_above is force_error {NUMBER}",
    "compute a all uq/atom error_above nan": f"Compute uq/atom: the threshold of error_above is nan {NUMBER}",
    "compute a all uq/atom error_above 1e400": f"Compute uq/atom: the threshold of error_above is 1e400 {NUMBER}",
    "compute a all uq error_above_max": f"Compute uq: error_above_max needs a threshold behind it {NUMBER}",
    "compute a all uq error_above_tag x": f"Compute uq: the threshold of error_above_tag is x {NUMBER}",
    "compute a all uq error_above 0.5": "Unknown compute uq field error_above (accepted: ",
    "fix a all uq/halt 1 error_above > 0.5": f"Fix uq/halt: the threshold of error_above is > {NUMBER}",
    "fix a all uq/halt 1 error_above 0.5 > 1.5": f"Fix uq/halt: the limit of error_above 0.5 is 1.5 {LIMIT}",
    "fix a all uq/select 1 error_above 0.5 2 INF file x": f"Fix uq/select: the limit of error_above 0.5 is 2 {LIMIT}",
    "fix a all uq/halt 1 error_above 0.5 >": "Illegal fix uq/halt (N field > x",
    "fix a all uq/select 1 error_above -1 0.5 INF file x": f"Fix uq/select: the threshold of error_above is -1 {NUMBER}",
    "fix a all pair 1 mace/uq error_above 0": f"fix pair: the threshold of error_above is missing {WORD}",
    "fix a all pair 1 mace/uq error_above:x 1": f"fix pair: the threshold of error_above is x {WORD}",
}


def test_bad_thresholds_are_refused(lammps, files):
    wrong = [line for command, text in REFUSED.items() for line in (f"#fails {text}", command)]
    lammps.run(crystal(), *wrong, "run 0", n=2, model=files["plain"])


def test_no_threshold_for_other_fields_of_fix_pair(lammps, files):
    text = lammps.fails(crystal(), "fix a all pair 1 mace/uq grade:1 0", "run 0", model=files["plain"])
    assert "cannot extract property grade:1" in text
