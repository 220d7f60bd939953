# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels that are there are read, or named: partial ones, other names, virials, weights; isolated atoms are left out."""

from __future__ import annotations

import warnings

import ase
import numpy as np
import pytest
from frame_example import (
    ENERGY,
    FORCES,
    LABELS,
    STRESS,
    VOIGT,
    assert_is_the_frame,
    frame_text,
    read_one,
    write,
)

from lmp_uq.errors import UqError, named_by_options
from lmp_uq.frames.reading import LabelKeys, read_frames

VOLUME = 3.2**3
NINE = " ".join(f"{number:.12f}" for number in (-STRESS * VOLUME).ravel())
"""Virials (eV) of the frame's stress."""


def test_labels_may_be_partial(tmp_path):
    path = write(tmp_path / "a.xyz", frame_text("REF_energy=1", ""), frame_text("", "REF_forces"))
    energy_only, forces_only = read_frames(path)
    assert (energy_only.energy, energy_only.forces, energy_only.stress) == (1.0, None, None)
    assert np.isnan(forces_only.energy)
    np.testing.assert_array_equal(forces_only.forces, FORCES)


def test_plain_names_beside_reference_names_are_not_mixed_in_but_named(tmp_path):
    text = 'REF_energy=1 stress="9 9 9 9 9 9 9 9 9"'
    path = write(tmp_path / "a.xyz", frame_text(text, "forces"), frame_text(), frame_text(f"{text} energy=2", "forces"))
    with pytest.warns(UserWarning) as said:
        frame, whole, _ = read_frames(path)
    assert (frame.energy, frame.forces, frame.stress) == (1.0, None, None)
    assert_is_the_frame(whole)
    line = f"{path}: labels that were seen and are not used, of 3 frames: forces of 2, stress of 2; to ask for them: "
    assert [str(one.message) for one in said] == [line + "keys=dict(forces='forces', stress='stress')"]
    asked = read_one(write(path, frame_text(text, "forces")), keys=LabelKeys(forces="forces", stress="stress"))
    assert asked.energy == 1.0 and asked.stress[0, 0] == 9.0
    np.testing.assert_array_equal(asked.forces, FORCES)


@pytest.mark.parametrize(
    ("labels", "forces", "options"),
    [
        ("REF_energy=1", "dft_force", "--forces-key dft_force"),
        ('REF_energy=1 virial="1 2 3 2 4 5 3 5 6"', "", "--virials-key virial"),
        ("energy-of-what=1 VASP_energy=1", "REF_forces", "--energy-key VASP_energy"),
        ("QE_energy=1 VASP_energy=1", "REF_forces", "--energy-key QE_energy or --energy-key VASP_energy"),
    ],
)
def test_labels_under_other_names_are_named(tmp_path, labels, forces, options):
    with named_by_options(), pytest.warns(UserWarning, match=f"to ask for them: {options}$"):
        read_one(write(tmp_path / "a.xyz", frame_text(labels, forces)))


def test_what_is_no_label_or_not_missing_is_not_named(tmp_path, recwarn):
    write(tmp_path / "a.xyz", frame_text(f'{LABELS} energy=1 dft_energy=2 virial_stress="1 2 3" max_force=3 magmom_stress=high'))
    assert_is_the_frame(read_one(tmp_path / "a.xyz"))
    read_one(write(tmp_path / "b.xyz", frame_text("REF_energy=1 config_energy_weight=2 mean_force=3", "")))
    read_one(write(tmp_path / "c.xyz", frame_text("REF_energy=1 MACE_stress=\"1 0 0 0 1 0 0 0 1\"", "mace_forces")))  # those of a model
    assert not recwarn.list


def test_labels_under_other_names_only_are_an_error_that_names_them(tmp_path):
    path = write(tmp_path / "a.xyz", frame_text("dft_energy=1", "dft_forces"))
    with pytest.raises(UqError, match=r"no labels found; .* can be asked for: keys=dict\(energy='dft_energy', forces='dft_forces'\)"):
        read_frames(path)


