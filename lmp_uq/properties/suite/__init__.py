# SPDX-License-Identifier: GPL-2.0-or-later
"""A suite of properties: reading it, its members, its results."""
