# SPDX-License-Identifier: GPL-2.0-or-later
"""pair_style mace/uq with the native engine: the numbers of the torch engine, on any number of ranks, and no interpreter."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny_models
from lammps_cases import ASK, DEVICE, FIELDS, HOT, PLAIN, assert_equal, assert_same_state, crystal, half_empty, with_engine
from lammps_processes import execute

BARS = "force_std force_std_x force_std_y force_std_z force_error_50"
TOTALS = "energy_std energy_lower energy_upper stress_std members energy_error force_error_max grade_tag force_std_mean"
ASK_ALL = (
    ASK.replace("uq/atom", f"uq/atom {BARS}").replace("compute tot all uq", f"compute tot all uq {TOTALS}"),
    "run 0",
    "#snapshot end",
)
ASK_PLAIN = ("run 0", "#snapshot end")
LAYOUTS = {
    "brick": (lambda: crystal((2, 2, 1)), {}, ASK_ALL),
    "triclinic and small": (lambda: crystal((1, 1, 1), tilt=True), {}, ASK_ALL),
    "a rank without atoms": (half_empty, {"before": "processors * 1 1"}, ASK_ALL),
    "atoms that migrate": (lambda: crystal((2, 2, 1)), {}, (HOT, *ASK_ALL[:1], "run 20", "#snapshot end")),
}
# the radial functions are tabulated to 1e-8 of their derivatives
TABLES = {"energy": 1e-9, "f": 1e-7, "pe": 1e-8, "va": 1e-6, "pressure": 1e-6, "uq": 1e-6, "tot": 1e-6}


NATIVE = pytest.mark.parametrize("name", ["native", "device"])


def engine(name, more=""):
    return with_engine(f"{name} {more}")


@pytest.fixture(scope="module")
def laid_out(lammps):
    """Function of a layout, an engine and a number of ranks: the final state."""
    known = {}

    def get(layout, name, n):
        if (layout, name, n) not in known:
            make, options, more = LAYOUTS[layout]
            known[layout, name, n] = lammps.state(make(), *more, n=n, pair=engine(name), **options)
        return known[layout, name, n]

    return get


def assert_same_numbers(found, expected, tolerances):
    """Two snapshots agree, each quantity to its own part of its largest magnitude."""
    assert found.keys() == expected.keys()
    for name, relative in tolerances.items():
        columns = np.atleast_2d(np.asarray(expected[name], float).T)
        for k, (mine, wanted) in enumerate(zip(np.atleast_2d(np.asarray(found[name], float).T), columns, strict=True)):
            assert_equal(f"{name} {k}", mine, wanted, relative=relative)


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_native_is_torch(layout, n, laid_out):
    found = laid_out(layout, "native", n)
    assert_same_numbers(found, laid_out(layout, "torch", 1), TABLES)
    assert not found["asked"], "the torch engine was asked"
    assert min(np.ptp(column) for column in found["uq"].T) > 0.0


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_number_of_ranks_gives_the_same(layout, n, laid_out):
    found = laid_out(layout, "native", n)
    assert (0 in [len(tags) for tags in found["tags"]]) == (layout == "a rank without atoms")
    assert_same_state(found, laid_out(layout, "native", 1))


@pytest.mark.parametrize("n", [1, 2, 4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_device_is_the_cpu(layout, n, laid_out):
    assert_same_state(laid_out(layout, "device", n), laid_out(layout, "native", 1))


@pytest.mark.parametrize("name", TABLES)
def test_the_comparison_sees_planted_errors(name, laid_out):
    wrong = copy.deepcopy(laid_out("brick", "native", 1))
    wrong[name] = np.asarray(wrong[name]) * (1.0 + 1e-5)
    with pytest.raises(AssertionError):
        assert_same_numbers(wrong, laid_out("brick", "torch", 1), TABLES)


@NATIVE
def test_single_precision(name, lammps, laid_out):
    found = lammps.state(crystal((2, 2, 1)), *ASK_ALL, n=2, pair=engine(name, "precision float32"))
    expected = laid_out("brick", "torch", 1)
    assert_same_numbers(found, expected, {"energy": 1e-6, "f": 2e-4, "uq": 1e-3, "tot": 1e-3})
    assert found["energy"] != expected["energy"]


@pytest.mark.parametrize("n", [1, 2])
def test_bars_in_single_precision(n, lammps, laid_out):
    """The dear bars alone change, and little: force_error too, which is made of the mean correction in this file."""
    found = lammps.state(crystal((2, 2, 1)), *ASK_ALL, n=n, pair=engine("native", "bars_precision float32"))
    expected = laid_out("brick", "native", 1)
    assert_same_numbers(found, expected, {**TABLES, "uq": 1e-4, "tot": 1e-4})
    dear = [k for k, name in enumerate((*BARS.split(), *FIELDS)) if name.startswith("force")]
    cheap = np.setdiff1d(np.arange(expected["uq"].shape[1]), dear)
    assert_equal("cheap fields", found["uq"][:, cheap], expected["uq"][:, cheap], relative=1e-9)
    assert (found["uq"][:, dear] != expected["uq"][:, dear]).mean() > 0.9


@pytest.mark.parametrize("n", [1, 2])
def test_threads(n, lammps, laid_out):
    found = lammps.state(crystal((2, 2, 1)), *ASK_ALL, n=n, pair=engine("native", "threads 2"))
    assert_same_state(found, laid_out("brick", "native", 1))


@NATIVE
@pytest.mark.parametrize("keywords", ["members 16 conservative yes", "force_members 3", "members 1"])
def test_keywords(keywords, name, lammps):
    native, torch = (lammps.state(crystal(), *ASK_ALL, pair=engine(each, keywords)) for each in (name, "torch"))
    assert_same_numbers(native, torch, TABLES)


@pytest.mark.parametrize("name", ["native", DEVICE])
def test_types_that_take_no_part(name, lammps):
    pair = """pair_style hybrid/overlay mace/uq engine {engine} lj/cut 3.0
