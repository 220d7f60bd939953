# SPDX-License-Identifier: GPL-2.0-or-later
"""compute uq/linear on the columns of other computes than SNAP's: what Python gives, and refusals that name what is wrong."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from lammps_processes import LammpsError, execute
from linear_example import TWO, ZBL, compute_file, pod_lines, settings_of, sna_lines
from linear_lammps import ELEMENTS, FIELDS, Potential, error_of, expected, refused_in_other_units, runner

from lmp_uq import modelfile
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.errors import UqError
from lmp_uq.recipes.export import export


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """Proper orthogonal descriptors, which pair style pod runs."""
    folder = tmp_path_factory.mktemp("pod")
    return Potential(folder, compute_file(folder, pod_lines(folder)))


@pytest.fixture(scope="module")
def sna(tmp_path_factory):
    """Bispectrum components by a *.compute file: no pair style of which files are written."""
    folder = tmp_path_factory.mktemp("sna")
    settings = settings_of(folder, TWO)
    return settings, Potential(folder, compute_file(folder, sna_lines(settings)))


@pytest.fixture(scope="module")
def lammps(tmp_path_factory):
    yield from runner(tmp_path_factory)


@pytest.fixture(scope="module")
def run(lammps):
    return lammps


def script_of_pod(pod, parameters="pot.pod", **options):
    words = f'{pod.folder}/{parameters} "" W Be'
    return pod.script(f"pod/atom {words}", f"podd/atom {words}", **options)


def changed(pod, before, after):
    """Name of the parameter file with a change."""
    (pod.folder / "other.pod").write_text((pod.folder / "pot.pod").read_text().replace(before, after))
    return "other.pod"


def test_fields_of_pod_are_those_of_python(pod, run):
    for name, state in run(script_of_pod(pod)).items():
        fields, totals = expected(pod, state["x"])
        # hundreds of neighbours summed in another order
        assert np.abs((state["uq"] - fields) / np.abs(fields).max(axis=0)).max() < 1e-9, name
        assert np.allclose(state["tot"], totals, rtol=1e-9), name
        assert (state["uq"][:, 0] > 0).all() and (state["uq"][:, 4] > 0).any()


def test_atoms_sorted_and_moved_across_the_box(pod, run):
    """Blocks of compute podd/atom go by atom ID, whatever LAMMPS' own order of the atoms is."""
    script = script_of_pod(pod).replace("atom_modify map array", "atom_modify map array sort 1 2.0")
    more = "neigh_modify every 1 delay 0 check no\ndisplace_atoms all move 1.7 -2.3 0.4 units box"
    script = script.replace("velocity all", f"{more}\nvelocity all")
    state = run(script)["last"]
    fields, totals = expected(pod, state["x"])
    assert np.abs((state["uq"] - fields) / np.abs(fields).max(axis=0)).max() < 1e-9
    assert np.allclose(state["tot"], totals, rtol=1e-9)


def test_pair_style_pod_runs_theta(pod, run):
    first = run(script_of_pod(pod))["first"]
    found = backbone_of_file(pod.file).evaluate_frame(pod.atoms)
    assert first["energy"] == pytest.approx(found.energy, abs=1e-9)
    assert np.abs(first["f"] - found.forces).max() < 1e-10 * np.abs(found.forces).max()


@pytest.mark.parametrize("n", [1, 2, 4])
def test_any_compute_on_any_number_of_ranks(sna, run, n):
    """The fields do not ask what runs the potential: here nothing does, and there is nothing to compare with."""
    settings, potential = sna
    arguments = settings.compute_arguments()
    (potential.folder / "none.in").write_text("pair_style zero 4.7\npair_coeff * *\n")
    command = f"{potential.folder}/x.uq c_b[*] gradient c_db[*] check no {' '.join(FIELDS)}"
    script = potential.script(f"sna/atom {arguments}", f"snad/atom {arguments}", command, "none")
    script = script.replace("c_b[*] energy_std\n", "c_b[*] check no energy_std\n")
    state = run(script, n)["first"]
    fields, totals = expected(potential, state["x"])
    assert np.abs((state["uq"] - fields) / np.abs(fields).max(axis=0)).max() < 1e-9
    assert np.allclose(state["tot"], totals, rtol=1e-9)


def test_a_potential_without_a_pair_style_is_exported_as_a_table(sna, tmp_path):
    _, potential = sna
    written = export(str(potential.folder / "x.uq"), str(tmp_path / "t"))
    assert list(written) == ["coefficients"]
    rows = [line.split() for line in written["coefficients"].read_text().splitlines() if not line.startswith("#")]
    n = len(rows) // 2 - 1
    theta = potential.file.tensors["backbone/coefficients"]
    for k, element in enumerate(ELEMENTS):
        mine = {int(index): float(value) for name, index, value in rows if name == element}
        assert [mine[j] for j in range(n + 1)] == [theta[2 * n + k], *theta[k * n : (k + 1) * n]]
    with pytest.raises(UqError, match="its files cannot be written; accepted: pod without environments"):
        potential.settings.pair_lines("prefix")


