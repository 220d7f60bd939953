# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of the command line as functions: what they do, in order; how is in the other rooms."""
