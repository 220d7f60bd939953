// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_CELL_VOLUME_H
#define LMP_UQ_CELL_VOLUME_H

#include "lammps/domain.h"

namespace lmp_uq {

// Angstrom^3, as compute pressure has it: in two dimensions the area
inline double cell_volume(const LAMMPS_NS::Domain &cell) { return cell.xprd * cell.yprd * (cell.dimension == 3 ? cell.zprd : 1.0); }

}    // namespace lmp_uq
#endif