def test_a_fit_on_two_ranks(pod, tmp_path):
    """LAMMPS runs on each rank alone: compute pod/atom knows no other."""
    data = ["--data", pod.folder / "train.xyz", "--calibration", pod.folder / "calibration.xyz", "--out", tmp_path / "x.uq"]
    options = ["--reference", *ZBL, "--members", "16", "--leverage-floor", "0.01", "--quiet"]
    backbone = f"compute:{pod.folder}/x.compute"
    ended = execute("lmp-uq", "fit", "--backbone", backbone, *data, *options, ranks=2, folder=tmp_path)
    assert ended.code == 0, ended.text
    # the note about differences is said once
    assert ended.text.count("virial rows are central differences") == 1
    mine, other = (modelfile.read(path).tensors["backbone/coefficients"] for path in (pod.folder / "x.uq", tmp_path / "x.uq"))
    # sums in another order, of normal equations with a condition number of about 1e9
    assert np.abs(mine - other).max() < 1e-5 * np.abs(mine).max()


def test_a_fit_that_ends_early_leaves_no_folders(pod, tmp_path):
    """An error on one rank ends the others where they are."""
    frames = ase.io.read(pod.folder / "train.xyz", ":4")
    frames[-1].symbols[0] = "Fe"
    ase.io.write(tmp_path / "train.xyz", frames, format="extxyz")
    (tmp_path / "temporary").mkdir()
    options = ["--backbone", f"compute:{pod.folder}/x.compute", "--data", tmp_path / "train.xyz", "--out", tmp_path / "x.uq"]
    ended = execute("lmp-uq", "fit", *options, ranks=2, folder=tmp_path, TMPDIR=str(tmp_path / "temporary"))
    assert ended.code != 0 and "elements Fe found; accepted: W, Be" in ended.text
    assert not (tmp_path / "x.uq").exists() and not list((tmp_path / "temporary").glob("lmp-uq-*"))


# --- refusals -------------------------------------------------------------------------------------------------


def test_exported_files_say_their_units(pod, run):
    assert refused_in_other_units(pod, run)


def test_a_member_in_place_of_the_mean(pod, run):
    export(str(pod.folder / "x.uq"), str(pod.folder / "member"), 5)
    assert "the pair style runs member 5, not the mean" in error_of(run, script_of_pod(pod, pot="member"))


def test_another_order_of_types(pod, run):
    script = script_of_pod(pod, command=f"{pod.folder}/x.uq c_b[*] elements Be W energy_std grade")
    assert "the pair style has the types in another order, elements W Be" in error_of(run, script)


def test_other_parameters_are_seen_from_the_energy(pod, run):
    text = error_of(run, script_of_pod(pod, changed(pod, "rcut 4.2", "rcut 4.1")))
    assert "compare the compute's words and files, the order of types and the coefficients" in text
    assert 'accepted: compute ID all pod/atom x.pod "" W Be' in text


def test_columns_of_another_number(pod, run):
    text = error_of(run, script_of_pod(pod, changed(pod, "angular_degree 2", "angular_degree 1")))
    assert "compute b has" in text and 'accepted: compute ID all pod/atom x.pod "" W Be' in text


def test_a_virial_that_no_compute_gives(pod, run):
    script = script_of_pod(pod).replace("x.uq c_b[*] energy_std", "x.uq c_b[*] virial c_b[*] energy_std")
    assert "accepted: compute ID all one that gives the virials as snav/atom does" in error_of(run, script)


def test_gradients_of_moved_atoms_need_their_ids(pod, run):
    script = script_of_pod(pod).replace("compute b all", "group gone id 3\ndelete_atoms group gone compress no\ncompute b all", 1)
    assert "needs one MPI rank and atom IDs from 1 to" in error_of(run, script)


def test_atoms_added_in_a_run(pod, run):
    """compute podd/atom has columns for the atoms there were when it was defined."""
    script = script_of_pod(pod).replace("velocity all", "region spot block 2 3 1 2 1 2 units box\nvelocity all")
    script = script.replace("run 10", "fix more all deposit 1 1 1 1234 region spot near 0.1 attempt 1000\nthermo 1\nrun 10")
    assert "compute db of style podd/atom has no blocks for 25 atoms" in error_of(run, script)


def test_atoms_of_type_null_have_no_bars(sna, run):
    settings, potential = sna
    arguments = settings.compute_arguments()
    (potential.folder / "none.in").write_text("pair_style zero 4.7\npair_coeff * *\n")
    command = f"{potential.folder}/x.uq c_b[*] gradient c_db[*] elements W NULL check no {' '.join(FIELDS)}"
    script = potential.script(f"sna/atom {arguments}", f"snad/atom {arguments}", command, "none")
    uq = run(script.replace("c_b[*] energy_std\n", "c_b[*] check no energy_std\n"))["first"]["uq"]
    null = potential.atoms.symbols == "Be"
    assert not uq[null].any()
    assert (uq[~null, 0] > 0).all() and (uq[~null, 4] > 0).all()


def test_what_lammps_refuses_on_two_ranks_ends_both(pod, run):
    with pytest.raises(LammpsError, match="does not support multi processors"):
        run(script_of_pod(pod), 2)


def test_no_pair_style_stated(sna, run, tmp_path):
    settings, potential = sna
    header = potential.file.header.to_dict()
    header["backbone"] = header["backbone"] | {"architecture": header["backbone"]["architecture"] | {"pair": ""}}
    modelfile.write(tmp_path / "x.uq", header, dict(potential.file.tensors))
    arguments = settings.compute_arguments()
    (potential.folder / "none.in").write_text("pair_style zero 4.7\npair_coeff * *\n")
    script = potential.script(f"sna/atom {arguments}", f"snad/atom {arguments}", f"{tmp_path}/x.uq c_b[*] energy_std grade", "none")
    assert "there is no pair style to compare energies with" in error_of(run, script)
