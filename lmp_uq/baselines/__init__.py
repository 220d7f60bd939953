# SPDX-License-Identifier: GPL-2.0-or-later
"""Other methods that make bars from the same rows, for comparison."""
