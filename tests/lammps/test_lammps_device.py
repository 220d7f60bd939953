# SPDX-License-Identifier: GPL-2.0-or-later
"""pair_style mace/uq device cuda, here on the emulated device: runs, restarts, little memory, and what ends all ranks with one sentence.

That its numbers are the CPU's is asked wherever tests/lammps has more than one engine (`lammps_cases.ENGINES`).
"""

from __future__ import annotations

import re

import ase
import emulated_device
import numpy as np
import pytest
from ase.build import bulk
from emulated_device import noted
from lammps_cases import ASK, DEVICE, HOT, assert_equal, assert_same_state, crystal, half_empty, with_engine
from lammps_processes import execute

ON_DEVICE = with_engine("device")
TOTALS = "energy_std energy_lower energy_upper stress_std members energy_error force_error_max grade_tag force_std_mean"
ASK_ALL = (
    ASK.replace("uq/atom", "uq/atom force_std force_std_x").replace("compute tot all uq", f"compute tot all uq {TOTALS}"),
    "run 0",
    "#snapshot end",
)

# ---- runs -------------------------------------------------------------------------------------------------------------------------


def test_the_log_says_where_it_runs(lammps):
    log = lammps.run(crystal(), "run 0", pair=ON_DEVICE, n=2, machine={"DEVICES": 2}).log
    assert "float64 on cuda:0 (native engine, CUDA)" in log
    assert re.search(r"radial tables of 2 elements: \S+ MB on each rank, because they lie on its device", log)
    log = lammps.run(crystal(), "run 0", pair=with_engine("native device cuda:1"), machine={"DEVICES": 2}).log
    assert "float64 on cuda:1" in log


def test_auto_takes_the_device_that_is_there_and_says_why_not(lammps):
    pair = with_engine("auto device auto")
    assert "float64 on cuda:0" in lammps.run(crystal(), "run 0", pair=pair, machine={}).log
    log = lammps.run(crystal(), "run 0", pair=pair, machine={"DEVICES": 0}).log
    assert "device auto: the CPU, because the NVIDIA driver finds no device" in log and "float64 on cpu (native engine" in log


def test_float64_on_a_chip_that_has_few_units_for_it_is_advised_against(lammps):
    advised = []
    for precision, rate in (("float64", 64), ("float64", 2), ("float32", 64)):
        log = lammps.run(crystal(), "run 0", pair=with_engine(f"device precision {precision}"), machine={"DOUBLE_RATE": rate}).log
        advised.append("emulated device takes 64 times as long for float64 as for float32; precision float32 is advised" in log)
    assert advised == [True, False, False]


@pytest.mark.parametrize("n", [1, 2])
def test_minimisation_and_restart(n, lammps):
    before = (*ASK_ALL[:1], "minimize 0 1e-3 3 9", "run 0", "#snapshot a", "write_restart r.restart")
    after = ("clear", "read_restart r.restart", *ASK_ALL[:1], "run 0", "#snapshot b")
    result = lammps.run(crystal(), *before, *after, pair=with_engine("device force_members 5"), n=n)
    assert_same_state(result.snapshots["b"], result.snapshots["a"])
    assert result.log.count("on cuda:0") == 2
    cpu = lammps.state(crystal(), *before, pair=with_engine("native force_members 5"))
    assert_same_state(result.snapshots["a"], cpu, relative=1e-8)


def demo(device: str, keywords: str) -> tuple:
    """Pair style and lines of a run of the embedded model."""
    pair = f"pair_style mace/uq engine native device {device} {keywords}\npair_coeff * * nbmotaw Mo Ta"
    ask = (
        "velocity all create 1200 4321 loop geom",
        "fix nve all nve",
        "timestep 0.002",
        "compute u all uq energy_std force_error_max grade_max",
        "compute uq all uq/atom force_error grade",
        "thermo_style custom step temp pe pxx pxy c_u[*]",
        "thermo_modify format float %.17g",
        "thermo 1",
        "run 50",
        "#snapshot end",
    )
    return pair, ask


def alloy() -> ase.Atoms:
    """16 atoms, which have their own images for neighbours."""
    atoms = bulk("Mo", "bcc", a=3.2, cubic=True).repeat(2)
    atoms.symbols = np.random.default_rng(5).permutation(np.resize(["Mo", "Ta"], len(atoms)))
    atoms.rattle(0.08, seed=5)
    return atoms


@pytest.mark.parametrize(("keywords", "relative"), [("precision float64", 1e-9), ("precision float32", 2e-4)])
def test_the_embedded_model_is_the_cpu_for_fifty_steps_and_itself_bit_by_bit(keywords, relative, lammps):
    runs = []
    for device in ("cpu", "cuda", "cuda"):
        pair, ask = demo(device, keywords)
        runs.append(lammps.run(alloy(), *ask, pair=pair, elements=("Mo", "Ta")))
    (cpu, *device), states = (run.thermo[0] for run in runs), [run.snapshots["end"] for run in runs]
    for name in cpu:
        assert np.array_equal(device[0][name], device[1][name]), name
        assert_equal(name, device[0][name], cpu[name], relative=relative)
    for name in ("x", "f", "uq"):
        assert np.array_equal(states[1][name], states[2][name]), name
        assert_equal(name, states[1][name], states[0][name], relative=10.0 * relative)
    assert not np.array_equal(states[1]["f"], states[0]["f"]), "the CPU's bits: nothing ran elsewhere"


