# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading frames: one frame is the same frame in whatever file and under whatever names it comes."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from frame_example import (
    ENERGY,
    FORCES,
    LABELS,
    NINE,
    STRESS,
    VOIGT,
    assert_is_the_frame,
    frame_of,
    frame_text,
    read_one,
    write,
)

from lmp_uq.errors import UqError
from lmp_uq.frames.frame import check_elements, split_hold_out
from lmp_uq.frames.reading import LabelKeys, read_frames, write_extxyz

# --- the same frame in every guise ------------------------------------------------------------------------

GUISES = {
    "reference names": (frame_text(), {}),
    "plain names": (frame_text(f'energy={ENERGY} stress="{NINE}"', "forces"), {}),
    "nine numbers": (frame_text(f'REF_energy={ENERGY} REF_stress="{NINE}"'), {}),
    "json": (frame_text(f'REF_energy={ENERGY} REF_stress="_JSON {STRESS.tolist()}"'), {}),
    "own names": (
        frame_text(f'E={ENERGY} S="{VOIGT}" energy=1.0 REF_energy=2.0', "F"),
        {"keys": LabelKeys("E", "F", "S")},
    ),
    "one own name": (frame_text(f"E={ENERGY} {LABELS}".replace("REF_energy", "x")), {"keys": LabelKeys("E")}),
    "own name that ASE moves": (
        frame_text(f'energy={ENERGY} REF_energy=3 REF_stress="{VOIGT}"'),
        {"keys": LabelKeys(energy="energy")},
    ),
    "carriage returns": (frame_text().replace("\n", "\r\n"), {}),
    "reference before plain": (frame_text(f'{LABELS} energy=1.0 stress="9 9 9 9 9 9 9 9 9"'), {}),
}


@pytest.mark.parametrize("name", GUISES)
@pytest.mark.parametrize("suffix", [".extxyz", ".xyz", ".xyz.gz"])
def test_every_guise_gives_the_same_frame(tmp_path, name, suffix):
    text, options = GUISES[name]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    frame = read_one(path, **options)
    assert_is_the_frame(frame)
    assert frame.source == f"a{suffix}[0]"
    assert frame.key == read_one(write(tmp_path / "plain.xyz")).key


@pytest.mark.parametrize("suffix", [".traj", ".json", ".traj.gz"])
def test_results_of_a_calculator(tmp_path, suffix):
    atoms = ase.Atoms("W2", positions=[[0, 0, 0], [1.6, 1.6, 1.7]], cell=[3.2] * 3, pbc=True)
    voigt = np.array([float(number) for number in VOIGT.split()])
    atoms.calc = SinglePointCalculator(atoms, energy=ENERGY, forces=FORCES, stress=voigt)
    # a fixed atom has a force all the same
    atoms.set_constraint(ase.constraints.FixAtoms([0]))
    path = tmp_path / f"a{suffix}"
    ase.io.write(tmp_path / f"a{suffix.removesuffix('.gz')}", [atoms])
    if suffix.endswith(".gz"):
        path.write_bytes(gzip.compress((tmp_path / "a.traj").read_bytes()))
    frame = read_one(path)
    assert_is_the_frame(frame)
    assert frame.key == read_one(write(tmp_path / "plain.xyz")).key


def test_wrong_voigt_order_would_be_noticed(tmp_path):
    wrong = "0.01 0.02 0.03 0.06 0.05 0.04"
    frame = read_one(write(tmp_path / "a.xyz", frame_text(f'REF_stress="{wrong}"')))
    assert np.abs(frame.stress - STRESS).max() > 0.01


def test_order_groups_and_sources_of_several_files(tmp_path):
    first = write(tmp_path / "a.xyz", frame_text(f"{LABELS} config_type=bulk"), frame_text(shift=0.1))
    second = write(tmp_path / "b.xyz", frame_text(f"{LABELS} config_type=7 kind=hot", shift=0.2))
    frames = read_frames([first, str(second)])
    assert [frame.source for frame in frames] == ["a.xyz[0]", "a.xyz[1]", "b.xyz[0]"]
    assert [frame.group for frame in frames] == ["bulk", "default", "7"]
    assert [frame.atoms.positions[0, 0] for frame in frames] == [0.0, 0.1, 0.2]
    assert len({frame.key for frame in frames}) == 3
    assert [frame.group for frame in read_frames(second, group_key="kind")] == ["hot"]


# --- content hash -----------------------------------------------------------------------------------------