def test_zero_stress_is_missing(tmp_path):
    path = write(
        tmp_path / "a.xyz", frame_text(f'REF_energy={ENERGY} REF_stress="0 0 0 0 0 0"'), frame_text()
    )
    with pytest.warns(UserWarning, match=r"a.xyz: the stress of 1 frames is exactly zero"):
        zero, full = read_frames(path)
    assert zero.stress is None
    assert_is_the_frame(full)
    write(path, frame_text('REF_stress="0 0 0 0 0 0"', ""), frame_text())
    with pytest.warns(UserWarning, match=r"a.xyz: 1 of 2 frames are left out: all .* are a stress of zeros \(.* frame 0\)"):
        (full,) = read_frames(path)
    assert_is_the_frame(full)


@pytest.mark.parametrize(
    "keys", [LabelKeys("E0"), LabelKeys(forces="dft_forces"), LabelKeys(stress="virial")]
)
def test_names_given_must_exist_in_every_file(tmp_path, keys):
    name = next(key for key in keys if key)
    path = write(tmp_path / "a.xyz", frame_text(), frame_text())
    with pytest.raises(UqError, match=f"a.xyz: label keys {name} are in none of its 2 frames"):
        read_frames(path, keys=keys)


def test_name_given_may_be_missing_in_some_frames(tmp_path):
    path = write(tmp_path / "a.xyz", frame_text("E=3.0"), frame_text("x=1"))
    with_energy, without = read_frames(path, keys=LabelKeys("E"))
    assert with_energy.energy == 3.0
    assert np.isnan(without.energy)
    with pytest.raises(UqError, match=r"looked for E, REF_forces, REF_stress, REF_virials, forces, stress, virials$"):
        read_frames(write(path, frame_text("x=1", "")), keys=LabelKeys("E"))


# --- virials ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_sign_of_virials_is_that_of_mace_torch(sign):
    """A planted sign is noticed: their own model gives virials that are -volume times its stress."""
    import torch
    from tiny_models import plain_model

    from lmp_uq.backbone.mace.architecture import default_dtype

    atoms = ase.Atoms("HOH", positions=[[0, 0, 0], [1, 0.1, 0], [0.2, 1.1, 0.9]], cell=[3.1, 3.3, 3.5], pbc=True)
    with default_dtype(torch.float64):
        from mace.calculators import MACECalculator

        calculator = MACECalculator(models=[plain_model()], device="cpu", default_dtype="float64")
        batch = calculator._atoms_to_batch(atoms).to_dict()
        out = calculator.models[0](batch, compute_stress=True, compute_virials=True)
    virials, stress = (sign**k * out[name].detach().numpy()[0] for k, name in ((1, "virials"), (0, "stress")))
    atoms.info |= {"REF_energy": 0.0, "REF_virials": virials, "REF_stress": stress}
    from lmp_uq.frames.labels import DEFAULT_KEYS, find_labels

    if sign > 0:
        np.testing.assert_allclose(find_labels(atoms, DEFAULT_KEYS, "here").stress, stress, atol=1e-12)
        del atoms.info["REF_stress"]
        np.testing.assert_allclose(find_labels(atoms, DEFAULT_KEYS, "here").stress, stress, atol=1e-12)
    else:
        with pytest.raises(UqError, match=r"here: 'REF_stress' and -'REF_virials'/volume contradict .* which is the opposite sign,"):
            find_labels(atoms, DEFAULT_KEYS, "here")


