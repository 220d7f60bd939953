# SPDX-License-Identifier: GPL-2.0-or-later
"""A linear potential of a model file with the members of its posterior: what properties are computed of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from lmp_uq import modelfile
from lmp_uq.backbone.families import LINEAR
from lmp_uq.backbone.load import linear_class
from lmp_uq.errors import UqError
from lmp_uq.posterior.box import Box
from lmp_uq.properties.potential.system import LinearSystem


class LinearPotential:
    """E = E_reference + Theta.Phi, its Theta* and the departures that its posterior allows.

    Attributes
    ----------
    elements : tuple of str
    theta : (P,) eV per unit of Phi
        Theta* of the potential that runs: blocks of the elements, then their constants.
    departures : (K, P)
        Theta of each member of the file less Theta*.
    posterior : lmp_uq.posterior.box.Box
        Distribution of the departures: std and bounds of what is linear in them.
    sha256 : str
        Of the model file.
    shared : dict
        What several properties need and one of them has computed, as the crystal at its minimum.

    Parameters
    ----------
    file : lmp_uq.modelfile.file.ModelFile
    name : str
        What the user called it, for messages.
    communicator : MPI communicator or None
        On which LAMMPS runs: of this process alone where several share the members.

    Raises
    ------
    UqError
        A model of another family, or one without posterior.
    """

    def __init__(self, file: modelfile.ModelFile, name: str, communicator: Any = None):
        header = file.header
        family = header.backbone.family
        if family not in LINEAR:
            raise UqError(f"{name} holds a model of family {family}; accepted: {' or '.join(LINEAR)}, a linear potential")
        if header.posterior is None:
            raise UqError(f"{name} holds no posterior: lmp-uq fit adds one")
        self.header, self.elements = header, tuple(header.elements)
        self.theta = np.array(file.tensors["backbone/coefficients"])
        self.posterior = Box.from_tensors(file.section("posterior"))
        self.departures = np.array(file.tensors["posterior/members"])
        self.sha256 = file.sha256
        self.shared: dict[Any, Any] = {}
        self.communicator = communicator
        tensors = {"coefficients": np.zeros(len(self.theta))}
        self._reference = linear_class(family)(header.backbone.architecture, tensors, self.elements, communicator)
        self._reference.settings.pair_lines("theta")  # a potential that no pair style runs is refused here

    @classmethod
    def read(cls, name: str, communicator: Any = None) -> LinearPotential:
        """From a *.uq file or the name of an embedded model."""
        return cls(modelfile.read(modelfile.resolve(name)), name, communicator)

    def system(self, atoms: Atoms) -> LinearSystem:
        """One structure with this potential; all of them share one LAMMPS."""
        return LinearSystem(self._reference, atoms)

    def write_pair_style(self, theta: np.ndarray, prefix: Path) -> Path:
        """Write the files of its pair style and PREFIX.in, which an input of LAMMPS may include; the path of the last."""
        settings = self._reference.settings
        for suffix, text in settings.potential_files(np.asarray(theta), "# of a property").items():
            Path(f"{prefix}.{suffix}").write_text(text)
        Path(f"{prefix}.in").write_text("\n".join(settings.pair_lines(str(prefix))) + "\n")
        return Path(f"{prefix}.in")

    def members(self, n: int) -> np.ndarray:
        """(n, P) Theta of the first n members; UqError if the file holds fewer."""
        if not 1 <= n <= len(self.departures):
            raise UqError(f"{n} members are asked for; the model file holds {len(self.departures)}: accepted 1 to {len(self.departures)}")
        return self.theta + self.departures[:n]
