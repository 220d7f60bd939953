# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of all members from one grid are those of each member by itself; derivatives are derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from properties_example import VOLUME, prop_of

from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.minimum import crystal_at_minimum
from lmp_uq.properties.crystal.structures import structure
from lmp_uq.properties.crystal.volume_curve import EV_PER_A3, VolumeCurve
from lmp_uq.properties.kinds.elastic import UNSTABLE
from lmp_uq.properties.kinds.paths import PATHS, path_frame
from lmp_uq.properties.kinds.phases import refuse_another_composition
from lmp_uq.properties.property import EXACT

SHARE = 0.1
"""Of the departures: members of this small potential go far."""


def near(potential, n=3):
    """(n, P) Theta between the mean and its members."""
    return potential.theta + SHARE * potential.departures[:n]


@pytest.mark.parametrize("kind", ["phase", "eos", "elastic"])
def test_rigid_crystals_need_no_run_for_a_member(potential, kind):
    prop, mean = prop_of(potential, kind, structure="fcc", **({"relative_to": ""} if kind == "phase" else {}))
    assert prop.expansion_rests_on == EXACT
    thetas = near(potential)
    found = prop.expansion(thetas).values
    for k, theta in enumerate(thetas):
        # the spline of the grid and the tolerance of the minimisation; a bulk modulus by members is a difference of finite step
        assert np.allclose(found[k], prop.member(theta).values, rtol=2e-3 if kind == "phase" else 1e-4)
    assert np.allclose(prop.expansion(potential.theta[None]).values[0], mean, rtol=2e-4)


@pytest.mark.parametrize(("kind", "options"), [("phase", {"structure": "bcc"}), ("eos", {}), ("elastic", {}), ("path", {"path": "bain"})])
def test_gradients_are_derivatives_of_the_expansion(potential, kind, options):
    prop, _ = prop_of(potential, kind, **options)
    direction, gradient = potential.departures[0], prop.gradient()
    step = 1e-4
    low, high = (prop.expansion((potential.theta + sign * step * direction)[None]).values[0] for sign in (-1, 1))
    expected = (high - low) / (2 * step)
    assert np.allclose(gradient @ direction, expected, rtol=2e-3, atol=1e-3 * np.abs(expected).max())


