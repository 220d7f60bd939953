# SPDX-License-Identifier: GPL-2.0-or-later
"""Radial tables and the model file in LAMMPS: one copy for the ranks of a node, one rank that reads, and what is said of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import ase
import numpy as np
import pytest
from lammps_cases import HOT, PLAIN, crystal, with_engine
from lammps_processes import BIN, environment, execute

ELEMENTS = ("Nb", "Mo", "Ta", "W")
ONE_COPY, OWN_COPIES = "one copy for {} ranks of a node", "on each rank, because LMP_UQ_SHARED_TABLES is no"
DUMP = """
compute pe all pe/atom
dump d all custom 1 dump.out id fx fy fz c_pe
dump_modify d sort id format float %.17g
run 0
"""


def dimers(n=216):
    """Pairs of atoms, alone, at distances from 1.3 to 3.4 Angstrom: an atom has one neighbour, so that no sum depends on an order."""
    rng = np.random.default_rng(0)
    middles = 8.0 * np.stack(np.meshgrid(*[np.arange(6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n] + 4.0
    half = np.linspace(0.65, 1.7, n)[:, None] * np.array([1.0, 0.0, 0.0])
    positions = np.concatenate([middles - half, middles + half])
    return ase.Atoms(rng.choice(["Si", "O"], 2 * n), positions, cell=[48.0] * 3, pbc=True)


@pytest.fixture(scope="module")
def run_dimers(lammps):
    def run(ranks, pair=PLAIN, **changes):
        """Lines of the dump, log."""
        folder = lammps.new_folder()
        (folder / "in.run").write_text(lammps.write(folder, dimers(), DUMP, pair=pair))
        ended = execute("lmp-uq", "run", "-in", "in.run", ranks=ranks, folder=folder, **changes)
        assert ended.code == 0, ended.text
        return (folder / "dump.out").read_text().splitlines()[9:], (folder / "log.lammps").read_text()

    return run


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_tables_have_the_same_bits_on_any_number_of_ranks_shared_or_not(precision, run_dimers):
    pair = PLAIN.replace("mace/uq", f"mace/uq precision {precision}", 1)
    expected, log = run_dimers(1, pair)
    assert len(expected) == 432 and re.search(r"mace/uq: radial tables of 2 elements: [0-9.]+ MB\n", log)
    for ranks in (2, 4):
        for changes, said in (({}, ONE_COPY.format(ranks)), ({"LMP_UQ_SHARED_TABLES": "no"}, OWN_COPIES)):
            found, log = run_dimers(ranks, pair, **changes)
            assert found == expected
            assert len(re.findall(f"radial tables of 2 elements: [0-9.]+ MB.*{said}", log)) == 1


@pytest.fixture(scope="module")
def failing_window(tmp_path_factory) -> str:
    """A library to be preloaded."""
    library = tmp_path_factory.mktemp("preload") / "failing_window.so"
    source = Path(__file__).parents[1] / "failing_window.c"
    headers = (BIN / "mpiexec").resolve().parents[1] / "include"
    subprocess.run([os.environ.get("CC") or "cc", "-shared", "-fPIC", f"-I{headers}", source, "-o", library], check=True)
    return str(library)


def test_mpi_makes_no_window(run_dimers, failing_window):
    """On one rank of a node: each has its own tables, to the same bits."""
    preload = f"{os.environ.get('LD_PRELOAD', '')} {failing_window}"  # a sanitizer's library comes first
    (expected, _), (found, log) = run_dimers(2), run_dimers(2, LD_PRELOAD=preload)
    assert found == expected
    assert len(re.findall("radial tables of 2 elements: [0-9.]+ MB on each rank, because MPI makes no shared window\n", log)) == 1


ROOM = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=8m tmpfs /dev/shm && exec "$@"', "sh"]
FILE_SIZE = ["prlimit", "--fsize=6000000"]
"""MPI's own files are within it, at 4 MB, tables of 12 MB are not."""


