# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside a step: the engine behind LAMMPS and ASE, the ASE calculator, the launcher of LAMMPS."""
