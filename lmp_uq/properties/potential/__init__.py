# SPDX-License-Identifier: GPL-2.0-or-later
"""Model files opened for properties, and structures under any Theta."""
