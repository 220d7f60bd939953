# SPDX-License-Identifier: GPL-2.0-or-later
"""Model files of linear potentials: which are read, and why the others are refused."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from linear_example import compute_content, model_content
from model_example import raw_container

from lmp_uq import modelfile
from lmp_uq.errors import UqError


@pytest.fixture(params=[{}, {"quadraticflag": 1}, {"switchinnerflag": 1, "sinner": "2.4 2.3", "dinner": "0.3 0.2"}], ids=str)
def content(request, tmp_path):
    """Header and tensors of a potential of two elements with a posterior."""
    return model_content(tmp_path, **request.param)


def said_of(path):
    """Empty, or why a file is refused."""
    try:
        modelfile.read(path)
    except UqError as error:
        return str(error)
    return ""


def check_refusal(content, change, expected, path):
    """A changed file is refused with the expected words."""
    header, tensors = content
    change(header, tensors)
    text = said_of(raw_container(path, header, tensors))
    assert re.search(expected, text), text


def test_a_good_file_is_read_by_said_of(content, tmp_path):
    assert said_of(raw_container(tmp_path / "a.uq", *content)) == ""


def parameter(name, value):
    return lambda h, t: h["backbone"]["architecture"]["parameters"].__setitem__(name, value)


def architecture(name, value):
    return lambda h, t: h["backbone"]["architecture"].__setitem__(name, value)


def reference(name, value):
    return lambda h, t: h["backbone"]["architecture"]["reference"].__setitem__(name, value)


def entry(section, name, value):
    return lambda h, t: h[section].__setitem__(name, value)


def tensor(name, change):
    return lambda h, t: t.__setitem__(name, change(t[name]))


BAD = {
    "no parameters": (architecture("parameters", None), r"'backbone.architecture.parameters' is null; accepted: an object"),
    "no cutoff": (parameter("rcutfac", None), r"parameters.rcutfac' is null; accepted: a number"),
    "text": (parameter("rfac0", "0.9"), r"parameters.rfac0' is \"0.9\"; accepted: a number"),
    "half a j": (parameter("twojmax", 2.0), r"parameters.twojmax' is 2.0; accepted: a whole number from 0 to 20"),
    "a huge j": (parameter("twojmax", 10**30), r"parameters.twojmax' is 1000000000000000000000000000000; accepted: a whole"),
    "a negative j": (parameter("twojmax", -2), r"parameters.twojmax' is -2; accepted: a whole number from 0 to 20"),
    "another j": (parameter("twojmax", 4), r"'backbone.n_features' is \d+; accepted: \d+, as the architecture gives"),
    "chemical": (parameter("chemflag", 1), r"'backbone.n_features' is \d+; accepted: \d+, as the architecture gives"),
    "a flag that is true": (parameter("bzeroflag", True), r"parameters.bzeroflag' is true; accepted: 0 or 1"),
    "a flag of two": (parameter("quadraticflag", 2), r"parameters.quadraticflag' is 2; accepted: 0 or 1"),
    "one radius": (architecture("radii", [0.5]), r"architecture.radii' is \[0.5\]; accepted: a list of one number for each element"),
    "no weights": (architecture("weights", None), r"architecture.weights' is null; accepted: a list of one number"),
    "no reference": (architecture("reference", []), r"architecture.reference' is \[\]; accepted: an object"),
    "a style that is a list": (reference("styles", "zbl 4 5"), r"reference.styles' is \"zbl 4 5\"; accepted: a list of texts"),
    "a second command": (reference("styles", ["zbl 4 5\nshell ls"]), r"reference.styles' .*; accepted: a list of texts of letters"),
    "a variable": (reference("coefficients", ["1 1 zbl ${x} 74"]), r"reference.coefficients' .*; accepted: a list of texts of letters"),
    "an accent": (reference("styles", ["zbl\u00e9"]), r"reference.styles' .*; accepted: a list of texts of letters"),
    "empty text": (reference("styles", [""]), r"reference.styles' is \[\"\"\]; accepted: a list of texts of letters"),
    "a style that runs code": (reference("styles", ["zbl 4 5", "python 5.0"]), r"styles\[1\]' is \"python 5.0\"; accepted: .* zbl$"),
    "a style like a good one": (reference("styles", ["zbl/omp 4 5"]), r"styles\[0\]' is \"zbl/omp 4 5\"; accepted: a text that"),
    "a style of spaces": (reference("styles", ["  "]), r"reference.styles\[0\]' is \"  \"; accepted: a text that begins with one of"),
    "hybrid": (reference("styles", ["hybrid zbl 4 5"]), r"reference.styles\[0\]' is \"hybrid zbl 4 5\"; accepted: a text that begins"),
    "another bias": (entry("posterior", "bias", "constant"), r"'posterior.bias' is \"constant\"; accepted: element, as a linear"),
    "too few coefficients": (tensor("backbone/coefficients", lambda a: a[1:]), r"'backbone/coefficients' has shape \(\d+,\), float64"),
    "single precision": (tensor("backbone/coefficients", lambda a: a.astype("f4")), r"'backbone/coefficients' has shape \(\d+,\), float32"),
    "NaN": (tensor("backbone/coefficients", lambda a: a * np.nan), r"'backbone/coefficients' has \d+ NaN or infinite numbers"),
    "no coefficients": (lambda h, t: t.pop("backbone/coefficients"), r"tensor 'backbone/coefficients' is missing; accepted: shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused(content, tmp_path, name):
    check_refusal(content, *BAD[name], tmp_path / "a.uq")


def test_inner_switch_needs_its_lists(content, tmp_path):
    header, tensors = content
    parameters = header["backbone"]["architecture"]
    parameters["parameters"]["switchinnerflag"] = 1
    parameters.pop("dinner", None)
    parameters["sinner"] = [1.0, 2.0]
    assert "header keys are missing: backbone.architecture.dinner" in said_of(raw_container(tmp_path / "a.uq", header, tensors))


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_refused_or_read(content, tmp_path, seed):
    """Digits, brackets and words of the header are changed at random: nothing but a UqError comes of it."""
    path = raw_container(tmp_path / "a.uq", *content)
    whole, generator = path.read_bytes(), random.Random(seed)
    end = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            damaged[generator.randrange(8, end)] = generator.choice(b'0123456789-.eE,:[]{}"tfn \\')
        path.write_bytes(damaged)
        said_of(path)


@pytest.fixture
def columns(tmp_path):
    """Header and tensors of a potential on the columns of any compute."""
    return compute_content(tmp_path)


def test_a_file_of_any_compute_is_read_by_said_of(columns, tmp_path):
    assert said_of(raw_container(tmp_path / "a.uq", *columns)) == ""
    columns[0]["backbone"]["architecture"] |= {"pair": "lj/cut", "files": {"x" * 100: "a"}}
    assert said_of(raw_container(tmp_path / "a.uq", *columns)) == ""
    columns[0]["backbone"]["architecture"] |= {"pair": "", "files": {}}
    assert said_of(raw_container(tmp_path / "a.uq", *columns)) == ""


def role(name, value):
    return lambda h, t: h["backbone"]["architecture"]["computes"].__setitem__(name, value)


BAD_COLUMNS = {
    "no cutoff": (architecture("cutoff", None), r"'backbone.architecture.cutoff' is null; accepted: a positive number"),
    "a negative cutoff": (architecture("cutoff", -1), r"architecture.cutoff' is -1; accepted: a positive number"),
    "no computes": (architecture("computes", []), r"architecture.computes' is \[\]; accepted: an object"),
    "no descriptors": (role("descriptors", ""), r"computes.descriptors' is \"\"; accepted: a compute style that ends in /atom"),
    "descriptors of the system": (role("descriptors", "rdf 100"), r"computes.descriptors' is \"rdf 100\"; accepted: a compute style"),
    "only the end of a name": (role("descriptors", "/atom 1"), r"computes.descriptors' is \"/atom 1\"; accepted: a compute style"),
    "a longer name": (role("gradient", "snad/atomic 1"), r"computes.gradient' is \"snad/atomic 1\"; accepted: a compute style"),
    "a space before it": (role("gradient", " snad/atom 1"), r"computes.gradient' is \" snad/atom 1\"; accepted: a compute style"),
    "a name with a dot": (role("gradient", "x.y/atom 1"), r"computes.gradient' is \"x.y/atom 1\"; accepted: a compute style"),
    "no virial": (role("virial", None), r"computes.virial' is null; accepted: a compute style that ends in /atom"),
    "a second command": (role("virial", "snav/atom 1\nshell ls"), r"computes.virial' is \"snav/atom 1\\u000ashell ls\"; accepted"),
    "a variable": (role("virial", "snav/atom ${x}"), r"computes.virial' is \"snav/atom \${x}\"; accepted: a compute style"),
    "a path": (role("virial", "snav/atom /etc/passwd"), r"computes.virial' is \"snav/atom /etc/passwd\"; accepted: a compute style"),
    "an open quote": (role("gradient", 'podd/atom x.pod " W'), r"computes.gradient' is \"podd/atom x.pod \\\" W\"; accepted: .*or \"\""),
    "three quotes": (role("gradient", 'podd/atom x.pod """ W Be'), r"architecture.computes.gradient' is .*; accepted: a compute style"),
    "two spaces": (role("gradient", "snad/atom  1"), r"computes.gradient' is \"snad/atom  1\"; accepted: a compute style"),
    "a space behind it": (role("gradient", "snad/atom "), r"computes.gradient' is \"snad/atom \"; accepted: a compute style"),
    "a long name": (architecture("files", {"x" * 101: "a"}), r"architecture.files' is \{\"xxx.*; accepted: an object of plain"),
    "two pair styles": (architecture("pair", "pod zbl"), r"architecture.pair' is \"pod zbl\"; accepted: the name of a pair style"),
    "files that are a list": (architecture("files", ["x.pod"]), r"architecture.files' is \[\"x.pod\"\]; accepted: an object of plain"),
    "a file above": (architecture("files", {"../x": "a"}), r"architecture.files' is \{\"../x\": \"a\"\}; accepted: an object of plain"),
    "a hidden file": (architecture("files", {".x": "a"}), r"architecture.files' is \{\".x\": \"a\"\}; accepted: an object of plain"),
    "a file without name": (architecture("files", {"": "a"}), r"architecture.files' is \{\"\": \"a\"\}; accepted: an object of plain"),
    "a file that is a number": (architecture("files", {"x": 1}), r"architecture.files' is \{\"x\": 1\}; accepted: an object of plain"),
    "no pair": (architecture("pair", None), r"architecture.pair' is null; accepted: the name of a pair style, or an empty text"),
    "no reference": (architecture("reference", None), r"architecture.reference' is null; accepted: an object"),
    "an odd number": (lambda h, t: h["elements"].append("Ta"), r"'backbone.n_features' is \d+; accepted: a multiple of 3, the number of"),
    "another bias": (entry("posterior", "bias", "constant"), r"'posterior.bias' is \"constant\"; accepted: element, as a linear"),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_bad_columns_are_refused(columns, tmp_path, name):
    check_refusal(columns, *BAD_COLUMNS[name], tmp_path / "a.uq")


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_to_columns_is_refused_or_read(columns, tmp_path, seed):
    test_random_damage_is_refused_or_read(columns, tmp_path, seed)
