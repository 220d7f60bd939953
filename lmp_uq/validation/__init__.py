# SPDX-License-Identifier: GPL-2.0-or-later
"""What is judged: labels with their bars, and those of other methods."""