@pytest.mark.parametrize(
    ("limited", "program", "why"),
    [
        (FILE_SIZE, ["lmp"], r"files are limited to less than \d+ MB \(ulimit -f\)"),
        (FILE_SIZE, ["lmp-uq", "run"], r"files are limited to less than \d+ MB \(ulimit -f\)"),
        (ROOM, ["lmp"], r"/dev/shm has no \d+ MB left"),
    ],
)
def test_no_room_for_a_window(limited, program, why, lammps):
    """Either would end the process where a window is made or written, without a word."""
    if subprocess.run([*limited, "true"], capture_output=True).returncode != 0:
        pytest.skip(f"{limited[0]} is not permitted here")
    folder, atoms = lammps.new_folder(), dimers()
    atoms.symbols = np.resize(ELEMENTS, len(atoms))
    pair = f"pair_style mace/uq precision float64\npair_coeff * * nbmotaw {' '.join(ELEMENTS)}"
    (folder / "in.run").write_text(lammps.write(folder, atoms, DUMP, pair=pair, elements=ELEMENTS))
    found = []
    for start, said in (([], "one copy for 2 ranks"), (limited, f"on each rank, because {why}")):
        command = [*start, BIN / "mpiexec", "-n", "2", BIN / program[0], *program[1:], "-in", "in.run"]
        ended = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=200)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert len(re.findall(f"radial tables of 4 elements: 1[0-9.]+ MB.*{said}", (folder / "log.lammps").read_text())) == 1
        found.append((folder / "dump.out").read_text())
    assert len(found[0].splitlines()) > len(atoms) and found[0] == found[1]


def test_shared_tables_are_counted_once(run_dimers):
    """Memory of all ranks together: less than that of as many copies, by the tables of all ranks but one."""

    def total(log, ranks):
        return float(re.search(r"\(min/avg/max\) = \S+ \| (\S+) \| \S+ Mbytes", log)[1]) * ranks * 2.0**20

    (_, shared), (_, private) = (run_dimers(4, **changes) for changes in ({}, {"LMP_UQ_SHARED_TABLES": "no"}))
    tables = 1e6 * float(re.search(r"radial tables of 2 elements: ([0-9.]+) MB", shared)[1])
    np.testing.assert_allclose(total(private, 4) - total(shared, 4), 3.0 * tables, rtol=0.1)


def test_windows_are_freed_with_the_model(lammps):
    """By another model, pair style and clear, on two ranks: a rank that did not free would leave the other waiting."""
    file = f"pair_coeff * * {lammps.models.full} "
    again = [file + "Si O", "run 1", "pair_style mace/uq precision float32", file + "O Si", "run 1"]
    cleared = ["pair_style zero 3.5", "pair_coeff * *", "run 1", "clear", "units metal", "atom_modify map array", "read_data system.data"]
    log = lammps.run(crystal((2, 1, 1)), HOT, "run 1", *again, *cleared, "pair_style mace/uq", *again, n=2).log
    assert log.count("one copy for 2 ranks of a node") == 5


@pytest.mark.parametrize("ranks", [1, 2])
def test_tables_that_do_not_fit(ranks, lammps):
    """Said before they are made, once, and the same on every rank."""
    folder = lammps.new_folder()
    (folder / "in.run").write_text(lammps.write(folder, crystal(), "run 0"))
    ended = execute("lmp-uq", "run", "-in", "in.run", ranks=ranks, folder=folder, LMP_UQ_TABLES_MB="0.25")
    message = (
        r"radial tables of 2 elements need about \d+ MB, and this node has 0 MB of memory left; name fewer elements in pair_coeff, "
        "NULL for types that take no part"
    )
    assert ended.code != 0 and len(re.findall(message, ended.text)) == 1
    assert "radial tables of 2 elements:" not in ended.text


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_one_rank_reads_the_file(engine, lammps, models):
    """The other has no such file where it runs."""
    folder = lammps.new_folder()
    (folder / "elsewhere").mkdir()
    shutil.copy(models.full, folder / "model.uq")
    (folder / "in.run").write_text(lammps.write(folder, crystal(), "run 0", pair=with_engine(engine).format(model="model.uq")))
    for name in ("in.run", "system.data"):
        shutil.copy(folder / name, folder / "elsewhere")
    program = [str(BIN / "lmp-uq"), "run", "-in", "in.run"]
    places = (["-wdir", str(place), "-n", "1", *program] for place in (folder, folder / "elsewhere"))
    command = [str(BIN / "mpiexec"), *next(places), ":", *next(places)]
    options = {"cwd": folder, "env": environment(), "capture_output": True, "text": True, "timeout": 200}
    ended = subprocess.run(command, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # and the other way round there is one error
    (folder / "model.uq").rename(folder / "elsewhere/model.uq")
    ended = subprocess.run(command, **options)
    assert ended.returncode != 0 and (ended.stdout + ended.stderr).count("model.uq: neither a file nor an embedded model") == 1
