// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef LMP_UQ_ATOM_MAXIMUM_H
#define LMP_UQ_ATOM_MAXIMUM_H

#include "lammps/lmptype.h"

namespace LAMMPS_NS {
class LAMMPS;
}

namespace lmp_uq {

class ForceComputation;
struct Field;

// The atom of a group where a field is largest, over all ranks; of equal values the smallest atom ID, so that the answer does not depend on
// the number of ranks. Atoms of NULL types, and excluded ones, do not count.
// A group without any atom that counts has tag 0 and value 0.
struct AtomMaximum {
  double value = 0.0;
  LAMMPS_NS::tagint tag = 0;
  int type = 0;
};

AtomMaximum find_maximum(LAMMPS_NS::LAMMPS *lmp, ForceComputation &last, const Field &field, int groupbit);

// The same of any values (nlocal); part: 0 for atoms that do not count, or null.
AtomMaximum find_maximum(LAMMPS_NS::LAMMPS *lmp, const double *values, const double *part, int groupbit);

}    // namespace lmp_uq
#endif