def key_of(tmp_path: Path, **changes) -> int:
    atoms = ase.Atoms("W2", positions=[[0, 0, 0], [1.6, 1.6, 1.7]], cell=[3.2] * 3, pbc=True)
    for name, value in changes.items():
        setattr(atoms, name, value)
    atoms.calc = SinglePointCalculator(atoms, energy=changes.get("energy", 1.0))
    ase.io.write(tmp_path / "key.traj", [atoms])
    return read_one(tmp_path / "key.traj").key


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"energy": 5.0}, True),
        ({"info": {"config_type": "x"}}, True),
        ({"positions": [[1e-8, -1e-8, -0.0], [1.6, 1.6, 1.7]]}, True),
        ({"positions": [[2e-6, 0, 0], [1.6, 1.6, 1.7]]}, False),
        ({"positions": [[0, 2e-6, 0], [1.6, 1.6, 1.7]]}, False),
        ({"cell": [3.2, 3.2, 3.200002]}, False),
        ({"cell": [3.2, 3.2, 3.20000001]}, True),
        ({"pbc": [True, True, False]}, False),
        ({"numbers": [74, 73]}, False),
    ],
)
def test_key_sees_geometry_only(tmp_path, changes, same):
    assert (key_of(tmp_path, **changes) == key_of(tmp_path)) is same


def test_key_is_the_same_on_every_machine(tmp_path):
    key = key_of(tmp_path)
    integers = [74, 74, *[0, 0, 0, 1600000, 1600000, 1700000], *np.diag([3200000] * 3).ravel().tolist()]
    content = b"".join(int(number).to_bytes(8, "little", signed=True) for number in integers) + b"\1\1\1"
    assert key == int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    assert key == 6482747354501846179


# --- what is rejected -------------------------------------------------------------------------------------

