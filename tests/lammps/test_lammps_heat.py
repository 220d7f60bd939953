# SPDX-License-Identifier: GPL-2.0-or-later
"""The heat flux of compute uq/heat: finite differences of a cluster, sums over single atoms of a crystal, other numbers of ranks."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from lammps_cases import ENGINES, HOT, PLAIN, WITH_ZBL, assert_equal, crystal, half_empty, with_engine

from lmp_uq import modelfile
from lmp_uq.backbone.graph import graph_of_frames
from lmp_uq.backbone.load import load_backbone
from lmp_uq.rows.predict import forces_of

HEAT = """compute tot all uq/heat
compute ke all ke/atom
compute pe all pe/atom pair
compute va all stress/atom NULL virial
compute lammps all heat/flux ke pe va
compute w all pressure NULL virial
compute sums all reduce sum c_pe c_va[*]
thermo_style custom step vol temp pe pxx pyy pzz pxy pxz pyz c_sums[*] c_tot[*] c_lammps[*] c_w[*]
thermo_modify format float %.17g"""
NOW = (HEAT, "run 0", "#snapshot end")
CELLS = {
    "two cells": lambda: crystal((2, 1, 1)),
    "smaller than the cutoff": lambda: crystal((1, 1, 1)),
    "triclinic": lambda: crystal((1, 2, 1), tilt=True),
}
COPIES = 5  # two cells on either side are farther than two cutoffs


def velocities_of(atoms, seed=5):
    return np.random.default_rng(seed).normal(0.0, 4.0, (len(atoms), 3))


def moving(velocities):
    """Commands that set velocities (n, 3), Angstrom/ps."""
    return [f"set atom {i + 1} vx {x:.17g} vy {y:.17g} vz {z:.17g}" for i, (x, y, z) in enumerate(velocities)]


def flux(lammps, atoms, velocities, *more, members="no", **options):
    """Total and convective heat flux (6,), eV Angstrom/ps, and what the keyword members adds."""
    commands = (HEAT.replace("uq/heat", f"uq/heat members {members}"), *NOW[1:])
    return lammps.state(atoms, *moving(velocities), *more, *commands, **options)["tot"]


@pytest.fixture(scope="module")
def thetas(models, backbone):
    """(8, P) of the force members that a run takes."""
    return modelfile.read(models.full).tensors["posterior/force_members"][:8, : backbone.n_features]


@pytest.fixture(scope="module")
def backbone(models):
    file = modelfile.read(models.full)
    return load_backbone(file.header.backbone.to_dict(), file.section("backbone"), "float64", engine="native")


def cluster():
    atoms = crystal((1, 1, 1))
    atoms.set_cell([30.0, 31.0, 32.0])
    atoms.positions += [12.0, 13.0, 14.0]
    return atoms


def of_single_atoms(backbone, atoms, velocities, theta=None):
    """(3,) sum over k of the cell and n of all the crystal of (x_k - x_n) dE_k/dx_n . v_n, from a block of cells without periods.

    theta (P,): of its correction theta.D_k in the place of E_k.
    """
    block, n = atoms.repeat((COPIES,) * 3), len(atoms)
    block.set_pbc(False)
    block.set_cell(None)
    graph, _ = graph_of_frames([block], backbone.elements, backbone.cutoff)
    evaluated, v = backbone.evaluate(graph), np.tile(velocities, (COPIES**3, 1))
    first, out = COPIES**3 // 2 * n, np.zeros(3)
    for k in range(first, first + n):
        alone = np.eye(1, len(block), k)[0]
        weights = (alone, None) if theta is None else (None, np.outer(alone, theta))
        slopes = -forces_of(graph, backbone.pull(evaluated.state, *weights))
        out += ((block.positions[k] - block.positions) * np.sum(slopes * v, axis=1)[:, None]).sum(axis=0)
    return out


def without_shifts(backbone, atoms, velocities):
    """The same from moments in which an atom and its periodic images have one and the same position."""
    graph, _ = graph_of_frames([atoms], backbone.elements, backbone.cutoff)
    state, out = backbone.evaluate(graph).state, np.zeros(3)
    unit = backbone.pull(state, np.ones(len(atoms)))
    start = atoms.positions[graph.centres]
    end = start + graph.vectors
    for a in range(3):
        moment = backbone.pull(state, np.ascontiguousarray(atoms.positions[:, a]))
        out[a] += ((moment - end[:, a : a + 1] * unit) * velocities[graph.neighbours]).sum()
        out[a] -= ((moment - start[:, a : a + 1] * unit) * velocities[graph.centres]).sum()
    return out


@pytest.fixture(scope="module")
def expected(backbone):
    """Function of the name of a cell: the potential part by single atoms."""
    return functools.cache(lambda name: of_single_atoms(backbone, CELLS[name](), velocities_of(CELLS[name]())))


# ---- what it is -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_flux_of_a_cluster_is_the_derivative_of_its_moment_of_energy(engine, lammps):
    atoms, step = cluster(), 2e-5
    v, pair = velocities_of(atoms), with_engine(engine)
    now = lammps.state(atoms, *moving(v), *NOW, pair=pair)
    moments = []
    for shift in (-2, -1, 1, 2):
        moved = atoms.copy()
        moved.positions += shift * step * v
        moments.append(moved.positions.T @ lammps.state(moved, *NOW, pair=pair)["pe"])
    slope = (8.0 * (moments[2] - moments[1]) - (moments[3] - moments[0])) / (12.0 * step)
    power = np.sum(now["f"] * v, axis=1)  # of the kinetic energies
    wanted = slope - v.T @ now["pe"] + atoms.positions.T @ power
    assert_equal("potential part", now["tot"][:3] - now["tot"][3:], wanted, relative=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("cell", CELLS)
def test_flux_of_a_crystal_is_the_sum_over_single_atoms(cell, engine, lammps, expected):
    atoms = CELLS[cell]()
    found = flux(lammps, atoms, velocities_of(atoms), pair=with_engine(engine))
    assert_equal("potential part", found[:3] - found[3:], expected(cell), relative=1e-6)


def test_members_fluxes_in_a_cluster_are_derivatives_of_their_moments_of_energy(backbone, thetas, lammps):
    atoms, step = cluster(), 2e-5
    v, (graph, _) = velocities_of(atoms), graph_of_frames([atoms], backbone.elements, backbone.cutoff)

    def energies(shift):
        moved = atoms.copy()
        moved.positions += shift * step * v
        found = backbone.evaluate(graph_of_frames([moved], backbone.elements, backbone.cutoff)[0])
        return moved.positions, found.descriptors @ thetas.T

    moments = [x.T @ e for x, e in map(energies, (-2, -1, 1, 2))]
    slope = (8.0 * (moments[2] - moments[1]) - (moments[3] - moments[0])) / (12.0 * step)
    pulled = backbone.pull(backbone.evaluate(graph).state, None, np.repeat(thetas[:, None], len(atoms), axis=1))
    power = np.array([np.sum(forces_of(graph, one) * v, axis=1) for one in pulled])
    wanted = (slope - v.T @ energies(0)[1]).T + power @ atoms.positions
    found = flux(lammps, atoms, v, members="each")
    assert_equal("members", found[6:].reshape(-1, 3) - found[:3], wanted, relative=1e-6)


def test_members_fluxes_in_a_crystal_are_sums_over_single_atoms_and_std_is_their_spread(backbone, thetas, lammps):
    atoms = CELLS["triclinic"]()
    v = velocities_of(atoms)
    found, spread = flux(lammps, atoms, v, members="each"), flux(lammps, atoms, v, members="std")
    away = found[6:].reshape(-1, 3) - found[:3]
    for k in (0, 7):
        assert_equal(f"member {k}", away[k], of_single_atoms(backbone, atoms, v, thetas[k]), relative=1e-6)
    assert_equal("std", spread[6:], np.sqrt(np.mean(away**2, axis=0)), relative=1e-9)
    assert_equal("flux", spread[:6], found[:6], relative=1e-12)


@pytest.mark.parametrize(("options", "relative"), [
    ({"n": 2}, 1e-9), ({"n": 4}, 1e-9), ({"n": 2, "pair": with_engine("torch")}, 1e-6),
    ({"n": 2, "pair": with_engine("device")}, 1e-9),
    ({"n": 2, "pair": PLAIN.replace("mace/uq", "mace/uq bars_precision float32", 1)}, 1e-4),
])  # fmt: skip
def test_members_fluxes_of_ranks_engines_and_precisions_agree(options, relative, lammps):
    atoms = CELLS["triclinic"]()
    v = velocities_of(atoms)
    one, other = flux(lammps, atoms, v, members="each"), flux(lammps, atoms, v, members="each", **options)
    assert_equal("flux", other[:6], one[:6], relative=relative)
    assert_equal("members", other[6:].reshape(-1, 3) - other[:3], one[6:].reshape(-1, 3) - one[:3], relative=relative)


@pytest.mark.parametrize("cell", CELLS)
def test_a_moment_without_lattice_shifts_is_seen(cell, backbone, expected):
    atoms = CELLS[cell]()
    wrong = without_shifts(backbone, atoms, velocities_of(atoms))
    with pytest.raises(AssertionError):
        assert_equal("potential part", wrong, expected(cell), relative=1e-2)


def test_flux_in_single_precision(lammps, expected):
    atoms, pair = CELLS["triclinic"](), PLAIN.replace("mace/uq", "mace/uq precision float32", 1)
    found = flux(lammps, atoms, velocities_of(atoms), pair=pair)
    assert_equal("potential part", found[:3] - found[3:], expected("triclinic"), relative=1e-4)


def test_convective_part_is_that_of_compute_heat_flux(lammps):
    atoms = CELLS["triclinic"]()
    table = lammps.run(atoms, *moving(velocities_of(atoms)), *NOW).thermo[0]
    for a in (4, 5, 6):
        assert_equal("convective part", table[f"c_tot[{a}]"], table[f"c_lammps[{a}]"], relative=1e-10)


@pytest.mark.parametrize("cell", CELLS)
def test_flux_of_a_crystal_that_moves_as_a_whole_is_its_virial_times_the_velocity(cell, lammps):
    atoms, v = CELLS[cell](), np.array([3.0, -1.0, 2.0])
    result = lammps.run(atoms, *moving(np.tile(v, (len(atoms), 1))), *NOW)
    table, found = result.thermo[0], result.snapshots["end"]["tot"]
    xx, yy, zz, xy, xz, yz = (table[f"c_w[{k}]"][0] for k in range(1, 7))
    virial = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) * table["Volume"][0] / result.snapshots["end"]["nktv2p"]
    assert_equal("potential part", found[:3] - found[3:], virial @ v, relative=1e-9)


# ---- ranks, copies, other atoms and styles --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize(("cell", "options"), [*((cell, {}) for cell in CELLS), ("half empty", {"before": "processors * 1 1"})])
def test_every_number_of_ranks_gives_the_same(cell, options, n, lammps):
    atoms = {**CELLS, "half empty": half_empty}[cell]()
    v = velocities_of(atoms)
    assert_equal("flux", flux(lammps, atoms, v, n=n, **options), flux(lammps, atoms, v, **options), relative=1e-9)


def test_torch_on_two_ranks(lammps):
    atoms = CELLS["triclinic"]()
    v, pair = velocities_of(atoms), with_engine("torch")
    assert_equal("flux", flux(lammps, atoms, v, n=2, pair=pair), flux(lammps, atoms, v, pair=pair), relative=1e-9)


@pytest.mark.parametrize("tilt", [False, True])
def test_copies_of_a_cell_multiply_the_flux(tilt, lammps):
    atoms = crystal((1, 1, 1), tilt=tilt)
    v = velocities_of(atoms)
    many = flux(lammps, atoms.repeat((2, 1, 3)), np.tile(v, (6, 1)))
    assert_equal("flux", many, 6.0 * flux(lammps, atoms, v), relative=1e-9)


def test_atoms_that_take_no_part_contribute_nothing(lammps):
    atoms = CELLS["two cells"]()
    v, kept = velocities_of(atoms), atoms.symbols == "O"
    pair = "pair_style hybrid/overlay mace/uq zero 3.5\npair_coeff * * mace/uq {model} NULL O\npair_coeff * * zero"
    found = flux(lammps, atoms, v, pair=pair)
    assert_equal("NULL", found, flux(lammps, atoms[kept], v[kept]), relative=1e-9)
    excluded = ("group out type 1", "neigh_modify exclude group out all")
    assert_equal("excluded", flux(lammps, atoms, v, *excluded), found, relative=1e-9)


def test_inside_hybrid_it_is_the_flux_of_this_style(lammps):
    atoms = CELLS["two cells"]()
    v = velocities_of(atoms)
    assert_equal("flux", flux(lammps, atoms, v, pair=WITH_ZBL), flux(lammps, atoms, v), relative=1e-10)


# ---- when it is asked -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_flux_within_a_run_is_that_of_its_last_step(n, lammps):
    """Velocities are those at the end of a step, atoms those whose forces were computed, also where LAMMPS has moved them since."""
    run = (HOT, HEAT, "fix j all ave/time 1 1 20 c_tot mode vector file j.dat", "run 20", "#snapshot ran")
    again = ("balance 1.0 shift xyz 10 1.01", "#snapshot asked", "run 0", "#snapshot end")
    result = lammps.run(crystal((2, 2, 1)), *run, *again, n=n)
    snapshots, tables = result.snapshots, result.thermo
    assert_equal("asked after the run", snapshots["ran"]["tot"], snapshots["end"]["tot"], relative=1e-9)
    assert_equal("asked of other ranks' atoms", snapshots["asked"]["tot"], snapshots["end"]["tot"], relative=1e-9)
    for k in range(1, 7):
        assert_equal("thermo", tables[0][f"c_tot[{k}]"][-1], tables[-1][f"c_tot[{k}]"][0], relative=1e-9)


@pytest.mark.parametrize("n", [1, 2])
def test_errors(n, lammps, models):
    more = (
        "#fails Compute uq/heat: found ke in the place of a keyword (accepted: members, pair)", "compute a all uq/heat ke",
        "#fails Compute uq/heat: members is followed by yes (accepted: no, std, each)", "compute a all uq/heat members yes",
        "#fails Compute uq/heat: members is followed by nothing", "compute a all uq/heat members",
        "group one id 1", "#fails Compute uq/heat needs group all, found group one", "compute b one uq/heat",
        "compute c all uq/heat", "run 0",
    )  # fmt: skip
    lammps.run(crystal(), *more, n=n)
    assert "Compute uq/heat needs pair style mace/uq" in lammps.fails(crystal(), "clear", "compute x all uq/heat", n=n)
    late = lammps.fails(crystal(), "thermo_style custom step temp pe press", "run 0", "compute tot all uq/heat", "#snapshot end", n=n)
    assert "heat fluxes were asked for on step 0" in late and "derivatives were not kept: run again" in late
    nothing = "Compute uq/heat must come after the pair_coeff command"
    assert nothing in lammps.fails(crystal(), "compute x all uq/heat", pair=PLAIN.splitlines()[0], n=n)
    none = "Compute uq/heat: members needs force members, which"
    bare = PLAIN.replace("{model}", str(models.bare))
    assert none in lammps.fails(crystal(), "compute x all uq/heat members std", pair=bare, n=n)
    fewer = PLAIN.replace("mace/uq", "mace/uq force_members 3", 1).format(model=models.full)
    again = ("compute x all uq/heat members each", *fewer.splitlines(), "run 0")
    assert "it has 30 values, with the model that is loaded now 15: define it again" in lammps.fails(crystal(), *again, n=n)
