# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of a SNAP potential are derivatives of its descriptors, whatever the cell; its settings are read and refused as they must be."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from linear_example import TWO, ZBL, backbone_of, crystal, parameter_file, settings_of

from lmp_uq.backbone.linear.potential import lammps_cell
from lmp_uq.backbone.linear.snap_settings import SnapSettings, bispectrum_components, descriptors_per_element, read_settings
from lmp_uq.errors import UqError

CASES = {
    "linear": {"twojmax": 4},
    "quadratic": {"twojmax": 2, "quadraticflag": 1},
    "two elements": {"twojmax": 2, "elements": TWO},
    "two elements, quadratic": {"twojmax": 2, "quadraticflag": 1, "elements": TWO},
    "chemical": {"twojmax": 2, "chemflag": 1, "bnormflag": 1, "elements": TWO},
    "inner switch": {"twojmax": 2, "switchinnerflag": 1, "sinner": 2.4, "dinner": 0.3},
    "no reference": {"twojmax": 2, "reference": ()},
}
H = 1e-4


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A potential and a skewed, left-handed crystal of its elements."""
    options = dict(CASES[request.param])
    potential = backbone_of(settings_of(tmp_path_factory.mktemp("snap"), **options))
    atoms = crystal(3, elements=potential.elements)
    cell = atoms.cell.array.copy()
    cell[2] += 0.8 * cell[0]
    atoms.set_cell(cell[[1, 0, 2]])
    assert np.linalg.det(atoms.cell.array) < 0
    return potential, atoms


def difference(potential, before, after):
    """Minus the central differences of energy and summed descriptors."""
    a, b = potential.evaluate_frame(before), potential.evaluate_frame(after)
    return -(b.energy - a.energy) / (2 * H), -(b.descriptors.sum(axis=0) - a.descriptors.sum(axis=0)) / (2 * H)


@pytest.mark.parametrize(("atom", "axis"), [(0, 0), (1, 2), (3, 1)])
def test_force_rows_are_derivatives(case, atom, axis):
    potential, atoms = case
    found, moved = potential.evaluate_frame(atoms), [atoms.copy(), atoms.copy()]
    for sign, one in zip((-1, 1), moved, strict=True):
        one.positions[atom, axis] += sign * H
    force, row = difference(potential, *moved)
    # truncation h^2 of a function whose third derivative is some tens of its first
    assert np.abs(row - found.force_rows[3 * atom + axis]).max() < 1e-6 * np.abs(row).max()
    assert abs(force - found.forces[atom, axis]) < 1e-6 * max(1.0, np.abs(found.forces).max())


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 2)])
def test_virial_rows_are_strain_derivatives(case, a, b):
    potential, atoms = case
    found, moved = potential.evaluate_frame(atoms), []
    for sign in (-1, 1):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5 * sign * H
        strain[b, a] += 0.5 * sign * H
        one = atoms.copy()
        one.set_cell(one.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        moved.append(one)
    virial, row = difference(potential, *moved)
    assert np.abs(row - found.virial_rows[a, b]).max() < 2e-6 * np.abs(found.virial_rows).max()
    assert abs(virial - found.virial[a, b]) < 2e-6 * max(1.0, np.abs(found.virial).max())


def test_everything_is_linear_in_theta(case):
    potential, atoms = case
    zero = type(potential)(potential.settings.header(), {"coefficients": 0.0 * potential.coefficients}, potential.elements)
    full, reference = potential.evaluate_frame(atoms), zero.evaluate_frame(atoms)
    theta, constants = potential.coefficients[: potential.n_features], potential.coefficients[potential.n_features :]
    energy = full.descriptors.sum(axis=0) @ theta + constants[full.species].sum()
    assert full.energy - reference.energy == pytest.approx(energy, rel=1e-12)
    assert np.allclose(full.forces - reference.forces, (full.force_rows @ theta).reshape(-1, 3), rtol=0, atol=1e-12)
    if not potential.settings.reference.styles:
        assert reference.energy == 0.0 and not reference.forces.any()


def test_the_descriptors_of_an_atom_stand_in_its_element(tmp_path):
    potential = backbone_of(settings_of(tmp_path, elements=TWO))
    found = potential.evaluate_frame(crystal(1, elements=("W", "Be")))
    blocks = found.descriptors.reshape(len(found.species), 2, -1)
    assert not blocks[found.species == 0, 1].any() and not blocks[found.species == 1, 0].any()
    assert blocks[found.species == 0, 0].all(axis=1).all()


def test_cells_without_volume_and_tiny_cells(tmp_path):
    potential = backbone_of(settings_of(tmp_path, twojmax=4))
    cluster = Atoms("W4", positions=[[0, 0, 0], [2.6, 0.1, 0], [0.3, 2.5, 0.2], [1.2, 1.1, 2.3]])
    boxed = cluster.copy()
    boxed.set_cell([40.0, 41.0, 42.0])
    boxed.pbc = True
    boxed.positions += 17.0
    slab, thick = crystal(5), crystal(5)
    slab.pbc = (True, True, False)
    cell = thick.cell.array.copy()
    cell[2] *= 5.0
    thick.set_cell(cell)
    for open_one, closed in ((cluster, boxed), (slab, thick)):
        a, b = potential.evaluate_frame(open_one), potential.evaluate_frame(closed)
        assert a.energy == pytest.approx(b.energy, rel=1e-12)
        assert np.abs(a.forces - b.forces).max() < 1e-10
    one = Atoms("W", cell=[[-1.6, 1.6, 1.6], [1.6, -1.6, 1.6], [1.6, 1.6, -1.6]], pbc=True)
    small, large = potential.evaluate_frame(one), potential.evaluate_frame(one * (2, 2, 3))
    assert large.energy == pytest.approx(12 * small.energy, rel=1e-11)
    # rows that symmetry makes zero are zero to rounding: a fit has to leave them out
    assert np.abs(small.force_rows).max() < 1e-10 * np.abs(small.descriptors).max()


def test_the_cell_is_the_same_crystal_turned():
    atoms = crystal(7)
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    atoms.positions += 50.0
    cell, rotation, positions = lammps_cell(atoms, 4.6)
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-14) and np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.allclose(cell, np.tril(cell)) and (np.diag(cell) > 0).all()
    turned = Atoms(atoms.symbols, positions=positions, cell=cell, pbc=True)
    assert np.allclose(np.sort(turned.get_all_distances(mic=True), axis=None), np.sort(atoms.get_all_distances(mic=True), axis=None))


# --- settings -------------------------------------------------------------------------------------------------


def test_counts_of_descriptors():
    assert [bispectrum_components(k) for k in (0, 2, 4, 6, 8)] == [1, 5, 14, 30, 55]
    quadratic = {"twojmax": 8, "chemflag": 0, "quadraticflag": 1}
    assert descriptors_per_element(quadratic, 2) == 1595
    assert descriptors_per_element(quadratic | {"chemflag": 1, "quadraticflag": 0}, 2) == 8 * 55


def test_a_file_of_two_lines_means_the_defaults_of_lammps(tmp_path):
    path = tmp_path / "x.snapparam"
    path.write_text("rcutfac 4.6 # Angstrom\ntwojmax 2\nchunksize 128\n")
    settings = read_settings(str(path), ["W"])
    assert settings.parameters["bzeroflag"] == 1 and settings.parameters["switchflag"] == 1 and settings.radii == (0.5,)
    mine, stated = backbone_of(settings), backbone_of(settings_of(tmp_path, reference=()))
    atoms = crystal(2)
    # without bzeroflag every component keeps what an atom alone has, j + 1
    shift = stated.evaluate_frame(atoms).descriptors - mine.evaluate_frame(atoms).descriptors
    assert np.allclose(shift, [1.0, 2.0, 3.0, 3.0, 3.0], atol=1e-9)


def test_settings_survive_a_header(case):
    settings = case[0].settings
    assert SnapSettings.from_header(settings.header(), settings.elements) == settings


BAD = {
    "no such file": (None, ["W"], (), "cannot be read"),
    "no rcutfac": ("twojmax 2", ["W"], (), "rcutfac is missing"),
    "unknown keyword": ("rcutfac 4\ntwojmax 2\nrcut 3", ["W"], (), "line 'rcut 3'"),
    "half a component": ("rcutfac 4\ntwojmax 2.5", ["W"], (), "twojmax is 2.5; accepted: a whole number"),
    "too many": ("rcutfac 4\ntwojmax 40", ["W"], (), "twojmax is 40"),
    "a flag of two": ("rcutfac 4\ntwojmax 2\nbzeroflag 2", ["W"], (), "bzeroflag is 2; accepted: 0 or 1"),
    "NaN": ("rcutfac nan\ntwojmax 2", ["W"], (), "rcutfac is nan"),
    "no inner": ("rcutfac 4\ntwojmax 2\nswitchinnerflag 1", ["W"], (), "sinner has 0 numbers"),
    "two without radii": ("rcutfac 4\ntwojmax 2", ["W", "Be"], (), "elements='W'; accepted: El:R:w"),
    "no element": ("rcutfac 4\ntwojmax 2", ["Xx:0.5:1"], (), "elements='Xx:0.5:1'"),
    "twice": ("rcutfac 4\ntwojmax 2", ["W:1:1", "W:1:1"], (), "distinct"),
    "code": ("rcutfac 4\ntwojmax 2", ["W"], ("python 5.0",), "reference potential python"),
    "hybrid": ("rcutfac 4\ntwojmax 2", ["W"], ("hybrid zbl 4 5",), "reference potential hybrid; accepted: the pair styles adp, "),
    "a second line": ("rcutfac 4\ntwojmax 2", ["W"], ("zbl 4 5\nshell ls",), "one line for each text"),
    "a variable": ("rcutfac 4\ntwojmax 2", ["W"], ("zbl ${x} 5",), "accepted: words of letters"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_settings_are_refused(tmp_path, name):
    text, elements, reference, expected = BAD[name]
    path = tmp_path / "x.snapparam"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UqError) as error:
        read_settings(str(path), elements, reference)
    assert expected in str(error.value)


def test_coefficients_of_a_style_that_is_not_there(tmp_path):
    with pytest.raises(UqError, match="with style one of zbl"):
        read_settings(str(parameter_file(tmp_path)), ["W"], ZBL, ["1 1 morse 1 2 3"])


def test_what_lammps_refuses_is_one_error(tmp_path):
    potential = backbone_of(settings_of(tmp_path, reference=("lj/cut far",)))
    with pytest.raises(UqError, match=r"(?s)LAMMPS could not evaluate a frame of 4 atoms.*'far'"):
        potential.evaluate_frame(crystal(1))
    with pytest.raises(UqError, match=r"element Mo is not in this potential \(elements: W\)"):
        backbone_of(settings_of(tmp_path)).evaluate_frame(crystal(1, elements=("Mo",)))
