# SPDX-License-Identifier: GPL-2.0-or-later
"""``lmp-uq export``: a linear potential, or one member of its posterior, as the files that LAMMPS' own pair style reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lmp_uq import __version__, modelfile
from lmp_uq.backbone.families import LINEAR
from lmp_uq.backbone.load import load_backbone
from lmp_uq.errors import UqError, argument
from lmp_uq.files import atomic_file


def export(model: str, out: str, member: int | None = None) -> dict[str, Path]:
    """Write the files of the pair style and PREFIX.in, the lines that define it, or PREFIX.coefficients (each whole or not at all).

    Parameters
    ----------
    model : str
        A *.uq file of a linear potential.
    out : str
        PREFIX; its folder must be there.
    member : int or None
        1 to K: the potential of that member of the posterior; None: Theta*, which the bars are about.

    Returns
    -------
    dict
        Suffixes to files: snapcoeff, snapparam, in; pod, podcoeff, in; or coefficients, where we write those of no pair style.

    Raises
    ------
    UqError
        A model of another family, a member that the file does not hold, no such folder, a prefix with white space.
    """
    file = modelfile.read(modelfile.resolve(model))
    header = file.header
    family = header.backbone.family
    if family not in LINEAR:
        raise UqError(f"{model} holds a model of family {family}; accepted: {' or '.join(LINEAR)}, a linear potential")
    prefix = Path(out)
    if not prefix.name or any(c.isspace() for c in out):
        raise UqError(f"{argument('out')} {out!r}; accepted: a prefix of file names without white space")
    if not prefix.absolute().parent.is_dir():
        raise UqError(f"{argument('out', out)}: there is no folder of that name to write into")
    settings = settings_of(file)
    theta = theta_of(file, member, model)
    what = "Theta*" if member is None else f"member {member}"
    # LAMMPS looks for the units in the first line of a potential's file, and refuses others
    note = f"# {what} of {Path(model).name}, sha256 {file.sha256[:12]}, lmp-uq {__version__} UNITS: metal"
    texts = settings.potential_files(theta, note)
    if "coefficients" not in texts:  # else only the user's own pair style knows what to make of them
        comments = ["# columns for compute uq/linear:", *(f"# {line}" for line in settings.compute_lines(str(prefix)))]
        lines = [note, "# units metal; a hybrid style of your own may hold these lines too", *settings.pair_lines(str(prefix)), *comments]
        texts["in"] = "\n".join(lines) + "\n"
    return {suffix: _write(f"{prefix}.{suffix}", text) for suffix, text in texts.items()}


def settings_of(file: modelfile.ModelFile) -> Any:
    """Settings of a linear potential: its descriptors, what is beneath it, the files of its pair style."""
    backbone: Any = load_backbone(file.header.backbone.to_dict(), file.section("backbone"), elements=file.header.elements)
    return backbone.settings


def theta_of(file: modelfile.ModelFile, member: int | None, model: str) -> np.ndarray:
    """(P + Z,) Theta* of a linear potential, or of its member 1 to K."""
    theta = file.tensors["backbone/coefficients"]
    if member is None:
        return theta
    members = file.tensors.get("posterior/members", np.zeros((0, len(theta))))
    if not 1 <= member <= len(members):
        raise UqError(f"{argument('member', member)}: {model} holds {len(members)} members; accepted: 1 to {len(members)}")
    return theta + members[member - 1]


def _write(path: str, text: str) -> Path:
    with atomic_file(Path(path)) as stream:
        stream.write(text.encode())
    return Path(path)
