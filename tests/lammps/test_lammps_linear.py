# SPDX-License-Identifier: GPL-2.0-or-later
"""compute uq/linear gives what Python gives, on any number of ranks, and refuses descriptors of another potential."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lammps_processes import execute
from linear_example import TWO, parameter_file
from linear_lammps import Potential, error_of, expected, refused_in_other_units, runner

from lmp_uq import modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.posterior import Box
from lmp_uq.recipes.export import export


@pytest.fixture(scope="module", params=[0, 1], ids=["linear", "quadratic"])
def potential(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("potential")
    return Potential(folder, f"snap:{parameter_file(folder, twojmax=2, quadraticflag=request.param)}", TWO)


@pytest.fixture(scope="module")
def lammps(tmp_path_factory):
    yield from runner(tmp_path_factory)


@pytest.fixture(scope="module")
def run(lammps):
    return lammps


@pytest.mark.parametrize("n", [1, 2, 4])
def test_fields_are_those_of_python(potential, run, n):
    for name, state in run(potential.script(), n).items():
        fields, totals = expected(potential, state["x"])
        # bispectrum components of hundreds, summed over neighbours in another order
        scale = np.abs(fields).max(axis=0)
        assert np.abs((state["uq"] - fields) / scale).max() < 1e-9, name
        assert np.allclose(state["tot"], totals, rtol=1e-9), name
        assert (state["uq"][:, 0] > 0).all() and (state["uq"][:, 4] > 0).any()


@pytest.mark.parametrize("n", [1, 2])
def test_bars_of_the_stress(potential, run, n):
    virial = f"compute v all snav/atom {potential.settings.compute_arguments()}\n"
    script = potential.script().replace("compute tot", virial + "compute tot")
    script = script.replace("x.uq c_b[*] energy_std", "x.uq c_b[*] virial c_v[*] energy_std")
    for state in run(script, n).values():
        atoms = potential.atoms.copy()
        atoms.positions = state["x"]
        rows = backbone_of_file(potential.file).evaluate_frame(atoms).virial_rows
        rows = np.array([rows[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))])
        box = Box.from_tensors(potential.file.section("posterior"))
        bars = box.rms(np.hstack([rows, np.zeros((6, 2))])) / atoms.get_volume() * state["nktv2p"]
        assert len(state["tot"]) == 10 and np.allclose(state["tot"][4:], bars, rtol=1e-8)
        assert np.allclose(state["tot"][:4], expected(potential, state["x"])[1], rtol=1e-9)


def test_forces_and_energy_are_those_of_theta(potential, run):
    first = run(potential.script())["first"]
    found = backbone_of_file(potential.file).evaluate_frame(potential.atoms)
    assert first["energy"] == pytest.approx(found.energy, abs=1e-9)
    # the check of the forces has put them back
    assert np.abs(first["f"] - found.forces).max() < 1e-10 * np.abs(found.forces).max()


def test_atoms_outside_the_group_have_zeros_and_the_total_has_all(potential, run):
    script = potential.script().replace("compute uq all", "group some id 1:10\ncompute uq some")
    script = script.replace("compute tot all", "compute tot some")
    first = run(script)["first"]
    fields, totals = expected(potential, first["x"])
    assert not first["uq"][10:].any() and np.allclose(first["uq"][:10, 0], fields[:10, 0], rtol=1e-9)
    assert np.allclose(first["tot"], totals, rtol=1e-9)


# --- refusals -------------------------------------------------------------------------------------------------


def test_exported_files_say_their_units(potential, run):
    assert refused_in_other_units(potential, run)


def flags(potential, **changes):
    """Arguments of compute sna/atom with some flags changed."""
    words = potential.settings.compute_arguments().split()
    for name, value in changes.items():
        if name == "swap":
            words[3:5], words[5:7] = words[4:2:-1], words[6:4:-1]
        elif name == "rfac0":
            words[1] = value
        else:
            words[words.index(name) + 1] = value
    return " ".join(words)


@pytest.mark.parametrize("n", [1, 2])
def test_the_flag_that_differs_is_named(potential, run, n):
    text = error_of(run, potential.script(b=f"sna/atom {flags(potential, bzeroflag='1')}"), n)
    assert "bzeroflag is 1 in the compute, 0 in the file; accepted: compute ID all sna/atom" in text
    assert potential.settings.compute_arguments() in text  # the line to write, as Python states it


def test_wrong_quadraticflag_is_seen_from_the_columns(potential, run):
    has = potential.settings.parameters["quadraticflag"]
    text = error_of(run, potential.script(b=f"sna/atom {flags(potential, quadraticflag=str(1 - has))}"))
    assert f"(quadraticflag {1 - has} there, {has} in the file)" in text
    text = error_of(run, potential.script(db=f"snad/atom {flags(potential, quadraticflag=str(1 - has))}"))
    assert "compute db has" in text and f"(quadraticflag {1 - has} there, {has} in the file)" in text


def test_other_settings_are_seen_from_the_energy_or_the_forces(potential, run):
    for changes in ({"rfac0": "0.98"}, {"switchflag": "0"}, {"swap": True}):
        text = error_of(run, potential.script(b=f"sna/atom {flags(potential, **changes)}"))
        assert "neither bzeroflag nor the order of types alone explains it" in text, changes
        text = error_of(run, potential.script(db=f"snad/atom {flags(potential, **changes)}"))
        assert "Theta times compute db differs by" in text and "accepted: compute ID all snad/atom" in text, changes


def test_types_in_another_order(potential, run):
    command = f"{potential.folder}/x.uq c_b[*] elements Be W energy_std grade"
    assert "the pair style has the types in another order, elements W Be" in error_of(run, potential.script(command=command))


def test_a_member_in_place_of_the_mean(potential, run):
    export(str(potential.folder / "x.uq"), str(potential.folder / "member"), 5)
    assert "the pair style runs member 5, not the mean" in error_of(run, potential.script(pot="member"))


COMMANDS = {
    "no file": ("none.uq c_b[*] grade", "none.uq: neither a file nor an embedded model"),
    "no columns": ("{x} b grade", "the descriptors of {x} are b; accepted: c_ID[*]"),
    "no compute": ("{x} c_q[*] grade energy_std", "there is no compute q; accepted: compute ID all sna/atom"),
    "no field": ("{x} c_b[*]", "needs a *.uq file, the columns c_ID[*] of a compute and a field"),
    "unknown field": ("{x} c_b[*] force_error", "Unknown compute uq/linear field or keyword force_error (accepted: energy_std"),
    "no gradient": ("{x} c_b[*] grade force_std", "force_std needs the keyword gradient"),
    "unknown element": ("{x} c_b[*] elements W Mo grade energy_std", "element Mo is not in {x} (accepted: W Be; NULL for none)"),
    "too few elements": ("{x} c_b[*] elements W", "keyword elements needs an element (or NULL) for each atom type"),
    "no such pair style": ("{x} c_b[*] pair pace grade energy_std", "there is no pair style pace to compare energies with"),
    "another family": (str(modelfile.resolve("nbmotaw")) + " c_b[*] grade", "holds a model of family mace; accepted: snap"),
}


def test_lammps_is_told_of_the_memory(potential, tmp_path):
    """One compute uq/linear more: its posterior and grade."""

    def megabytes(script):
        (tmp_path / "in.run").write_text(script)
        text = execute("lmp-uq", "run", "-in", "in.run", folder=tmp_path).text
        return float(re.search(r"allocation \(min/avg/max\) = (\S+) ", text)[1])

    script = potential.script()
    less = script.replace("compute tot", "#compute tot").replace(" c_tot[*]", "")
    held = sum(array.nbytes for name, array in potential.file.tensors.items() if name.startswith(("posterior/members", "grade/")))
    more = (megabytes(script) - megabytes(less)) * 2**20
    assert 0.9 * held < more < 20 * held + 2**17


def test_a_file_in_a_folder_of_potentials(potential, tmp_path):
    (tmp_path / "in.run").write_text(potential.script(command="far.uq c_b[*] energy_std grade"))
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "far.uq").symlink_to(potential.folder / "x.uq")
    done = execute("lmp-uq", "run", "-in", "in.run", folder=tmp_path, LAMMPS_POTENTIALS=str(tmp_path / "far"))
    assert done.code == 0, done.text


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_commands(potential, run, name):
    command, text = (part.replace("{x}", f"{potential.folder}/x.uq") for part in COMMANDS[name])
    assert text in error_of(run, potential.script(command=command))


def test_a_file_without_members_or_posterior(potential, run, tmp_path):
    header, tensors = potential.file.header.to_dict(), dict(potential.file.tensors)
    header["posterior"] = header["posterior"] | {"n_members": 0}
    tensors["posterior/members"] = tensors["posterior/members"][:0]
    modelfile.write(tmp_path / "none.uq", header, tensors)
    assert "holds no members" in error_of(run, potential.script(command=f"{tmp_path}/none.uq c_b[*] grade energy_std"))
    header |= {"posterior": None, "calibration": None}  # a bar may be made of the posterior's mean correction
    kept = {name: array for name, array in tensors.items() if not name.startswith("posterior/")}
    modelfile.write(tmp_path / "bare.uq", header, kept)
    script = potential.script(command=f"{tmp_path}/bare.uq c_b[*] grade energy_std")
    assert "has no posterior: lmp-uq fit writes one" in error_of(run, script)


def test_a_compute_of_a_group_or_of_no_atoms(potential, run):
    script = potential.script().replace("compute b all", "group some id 1:10\ncompute b some")
    assert "compute b is not of group all" in error_of(run, script)
    assert "compute b has no per-atom values" in error_of(run, potential.script(b="pe"))


def test_check_no_leaves_the_user_alone(potential, run):
    command = f"{potential.folder}/x.uq c_b[*] check no energy_std grade"
    script = potential.script(command=command, b=f"sna/atom {flags(potential, bzeroflag='1')}")
    script = script.replace("c_b[*] energy_std\n", "c_b[*] check no energy_std\n")
    assert np.isfinite(run(script)["first"]["uq"]).all()


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_pair_style_mace_uq_refuses_the_file(potential, run, engine):
    script = f"""
