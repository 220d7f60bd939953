# SPDX-License-Identifier: GPL-2.0-or-later
"""Relaxed structures of all members: by descent, by expansion about the mean."""
