# SPDX-License-Identifier: GPL-2.0-or-later
"""compute uq/linear gives what Python gives, on any number of ranks, and refuses descriptors of another potential."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from lammps_cases import write_data
from lammps_processes import LammpsError, Ranks
from linear_example import ZBL, crystal, labelled, parameter_file

from lmp_uq import modelfile
from lmp_uq.backbone import backbone_of_file
from lmp_uq.backbone.snap import lammps_cell
from lmp_uq.backbone.snap_settings import SnapSettings
from lmp_uq.export import export
from lmp_uq.fit import FitOptions, fit
from lmp_uq.posterior import Box, Novelty
from lmp_uq.posterior.features import append_bias

ELEMENTS = ("W", "Be")
FIELDS = ("energy_std", "energy_lower", "energy_upper", "grade", "force_std", "force_std_x", "force_std_y", "force_std_z")


class Potential:
    """A small fitted potential, its exported files, and a crystal that LAMMPS can read."""

    def __init__(self, folder, quadratic):
        self.folder = folder
        frames = labelled("bulk", 30, 1, ELEMENTS) + labelled("hot", 10, 2, ELEMENTS, rattle=0.2)
        ase.io.write(folder / "train.xyz", frames, format="extxyz")
        ase.io.write(folder / "calibration.xyz", labelled("dense", 12, 3, ELEMENTS, strain=0.05), format="extxyz")
        parameters = parameter_file(folder, twojmax=2, quadraticflag=quadratic)
        given = {"elements": ("W:0.5:1.0", "Be:0.42:0.96"), "reference": ZBL, "n_members": 16, "progress": False, "leverage_floor": 1e-2}
        data = (str(folder / "train.xyz"),)
        fit(FitOptions(f"snap:{parameters}", data, str(folder / "x.uq"), calibration=(str(folder / "calibration.xyz"),), **given))
        export(str(folder / "x.uq"), str(folder / "pot"))
        self.file = modelfile.read(folder / "x.uq")
        self.settings = SnapSettings.from_header(self.file.header["backbone"]["architecture"], ELEMENTS)
        atoms = crystal(11, size=(2, 2, 3), elements=ELEMENTS)
        cell, _, positions = lammps_cell(atoms, 4.6)
        atoms.set_cell(cell)
        atoms.positions = positions
        self.atoms = atoms
        write_data(folder / "system.data", atoms, ELEMENTS)

    def script(self, b="", db="", command="", pot="pot", fields=FIELDS):
        arguments = self.settings.compute_arguments()
        command = command or f"{self.folder}/x.uq c_b[*] gradient c_db[*] {' '.join(fields)}"
        return f"""
units metal
atom_modify map array
box tilt large
read_data {self.folder}/system.data
include {self.folder}/{pot}.in
compute b all {b or f"sna/atom {arguments}"}
compute db all {db or f"snad/atom {arguments}"}
compute uq all uq/linear {command}
compute tot all uq/linear {self.folder}/x.uq c_b[*] energy_std
compute sums all reduce sum c_uq[*]
thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_sums[*] c_tot[*]
thermo 5
run 0
#snapshot first
velocity all create 300 1234 loop geom
fix move all nve
run 10
#snapshot last
"""


@pytest.fixture(scope="module", params=[0, 1], ids=["linear", "quadratic"])
def potential(request, tmp_path_factory):
    return Potential(tmp_path_factory.mktemp("potential"), request.param)


@pytest.fixture(scope="module")
def lammps(tmp_path_factory):
    """Runs a script on n ranks that stay; in the place of the session's, which run a MACE model."""
    started, folder = {}, tmp_path_factory.mktemp("ranks")

    def run(script, n=1):
        if n not in started:
            started[n] = Ranks(n, folder)
        return started[n].run(script, tmp_path_factory.mktemp("run")).snapshots

    yield run
    for processes in started.values():
        processes.stop()
    for processes in started.values():
        processes.join()


@pytest.fixture(scope="module")
def run(lammps):
    return lammps


def expected(potential, positions):
    """Fields (n, 8) and totals of Python for atoms at these positions."""
    atoms = potential.atoms.copy()
    atoms.positions = positions
    found = backbone_of_file(potential.file).evaluate_frame(atoms)
    box, novelty = (kind.from_tensors(potential.file.section(name)) for kind, name in ((Box, "posterior"), (Novelty, "grade")))
    features = append_bias(found.descriptors, found.species, "element", 2)
    theta, n_members = potential.file.tensors["backbone/coefficients"], 16
    energies, bounds = features @ theta, box.bounds(features, n_members)
    rows = np.hstack([found.force_rows, np.zeros((len(found.force_rows), 2))])
    forces = box.rms(rows).reshape(-1, 3)
    columns = [box.rms(features), energies + bounds[0], energies + bounds[1], novelty.grade(found.descriptors, found.species)]
    columns += [np.linalg.norm(forces, axis=1), *forces.T]
    total = features.sum(axis=0)
    bounds, factor = box.bounds(total, n_members), potential.file.header["calibration"]["energy_error"]["factor"]
    totals = [box.rms(total), energies.sum() + bounds[0], energies.sum() + bounds[1], factor * box.rms(total)]
    return np.array(columns).T, np.array(totals)


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


def error_of(run, script, n=1):
    with pytest.raises(LammpsError) as failure:
        run(script, n)
    assert len(set(failure.value.texts)) == 1
    return failure.value.texts[0]


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
    "no file": ("none.uq c_b[*] grade", "none.uq: no such file"),
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


@pytest.mark.parametrize("name", COMMANDS)
def test_bad_commands(potential, run, name):
    command, text = (part.replace("{x}", f"{potential.folder}/x.uq") for part in COMMANDS[name])
    assert text in error_of(run, potential.script(command=command))


def test_a_file_without_members_or_posterior(potential, run, tmp_path):
    header, tensors = dict(potential.file.header), dict(potential.file.tensors)
    header["posterior"] = header["posterior"] | {"n_members": 0}
    tensors["posterior/members"] = tensors["posterior/members"][:0]
    modelfile.write(tmp_path / "none.uq", header, tensors)
    assert "holds no members" in error_of(run, potential.script(command=f"{tmp_path}/none.uq c_b[*] grade energy_std"))
    header |= {"posterior": None}
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
    expected = "holds a linear potential, which pair_style snap runs: lmp-uq export writes its files, compute uq/linear gives its bars"
    assert expected in error_of(run, script.replace("read_data", "box tilt large\nread_data"))
