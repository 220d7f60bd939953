# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs as functions of Python, with results that can be read; the command line is made of them."""