def test_the_minimum_of_a_relaxation_is_that_of_theta_phi(potential):
    crystal = crystal_at_minimum(potential, "bcc", "W", VOLUME)
    assert crystal.rigid
    for theta in near(potential):
        relaxed, minimum = crystal.member(theta), crystal.curve().minima(theta)
        assert relaxed.energy == pytest.approx(minimum.energy[0], abs=1e-6)
        assert np.linalg.det(relaxed.cell) == pytest.approx(minimum.volume[0], abs=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_paths_of_members_are_those_of_the_pair_style(potential, path):
    prop, mean = prop_of(potential, "path", path=path)
    thetas = potential.members(3)
    found = prop.expansion(thetas).values
    for k, theta in enumerate(thetas):
        assert np.allclose(found[k], prop.member(theta).values, rtol=0, atol=1e-10)
    curves = prop.curves(thetas)
    assert curves.members.shape == (3, len(curves.x)) and mean[0] == pytest.approx(curves.mean[prop._inside].max())


def test_paths_meet_the_phases_that_they_lead_to(potential):
    def energy(atoms):
        return potential.system(atoms).evaluate(potential.theta)[0] / len(atoms)

    bcc, fcc = (energy(structure(name, "W", VOLUME).atoms) for name in ("bcc", "fcc"))
    ideal = structure("hcp", "W", VOLUME).atoms
    ideal.set_cell(ideal.cell.array @ np.diag([1, 1, np.sqrt(8 / 3) / 1.6]), scale_atoms=True)
    ideal.set_cell(ideal.cell.array * np.cbrt(2 * VOLUME / ideal.get_volume()), scale_atoms=True)
    for path, (first, last, _) in PATHS.items():
        ends = [energy(path_frame(path, p, "W", VOLUME)) for p in (first, last)]
        end = {"bain": fcc, "trigonal": fcc, "orthorhombic": bcc, "hexagonal": energy(ideal)}[path]
        assert ends == pytest.approx([bcc, end], abs=1e-9)


def test_crystals_that_a_strain_lowers_are_flagged(potential):
    """A Morse solid is stable as fcc and not as bcc: the constants against the energy of a stretch that keeps the volume to first order."""
    for name, unstable in (("bcc", True), ("fcc", False)):
        prop, mean = prop_of(potential, "elastic", structure=name)
        at, energies = prop.crystal.relaxed, []
        for size in (0.0, -5e-3, 5e-3):
            stretch = np.diag([np.exp(size), np.exp(-size), 1.0])
            energies.append(prop.crystal.system.evaluate(potential.theta, at.positions @ stretch, at.cell @ stretch)[0])
        assert (energies[1] + energies[2] < 2.0 * energies[0]) is unstable and (mean[0] < mean[1]) == unstable
        outcomes = prop.notes, prop.member(potential.theta).flags, prop.expansion(potential.theta[None]).flags[0]
        assert [any(UNSTABLE in text for text in said) for said in outcomes] == 3 * [unstable]


@pytest.mark.parametrize(("path", "middle"), [("trigonal", 2.0), ("orthorhombic", 2.0**0.25)])
def test_paths_are_evaluated_where_symmetry_has_an_extremum(potential, path, middle):
    """Simple cubic and the tetragonal crystal half-way: the energy there is stationary, and between points it would be missed."""
    prop, mean = prop_of(potential, "path", path=path)
    here = np.flatnonzero(np.isclose(prop.parameters, middle, rtol=1e-12))
    energies = prop.curves(potential.members(1)).mean
    assert len(here) == 1 and energies[here[0]] <= mean[0] + 1e-12
    slope, away = (abs(energies[here[0] + k] - energies[here[0] - k]) for k in (1, 6))
    assert slope < 1e-2 * max(away, abs(energies[here[0] + 6] - energies[here[0]]))
    assert prop.parameters[prop._inside][[0, -1]] == pytest.approx(PATHS[path][:2], rel=1e-12)


def test_elastic_constants_are_second_derivatives_of_the_energy(potential):
    prop, mean = prop_of(potential, "elastic")
    relaxed, system, step = prop.crystal.relaxed, prop.crystal.system, 1e-3
    volume = np.linalg.det(relaxed.cell)

    def curvature(strain):
        at = [relaxed.cell @ (np.eye(3) + size * np.array(strain)) for size in (-step, 0.0, step)]
        low, middle, high = (system.evaluate(potential.theta, relaxed.positions @ np.linalg.solve(relaxed.cell, c), c)[0] for c in at)
        return (low - 2 * middle + high) / step**2 / volume * EV_PER_A3

    # at zero stress the energy of a strain e is V C e^2 / 2; a shear of both off-diagonal halves is a strain of their sum
    stretch, shear = curvature(np.diag([1.0, 0, 0])), curvature([[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]])
    both = curvature(np.diag([1.0, 1.0, 0]))
    assert np.allclose(mean, [stretch, 0.5 * (both - 2 * stretch), shear], rtol=2e-3, atol=0.5)


def test_birch_murnaghan_gives_back_its_own_parameters():
    volumes, given = np.linspace(12, 20, 81), (16.0, -8.9, 300.0, 4.2)
    y = (given[0] / volumes) ** (2 / 3)
    factor = 9 / 16 * given[0] * given[2] / EV_PER_A3
    energies = given[1] + factor * ((y - 1) ** 3 * given[3] + (y - 1) ** 2 * (6 - 4 * y))
    curve = VolumeCurve(volumes, np.zeros((81, 1)), energies, 15.0)
    assert np.allclose(curve.birch_murnaghan(np.zeros(1))[0], given, rtol=1e-7)
    assert np.allclose(np.ravel(curve.minima(np.zeros(1))), given[:3], rtol=1e-5)


def test_a_lost_minimum_has_no_value_and_says_so(potential):
    prop, _ = prop_of(potential, "phase", structure="bcc")
    falling = potential.theta.copy()
    falling[:-1] *= -1.0
    found = prop.expansion(np.array([potential.theta, falling]))
    assert np.isfinite(found.values[0]).all() and np.isnan(found.values[1]).all()
    assert found.flags == [(), ("the minimum is lost",)]


def test_second_order_relaxation_is_that_of_lammps(potential):
    """C14 at the mean's own volume: gain and displacements of f.H^-1 f / 2 against LAMMPS, which knows no symmetry."""
    crystal = crystal_at_minimum(potential, "C14", "W", VOLUME)
    curve, at = crystal.curve(), crystal.relaxed
    here = int(np.argmin(np.abs(curve.volumes - crystal.volume)))
    assert curve.volumes[here] == pytest.approx(crystal.volume)
    theta = potential.theta + 0.002 * potential.departures[0]
    start = crystal.system.evaluate(theta, at.positions, at.cell)[0]
    relaxed = crystal.system.relax(theta, "shape", at.positions, at.cell, couple="xy")
    expected = start - curve.energies(theta)[0, here] * crystal.system.n_atoms
    assert start - relaxed.energy == pytest.approx(expected, rel=0.05)
    moved, found = relaxed.positions - at.positions, crystal.expansion._path(theta)(curve.volumes[here])
    assert np.abs(crystal.coordinates.at(found)[0] - at.positions - moved).max() < 0.05 * np.abs(moved).max()


def test_bad_options(potential):
    with pytest.raises(UqError, match="accepted: a cubic phase"):
        prop_of(potential, "elastic", structure="hcp")
    with pytest.raises(UqError, match="no minimum between"):
        prop_of(potential, "phase", structure="bcc", volume=60.0)
    with pytest.raises(UqError, match="accepted: one of W"):
        prop_of(potential, "phase", structure="bcc", element="Mo")


def test_phases_relative_to_others_of_one_name(potential, tmp_path):
    """Of a member, too: nothing of the one may be kept for the other."""
    for folder, lattice, constant in (("a", "bcc", 2.82), ("b", "fcc", 3.55)):
        (tmp_path / folder).mkdir()
        bulk("W", lattice, a=constant).write(tmp_path / folder / "x.vasp")
    theta = near(potential)[0]
    found = []
    for folder in ("a", "b"):
        prop, _ = prop_of(potential, "phase", structure="fcc", relative_to=str(tmp_path / folder / "x.vasp"))
        at = [quantity.name for quantity in prop.quantities].index("formation_energy")
        found.append(prop.member(theta).values[at])
    assert found[1] == pytest.approx(0.0, abs=1e-6) and abs(found[0]) > 1e-3


def test_a_compound_relative_to_an_element_is_refused(tmp_path):
    Atoms("WBe2", positions=[[0, 0, 0], [2, 0, 0], [0, 2, 0]], cell=[4.0, 4.0, 4.0], pbc=True).write(tmp_path / "x.vasp")
    compound, element = structure(str(tmp_path / "x.vasp"), "W"), structure("bcc", "W")
    with pytest.raises(UqError, match="is Be2W, relative_to bcc is W; accepted: a phase of the same composition, or relative_to: ''"):
        refuse_another_composition(compound, element)
    refuse_another_composition(compound, structure(str(tmp_path / "x.vasp"), "W"))