BAD_FRAMES = {
    "no labels": (
        frame_text("x=1", ""),
        r"frame 1: no labels found; looked for REF_energy, REF_forces, REF_stress, REF_virials, en",
    ),
    "nan energy": (frame_text("REF_energy=nan"), r"frame 1: 'REF_energy' holds NaN or infinite"),
    "infinite energy": (frame_text("energy=inf", ""), r"frame 1: 'energy' holds NaN or infinite"),
    "text energy": (frame_text("REF_energy=low"), r"frame 1: 'REF_energy' is 'low'; accepted: numbers"),
    "true energy": (frame_text("REF_energy=T"), r"frame 1: 'REF_energy' is 'True'; accepted: numbers"),
    "two energies": (
        frame_text('REF_energy="1 2"'),
        r"frame 1: 'REF_energy' has shape \(2,\); accepted: one number",
    ),
    "nan force": (frame_text().replace("0.50000000", "nan"), r"frame 1: 'REF_forces' holds NaN"),
    "flat forces": (
        frame_text().replace("pos:R:3:REF_forces:R:3", "pos:R:3:x:R:1:REF_forces:R:2"),
        r"frame 1: 'REF_forces' has shape \(2, 2\); accepted: \(2, 3\)",
    ),
    "short stress": (
        frame_text('REF_stress="1 2 3"'),
        r"frame 1: 'REF_stress' has shape \(3,\); accepted: \(3, 3\)",
    ),
    "text stress": (frame_text("REF_stress=high"), r"frame 1: 'REF_stress' is 'high'; accepted: numbers"),
    "ragged stress": (frame_text('REF_stress="_JSON [[1,2],[3]]"'), r"frame 1: cannot be read"),
    "no volume": (
        frame_text().replace('0 0 0 3.2"', '0 0 0 0"'),
        r"frame 1: 'REF_stress' .*without a volume",
    ),
    "nan position": (frame_text().replace("1.70000000", "nan"), r"frame 1: .*positions or cell are NaN"),
    "no atoms": ("0\nREF_energy=1\n", r"frame 1: .*no atoms"),
    "unknown element": (frame_text().replace("W ", "Wx "), r"frame 1: cannot be read: .*Wx"),
    "empty line": ("\n" + frame_text(), r"frame 1: .*an empty line is followed by more text"),
    "truncated": (frame_text()[:-70], r"frame 1: cannot be read"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", BAD_FRAMES)
def test_bad_frames_are_named(tmp_path, name, packed):
    text, message = BAD_FRAMES[name]
    path = write(tmp_path / "bad.xyz", frame_text(), text)
    if packed:
        path = tmp_path / "bad.xyz.gz"
        path.write_bytes(gzip.compress((frame_text() + text).encode()))
    with pytest.raises(UqError, match=message) as caught:
        read_frames(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UqError, match=r"no.xyz: no such file"):
        read_frames(tmp_path / "no.xyz")
    with pytest.raises(UqError, match="is a folder"):
        read_frames([tmp_path])
    (tmp_path / "empty.xyz").touch()
    with pytest.raises(UqError, match=r"empty.xyz: the file is empty"):
        read_frames(tmp_path / "empty.xyz")
    (tmp_path / "blank.xyz").write_text(" \n\n")
    with pytest.raises(UqError, match=r"blank.xyz, frame 0: .*empty"):
        read_frames(tmp_path / "blank.xyz")
    (tmp_path / "prose.xyz").write_text("It was a dark and stormy night\n")
    with pytest.raises(UqError, match=r"prose.xyz, frame 0: cannot be read"):
        read_frames(tmp_path / "prose.xyz")
    (tmp_path / "prose.xyz").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(UqError, match=r"prose.xyz, frame 0: cannot be read"):
        read_frames(tmp_path / "prose.xyz")


def test_damaged_gzip(tmp_path):
    path = tmp_path / "a.xyz.gz"
    packed = gzip.compress(frame_text().encode())
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 255
    for content in (frame_text().encode(), packed[:-9], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(UqError, match=r"a.xyz.gz, frame 0: .*no complete gzip file"):
            read_frames(path)


def test_file_name_with_at_sign(tmp_path):
    ase.io.write(tmp_path / "a.traj", [frame_of("W", REF_energy=2.0).atoms])
    (tmp_path / "a.traj").rename(tmp_path / "run@300.traj")
    assert read_one(tmp_path / "run@300.traj").energy == 2.0


# --- elements ----------------------------------------------------------------------------------------------


def test_unknown_element_is_named():
    frames = [frame_of("WTa"), frame_of("WBe")]
    frames[1].source = "alloy.xyz[3]"
    check_elements(frames, ["W", "Ta", "Be"])
    with pytest.raises(UqError, match=r"alloy.xyz\[3\]: elements Be found; accepted: W, Ta$"):
        check_elements(frames, ["W", "Ta"])


# --- hold-out ---------------------------------------------------------------------------------------------


def test_split_is_a_partition():
    frames = [frame_of("W", config_type=t, temperature=k) for t, k in [("a", 300), ("b", 300), ("a", 900)]]
    assert split_hold_out(frames, "config_type=a") == ([frames[1]], [frames[0], frames[2]])
    assert split_hold_out(frames, "temperature=900") == (frames[:2], [frames[2]])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("liquid", "accepted: KEY=VALUE"),
        ("=liquid", "accepted: KEY=VALUE"),
        ("config_type=c", "matches none of 2 frames; config_type is one of a, b"),
        ("colour=red", "no frame has the key colour; there are config_type, same"),
        ("same=1", "matches all 2 frames"),
    ],
)
def test_bad_hold_outs(selection, message):
    frames = [frame_of("W", config_type="a", same=1), frame_of("W", config_type="b", same=1)]
    with pytest.raises(UqError, match=message):
        split_hold_out(frames, selection)


# --- writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.extxyz", "out.extxyz.gz"])
def test_written_frames_are_read(tmp_path, name):
    frames = read_frames(
        write(tmp_path / "a.xyz", frame_text(f"{LABELS} config_type=bulk"), frame_text(shift=0.5))
    )
    write_extxyz(tmp_path / name, [frame.atoms for frame in frames])
    again = read_frames(tmp_path / name)
    assert [frame.key for frame in again] == [frame.key for frame in frames]
    assert [frame.group for frame in again] == ["bulk", "default"]
    assert_is_the_frame(again[0])
    first = (tmp_path / name).read_bytes()
    write_extxyz(tmp_path / name, [frame.atoms for frame in frames])
    assert (tmp_path / name).read_bytes() == first
    if name.endswith(".gz"):
        assert first[4:8] == b"\0" * 4  # no time of writing


def test_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = write(tmp_path / "a.xyz")
    before = path.read_text()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UqError, match="cannot be written: No space left"):
        write_extxyz(path, [ase.Atoms("W")])
    assert path.read_text() == before
    assert os.listdir(tmp_path) == ["a.xyz"]


def test_nothing_to_write(tmp_path):
    with pytest.raises(UqError, match="no frames to write"):
        write_extxyz(tmp_path / "a.xyz", [])
