# SPDX-License-Identifier: GPL-2.0-or-later
"""Bad input: one clear message, the same on every rank; where the process ends, exit code not 0 and no hang."""

from __future__ import annotations

import pickle
import struct

import pytest
from lammps_cases import PLAIN, TORCH, crystal
from lammps_processes import execute

from lmp_uq import modelfile

RANKS = pytest.mark.parametrize("n", [1, 2])
STYLE = "pair_style mace/uq"


def spoiled_files(folder, models):
    """Files that are no model, by what is wrong with them, and a word of the message."""
    good = models.full.read_bytes()
    torch_zip = models.mace.read_bytes()
    newer = good.replace(b'\\"format_version\\":1', b'\\"format_version\\":9')
    assert newer != good
    contents = {
        "missing": (None, "neither a file nor an embedded model"),
        "empty": (b"", "empty"),
        "truncated": (good[: len(good) // 2], "truncated"),
        "random": (bytes(range(1, 256)) * 8, ""),
        "newer": (newer, "newer lmp-uq"),
        "pickle": (pickle.dumps({"a": 1}), "lmp-uq convert"),
        "torch": (torch_zip, "lmp-uq convert"),
        "json": (struct.pack("<Q", 2) + b"{}", ""),
    }
    for name, (data, _) in contents.items():
        if data is not None:
            (folder / f"{name}.uq").write_bytes(data)
    return {name: word for name, (_, word) in contents.items()}


@RANKS
def test_files_that_are_no_model(n, lammps, models):
    folder = lammps.new_folder()
    for name, word in spoiled_files(folder, models).items():
        text = lammps.fails(crystal(), n=n, folder=folder, model=f"{name}.uq")
        assert "Pair style mace/uq" in text and f"{name}.uq" in text and word in text, (name, text)
        assert "Traceback" not in text, name


KEYWORDS = {
    "unknown keyword": ("pair_style mace/uq colour red", "Unknown pair_style mace/uq keyword colour (accepted: engine, device, precision"),
    "no value": ("pair_style mace/uq device", "keyword device needs a value"),
    "unknown precision": ("pair_style mace/uq precision half", "unknown precision half (accepted: float32, float64, file)"),
    "no members": ("pair_style mace/uq members 0", "members must be 1 or more"),
    "not a number": ("pair_style mace/uq threads many", "many"),
}


@RANKS
@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords(name, n, lammps):
    line, word = KEYWORDS[name]
    assert word in lammps.fails(crystal(), n=n, pair=PLAIN.replace(STYLE, line))


COEFFS = {
    "unknown device": (PLAIN.replace(STYLE, f"{STYLE} device tpu"), "device is 'tpu'; accepted: cpu, cuda"),
    "too many members": (PLAIN.replace(STYLE, f"{STYLE} members 9999"), "members 9999 asked for, the file holds 64"),
    "element not in the file": (PLAIN.replace("Si O", "Si Xe"), "element Xe is not in"),
    "too few elements": (PLAIN.replace("Si O", "Si"), "pair_coeff names 1 elements, the system has 2 atom types"),
    "too many elements": (PLAIN.replace("Si O", "Si O O"), "pair_coeff names 3 elements"),
    "not all types": (PLAIN.replace("* *", "1 1"), "must start with * *"),
    "no pair_coeff": (STYLE, "All pair coeffs are not set"),
}


@RANKS
@pytest.mark.parametrize("name", COEFFS)
def test_pair_coeff(name, n, lammps):
    pair, word = COEFFS[name]
    assert word in lammps.fails(crystal(), "run 0", n=n, pair=pair)


LINES = {
    "compute uq/atom stress": "Unknown compute uq/atom field stress (accepted: energy_std, energy_lower",
    "compute uq/atom": "needs at least one field",
    "compute uq grade_median": "Unknown compute uq field grade_median",
    "compute uq": "needs at least one field",
    "fix uq/halt 10 colour > 1": "Unknown fix uq/halt field colour",
    "fix uq/halt 10 grade < 1": "unknown operator < (accepted: >, >=)",
    "fix uq/halt 0 grade > 1": "N must be 1 or more",
    "fix uq/halt 10 grade > 1 error loud": "unknown error mode loud (accepted: soft, hard)",
    "fix uq/halt 10 grade > 1 colour red": "Unknown fix uq/halt keyword colour",
    "fix uq/halt 10 grade": "fix uq/halt",
    "fix uq/select 10 grade 2 1 file f": "hi must be above lo",
    "fix uq/select 10 grade 1 2 max 5": "needs: file F",
    "fix uq/select 10 grade 1 2 file f max 0": "max must be 1 or more",
}


@RANKS
def test_computes_and_fixes(n, lammps):
    more = []
    for k, (line, word) in enumerate(LINES.items()):
        kind, rest = line.split(maxsplit=1)
        more += [f"#fails {word}", f"{kind} x{k} all {rest}"]
    lammps.run(crystal(), *more, n=n)


@RANKS
def test_fields_that_the_file_does_not_hold(n, lammps, models):
    """A converted model has no posterior; its energies and forces run all the same."""
    more = (
        "#fails field energy_std needs a posterior, which", "compute a all uq/atom energy_std",
        "#fails field grade needs training descriptors", "compute b all uq grade_max",
        "#fails field force_error needs a calibration", "fix h all uq/halt 1 force_error > 1",
        "run 1",
    )  # fmt: skip
    lammps.run(crystal(), *more, n=n, model=models.bare)


@RANKS
def test_settings_of_the_run(n, lammps):
    assert "needs newton pair on" in lammps.fails(crystal(), "run 0", n=n, before="newton off")
    text = lammps.fails(crystal(), "clear", "units real", STYLE, n=n)
    assert "needs units metal (eV, Angstrom, ps), found units real" in text
    assert "needs pair style mace/uq" in lammps.fails(crystal(), "clear", "compute x all uq grade_max", n=n)


def input_file(lammps, atoms, *more, **options):
    folder = lammps.new_folder()
    (folder / "in.run").write_text(lammps.write(folder, atoms, *more, **options))
    return folder


@RANKS
def test_atoms_on_top_of_each_other(n, lammps):
    atoms = crystal((2, 1, 1))
    atoms.positions[5] = atoms.positions[3]
    folder = input_file(lammps, atoms, "run 1")
    done = execute("lmp-uq", "run", "-in", "in.run", ranks=n, folder=folder)
    assert done.code != 0
    assert "are at the same position" in done.text and {"4", "6"} <= set(done.text.replace(",", " ").split())


SABOTAGE = """
import sys
from mpi4py import MPI
import numpy as np
from lmp_uq.run.engine import Engine
from lmp_uq.run.launcher import run

plain, calls = Engine.evaluate, [0]

def spoiled(self, *arguments, **keywords):
    plain(self, *arguments, **keywords)
    energies, edge_gradients = arguments[1:3]
    calls[0] += 1
    if calls[0] == 3 and MPI.COMM_WORLD.rank == MPI.COMM_WORLD.size - 1:
        {damage}

Engine.evaluate = spoiled
sys.exit(run(["-in", "in.run"]))
"""
DAMAGE = {
    "exception": ("raise RuntimeError('layer 3 exploded')", "layer 3 exploded"),
    "nan energy": ("energies[0] = np.nan", "is not a finite number"),
    "infinite force": ("edge_gradients[0, 0] = np.inf", "is not a finite number"),
}


@RANKS
@pytest.mark.parametrize("name", DAMAGE)
def test_a_model_that_fails_on_one_rank_ends_all(name, n, lammps):
    damage, word = DAMAGE[name]
    folder = input_file(lammps, crystal((2, 1, 1)), "fix f all nve", "run 50", pair=TORCH)
    (folder / "spoiled.py").write_text(SABOTAGE.format(damage=damage))
    done = execute("python", "spoiled.py", ranks=n, folder=folder)
    assert done.code != 0
    assert word in done.text and "on step 2" in done.text


@pytest.mark.parametrize("pair", [PLAIN, TORCH], ids=["native", "torch"])
def test_folders_of_potentials(lammps, models, tmp_path, pair):
    """LAMMPS_POTENTIALS is searched by the pair style, and the error names its folders, in the words of Python."""
    (tmp_path / "far.uq").symlink_to(models.full)
    folder = input_file(lammps, crystal(), "run 0", model="far.uq", pair=pair)
    found = execute("lmp-uq", "run", "-in", "in.run", folder=folder, LAMMPS_POTENTIALS=f"/nowhere:{tmp_path}")
    assert found.code == 0 and "force_error" in found.text
    done = execute("lmp-uq", "run", "-in", "in.run", folder=folder, LAMMPS_POTENTIALS="/nowhere::/there")
    known = f"embedded models: {', '.join(modelfile.embedded_models())}; folders of LAMMPS_POTENTIALS: /nowhere, /there"
    assert f"far.uq: neither a file nor an embedded model; {known}" in done.text


def test_exit_code_of_a_bad_file(lammps):
    folder = input_file(lammps, crystal(), "run 0", model="nowhere.uq")
    for n in (1, 2):
        done = execute("lmp-uq", "run", "-in", "in.run", ranks=n, folder=folder)
        assert done.code != 0 and done.text.count("neither a file nor an embedded model") <= 2
        assert "nowhere.uq" in done.text