units metal
read_data {potential.folder}/system.data
pair_style mace/uq engine {engine}
pair_coeff * * {potential.folder}/x.uq W Be
"""
    expected = "holds a linear potential, which a pair style of LAMMPS runs: lmp-uq export writes its files"
    assert expected in error_of(run, script.replace("read_data", "box tilt large\nread_data"))


# --- commands between runs ------------------------------------------------------------------------------------


ASK = 'print "$(c_sums[1]) $(c_tot[1])"'


@pytest.mark.parametrize("n", [1, 2])
def test_values_follow_their_atoms(potential, run, n):
    """LAMMPS keeps columns of the last step; write_data puts atoms on other ranks and in another order."""
    moved = potential.script().replace("create 300", "create 3000").replace("run 10\n", "neigh_modify delay 100\nrun 40\n")
    before, after = (run(moved.replace("#snapshot last", f"{line}\n#snapshot last"), n)["last"] for line in ("", "write_data a.data"))
    assert np.array_equal(before["uq"], after["uq"]) and np.array_equal(before["tot"], after["tot"])


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("group some id 2:4\ndelete_atoms group some compress no", "there were"),
        ("displace_atoms all random 0.1 0.1 0.1 7", "positions"),
        ("change_box all x scale 1.01 remap", "the box"),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_atoms_changed_between_runs(command, what, potential, run, n):
    """Neighbours that LAMMPS found before would give values of no configuration at all."""
    fails = f"#fails atoms changed since the last run ({what}"
    run(f"{potential.script()}{command}\n{fails}\n{ASK}\nrun 0\n{ASK}\n", n)


def test_not_evaluated_before_atoms_were_moved_in_memory(potential, run):
    """sna/atom would look at neighbours of the old order."""
    lazy = potential.script().replace("thermo 5\n", "thermo_style custom step\nthermo 1000\n").replace("run 10\n#snapshot last", "run 5")
    lazy = lazy.replace("#snapshot first\n", "").replace("create 300", "create 3000")
    run(f"{lazy}write_data a.data\n#fails atoms changed since the last run (their order, ranks or ghosts)\n{ASK}\n", 2)


@pytest.mark.parametrize(("gone", "then"), [("uncompute b", 'print "$(c_tot[1])"'), ("uncompute b", "run 1"), ("uncompute db", "run 1")])
def test_its_descriptors_are_gone(gone, then, potential, run):
    assert "there is no compute" in error_of(run, f"{potential.script()}{gone}\n{then}\n")


@pytest.mark.parametrize("n", [1, 2])
def test_excluded_atoms_are_what_the_pair_style_makes_of_them(potential, run, n):
    """Isolated atoms, in the energy and in the descriptors alike: the check at set-up passes. The others are as without them."""
    script = potential.script().replace("thermo 5\nrun 0", "{}\nthermo 5\nrun 0")
    last = len(potential.atoms)
    group = f"group out id {last}\n"
    excluded = run(script.format(group + "neigh_modify exclude group out all"), n)["first"]
    deleted = run(script.format(group + "delete_atoms group out compress no"), n)["first"]
    assert np.allclose(excluded["uq"][:-1], deleted["uq"], rtol=1e-9, atol=1e-9)
    assert not excluded["uq"][-1, 4:].any() and excluded["uq"][-1, 0] > 0
