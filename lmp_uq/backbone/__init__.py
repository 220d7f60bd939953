# SPDX-License-Identifier: GPL-2.0-or-later
"""Model families behind one protocol: frozen models that give energies and descriptors of atoms, and their derivatives."""

from lmp_uq.backbone.load import backbone_of_file, load_backbone

__all__ = ["backbone_of_file", "load_backbone"]
