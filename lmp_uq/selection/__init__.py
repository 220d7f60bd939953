# SPDX-License-Identifier: GPL-2.0-or-later
"""Which frames of a pool to label: what is known already, what a frame would add to it, and ways to choose."""
