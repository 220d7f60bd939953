# SPDX-License-Identifier: GPL-2.0-or-later
"""Model families behind one protocol: frozen models that give energies and descriptors of atoms, and their derivatives."""
