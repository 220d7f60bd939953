# SPDX-License-Identifier: GPL-2.0-or-later
"""Linear potentials on the columns of a compute of LAMMPS: SNAP, POD and any other."""