@pytest.mark.parametrize("n", [1, 2])
def test_chunks_of_a_small_memory_give_the_bits_of_one(n, lammps):
    """A quarter of the memory is what the work space of a chunk may take; the second run says what the first has left."""
    atoms, held = crystal((4, 2, 2)), []
    one, many = (lammps.run(atoms, *ASK_ALL, "run 0", n=n, pair=ON_DEVICE, machine={"MEMORY_MB": size}) for size in (8192, 10))
    for name in ("x", "f", "pe", "va", "uq", "tot"):
        assert np.array_equal(many.snapshots["end"][name], one.snapshots["end"][name]), name
    for result in (one, many):
        held.append(float(re.findall(r"\(min/avg/max\) = \S+ \| \S+ \| (\S+) Mbytes", result.log)[-1]))
    assert held[1] < 0.9 * held[0]


LASTING = (
    "neighbor 2.0 bin",
    "neigh_modify delay 100 every 100 check no",
    "velocity all create 3000 7 loop geom",
    "fix nve all nve",
    "timestep 0.001",
)
"""A neighbour list that is made once, with far more edges than the cutoff leaves."""


@pytest.mark.parametrize("n", [1, 2])
def test_a_list_that_lasts_while_atoms_pass_the_cutoff_and_change_their_type(n, lammps):
    """The edges of each step are found on the device; a recording of its launches must not outlive what it was made with."""
    switch = ("run 4", "set atom 3 type 1", "run 4 pre no")
    more = (*LASTING, *switch, ASK_ALL[0], "thermo 1", "run 6", "#snapshot end")
    cpu, device = (lammps.run(crystal((2, 1, 1)), *more, pair=with_engine(name), n=n) for name in ("native", "device"))
    assert_same_thermo(device, cpu)
    assert_same_state(device.snapshots["end"], cpu.snapshots["end"], relative=1e-8)


def assert_same_thermo(found, expected):
    for before, after in zip(expected.thermo, found.thermo, strict=True):
        for name in before:
            assert_equal(name, after[name], before[name], relative=1e-8)


def test_a_list_whose_pulls_take_several_chunks(lammps):
    """Evaluations would fit into one. Where a chunk's edges begin is of a step alone, so that nothing that knows it is recorded."""
    more = ("neighbor 0.5 bin", *LASTING[1:], ASK_ALL[0], "thermo 1", "run 6")
    pairs = (with_engine(f"{name} force_members 4") for name in ("native", "device"))
    cpu, device = (lammps.run(crystal((4, 2, 1)), *more, pair=pair, machine={"MEMORY_MB": 16}) for pair in pairs)
    assert_same_thermo(device, cpu)


@pytest.mark.parametrize("how", ["", "pre no"])
def test_from_a_device_to_the_cpu_and_back(how, lammps):
    """What the pair style keeps between steps is not the same for both."""
    runs = []
    for other in ("cpu", "cuda"):
        switch = [
            line
            for device in ("cpu", other, "cpu")
            for line in (f"pair_style mace/uq engine native device {device}", f"pair_coeff * * {lammps.models.full} Si O", f"run 2 {how}")
        ]
        runs.append(lammps.run(crystal((2, 1, 1)), *LASTING, "run 2", *switch, pair=with_engine("device"), machine={}))
    assert_same_thermo(runs[1], runs[0])


def asked(lammps, n_steps, precision):
    """Launches, recordings, and bytes to and from the device of a run."""
    folder = lammps.new_folder()
    notes, pair = folder / "notes", with_engine(f"device precision {precision}")
    found = lammps.run(crystal(), *LASTING, f"run {n_steps}", pair=pair, machine={"NOTES": notes}, folder=folder)
    n_sites = len(crystal()) + int(re.search(r"Nghost: +(\d+)", found.log)[1])
    return np.array([sum(noted(notes, kind)) for kind in ("launch", "graph", "to", "from")]), n_sites


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_step_moves_positions_energies_and_forces_alone(precision, lammps):
    """Whatever the list holds: the edges stay where they are found, and a few recordings are all that is launched for the layers."""
    (few, n_sites), (many, _) = asked(lammps, 5, precision), asked(lammps, 15, precision)
    launches, graphs, to_device, from_device = (many - few) / 10
    n_atoms = len(crystal())
    assert to_device <= 24 * n_sites + 16 * n_atoms
    assert from_device <= (24 + 8 + 4) * n_atoms + 100
    assert launches <= 12 and graphs == 4


