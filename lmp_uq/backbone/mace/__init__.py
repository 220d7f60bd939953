# SPDX-License-Identifier: GPL-2.0-or-later
"""MACE models: as mace-torch has them, as the native engine runs them, and as they are kept in model files."""
