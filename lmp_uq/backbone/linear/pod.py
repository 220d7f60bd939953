# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of LAMMPS' pair style pod, a linear potential on proper orthogonal descriptors.

N. C. Nguyen, A. Rohskopf, J. Comput. Phys. 480, 112030 (2023), doi 10.1016/j.jcp.2023.112030; https://docs.lammps.org/pair_pod.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lmp_uq.errors import UqError

STYLES = ("pod/atom", "podd/atom")
"""Of descriptors and their derivatives; what follows is the parameter file, a file of environments or "", and the elements."""


def is_written(settings: Any) -> bool:
    """Whether `potential_files` can write the pair style's files: of one environment, so that no other coefficients are needed."""
    words = settings.computes["descriptors"].split()
    return settings.pair == "pod" and words[0] == STYLES[0] and words[2] == '""' and words[1] in settings.files


def potential_files(settings: Any, theta: np.ndarray, note: str) -> dict[str, str]:
    """Texts of PREFIX.pod and PREFIX.podcoeff, by suffix: for each element its constant, then its block, with all digits.

    Parameters
    ----------
    settings : ComputeSettings
        For which `is_written` holds.
    theta : (P + Z,)
        Blocks of the elements, then their constants.
    note : str
        Comment line of the parameter file.
    """
    n_elements = len(settings.elements)
    blocks, constants = theta[:-n_elements].reshape(n_elements, -1), theta[-n_elements:]
    numbers = np.column_stack([constants, blocks]).ravel()
    lines = [f"model_coefficients: {len(numbers)} 0 0", *(f"{value:.17g}" for value in numbers)]
    parameters = settings.files[settings.computes["descriptors"].split()[1]]
    return {"pod": f"{note}\n{parameters}", "podcoeff": "\n".join(lines) + "\n"}


def check(settings: Any, where: str) -> None:
    """UqError where LAMMPS takes elements by their order, in silence, or reads files that the potential does not hold, or none."""
    wanted = list(settings.elements)
    for words in settings.computes.values():
        style, *rest = words.split() or [""]
        if style not in STYLES:
            continue
        if rest[2:] != wanted:
            accepted = f'{style} FILE "" {" ".join(wanted)}'
            raise UqError(f"{where}: '{words}'; accepted: {accepted}, with the elements of the line elements in the same order")
        absent = [name for name in rest[:2] if name not in settings.files and name != '""']
        if absent or rest[0] == '""':
            raise UqError(f"{where}: '{words}'; accepted: a parameter file, and one of environments or \"\", each with a line file")
        _check_species(settings.files[rest[0]], wanted, f"{where}: {rest[0]}")


def _check_species(text, wanted, where):
    """Without species LAMMPS ends the process."""
    found = next((line.split()[1:] for line in text.splitlines() if line.split()[:1] == ["species"]), None)
    if found != wanted:
        said = "no line species" if found is None else f"the species {' '.join(found)}"
        raise UqError(f"{where} has {said}; accepted: {' '.join(wanted)}, as the line elements")
