// SPDX-License-Identifier: GPL-2.0-or-later
// What runs, but is hardly meant: said in the log at the set-up of a run.
#ifndef LMP_UQ_SETUP_WARNINGS_H
#define LMP_UQ_SETUP_WARNINGS_H

#include <string>
#include <vector>

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

// Types whose mass is not that of their element, a heat flux from per-atom stress, more threads than cores. element_of_type [1 ... ntypes]:
// symbols, or NULL; threads: of each rank. Collective.
std::vector<std::string> setup_warnings(LAMMPS_NS::LAMMPS *lmp, const std::vector<std::string> &element_of_type, int threads);

}    // namespace lmp_uq
#endif