SOME = """pair_style hybrid/overlay mace/uq engine {engine} members 7 force_members 3 conservative yes lj/cut 5.0
pair_coeff * * mace/uq {{model}} Si O NULL
pair_coeff *2 3 lj/cut 0.02 2.5
pair_coeff 3 3 lj/cut 0.01 3.0"""


@pytest.mark.parametrize(("n", "precision", "relative"), [(1, "float64", 1e-10), (4, "float64", 1e-10), (2, "float32", 1e-4)])
def test_bars_of_some_atoms_by_a_few_members(n, precision, relative, lammps):
    """Argon takes no part; of four ranks one has no atoms."""
    atoms, states = half_empty(), []
    argon = np.array([2, 9, 17, 30])
    atoms.symbols[argon] = "Ar"
    for engine in ("native", DEVICE):
        pair = SOME.format(engine=f"{engine} precision {precision}")
        states.append(lammps.state(atoms, *ASK_ALL, elements=("Si", "O", "Ar"), pair=pair, n=n, before="processors * 1 1"))
    cpu, device = states
    assert_same_state(device, cpu, relative=relative)
    assert np.array_equal(device["uq"][argon], np.zeros((len(argon), device["uq"].shape[1])))
    assert (device["uq"][np.delete(np.arange(len(atoms)), argon)] != 0.0).all()


# ---- what is wrong ----------------------------------------------------------------------------------------------------------------

WRONG = [
    ("cuda:3", {"DEVICES": 2}, "device cuda:3: this machine has cuda:0 to cuda:1"),
    ("cuda", {"DEVICES": 0}, "device cuda: the NVIDIA driver finds no device"),
    ("cuda", {"DRIVER": 0}, "device cuda: no NVIDIA driver (libcuda.so.1) on this machine"),
    ("cuda", {"MEMORY_MB": 1}, "out of device memory: no room for an array of 1 MB, free are 0 MB of 1 MB"),
    ("gpu", {}, "device is 'gpu'; accepted: cpu, cuda, cuda:N or auto"),
]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(("word", "machine", "text"), WRONG, ids=[" ".join([word, *machine]) for word, machine, _ in WRONG])
def test_one_sentence_on_every_rank(word, machine, text, n, lammps):
    found = lammps.fails(crystal(), "run 0", pair=with_engine(f"native device {word}"), machine=machine, n=n)
    assert text in found.splitlines()[0]


def ended(lammps, atoms, *more, ranks, before="", **settings):
    """A run of plain LAMMPS on the emulated device that has to end by itself, with an error that is said once."""
    folder = lammps.new_folder()
    (folder / "in.run").write_text(lammps.write(folder, atoms, *more, pair=ON_DEVICE, before=before))
    done = execute("lmp-uq", "run", "-in", "in.run", ranks=ranks, folder=folder, timeout=120, **emulated_device.variables(**settings))
    assert done.code != 0 and "Total wall time" not in done.text, done.text[-2000:]
    errors = {line.partition(": ")[2] for line in done.text.splitlines() if "ERROR" in line}  # of one rank or of all
    assert len(errors) == 1, done.text[-2000:]
    return errors.pop()


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_device_that_is_lost_in_a_run_ends_all_ranks(ranks, lammps):
    text = ended(lammps, crystal(), HOT, "run 100", ranks=ranks, LOST_AFTER=500)
    assert "on step" in text and "CUDA: unspecified launch failure" in text


@pytest.mark.parametrize("ranks", [0, 2])
def test_more_atoms_than_the_memory_has_room_for(ranks, lammps):
    text = ended(lammps, crystal((6, 6, 4)), "run 0", ranks=ranks, MEMORY_MB=8)
    assert "out of device memory: no room for an array of" in text


def test_memory_that_is_short_on_one_rank_ends_the_other_too(lammps):
    """Which has no atoms, and would wait for the exchange."""
    atoms = crystal((6, 6, 4))
    atoms.set_cell([100.0, *atoms.cell.lengths()[1:]])
    text = ended(lammps, atoms, "run 0", ranks=2, before="processors 2 1 1", MEMORY_MB=10)
    assert "out of device memory: no room for an array of" in text


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_position_that_is_not_finite(ranks, lammps):
    bad = ("variable n atom exp(1000)-exp(1000)", "set atom 3 x v_n")
    more = (HOT, "neigh_modify delay 100 every 100 check no", "run 2", *bad, "run 2 pre no")
    text = ended(lammps, crystal((2, 1, 1)), *more, ranks=ranks)
    assert "on step 3: the position of atom 3 is not a finite number" in text


@pytest.mark.parametrize("ranks", [0, 2])
def test_atoms_at_the_same_position(ranks, lammps):
    atoms = crystal((2, 1, 1))
    atoms.positions[4] = atoms.positions[3]
    text = ended(lammps, atoms, "run 0", ranks=ranks)
    assert "atoms 4 and 5 are at the same position" in text or "atoms 5 and 4 are at the same position" in text


def test_torch_is_left_alone(lammps):
    """Its devices are torch's own affair."""
    text = lammps.fails(crystal(), "run 0", pair=with_engine("torch device cuda"), machine={})
    assert "sees no GPU" in text