pair_coeff * * mace/uq {{model}} Si NULL
pair_coeff * * lj/cut 0.01 2.0"""
    native, torch = (lammps.state(crystal(), *ASK_ALL, n=2, pair=pair.format(engine=each)) for each in (name, "torch"))
    assert_same_numbers(native, torch, TABLES)
    assert not native["uq"][crystal().symbols == "O"].any()


@NATIVE
@pytest.mark.parametrize("n", [1, 2])
def test_no_atoms_at_all(n, name, lammps):
    more = ("compute tot all uq energy_std grade_max stress_std", "thermo_style custom step pe c_tot[*]", "run 2")
    table = lammps.run(crystal(), "delete_atoms group all", *more, n=n, pair=engine(name)).thermo[0]
    assert table["PotEng"].tolist() == [0.0, 0.0]


@pytest.fixture(scope="module")
def mh1(tmp_path_factory):
    """A model like MH-1 with everything: convert, fit and calibrate are the package's own."""
    import ase.io
    import torch
    from conftest import evaluate, labelled_frames

    from lmp_uq import UqCalculator
    from lmp_uq.recipes.convert import convert
    from lmp_uq.recipes.fit import FitOptions, fit

    folder = tmp_path_factory.mktemp("mh1")
    torch.save(tiny_models.mh1_model(), folder / "mh1.model")
    convert(str(folder / "mh1.model"), folder / "bare.uq", head="high")
    calculator = UqCalculator(folder / "bare.uq", engine="native", precision="float64")
    groups = {"train": np.linspace(0.02, 0.15, 24), "cold": np.full(6, 0.06), "hot": np.full(6, 0.2)}
    for seed, (name, rattles) in enumerate(groups.items()):
        ase.io.write(folder / f"{name}.xyz", labelled_frames(lambda atoms: evaluate(atoms, calculator), name, rattles, seed))
    data, cold, hot = (str(folder / f"{name}.xyz") for name in groups)
    options = FitOptions(str(folder / "bare.uq"), (data,), str(folder / "full.uq"), (cold, hot), n_members=16, progress=False)
    fit(options, "made by the tests")
    return folder / "full.uq"


def test_all_bars_of_a_nonlinear_model_on_any_ranks(mh1, lammps):
    get = lambda name, n: lammps.state(crystal((2, 2, 1)), *ASK_ALL, n=n, model=mh1, pair=engine(name))  # noqa: E731
    one = get("native", 1)
    assert_same_numbers(one, get("torch", 1), TABLES)
    assert min(np.ptp(column) for column in one["uq"].T) > 0.0
    for n in (2, 4):
        assert_same_state(get("native", n), one)


# ---- which engine runs ----------------------------------------------------------------------------------------------------------


def test_auto_is_native_and_says_so(lammps):
    assert "native engine" in lammps.run(crystal(), "run 0", pair=engine("auto")).log
    assert "native engine" in lammps.run(crystal(), "run 0", pair=PLAIN).log
    assert "native engine" not in lammps.run(crystal(), "run 0", pair=engine("torch")).log


def converted(folder, **changes):
    """A model file of the tiny model, changed."""
    import torch

    from lmp_uq.recipes.convert import convert

    torch.save(tiny_models.density_model(**changes), folder / "tiny.model")
    convert(str(folder / "tiny.model"), folder / "tiny.uq")
    return folder / "tiny.uq"


