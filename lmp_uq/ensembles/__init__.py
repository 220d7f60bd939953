# SPDX-License-Identifier: GPL-2.0-or-later
"""Several models of any kind on the same frames: how far their forces disagree, and whose labels to take where they agree."""
