# SPDX-License-Identifier: GPL-2.0-or-later
"""The grade: how far an atom's descriptors are from those of the training atoms."""