@pytest.fixture(scope="module")
def only_torch(tmp_path_factory):
    """A model that the native engine does not run."""
    return converted(tmp_path_factory.mktemp("only_torch"), max_ell=4)


def test_a_model_with_other_radial_functions_and_gate(lammps, tmp_path):
    import torch

    options = {"distance_transform": "Soft", "radial_type": "gaussian", "gate": torch.tanh, "num_interactions": 3, "correlation": [2, 1, 2]}
    model = converted(tmp_path, **options)
    states = [lammps.state(crystal((2, 2, 1)), *ASK_PLAIN, model=model, pair=engine("native"), n=n) for n in (1, 2, 4)]
    expected = lammps.state(crystal((2, 2, 1)), *ASK_PLAIN, model=model, pair=engine("torch"))
    for found in states:
        assert_equal("forces", found["f"], expected["f"], relative=1e-7)
        assert abs(found["energy"] - expected["energy"]) < 1e-9 * abs(expected["energy"])
    for found in states[1:]:
        assert_equal("forces", found["f"], states[0]["f"], relative=1e-10)


def test_auto_falls_back_to_torch_and_names_the_feature(lammps, only_torch):
    result = lammps.run(crystal(), "run 0", "#snapshot end", model=only_torch, pair=engine("auto"), n=2)
    assert "mace/uq: engine torch, because native engine: max_ell is 4; accepted: " in result.log
    expected = lammps.state(crystal(), "run 0", "#snapshot end", model=only_torch, pair=engine("torch"))
    assert_equal("forces", result.snapshots["end"]["f"], expected["f"], relative=1e-10)
    assert "native engine: max_ell is 4" in lammps.fails(crystal(), "run 0", model=only_torch, pair=engine("native"), n=2)


@pytest.mark.parametrize("keywords", ["members 65", "force_members 65", "quantile learned", "device tpu"])
def test_the_same_refusals(keywords, lammps):
    texts = [lammps.fails(crystal(), "run 0", pair=engine(name, keywords)) for name in ("native", "torch")]
    if "device" not in keywords:
        assert texts[0] == texts[1]
    assert keywords.split()[0].replace("quantile", "learned quantile") in texts[0]


def test_files_that_are_refused(lammps, tmp_path, models):
    content = models.full.read_bytes()
    (tmp_path / "short.uq").write_bytes(content[:-9])
    (tmp_path / "text.uq").write_text("no model\n")
    for file in ("short.uq", "text.uq", "absent.uq"):
        texts = [lammps.fails(crystal(), "run 0", model=tmp_path / file, pair=engine(name), n=2) for name in ("native", "torch", "auto")]
        assert texts[0] == texts[1] == texts[2]
    wrong = engine("native").replace("Si O", "Si Xx")
    assert "element Xx is not in" in lammps.fails(crystal(), "run 0", pair=wrong)
    half = engine("native", "bars_precision half")
    assert "unknown bars_precision half (accepted: float32, same)" in lammps.fails(crystal(), "run 0", pair=half)
    assert "unknown engine jax (accepted: auto, torch, native)" in lammps.fails(crystal(), "run 0", pair=engine("jax"))


def test_restart_keeps_the_engine(lammps):
    folder = lammps.new_folder()
    first = lammps.run(crystal(), "run 0", "#snapshot end", "write_restart r.restart", pair=engine("torch"), folder=folder)
    again = ("clear", "read_restart r.restart", "run 0", "#snapshot end")
    second = lammps.run(crystal(), "run 0", *again, pair=engine("native"), folder=folder)
    assert first.snapshots["end"]["energy"] == second.snapshots["end"]["energy"]


# ---- without Python -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [0, 2])
def test_plain_lmp_needs_no_interpreter(ranks, lammps):
    """No shared libpython may be named, so none can be started; the embedded model is found beside the plugin."""
    folder = lammps.new_folder()
    ask = ("compute g all uq grade_max energy_std stress_std", "thermo_style custom step pe c_g[*]", "run 2")
    pair = engine("native").replace("{model} Si O", "nbmotaw Ta W")
    (folder / "in.run").write_text(lammps.write(folder, crystal(), *ask, pair=pair))
    done = execute("lmp", "-in", "in.run", "-log", "none", ranks=ranks, folder=folder, LMP_UQ_LIBPYTHON="", LMP_UQ_PYTHON="")
    assert done.code == 0 and "Loop time" in done.text and "native engine" in done.text, done.text
    (folder / "in.run").write_text((folder / "in.run").read_text().replace("engine native", "engine torch"))
    done = execute("lmp", "-in", "in.run", "-log", "none", ranks=ranks, folder=folder, LMP_UQ_LIBPYTHON="", LMP_UQ_PYTHON="")
    assert done.code != 0 and "no Python interpreter in this process" in done.text
