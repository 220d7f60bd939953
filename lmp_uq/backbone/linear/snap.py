# SPDX-License-Identifier: GPL-2.0-or-later
"""SNAP as a backbone: rows from LAMMPS' own ``compute snap``."""

from __future__ import annotations

import numpy as np

from lmp_uq.backbone.linear.potential import Columns, LinearBackbone
from lmp_uq.backbone.linear.snap_settings import SnapSettings


class SnapBackbone(LinearBackbone):
    """A SNAP potential; its architecture is what `SnapSettings.header` gives."""

    def _settings(self, architecture):
        return SnapSettings.from_header(architecture, self.elements)

    def _run(self, cell, positions, species):
        """One table of compute snap: N rows of descriptors, 3N of forces, 6 of the virial; the last column is the reference's."""
        lines = [f"compute lmp_uq_rows all snap {self.settings.compute_arguments()} bikflag 1"]
        lmp, reference = self._evaluate(cell, positions, species, lines)
        n, width = len(species), self.n_features
        table = np.array(lmp.numpy.extract_compute("lmp_uq_rows", 0, 2))[:, :width]
        return Columns(table[:n].copy(), table[n : 4 * n], table[4 * n :]), reference
