# SPDX-License-Identifier: GPL-2.0-or-later
"""Ranks of MPI; the only user of mpi4py."""
