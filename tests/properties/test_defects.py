# SPDX-License-Identifier: GPL-2.0-or-later
"""Vacancy, interstitials, hop and surfaces: identities of the energies, and expansions against members relaxed anew."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from defect_example import write_potential

from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.properties.crystal.bcc import lattice_grid, supercell
from lmp_uq.properties.crystal.site_symmetry import SiteSymmetry
from lmp_uq.properties.failure import PropertyFailure
from lmp_uq.properties.kinds import surfaces
from lmp_uq.properties.kinds.defects import INTERSTITIALS, Interstitial, Vacancy, interstitial
from lmp_uq.properties.kinds.excess import NO_LATTICE
from lmp_uq.properties.kinds.hop import VacancyHop, band_of_hop
from lmp_uq.properties.minima.implicit import HessianProducts
from lmp_uq.properties.potential.linear import LinearPotential

ORDERS = {"<111>": 12, "<110>": 8, "<100>": 16, "tetrahedral": 8, "octahedral": 16}
"""Operations of the sites: D3d, D2h, D4h, D2d, D4h."""
MEMBERS = 3


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_potential(tmp_path_factory.mktemp("defects"), spread=2.0)


@pytest.fixture(scope="module")
def potential(file):
    return LinearPotential.read(str(file))


@pytest.fixture(scope="module")
def crystal(potential):
    return lattice_grid(potential, "W")


def made(cls, potential, **options):
    """A property with its defaults but for these options, its mean computed."""
    out = cls(potential, "test", {name: option.default for name, option in cls.OPTIONS.items()} | options)
    return out, out.mean()


@pytest.fixture(scope="module")
def vacancy(potential):
    return made(Vacancy, potential, size=3)[0]


@pytest.fixture(scope="module")
def hop(potential):
    return made(VacancyHop, potential, size=3)[0]


@pytest.fixture(scope="module")
def face(potential):
    return made(surfaces.Surface, potential, orientation="100", thickness=10.0)[0]


def agree(found, potential, tolerance=0.02):
    """Expansion and relaxation of members give the same values, to a part of their spread, and much better than to first order."""
    members = potential.members(MEMBERS)
    expanded = found.expansion(members)
    relaxed = np.array([found.member(theta).values for theta in members])
    assert expanded.values.shape == relaxed.shape == (MEMBERS, 1)
    assert not any(expanded.flags), expanded.flags
    spread = relaxed.std()
    error = np.abs(expanded.values - relaxed).max()
    first = np.abs(found._excess.first_order(members) - relaxed[:, 0]).max()
    assert error < tolerance * spread and error < 0.2 * first


@pytest.mark.parametrize("name", ["vacancy", "hop", "face"])
def test_expansions_are_what_members_relax_to(name, potential, request):
    agree(request.getfixturevalue(name), potential)


@pytest.mark.parametrize("name", ["vacancy", "hop", "face"])
def test_the_gradient_is_the_derivative_of_relaxed_members(name, potential, request):
    """Lattice and atoms follow the member, without a run the derivative knows."""
    found = request.getfixturevalue(name)
    direction, step = potential.members(1)[0] - potential.theta, 0.02
    up, down = (found.member(potential.theta + sign * step * direction).values[0] for sign in (1.0, -1.0))
    assert found.gradient()[0] @ direction == pytest.approx((up - down) / (2.0 * step), rel=2e-3)


def test_the_lattice_constant_is_that_of_a_box_relaxed(potential, crystal):
    theta = potential.members(3)[2]
    cell = potential.system(supercell("W", "bcc", crystal.constant(potential.theta), 2)).relax(theta, "iso").cell
    assert crystal.constant(theta) == pytest.approx(cell[0, 0] / 2.0, abs=2e-6)
    step = 1e-3 * (theta - potential.theta)
    measured = (crystal.constant(potential.theta + step) - crystal.constant(potential.theta - step)) / 2.0
    assert crystal.gradient(potential.theta) @ step == pytest.approx(measured, rel=1e-5)


def test_a_member_like_the_mean_is_the_mean(vacancy, potential):
    outcome, expanded = vacancy.member(potential.theta), vacancy.expansion(potential.theta[None])
    assert outcome.values[0] == pytest.approx(vacancy._excess.mean, abs=1e-6) and not outcome.flags
    assert expanded.values[0, 0] == pytest.approx(vacancy._excess.mean, abs=1e-6)


def test_a_member_without_a_lattice_constant_fails_by_name(vacancy, potential):
    with pytest.raises(PropertyFailure, match=NO_LATTICE):
        vacancy.member(-potential.theta)
    expanded = vacancy.expansion(np.array([-potential.theta, potential.theta]))
    assert np.isnan(expanded.values[0, 0]) and expanded.flags[0] == (NO_LATTICE,) and not expanded.flags[1]


@pytest.mark.parametrize("kind", INTERSTITIALS)
def test_interstitials_are_stationary_in_their_symmetry(kind, potential, crystal, monkeypatch):
    seen = []

    class Watched(SiteSymmetry):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            seen.append(self.order)

    monkeypatch.setattr("lmp_uq.properties.kinds.defects.SiteSymmetry", Watched)
    try:
        state = interstitial(potential, "W", kind, size=2).states[0][1]
    except PropertyFailure:
        assert kind == "tetrahedral"  # whose neighbours this small potential lets collapse; its symmetry is right all the same
        assert seen == [ORDERS[kind]]
        return
    assert seen == [ORDERS[kind]]
    # all forces, not only those the projection lets through
    assert np.abs(state.system.evaluate(state.theta, state.positions, state.cell)[1]).max() < 1e-3


def test_the_symmetry_projects(potential, crystal):
    atoms = supercell("W", "bcc", crystal.constant(potential.theta), 2)
    symmetry = SiteSymmetry(atoms.positions, atoms.cell.array, atoms.positions[0])
    vectors = np.random.default_rng(0).normal(size=atoms.positions.shape)
    once = symmetry.project(vectors)
    assert symmetry.order == 48 and np.allclose(symmetry.project(once), once) and np.abs(once.sum(axis=0)).max() < 1e-12
    assert (once * vectors).sum() == pytest.approx((once**2).sum())
    moved = atoms.positions + 0.3 * np.eye(16, 3, 1)
    assert SiteSymmetry(moved, atoms.cell.array, atoms.positions[0]).order < 48


def test_half_way_is_the_top_of_the_band(hop, potential):
    """The point by symmetry = the highest image of a nudged elastic band, and falls off along it."""
    path = band_of_hop(potential, hop._excess)
    assert path.barrier == pytest.approx(hop._excess.mean, abs=0.01)
    assert path.energies[0] == pytest.approx(path.energies[-1], abs=1e-6) and path.energies.argmax() == len(path.energies) // 2
    curves = hop.along(path, potential.members(2))
    assert np.allclose(curves.mean, path.energies - path.energies[0], atol=1e-9) and curves.members.shape == (2, len(curves.x))
    assert curves.members[0].max() == pytest.approx(hop._excess.first_order(potential.members(1))[0], rel=0.2)
    top = hop._excess.states[0][1]
    modes = HessianProducts(lambda x: top.system.evaluate(top.theta, x, top.cell)[1], top.positions).lowest_modes(1)
    assert modes[0] < -0.1


def test_bad_options_are_refused_by_name(potential):
    for found, said in (
        (lambda: made(Vacancy, potential, size=1), "2 or more"),
        (lambda: interstitial(potential, "W", "<112>"), "accepted: <111>"),
        (lambda: surfaces.layer_vectors("11"), "three Miller indices"),
        (lambda: surfaces.layer_vectors("11\N{SUPERSCRIPT TWO}"), "three Miller indices"),
        (lambda: surfaces.slab("W", 3.2, "110", thickness=-1.0), "above 0"),
        (lambda: lattice_grid(potential, "W", "hcp"), "accepted: bcc, fcc"),
        (lambda: made(Interstitial, potential, configuration="<111>", element="Mo"), "accepted: one of W"),
    ):
        with pytest.raises(UqError, match=said):
            found()


def test_a_suite_of_defects_runs(file, tmp_path):
    """All methods side by side; a member that is not trusted is counted, not dropped in silence."""
    (tmp_path / "w.yaml").write_text("properties:\n- {kind: vacancy, size: 2}\n- {kind: surface, orientation: '100', thickness: 8}\n")
    words = ["--suite", str(tmp_path / "w.yaml"), "--out", str(tmp_path / "out"), "--members", "3", "--first-order", "--implicit"]
    assert main(["propagate", str(file), *words, "--spot-checks", "2"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    assert {r["property"] for r in results} == {"vacancy", "surface 100"} and len(results) == 6
    for result in results:
        if result["method"] == "implicit":
            without = sum(value is None for value in result["members"])
            assert len(result["members"]) == 16 and sum(result["failures"].values()) == without


# ---- slabs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [*surfaces.ORIENTATIONS, "018", "589", "997"])
@pytest.mark.parametrize("structure", ["bcc", "fcc"])
def test_layers_fill_the_crystal(orientation, structure):
    """The three vectors span a primitive cell, two of them in the plane, and the third goes to the next layer."""
    first, second, above = surfaces.layer_vectors(orientation, structure)
    normal = np.array([int(digit) for digit in orientation])
    assert np.linalg.det([first, second, above]) == pytest.approx(0.5 if structure == "bcc" else 0.25)
    assert np.allclose([first @ normal, second @ normal], 0.0)
    doubled = 2.0 * np.array([first, second, above])
    assert np.allclose(doubled, np.round(doubled))


def unrelaxed(potential, crystal, orientation, thickness):
    """Energy of a slab less that of as many atoms of the crystal, eV; area, number of atoms."""
    a = crystal.constant(potential.theta)
    atoms, area = surfaces.slab("W", a, orientation, thickness=thickness)
    energy = potential.system(atoms).evaluate(potential.theta)[0]
    return energy - len(atoms) * crystal.energy(potential.theta, a), area, len(atoms)


@pytest.mark.parametrize("orientation", ["110", "210"])
def test_faces_do_not_feel_the_thickness(orientation, potential, crystal):
    thick, thicker = (unrelaxed(potential, crystal, orientation, t) for t in (21.0, 26.0))
    assert thicker[2] > thick[2] and thicker[1] == thick[1]
    assert thick[0] == pytest.approx(thicker[0], abs=1e-7)
    thin = unrelaxed(potential, crystal, orientation, 2.0)
    assert abs(thin[0] - thick[0]) > 1e-3


def test_faces_of_one_kind_cost_the_same(potential, crystal):
    values = [found[0] / found[1] for found in (unrelaxed(potential, crystal, o, 20.0) for o in ("110", "101", "011"))]
    assert np.ptp(values) < 1e-8 and values[0] > 0.0
    assert abs(unrelaxed(potential, crystal, "100", 20.0)[0] / unrelaxed(potential, crystal, "100", 20.0)[1] - values[0]) > 1e-4


def test_a_band_that_does_not_converge_leaves_the_figure_out(hop, potential):
    short = copy.copy(hop)
    short.steps = 1
    assert short.curves(potential.members(2)) is None
