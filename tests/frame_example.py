# SPDX-License-Identifier: GPL-2.0-or-later
"""One labelled frame of two tungsten atoms, as text and as an object."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np

from lmp_uq.frames.frame import Frame
from lmp_uq.frames.reading import read_frames

ENERGY = -17.25
FORCES = np.array([[0.5, -0.25, 0.125], [-0.5, 0.25, -0.125]])
STRESS = np.array([[0.01, 0.06, 0.05], [0.06, 0.02, 0.04], [0.05, 0.04, 0.03]])
VOIGT = "0.01 0.02 0.03 0.04 0.05 0.06"
NINE = "0.01 0.06 0.05 0.06 0.02 0.04 0.05 0.04 0.03"
LABELS = f'REF_energy={ENERGY} REF_stress="{VOIGT}"'


def frame_text(labels: str = LABELS, forces_name: str = "REF_forces", shift: float = 0.0) -> str:
    """Text of one frame of two tungsten atoms; `forces_name` empty: no forces."""
    lines = ["2", f'Lattice="3.2 0 0 0 3.2 0 0 0 3.2" Properties=species:S:1:pos:R:3 {labels}']
    for position, force in zip(([shift, 0, 0], [1.6, 1.6, 1.7]), FORCES, strict=True):
        numbers = [*position, *force] if forces_name else position
        lines.append("W " + " ".join(f"{number:.8f}" for number in numbers))
    text = "\n".join(lines) + "\n"
    return text.replace("pos:R:3", f"pos:R:3:{forces_name}:R:3") if forces_name else text


def write(path: Path, *frames: str) -> Path:
    path.write_text("".join(frames or [frame_text()]))
    return path


def read_one(path: Path, **options) -> Frame:
    (frame,) = read_frames(path, **options)
    return frame


def assert_is_the_frame(frame: Frame) -> None:
    assert frame.energy == ENERGY
    np.testing.assert_array_equal(frame.forces, FORCES)
    np.testing.assert_allclose(frame.stress, STRESS, rtol=1e-15)
    assert frame.atoms.calc is None


def frame_of(symbols: str, group: str = "default", **info) -> Frame:
    atoms = ase.Atoms(symbols, positions=np.arange(3.0 * len(ase.Atoms(symbols))).reshape(-1, 3), info=info)
    return Frame(atoms, 0.0, None, None, group, "made.xyz[0]", 0)