OF_VIRIALS, NINES = f'REF_virials="{NINE}"', '"9 9 9 9 9 9"'
VIRIALS = {
    "reference": (OF_VIRIALS, "REF_forces", LabelKeys()),
    "plain": (f'virials="{NINE}"', "forces", LabelKeys()),
    "own name": (f'v="{NINE}"', "REF_forces", LabelKeys(virials="v")),
    "own name beside a stress": (f'v="{NINE}" REF_stress={NINES}', "REF_forces", LabelKeys(virials="v")),
    "beside the same stress": (f'{OF_VIRIALS} REF_stress="{VOIGT}"', "REF_forces", LabelKeys()),
    "beside a stress of zeros": (f'{OF_VIRIALS} REF_stress="0 0 0 0 0 0"', "REF_forces", LabelKeys()),
    "zeros beside a stress": (f'{LABELS} REF_virials="0 0 0 0 0 0"', "REF_forces", LabelKeys()),
    "beside a stress of weight 0": (f"{OF_VIRIALS} REF_stress={NINES} config_stress_weight=0", "REF_forces", LabelKeys()),
    "of weight 0 beside a stress": (f"{LABELS} REF_virials={NINES} config_virials_weight=0", "REF_forces", LabelKeys()),
}


@pytest.mark.parametrize("name", VIRIALS)
def test_virials_are_a_stress(tmp_path, name):
    labels, forces, keys = VIRIALS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = read_one(write(tmp_path / "a.xyz", frame_text(labels, forces)), keys=keys)
    np.testing.assert_allclose(frame.stress, STRESS, rtol=1e-9)
    np.testing.assert_array_equal(frame.forces, FORCES)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (f'REF_stress="{VOIGT}" REF_virials="{NINE.replace("-", "")}"', ".* contradict each other: .* opposite sign"),
        (
            f'REF_stress="{VOIGT}" REF_virials="1 2 3 4 5 6"',
            ".* contradict .*keys=dict.stress='REF_stress'. or keys=dict.virials='REF_virials'.",
        ),
        ('REF_virials="1 2"', r"'REF_virials' has shape \(2,\); accepted: .* \(eV\)"),
        ('REF_virials="nan 0 0 0 0 0"', "'REF_virials' holds NaN"),
    ],
)
def test_bad_virials_are_named(tmp_path, labels, message):
    with pytest.raises(UqError, match=rf"a.xyz, frame 1: {message}"):
        read_frames(write(tmp_path / "a.xyz", frame_text(), frame_text(labels)))


# --- weights of mace-torch --------------------------------------------------------------------------------


def test_weights_are_products():
    from lmp_uq.frames.labels import DEFAULT_KEYS, find_labels

    weights = {"config_weight": 2.0, "config_energy_weight": 3, "config_forces_weight": "0.5", "config_virials_weight": 7.0}
    atoms = ase.Atoms("W", cell=[3.0] * 3, info=weights | {"REF_energy": 1.0, "REF_stress": np.eye(3)})
    assert find_labels(atoms, DEFAULT_KEYS, "").weights == (6.0, 1.0, 2.0)
    atoms.info["REF_virials"] = -27.0 * atoms.info.pop("REF_stress")
    assert find_labels(atoms, DEFAULT_KEYS, "").weights == (6.0, 1.0, 14.0)


@pytest.mark.parametrize("written", ["0.0", "nan", "none"])
def test_what_has_weight_zero_is_not_read(tmp_path, written):
    text = frame_text(f'REF_energy={written} REF_stress="{VOIGT}" config_energy_weight=0')
    path = write(tmp_path / "a.xyz", frame_text(), text, frame_text("REF_energy=1 config_forces_weight=0.0").replace("0.50000000", "nan"))
    with pytest.warns(UserWarning, match="labels of weight 0, which are not read, of 3 frames: energy of 1, forces of 1$"):
        first, without, last = read_frames(path)
    assert_is_the_frame(first)
    assert np.isnan(without.energy) and without.forces is not None and without.stress is not None
    assert last.energy == 1.0 and last.forces is None


