# SPDX-License-Identifier: GPL-2.0-or-later
"""DFT data in: reading, labels and their units, frames, the zero of energy."""
