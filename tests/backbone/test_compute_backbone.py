# SPDX-License-Identifier: GPL-2.0-or-later
"""A linear potential on the columns of any compute: rows are derivatives, computes and differences agree, bad descriptions are refused."""

from __future__ import annotations

import numpy as np
import pytest
from linear_example import TWO, ZBL, compute_file, crystal, pod_lines, settings_of, sna_lines

from lmp_uq.backbone.load import linear_class
from lmp_uq.errors import UqError
from lmp_uq.fitting.sources import linear_source
from lmp_uq.properties.potential.system import LinearSystem

FIELDS = ("descriptors", "force_rows", "virial_rows", "forces", "virial")


def backbone_of(source, seed=0):
    """The potential of a source with random Theta."""
    theta = 0.1 * np.random.default_rng(seed).normal(size=source.entry.n_parameters)
    return linear_class(source.entry.family)(source.entry.architecture, {"coefficients": theta}, source.elements)


def without(source, *roles):
    """The same potential, whose derivatives no compute gives."""
    source.entry.architecture["computes"] |= dict.fromkeys(roles, "")
    return backbone_of(source)


@pytest.fixture(scope="module")
def atoms():
    """A skewed, left-handed crystal of two elements."""
    made = crystal(3, elements=("W", "Be"))
    cell = made.cell.array.copy()
    cell[2] += 0.8 * cell[0]
    made.set_cell(cell[[1, 0, 2]])
    return made


def largest_difference(a, b):
    """Over all fields, relative to the largest value of each."""
    return max(np.abs(getattr(a, name) - getattr(b, name)).max() / np.abs(getattr(a, name)).max() for name in FIELDS)


def test_bispectrum_columns_are_snap(tmp_path, atoms):
    settings = settings_of(tmp_path, TWO, quadraticflag=1)
    snap = linear_class("snap")(settings.header(), {"coefficients": np.zeros(2 * settings.n_per_element + 2)}, settings.elements)
    source = linear_source(compute_file(tmp_path, sna_lines(settings)), (), ZBL, ())
    snap.coefficients[:] = backbone_of(source).coefficients
    expected, found = snap.evaluate_frame(atoms), backbone_of(source).evaluate_frame(atoms)
    assert found.energy == pytest.approx(expected.energy, rel=1e-13)
    # the same sums over neighbours in another order
    assert largest_difference(expected, found) < 1e-12


@pytest.mark.parametrize("kind", ["sna", "pod"])
def test_computes_of_derivatives_are_differences(tmp_path, atoms, kind):
    lines = sna_lines(settings_of(tmp_path, TWO)) if kind == "sna" else pod_lines(tmp_path)
    source = linear_source(compute_file(tmp_path, lines), (), (), ())
    expected = backbone_of(source).evaluate_frame(atoms)
    found = without(source, "gradient", "virial").evaluate_frame(atoms)
    assert found.energy == expected.energy
    # central differences over 1e-4 Angstrom: third derivatives, and rounding of sums of 1e3
    assert largest_difference(expected, found) < 1e-6


def test_the_pair_style_of_exported_files_is_the_potential(tmp_path, atoms):
    source = linear_source(compute_file(tmp_path, pod_lines(tmp_path)), (), (), ())
    potential = backbone_of(source)
    expected, system = potential.evaluate_frame(atoms), LinearSystem(backbone_of(source), atoms)
    energy, forces, virial = system.evaluate(potential.coefficients)
    assert energy == pytest.approx(expected.energy, rel=1e-12)
    assert np.abs(forces - expected.forces).max() < 1e-12 * max(1.0, np.abs(forces).max())
    assert np.abs(virial - expected.virial).max() < 1e-6 * np.abs(virial).max()


def test_atoms_of_a_compute_with_one_column(tmp_path, atoms):
    """compute coord/atom: the number of neighbours, a per-atom vector."""
    lines = {"elements": "W Be", "cutoff": "4.0", "descriptors": "coord/atom cutoff 4.0"}
    found = backbone_of(linear_source(compute_file(tmp_path, lines), (), (), ())).evaluate_frame(atoms)
    assert found.descriptors.shape == (len(atoms), 2)
    assert (found.descriptors[found.species == 1, 1] > 1).all() and not found.descriptors[found.species == 1, 0].any()


