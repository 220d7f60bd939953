// SPDX-License-Identifier: GPL-2.0-or-later
// Texts and numbers of the pair style in restart files: LAMMPS writes on rank 0 and reads on rank 0.
#ifndef LMP_UQ_RESTART_TEXT_H
#define LMP_UQ_RESTART_TEXT_H

#include <cstdio>
#include <string>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

void write_text(FILE *fp, const std::string &text);
std::string read_text(FILE *fp, LAMMPS_NS::LAMMPS *lmp);              // the same on every rank; collective, as below
void read_numbers(int *numbers, int n, FILE *fp, LAMMPS_NS::LAMMPS *lmp);

}    // namespace lmp_uq
#endif