def test_frames_of_weight_zero_are_left_out(tmp_path):
    path = write(tmp_path / "a.xyz", frame_text(), frame_text(f"{LABELS} config_weight=0").replace("0.50000000", "nan"))
    with pytest.warns(UserWarning, match=r"a.xyz: 1 of 2 frames are left out: all their labels have weight 0 or .*frame 1\)"):
        (frame,) = read_frames(path)
    assert frame.source == "a.xyz[0]"
    with pytest.warns(UserWarning), pytest.raises(UqError, match=r"a.xyz: no frame is left"):
        read_frames(write(path, frame_text("REF_energy=1 config_weight=0", "")))


@pytest.mark.parametrize("weight", ["-1", "nan", "inf", "heavy"])
def test_bad_weights_are_named(tmp_path, weight):
    path = write(tmp_path / "a.xyz", frame_text(f"{LABELS} config_energy_weight={weight}"))
    with pytest.raises(UqError, match=r"a.xyz, frame 0: 'config_energy_weight' is .*; accepted: a number >= 0"):
        read_frames(path)
    with pytest.raises(UqError, match="frame 0: 'config_weight' times 'config_energy_weight' is infinite"):
        read_frames(write(path, frame_text(f"{LABELS} config_weight=1e200 config_energy_weight=1e200")))


# --- isolated atoms ---------------------------------------------------------------------------------------


def frame_of_atoms(symbols: str, distance: float, cell: float = 18.0, config_type: str = "atoms") -> str:
    """Text of atoms along x."""
    info = f'Lattice="{cell} 0 0 0 {cell} 0 0 0 {cell}" Properties=species:S:1:pos:R:3 REF_energy=-4.5 config_type={config_type}'
    return "\n".join([str(len(symbols)), info, *(f"{symbol} {k * distance} 0 0" for k, symbol in enumerate(symbols))]) + "\n"


ALONE = {
    "named": (frame_of_atoms("H", 0.0, config_type="IsolatedAtom"), True, True),
    "named in a small cell": (frame_of_atoms("H", 0.0, 2.0, "IsolatedAtom"), True, True),
    "one atom": (frame_of_atoms("H", 0.0), True, False),
    "one atom without a cell": ('1\nREF_energy=-4.5 pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\n', True, False),
    "two atoms far apart": (frame_of_atoms("HH", 8.0), True, False),
    "a crystal of one atom": (frame_of_atoms("H", 0.0, 4.0), False, False),
    "a molecule": (frame_of_atoms("HH", 1.0), False, False),
    "two atoms across the boundary": (frame_of_atoms("HH", 16.0), False, False),
    "a pair beside an atom": (frame_of_atoms("HHH", 6.0, 17.0), False, False),
}
"""Text, whether it is left out for a cutoff of 5.5 Angstrom, and whether without one."""


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("cutoff", [5.5, None])
def test_isolated_atoms_are_left_out(tmp_path, name, cutoff):
    text, with_cutoff, without = ALONE[name]
    path = write(tmp_path / "a.xyz", frame_text(), text, text)
    if not (with_cutoff if cutoff else without):
        assert len(read_frames(path, cutoff=cutoff)) == 3
        return
    with pytest.warns(UserWarning, match=r"a.xyz: 2 of 3 frames are left out: isolated atoms, .*the first is frame 1\)"):
        (frame,) = read_frames(path, cutoff=cutoff)
    assert frame.source == "a.xyz[0]"


def test_a_file_of_isolated_atoms_beside_others(tmp_path):
    alone, others = write(tmp_path / "e0.xyz", ALONE["named"][0]), write(tmp_path / "a.xyz")
    with pytest.warns(UserWarning, match="e0.xyz: 1 of 1 frames are left out"):
        assert [f.source for f in read_frames([alone, others])] == ["a.xyz[0]"]
    with pytest.warns(UserWarning), pytest.raises(UqError, match=r"e0.xyz: no frame is left; accepted: .* no isolated atom"):
        read_frames(alone)
