# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop of runs, choice, labels and fits: its settings, commands, jobs, state and labels; the verbs in it are processes of their own."""