BAD = {
    "no elements": ({"elements": ""}, "elements is missing; a \\*.compute file must hold elements, cutoff and descriptors"),
    "no such element": ({"elements": "W Xx"}, "elements W Xx; accepted: distinct chemical symbols"),
    "another keyword": ({"twojmax": "8"}, "line 'twojmax 8'; accepted: a keyword and its words"),
    "no distance": ({"cutoff": "far"}, "cutoff is far; accepted: a number above 0"),
    "a global compute": ({"descriptors": "rdf 100"}, "descriptors is 'rdf 100'; accepted: a compute style that ends in /atom"),
    "a second command": ({"descriptors": "sna/atom 1; shell ls"}, "accepted: a compute style that ends in /atom"),
    "a variable": ({"virial": "snav/atom ${x}"}, "virial is .*; accepted: a compute style that ends in /atom"),
    "two pair styles": ({"pair": "pod zbl"}, "pair is 'pod zbl'; accepted: the name of one pair style"),
    "a path": ({"virial": "snav/atom /tmp/x"}, "virial is 'snav/atom /tmp/x'; accepted: .* of letters, digits and _"),
    "an open quote": ({"virial": 'snav/atom " 1'}, "virial is .*; accepted: .* of letters, digits and _"),
    "a file not kept": ({"descriptors": "sna/atom x.compute"}, "names the file x.compute; accepted: with a line 'file x.compute'"),
    "parameters of pod not kept": ({"file": ""}, "names the file x.pod; accepted: with a line 'file x.pod'"),
    "no parameters of pod": ({"descriptors": 'pod/atom "" "" W Be'}, 'pod/atom "" "" W Be.; accepted: a parameter file'),
    "pod without words": ({"descriptors": "pod/atom"}, "'pod/atom'; accepted: pod/atom FILE \"\" W Be"),
    "a file elsewhere": ({"file": "../x.pod"}, "file '../x.pod'; accepted: the name of a file beside it"),
    "no such file": ({"file": "y.pod"}, "y.pod"),
    "another order": ({"elements": "Be W"}, 'pod/atom x.pod "" W Be.*; accepted: pod/atom FILE "" Be W'),
    "no such style": ({"descriptors": "nothing/atom"}, "this LAMMPS has no compute nothing/atom"),
    "refused by LAMMPS": ({"descriptors": "sna/atom 4.0"}, "LAMMPS refuses the descriptors: .*"),
    "a gradient of others": ({"gradient": "coord/atom cutoff 3.0"}, r"coord/atom cutoff 3.0 has 1 columns; accepted: \d+, that is 6"),
    "a virial of others": ({"virial": "coord/atom cutoff 3.0"}, r"coord/atom cutoff 3.0 has 1 columns; accepted: \d+, that is 12"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_descriptions_are_refused(tmp_path, name):
    change, expected = BAD[name]
    lines = {keyword: words for keyword, words in (pod_lines(tmp_path) | change).items() if words}
    with pytest.raises(UqError, match=expected):
        linear_source(compute_file(tmp_path, lines), (), (), ())


@pytest.mark.parametrize(("line", "found"), [("species Be W", "the species Be W"), ("", "no line species")])
def test_other_species_in_the_parameter_file(tmp_path, line, found):
    """LAMMPS takes them by their order, and without them ends the process."""
    lines = pod_lines(tmp_path)
    text = (tmp_path / "x.pod").read_text()
    (tmp_path / "x.pod").write_text(text.replace("species W Be", line))
    with pytest.raises(UqError, match=rf"x\.pod has {found}; accepted: W Be"):
        linear_source(compute_file(tmp_path, lines), (), (), ())


def test_tabs_and_an_encoding_mark_are_read(tmp_path):
    """As editors and spreadsheets write them."""
    lines = pod_lines(tmp_path)
    plain = linear_source(compute_file(tmp_path, lines), (), (), ())
    text = (tmp_path / "x.compute").read_text()
    (tmp_path / "x.compute").write_text("\ufeff" + text.replace(" ", "\t").replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert linear_source(f"compute:{tmp_path}/x.compute", (), (), ()).entry == plain.entry


def test_words_of_pod_in_a_model_file_are_checked(tmp_path):
    """A header is as a fit writes it, or by any hand."""
    source = linear_source(compute_file(tmp_path, pod_lines(tmp_path)), (), (), ())
    source.entry.architecture["computes"]["descriptors"] = "pod/atom"
    with pytest.raises(UqError, match="the model file: 'pod/atom'; accepted: pod/atom FILE"):
        backbone_of(source)
